// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/gate"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// settleTime is how long the core waits at its end for what was handed to the log: log witnesses are reached through the door, which closes
// then.
const settleTime = 3 * time.Second

// Run serves the door on a Unix socket, first with a relay alone, opens the domain, and serves it until ctx ends or the domain fails. ready,
// if not nil, is called once the domain is open.
func Run(ctx context.Context, o Options, socket string, uids []uint32, ready func()) error {
	tuneCollector()
	if o.Log != nil {
		o.counts = newCounts(time.Now())
		o.Log = o.counts.lines.Logger(o.Log)
	}
	if o.AwaitGenesis {
		outer, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		at, err := o.imprint(outer, socket, uids, cancel)
		if cause := context.Cause(outer); err != nil || cause != nil {
			return errors.Join(err, at.closeIf(), unlessTold(ctx, cause))
		}
		ctx, o.porch = outer, at
	}
	p, err := build(ctx, o, false)
	if err != nil {
		return errors.Join(err, o.porch.closeIf())
	}
	if err = errors.Join(p.tamperedBefore(ctx, o), p.guardTime(ctx, o)); err == nil {
		// Asked again of the domain itself; here, so that nobody waits for log witnesses before it is said.
		err = errors.Join(refuseUnlocked(p.profile, p.lockErr), refuseSystemClock(p.profile, p.time))
	}
	if err == nil {
		watched, stop := p.health.watch(ctx, o.RecheckEvery)
		err = p.run(watched, o, socket, uids, ready)
		stop()
	} else if o.porch != nil {
		err = errors.Join(err, o.porch.server.close())
	}
	return errors.Join(err, p.close())
}

func (p *parts) run(ctx context.Context, o Options, socket string, uids []uint32, ready func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	h, srv, err := p.openDoor(ctx, o, socket, uids, cancel)
	if err != nil {
		return err
	}
	p.cfg.Waits = p.pins
	opening, opened := context.WithCancel(ctx)
	go p.watchOpening(opening, o, cancel) // ends with opening
	var d *securedomain.Domain
	if err = p.awaitTime(ctx, o); err == nil {
		d, err = openDomain(ctx, o, p)
		for n := 0; o.porch != nil && errors.Is(err, auditlog.ErrInUse) && n < creationEnds && rest(ctx, genesisEvery); n++ {
			d, err = openDomain(ctx, o, p) // who made the domain was not done with it
		}
	}
	opened()
	if err == nil {
		err = p.serve(ctx, cancel, d, h, o, socket, ready)
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = errors.Join(cause, err)
	} else if d == nil && ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // told to stop before the domain was open
	}
	if d != nil {
		err = errors.Join(err, distrusts(d, context.Cause(ctx))) // while the door still carries messages to log witnesses
	}
	err = errors.Join(err, p.endPins(), srv.close())
	if d != nil {
		err = errors.Join(err, d.Close())
	}
	return err
}

// openDoor begins to serve the door, or goes on with one that was opened before.
func (p *parts) openDoor(ctx context.Context, o Options, socket string, uids []uint32, end func(error)) (*house, *server, error) {
	if at := o.porch; at != nil {
		at.house.await("", p.waits)
		return at.house, at.server, nil
	}
	ln, uids, err := listenAt(socket, uids)
	if err != nil {
		return nil, nil, inUse(err)
	}
	h := newHouse(p.relay, "", p.waits, o.counts)
	srv, err := serveDoor(ctx, h, ln, uids, o.Log, end)
	if err != nil {
		return nil, nil, errors.Join(err, ln.Close())
	}
	return h, srv, nil
}

// inUse says in words that another core has the socket.
func inUse(err error) error {
	if errors.Is(err, gate.ErrInUse) {
		return fmt.Errorf("a core already runs on this domain: %w, or take over from it with --take-over and another socket", err)
	}
	return err
}

// waits says what the domain's opening waits for.
func (p *parts) waits() string {
	if p.witness != nil {
		if s := p.witness.State(); s != "" {
			if !p.relay.Carried() {
				return s + "; no serve carries messages"
			}
			return s
		}
	}
	if p.time != nil {
		if r := p.time.guard.Now(); !r.Certain {
			return "the time is not certain: " + r.Why
		}
	}
	return "the log is read"
}

// pins says which log witnesses the pin that is being made waits for, if any.
func (p *parts) pins() string {
	if p.witness == nil {
		return ""
	}
	return p.witness.State()
}

// endPins gives up pins that no witness can be reached for any more.
func (p *parts) endPins() error {
	if p.witness == nil {
		return nil
	}
	return p.witness.Close()
}

// serve serves an open domain until ctx ends or the domain fails.
func (p *parts) serve(ctx context.Context, cancel context.CancelCauseFunc, d *securedomain.Domain, h *house, o Options, socket string, ready func()) error {
	h.opened(d)
	go watchTamper(ctx, o, d) // ends with ctx
	s := d.Status()
	o.Log.InfoContext(ctx, "core is open", slog.String("domain", s.Domain.String()), slog.String("profile", string(s.Profile)),
		slog.Uint64("entries", s.Size), slog.String("socket", socket), slog.Bool("memory_locked", s.MemoryLocked))
	if ready != nil {
		ready()
	}
	select {
	case <-d.Failed():
		cancel(fmt.Errorf("the domain failed: %w", d.Cause()))
	case <-ctx.Done():
	}
	d.EndWaits()
	if p.witness == nil {
		return nil
	}
	settle, stop := context.WithTimeout(context.WithoutCancel(ctx), settleTime)
	defer stop()
	if err := d.Settle(settle); err != nil {
		o.Log.WarnContext(ctx, "the last entries were not cosigned before the end; the next start finishes them", slog.Any("error", err))
	}
	return nil
}

// Prepare makes the keys of a new domain and writes the unsigned genesis to a file, which every first person then signs.
func Prepare(ctx context.Context, o Options, profile custody.Profile, documentFile, out string) error {
	document, err := os.ReadFile(documentFile)
	if err != nil {
		return fmt.Errorf("read the rule document: %w", err)
	}
	p, err := build(ctx, o, true)
	if err != nil {
		return err
	}
	err = refuseUnlocked(profile, p.lockErr)
	var g entry.Genesis
	kind := ""
	if err == nil {
		kind, err = o.anchorKind()
	}
	if err == nil {
		g, err = securedomain.Prepare(ctx, securedomain.Preparation{Arena: p.cfg.Arena, Root: p.cfg.Root, Profile: profile, Document: document,
			RootKind: cmp.Or(o.Root, RootSoft), AnchorKind: kind, Fill: p.health.entropy.Fill})
	}
	if err == nil {
		err = o.name(&g)
	}
	if err == nil {
		err = os.WriteFile(out, canon.Encode(g), 0o600)
	}
	return errors.Join(err, p.close())
}
