// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/readkey"
	"strongroom/internal/pure/tlog"
)

// followWriter is the epoch under which the authority's entries are stored: nobody takes that store over.
const followWriter = 1

// Staged entries are flushed when they are so many, or so many bytes.
const (
	stageEntries = 256
	stageBytes   = 4 << 20
)

// ErrFollow says that the stored entries of the authority are not those that were imported.
var ErrFollow = errors.New("the stored entries of the authority are not those that were imported: remove their folder, and import a full bundle")

// follower is the authority as this domain knows it: its entries, which lie in a store, and their fold.
type follower struct {
	store auditlog.Store
	ids   *domainkeys.Identity
	own   *pure.State // what was imported says whether the fold is the right one

	state   *authority.State
	tail    pure.Tail
	genesis *entry.Genesis
	moves   []move               // of seeds, in order
	anchors []anchored           // entries that re-anchored the log, in order
	imports compared             // with what was imported
	results func(*entry.Offline) // is told what results stand in the log; nil: nobody wants to know
	spans   []span               // where the entries lie in the store
	staged  []auditlog.Record
	bytes   int
	flushed uint64 // records in the store
}

// move is an effect that moves a seed.
type move struct {
	seq  uint64
	body *entry.Effect
}

// openFollower folds the entries that were imported. Records behind the last import were staged by a bundle that was not finished, and are
// dropped. Where what was imported is not all there, everything is dropped: the next bundle must be a full one.
func openFollower(ctx context.Context, store auditlog.Store, ids *domainkeys.Identity, own *pure.State) (*follower, error) {
	size, writer, err := store.Head(ctx)
	if err != nil {
		return nil, err
	}
	if writer == 0 {
		if err := store.TakeWriter(ctx, 0, followWriter); err != nil {
			return nil, err
		}
	}
	keep, spans, err := findImport(ctx, store, own.Import)
	if err != nil {
		return nil, err
	}
	if size > keep {
		if err := store.Truncate(ctx, followWriter, keep); err != nil {
			return nil, err
		}
	}
	f := &follower{store: store, ids: ids, own: own, state: authority.New(), spans: spans, flushed: keep}
	if keep == 0 {
		f.spans = []span{{}}
		return f, nil
	}
	return f, f.fold(ctx, own.Import.Size)
}

// fold folds entries that lie in the store, up to a size.
func (f *follower) fold(ctx context.Context, end uint64) error {
	for f.size() < end {
		recs, err := f.stored(ctx, f.size(), end)
		if err != nil {
			return err
		}
		for _, rec := range recs {
			if err := f.again(rec); err != nil {
				return err
			}
		}
	}
	return nil
}

// size is how many entries are folded.
func (f *follower) size() uint64 { return f.tail.Frontier.Size() }

// again folds an entry that was audited when it was imported.
func (f *follower) again(rec auditlog.Record) error {
	_, salt, body, err := openRecord(f.ids, rec, followsBody)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFollow, err)
	}
	before := f.tail.Frontier
	l, hash, err := f.tail.Next(pure.Record{Leaf: rec.Leaf, Salt: salt[:], Body: body})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFollow, err)
	}
	b, err := authority.DecodeBody(l.Kind, l.KindVersion, body)
	if err != nil {
		return err
	}
	if err := f.apply(before, l, hash, b); err != nil {
		return fmt.Errorf("%w: %w", ErrFollow, err)
	}
	return nil
}

// take verifies, audits and folds the next entry of a bundle, and stages it.
func (f *follower) take(ctx context.Context, r pure.Record) error {
	before := f.tail.Frontier
	l, hash, err := f.tail.Next(r)
	if err != nil {
		return err
	}
	if l.Seq == 0 && custody.AuthorityID(hash) != f.own.Authority {
		return fmt.Errorf("the log begins authority %x; this domain follows %s", hash, f.own.Authority)
	}
	b, err := authority.DecodeBody(l.Kind, l.KindVersion, r.Body)
	if err != nil {
		return err
	}
	if err := f.state.Audit(l, b, authority.Derive, f.history(ctx)); err != nil {
		return err
	}
	if err := f.apply(before, l, hash, b); err != nil {
		return err
	}
	return f.stage(ctx, l, r)
}

// apply folds an entry; before is the tree without it.
func (f *follower) apply(before tlog.Frontier, l entry.Leaf, hash [32]byte, body any) error {
	if r, ok := body.(*entry.Reanchor); ok && r.Root != before.Root() {
		return fmt.Errorf("entry %d re-anchors a log with another tree than this one", l.Seq)
	}
	if err := f.state.Apply(l, hash, body); err != nil {
		return err
	}
	switch b := body.(type) {
	case *entry.Genesis:
		f.genesis = b
	case *entry.Effect:
		if b.Move != nil {
			f.moves = append(f.moves, move{l.Seq, b})
		}
	case *entry.Offline:
		if f.results != nil {
			f.results(b)
		}
	case *entry.Reanchor:
		f.anchors = append(f.anchors, anchored{Anchored: pure.Anchored{Incarnation: b.Incarnation, Entry: l.Seq, Leaf: hash}, latest: l.Time + l.Bound, body: b})
	case *entry.Gap:
		f.anchors[len(f.anchors)-1].gap = b
	}
	f.compare()
	return nil
}

// stage keeps an entry, sealed, for the store.
func (f *follower) stage(ctx context.Context, l entry.Leaf, r pure.Record) error {
	stored, err := f.ids.SealBody(readkey.Period(l.Time), l.Seq, followsBody, [entry.SaltSize]byte(r.Salt), r.Body)
	if err != nil {
		return err
	}
	f.staged = append(f.staged, auditlog.Record{Leaf: r.Leaf, Bodies: [][]byte{stored}})
	f.bytes += len(r.Leaf) + len(stored)
	if len(f.staged) >= stageEntries || f.bytes >= stageBytes {
		return f.flush(ctx)
	}
	return nil
}

// flush makes the staged entries durable.
func (f *follower) flush(ctx context.Context) error {
	if len(f.staged) == 0 {
		return nil
	}
	if err := f.store.Append(ctx, followWriter, f.flushed, f.staged); err != nil {
		return fmt.Errorf("keep the authority's entries: %w", err)
	}
	f.flushed += uint64(len(f.staged))
	f.staged, f.bytes = nil, 0
	return nil
}

// record gives a folded entry as it is stored.
func (f *follower) record(ctx context.Context, seq uint64) (auditlog.Record, error) {
	if seq >= f.size() {
		return auditlog.Record{}, fmt.Errorf("entry %d of the authority is not here", seq)
	}
	recs, err := f.stored(ctx, seq, seq+1)
	if err != nil {
		return auditlog.Record{}, err
	}
	return recs[0], nil
}

// history gives the body of an entry before, for decisions that look back.
func (f *follower) history(ctx context.Context) authority.History {
	return func(seq uint64) (any, error) {
		_, body, err := f.entry(ctx, seq)
		return body, err
	}
}

// entry gives a folded entry's leaf hash and its body.
func (f *follower) entry(ctx context.Context, seq uint64) ([32]byte, any, error) {
	rec, err := f.record(ctx, seq)
	if err != nil {
		return [32]byte{}, nil, err
	}
	return f.openEntry(rec, seq)
}

// openEntry opens the stored record of an entry.
func (f *follower) openEntry(rec auditlog.Record, seq uint64) ([32]byte, any, error) {
	l, _, raw, err := openRecord(f.ids, rec, followsBody)
	if err != nil {
		return [32]byte{}, nil, err
	}
	if l.Seq != seq {
		return [32]byte{}, nil, fmt.Errorf("entry %d calls itself %d", seq, l.Seq)
	}
	body, err := authority.DecodeBody(l.Kind, l.KindVersion, raw)
	return entry.Hash(rec.Leaf), body, err
}

// logKey is the authority's log key.
func (f *follower) logKey() (tlog.Key, error) {
	return tlog.NewKey(f.state.Origin(), f.state.LogKey[:])
}
