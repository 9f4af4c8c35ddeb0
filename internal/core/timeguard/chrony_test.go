// SPDX-License-Identifier: Apache-2.0

package timeguard_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/timeguard"
	"strongroom/internal/core/timeguard/ntp"
	"strongroom/internal/core/timeguard/nts"
	"strongroom/internal/core/timeguard/timetest"
	"strongroom/internal/secret"
)

// lab is real servers and sources that ask them.
type lab struct {
	net     *timetest.Net
	ca      *timetest.Authority
	arena   *secret.Arena
	servers []*timetest.Server
	sources []timeguard.Source
}

func newLab(t *testing.T) *lab {
	return &lab{net: &timetest.Net{UDP: map[string]string{}, TCP: map[string]string{}}, ca: timetest.NewAuthority(t), arena: timetest.Arena(t)}
}

// add starts a server that is wrong by off, and a source for it: with a key of that id, or with NTS for key 0.
func (l *lab) add(t *testing.T, off time.Duration, key uint32) {
	t.Helper()
	o := timetest.Options{Offset: off}
	if key == 0 {
		o.NTS = l.ca
	}
	s := timetest.Start(t, o)
	name := fmt.Sprint("s", len(l.servers))
	l.net.UDP[name], l.net.TCP[name] = s.NTP, s.KE
	var source timeguard.Source
	var err error
	if key == 0 {
		source, err = nts.New(nts.Config{Name: name, Target: name, ServerName: "localhost", Roots: l.ca.Pool(), Carrier: l.net, Dialer: l.net, Boot: timetest.Boot})
	} else {
		source, err = ntp.New(ntp.Config{Name: name, Target: name, Key: timetest.Key(t, l.arena, key), Carrier: l.net, Boot: timetest.Boot})
	}
	if err != nil {
		t.Fatal(err)
	}
	l.servers, l.sources = append(l.servers, s), append(l.sources, source)
}

// run starts a guard, and stops it when the test ends.
func (l *lab) run(t *testing.T, change ...func(*timeguard.GuardConfig)) *timeguard.Guard {
	t.Helper()
	cfg := timeguard.GuardConfig{Sources: l.sources, Poll: time.Second, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&cfg)
	}
	g, err := timeguard.NewGuard(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { g.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return g
}

// wait waits until the guard is certain or not, and gives the reading.
func wait(t *testing.T, g *timeguard.Guard, certain bool) timeguard.Reading {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if r := g.Now(); r.Certain == certain {
			return r
		}
		select {
		case <-ctx.Done():
			t.Fatalf("certain is still %t: %+v, %+v", !certain, g.Now(), g.Sources())
		case <-tick.C:
		}
	}
}

// TestGuardChrony: three sources of three ways to authenticate, and a false one of each size, each on a real server: the time is that of the
// true ones.
func TestGuardChrony(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for i, off := range []time.Duration{0, time.Second, 0, 10 * time.Second, 0, 1000 * time.Second, 0} {
		l.add(t, off, uint32(i)%3)
	}
	g := l.run(t)
	r := wait(t, g, true)
	if off := time.Duration(r.Time - timetest.WallAt(r.Boot)); off.Abs() > time.Duration(r.Bound)+20*time.Millisecond {
		t.Errorf("wrong by %v, bound %v", off, time.Duration(r.Bound))
	}
	if strings.Join(r.Sources, " ") != "s0 s2 s4 s6" {
		t.Errorf("the time rests on %v: %+v", r.Sources, g.Sources())
	}
}

// TestGuardChronyLiars: two false servers of three make the time uncertain.
func TestGuardChronyLiars(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	l.add(t, 0, 0)
	l.add(t, 10*time.Second, 1)
	l.add(t, 1000*time.Second, 0)
	g := l.run(t)
	for start := time.Now(); ; {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		err := g.Wait(ctx)
		cancel()
		if err == nil {
			t.Fatalf("it is certain: %+v", g.Now())
		}
		if strings.Contains(err.Error(), "no 2 of them agree") { // all three have answered
			return
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("got %v, %+v", err, g.Now())
		}
	}
}

// TestGuardChronyGone: when the servers stop the time becomes uncertain, and certain again when they are back.
func TestGuardChronyGone(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for key := range uint32(3) {
		l.add(t, 0, key)
	}
	g := l.run(t, func(c *timeguard.GuardConfig) { c.MaxAge, c.Timeout = 2*time.Second, 500*time.Millisecond })
	wait(t, g, true)
	l.servers[0].Stop(t)
	for _, s := range l.servers[1:] {
		s.Stop(t)
	}
	if r := wait(t, g, false); !strings.Contains(r.Why, "must agree") && !strings.Contains(r.Why, "last agreed") {
		t.Errorf("it is uncertain because %s", r.Why)
	}
	for _, s := range l.servers {
		s.Run(t)
	}
	wait(t, g, true)
}
