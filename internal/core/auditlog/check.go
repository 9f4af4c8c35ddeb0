// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/pure/tlog"
)

// Entries says how to read what is opaque here. Both functions are pure and safe for concurrent use.
type Entries struct {
	// PrevOf gives the hash that a leaf names as that of the entry before; 32 zero bytes in entry 0. An error means that the leaf can't be read.
	PrevOf func(leaf []byte) ([32]byte, error)
	// CheckBodies says whether bodies are those that leaf commits to; its error names the body.
	CheckBodies func(leaf []byte, bodies [][]byte) error
}

func (e Entries) check() error {
	if e.PrevOf == nil || e.CheckBodies == nil {
		return errors.New("PrevOf and CheckBodies are required")
	}
	return nil
}

// ErrStart says that the start point does not belong to the log: the tail from there on does not lead to the pin, or it lies beyond it.
// Start from an older one, or from the beginning.
var ErrStart = errors.New("the start point does not lead to the pin")

// readBatch is how many records are asked for at once.
const readBatch = 1024

// visitFunc is given each entry that fits the chain. Whether the chain is the pinned one shows only at its end.
type visitFunc func(seq uint64, hash [32]byte, rec Record) error

// Check reads everything from a start point (the zero Frontier: from the beginning) up to head, which the caller has verified, and
// recomputes chain, bodies and tree. The first damaged entry is a *[CorruptError] or, at the end, a *[BehindError]. progress, which may be nil,
// is called now and then with the entries read and all there are to read.
func Check(ctx context.Context, store Store, e Entries, from tlog.Frontier, head tlog.Checkpoint, progress func(done, total uint64)) error {
	if err := e.check(); err != nil {
		return fmt.Errorf("check log: %w", err)
	}
	c := chain{store: store, entries: e, start: from.Size(), tree: from}
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	err := c.begin(ctx, head)
	if err == nil {
		err = c.follow(ctx, head, func(seq uint64, _ [32]byte, _ Record) error {
			if seq%readBatch == 0 {
				progress(seq-c.start, head.Size-c.start)
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("check log: %w", err)
	}
	progress(head.Size-c.start, head.Size-c.start)
	return nil
}

// chain follows the entries of a store and recomputes the tree over them.
type chain struct {
	store   Store
	entries Entries
	start   uint64        // where it began
	tree    tlog.Frontier // of the entries so far
	last    [32]byte      // hash of the last entry so far; zero at the beginning
}

// begin finds the hash of the entry before the start point, which head must not be before.
func (c *chain) begin(ctx context.Context, head tlog.Checkpoint) error {
	if c.start > head.Size {
		return fmt.Errorf("%w: it is at entry %d, the pin at %d", ErrStart, c.start, head.Size)
	}
	if c.start == 0 {
		return nil
	}
	if h, known := c.tree.LastLeaf(); known {
		c.last = h
		return nil
	}
	recs, err := c.store.Read(ctx, c.start-1, 1)
	if err != nil {
		return err
	}
	if len(recs) == 0 {
		return &BehindError{Have: c.have(ctx), Pinned: c.start, Where: c.store.Where(c.have(ctx))}
	}
	c.last = tlog.LeafHash(recs[0].Leaf)
	return nil
}

// have is the number of entries in the store, for errors.
func (c *chain) have(ctx context.Context) uint64 {
	size, _, err := c.store.Head(ctx)
	if err != nil {
		return 0
	}
	return size
}

// follow reads on up to the size of head and compares the root.
func (c *chain) follow(ctx context.Context, head tlog.Checkpoint, visit visitFunc) error {
	if c.tree.Size() > head.Size {
		return fmt.Errorf("the pin went back from %d entries to %d: %w", c.tree.Size(), head.Size, ErrPinMoved)
	}
	var before tlog.Frontier // two entries before the end
	for c.tree.Size() < head.Size {
		if err := ctx.Err(); err != nil {
			return err
		}
		recs, err := c.store.Read(ctx, c.tree.Size(), int(min(readBatch, head.Size-c.tree.Size())))
		if err != nil {
			return err
		}
		if len(recs) == 0 {
			return &BehindError{Have: c.tree.Size(), Pinned: head.Size, Where: c.store.Where(c.tree.Size())}
		}
		for _, rec := range recs {
			seq := c.tree.Size()
			prev, err := c.entries.PrevOf(rec.Leaf)
			if err != nil {
				return c.corrupt(seq, "the leaf can't be read", err)
			}
			hash := tlog.LeafHash(rec.Leaf)
			if prev != c.last {
				return c.blame(ctx, seq, prev, hash, before, head)
			}
			if err := c.entries.CheckBodies(rec.Leaf, rec.Bodies); err != nil {
				return c.corrupt(seq, "its bodies are not those that the leaf names", err)
			}
			if seq+2 == head.Size {
				before = c.tree
			}
			c.tree.Append(hash)
			c.last = hash
			if err := visit(seq, hash, rec); err != nil {
				return fmt.Errorf("entry %d: %w", seq, err)
			}
		}
	}
	switch {
	case c.tree.Root() == head.Root:
		return nil
	case c.start > 0:
		// The last entry, or the start point: the chain between them holds.
		return fmt.Errorf("entries %d to %d have another root than the pin: %w", c.start, head.Size, ErrStart)
	case head.Size == 0:
		return errors.New("the pin is of an empty log, with another root")
	default:
		// The chain holds, so all but the last entry are what the last one was written after.
		return c.corrupt(head.Size-1, "the log does not have the pinned root", nil)
	}
}

func (c *chain) corrupt(seq uint64, reason string, err error) error {
	return &CorruptError{Seq: seq, Where: c.store.Where(seq), Reason: reason, Err: err}
}

// blame names the entry at fault when entry seq (with prev and hash) does not name the one before it: that one is, if what follows
// agrees with seq.
func (c *chain) blame(ctx context.Context, seq uint64, prev, hash [32]byte, before tlog.Frontier, head tlog.Checkpoint) error {
	const reason = "it does not fit between the entries around it"
	if seq == 0 {
		return c.corrupt(0, "the first entry names one before it", nil)
	}
	agrees := false
	if seq+1 < head.Size {
		recs, err := c.store.Read(ctx, seq+1, 1)
		if err == nil && len(recs) == 1 {
			next, err := c.entries.PrevOf(recs[0].Leaf)
			agrees = err == nil && next == hash
		}
	} else if before.Size() == seq-1 && seq-1 >= c.start {
		before.Append(prev)
		before.Append(hash)
		agrees = before.Root() == head.Root
	}
	if agrees && seq == c.start && seq&1 == 1 {
		return fmt.Errorf("entry %d does not follow it: %w", seq, ErrStart) // the hash before it is the start point's, not read here
	}
	if agrees {
		return c.corrupt(seq-1, reason, nil)
	}
	return c.corrupt(seq, reason, nil)
}
