// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
)

// SetBackError says that the online domain knows more of this domain's log than is here, or knows it otherwise: this machine was restored from an
// old backup or disk. Nothing is signed until the entries are back.
type SetBackError struct {
	Have  uint64 // entries that are here
	Known uint64 // entries that the online domain knows
}

func (e *SetBackError) Error() string {
	if e.Known > e.Have {
		return fmt.Sprintf("the online domain knows %d entries of this domain's log, which has %d: this machine was set back; restore a newer backup, or the one that there is with 'strongroom cold restore --bundle'", e.Known, e.Have)
	}
	return fmt.Sprintf("the online domain knows another entry %d of this domain's log: this machine was set back, and went on; restore a newer backup, or the one that there is with 'strongroom cold restore --bundle'", e.Known-1)
}

// ownEntry says whether the own log has an entry, the last of a size, with a leaf hash: where others know it otherwise, this machine was set
// back ([*SetBackError]).
func (d *Domain) ownEntry(ctx context.Context, size uint64, leaf [32]byte) error {
	if size > d.state.Next {
		return &SetBackError{Have: d.state.Next, Known: size}
	}
	recs, err := d.cfg.Store.Read(ctx, size-1, 1)
	if err != nil || len(recs) == 0 {
		return errors.Join(err, fmt.Errorf("read own entry %d", size-1))
	}
	if entry.Hash(recs[0].Leaf) != leaf {
		return &SetBackError{Have: d.state.Next, Known: size}
	}
	return nil
}

// noteSetBack records that the online domain knows more of the own log than is here, once: the next status says so. Only a log that shows it
// counts, which has this domain's own signature; not what a head says.
func (w *work) noteSetBack(ctx context.Context, why error) error {
	back, ok := errors.AsType[*SetBackError](why)
	if !ok || errors.Is(w.unlike, back) || w.state.Behind() != nil {
		return nil
	}
	return w.record(ctx, w.guess(), &pure.Refusal{Kind: problem.Conflict, Detail: back.Error(), Bundle: w.hash})
}
