// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// A result that did not check stops the core, also where the use could not be accounted.
func TestAppFaultIsNotHidden(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	key := g.key(t, "app")
	fault := fmt.Errorf("sign: %w", family.ErrFault)
	e.fail.Store(&fault)
	e.leave = func(ep11.Call) { h.Clock.Unsure.Store(true) }
	_, err := g.do("app", signCall(key, "x"))
	wantCode(t, "a fault while the clock is not certain", err, ep11.CKR_GENERAL_ERROR)
	if h.D.Cause() == nil {
		t.Fatal("the core works on")
	}
	<-h.D.Failed()
}

// A grant whose uses are used up makes the engine touch no key any more, and opens no logins; what needs no key goes on.
func TestAppUsedUp(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{})
	b := grantBody(h, "app")
	b.MaxUses = 2
	govern(t, h, request.AppGrant, b)
	key := g.key(t, "app")
	login := ep11.Call{Function: ep11.FnLogin, Pin: []byte("first pin")}
	if _, err := g.do("app", login); err != nil {
		t.Fatal(err)
	}
	if _, err := g.do("app", signCall(key, "x")); err != nil {
		t.Fatal(err)
	}
	done := e.done.Load()
	login.Pin = []byte("other pin")
	for _, c := range []ep11.Call{signCall(key, "x"), generateCall(), {Function: ep11.FnRewrapKeyBlob, Key: key}, login} {
		_, err := g.do("app", c)
		wantCode(t, c.Function.String(), err, ep11.CKR_IBM_STATIC_POLICY)
	}
	if n := e.done.Load() - done; n != 0 {
		t.Errorf("the engine did %d calls", n)
	}
	for _, c := range []ep11.Call{{Function: ep11.FnGenerateRandom, Len: 1}, {Function: ep11.FnLogout}} {
		if _, err := g.do("app", c); err != nil {
			t.Errorf("%s: %v", c.Function, err)
		}
	}
	if x := theGrant(t, h, "app"); x.Used != 2 || x.Logins != 0 {
		t.Errorf("%+v", x)
	}
	h.Check()
}

// What is switched off while a call is under way is not released: the control point of its function, or that of an algorithm.
func TestAppPointsSwitchedOffInFlight(t *testing.T) {
	t.Parallel()
	for _, p := range []points.Point{points.RawSign, points.AppKeys, points.SignBIP340} {
		e := &fakeEngine{}
		h, g := appDomain(t, e, domaintest.Options{})
		govern(t, h, request.AppGrant, grantBody(h, "app"))
		key := g.key(t, "app")
		var once sync.Once
		e.leave = func(ep11.Call) {
			once.Do(func() {
				govern(t, h, request.PointsSet, request.PointsSetBody{Counter: h.D.Status().Life.Counter + 1, Deny: points.Make(p)})
			})
		}
		a, err := g.do("app", signCall(key, "x"))
		wantCode(t, p.String(), err, ep11.CKR_DEVICE_ERROR)
		if err == nil || !ep11.FailureOf(err).Retry || len(a.Data) != 0 {
			t.Errorf("%s: %v, %x", p, err, a.Data)
		}
		if used := theGrant(t, h, "app").Used; used != 1 {
			t.Errorf("%s: %d uses", p, used)
		}
		h.Check()
	}
}

// A session that ends while a call begins anew is not what a gateway does again by itself when the call was counted; the caller is told that it may.
func TestAppCountedCallIsNotUndone(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{})
	b := grantBody(h, "app")
	b.NotAfter += 86_400
	govern(t, h, request.AppGrant, b)
	key := g.key(t, "app")
	e.leave = func(ep11.Call) {
		h.D.Forget()
		h.Clock.Advance(2 * time.Hour)
	}
	wiped := error(secret.ErrWiped)
	e.fail.Store(&wiped)
	a, err := h.D.EP11(t.Context(), g.sealed("app", signCall(key, "x")))
	if err != nil || a.Failure == nil || a.Failure.Code != ep11.CKR_DEVICE_ERROR || !a.Failure.Retry {
		t.Errorf("a counted call: %v, %v", a.Failure, err)
	}
	if used := theGrant(t, h, "app").Used; used != 2 {
		t.Errorf("%d uses", used)
	}
}
