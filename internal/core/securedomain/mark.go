// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"log/slog"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/pure/problem"
)

// mark has the anchor mark an occasion, if it is one that marks. What it marks is durable and pinned already, so nobody calls it back; a mark that
// fails ends the domain, and is finished at the next start.
func (d *Domain) mark(ctx context.Context, why auditlog.Occasion) error {
	m, ok := d.cfg.Anchor.(auditlog.Marker)
	if !ok {
		return nil
	}
	done, err := m.Mark(context.WithoutCancel(ctx), why)
	if err != nil {
		d.fail(err)
		return problem.Wrap(problem.Stopped, err, "the anchor failed; the core is ending")
	}
	if !done {
		d.slog.WarnContext(ctx, "the anchor does not mark this: today's marks are used up", slog.String("occasion", string(why)))
	}
	return nil
}

// markDocument marks a change of the rule document that [Domain.effect] noted, once its entry is pinned.
func (d *Domain) markDocument(ctx context.Context) error {
	if !d.newDocument.Swap(false) {
		return nil
	}
	return d.mark(ctx, auditlog.MarkDocument)
}

// closeLog commits what is queued and closes the log, and marks a stop at which nothing had failed.
func (d *Domain) closeLog() error {
	failed := d.Cause() != nil
	if err := d.log.Close(); err != nil || failed {
		return err
	}
	return d.mark(d.ctx, auditlog.MarkStop)
}
