// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate"
	gatewayside "strongroom/internal/gate/gateway"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// door is the door of a domain, without a socket. A fault answers instead of the domain.
type door struct {
	h     *domaintest.Harness
	mux   *gate.Mux
	mu    sync.Mutex // guards fault
	fault func(method string) error
}

func doorOf(h *domaintest.Harness) *door {
	d := &door{h: h, mux: gate.NewMux()}
	h.D.Serve(d.mux)
	return d
}

func (d *door) set(f func(string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}

func (d *door) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	d.mu.Lock()
	f := d.fault
	d.mu.Unlock()
	if f != nil {
		if err := f(method); err != nil {
			return nil, err
		}
	}
	return d.mux.Dispatch(ctx, gate.Caller{}, method, body)
}

func gatewayConfig(h *domaintest.Harness, d gate.Door) gatewayside.Config {
	return gatewayside.Config{Door: d, Service: h.Service.ID, Key: h.Service.Pub.Ref(), Sign: func(m []byte) ([]byte, error) { return ed25519.Sign(h.Service.Key, m), nil },
		Now: func() time.Time { return time.Unix(0, h.Clock.Wall.Load()) }, Life: time.Hour, Identity: h.Genesis.Identity}
}

// The gateway's side of the door: calls of many callers at once, a session that ends, a core that starts anew; and what goes wrong has a code.
func TestGateway(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, _ := appDomain(t, e, domaintest.Options{})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	d := doorOf(h)
	g, err := gatewayside.New(gatewayConfig(h, d))
	if err != nil {
		t.Fatal(err)
	}
	a, err := g.Do(t.Context(), "local:app", generateCall())
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			if _, err := g.Do(t.Context(), "local:app", signCall(a.Key, fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if used := theGrant(t, h, "app").Used; used != 65 {
		t.Errorf("%d uses", used)
	}
	if n := h.D.Status().Sessions; n != 2 { // the test's own, and one for all calls
		t.Errorf("%d sessions", n)
	}
	_, err = g.Do(t.Context(), "local:nobody", generateCall())
	wantCode(t, "without a grant", err, ep11.CKR_IBM_STATIC_POLICY)
	h.Clock.Advance(59*time.Minute + time.Second) // the session is about to end
	h.D.TendOnce()
	if _, err := g.Do(t.Context(), "local:app", signCall(a.Key, "later")); err != nil {
		t.Errorf("with another session: %v", err)
	}
	h.Reopen()
	d.mux = doorOf(h).mux
	if _, err := g.Do(t.Context(), "local:app", signCall(a.Key, "after a restart")); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	for name, x := range map[string]struct {
		err   error
		code  ep11.Code
		retry bool
	}{
		"a broken connection": {errors.New("broken"), ep11.CKR_IBM_TRANSPORT_ERROR, true}, "starting": {problem.New(problem.Starting, "x"), ep11.CKR_DEVICE_ERROR, true},
		"busy": {problem.New(problem.Busy, "x"), ep11.CKR_IBM_TRANSPORT_LIMIT, true}, "zeroized": {problem.New(problem.Zeroized, "x"), ep11.CKR_IBM_WK_NOT_INITIALIZED, false},
		"unknown": {problem.New(problem.Forbidden, "x"), ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED, false}, "stopped": {problem.New(problem.Stopped, "x"), ep11.CKR_IBM_ERROR_STATE, true},
		"always another session": {problem.New(problem.Unauthenticated, "x"), ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED, false}, "too large": {problem.New(problem.TooLarge, "x"), ep11.CKR_DATA_LEN_RANGE, false},
		"unsupported": {problem.New(problem.Unsupported, "x"), ep11.CKR_FUNCTION_NOT_SUPPORTED, false}, "our fault": {problem.New(problem.Internal, "x"), ep11.CKR_GENERAL_ERROR, true},
	} {
		d.set(func(m string) error {
			if m == message.MethodEP11 {
				return x.err
			}
			return nil
		})
		_, err := g.Do(t.Context(), "local:app", signCall(a.Key, "x"))
		if f := ep11.FailureOf(err); f.Code != x.code || f.Retry != x.retry {
			t.Errorf("%s: %v, want %v", name, err, x.code)
		}
	}
	d.set(nil)
	if _, err := h.Zeroize(h.Alice); err != nil {
		t.Fatal(err)
	}
	_, err = g.Do(t.Context(), "local:app", signCall(a.Key, "x"))
	wantCode(t, "zeroized", err, ep11.CKR_IBM_WK_NOT_INITIALIZED)
	again, err := gatewayside.New(gatewayConfig(h, d))
	if err != nil {
		t.Fatal(err)
	}
	_, err = again.Do(t.Context(), "local:app", signCall(a.Key, "x"))
	wantCode(t, "zeroized, without a session", err, ep11.CKR_IBM_WK_NOT_INITIALIZED)
}

// A gateway that the domain does not know opens no session; one that is not told the domain's identity believes no other's grant of a session.
func TestGatewayThatIsRefused(t *testing.T) {
	t.Parallel()
	h, _ := appDomain(t, &fakeEngine{}, domaintest.Options{})
	cfg := gatewayConfig(h, doorOf(h))
	for name, change := range map[string]func(*gatewayside.Config){
		"no door": func(c *gatewayside.Config) { c.Door = nil }, "no service": func(c *gatewayside.Config) { c.Service = "" }, "no key": func(c *gatewayside.Config) { c.Key = "" },
		"no signer": func(c *gatewayside.Config) { c.Sign = nil }, "no clock": func(c *gatewayside.Config) { c.Now = nil }, "a short life": func(c *gatewayside.Config) { c.Life = time.Minute },
		"a long life": func(c *gatewayside.Config) { c.Life = 25 * time.Hour }, "no identity": func(c *gatewayside.Config) { c.Identity = c.Identity[:31] },
	} {
		c := cfg
		change(&c)
		if _, err := gatewayside.New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, change := range map[string]func(*gatewayside.Config){
		"a person":         func(c *gatewayside.Config) { c.Service, c.Key = h.Bob.ID, h.Bob.Pub.Ref() },
		"another's key":    func(c *gatewayside.Config) { c.Key = h.Bob.Pub.Ref() },
		"another identity": func(c *gatewayside.Config) { c.Identity = make([]byte, 32) },
		"no signature": func(c *gatewayside.Config) {
			c.Sign = func([]byte) ([]byte, error) { return nil, errors.New("locked") }
		},
	} {
		c := cfg
		change(&c)
		g, err := gatewayside.New(c)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := g.Do(t.Context(), "local:app", generateCall()); err == nil || len(canon.Encode(a)) != 1 {
			t.Errorf("%s: %v, %+v", name, err, a)
		}
	}
}
