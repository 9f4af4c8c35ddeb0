// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"strongroom/internal/core/securedomain"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// Run opens the domain and serves its door on a Unix socket until ctx ends or the domain fails. ready, if not nil, is called once
// the door is open.
func Run(ctx context.Context, o Options, socket string, uids []uint32, ready func()) error {
	tuneCollector()
	p, err := build(ctx, o, false)
	if err != nil {
		return err
	}
	d, err := openDomain(ctx, o, p)
	if err != nil {
		return errors.Join(err, p.close())
	}
	watched, stop := p.health.watch(ctx, o.RecheckEvery)
	err = serve(watched, d, o, socket, uids, ready)
	stop()
	return errors.Join(err, d.Close(), p.close())
}

func serve(ctx context.Context, d *securedomain.Domain, o Options, socket string, uids []uint32, ready func()) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ln, err := gate.Listen(socket)
	if err != nil {
		return err
	}
	mux := gate.NewMux()
	d.Serve(mux)
	if len(uids) == 0 {
		uids = []uint32{uint32(os.Geteuid())}
	}
	srv, err := gate.NewServer(gate.Config{Handle: mux.Dispatch, AllowedUIDs: uids, Log: o.Log, Waits: []string{message.MethodFeed}, OnPanic: func(i gate.Incident) {
		cancel(fmt.Errorf("a handler panicked (incident %s): the state may be half changed, the core ends", i))
	}})
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	stop := context.AfterFunc(ctx, d.EndWaits)
	defer stop()
	go func() { // ends with ctx
		select {
		case <-d.Failed():
			cancel(fmt.Errorf("the domain failed: %w", d.Cause()))
		case <-ctx.Done():
		}
	}()
	s := d.Status()
	o.Log.InfoContext(ctx, "core is open", slog.String("domain", s.Domain.String()), slog.String("profile", string(s.Profile)),
		slog.Uint64("entries", s.Size), slog.String("socket", socket), slog.Bool("memory_locked", s.MemoryLocked))
	if ready != nil {
		ready()
	}
	err = srv.Serve(ctx, ln)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return errors.Join(cause, err)
	}
	return err
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
	if err == nil {
		g, err = securedomain.Prepare(ctx, securedomain.Preparation{Arena: p.cfg.Arena, Root: p.cfg.Root, Profile: profile, Document: document,
			RootKind: cmp.Or(o.Root, RootSoft), AnchorKind: cmp.Or(o.Anchor, AnchorFile)})
	}
	if err == nil {
		err = os.WriteFile(out, canon.Encode(g), 0o600)
	}
	return errors.Join(err, p.close())
}

// Create makes the domain from a genesis that every first person signed.
func Create(ctx context.Context, o Options, genesisFile string) (custody.DomainID, error) {
	b, err := os.ReadFile(genesisFile)
	if err != nil {
		return custody.DomainID{}, fmt.Errorf("read genesis: %w", err)
	}
	var g entry.Genesis
	if err := canon.Decode(b, &g); err != nil {
		return custody.DomainID{}, fmt.Errorf("genesis: %w", err)
	}
	p, err := build(ctx, o, false)
	if err != nil {
		return custody.DomainID{}, err
	}
	if err := errors.Join(refuseUnlocked(g.Profile, p.lockErr), o.refuseKinds(g.Root, g.Anchor)); err != nil {
		return custody.DomainID{}, errors.Join(err, p.close())
	}
	d, err := securedomain.Create(ctx, p.cfg, g)
	if err != nil {
		return custody.DomainID{}, errors.Join(err, p.close())
	}
	id := d.ID()
	return id, errors.Join(d.Close(), p.close())
}
