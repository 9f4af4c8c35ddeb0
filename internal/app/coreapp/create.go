// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"strongroom/internal/core/securedomain"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

// createWait is how long the making of a domain waits for its time sources.
const createWait = time.Minute

// Created says what was made.
type Created struct {
	Domain custody.DomainID
	Clock  string // in words: whose time the first entry carries
}

// Create makes the domain from a genesis that every first person signed. Where the options name time sources, the first entry carries their
// time: what carries messages to them connects to a door on the Unix socket, which has the relay and nothing else, and closes when the domain
// is made. Without sources there is no door, and the entry carries the machine's time.
func Create(ctx context.Context, o Options, genesisFile, socket string, uids []uint32) (Created, error) {
	b, err := os.ReadFile(genesisFile)
	if err != nil {
		return Created{}, fmt.Errorf("read genesis: %w", err)
	}
	var g entry.Genesis
	if err := canon.Decode(b, &g); err != nil {
		return Created{}, fmt.Errorf("genesis: %w", err)
	}
	if o.Anchor = cmp.Or(o.Anchor, g.Anchor); o.Anchor != g.Anchor {
		return Created{}, fmt.Errorf("the genesis was prepared for the anchor %q; make the domain with --anchor %s, or prepare it again", g.Anchor, g.Anchor)
	}
	if (o.TimeSources != "") != (socket != "") {
		return Created{}, errors.New("--time-sources and --socket go together here: what carries messages to the sources connects to the socket")
	}
	p, err := build(ctx, o, false)
	if err != nil {
		return Created{}, err
	}
	if err = errors.Join(refuseUnlocked(g.Profile, p.lockErr), o.refuseRoot(g.Root), p.guardTime(ctx, o)); err != nil {
		return Created{}, errors.Join(err, p.close())
	}
	var made Created
	err = p.withTime(ctx, o, socket, uids, func(ctx context.Context) error {
		d, err := securedomain.Create(ctx, p.cfg, g)
		if err != nil {
			return err
		}
		made = Created{d.ID(), clockWords(d.Status())}
		return d.Close()
	})
	return made, errors.Join(err, p.close())
}

// withTime calls f when the time is certain. With time sources there is a door meanwhile.
func (p *parts) withTime(ctx context.Context, o Options, socket string, uids []uint32, f func(context.Context) error) error {
	if p.time == nil {
		return f(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ln, uids, err := listenAt(socket, uids)
	if err != nil {
		return err
	}
	srv, err := serveDoor(ctx, newHouse(p.relay, "", p.waits, o.counts), ln, uids, o.Log, cancel)
	if err != nil {
		return errors.Join(err, ln.Close())
	}
	p.time.run(ctx)
	limited, stop := context.WithTimeout(ctx, createWait)
	err = p.time.guard.Wait(limited)
	stop()
	if err == nil {
		err = f(ctx)
	}
	return errors.Join(err, srv.close())
}

// clockWords says which clock a domain has.
func clockWords(s message.Status) string {
	bound := time.Duration(s.Bound).Round(time.Millisecond)
	if s.Clock == message.ClockAuthenticated {
		return fmt.Sprintf("the sources %s, authenticated, within %s", strings.Join(s.TimeSources, ", "), bound)
	}
	return fmt.Sprintf("the machine's own clock, taken as right within %s; nobody authenticated it", bound)
}
