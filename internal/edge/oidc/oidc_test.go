// SPDX-License-Identifier: Apache-2.0

package oidc_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/internal/edge/oidc"
	"strongroom/internal/edge/oidc/oidctest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

const (
	ada  = custody.PersonID("p_aaaaaaaaaaaaaaaa")
	back = "https://custody.example.org/app/sign-in/callback"
)

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

func config(op *oidctest.Provider, c *clock) oidc.Config {
	return oidc.Config{Issuer: op.URL, ClientID: oidctest.ClientID, Secret: oidctest.Secret, Redirect: back, People: map[string]custody.PersonID{"subject-1": ada}, Now: c.Now, Client: op.Client()}
}

// goes follows a browser to the provider and gives what it brings back.
func goes(t *testing.T, op *oidctest.Provider, location string) (state, code string) {
	t.Helper()
	client := *op.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Get(location)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	u, err := resp.Location()
	if err != nil || !strings.HasPrefix(u.String(), back+"?") {
		t.Fatalf("the provider sends the browser to %v, %v", u, err)
	}
	return u.Query().Get("state"), u.Query().Get("code")
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	c := &clock{at: time.Now()}
	op := oidctest.New(t, c.Now)
	p, err := oidc.New(config(op, c))
	if err != nil {
		t.Fatal(err)
	}
	begin := func() (string, string) {
		t.Helper()
		to, browser, err := p.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if u, err := url.Parse(to); err != nil || u.Query().Get("code_challenge_method") != "S256" || len(u.Query().Get("state")) < 40 || len(u.Query().Get("nonce")) < 40 || strings.Contains(to, browser) {
			t.Fatalf("the browser is sent to %s, %v", to, err)
		}
		return to, browser
	}
	to, browser := begin()
	state, code := goes(t, op, to)
	if who, err := p.Finish(t.Context(), state, code, browser); err != nil || who != ada {
		t.Fatalf("got %q, %v", who, err)
	}
	refuse := func(what, state, code, browser string) {
		t.Helper()
		who, err := p.Finish(t.Context(), state, code, browser)
		if problem.KindOf(err) != problem.Unauthenticated || who != "" {
			t.Errorf("%s: %q, %v", what, who, err)
		}
		var x *problem.Error
		if errors.As(err, &x) && strings.Contains(x.Detail, code) && code != "" {
			t.Errorf("%s: the code is in %s", what, x.Detail)
		}
	}
	refuse("the same again", state, code, browser)
	to, browser = begin()
	state, code = goes(t, op, to)
	_, another := begin()
	refuse("another browser", state, code, another)
	refuse("the right one after that", state, code, browser)
	to, browser = begin()
	_, code = goes(t, op, to)
	refuse("another state", "other", code, browser)
	to, browser = begin()
	state, _ = goes(t, op, to)
	refuse("another code", state, "other", browser)
	first, firstBrowser := begin()
	_, code = goes(t, op, first)
	to, browser = begin()
	state, _ = goes(t, op, to)
	refuse("a code of another sign-in", state, code, browser) // its verifier is another one
	_ = firstBrowser
	to, browser = begin()
	state, code = goes(t, op, to)
	c.add(oidc.Life)
	refuse("late", state, code, browser)

	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	right := op.Sign
	for what, change := range map[string]func(){
		"another subject":  func() { op.Subject = "subject-2" },
		"another audience": func() { op.Change = func(m map[string]any) { m["aud"] = "other" } },
		"another issuer":   func() { op.Change = func(m map[string]any) { m["iss"] = "https://example.org" } },
		"another nonce":    func() { op.Change = func(m map[string]any) { m["nonce"] = "n" } },
		"no nonce":         func() { op.Change = func(m map[string]any) { delete(m, "nonce") } },
		"an old token":     func() { op.Change = func(m map[string]any) { m["exp"] = op.Now().Unix() - 1 } },
		"another key":      func() { op.Sign = other },
	} {
		change()
		to, browser = begin()
		state, code = goes(t, op, to)
		refuse(what, state, code, browser)
		op.Subject, op.Change, op.Sign = "subject-1", nil, right
	}
	to, browser = begin()
	for range oidc.MaxBegun {
		c.add(time.Millisecond)
		begin()
	}
	state, code = goes(t, op, to)
	refuse("dropped for others", state, code, browser)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	c := &clock{at: time.Now()}
	op := oidctest.New(t, c.Now)
	for what, change := range map[string]func(*oidc.Config){
		"plain http": func(x *oidc.Config) { x.Issuer = "http://example.org" },
		"no issuer":  func(x *oidc.Config) { x.Issuer = "" },
		"no client":  func(x *oidc.Config) { x.ClientID = "" },
		"no secret":  func(x *oidc.Config) { x.Secret = "" },
		"nobody":     func(x *oidc.Config) { x.People = nil },
		"no person":  func(x *oidc.Config) { x.People = map[string]custody.PersonID{"s": "ada"} },
		"no subject": func(x *oidc.Config) { x.People = map[string]custody.PersonID{"": ada} },
		"no clock":   func(x *oidc.Config) { x.Now = nil },
	} {
		conf := config(op, c)
		change(&conf)
		if _, err := oidc.New(conf); err == nil {
			t.Errorf("%s: the configuration was taken", what)
		}
	}
	conf := config(op, c)
	conf.Client = nil // the system does not know the provider's certificate
	p, err := oidc.New(conf)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Begin(t.Context()); problem.KindOf(err) != problem.Unsupported {
		t.Errorf("a provider whose certificate nobody knows: %v", err)
	}
}
