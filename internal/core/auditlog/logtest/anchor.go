// SPDX-License-Identifier: Apache-2.0

package logtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"strongroom/internal/core/auditlog"
)

// RunAnchor checks an anchor against the contract of [auditlog.Anchor]. fresh makes an anchor without a pin and gives a function that
// opens it: each call is another handle, as of another process.
func RunAnchor(t *testing.T, fresh func(t *testing.T) (open func() (auditlog.Anchor, error))) {
	for _, c := range []anchorCase{
		{"pin and read", testPin}, {"moved", testMoved}, {"claim", testClaim}, {"cancelled", testPinCancelled}, {"limits", testPinLimits}, {"race", testPinRace},
	} {
		c.on(t, pinOf, fresh)
	}
}

// RunGrowingAnchor is RunAnchor for an anchor that takes only the pins of one log, each of which extends the one before. pin gives the pin
// number i, from 0 on; a later one has a greater number.
func RunGrowingAnchor(t *testing.T, pin func(i int) auditlog.Pin, fresh func(t *testing.T) (open func() (auditlog.Anchor, error))) {
	for _, c := range []anchorCase{{"pin and read", testPin}, {"moved", testMoved}, {"claim", testClaim}, {"cancelled", testPinCancelled}} {
		c.on(t, pin, fresh)
	}
}

// anchorCase is a part of the suite.
type anchorCase struct {
	name string
	run  func(*testing.T, pins, func() auditlog.Anchor)
}

// pins gives pins by number.
type pins func(i int) auditlog.Pin

func (c anchorCase) on(t *testing.T, pin pins, fresh func(t *testing.T) (open func() (auditlog.Anchor, error))) {
	t.Run(c.name, func(t *testing.T) {
		t.Parallel()
		open := fresh(t)
		c.run(t, pin, func() auditlog.Anchor {
			a, err := open()
			if err != nil {
				t.Fatalf("open: %v", err)
			}
			return a
		})
	})
}

func pinOf(i int) auditlog.Pin {
	return auditlog.Pin{Checkpoint: fmt.Appendf(nil, "checkpoint %d", i), Frontier: bytes.Repeat([]byte{byte(i)}, i%50)}
}

func wantPin(t *testing.T, a auditlog.Anchor, want auditlog.Pin) {
	t.Helper()
	got, err := a.Read(t.Context())
	must(t, err)
	if !bytes.Equal(got.Checkpoint, want.Checkpoint) || !bytes.Equal(got.Frontier, want.Frontier) {
		t.Fatalf("pin is %q, want %q", got.Checkpoint, want.Checkpoint)
	}
}

func testPin(t *testing.T, pinOf pins, open func() auditlog.Anchor) {
	a := open()
	_, err := a.Read(t.Context())
	wantErr(t, err, auditlog.ErrNoPin)
	for i := range 20 {
		must(t, a.Pin(t.Context(), pinOf(i)))
		wantPin(t, a, pinOf(i))
		wantPin(t, open(), pinOf(i))
	}
}

func testMoved(t *testing.T, pinOf pins, open func() auditlog.Anchor) {
	a, b := open(), open()
	_, err := b.Read(t.Context())
	wantErr(t, err, auditlog.ErrNoPin)
	must(t, a.Pin(t.Context(), pinOf(1)))
	wantErr(t, b.Pin(t.Context(), pinOf(2)), auditlog.ErrPinMoved)
	wantPin(t, b, pinOf(1))
	must(t, b.Pin(t.Context(), pinOf(3)))
	for range 2 { // a refusal does not open the way
		wantErr(t, a.Pin(t.Context(), pinOf(4)), auditlog.ErrPinMoved)
	}
	wantPin(t, open(), pinOf(3))
}

func testClaim(t *testing.T, pinOf pins, open func() auditlog.Anchor) {
	a := open()
	must(t, a.Pin(t.Context(), pinOf(1)))
	b := open()
	wantPin(t, b, pinOf(1))
	must(t, b.Pin(t.Context(), pinOf(1)))
	wantErr(t, a.Pin(t.Context(), pinOf(2)), auditlog.ErrPinMoved)
	must(t, b.Pin(t.Context(), pinOf(3)))
	wantPin(t, open(), pinOf(3))
}

func testPinLimits(t *testing.T, pinOf pins, open func() auditlog.Anchor) {
	a := open()
	large := auditlog.Pin{Checkpoint: bytes.Repeat([]byte{'c'}, auditlog.MaxPin-100), Frontier: bytes.Repeat([]byte{'f'}, 100)}
	must(t, a.Pin(t.Context(), large))
	wantPin(t, a, large)
	if a.Pin(t.Context(), auditlog.Pin{Checkpoint: make([]byte, auditlog.MaxPin+1)}) == nil {
		t.Fatal("a pin over the limit was accepted")
	}
	must(t, a.Pin(t.Context(), pinOf(1))) // refusals are no failures
}

func testPinCancelled(t *testing.T, pinOf pins, open func() auditlog.Anchor) {
	a := open()
	must(t, a.Pin(t.Context(), pinOf(1)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, a.Pin(ctx, pinOf(2)), context.Canceled)
	_, err := a.Read(ctx)
	wantErr(t, err, context.Canceled)
	wantPin(t, a, pinOf(1))
	must(t, a.Pin(t.Context(), pinOf(2))) // refusals are no failures
}

// Every pin replaces the one that its writer had read: the winners form one chain.
func testPinRace(t *testing.T, pinOf pins, open func() auditlog.Anchor) {
	must(t, open().Pin(t.Context(), pinOf(0)))
	var mu sync.Mutex
	next := map[string]string{}
	var wg sync.WaitGroup
	for i := range 4 {
		a := open()
		wg.Go(func() {
			for j := range 25 {
				old, err := a.Read(t.Context())
				if err != nil {
					t.Errorf("read: %v", err)
					return
				}
				p := pinOf(1 + 100*i + j)
				err = a.Pin(t.Context(), p)
				if errors.Is(err, auditlog.ErrPinMoved) {
					continue
				}
				if err != nil {
					t.Errorf("pin: %v", err)
					return
				}
				mu.Lock()
				if other, taken := next[string(old.Checkpoint)]; taken {
					t.Errorf("%q was replaced twice, by %q and %q", old.Checkpoint, other, p.Checkpoint)
				}
				next[string(old.Checkpoint)] = string(p.Checkpoint)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	at := string(pinOf(0).Checkpoint)
	for range next {
		at = next[at]
	}
	last, err := open().Read(t.Context())
	must(t, err)
	if string(last.Checkpoint) != at {
		t.Fatalf("the last pin is %q, the chain ends at %q", last.Checkpoint, at)
	}
}
