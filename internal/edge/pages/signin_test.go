// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"crypto/ed25519"
	"crypto/sha256"
	"net/http"
	"strings"
	"testing"
	"time"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/webauthn"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for _, ec := range []bool{false, true} {
		k := newPasskey(t, ec)
		s.give(coretest.Bruno, k)
		b := s.signedIn(coretest.Bruno.ID, k)
		c := b.cookie
		if !strings.HasPrefix(c.Name, "__Host-") || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" || len(c.Value) < 40 {
			t.Errorf("cookie %+v", c)
		}
		if !strings.Contains(b.get("/app/", 200), string(coretest.Bruno.ID)) || b.token == "" {
			t.Error("the page does not say who is signed in")
		}
		r := &http.Request{Header: http.Header{"Cookie": {c.Name + "=" + c.Value}}}
		if got := s.pages.Person(r); got != coretest.Bruno.ID {
			t.Errorf("the API sees %q", got)
		}
	}
}

// Each of these opens nothing.
func TestSignInRefuses(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bruno, chiara, stranger := newPasskey(t, false), newPasskey(t, true), newPasskey(t, false)
	s.give(coretest.Bruno, bruno)
	s.give(coretest.Chiara, chiara)
	b := s.browser()
	n := 0
	try := func(what string, want problem.Kind, change func(*signInIn)) {
		t.Helper()
		n++
		b.remote = "198.51.100." + string(rune('0'+n%10)) + ":1" // not to be held back for failing often
		tk := b.ticket()
		in := signInIn{Ticket: tk.Ticket, Person: coretest.Bruno.ID, Assertion: bruno.assert(tk.Challenge, origin)}
		change(&in)
		if got := b.post("/app/sign-in", in, &struct{}{}); got != want || b.cookie != nil {
			t.Errorf("%s: %q, want %q; cookie %v", what, got, want, b.cookie)
		}
	}
	challenge := func(in *signInIn) []byte {
		m, err := s.pages.tickets.message(custody.DomainID(s.core.Authority()), in.Ticket)
		if err != nil {
			t.Fatal(err)
		}
		c := webauthn.Challenge(m)
		return c[:]
	}
	try("another site's", problem.Unauthenticated, func(in *signInIn) { in.Assertion = bruno.assert(challenge(in), "https://evil.example.org") })
	try("a passkey that nobody has", problem.Unauthenticated, func(in *signInIn) { in.Assertion = stranger.assert(challenge(in), origin) })
	try("another person's passkey", problem.Unauthenticated, func(in *signInIn) { in.Assertion = chiara.assert(challenge(in), origin) })
	try("under another's name", problem.Unauthenticated, func(in *signInIn) { in.Person = coretest.Chiara.ID })
	try("of nobody", problem.Unauthenticated, func(in *signInIn) { in.Person = coretest.NewPerson(9).ID })
	try("without a name", problem.Unauthenticated, func(in *signInIn) { in.Person = "" })
	try("another challenge", problem.Unauthenticated, func(in *signInIn) { in.Assertion = bruno.assert(make([]byte, 32), origin) })
	try("another ticket", problem.Unauthenticated, func(in *signInIn) { in.Ticket = b.ticket().Ticket })
	try("no ticket", problem.Unauthenticated, func(in *signInIn) { in.Ticket = []byte{} })
	try("a ticket that lives longer", problem.Unauthenticated, func(in *signInIn) { in.Ticket[nonceSize+7]++ })
	try("a forged ticket", problem.Unauthenticated, func(in *signInIn) { in.Ticket[ticketSize-1] ^= 1 })
	try("a late ticket", problem.Expired, func(*signInIn) { s.clock.add(TicketLife) })
	try("a ticket of the time to come", problem.Expired, func(*signInIn) { s.clock.add(-time.Second) })
	elsewhere := newPasskey(t, false)
	elsewhere.public.Origin = "https://x.custody.example.org"
	s.give(coretest.Bruno, elsewhere)
	try("a passkey of theirs for another site", problem.Unauthenticated, func(in *signInIn) { in.Assertion = elsewhere.assert(challenge(in), elsewhere.public.Origin) })
	try("no signature", problem.Unauthenticated, func(in *signInIn) {
		in.Assertion = assertion{AuthData: []byte{}, ClientData: []byte{}, Signature: []byte{}}
	})
	try("an approval's signature", problem.Unauthenticated, func(in *signInIn) {
		h := sha256.Sum256([]byte("strongroom/approval/v1\x00" + string(in.Ticket)))
		in.Assertion = bruno.assert(h[:], origin)
	})

	tk := b.ticket()
	in := signInIn{Ticket: tk.Ticket, Person: coretest.Bruno.ID, Assertion: bruno.assert(tk.Challenge, origin)}
	if got := b.post("/app/sign-in", in, &struct{}{}); got != "" {
		t.Fatal(got)
	}
	b = s.browser()
	try("the same again", problem.Unauthenticated, func(x *signInIn) { *x = in })
	s.restart()
	b = s.browser()
	try("of the process before", problem.Unauthenticated, func(x *signInIn) { *x = in })

	s.govern(request.PersonKeyRemove, request.PersonKeyRemoveBody{Person: coretest.Bruno.ID, Key: bruno.public.Ref()})
	try("a key that was taken away", problem.Unauthenticated, func(*signInIn) {})
	s.give(coretest.Bruno, bruno)
	s.govern(request.WhitelistAdd, request.WhitelistAddBody{ID: "other", Chain: coretest.Ethereum, Address: coretest.EthereumOut}) // the roster is read again
	if k := s.browser().signIn(coretest.Bruno.ID, bruno); k != "" {
		t.Errorf("with the key again: %s", k)
	}
}

// A page that was loaded does nothing more once its person is revoked, its key is gone, or it was left alone.
func TestSessionsEnd(t *testing.T) {
	t.Parallel()
	fourth := coretest.NewPerson(3)
	for name, end := range map[string]func(s *site, b *browser, k passkey){
		"idle":       func(s *site, _ *browser, _ passkey) { s.clock.add(Idle) },
		"clock back": func(s *site, _ *browser, _ passkey) { s.clock.add(-time.Second) },
		"restart":    func(s *site, _ *browser, _ passkey) { s.restart() },
		"key removed": func(s *site, _ *browser, k passkey) {
			s.govern(request.PersonKeyRemove, request.PersonKeyRemoveBody{Person: fourth.ID, Key: k.public.Ref()})
		},
		"revoked": func(s *site, _ *browser, _ passkey) {
			s.govern(request.PersonRevoke, request.PersonRevokeBody{Person: fourth.ID})
		},
		"other cookie": func(_ *site, b *browser, _ passkey) { b.cookie.Value = random() },
		"signed out": func(s *site, b *browser, _ passkey) {
			c := *b.cookie
			if k := b.post("/app/sign-out", struct{}{}, &struct{}{}); k != "" || b.cookie.MaxAge >= 0 {
				s.t.Errorf("sign out: %s %+v", k, b.cookie)
			}
			b.cookie = &c
		},
		"as long as it may": func(s *site, b *browser, _ passkey) {
			for range int(Whole/(Idle-time.Minute)) + 1 {
				if s.clock.add(Idle - time.Minute); s.pages.Person(&http.Request{Header: http.Header{"Cookie": {b.cookie.String()}}}) == "" {
					return
				}
			}
			s.t.Error("a session does not end while it is used")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			b := request.PersonEnrolBody{Person: fourth.ID, Kind: "human", Key: fourth.Public(), Groups: []custody.GroupID{"treasury"}}
			b.Possession = ed25519.Sign(fourth.Key, b.EnrolMessage(s.core.Authority()))
			s.govern(request.PersonEnrol, b)
			k := newPasskey(t, false)
			s.give(fourth, k)
			v := s.transfer(coretest.Anna, 5000)
			page := s.signedIn(fourth.ID, k)
			msg := choices(t, page.get("/app/requests/"+v.ID.String(), 200))[request.Approve]
			h := sha256.Sum256(msg)
			in := decisionIn{request.Approve, k.assert(h[:], origin)}
			end(s, page, k)
			if kind := page.post("/app/requests/"+v.ID.String(), in, &struct{}{}); kind != problem.Unauthenticated {
				t.Errorf("a decision: %q", kind)
			}
			if !strings.Contains(page.get("/app/", 200), `id="sign-in"`) {
				t.Error("the first page is not to sign in")
			}
			page.get("/app/requests/"+v.ID.String(), 401)
			if got := s.pages.Person(&http.Request{Header: http.Header{"Cookie": {page.cookie.String()}}}); got != "" {
				t.Errorf("the API still sees %s", got)
			}
		})
	}
}

// Of one person so many sessions are open, and another's stay.
func TestSessionsOfOnePerson(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	bruno, chiara := newPasskey(t, false), newPasskey(t, false)
	s.give(coretest.Bruno, bruno)
	s.give(coretest.Chiara, chiara)
	other := s.signedIn(coretest.Chiara.ID, chiara)
	var all []*browser
	for range MaxSessions + 2 {
		all = append(all, s.signedIn(coretest.Bruno.ID, bruno))
		s.clock.add(time.Second)
	}
	for i, b := range all {
		if open := strings.Contains(b.get("/app/", 200), `id="sign-out"`); open != (i >= 2) {
			t.Errorf("session %d is open: %v", i, open)
		}
	}
	if !strings.Contains(other.get("/app/", 200), `id="sign-out"`) {
		t.Error("another person was signed out")
	}
	again := all[5]
	before := again.cookie.Value
	if k := again.signIn(coretest.Bruno.ID, bruno); k != "" || again.cookie.Value == before {
		t.Errorf("signing in again: %s", k)
	}
	again.cookie.Value = before
	if strings.Contains(again.get("/app/", 200), `id="sign-out"`) {
		t.Error("the session before stays open")
	}
}

// Whoever fails often is held back, from that address, for a while; others are not.
func TestFailuresAreHeldBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k, foreign := newPasskey(t, false), newPasskey(t, false)
	s.give(coretest.Bruno, k)
	b := s.browser()
	b.remote = "[2001:db8::1]:7"
	for range MaxFailures {
		if got := b.signIn(coretest.Bruno.ID, foreign); got != problem.Unauthenticated {
			t.Fatal(got)
		}
	}
	b.remote = "[2001:db8::ffff]:8" // the same network
	if got := b.signIn(coretest.Bruno.ID, k); got != problem.Busy {
		t.Errorf("after %d failures: %q", MaxFailures, got)
	}
	if got := s.browser().signIn(coretest.Bruno.ID, k); got != "" {
		t.Errorf("from elsewhere: %q", got)
	}
	s.clock.add(Window)
	if got := b.signIn(coretest.Bruno.ID, k); got != "" {
		t.Errorf("after the window: %q", got)
	}
	l := newLimiter(s.clock.Now, 1)
	for range Everybody {
		l.count("192.0.2.7:1")
	}
	if l.allow("192.0.2.8:1") == nil {
		t.Error("all together are not held back")
	}
	if network("nonsense") != network("@") || network("192.0.2.7:1") == network("192.0.2.8:1") || network("[::ffff:192.0.2.7]:1") != network("192.0.2.7:2") {
		t.Error("addresses are not told apart as they should be")
	}
}
