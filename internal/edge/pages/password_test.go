// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// book is a store of logins that knows one password and code of each.
type book struct {
	mu    sync.Mutex
	keys  map[custody.PersonID]request.KeyRef
	asked int
}

func (b *book) Check(p custody.PersonID, password []byte, code string) (request.KeyRef, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	defer clear(password)
	if ref, ok := b.keys[p]; ok && bytes.Equal(password, []byte("five random words")) && code == "123456" {
		return ref, nil
	}
	return "", problem.New(problem.Unauthenticated, "no")
}

// withPasswords makes the pages of a site take passwords.
func (s *site) withPasswords(b *book) {
	s.t.Helper()
	conf := s.config()
	conf.Passwords = b
	p, err := New(conf)
	if err != nil {
		s.t.Fatal(err)
	}
	s.pages = p
}

func (b *browser) byPassword(p custody.PersonID, password, code string) problem.Kind {
	b.s.t.Helper()
	return b.post("/app/sign-in/password", passwordIn{Person: p, Password: []byte(password), Code: code}, &struct{}{})
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if k := s.browser().byPassword(coretest.Bruno.ID, "five random words", "123456"); k != problem.NotFound {
		t.Errorf("pages without passwords: %q", k)
	}
	if strings.Contains(s.browser().get("/app/", 200), "by-password") {
		t.Error("pages without passwords ask for one")
	}
	key := coretest.Bruno.Public()
	l := &book{keys: map[custody.PersonID]request.KeyRef{coretest.Bruno.ID: key.Ref(), coretest.Chiara.ID: key.Ref(), coretest.Payout.ID: coretest.Payout.Public().Ref()}}
	s.withPasswords(l)
	b := s.browser()
	if !strings.Contains(b.get("/app/", 200), `id="by-password"`) {
		t.Error("the page does not ask for a password")
	}
	for what, try := range map[string]func() problem.Kind{
		"wrong password": func() problem.Kind { return b.byPassword(coretest.Bruno.ID, "another", "123456") },
		"wrong code":     func() problem.Kind { return b.byPassword(coretest.Bruno.ID, "five random words", "654321") },
		"nobody":         func() problem.Kind { return b.byPassword(coretest.NewPerson(9).ID, "five random words", "123456") },
		"another's key":  func() problem.Kind { return b.byPassword(coretest.Chiara.ID, "five random words", "123456") },
		"a service":      func() problem.Kind { return b.byPassword(coretest.Payout.ID, "five random words", "123456") },
		"of another website": func() problem.Kind {
			return b.post("/app/sign-in/password", passwordIn{coretest.Bruno.ID, []byte("five random words"), "123456"}, &struct{}{}, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example.org") })
		},
	} {
		want := problem.Unauthenticated
		if what == "of another website" {
			want = problem.Forbidden
		}
		if got := try(); got != want || b.cookie != nil {
			t.Errorf("%s: %q, cookie %v", what, got, b.cookie)
		}
	}
	if k := b.byPassword(coretest.Bruno.ID, "five random words", "123456"); k != "" || b.cookie == nil {
		t.Fatalf("sign in: %q", k)
	}
	if !strings.Contains(b.get("/app/", 200), string(coretest.Bruno.ID)) || b.token == "" {
		t.Error("the page does not say who is signed in")
	}
	r := &http.Request{Header: http.Header{"Cookie": {b.cookie.Name + "=" + b.cookie.Value}}}
	if got := s.pages.Person(r); got != coretest.Bruno.ID {
		t.Errorf("the API sees %q", got)
	}
	// It decides nothing: an approval needs a signature all the same.
	v := s.transfer(coretest.Anna, 50_000)
	if k := b.post("/app/requests/"+v.ID.String(), map[string]any{"decision": "approve", "assertion": assertion{AuthData: []byte{}, ClientData: []byte{}, Signature: []byte{}}}, &struct{}{}); k == "" {
		t.Error("who signed in by password approved without a signature")
	}
	// The session ends with the key that the login belongs to.
	other := newPasskey(t, false)
	s.give(coretest.Bruno, other)
	s.govern(request.PersonKeyRemove, request.PersonKeyRemoveBody{Person: coretest.Bruno.ID, Key: key.Ref()})
	if got := s.pages.Person(r); got != "" {
		t.Errorf("without the key, the API sees %q", got)
	}
	b = s.browser()
	b.remote = "198.51.100.7:1"
	if k := b.byPassword(coretest.Bruno.ID, "five random words", "123456"); k != problem.Unauthenticated {
		t.Errorf("a login whose key was removed: %q", k)
	}
	for range MaxFailures {
		b.byPassword(coretest.Bruno.ID, "guess", "000000")
	}
	before := l.asked
	if k := b.byPassword(coretest.Bruno.ID, "guess", "000000"); k != problem.Busy || l.asked != before {
		t.Errorf("after many failures from an address: %q, and %d passwords were looked at", k, l.asked-before)
	}
}
