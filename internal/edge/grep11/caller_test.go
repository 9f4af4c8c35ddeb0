// SPDX-License-Identifier: Apache-2.0

package grep11_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/edge/grep11"
	"strongroom/internal/edge/grep11/apikey"
	"strongroom/internal/pure/ep11"
)

func clientCertificate(t testing.TB, g *gateway) []tls.Certificate {
	t.Helper()
	return []tls.Certificate{certificate(t, p256(t), g.clock.Now(), nil)}
}

func list(t testing.TB, c grpc.ClientConnInterface) error {
	t.Helper()
	_, err := wire.NewCryptoClient(c).GetMechanismList(t.Context(), &wire.GetMechanismListRequest{})
	return err
}

// TestCertificateCaller: the caller is the certificate's key, whoever issued the certificate and whatever it is called.
func TestCertificateCaller(t *testing.T) {
	t.Parallel()
	g := start(t)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	strong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []crypto.Signer{p256(t), ed, strong} {
		spki, err := x509.MarshalPKIXPublicKey(key.Public())
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.Sum256(spki)
		for _, name := range []string{"one", "two"} {
			cert := certificate(t, key, g.clock.Now(), func(c *x509.Certificate) { c.Subject.CommonName = name })
			if err := list(t, g.dial(t, []tls.Certificate{cert})); err != nil {
				t.Fatal(err)
			}
			if who, _ := g.core.last(); who != "cert:"+hex.EncodeToString(h[:]) || who != grep11.CertificateCaller(cert.Leaf) {
				t.Errorf("caller %s", who)
			}
		}
	}
}

// TestRefusedCertificates: the handshake, or the call on a connection that outlived its certificate.
func TestRefusedCertificates(t *testing.T) {
	t.Parallel()
	g := start(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		weak = nil // this Go refuses to make one
	}
	change := func(f func(c *x509.Certificate)) tls.Certificate { return certificate(t, p256(t), g.clock.Now(), f) }
	cases := map[string]tls.Certificate{
		"over":       change(func(c *x509.Certificate) { c.NotAfter = g.clock.Now().Add(-time.Second) }),
		"not yet":    change(func(c *x509.Certificate) { c.NotBefore = g.clock.Now().Add(time.Minute) }),
		"of servers": change(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }),
	}
	if weak != nil {
		cases["RSA 1024"] = certificate(t, weak, g.clock.Now(), nil)
	}
	for name, cert := range cases {
		if err := list(t, g.dial(t, []tls.Certificate{cert})); status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := g.dial(t, clientCertificate(t, g))
	if err := list(t, c); err != nil {
		t.Fatal(err)
	}
	g.clock.add(2 * time.Hour)
	refused(t, list(t, c), ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	if who, _ := g.core.last(); g.core.calls != 1 {
		t.Errorf("%d calls reached the core, the last by %s", g.core.calls, who)
	}
}

// TestNobody: without a name nothing reaches the core, and the message is not read.
func TestNobody(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.dial(t, nil)
	for _, m := range methods(t) {
		_, err := m.call(t.Context(), c, m.in.New().Interface())
		refused(t, err, ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	}
	_, err := wire.NewCryptoClient(c).Digest(t.Context(), &wire.DigestRequest{Data: make([]byte, 1<<20)})
	refused(t, err, ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	refused(t, list(t, g.dial(t, nil, grpc.WithPerRPCCredentials(bearer("Bearer ")))), ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	if g.core.calls != 0 {
		t.Errorf("%d calls reached the core", g.core.calls)
	}
}

func TestConfiguredAuthority(t *testing.T) {
	t.Parallel()
	ca := certificate(t, p256(t), time.Now(), func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage, c.ExtKeyUsage = true, true, x509.KeyUsageCertSign, nil
	})
	g := start(t, func(c *grep11.Config) { c.ClientCAs = x509.NewCertPool(); c.ClientCAs.AddCert(ca.Leaf) })
	key := p256(t)
	c := certificate(t, key, g.clock.Now(), nil)
	if err := list(t, g.dial(t, []tls.Certificate{c})); status.Code(err) != codes.Unavailable {
		t.Errorf("a certificate of nobody's: %v", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, c.Leaf, ca.Leaf, key.Public(), ca.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := list(t, g.dial(t, []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}})); err != nil {
		t.Error(err)
	}
}

func TestOldTLS(t *testing.T) {
	t.Parallel()
	g := start(t)
	old := &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, RootCAs: g.roots, Time: g.clock.Now, Certificates: clientCertificate(t, g)}
	if err := list(t, connect(t, g.address, grpc.WithTransportCredentials(credentials.NewTLS(old)))); status.Code(err) != codes.Unavailable {
		t.Errorf("TLS 1.2: %v", err)
	}
	if err := list(t, connect(t, g.address, grpc.WithTransportCredentials(insecure.NewCredentials()))); status.Code(err) != codes.Unavailable {
		t.Errorf("plaintext: %v", err)
	}
}

// TestPlaintext: one name for all callers, and only on loopback.
func TestPlaintext(t *testing.T) {
	t.Parallel()
	g := start(t, plaintext)
	if _, err := g.plain(t).GetMechanismList(t.Context(), &wire.GetMechanismListRequest{}); err != nil {
		t.Fatal(err)
	}
	if who, _ := g.core.last(); who != "local:dev" {
		t.Errorf("caller %s", who)
	}
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Serve(t.Context(), l); err == nil || !strings.Contains(err.Error(), "loopback") {
		t.Errorf("all addresses: %v", err)
	}
	if _, err := l.Accept(); err == nil {
		t.Error("the listener is still open")
	}
}

func TestConfigs(t *testing.T) {
	t.Parallel()
	good := func() grep11.Config {
		return grep11.Config{Core: &fakeCore{}, Log: discard, Now: time.Now, TLS: &tls.Config{}}
	}
	if _, err := grep11.New(good()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*grep11.Config){
		"zero":                   func(c *grep11.Config) { *c = grep11.Config{} },
		"no core":                func(c *grep11.Config) { c.Core = nil },
		"plaintext without name": func(c *grep11.Config) { c.TLS = nil },
		"plaintext and TLS":      func(c *grep11.Config) { c.Local = "dev" },
		"plaintext and roots":    func(c *grep11.Config) { c.TLS, c.Local, c.ClientCAs = nil, "dev", x509.NewCertPool() },
		"bad name":               func(c *grep11.Config) { c.TLS, c.Local = nil, "Dev:1" },
		"connections":            func(c *grep11.Config) { c.MaxConnections = -1 },
	} {
		c := good()
		change(&c)
		if _, err := grep11.New(c); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

// exchange asks the token endpoint, as clients do: the key is not escaped.
func exchange(t testing.TB, g *gateway, body string) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, grep11.TokenPath, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:5555"
	g.TokenEndpoint().ServeHTTP(w, r)
	var m map[string]any
	b, _ := io.ReadAll(w.Result().Body)
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return w.Code, m
}

func form(apiKey string) string { return "grant_type=" + grep11.GrantType + "&apikey=" + apiKey }

func newKey(t testing.TB, g *gateway, subject string, ends time.Time) (string, apikey.Key) {
	t.Helper()
	b, k, err := apikey.Add(g.keys, subject, g.clock.Now(), ends)
	if err != nil {
		t.Fatal(err)
	}
	g.clock.add(2 * time.Second) // the file is looked at again
	return string(b), k
}

// TestTokens goes the way of the vendor's client: API key, token, calls, and all the ends that a token has.
func TestTokens(t *testing.T) {
	t.Parallel()
	g := start(t)
	key, k := newKey(t, g, "billing", time.Time{})
	code, m := exchange(t, g, form(key))
	if code != http.StatusOK || m["token_type"] != "Bearer" || m["expires_in"].(float64) != 3600 {
		t.Fatalf("%d %v", code, m)
	}
	token := m["access_token"].(string)
	with := func(header string, certs ...tls.Certificate) error {
		return list(t, g.dial(t, certs, grpc.WithPerRPCCredentials(bearer(header))))
	}
	for _, header := range []string{"Bearer " + token, "bearer " + token} {
		if err := with(header); err != nil {
			t.Fatalf("%s: %v", header, err)
		}
		if who, _ := g.core.last(); who != "token:billing" {
			t.Errorf("caller %s", who)
		}
	}
	certs := clientCertificate(t, g)
	if err := with("Bearer "+token, certs...); err != nil {
		t.Error(err)
	}
	if who, _ := g.core.last(); who != "token:billing" {
		t.Errorf("a token and a certificate: caller %s", who)
	}
	if err := with("Bearer ", certs...); err != nil {
		t.Error(err)
	}
	if who, _ := g.core.last(); !strings.HasPrefix(who, "cert:") {
		t.Errorf("an empty token and a certificate: caller %s", who)
	}
	bad := bytes.Clone([]byte(token))
	bad[20] ^= 1
	for _, header := range []string{"Bearer " + string(bad), "Basic " + token, token, "Bearer x", "Bearer " + token + "A"} {
		refused(t, with(header, certs...), ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	}
	// A token that was good ends with its key, and with its time.
	other, _ := newKey(t, g, "other", time.Time{})
	_, m = exchange(t, g, form(other))
	if err := apikey.Remove(g.keys, k.ID); err != nil {
		t.Fatal(err)
	}
	g.clock.add(2 * time.Second)
	refused(t, with("Bearer "+token), ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	second := "Bearer " + m["access_token"].(string)
	if err := with(second); err != nil {
		t.Error(err)
	}
	g.clock.add(time.Hour)
	refused(t, with(second), ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	if code, _ := exchange(t, g, form(key)); code != http.StatusBadRequest {
		t.Errorf("a removed key: %d", code)
	}
}

func TestTokenRequests(t *testing.T) {
	t.Parallel()
	g := start(t)
	key, _ := newKey(t, g, "billing", time.Time{})
	for _, body := range []string{"", "apikey=" + key, "grant_type=password&apikey=" + key, form(key) + "&apikey=" + key, form(""), form(key + "x"), "%", form(key[:30])} {
		if code, m := exchange(t, g, body); code != http.StatusBadRequest || m["access_token"] != nil {
			t.Errorf("%q: %d %v", body, code, m)
		}
	}
	if code, _ := exchange(t, g, form(key)+strings.Repeat("&x=y", 4000)); code != http.StatusBadRequest {
		t.Errorf("a form that is too large: %d", code)
	}
	for _, r := range []*http.Request{httptest.NewRequest(http.MethodGet, grep11.TokenPath, nil), httptest.NewRequest(http.MethodPost, "/", nil)} {
		w := httptest.NewRecorder()
		g.TokenEndpoint().ServeHTTP(w, r)
		if w.Code != http.StatusMethodNotAllowed && w.Code != http.StatusNotFound {
			t.Errorf("%s %s: %d", r.Method, r.URL, w.Code)
		}
	}
}

// TestLockOut: ten bad keys or tokens have the address told to wait, and it may go on after that; what is good is taken all the while.
func TestLockOut(t *testing.T) {
	t.Parallel()
	g := start(t)
	key, _ := newKey(t, g, "billing", time.Time{})
	_, m := exchange(t, g, form(key))
	good := bearer("Bearer " + m["access_token"].(string))
	bad := form("srk_0000000000000000_x")
	for range grep11.MaxTries / 2 {
		if code, _ := exchange(t, g, bad); code != http.StatusBadRequest {
			t.Errorf("a bad key: %d", code)
		}
		refused(t, list(t, g.dial(t, nil, grpc.WithPerRPCCredentials(bearer("Bearer x")))), ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED)
	}
	if code, _ := exchange(t, g, bad); code != http.StatusTooManyRequests {
		t.Errorf("a bad key more: %d", code)
	}
	err := list(t, g.dial(t, nil, grpc.WithPerRPCCredentials(bearer("Bearer x"))))
	if d := detail(t, err); !strings.Contains(d.GetDetail(), "too many") {
		t.Errorf("a bad token more: %v", d)
	}
	if code, _ := exchange(t, g, form(key)); code != http.StatusOK {
		t.Errorf("a good key: %d", code)
	}
	if err := list(t, g.dial(t, nil, grpc.WithPerRPCCredentials(good))); err != nil {
		t.Errorf("a good token: %v", err)
	}
	if err := list(t, g.dial(t, clientCertificate(t, g))); err != nil {
		t.Errorf("a certificate: %v", err)
	}
	g.clock.add(grep11.LockOut)
	for range grep11.MaxTries - 1 { // too few
		if code, _ := exchange(t, g, bad); code != http.StatusBadRequest {
			t.Errorf("after the time: %d", code)
		}
	}
	g.clock.add(grep11.TryWindow)
	for range 2 {
		if code, _ := exchange(t, g, bad); code != http.StatusBadRequest {
			t.Errorf("eleven in two windows: %d", code)
		}
	}
}

// TestEndedIsNoGuess: tokens and API keys that were good once, and a file of keys that can't be read, lock nobody out.
func TestEndedIsNoGuess(t *testing.T) {
	t.Parallel()
	g := start(t)
	key, _ := newKey(t, g, "billing", g.clock.Now().Add(time.Minute))
	_, m := exchange(t, g, form(key))
	token := grpc.WithPerRPCCredentials(bearer("Bearer " + m["access_token"].(string)))
	g.clock.add(time.Hour)
	c := g.dial(t, nil, token)
	for range grep11.MaxTries + 1 {
		refused(t, list(t, c), ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED)
		if code, _ := exchange(t, g, form(key)); code != http.StatusBadRequest {
			t.Errorf("a key that has ended: %d", code)
		}
	}
	other, _ := newKey(t, g, "other", time.Time{})
	_, m = exchange(t, g, form(other))
	c = g.dial(t, nil, grpc.WithPerRPCCredentials(bearer("Bearer "+m["access_token"].(string))))
	if err := os.Chmod(g.keys, 0o644); err != nil {
		t.Fatal(err)
	}
	g.clock.add(2 * time.Second)
	for range grep11.MaxTries + 1 {
		refused(t, list(t, c), ep11.CKR_DEVICE_ERROR)
		if code, _ := exchange(t, g, form(other)); code != http.StatusServiceUnavailable {
			t.Errorf("a file that can't be read: %d", code)
		}
	}
	if err := os.Chmod(g.keys, 0o600); err != nil {
		t.Fatal(err)
	}
	g.clock.add(2 * time.Second)
	if err := list(t, c); err != nil {
		t.Error(err)
	}
	if code, _ := exchange(t, g, form("srk_0000000000000000_x")); code != http.StatusBadRequest {
		t.Errorf("the first guess: %d", code)
	}
}
