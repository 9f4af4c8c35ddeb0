// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
)

// Era is an incarnation of a log: which one, and the entry that began it. The zero Era is the first, which began with genesis.
type Era struct {
	Incarnation uint64
	Since       uint64   // entry; 0: genesis
	Leaf        [32]byte // its leaf hash; zero in the first incarnation
}

// EraOf reads which incarnation the pin of a local anchor is of, and the re-anchor document that began it, nil in the first. Nothing of it is trusted:
// [Open] verifies the pin under that incarnation's origin, and compares what the log's fold says.
func EraOf(ctx context.Context, local auditlog.Anchor, store auditlog.Store) (Era, *entry.Reanchor, error) {
	p, err := local.Read(ctx)
	if errors.Is(err, auditlog.ErrNoPin) {
		return Era{}, nil, nil
	}
	if err != nil {
		return Era{}, nil, err
	}
	origin, _, _ := bytes.Cut(p.Checkpoint, []byte("\n"))
	_, k, err := entry.ParseOrigin(string(origin))
	switch {
	case err != nil:
		return Era{}, nil, fmt.Errorf("pin: %w", err)
	case (k == 1) != (p.Since == 0):
		return Era{}, nil, fmt.Errorf("pin: incarnation %d of the log can't have begun with entry %d", k, p.Since)
	case k == 1:
		return Era{}, nil, nil
	}
	recs, err := store.Read(ctx, p.Since, 1)
	if err != nil {
		return Era{}, nil, fmt.Errorf("read the entry that began incarnation %d: %w", k, err)
	}
	if len(recs) == 0 {
		return Era{}, nil, behind(ctx, store, p)
	}
	doc, err := clearReanchor(recs[0])
	if err != nil {
		return Era{}, nil, &auditlog.CorruptError{Seq: p.Since, Where: store.Where(p.Since), Reason: fmt.Sprintf("it did not begin incarnation %d of the log", k), Err: err}
	}
	return Era{Incarnation: k, Since: p.Since, Leaf: entry.Hash(recs[0].Leaf)}, doc, nil
}

// behind names both heads.
func behind(ctx context.Context, store auditlog.Store, p auditlog.Pin) error {
	size, _, err := store.Head(ctx)
	if err != nil {
		return err
	}
	tree, err := tlog.UnmarshalFrontier(p.Frontier)
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	return &auditlog.BehindError{Have: size, Pinned: tree.Size(), Where: store.Where(size)}
}

// clearReanchor reads the document of a reanchor entry, whose body is public.
func clearReanchor(r auditlog.Record) (*entry.Reanchor, error) {
	l, err := entry.DecodeLeaf(r.Leaf)
	if err != nil {
		return nil, err
	}
	if l.Kind != entry.KindReanchor || len(l.Bodies) != 1 || len(r.Bodies) != 1 || l.Bodies[0].Class != entry.Public || len(r.Bodies[0]) < entry.SaltSize {
		return nil, fmt.Errorf("it is of kind %q", l.Kind)
	}
	body := r.Bodies[0]
	if err := entry.CheckBody(l.Bodies[0], [entry.SaltSize]byte(body), body[entry.SaltSize:]); err != nil {
		return nil, err
	}
	var doc entry.Reanchor
	return &doc, canon.Decode(body[entry.SaltSize:], &doc)
}

// is says whether a log's fold is of this era.
func (e Era) is(s *authority.State) error {
	if a := s.Anchoring(); a.Incarnation != max(e.Incarnation, 1) || a.Since != e.Since || a.Leaf != e.Leaf {
		return fmt.Errorf("the log is of incarnation %d, which began with entry %d, and its pin of incarnation %d, with entry %d", a.Incarnation, a.Since, max(e.Incarnation, 1), e.Since)
	}
	return nil
}

// openOwn opens a checkpoint that a domain's log key signed, of any incarnation, with extension lines or not.
func openOwn(signed []byte, d custody.DomainID, logKey []byte) (tlog.Checkpoint, uint64, error) {
	origin, _, _ := bytes.Cut(signed, []byte("\n"))
	id, k, err := entry.ParseOrigin(string(origin))
	if err != nil {
		return tlog.Checkpoint{}, 0, err
	}
	if id != d {
		return tlog.Checkpoint{}, 0, fmt.Errorf("it is of domain %s, not of %s", id, d)
	}
	key, err := tlog.NewKey(string(origin), logKey)
	if err != nil {
		return tlog.Checkpoint{}, 0, err
	}
	c, _, err := tlog.OpenExtended(signed, key)
	return c, k, err
}
