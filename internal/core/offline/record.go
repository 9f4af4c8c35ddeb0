// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/readkey"
)

// now reads the clock: nothing is decided while it is not certain, or behind what the domain has seen. floor is a time, in Unix nanoseconds,
// that is known to be past.
func (d *Domain) now(floor int64) (authority.Moment, error) {
	r := d.cfg.Clock.Now()
	if !r.Certain {
		return authority.Moment{}, problem.New(problem.TimeUncertain, "the clock is not certain: %s", r.Why)
	}
	floor = max(floor, d.state.Time)
	if behind := time.Duration(floor - r.Time); behind > maxBehind {
		return authority.Moment{}, problem.New(problem.TimeUncertain, "the clock is %v behind what this domain has seen; set it", behind.Round(time.Second))
	}
	t := max(r.Time, floor)
	return authority.Moment{Time: t, Bound: r.Bound + t - r.Time}, nil
}

// guess is the moment of what is recorded because it happened, whether or not the clock is right: the last one that the log has, give or take
// what the clock says beyond it. Nobody confirms a clock here, and a later time would be a floor for ever: one start with the clock ahead would
// refuse every bundle after it.
func (d *Domain) guess() authority.Moment {
	r := d.cfg.Clock.Now()
	return authority.Moment{Time: d.state.Time, Bound: r.Bound + max(r.Time-d.state.Time, 0)}
}

// record makes an entry and waits until it is durable and pinned. An error means that it must not be acted on, and that the domain must be
// opened again unless the entry did not fit.
func (d *Domain) record(ctx context.Context, at authority.Moment, body any) error {
	h, err := d.hand(ctx, at, body)
	if err != nil {
		return err
	}
	return d.wait(ctx, h)
}

// hand makes an entry and hands it to the log.
func (d *Domain) hand(ctx context.Context, at authority.Moment, body any) (auditlog.Handle, error) {
	if d.broken != nil {
		return auditlog.Handle{}, d.broken
	}
	l, rec, err := d.entryOf(at, body)
	if err != nil {
		return auditlog.Handle{}, err
	}
	if err := d.state.Apply(l, entry.Hash(rec.Leaf), body); err != nil {
		return auditlog.Handle{}, problem.Wrap(problem.Internal, err, "the entry does not fit the state")
	}
	h, err := d.log.Append(ctx, rec)
	if err != nil {
		d.broken = fmt.Errorf("append entry %d: %w", l.Seq, err) // the state is ahead of the log
		return h, d.broken
	}
	return h, nil
}

// entryOf makes the next entry, as it is stored.
func (d *Domain) entryOf(at authority.Moment, body any) (entry.Leaf, auditlog.Record, error) {
	s := d.state
	kind := pure.KindOf(body)
	enc := canon.Encode(body)
	salt := d.ids.Salt(s.Next, ownBody)
	l := entry.Leaf{V: 1, Authority: s.Authority, Domain: s.Domain, Seq: s.Next, Prev: s.Last, Kind: kind, KindVersion: 1, Engine: entry.Engine1,
		Writer: d.writer, Time: max(at.Time, s.Time), Bound: at.Bound, Bodies: []entry.BodyRef{entry.Ref(pure.ClassOf(kind), salt, enc)}}
	leaf := l.Encode()
	if len(enc) > entry.MaxBody || len(leaf) > entry.MaxLeaf {
		return l, auditlog.Record{}, problem.New(problem.TooLarge, "the entry would have %d bytes, more than %d", len(enc), entry.MaxBody)
	}
	stored, err := storedForm(d.ids, l, salt, enc)
	return l, auditlog.Record{Leaf: leaf, Bodies: [][]byte{stored}}, err
}

// wait waits until an entry is durable and pinned.
func (d *Domain) wait(ctx context.Context, h auditlog.Handle) error {
	if err := h.Wait(ctx); err != nil {
		d.broken = problem.Wrap(problem.Stopped, err, "the log has failed; open the domain again")
		return d.broken
	}
	return nil
}

// storedForm is how an own body lies in the store.
func storedForm(ids *domainkeys.Identity, l entry.Leaf, salt [entry.SaltSize]byte, body []byte) ([]byte, error) {
	if l.Bodies[0].Class == entry.Public {
		return append(salt[:], body...), nil
	}
	return ids.SealBody(readkey.Period(l.Time), l.Seq, ownBody, salt, body)
}

// logEntries tells the log how to read leaves and bodies.
func logEntries(ids *domainkeys.Identity) auditlog.Entries {
	return auditlog.Entries{PrevOf: entry.PrevOf, CheckBodies: func(leaf []byte, bodies [][]byte) error {
		_, err := openOwn(ids, auditlog.Record{Leaf: leaf, Bodies: bodies})
		return err
	}}
}

// owned is an own entry that was read: with its first body, or with what stands for one that is nowhere any more.
type owned struct {
	leaf entry.Leaf
	rec  pure.Record // without salt and body where these are nowhere any more
	body any
}

// openOwn opens an own entry.
func openOwn(ids *domainkeys.Identity, r auditlog.Record) (owned, error) {
	l, salt, raw, err := openRecord(ids, r, ownBody)
	if err != nil {
		if told := openTold(ids, l, r); told != nil {
			return owned{l, pure.Record{Leaf: r.Leaf}, told}, nil
		}
		return owned{}, err
	}
	b, err := pure.DecodeBody(l.Kind, l.KindVersion, raw)
	return owned{l, pure.Record{Leaf: r.Leaf, Salt: slices.Clone(salt[:]), Body: raw}, b}, err
}

// openTold opens what stands for a body that the online domain gave back no more; nil if there is no such thing.
func openTold(ids *domainkeys.Identity, l entry.Leaf, r auditlog.Record) *pure.Told {
	if len(r.Bodies) != 1 || len(l.Bodies) != 1 || !authority.OfflineUnread(l.Kind) || l.Bodies[0].Class == entry.Public {
		return nil
	}
	_, raw, err := ids.OpenBody(readkey.Period(l.Time), l.Seq, toldBody, r.Bodies[0])
	if err != nil {
		return nil
	}
	var out pure.Told
	if canon.Decode(raw, &out) != nil || out.Kind != l.Kind {
		return nil
	}
	return &out
}

// storeTold is how what stands for a body lies in the store: sealed under an index of its own, so that it is never taken for the body itself.
func storeTold(ids *domainkeys.Identity, l entry.Leaf, t *pure.Told) ([]byte, error) {
	return ids.SealBody(readkey.Period(l.Time), l.Seq, toldBody, ids.Salt(l.Seq, toldBody), canon.Encode(t))
}

// openRecord decodes a stored entry and opens its first body: an own one, which may be public, or one of the authority, which never is here.
func openRecord(ids *domainkeys.Identity, r auditlog.Record, index uint32) (l entry.Leaf, salt [entry.SaltSize]byte, body []byte, err error) {
	if l, err = entry.DecodeLeaf(r.Leaf); err != nil {
		return l, salt, nil, err
	}
	if len(r.Bodies) != 1 || len(l.Bodies) == 0 || index == ownBody && len(l.Bodies) != 1 {
		return l, salt, nil, fmt.Errorf("entry %d has %d bodies; its leaf names %d", l.Seq, len(r.Bodies), len(l.Bodies))
	}
	stored := r.Bodies[0]
	if index == ownBody && l.Bodies[0].Class == entry.Public {
		if len(stored) < entry.SaltSize {
			return l, salt, nil, fmt.Errorf("entry %d: its body is shorter than its salt", l.Seq)
		}
		salt, body = [entry.SaltSize]byte(stored), stored[entry.SaltSize:]
	} else if salt, body, err = ids.OpenBody(readkey.Period(l.Time), l.Seq, index, stored); err != nil {
		return l, salt, nil, fmt.Errorf("entry %d: %w", l.Seq, err)
	}
	return l, salt, body, entry.CheckBody(l.Bodies[0], salt, body)
}

// records gives own entries [from, end) as they are carried. A body that is nowhere any more is left out: nothing follows from it there.
func (d *Domain) records(ctx context.Context, from, end uint64) ([]pure.Record, error) {
	var out []pure.Record
	for from < end {
		recs, err := d.cfg.Store.Read(ctx, from, int(min(end-from, chunk)))
		if err != nil {
			return nil, err
		}
		if len(recs) == 0 {
			return nil, fmt.Errorf("entry %d is not in the store", from)
		}
		for _, r := range recs {
			e, err := openOwn(d.ids, r)
			if err != nil {
				return nil, err
			}
			out = append(out, e.rec)
		}
		from += uint64(len(recs))
	}
	return out, nil
}
