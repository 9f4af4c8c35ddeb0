// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"strongroom/internal/pure/tlog"
)

// ErrTiles says that a proof made from tiles and entries does not lead to the pinned head: one of them is damaged. Check the log; if it is
// whole, remove the tile folder and start again: it is rebuilt.
var ErrTiles = errors.New("tiles or entries do not lead to the pinned head")

// Inclusion shows that an entry is in the log (RFC 6962 section 2.1.1).
type Inclusion struct {
	Seq  uint64 // the entry
	Size uint64 // of the tree
	Leaf [32]byte
	Root [32]byte // of the tree of Size
	Path [][32]byte
}

// Consistency shows that a tree extends an older one (RFC 6962 section 2.1.2).
type Consistency struct {
	Old, Size     uint64
	OldRoot, Root [32]byte
	Path          [][32]byte
}

// ProveInclusion proves entry seq in the tree of size entries, which is at most the pinned one. The proof is verified against the pinned
// head before it is returned. It reads a few tiles and at most 256 entries; with tiles off it reads all entries.
func (l *Log) ProveInclusion(ctx context.Context, seq, size uint64) (Inclusion, error) {
	p := Inclusion{Seq: seq, Size: size}
	head := l.Head()
	if size > head.Size {
		return p, fmt.Errorf("prove entry %d in the log of %d: %w: the log has %d", seq, size, tlog.ErrSize, head.Size)
	}
	r := l.nodes()
	var err error
	if p.Path, err = tlog.ProveInclusion(r.reader(ctx), seq, size); err != nil {
		return p, err
	}
	leaf, err := r.leaves(ctx, seq, 1)
	if err != nil {
		return p, fmt.Errorf("prove entry %d: %w", seq, err)
	}
	p.Leaf = leaf[0]
	if p.Root, err = r.rootAt(ctx, size, head); err != nil {
		return p, err
	}
	if err := tlog.VerifyInclusion(p.Path, seq, size, p.Leaf, p.Root); err != nil {
		return p, fmt.Errorf("%w: %w", ErrTiles, err)
	}
	return p, nil
}

// ProveConsistency proves that the tree of size entries, at most the pinned one, extends the tree of its first old ones, at least 1. Like
// ProveInclusion it is verified first.
func (l *Log) ProveConsistency(ctx context.Context, old, size uint64) (Consistency, error) {
	p := Consistency{Old: old, Size: size}
	head := l.Head()
	if size > head.Size {
		return p, fmt.Errorf("prove the log of %d: %w: the log has %d", size, tlog.ErrSize, head.Size)
	}
	r := l.nodes()
	var err error
	if p.Path, err = tlog.ProveConsistency(r.reader(ctx), old, size); err != nil {
		return p, err
	}
	if p.OldRoot, err = tlog.RootAt(r.reader(ctx), old); err != nil {
		return p, err
	}
	if p.Root, err = r.rootAt(ctx, size, head); err != nil {
		return p, err
	}
	if err := tlog.VerifyConsistency(p.Path, old, size, p.OldRoot, p.Root); err != nil {
		return p, fmt.Errorf("%w: %w", ErrTiles, err)
	}
	return p, nil
}

func (l *Log) nodes() *nodeReader {
	return &nodeReader{dir: l.cfg.Tiles.Dir, edge: l.tiles.edgeOf, store: l.cfg.Store, tiles: map[tlog.Tile][][32]byte{}}
}

// nodeReader computes hashes of complete subtrees: from full tiles where they are, else from entries. It is not trusted: what is made
// of its answers is compared with the pinned root. It is for one call.
type nodeReader struct {
	dir   string                                              // of the tiles; empty: none
	edge  func(level uint8) (first uint64, hashes [][32]byte) // the partial tile of a level
	store Store
	tiles map[tlog.Tile][][32]byte // read so far; nil: absent
}

func (r *nodeReader) reader(ctx context.Context) tlog.HashReader {
	return func(nodes []tlog.Node) ([][32]byte, error) {
		out := make([][32]byte, len(nodes))
		for i, n := range nodes {
			level, below := n.Level/tlog.TileHeight, n.Level%tlog.TileHeight
			hashes, err := r.entries(ctx, level, n.Index<<below, 1<<below)
			if err != nil {
				return nil, err
			}
			out[i] = tlog.SubtreeRoot(hashes)
		}
		return out, nil
	}
}

// rootAt gives the root of the first size entries, which is proved to lead to head.
func (r *nodeReader) rootAt(ctx context.Context, size uint64, head Head) ([32]byte, error) {
	if size == head.Size {
		return head.Root, nil
	}
	root, err := tlog.RootAt(r.reader(ctx), size)
	if err != nil || size == 0 {
		return root, err
	}
	path, err := tlog.ProveConsistency(r.reader(ctx), size, head.Size)
	if err != nil {
		return root, err
	}
	if err := tlog.VerifyConsistency(path, size, head.Size, root, head.Root); err != nil {
		return root, fmt.Errorf("%w: %w", ErrTiles, err)
	}
	return root, nil
}

// entries gives count hashes of subtrees of 256^level leaves from first on, all within one tile.
func (r *nodeReader) entries(ctx context.Context, level uint8, first uint64, count int) ([][32]byte, error) {
	tile, err := r.tile(tlog.Tile{Level: level, Index: first / tlog.TileWidth, Width: tlog.TileWidth})
	if err != nil {
		return nil, err
	}
	if tile != nil {
		from := int(first % tlog.TileWidth)
		return tile[from : from+count], nil
	}
	if from, hashes := r.edge(level); first >= from && first+uint64(count) <= from+uint64(len(hashes)) {
		return hashes[first-from:][:count], nil
	}
	if level == 0 {
		return r.leaves(ctx, first, count)
	}
	out := make([][32]byte, count)
	for i := range out {
		below, err := r.entries(ctx, level-1, (first+uint64(i))*tlog.TileWidth, tlog.TileWidth)
		if err != nil {
			return nil, err
		}
		out[i] = tlog.SubtreeRoot(below)
	}
	return out, nil
}

// tile reads a full tile; nil if it is not there.
func (r *nodeReader) tile(t tlog.Tile) ([][32]byte, error) {
	if r.dir == "" {
		return nil, nil
	}
	if h, known := r.tiles[t]; known {
		return h, nil
	}
	b, err := os.ReadFile(filepath.Join(r.dir, filepath.FromSlash(t.Path())))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read tile: %w", err)
	}
	var hashes [][32]byte
	if err == nil {
		if hashes, err = tlog.DecodeTile(b, t.Width); err != nil {
			hashes = nil // cut off: as good as absent
		}
	}
	r.tiles[t] = hashes
	return hashes, nil
}

// leaves reads entries and hashes their leaves.
func (r *nodeReader) leaves(ctx context.Context, first uint64, count int) ([][32]byte, error) {
	out := make([][32]byte, 0, count)
	err := eachRecord(ctx, r.store, first, first+uint64(count), func(rec Record) error {
		out = append(out, tlog.LeafHash(rec.Leaf))
		return nil
	})
	return out, err
}

// eachRecord reads records from up to to.
func eachRecord(ctx context.Context, store Store, from, to uint64, visit func(Record) error) error {
	for from < to {
		recs, err := store.Read(ctx, from, int(min(readBatch, to-from)))
		if err != nil {
			return err
		}
		if len(recs) == 0 {
			return &BehindError{Have: from, Pinned: to, Where: store.Where(from)}
		}
		for _, rec := range recs {
			if err := visit(rec); err != nil {
				return err
			}
		}
		from += uint64(len(recs))
	}
	return nil
}
