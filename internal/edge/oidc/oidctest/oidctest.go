// SPDX-License-Identifier: Apache-2.0

// Package oidctest is a small identity provider for tests: discovery, keys, authorization with PKCE and tokens, on loopback by TLS. It signs in whoever asks as the
// subject that the test says, and can be told to answer wrongly.
package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Client and secret of the one client.
const (
	ClientID = "strongroom"
	Secret   = "a secret of the client"
)

// Provider is the provider. Its fields are changed between sign-ins only.
type Provider struct {
	*httptest.Server
	Subject string
	Now     func() time.Time
	Change  func(claims map[string]any) // before they are signed; nil: nothing
	Sign    *ecdsa.PrivateKey           // signs; another one than is published, if a test says so

	t     testing.TB
	key   *ecdsa.PrivateKey
	mu    sync.Mutex // guards codes
	codes map[string]url.Values
}

// New starts a provider.
func New(t testing.TB, now func() time.Time) *Provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{Subject: "subject-1", Now: now, Sign: key, t: t, key: key, codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *Provider) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

func (p *Provider) discovery(w http.ResponseWriter, _ *http.Request) {
	p.answer(w, map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"}})
}

func (p *Provider) keys(w http.ResponseWriter, _ *http.Request) {
	p.answer(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &p.key.PublicKey, KeyID: "k", Algorithm: "ES256", Use: "sig"}}})
}

// authorize signs the browser in without a question and sends it back.
func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("response_type") != "code" || q.Get("client_id") != ClientID || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("state") == "" || q.Get("scope") != "openid" {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	p.mu.Lock()
	p.codes[code] = q
	p.mu.Unlock()
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusFound)
}

// token gives an ID token for a code, once, to the client that has the verifier.
func (p *Provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	q, ok := p.codes[r.FormValue("code")]
	delete(p.codes, r.FormValue("code"))
	p.mu.Unlock()
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	} else if plain, err := url.QueryUnescape(secret); err == nil {
		secret = plain
	}
	sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	if !ok || id != ClientID || secret != Secret || base64.RawURLEncoding.EncodeToString(sum[:]) != q.Get("code_challenge") || r.FormValue("redirect_uri") != q.Get("redirect_uri") {
		w.WriteHeader(http.StatusBadRequest)
		p.answer(w, map[string]string{"error": "invalid_grant"})
		return
	}
	now := p.Now().Unix()
	claims := map[string]any{"iss": p.URL, "sub": p.Subject, "aud": ClientID, "nonce": q.Get("nonce"), "iat": now, "exp": now + 300}
	if p.Change != nil {
		p.Change(claims)
	}
	p.answer(w, map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "id_token": p.signed(claims)})
}

func (p *Provider) signed(claims map[string]any) string {
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: p.Sign, KeyID: "k"}}, nil)
	if err != nil {
		p.t.Error(err)
		return ""
	}
	b, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
	}
	x, err := s.Sign(b)
	if err != nil {
		p.t.Error(err)
		return ""
	}
	text, err := x.CompactSerialize()
	if err != nil {
		p.t.Error(err)
	}
	return text
}
