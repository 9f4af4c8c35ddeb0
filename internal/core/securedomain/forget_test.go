// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"strongroom/internal/core/keystore"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// open is a domain with one address's key open, and its account's.
type open struct {
	t      *testing.T
	h      *domaintest.Harness
	s      *service
	nonce  uint64
	before int // secrets alive before the key was opened
}

func newOpen(t *testing.T, o domaintest.Options) *open {
	x := &open{t: t, h: hotDomain(t, o)}
	x.s = opened(t, x.h)
	x.before = x.h.D.LiveSecrets()
	x.sign()
	x.want(1, 1)
	return x
}

// sign makes a transfer, which takes the key.
func (x *open) sign() {
	x.t.Helper()
	if err := x.try(); err != nil {
		x.t.Fatal(err)
	}
}

func (x *open) try() error {
	v, err := x.s.submit(pay(x.h, x.h.Service, domaintest.Whitelisted, 7), payload(x.t, domaintest.Whitelisted, 7, x.nonce, 10))
	if err == nil && v.Signed == nil {
		return errors.New("not signed: " + string(v.State))
	}
	if err == nil {
		x.nonce++
	}
	return err
}

// want requires so many open keys, each alive with its pad, and nothing else alive in the arena than before.
func (x *open) want(addresses, accounts int) {
	x.t.Helper()
	if a, n := x.h.D.Unsealed(); a != addresses || n != accounts {
		x.t.Errorf("%d addresses and %d accounts are unsealed, want %d and %d", a, n, addresses, accounts)
	}
	if got, want := x.h.D.LiveSecrets(), x.before+2*(addresses+accounts); got != want {
		x.t.Errorf("%d secrets are alive, want %d", got, want)
	}
	if got := x.h.D.Status().KeysUnlocked; got != uint64(addresses+accounts) {
		x.t.Errorf("status counts %d", got)
	}
}

// Any change of the rule document wipes the open keys, whatever it is about; they are back with the next signature.
func TestRuleChangeForgetsKeys(t *testing.T) {
	t.Parallel()
	x := newOpen(t, domaintest.Options{})
	for _, c := range []struct {
		op   request.Operation
		body any
	}{
		{request.WhitelistAdd, request.WhitelistAddBody{ID: "second", Chain: domaintest.Chain, Address: domaintest.Stranger}},
		{request.WhitelistRemove, request.WhitelistRemoveBody{ID: "second"}},
		{request.GroupSet, request.GroupSetBody{Group: "auditors", Members: []custody.PersonID{x.h.Carol.ID}}},
	} {
		govern(t, x.h, c.op, c.body)
		x.want(0, 0)
		x.sign()
		x.want(1, 1)
	}
	// What leaves the document as it is, keeps them.
	x.h.Wallet("other", domaintest.Chain, request.SchemeEVM)
	x.want(1, 1)
	x.h.Check()
}

// The seed of a wallet that was born without *cacheable* signs, and nothing of it is ever kept unsealed; not after a rotation either.
func TestSeedsThatAreNotKept(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{})
	h.D.BearSeeds(keystore.Derive | keystore.Local | keystore.NeverExtractable)
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	x := &open{t: t, h: h}
	x.s = opened(t, h)
	x.before = h.D.LiveSecrets()
	for range 3 {
		x.sign()
		x.want(0, 0)
	}
	for range 4 {
		if _, err := h.Step(); err != nil {
			t.Fatal(err)
		}
	}
	x.s = opened(t, h) // a change of the domain ends sessions
	x.before = h.D.LiveSecrets()
	x.sign()
	x.want(0, 0)
	x.h.Check()
}

// A session's end is the logout of its service, whether its time is over or its key is gone.
func TestSessionEndForgetsKeys(t *testing.T) {
	t.Parallel()
	t.Run("time", func(t *testing.T) {
		x := newOpen(t, domaintest.Options{})
		x.h.Clock.Wall.Add(int64(59 * time.Minute)) // not the time since boot, by which keys get idle
		x.h.D.TendOnce()
		x.want(1, 1)
		x.h.Clock.Wall.Add(int64(2 * time.Minute))
		x.h.D.TendOnce()
		x.before-- // the session's key is wiped too
		x.want(0, 0)
		if n := x.h.D.OpenSessionKeys(); n != 0 {
			t.Errorf("%d session keys are held", n)
		}
		x.s = opened(t, x.h)
		x.before++
		x.sign()
		x.want(1, 1)
	})
	t.Run("another session opens", func(t *testing.T) {
		x := newOpen(t, domaintest.Options{})
		x.h.Clock.Wall.Add(int64(2 * time.Hour))
		x.h.Wallet("later", domaintest.Chain, request.SchemeEVM) // an entry past the session's end
		x.want(1, 1)
		x.s = opened(t, x.h)
		x.want(0, 0)
	})
	t.Run("service revoked", func(t *testing.T) {
		x := newOpen(t, domaintest.Options{})
		govern(t, x.h, request.PersonRevoke, request.PersonRevokeBody{Person: x.h.Service.ID})
		x.before--
		x.want(0, 0)
	})
}

// A clock that is not certain wipes the keys: when something asks for the time, and by itself soon after.
func TestUncertainTimeForgetsKeys(t *testing.T) {
	t.Parallel()
	for name, notice := range map[string]func(x *open){
		"a request": func(x *open) { wantKind(x.t, "unsure", x.try(), problem.TimeUncertain) },
		"the timer": func(x *open) { x.h.D.TendOnce() },
		"both":      func(x *open) { x.h.D.TendOnce(); wantKind(x.t, "unsure", x.try(), problem.TimeUncertain) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newOpen(t, domaintest.Options{})
			x.h.Clock.Unsure.Store(true)
			notice(x)
			x.want(0, 0)
			x.h.Clock.Unsure.Store(false)
			x.sign()
			x.want(1, 1)
			x.h.Check()
		})
	}
	t.Run("behind the log", func(t *testing.T) {
		x := newOpen(t, domaintest.Options{})
		x.h.Clock.Wall.Add(-int64(time.Hour))
		wantKind(t, "an hour behind", x.try(), problem.TimeUncertain)
		x.want(0, 0)
	})
	t.Run("signing again", func(t *testing.T) { // needs no certain time, but the key that it needs is not opened in an uncertain one
		x := newOpen(t, domaintest.Options{})
		v := approvals(t, x.h, submitted(t, x.h, x.h.Alice, pay(x.h, x.h.Alice, domaintest.Whitelisted, 9)), x.h.Bob, x.h.Carol)
		p := payload(t, domaintest.Whitelisted, 9, x.nonce, 10)
		if _, err := x.h.D.Sign(context.Background(), v.ID, p); err != nil {
			t.Fatal(err)
		}
		x.h.Clock.Unsure.Store(true)
		if _, err := x.h.D.Sign(context.Background(), v.ID, nil); err != nil {
			t.Errorf("with its key open: %v", err)
		}
		x.h.D.TendOnce()
		_, err := x.h.D.Sign(context.Background(), v.ID, nil)
		wantKind(t, "with its key wiped", err, problem.TimeUncertain)
		x.want(0, 0)
	})
}

// A fault wipes the keys, and none is opened after it.
func TestFaultForgetsKeys(t *testing.T) {
	t.Parallel()
	t.Run("the log", func(t *testing.T) {
		f := &domaintest.Faults{}
		x := newOpen(t, domaintest.Options{Faults: f})
		f.FailAt(domaintest.StoreAppend, 1, domaintest.Before, false)
		wantKind(t, "the log fails", x.try(), problem.Stopped)
		<-x.h.D.Failed()
		x.want(0, 0)
		wantKind(t, "afterwards", x.try(), problem.Stopped)
		x.want(0, 0)
	})
	t.Run("the pin", func(t *testing.T) {
		f := &domaintest.Faults{}
		x := newOpen(t, domaintest.Options{Faults: f})
		f.FailAt(domaintest.AnchorPin, 1, domaintest.After, false)
		wantKind(t, "the pin fails", x.try(), problem.Stopped)
		<-x.h.D.Failed()
		x.want(0, 0)
	})
	t.Run("a check", func(t *testing.T) { // re-check and self-tests latch
		x := newOpen(t, domaintest.Options{})
		if err := x.h.D.OpenKey("hot"); err != nil {
			t.Fatal(err)
		}
		x.h.D.Latch(errors.New("a self-test failed"))
		x.want(0, 0)
		wantKind(t, "a signature that was under way", x.h.D.OpenKey("hot"), problem.Stopped)
		wantKind(t, "afterwards", x.try(), problem.Stopped)
		x.want(0, 0)
	})
}

// A process that was stopped for longer than its lease trusts nothing that it had open.
func TestLongPauseForgetsKeys(t *testing.T) {
	t.Parallel()
	f := &domaintest.Faults{}
	x := newOpen(t, domaintest.Options{Faults: f})
	reached, release := f.Hold(domaintest.AnchorPin, domaintest.Before)
	done := make(chan error, 1)
	go func() { done <- x.try() }()
	<-reached
	x.h.Clock.Advance(securedomain.DefaultLease + time.Second)
	release()
	wantKind(t, "stopped for too long", <-done, problem.Busy)
	x.want(0, 0)
}

// Idle keys go without anybody asking for a key.
func TestIdleKeysAreSwept(t *testing.T) {
	t.Parallel()
	x := newOpen(t, domaintest.Options{})
	x.h.Clock.Advance(securedomain.DefaultCacheIdle - 1)
	x.h.D.TendOnce()
	x.want(1, 1)
	x.h.Clock.Advance(1)
	x.h.D.TendOnce()
	x.want(0, 0)
}

// Everything is wiped at the end: the arena's Close refuses while a secret lives.
func TestCloseForgetsKeys(t *testing.T) {
	t.Parallel()
	x := newOpen(t, domaintest.Options{})
	d := x.h.D
	x.h.Close()
	if a, n := d.Unsealed(); a+n != 0 {
		t.Errorf("%d addresses and %d accounts are unsealed after Close", a, n)
	}
}
