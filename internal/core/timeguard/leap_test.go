// SPDX-License-Identifier: Apache-2.0

package timeguard

import (
	"testing"
	"time"
)

// TestGuardLeap: around an announced end of a day nothing is certain, whether or not the second comes, and after it the time is right.
func TestGuardLeap(t *testing.T) {
	t.Parallel()
	for name, leap := range map[string]int64{"inserted": 1, "deleted": -1, "did not come": 0} {
		w := newWorld(3)
		w.utc = noon + day - 10*second
		for _, s := range w.sources[:2] {
			s.leap = true
		}
		g := w.guard(t)
		g.round(t.Context())
		w.certain(t, g)
		w.pass(8 * time.Second)
		w.certain(t, g)
		w.pass(time.Second) // 23:59:59
		uncertain(t, g, "leap second was announced for 2026-09-22T00:00:00Z")
		g.round(t.Context())
		uncertain(t, g, "leap second")
		w.pass(time.Second) // 23:59:60 or midnight
		w.utc -= leap * second
		for _, s := range w.sources {
			s.leap = false
		}
		g.round(t.Context())
		uncertain(t, g, "leap second")
		w.pass(time.Second)
		uncertain(t, g, "leap second")
		g.round(t.Context())
		uncertain(t, g, "leap second")
		w.pass(3 * time.Second)
		uncertain(t, g, "leap second") // until the sources are asked
		g.round(t.Context())
		if r := w.certain(t, g); len(r.Sources) != 3 {
			t.Errorf("%s: the time rests on %v", name, r.Sources)
		}
		w.pass(12 * time.Minute)
		w.certain(t, g)
	}
}

// TestGuardLeapWithdrawn: an announcement stands until the day is over.
func TestGuardLeapWithdrawn(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.utc = noon + day - 60*second
	for _, s := range w.sources {
		s.leap = true
	}
	g := w.guard(t)
	g.round(t.Context())
	for _, s := range w.sources {
		s.leap = false
	}
	w.pass(30 * time.Second)
	g.round(t.Context())
	w.certain(t, g)
	w.pass(30 * time.Second)
	uncertain(t, g, "leap second")
	w.pass(3 * time.Second)
	g.round(t.Context())
	w.certain(t, g)
	w.pass(60 * time.Second)
	g.round(t.Context())
	w.certain(t, g)
}

// TestGuardLeapLate: who is not asked over midnight notices all the same.
func TestGuardLeapLate(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.utc = noon + day - 10*second
	for _, s := range w.sources {
		s.leap = true
	}
	g := w.guard(t)
	g.round(t.Context())
	w.pass(10 * time.Minute)
	w.utc -= second
	uncertain(t, g, "leap second")
	g.round(t.Context())
	w.certain(t, g)
}

// TestGuardLeapLiar: one source alone announces nothing.
func TestGuardLeapLiar(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	w.utc = noon + day - 10*second
	w.sources[0].leap = true
	g := w.guard(t)
	g.round(t.Context())
	for range 30 {
		w.pass(time.Second)
		w.certain(t, g)
	}
}

// TestGuardLeapUnannounced: a second that nobody announced is a contradiction, which is noticed and settled.
func TestGuardLeapUnannounced(t *testing.T) {
	t.Parallel()
	w := newWorld(3)
	g := w.guard(t)
	g.round(t.Context())
	w.utc -= second
	g.round(t.Context())
	uncertain(t, g, "the time sources say -1s")
	g.round(t.Context())
	w.certain(t, g)
}
