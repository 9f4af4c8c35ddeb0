// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"strongroom/internal/pure/tlog"
)

// DefaultTilesEvery is the default of Tiles.Every.
const DefaultTilesEvery = time.Second

// Tiles says where the log is published for auditors and witnesses, as C2SP tlog-tiles: a folder that any web server can serve.
type Tiles struct {
	Dir   string        // empty: tiles are off; proofs then read the whole log
	Every time.Duration // least time between two publications; 0: DefaultTilesEvery
}

// Names in the tile folder.
const (
	checkpointName = "checkpoint"
	stagingName    = ".staging" // files that are not whole yet
)

// stageLimit is how many files are staged before they are flushed and renamed.
const stageLimit = 256

// tileLevels is enough for MaxSize leaves.
const tileLevels = 8

// publisher writes tiles behind the pinned head, off the commit path. What it writes for a head is durable before the head's checkpoint
// is, so that a checkpoint in the folder means that all it needs is there. Its methods may be called on nil.
type publisher struct {
	log   *Log
	dir   string
	every time.Duration
	wake  chan struct{} // room for one: there is a new head
	quit  chan struct{} // closed by close
	once  sync.Once     // guards quit
	ended chan struct{} // closed by run when it ends; close waits for it

	// What follows belongs to run.
	ready  bool                   // the rest is known
	size   uint64                 // leaves so far
	edge   [tileLevels][][32]byte // hashes of the tile at the right edge of each level
	bundle []byte                 // entry bundle at the right edge
	staged []*os.File             // written, not flushed
	names  []string               // where they go
	full   []string               // whose partial forms can go

	mu        sync.Mutex // guards the rest
	published uint64
	right     [tileLevels][][32]byte // edge as published; never written to
	err       error
}

func newPublisher(l *Log) *publisher {
	p := &publisher{log: l, dir: filepath.Clean(l.cfg.Tiles.Dir), every: l.cfg.Tiles.Every,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), ended: make(chan struct{})}
	if p.every == 0 {
		p.every = DefaultTilesEvery
	}
	return p
}

// follow tells that there is a new head.
func (p *publisher) follow() {
	if p != nil {
		signal(p.wake)
	}
}

// close publishes what is pinned and ends the goroutine.
func (p *publisher) close() {
	if p == nil {
		return
	}
	p.once.Do(func() { close(p.quit) })
	<-p.ended
}

// state tells how far the folder is, and what hinders it.
func (p *publisher) state() (uint64, error) {
	if p == nil {
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.published, p.err
}

// edgeOf gives the hashes of the partial tile of a level as it was published, and the number of the first.
func (p *publisher) edgeOf(level uint8) (first uint64, hashes [][32]byte) {
	if p == nil {
		return 0, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	full, _ := tlog.TilesOf(p.published, level)
	return full * tlog.TileWidth, p.right[level]
}

// run publishes until the log is closed or fails. publisher.close waits for it.
func (p *publisher) run(ctx context.Context) {
	defer close(p.ended)
	for last := false; !last; {
		select {
		case <-p.wake:
		case <-p.quit:
			last = true
		case <-p.log.failed:
			return
		}
		err := p.publish(ctx, p.log.Head())
		p.mu.Lock()
		if p.err = err; err == nil {
			p.published = p.size
			for level, hashes := range p.edge {
				p.right[level] = slices.Clone(hashes)
			}
		}
		p.mu.Unlock()
		var corrupt *CorruptError
		var behind *BehindError
		if errors.As(err, &corrupt) || errors.As(err, &behind) {
			p.log.stop(fmt.Errorf("publish tiles: %w", err))
			return
		}
		if err != nil {
			p.ready = false
			p.abandon()
			p.follow() // try again: disks fill up and are emptied
		}
		if !last {
			p.pause()
		}
	}
}

// pause waits until the next publication may begin.
func (p *publisher) pause() {
	t := time.NewTimer(p.every)
	defer t.Stop()
	select {
	case <-t.C:
	case <-p.quit:
	case <-p.log.failed:
	}
}

// publish brings the folder up to head.
func (p *publisher) publish(ctx context.Context, head Head) error {
	if !p.ready {
		if err := p.restore(ctx, head); err != nil {
			return err
		}
		p.ready = true
	} else if p.size == head.Size {
		return nil
	}
	if err := eachRecord(ctx, p.log.cfg.Store, p.size, head.Size, func(r Record) error { return p.add(r.Leaf) }); err != nil {
		return err
	}
	if p.root() != head.Root {
		return &CorruptError{Seq: head.Size - 1, Where: p.log.cfg.Store.Where(head.Size - 1),
			Reason: "the entries read for the tiles, this one or an earlier one, do not have the pinned root"}
	}
	for level, hashes := range p.edge {
		if len(hashes) > 0 {
			t := tlog.Tile{Level: uint8(level), Index: p.size >> (tlog.TileHeight * (level + 1)), Width: len(hashes)}
			if err := p.stage(t.Path(), tlog.EncodeTile(hashes)); err != nil {
				return err
			}
		}
	}
	if n := len(p.edge[0]); n > 0 {
		if err := p.stage(tlog.BundlePath(p.size/tlog.TileWidth, n), p.bundle); err != nil {
			return err
		}
	}
	if err := p.flush(); err != nil {
		return err
	}
	if err := p.stage(checkpointName, head.Signed); err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	for _, path := range p.full {
		if err := os.RemoveAll(p.path(tlog.PartialDir(path))); err != nil {
			return fmt.Errorf("remove partial tiles: %w", err)
		}
	}
	p.full = nil
	return nil
}

// add adds a leaf at the right edge and stages what becomes full.
func (p *publisher) add(leaf []byte) error {
	var err error
	if p.bundle, err = tlog.AppendBundle(p.bundle, leaf); err != nil {
		return err
	}
	h := tlog.LeafHash(leaf)
	index := p.size / tlog.TileWidth
	p.size++
	for level := range p.edge {
		p.edge[level] = append(p.edge[level], h)
		if len(p.edge[level]) < tlog.TileWidth {
			break
		}
		if level == 0 {
			if err := p.stageFull(tlog.BundlePath(index, tlog.TileWidth), p.bundle); err != nil {
				return err
			}
			p.bundle = nil
		}
		t := tlog.Tile{Level: uint8(level), Index: index, Width: tlog.TileWidth}
		if err := p.stageFull(t.Path(), tlog.EncodeTile(p.edge[level])); err != nil {
			return err
		}
		h = tlog.SubtreeRoot(p.edge[level])
		p.edge[level] = nil
		index /= tlog.TileWidth
	}
	return nil
}

// root is the root of the tree so far.
func (p *publisher) root() [32]byte {
	var f tlog.Frontier
	for level := tileLevels - 1; level >= 0; level-- {
		for _, h := range p.edge[level] {
			if err := f.AppendSubtree(uint8(tlog.TileHeight*level), h); err != nil {
				return [32]byte{} // no root is this
			}
		}
	}
	// Full tiles are below an edge hash each, so the frontier spans all.
	return f.Root()
}

// restore finds out where publishing ended: at the signed checkpoint in the folder, below which all tiles were durable. Tiles that were
// removed since are made again. Without a good checkpoint all is made anew.
func (p *publisher) restore(ctx context.Context, head Head) error {
	if err := os.RemoveAll(p.path(stagingName)); err != nil {
		return fmt.Errorf("clear tile folder: %w", err)
	}
	if err := os.MkdirAll(p.path(stagingName), 0o755); err != nil {
		return fmt.Errorf("make tile folder: %w", err)
	}
	p.size, p.edge, p.bundle, p.full = 0, [tileLevels][][32]byte{}, nil, nil
	signed, err := os.ReadFile(p.path(checkpointName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read published checkpoint: %w", err)
	}
	keys := append([]tlog.Key{p.log.cfg.Key}, p.log.cfg.Keys...)
	c, err := tlog.OpenCheckpoint(signed, keys...)
	if err != nil {
		return nil // not ours, or cut off: anew
	}
	if c.Size > head.Size {
		return fmt.Errorf("the published checkpoint is of %d entries, the log has %d: the folder belongs to a later state of the log; look into this before you remove it", c.Size, head.Size)
	}
	r := p.log.nodes()
	for level := uint8(0); level < tileLevels; level++ {
		full, partial := tlog.TilesOf(c.Size, level)
		if err := p.heal(ctx, r, level, full); err != nil {
			return err
		}
		if partial > 0 {
			edge, err := r.entries(ctx, level, full*tlog.TileWidth, partial)
			if err != nil {
				return err
			}
			p.edge[level] = slices.Clone(edge)
		}
	}
	p.size = c.Size
	if p.root() != c.Root {
		p.size, p.edge = 0, [tileLevels][][32]byte{} // tiles are damaged: anew
		return nil
	}
	p.bundle, err = p.readBundle(ctx, c.Size/tlog.TileWidth*tlog.TileWidth, c.Size)
	return err
}

// heal makes the full tiles of a level, and their bundles, that are not there.
func (p *publisher) heal(ctx context.Context, r *nodeReader, level uint8, full uint64) error {
	for i := range full {
		t := tlog.Tile{Level: level, Index: i, Width: tlog.TileWidth}
		if info, err := os.Stat(p.path(t.Path())); err != nil || info.Size() != tlog.TileWidth*tlog.HashSize {
			hashes, err := r.entries(ctx, level, i*tlog.TileWidth, tlog.TileWidth)
			if err != nil {
				return err
			}
			if err := p.stageFull(t.Path(), tlog.EncodeTile(hashes)); err != nil {
				return err
			}
		}
		if level > 0 {
			continue
		}
		path := tlog.BundlePath(i, tlog.TileWidth)
		if info, err := os.Stat(p.path(path)); err != nil || info.Size() == 0 {
			b, err := p.readBundle(ctx, i*tlog.TileWidth, (i+1)*tlog.TileWidth)
			if err != nil {
				return err
			}
			if err := p.stageFull(path, b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *publisher) readBundle(ctx context.Context, from, to uint64) (b []byte, err error) {
	err = eachRecord(ctx, p.log.cfg.Store, from, to, func(rec Record) error {
		var err error
		b, err = tlog.AppendBundle(b, rec.Leaf)
		return err
	})
	return b, err
}

func (p *publisher) path(slashed string) string {
	return filepath.Join(p.dir, filepath.FromSlash(slashed))
}

// stageFull stages a full tile or bundle, whose partial forms can then go.
func (p *publisher) stageFull(path string, data []byte) error {
	p.full = append(p.full, path)
	return p.stage(path, data)
}

// stage writes a file that gets its name with the next flush.
func (p *publisher) stage(path string, data []byte) error {
	if len(p.staged) >= stageLimit {
		if err := p.flush(); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(p.path(stagingName), "f")
	if err != nil {
		return fmt.Errorf("stage %s: %w", path, err)
	}
	p.staged, p.names = append(p.staged, f), append(p.names, path)
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("stage %s: %w", path, err)
	}
	return f.Chmod(0o644)
}

// flush makes the staged files durable, all before the first gets its name, and then their names.
func (p *publisher) flush() error {
	for i, f := range p.staged {
		if err := f.Sync(); err != nil {
			return fmt.Errorf("flush %s: %w", p.names[i], err)
		}
	}
	dirs := map[string]bool{}
	for i, f := range p.staged {
		to := p.path(p.names[i])
		for dir := filepath.Dir(to); ; dir = filepath.Dir(dir) { // a new folder is a new name in its parent
			dirs[dir] = true
			if dir == p.dir {
				break
			}
		}
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return fmt.Errorf("publish %s: %w", p.names[i], err)
		}
		if err := os.Rename(f.Name(), to); err != nil {
			return fmt.Errorf("publish %s: %w", p.names[i], err)
		}
	}
	for dir := range dirs {
		if err := syncDir(dir); err != nil {
			return fmt.Errorf("flush folder %s: %w", dir, err)
		}
	}
	p.abandon()
	return nil
}

// abandon closes the staged files; those without a name yet are removed at the next restore.
func (p *publisher) abandon() {
	for _, f := range p.staged {
		_ = f.Close() // flushed, or not needed any more
	}
	p.staged, p.names = nil, nil
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
