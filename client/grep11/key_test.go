// SPDX-License-Identifier: Apache-2.0

package grep11_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"strongroom/client/grep11"
	"strongroom/internal/pure/ep11"
)

func rsaSPKI(p *rsa.PublicKey) []byte {
	b, err := x509.MarshalPKIXPublicKey(p)
	if err != nil {
		panic(err)
	}
	return b
}

func generate(t testing.TB, s grep11.Transport, k grep11.Kind, use grep11.Use) *grep11.Key {
	t.Helper()
	key, err := grep11.Generate(t.Context(), s, k, use)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestSign: the standard library verifies what each kind of key signs, and a key that was kept and opened again is the same.
func TestSign(t *testing.T) {
	t.Parallel()
	s := newSoft()
	digest := sha256.Sum256([]byte("message"))
	for name, k := range map[string]grep11.Kind{"P-256": grep11.P256, "P-384": grep11.P384, "P-521": grep11.P521} {
		key := generate(t, s, k, grep11.Signing)
		again, err := grep11.Open(s, firstOf(key.Blobs()), secondOf(key.Blobs()))
		if err != nil {
			t.Fatal(err)
		}
		for range 300 { // leading zeros of r and s
			sig, err := again.Sign(rand.Reader, digest[:], crypto.SHA256)
			if err != nil || !ecdsa.VerifyASN1(key.Public().(*ecdsa.PublicKey), digest[:], sig) {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if name != key.Public().(*ecdsa.PublicKey).Curve.Params().Name {
			t.Errorf("%s: another curve", name)
		}
	}
	ed := generate(t, s, grep11.Ed25519, grep11.Signing)
	if sig, err := ed.Sign(nil, []byte("message"), crypto.Hash(0)); err != nil || !ed25519.Verify(ed.Public().(ed25519.PublicKey), []byte("message"), sig) {
		t.Error(err)
	}
	if sig, err := ed.Sign(nil, []byte("message"), nil); err != nil || len(sig) != 64 {
		t.Error(err)
	}
	key := generate(t, s, grep11.RSA2048, grep11.Signing)
	pub := key.Public().(*rsa.PublicKey)
	sig, err := key.Sign(nil, digest[:], crypto.SHA256)
	if err != nil || rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], sig) != nil {
		t.Error(err)
	}
	long := sha512.Sum512([]byte("message"))
	for _, salt := range []int{rsa.PSSSaltLengthAuto, rsa.PSSSaltLengthEqualsHash, 20} {
		sig, err := key.Sign(nil, long[:], &rsa.PSSOptions{SaltLength: salt, Hash: crypto.SHA512})
		want := salt
		if salt <= 0 {
			want = 64
		}
		if err != nil || rsa.VerifyPSS(pub, crypto.SHA512, long[:], sig, &rsa.PSSOptions{SaltLength: want}) != nil {
			t.Errorf("salt %d: %v", salt, err)
		}
	}
}

func firstOf(a, _ []byte) []byte  { return a }
func secondOf(_, b []byte) []byte { return b }

func TestDecrypt(t *testing.T) {
	t.Parallel()
	s := newSoft()
	key := generate(t, s, grep11.RSA2048, grep11.Decrypting)
	pub := key.Public().(*rsa.PublicKey)
	secret := []byte("0123456789abcdef")
	old, err := rsa.EncryptPKCS1v15(rand.Reader, pub, secret) //nolint:staticcheck // CKM_RSA_PKCS is what callers have; it is for those who must
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []crypto.DecrypterOpts{nil, &rsa.PKCS1v15DecryptOptions{}, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 16}} { //nolint:staticcheck // CKM_RSA_PKCS is what callers have; it is for those who must
		if b, err := key.Decrypt(nil, old, o); err != nil || !bytes.Equal(b, secret) {
			t.Errorf("%T: %v", o, err)
		}
	}
	bad := append(make([]byte, len(old)-1), 1)                                                                                                 // decrypts to 1, which has no padding; what has a bit flipped may seem to have one
	if b, err := key.Decrypt(nil, bad, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 16}); err != nil || len(b) != 16 || bytes.Equal(b, secret) { //nolint:staticcheck // CKM_RSA_PKCS is what callers have; it is for those who must
		t.Errorf("a bad padding shows: %v", err)
	}
	if b, err := key.Decrypt(nil, old, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 24}); err != nil || len(b) != 24 { //nolint:staticcheck // CKM_RSA_PKCS is what callers have; it is for those who must
		t.Errorf("another length shows: %v", err)
	}
	if _, err := key.Decrypt(nil, bad, nil); !errors.Is(err, ep11.CKR_ENCRYPTED_DATA_INVALID) {
		t.Error(err)
	}
	for _, label := range []string{"", "label"} {
		c, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, pub, secret, []byte(label))
		if err != nil {
			t.Fatal(err)
		}
		if b, err := key.Decrypt(nil, c, &rsa.OAEPOptions{Hash: crypto.SHA256, Label: []byte(label)}); err != nil || !bytes.Equal(b, secret) {
			t.Errorf("label %q: %v", label, err)
		}
	}
	s.err = &ep11.Failure{Code: ep11.CKR_DEVICE_ERROR, Retry: true}
	if _, err := key.Decrypt(nil, old, &rsa.PKCS1v15DecryptOptions{SessionKeyLen: 16}); err == nil { //nolint:staticcheck // CKM_RSA_PKCS is what callers have; it is for those who must
		t.Error("a random key although nobody answered")
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	s := newSoft()
	ec, ed, rs := generate(t, s, grep11.P256, grep11.Signing), generate(t, s, grep11.Ed25519, grep11.Signing), generate(t, s, grep11.RSA2048, grep11.Signing)
	for name, f := range map[string]func() error{
		"digest too short": func() error { _, err := ec.Sign(nil, make([]byte, 20), crypto.SHA256); return err },
		"Ed25519 prehash":  func() error { _, err := ed.Sign(nil, make([]byte, 64), crypto.SHA512); return err },
		"hash":             func() error { _, err := rs.Sign(nil, make([]byte, 16), crypto.MD5); return err },
		"PSS without hash": func() error { _, err := rs.Sign(nil, nil, &rsa.PSSOptions{}); return err },
		"negative salt": func() error {
			_, err := rs.Sign(nil, make([]byte, 32), &rsa.PSSOptions{Hash: crypto.SHA256, SaltLength: -7})
			return err
		},
		"decrypt by ECDSA": func() error { _, err := ec.Decrypt(nil, nil, nil); return err },
		"OAEP hash":        func() error { _, err := rs.Decrypt(nil, nil, &rsa.OAEPOptions{Hash: crypto.MD5}); return err },
		"options":          func() error { _, err := rs.Decrypt(nil, nil, 7); return err },
		"no blob":          func() error { _, err := grep11.Open(s, nil, secondOf(ec.Blobs())); return err },
		"no transport":     func() error { _, err := grep11.Open(nil, []byte("x"), secondOf(ec.Blobs())); return err },
		"no public key":    func() error { _, err := grep11.Open(s, []byte("x"), []byte("y")); return err },
		"P-224": func() error {
			k, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
			if err != nil {
				return nil
			}
			_, err = grep11.Open(s, []byte("x"), secondOf(s.add(k)))
			return err
		},
		"short Ed25519": func() error {
			_, err := grep11.Open(s, []byte("x"), ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(ep11.OIDEd25519), Key: make([]byte, 31)}.SPKI())
			return err
		},
		"secp256k1": func() error {
			_, err := grep11.Open(s, []byte("x"), ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(ep11.OIDSecp256k1), Key: make([]byte, 65)}.SPKI())
			return err
		},
		"no kind":                 func() error { _, err := grep11.Generate(t.Context(), s, grep11.Kind{}, grep11.Signing); return err },
		"no use":                  func() error { _, err := grep11.Generate(t.Context(), s, grep11.RSA2048, 0); return err },
		"ECDSA decrypts":          func() error { _, err := grep11.Generate(t.Context(), s, grep11.P256, grep11.Decrypting); return err },
		"another's certificate":   func() error { _, err := ec.TLSConfig(selfSigned(t, ed)); return err },
		"no certificate":          func() error { _, err := ec.TLSConfig(); return err },
		"garbage for certificate": func() error { _, err := ec.TLSConfig([]byte("x")); return err },
		"plaintext elsewhere": func() error {
			_, err := grep11.Dial(grep11.Config{Address: "192.0.2.1:1", Plaintext: true})
			return err
		},
		"nobody": func() error { _, err := grep11.Dial(grep11.Config{Address: "localhost:1"}); return err },
		"an unknown blob is used": func() error {
			k, _ := grep11.Open(s, []byte("x"), secondOf(ec.Blobs()))
			_, err := k.Sign(nil, make([]byte, 32), crypto.SHA256)
			return err
		},
	} {
		if err := f(); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func selfSigned(t testing.TB, k crypto.Signer) []byte {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestTLS: servers and clients of TLS 1.3 whose keys are elsewhere.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := newSoft()
	for name, k := range map[string]grep11.Kind{"P-256": grep11.P256, "P-384": grep11.P384, "P-521": grep11.P521, "Ed25519": grep11.Ed25519, "RSA": grep11.RSA2048} {
		key := generate(t, s, k, grep11.Signing)
		der := selfSigned(t, key)
		conf, err := key.TLSConfig(der)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		conf.ClientAuth = tls.RequireAnyClientCert
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, r.TLS.Version, len(r.TLS.PeerCertificates))
		}))
		srv.TLS = conf
		srv.StartTLS()
		defer srv.Close()
		leaf, _ := x509.ParseCertificate(der)
		client, err := key.TLSConfig(der)
		if err != nil {
			t.Fatal(err)
		}
		client.RootCAs = x509.NewCertPool()
		client.RootCAs.AddCert(leaf)
		resp, err := (&http.Client{Transport: &http.Transport{TLSClientConfig: client}}).Get(srv.URL)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != fmt.Sprint(tls.VersionTLS13, 1) {
			t.Errorf("%s: %s", name, b)
		}
	}
}

// TestTokens: one is fetched when it is needed, and again before it ends.
func TestTokens(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	fetched, status := 0, http.StatusOK
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/identity/token" || r.FormValue("apikey") != "srk_1" || !strings.HasPrefix(r.FormValue("grant_type"), "urn:") {
			t.Errorf("%s %v", r.URL, r.Form)
		}
		fetched++
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"access_token":"t%d","expires_in":600,"errorMessage":"no"}`, fetched)
	}))
	defer srv.Close()
	get := grep11.Tokens(srv.Client(), srv.URL+"/", func() ([]byte, error) { return []byte("srk_1\n"), nil }, func() time.Time { return at })
	for i, want := range []string{"t1", "t1", "t2"} {
		if i == 2 {
			at = at.Add(9 * time.Minute)
		}
		if got, err := get(t.Context()); err != nil || got != want {
			t.Errorf("%d: %s, %v", i, got, err)
		}
	}
	at, status = at.Add(time.Hour), http.StatusBadRequest
	if _, err := get(t.Context()); err == nil || !strings.Contains(err.Error(), "no") {
		t.Errorf("refused: %v", err)
	}
}

func ExampleGenerate() {
	var gateway grep11.Transport = newSoft() // grep11.Dial(…) and Transport in a program
	key, err := grep11.Generate(context.Background(), gateway, grep11.P256, grep11.Signing)
	if err != nil {
		fmt.Println(err)
		return
	}
	private, public := key.Blobs() // keep these: the key itself stays in the domain
	key, err = grep11.Open(gateway, private, public)
	if err != nil {
		fmt.Println(err)
		return
	}
	digest := sha256.Sum256([]byte("hello"))
	sig, err := key.Sign(nil, digest[:], crypto.SHA256)
	fmt.Println(err, ecdsa.VerifyASN1(key.Public().(*ecdsa.PublicKey), digest[:], sig))
	// Output: <nil> true
}
