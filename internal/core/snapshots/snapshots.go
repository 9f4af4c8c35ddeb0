// SPDX-License-Identifier: Apache-2.0

// Package snapshots keeps snapshots of a state as files: snap-<entry>, and chunk-<hash> for the parts that snapshots share. Nobody
// trusts them; what a snapshot must be stands in the log. The last few are kept, and the chunks that they need.
package snapshots

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"strongroom/internal/core/durable"
)

// Kept is how many snapshots stay.
const Kept = 3

const (
	maxFile     = 1 << 30 // bytes of one snapshot
	maxChunk    = 1 << 26
	snapPrefix  = "snap-"
	chunkPrefix = "chunk-"
)

// Store keeps snapshots in a folder. Put is for one caller at a time; the other methods may be called concurrently.
type Store struct {
	disk durable.Disk
	dir  string
}

// Open uses a folder, which is made if it doesn't exist.
func Open(dir string) (*Store, error) {
	d := durable.OS()
	if err := d.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	if err := durable.Sweep(d, dir); err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	return &Store{disk: d, dir: dir}, nil
}

// List gives the entries of the snapshots that are there, ascending.
func (s *Store) List(context.Context) ([]uint64, error) {
	names, err := s.disk.List(s.dir)
	if err != nil {
		return nil, fmt.Errorf("snapshots: %w", err)
	}
	var out []uint64
	for _, n := range names {
		if num, ok := strings.CutPrefix(n, snapPrefix); ok {
			if seq, err := strconv.ParseUint(num, 10, 64); err == nil {
				out = append(out, seq)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

func (s *Store) snap(seq uint64) string {
	return filepath.Join(s.dir, snapPrefix+strconv.FormatUint(seq, 10))
}

func (s *Store) chunk(hash [32]byte) string {
	return filepath.Join(s.dir, chunkPrefix+hex.EncodeToString(hash[:]))
}

// Get gives a snapshot.
func (s *Store) Get(_ context.Context, seq uint64) ([]byte, error) {
	b, err := s.disk.Read(s.snap(seq), maxFile)
	if err != nil {
		return nil, fmt.Errorf("snapshot %d: %w", seq, err)
	}
	return b, nil
}

// Chunk gives a chunk by its hash, unchecked.
func (s *Store) Chunk(_ context.Context, hash [32]byte) ([]byte, error) {
	b, err := s.disk.Read(s.chunk(hash), maxChunk)
	if err != nil {
		return nil, fmt.Errorf("snapshot chunk %x: %w", hash[:8], err)
	}
	return b, nil
}

// Put keeps a snapshot: its chunks first, then itself, durably; then it drops the oldest ones. Chunks stay: all but the few that
// expired are needed by the next snapshot too.
func (s *Store) Put(ctx context.Context, seq uint64, data []byte, chunks map[[32]byte][]byte) error {
	for hash, b := range chunks {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := durable.Add(s.disk, s.chunk(hash), b); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("snapshot %d: %w", seq, err)
		}
	}
	if err := durable.Replace(s.disk, s.snap(seq), data); err != nil {
		return fmt.Errorf("snapshot %d: %w", seq, err)
	}
	list, err := s.List(ctx)
	if err != nil {
		return err
	}
	for len(list) > Kept {
		if err := s.disk.Remove(s.snap(list[0])); err != nil {
			return fmt.Errorf("drop snapshot %d: %w", list[0], err)
		}
		list = list[1:]
	}
	return nil
}
