// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"io/fs"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/strictjson"
	"strongroom/internal/pure/webauthn"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, change := range map[string]func(*Config){
		"no core":   func(c *Config) { c.Core = nil },
		"no words":  func(c *Config) { c.Words = nil },
		"no status": func(c *Config) { c.Status = nil },
		"no log":    func(c *Config) { c.Log = nil },
		"no clock":  func(c *Config) { c.Now = nil },
		"no origin": func(c *Config) { c.Relying.Origin = "" },
		"foreign":   func(c *Config) { c.Relying.Origin = "https://example.net" },
		"plaintext": func(c *Config) { c.Relying = webauthn.Relying{ID: "localhost", Origin: "http://localhost:8080"} },
	} {
		c := s.config()
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Every answer says what a browser may do with it, and no page has anything of its own that this forbids.
func TestNothingIsInline(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k := newPasskey(t, false)
	s.give(coretest.Bruno, k)
	v := s.transfer(coretest.Anna, 5000)
	in := s.signedIn(coretest.Bruno.ID, k)
	for _, path := range []string{"/app/", "/app/enrol", "/app/enrol/make?groups=treasury", "/app/enrol/make?person=" + string(coretest.Bruno.ID), "/app/requests/" + v.ID.String(),
		"/app/static/passkeys.js", "/app/static/style.css", "/app/nowhere", "/app/static/nowhere", "/app/requests/x"} {
		for _, b := range []*browser{in, s.browser()} {
			w := b.do(http.MethodGet, path, nil)
			h := w.Header()
			csp := h.Get("Content-Security-Policy")
			if !strings.HasPrefix(csp, "default-src 'none'; ") || strings.Contains(csp, "unsafe") || !strings.Contains(csp, "frame-ancestors 'none'") || h.Get("Cache-Control") != "no-store" ||
				h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cross-Origin-Opener-Policy") != "same-origin" || h.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("%s: %v", path, h)
			}
			if m := regexp.MustCompile(`(?i)<script(?: [^>]*)?>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:|https?://[^"<]*\.(?:js|css)`).FindString(w.Body.String()); m != "" && !strings.Contains(path, "static") {
				t.Errorf("%s has %q", path, m)
			}
			if strings.Contains(w.Body.String(), in.cookie.Value) {
				t.Errorf("%s shows the cookie", path)
			}
		}
	}
	names, err := fs.Glob(templateFiles, "templates/*.html")
	if err != nil || len(names) < 7 {
		t.Errorf("%v %v", names, err)
	}
}

// A post counts when it comes from a page of ours, in a session that it names.
func TestForeignPostsAreRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	k := newPasskey(t, false)
	s.give(coretest.Bruno, k)
	v := s.transfer(coretest.Anna, 5000)
	b := s.signedIn(coretest.Bruno.ID, k)
	path := "/app/requests/" + v.ID.String()
	h := sha256.Sum256(choices(t, b.get(path, 200))[request.Approve])
	in := decisionIn{request.Approve, k.assert(h[:], origin)}
	for name, c := range map[string]struct {
		want   problem.Kind
		change func(*http.Request)
	}{
		"another origin":      {problem.Forbidden, func(r *http.Request) { r.Header.Set("Origin", "https://evil.example.org") }},
		"no origin":           {problem.Forbidden, func(r *http.Request) { r.Header.Del("Origin") }},
		"a hidden origin":     {problem.Forbidden, func(r *http.Request) { r.Header.Set("Origin", "null") }},
		"plaintext":           {problem.Forbidden, func(r *http.Request) { r.Header.Set("Origin", "http://custody.example.org") }},
		"two origins":         {problem.Forbidden, func(r *http.Request) { r.Header.Add("Origin", origin) }},
		"another site":        {problem.Forbidden, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }},
		"a site beside":       {problem.Forbidden, func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }},
		"another host":        {problem.Forbidden, func(r *http.Request) { r.Host = "127.0.0.1:7443" }},
		"no token":            {problem.Forbidden, func(r *http.Request) { r.Header.Del(TokenHeader) }},
		"another token":       {problem.Forbidden, func(r *http.Request) { r.Header.Set(TokenHeader, random()) }},
		"a form":              {problem.Malformed, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }},
		"no cookie":           {problem.Unauthenticated, func(r *http.Request) { r.Header.Del("Cookie") }},
		"two cookies":         {problem.Unauthenticated, func(r *http.Request) { r.AddCookie(b.cookie) }},
		"a long body":         {problem.TooLarge, func(r *http.Request) { r.Body = readCloser{bytes.NewReader(make([]byte, MaxBody+1))} }},
		"an unknown member":   {problem.Malformed, body(`{"decision":"approve","assertion":{"authData":"","clientData":"","signature":""},"x":1}`)},
		"no JSON":             {problem.Malformed, body(`approve`)},
		"an unknown decision": {problem.Malformed, body(`{"decision":"drain","assertion":{"authData":"","clientData":"","signature":""}}`)},
		"an empty signature":  {problem.Unauthenticated, body(`{"decision":"approve","assertion":{"authData":"","clientData":"","signature":""}}`)},
	} {
		if got := b.post(path, in, &decisionOut{}, c.change); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if n := s.core.Calls(message.MethodApprove); n > 20 {
		t.Errorf("%d approvals reached the core", n)
	}
	var out decisionOut
	if got := b.post(path, in, &out); got != "" || out.State != string(message.StatePending) || out.Entry == 0 {
		t.Errorf("what none of this was done to: %q %+v", got, out)
	}
	if w := b.do(http.MethodPut, path, nil); w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusNotFound {
		t.Errorf("PUT: %d", w.Code)
	}
	if page := b.do(http.MethodGet, "/app/", nil, func(r *http.Request) { r.Host = "127.0.0.1:7443" }); page.Code != 403 || !strings.Contains(page.Body.String(), origin) {
		t.Errorf("at another address: %d %s", page.Code, page.Body)
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

func body(s string) func(*http.Request) {
	return func(r *http.Request) { r.Body = readCloser{bytes.NewReader([]byte(s))} }
}

// A card is made by whoever has the passkey, for exactly what it says; the core takes it.
func TestCards(t *testing.T) {
	t.Parallel()
	for _, ec := range []bool{false, true} {
		s := newSite(t)
		k, other := newPasskey(t, ec), newPasskey(t, ec)
		b := s.browser()
		page := b.get("/app/enrol/make?groups=treasury,+treasury", 200)
		who := newPerson{Person: custody.PersonID(regexp.MustCompile(`data-person="(p_[a-z2-7]{16})"`).FindStringSubmatch(page)[1]), Groups: []custody.GroupID{"treasury"}}
		var key enrolKeyOut
		if kind := b.post("/app/enrol/key", enrolKeyIn{who, k.spki}, &key); kind != "" {
			t.Fatal(kind)
		}
		if key.Ref != k.public.Ref() {
			t.Errorf("key %s, want %s", key.Ref, k.public.Ref())
		}
		good := enrolCardIn{who, key.Key, k.assert(key.Challenge, origin)}
		for name, change := range map[string]func(*enrolCardIn){
			"another's signature": func(in *enrolCardIn) { in.Assertion = other.assert(key.Challenge, origin) },
			"another site's":      func(in *enrolCardIn) { in.Assertion = k.assert(key.Challenge, "https://x.custody.example.org") },
			"another person":      func(in *enrolCardIn) { in.Who.Person = coretest.Anna.ID },
			"other groups":        func(in *enrolCardIn) { in.Who.Groups = nil },
			"a further key":       func(in *enrolCardIn) { in.Who.Groups, in.Who.Further = nil, true },
			"used elsewhere":      func(in *enrolCardIn) { in.Key.Origin = "https://x.custody.example.org" },
		} {
			in := good
			change(&in)
			if kind := b.post("/app/enrol/card", in, &enrolCardOut{}); kind != problem.Unauthenticated {
				t.Errorf("%s: %q", name, kind)
			}
		}
		var out enrolCardOut
		if kind := b.post("/app/enrol/card", good, &out); kind != "" {
			t.Fatal(kind)
		}
		var card struct {
			Authority  string            `json:"authority"`
			Person     custody.PersonID  `json:"person"`
			Kind       string            `json:"kind"`
			Key        request.PublicKey `json:"key"`
			Groups     []custody.GroupID `json:"groups"`
			Possession []byte            `json:"possession"`
		}
		if err := strictjson.Decode([]byte(out.Card), &card); err != nil {
			t.Fatal(err)
		}
		s.govern(request.PersonEnrol, request.PersonEnrolBody{Person: card.Person, Kind: card.Kind, Key: card.Key, Groups: card.Groups, Possession: card.Possession})
		s.signedIn(card.Person, k)

		again := newPerson{Person: card.Person, Further: true}
		b.get("/app/enrol/make?person="+string(card.Person), 200)
		if kind := b.post("/app/enrol/key", enrolKeyIn{again, other.spki}, &key); kind != "" {
			t.Fatal(kind)
		}
		if kind := b.post("/app/enrol/card", enrolCardIn{again, key.Key, other.assert(key.Challenge, origin)}, &out); kind != "" {
			t.Fatal(kind)
		}
		var further struct {
			Operation request.Operation `json:"operation"`
			request.PersonKeyAddBody
		}
		if err := json.Unmarshal([]byte(out.Card), &further); err != nil || further.Operation != request.PersonKeyAdd ||
			!further.Key.Verify(further.Message(s.core.Authority()), further.Possession) {
			t.Errorf("further: %v: %s", err, out.Card)
		}
	}
}

func TestCardsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b, k := s.browser(), newPasskey(t, false)
	for path, status := range map[string]int{"person=p_x": 400, "person=" + string(coretest.NewPerson(9).ID): 200, "groups=No+Group!": 400,
		"groups=" + strings.Repeat("a+", 3) + "b": 200, "person=" + string(coretest.Anna.ID) + "&groups=x": 200} {
		b.get("/app/enrol/make?"+path, status)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	rsaPub, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	somebody := newPerson{Person: coretest.NewPerson(9).ID}
	for name, in := range map[string]enrolKeyIn{
		"RSA":          {somebody, rsaPub},
		"no key":       {somebody, []byte{}},
		"cut off":      {somebody, k.spki[:20]},
		"nobody":       {newPerson{Person: "x"}, k.spki},
		"groups twice": {newPerson{Person: somebody.Person, Groups: []custody.GroupID{"a", "a"}}, k.spki},
		"both":         {newPerson{Person: somebody.Person, Groups: []custody.GroupID{"a"}, Further: true}, k.spki},
		"many groups":  {newPerson{Person: somebody.Person, Groups: strings21()}, k.spki},
	} {
		if kind := b.post("/app/enrol/key", in, &enrolKeyOut{}); kind != problem.Malformed {
			t.Errorf("%s: %q", name, kind)
		}
	}
	for range MaxCards {
		s.pages.cards.count(b.remote)
	}
	if kind := b.post("/app/enrol/key", enrolKeyIn{somebody, k.spki}, &enrolKeyOut{}); kind != problem.Busy {
		t.Errorf("after many steps: %q", kind)
	}
}

func strings21() (out []custody.GroupID) {
	for i := range maxGroups + 1 {
		out = append(out, custody.GroupID("g"+string(rune('a'+i))))
	}
	return out
}

// Nothing that others wrote is markup.
func TestEscaping(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	if page := s.browser().get("/app/enrol/make?groups=%3Cscript%3E", 400); strings.Contains(page, "<script>") {
		t.Errorf("%s", page)
	}
}
