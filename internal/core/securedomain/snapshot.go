// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
)

// errSnapshot says that a snapshot's state is not the one that its entry commits.
var errSnapshot = errors.New("the snapshot is not the one that the log commits")

// Snapshots keeps snapshots and the chunks that they share. It is not trusted: a snapshot counts only if its root is the one that
// the log's snapshot entry commits, and its tree leads to the pin. Losing all of it costs start time and nothing else.
type Snapshots interface {
	// List gives the entries of the snapshots that are there, ascending.
	List(ctx context.Context) ([]uint64, error)
	// Get gives a snapshot.
	Get(ctx context.Context, seq uint64) ([]byte, error)
	// Chunk gives a chunk by its hash.
	Chunk(ctx context.Context, hash [32]byte) ([]byte, error)
	// Put keeps a snapshot and those of its chunks that are not there yet, durably, and may drop older ones.
	Put(ctx context.Context, seq uint64, data []byte, chunks map[[32]byte][]byte) error
}

// snapshotFile is the state before the snapshot entry, and the tree over the entries before it. docs/spec/state.md.
type snapshotFile struct {
	V        uint            `cbor:"1,keyasint"` // 1
	Seq      uint64          `cbor:"2,keyasint"` // the snapshot entry
	Frontier []byte          `cbor:"3,keyasint"` // tree of size Seq, as tlog encodes it
	Image    authority.Image `cbor:"4,keyasint"`
}

// snapshotEncoded is a snapshotFile whose image is encoded already, together with its root.
type snapshotEncoded struct {
	V        uint      `cbor:"1,keyasint"`
	Seq      uint64    `cbor:"2,keyasint"`
	Frontier []byte    `cbor:"3,keyasint"`
	Image    canon.Raw `cbor:"4,keyasint"`
}

// snapshotter writes one snapshot at a time.
type snapshotter struct {
	busy sync.Mutex        // held while one is written; a snapshot that is due meanwhile waits
	kept map[[32]byte]bool // guarded by busy: chunks that are kept for certain
}

// maybeSnapshot appends a snapshot entry when it is time, and writes its file in the background. The caller holds mu.
func (d *Domain) maybeSnapshot(at authority.Moment) {
	// Rarer as the log grows, so that the work stays a fixed share: a tail of a 128th of the log replays within the start aim.
	if since := d.state.Next - d.snapshotAt; since < max(d.cfg.SnapshotEvery, d.state.Next/128) {
		return
	}
	if !d.snapshot.busy.TryLock() {
		return
	}
	seq := d.state.Next
	// Encoded here, under the sequencer: the image shares memory with the state.
	img, root := d.state.Image().Encode()
	data := canon.Encode(snapshotEncoded{V: 1, Seq: seq, Frontier: d.frontier.Marshal(), Image: img})
	chunks := d.state.Chunks()
	d.snapshotAt = seq
	rec, err := d.record(at, entry.KindSnapshot, entry.Public, &entry.Snapshot{Root: root})
	if err != nil {
		d.snapshot.busy.Unlock()
		d.slog.Error("snapshot not recorded", slog.Any("error", err))
		return
	}
	d.work.Add(1)
	go func() {
		defer d.work.Done()
		defer d.snapshot.busy.Unlock()
		if err := rec.handle.Wait(d.ctx); err != nil {
			return // the log has failed, or the domain is closing; the next start does without this one
		}
		if err := d.writeSnapshot(seq, data, chunks); err != nil {
			d.slog.Error("snapshot not written", slog.Uint64("seq", seq), slog.Any("error", err))
		}
	}()
}

// writeSnapshot seals and keeps a snapshot, and those of its chunks that are new. The caller holds snapshot.busy.
func (d *Domain) writeSnapshot(seq uint64, data []byte, chunks map[[32]byte][]byte) error {
	sealed, err := sealFile(d.ids, seq, data)
	if err != nil {
		return err
	}
	fresh := map[[32]byte][]byte{}
	for hash, b := range chunks {
		if d.snapshot.kept[hash] {
			continue
		}
		if fresh[hash], err = sealFile(d.ids, 0, b); err != nil {
			return err
		}
	}
	if err := d.cfg.Snapshots.Put(d.ctx, seq, sealed, fresh); err != nil {
		return err
	}
	if d.snapshot.kept == nil {
		d.snapshot.kept = map[[32]byte]bool{}
	}
	for hash := range fresh {
		d.snapshot.kept[hash] = true
	}
	return nil
}

// loadSnapshot reads a snapshot. Whether it is the right one shows when its entry is applied.
func (d *Domain) loadSnapshot(ctx context.Context, seq uint64) (fold, error) {
	sealed, err := d.cfg.Snapshots.Get(ctx, seq)
	if err != nil {
		return fold{}, err
	}
	data, err := openFile(d.ids, seq, sealed)
	if err != nil {
		return fold{}, err
	}
	var f snapshotFile
	if err := canon.DecodeLarge(data, &f); err != nil {
		return fold{}, err
	}
	tree, err := tlog.UnmarshalFrontier(f.Frontier)
	if err != nil {
		return fold{}, err
	}
	if f.V != 1 || f.Seq != seq || f.Image.Head.Next != seq || tree.Size() != seq {
		return fold{}, fmt.Errorf("snapshot %d calls itself %d", seq, f.Seq)
	}
	s, err := authority.Restore(f.Image, func(h [32]byte) ([]byte, error) {
		sealed, err := d.cfg.Snapshots.Chunk(ctx, h)
		if err != nil {
			return nil, err
		}
		return openFile(d.ids, 0, sealed)
	})
	return fold{state: s, frontier: tree}, err
}
