// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
)

// appOpen is a domain where one key of an application is kept open.
type appOpen struct {
	t   *testing.T
	h   *domaintest.Harness
	g   *gateway
	key []byte
	id  custody.KeyID
}

func newAppOpen(t *testing.T, o domaintest.Options, more ...func(*request.AppGrantBody)) *appOpen {
	t.Helper()
	h, g := realDomain(t, o, more...)
	x := &appOpen{t: t, h: h, g: g}
	x.key = g.must(t, generateCall()).Key
	x.sign()
	f := lastUse(t, h)
	x.id = entry.KeyOf(f.Counts[0].Key)
	return x
}

// sign uses the key, which is kept open then.
func (x *appOpen) sign() {
	x.t.Helper()
	x.g.must(x.t, signCall(x.key, "x"))
	if n := x.h.D.OpenAppKeys(); n != 1 {
		x.t.Fatalf("%d keys are kept open, want 1", n)
	}
}

// lastUse gives the last entry, which accounts uses.
func lastUse(t *testing.T, h *domaintest.Harness) *entry.Uses {
	t.Helper()
	u, ok := lastEntry(t, h).(*entry.Uses)
	if !ok {
		t.Fatal("the last entry accounts no uses")
	}
	return u
}

// Whatever ends the right to use a key wipes it where it was kept open, and what is refused of a key that is sealed is refused of one that was open.
func TestAppOpenKeysEnd(t *testing.T) {
	t.Parallel()
	const again = ep11.CKR_OK // the key may be used again
	for name, c := range map[string]struct {
		do   func(*appOpen)
		want ep11.Code
	}{
		"the grant is revoked": {func(x *appOpen) {
			submitted(x.t, x.h, x.h.Alice, x.h.Request(x.h.Alice, request.AppRevoke, request.AppRevokeBody{Grant: "app"}))
		}, ep11.CKR_IBM_STATIC_POLICY},
		"the key is revoked": {func(x *appOpen) {
			govern(x.t, x.h, request.AppKeyRevoke, request.AppKeyRevokeBody{Keys: []custody.KeyID{x.id}})
		}, ep11.CKR_IBM_STATIC_POLICY},
		"another grant without the function": {func(x *appOpen) {
			govern(x.t, x.h, request.AppGrant, wideGrant(x.h, "app", func(b *request.AppGrantBody) { b.Functions = []request.AppFunction{request.AppVerify} }))
		}, ep11.CKR_IBM_STATIC_POLICY},
		"another grant": {func(x *appOpen) { govern(x.t, x.h, request.AppGrant, wideGrant(x.h, "app")) }, again},
		"the rules change": {func(x *appOpen) {
			govern(x.t, x.h, request.GroupSet, request.GroupSetBody{Group: "auditors", Members: []custody.PersonID{x.h.Carol.ID}})
		}, again},
		"signing is switched off": {func(x *appOpen) {
			govern(x.t, x.h, request.PointsSet, request.PointsSetBody{Counter: x.h.D.Status().Life.Counter + 1, Deny: points.Make(points.RawSign)})
		}, ep11.CKR_IBM_STATIC_POLICY},
		"the domain is zeroized": {func(x *appOpen) {
			if _, err := x.h.Zeroize(x.h.Alice); err != nil {
				x.t.Fatal(err)
			}
		}, ep11.CKR_IBM_WK_NOT_INITIALIZED},
		"tampering": {func(x *appOpen) {
			if err := x.h.D.Tamper("the case was opened"); err != nil {
				x.t.Fatal(err)
			}
		}, ep11.CKR_IBM_WK_NOT_INITIALIZED},
		"a fault":                     {func(x *appOpen) { x.h.D.Latch(errors.New("a fault")) }, ep11.CKR_IBM_ERROR_STATE},
		"the clock is uncertain":      {func(x *appOpen) { x.h.Clock.Unsure.Store(true); x.h.D.TendOnce() }, ep11.CKR_DEVICE_ERROR},
		"it is idle":                  {func(x *appOpen) { x.h.Clock.Advance(16 * time.Minute); x.h.D.TendOnce() }, again},
		"every unsealed key is wiped": {func(x *appOpen) { x.h.D.Forget() }, again},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newAppOpen(t, domaintest.Options{})
			before := x.h.D.OpenAppKeys()
			c.do(x)
			if n := x.h.D.OpenAppKeys(); n != 0 || before != 1 {
				t.Errorf("%d keys are kept open", n)
			}
			if c.want == again {
				x.sign()
				return
			}
			_, err := x.g.do("app", signCall(x.key, "x"))
			wantCode(t, "after it", err, c.want)
			if n := x.h.D.OpenAppKeys(); n != 0 {
				t.Errorf("%d keys are kept open after the refusal", n)
			}
		})
	}
}

// A key of the epoch before is kept open until that epoch is finalized, and not used afterwards.
func TestAppOpenKeysAndRotation(t *testing.T) {
	t.Parallel()
	x := newAppOpen(t, domaintest.Options{Recovery: true})
	for _, op := range []request.Operation{request.EpochLoad, request.EpochCommit, request.EpochActivate} {
		if op == request.EpochActivate {
			if _, err := x.h.Settled(); err != nil {
				t.Fatal(err)
			}
		}
		mustStep(t, x.h, op)
		x.g = openGateway(t, x.h)
		x.sign()
	}
	mustStep(t, x.h, request.EpochFinalize)
	if n := x.h.D.OpenAppKeys(); n != 0 {
		t.Errorf("%d keys are kept open", n)
	}
	x.g = openGateway(t, x.h)
	_, err := x.g.do("app", signCall(x.key, "x"))
	wantCode(t, "finalized", err, ep11.CKR_IBM_WKID_MISMATCH)
	x.h.Check()
}

// A logout wipes the caller's keys that are bound to logins, and leaves the others open.
func TestAppOpenKeysAndLogout(t *testing.T) {
	t.Parallel()
	x := newAppOpen(t, domaintest.Options{})
	in := x.g.must(t, ep11.Call{Function: ep11.FnLogin, Pin: []byte("a pin of the caller")})
	bound := generateCall()
	bound.Template[ep11.CKA_IBM_LOGIN_SESSION] = octets(string(in.Data))
	key := x.g.must(t, bound).Key
	x.g.must(t, signCall(key, "x"))
	if n := x.h.D.OpenAppKeys(); n != 2 {
		t.Errorf("%d keys are kept open, want 2", n)
	}
	x.g.must(t, ep11.Call{Function: ep11.FnLogout})
	if n := x.h.D.OpenAppKeys(); n != 1 {
		t.Errorf("%d keys are kept open after the logout, want 1", n)
	}
	_, err := x.g.do("app", signCall(key, "x"))
	wantCode(t, "after the logout", err, ep11.CKR_SESSION_CLOSED)
}

// A grant's uses are exact, however many call at once with a key that is open.
func TestAppOpenKeysAreCounted(t *testing.T) {
	t.Parallel()
	const callers, each, most = 32, 8, 100
	x := newAppOpen(t, domaintest.Options{}, func(b *request.AppGrantBody) { b.MaxUses = most })
	var ok atomic.Uint64
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				if _, err := x.g.do("app", signCall(x.key, "x")); err == nil {
					ok.Add(1)
				} else if !errors.Is(err, ep11.CKR_IBM_STATIC_POLICY) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	at := theGrant(t, x.h, "app")
	if sums, _ := uses(t, x.h); ok.Load() != most-2 || at.Used != most || sums[at.Seq] != most {
		t.Errorf("%d answers, %d uses in the state, %d in the log, want %d", ok.Load(), at.Used, sums[at.Seq], most)
	}
	x.h.Check()
}
