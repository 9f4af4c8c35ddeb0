// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"log/slog"
	"time"

	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
)

// endReanchoring writes the gap entry of a re-anchoring once its time-lock has surely passed, and waits until it is pinned. later is when to look again; 0
// means never.
func (d *Domain) endReanchoring(ctx context.Context) (later time.Duration, err error) {
	rec, later, err := d.recordGap()
	if rec == nil || err != nil {
		return later, err
	}
	if err := rec.handle.Wait(ctx); err != nil {
		return 0, err
	}
	d.slog.WarnContext(ctx, "the re-anchoring is over", slog.Uint64("entry", rec.seq))
	return 0, nil
}

// recordGap writes the entry, if it is due.
func (d *Domain) recordGap() (*recorded, time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.state.Anchoring().Pending
	if p == nil || p.Cancelled || d.Cause() != nil {
		return nil, 0, nil
	}
	at, err := d.now() // the lock is as good as the clock: an uncertain one opens nothing
	if problem.KindOf(err) == problem.TimeUncertain {
		return nil, retryLife, nil
	}
	if err != nil {
		return nil, 0, err
	}
	g := d.state.DueGap(at)
	if g == nil {
		return nil, min(retryLife, time.Duration(p.Until-(at.Time-at.Bound))+time.Millisecond), nil
	}
	rec, err := d.record(at, entry.KindGap, entry.Public, g)
	if err != nil {
		return nil, 0, err
	}
	clear(d.lacks) // what they lacked was the end of this
	d.setSwitches()
	d.dropSessions()
	d.confineAll()
	d.forget("the log was re-anchored")
	return &rec, 0, nil
}
