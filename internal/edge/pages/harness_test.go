// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
	"strongroom/internal/pure/webauthn"
)

const (
	origin = "https://custody.example.org"
	rp     = "custody.example.org"
)

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

type plainWords struct{}

func (plainWords) Body(b request.Body, _ string) []string {
	out, _ := json.Marshal(b)
	return []string{"asks for " + string(out)}
}

func (plainWords) Signing(request.Effects) []string { return nil }

func (plainWords) Simulated(*simulation.Report) []string { return nil }

func (plainWords) Groups(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// passkey is a passkey with its private half.
type passkey struct {
	public request.PublicKey
	spki   []byte
	sign   func(b []byte) []byte
}

func newPasskey(t testing.TB, ec bool) passkey {
	t.Helper()
	var k passkey
	var pub any
	if ec {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		//lint:ignore SA1019 the standard library has no other writer of compressed points
		k.public, pub = request.PublicKey{Alg: request.PasskeyP256, Pub: elliptic.MarshalCompressed(elliptic.P256(), key.X, key.Y), RP: rp, Origin: origin}, &key.PublicKey
		k.sign = func(b []byte) []byte {
			h := sha256.Sum256(b)
			sig, err := ecdsa.SignASN1(rand.Reader, key, h[:])
			if err != nil {
				t.Fatal(err)
			}
			return sig
		}
	} else {
		p, private, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		k.public, pub = request.PublicKey{Alg: request.PasskeyEd25519, Pub: p, RP: rp, Origin: origin}, p
		k.sign = func(b []byte) []byte { return ed25519.Sign(private, b) }
	}
	var err error
	if k.spki, err = x509.MarshalPKIXPublicKey(pub); err != nil {
		t.Fatal(err)
	}
	return k
}

// assert signs a challenge as a browser at an origin does.
func (k passkey) assert(challenge []byte, at string) assertion {
	h := sha256.Sum256([]byte(rp))
	a := webauthn.Assertion{AuthData: append(h[:], 5, 0, 0, 0, 0), ClientData: []byte(`{"type":"webauthn.get","challenge":"` +
		base64.RawURLEncoding.EncodeToString(challenge) + `","origin":"` + at + `","crossOrigin":false}`)}
	return assertion{AuthData: a.AuthData, ClientData: a.ClientData, Signature: k.sign(webauthn.Signed(a))}
}

// site is a core and the pages before it.
type site struct {
	t     *testing.T
	core  *coretest.Core
	door  gate.Door // what the pages call; the core, unless a test puts a liar between
	clock *clock
	pages *Pages
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, clock: &clock{at: time.Unix(1_900_000_000, 0)}}
	s.core = coretest.New(t, s.clock.Now)
	s.core.AddWallet(t, "hot", coretest.Ethereum, request.SchemeEVM, 1)
	s.door = s.core
	s.restart()
	return s
}

// Call passes calls on to the door.
func (s *site) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	return s.door.Call(ctx, method, body)
}

func (s *site) config() Config {
	return Config{Core: s, Relying: webauthn.Relying{ID: rp, Origin: origin}, Words: plainWords{}, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: s.clock.Now,
		Status: func(k problem.Kind) int {
			return map[problem.Kind]int{problem.Malformed: 400, problem.Unauthenticated: 401, problem.Forbidden: 403, problem.NotFound: 404}[k] + map[bool]int{true: 500}[k == problem.Internal || k == problem.Stopped] + map[bool]int{true: 409}[k == problem.Conflict || k == problem.AlreadyDone || k == problem.Expired || k == problem.TooLarge || k == problem.Busy]
		}}
}

func (s *site) restart() {
	s.t.Helper()
	p, err := New(s.config())
	if err != nil {
		s.t.Fatal(err)
	}
	s.pages = p
}

// govern has anna ask, bruno and chiara approve; by somebody else if given.
func (s *site) govern(op request.Operation, body any, by ...coretest.Person) {
	s.t.Helper()
	who := append(by, coretest.Anna)[0]
	v := s.asked(who, op, body)
	for _, p := range []coretest.Person{coretest.Anna, coretest.Bruno, coretest.Chiara} {
		if p.ID != who.ID && v.State != message.StateExecuted {
			v = s.act(message.MethodApprove, coretest.Approval(v, request.Approve, p))
		}
	}
	if v.State != message.StateExecuted {
		s.t.Fatalf("%s is %s: %+v", op, v.State, v.Missing)
	}
	s.clock.add(2 * time.Second) // for the roster
}

func (s *site) asked(by coretest.Person, op request.Operation, body any) message.Request {
	s.t.Helper()
	r := request.Request{V: 1, Authority: s.core.Authority(), Domain: custody.DomainID(s.core.Authority()), Initiator: by.ID, Key: random()[:20], Operation: op,
		Body: canon.Encode(body), NotAfter: s.clock.Now().Unix() + 3600}
	return s.act(message.MethodSubmit, coretest.Signed(r, by))
}

func (s *site) act(method string, in any) (v message.Request) {
	s.t.Helper()
	var err error
	switch in := in.(type) {
	case message.Submit:
		v, err = gate.Call[message.Submit, message.Request](s.t.Context(), s.core, method, in)
	case message.Approve:
		v, err = gate.Call[message.Approve, message.Request](s.t.Context(), s.core, method, in)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

// give enrols a further key of a person.
func (s *site) give(p coretest.Person, k passkey) {
	s.t.Helper()
	b := request.PersonKeyAddBody{Person: p.ID, Key: k.public}
	c := webauthn.Challenge(b.Message(s.core.Authority()))
	b.Possession = k.assert(c[:], k.public.Origin).encode()
	s.govern(request.PersonKeyAdd, b, p)
}

// browser is somebody's browser: a cookie, and the token that the last page said.
type browser struct {
	s      *site
	cookie *http.Cookie
	token  string
	remote string
}

func (s *site) browser() *browser { return &browser{s: s, remote: "192.0.2.1:5000"} }

func (b *browser) do(method, path string, body []byte, change ...func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, origin+path, bytes.NewReader(body))
	r.RemoteAddr = b.remote
	if method == http.MethodPost {
		r.Header.Set("Origin", origin)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
		r.Header.Set(TokenHeader, b.token)
	}
	if b.cookie != nil {
		r.AddCookie(b.cookie)
	}
	for _, f := range change {
		f(r)
	}
	w := httptest.NewRecorder()
	b.s.pages.ServeHTTP(w, r)
	for _, c := range w.Result().Cookies() {
		b.cookie = c
	}
	return w
}

var tokenIn = regexp.MustCompile(`data-token="([^"]*)"`)

// get loads a page and takes its token.
func (b *browser) get(path string, status int) string {
	b.s.t.Helper()
	w := b.do(http.MethodGet, path, nil)
	if w.Code != status {
		b.s.t.Fatalf("GET %s: %d, want %d: %s", path, w.Code, status, w.Body)
	}
	if m := tokenIn.FindStringSubmatch(w.Body.String()); m != nil {
		b.token = m[1]
	}
	return w.Body.String()
}

// post posts and reads the answer; kind is of the problem, empty for success.
func (b *browser) post(path string, in, out any, change ...func(*http.Request)) problem.Kind {
	b.s.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		b.s.t.Fatal(err)
	}
	w := b.do(http.MethodPost, path, body, change...)
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			b.s.t.Fatalf("%s: %v: %s", path, err, w.Body)
		}
		return ""
	}
	var p struct {
		Kind   problem.Kind
		Detail string
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Kind == "" || p.Detail == "" || !strings.Contains(w.Header().Get("Content-Type"), "problem") {
		b.s.t.Fatalf("%s: %d is no problem document: %s", path, w.Code, w.Body)
	}
	return p.Kind
}

func (b *browser) ticket() (t ticketOut) {
	b.s.t.Helper()
	if k := b.post("/app/sign-in/challenge", struct{}{}, &t); k != "" {
		b.s.t.Fatal(k)
	}
	return t
}

func (b *browser) signIn(p custody.PersonID, k passkey) problem.Kind {
	b.s.t.Helper()
	t := b.ticket()
	return b.post("/app/sign-in", signInIn{Ticket: t.Ticket, Person: p, Assertion: k.assert(t.Challenge, origin)}, &struct{}{})
}

// signedIn is the browser of somebody who has just signed in.
func (s *site) signedIn(p custody.PersonID, k passkey) *browser {
	s.t.Helper()
	b := s.browser()
	if kind := b.signIn(p, k); kind != "" {
		s.t.Fatalf("sign in: %s", kind)
	}
	b.get("/app/", http.StatusOK)
	return b
}

// transfer is a request that two of three approve.
func (s *site) transfer(by coretest.Person, amount uint64) message.Request {
	s.t.Helper()
	return s.asked(by, request.Transfer, request.TransferBody{Wallet: "hot", Asset: coretest.Ether,
		Outputs: []request.Output{{Address: coretest.EthereumTo, Amount: custody.U64(amount)}}, FeeCap: custody.U64(1e15)})
}

var choiceIn = regexp.MustCompile(`data-decision="(\w+)" data-request="\w+" data-message="([^"]+)"`)

// choices gives what a page offers to sign: messages by decision.
func choices(t *testing.T, page string) map[request.Decision][]byte {
	t.Helper()
	out := map[request.Decision][]byte{}
	for _, m := range choiceIn.FindAllStringSubmatch(page, -1) {
		b, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(m[2], "&#43;", "+"))
		if err != nil {
			t.Fatal(err)
		}
		out[request.Decision(m[1])] = b
	}
	return out
}
