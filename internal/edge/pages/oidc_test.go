// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"context"
	"crypto/ed25519"
	"net/http"
	"strings"
	"testing"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// provider is an identity provider that knows one state and code.
type provider struct{ who custody.PersonID }

func (provider) Begin(context.Context) (string, string, error) {
	return "https://op.example.org/authorize?state=s", "browser-secret", nil
}

func (p provider) Finish(_ context.Context, state, code, browser string) (custody.PersonID, error) {
	if state != "s" || code != "c" || browser != "browser-secret" {
		return "", problem.New(problem.Unauthenticated, "no")
	}
	return p.who, nil
}

func TestElsewhere(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if k := s.browser().post("/app/sign-in/elsewhere", struct{}{}, &struct{}{}); k != problem.NotFound {
		t.Errorf("pages without a provider: %q", k)
	}
	s.browser().get(CallbackPath+"?state=s&code=c", 404)
	with := func(who custody.PersonID) {
		conf := s.config()
		conf.Elsewhere = provider{who}
		p, err := New(conf)
		if err != nil {
			t.Fatal(err)
		}
		s.pages = p
	}
	// comes begins a sign-in and comes back to a path; it gives the status and the cookies.
	comes := func(path string, withCookie bool) (int, []*http.Cookie) {
		b := s.browser()
		if !strings.Contains(b.get("/app/", 200), `id="elsewhere"`) {
			t.Error("the page does not offer the provider")
		}
		var to struct{ Location string }
		if k := b.post("/app/sign-in/elsewhere", struct{}{}, &to); k != "" || to.Location == "" {
			t.Fatalf("begin: %q, %+v", k, to)
		}
		c := b.cookie
		if c.Name != elsewhereCookie || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" {
			t.Errorf("cookie %+v", c)
		}
		if b.cookie = nil; withCookie {
			b.cookie = c
		}
		w := b.do(http.MethodGet, path, nil, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") })
		return w.Code, w.Result().Cookies()
	}
	session := func(list []*http.Cookie) *http.Cookie {
		for _, c := range list {
			if c.Name == CookieName {
				return c
			}
		}
		return nil
	}
	with(coretest.Bruno.ID)
	status, cookies := comes(CallbackPath+"?state=s&code=c", true)
	c := session(cookies)
	if status != 200 || c == nil || c.SameSite != http.SameSiteStrictMode {
		t.Fatalf("status %d, cookies %v", status, cookies)
	}
	r := &http.Request{Header: http.Header{"Cookie": {c.Name + "=" + c.Value}}}
	if got := s.pages.Person(r); got != coretest.Bruno.ID {
		t.Errorf("the API sees %q", got)
	}
	for what, try := range map[string]struct {
		path   string
		cookie bool
	}{"no cookie": {CallbackPath + "?state=s&code=c", false}, "no code": {CallbackPath + "?state=s", true}, "refused there": {CallbackPath + "?state=s&error=access_denied", true},
		"two codes": {CallbackPath + "?state=s&code=c&code=c", true}, "another state": {CallbackPath + "?state=x&code=c", true}} {
		if status, cookies := comes(try.path, try.cookie); status != 401 || session(cookies) != nil {
			t.Errorf("%s: status %d, cookies %v", what, status, cookies)
		}
	}
	for _, who := range []custody.PersonID{coretest.NewPerson(9).ID, coretest.Payout.ID} {
		with(who)
		if status, cookies := comes(CallbackPath+"?state=s&code=c", true); status != 401 || session(cookies) != nil {
			t.Errorf("%s: status %d, cookies %v", who, status, cookies)
		}
	}
	// Who is revoked is signed in no more.
	with(coretest.Bruno.ID)
	_, cookies = comes(CallbackPath+"?state=s&code=c", true)
	c = session(cookies)
	r = &http.Request{Header: http.Header{"Cookie": {c.Name + "=" + c.Value}}}
	fourth := coretest.NewPerson(3)
	e := request.PersonEnrolBody{Person: fourth.ID, Kind: "human", Key: fourth.Public(), Groups: []custody.GroupID{"treasury"}}
	e.Possession = ed25519.Sign(fourth.Key, e.EnrolMessage(s.core.Authority()))
	s.govern(request.PersonEnrol, e)
	s.govern(request.PersonRevoke, request.PersonRevokeBody{Person: coretest.Bruno.ID})
	if got := s.pages.Person(r); got != "" {
		t.Errorf("who was revoked is %q", got)
	}
	if status, _ := comes(CallbackPath+"?state=s&code=c", true); status != 401 {
		t.Errorf("who was revoked signs in: %d", status)
	}
}
