// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"fmt"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/tlog"
)

// span says where entries lie in the store: those from seq on at record at, and so on. Each span begins where the one before it ends in the store,
// and hides what that one has from seq on. Only a log that was re-anchored without entries that were imported has more than one: the lost ones
// stay where they are.
type span struct{ seq, at uint64 }

// branches follows the records of the store: an entry that comes again begins a span.
type branches struct {
	spans  []span
	leaves [][32]byte // of the log as the records so far make it
	tree   tlog.Frontier
}

// take takes the next record, the at-th, and gives its leaf hash.
func (b *branches) take(at uint64, rec auditlog.Record) ([32]byte, error) {
	l, err := entry.DecodeLeaf(rec.Leaf)
	size := uint64(len(b.leaves))
	if err != nil || l.Seq > size {
		return [32]byte{}, fmt.Errorf("%w: record %d", ErrFollow, at)
	}
	if l.Seq < size || at == 0 {
		b.spans = append(b.spans, span{l.Seq, at})
		b.leaves, b.tree = b.leaves[:l.Seq], tlog.Frontier{}
		for _, h := range b.leaves {
			b.tree.Append(h)
		}
	}
	hash := entry.Hash(rec.Leaf)
	b.leaves = append(b.leaves, hash)
	b.tree.Append(hash)
	return hash, nil
}

// findImport finds the records that the last import stands on: so many of the store, and where the entries lie in them. None if they are not all
// there.
func findImport(ctx context.Context, store auditlog.Store, i pure.Import) (keep uint64, spans []span, err error) {
	size, _, err := store.Head(ctx)
	if err != nil || i.Size == 0 || size < i.Size {
		return 0, nil, err
	}
	var b branches
	for at := uint64(0); at < size; {
		recs, err := store.Read(ctx, at, chunk)
		if err != nil {
			return 0, nil, err
		}
		if len(recs) == 0 {
			return 0, nil, fmt.Errorf("%w: record %d is missing", ErrFollow, at)
		}
		for _, rec := range recs {
			hash, err := b.take(at, rec)
			if err != nil {
				return 0, nil, err
			}
			at++
			if b.tree.Size() == i.Size && hash == i.Leaf && b.tree.Root() == i.Root {
				keep, spans = at, append([]span(nil), b.spans...)
			}
		}
	}
	return keep, spans, nil
}

// stored gives entries [from, …), at least one and not those from end on, as they are stored or staged.
func (f *follower) stored(ctx context.Context, from, end uint64) ([]auditlog.Record, error) {
	for i := len(f.spans) - 1; i >= 0; i-- {
		s := f.spans[i]
		if s.seq > from {
			end = min(end, s.seq)
			continue
		}
		at := s.at + from - s.seq
		if at >= f.flushed {
			if at-f.flushed < uint64(len(f.staged)) {
				return f.staged[at-f.flushed:][:1], nil
			}
			break
		}
		recs, err := f.store.Read(ctx, at, int(min(end-from, chunk, f.flushed-at)))
		if err == nil && len(recs) == 0 {
			err = fmt.Errorf("%w: entry %d is missing", ErrFollow, from)
		}
		return recs, err
	}
	return nil, fmt.Errorf("entry %d of the authority is not here", from)
}

// lost gives the body of an entry that was imported and that the log has lost since. It is not there where the store was lost in between.
func (f *follower) lost(ctx context.Context, seq uint64, leaf [32]byte) (any, error) {
	end := f.flushed
	for i := len(f.spans) - 1; i >= 0; i-- {
		s := f.spans[i]
		if at := s.at + seq - s.seq; s.seq <= seq && at < end {
			recs, err := f.store.Read(ctx, at, 1)
			if err != nil {
				return nil, err
			}
			if len(recs) == 1 && entry.Hash(recs[0].Leaf) == leaf {
				_, body, err := f.openEntry(recs[0], seq)
				return body, err
			}
		}
		end = s.at
	}
	return nil, fmt.Errorf("the lost entry %d of the authority is not here", seq)
}

// branch gives a follower of another log that has the first entries in common with this one. It goes on behind them, in the same store; f is not
// used any more but to look back.
func (f *follower) branch(ctx context.Context, common uint64) (*follower, error) {
	n := &follower{store: f.store, ids: f.ids, own: f.own, state: authority.New(), spans: append([]span(nil), f.spans...), flushed: f.flushed}
	if err := n.fold(ctx, common); err != nil {
		return nil, err
	}
	n.spans = append(n.spans, span{common, f.flushed})
	return n, nil
}
