// SPDX-License-Identifier: Apache-2.0

package tlsca_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"strongroom/internal/edge/tlsca"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

const person = custody.PersonID("p_aaaaaaaaaaaaaaaa")

type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.t }

func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.t = c.t.Add(d) }

func newClock() *clock { return &clock{t: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)} }

func open(t *testing.T, dir string, c *clock) *tlsca.Authority {
	t.Helper()
	a, err := tlsca.Open(tlsca.Config{Dir: dir, Names: tlsca.DefaultNames(), Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func csr(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	b, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "p_zzzzzzzzzzzzzzzz"},
		DNSNames: []string{"evil.example"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func p256(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestReopenedAuthorityIsTheSame(t *testing.T) {
	t.Parallel()
	dir, c := filepath.Join(t.TempDir(), "serve"), newClock()
	first := open(t, dir, c).Certificate().Raw
	if second := open(t, dir, c).Certificate().Raw; !bytes.Equal(first, second) {
		t.Error("opening again made another authority")
	}
	st, err := os.Stat(filepath.Join(dir, tlsca.KeyFile))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("key file has mode %v, want 0600 (%v)", st.Mode().Perm(), err)
	}
	// The public file comes back when it is lost.
	if err := os.Remove(filepath.Join(dir, tlsca.CertificateFile)); err != nil {
		t.Fatal(err)
	}
	open(t, dir, c)
	if _, err := os.Stat(filepath.Join(dir, tlsca.CertificateFile)); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("folder holds %d files, want 2 (%v)", len(left), err)
	}
}

func TestStartsAtOnceAgreeOnOneAuthority(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	certs := make([][]byte, 4)
	var wg sync.WaitGroup
	for i := range certs {
		wg.Go(func() {
			if a, err := tlsca.Open(tlsca.Config{Dir: dir, Names: tlsca.DefaultNames(), Now: c.Now}); err != nil {
				t.Error(err)
			} else {
				certs[i] = a.Certificate().Raw
			}
		})
	}
	wg.Wait()
	for _, b := range certs[1:] {
		if !bytes.Equal(b, certs[0]) {
			t.Fatal("two authorities were made")
		}
	}
}

func TestRefusesBadFolders(t *testing.T) {
	t.Parallel()
	c := newClock()
	for _, tc := range []struct {
		name string
		do   func(path string) error
	}{
		{"readable by others", func(p string) error { return os.Chmod(p, 0o640) }},
		{"cut", func(p string) error { return os.Truncate(p, 100) }},
		{"empty", func(p string) error { return os.Truncate(p, 0) }},
		{"trailing bytes", func(p string) error {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.WriteString("more")
			return err
		}},
		{"ended", func(string) error { c.add(tlsca.AuthorityLife + time.Hour); return nil }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir := t.TempDir()
			open(t, dir, c)
			if err := tc.do(filepath.Join(dir, tlsca.KeyFile)); err != nil {
				t.Fatal(err)
			}
			if _, err := tlsca.Open(tlsca.Config{Dir: dir, Names: tlsca.DefaultNames(), Now: c.Now}); err == nil {
				t.Error("was opened")
			}
		})
	}
	if _, err := tlsca.Open(tlsca.Config{}); err == nil {
		t.Error("a zero config was accepted")
	}
}

func TestIssue(t *testing.T) {
	t.Parallel()
	c := newClock()
	a := open(t, t.TempDir(), c)
	_, ed, _ := ed25519.GenerateKey(rand.Reader)
	for _, key := range []crypto.Signer{p256(t), ed} {
		der, ca, err := a.Issue(csr(t, key), person)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		if cert.Subject.CommonName != string(person) || len(cert.DNSNames) != 0 || cert.IsCA {
			t.Errorf("certificate is for %q with names %v", cert.Subject.CommonName, cert.DNSNames)
		}
		if len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
			t.Errorf("extended key usage %v, want client authentication only", cert.ExtKeyUsage)
		}
		if !bytes.Equal(ca, a.Certificate().Raw) || cert.CheckSignatureFrom(a.Certificate()) != nil {
			t.Error("the authority did not issue it")
		}
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	a := open(t, t.TempDir(), newClock())
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := csr(t, p256(t))
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	for _, tc := range []struct {
		name string
		csr  []byte
		who  custody.PersonID
	}{
		{"rsa", csr(t, weak), person},
		{"forged", forged, person},
		{"empty", nil, person},
		{"garbage", []byte("-----BEGIN"), person},
		{"no person", good, "root"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := a.Issue(tc.csr, tc.who); problem.KindOf(err) != problem.Malformed {
				t.Errorf("got %v, want malformed", err)
			}
		})
	}
}

// handshake connects over loopback and gives the server's certificate as the client saw it.
func handshake(t *testing.T, server, client *tls.Config) (*x509.Certificate, []*x509.Certificate, error) {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	seen := make(chan []*x509.Certificate, 1)
	go func() {
		defer close(seen)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		tc := c.(*tls.Conn)
		if tc.Handshake() == nil {
			seen <- tc.ConnectionState().PeerCertificates
			_, _ = c.Write([]byte("x"))
		}
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	c := tls.Client(raw, client)
	if err := c.Handshake(); err != nil {
		return nil, nil, err
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		return nil, nil, err
	}
	return c.ConnectionState().PeerCertificates[0], <-seen, nil
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	c := newClock()
	a, other := open(t, t.TempDir(), c), open(t, t.TempDir(), c)
	key := p256(t)
	client := func(by *tlsca.Authority, name string) *tls.Config {
		conf := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: name, Time: c.Now}
		conf.RootCAs.AddCert(a.Certificate())
		if by != nil {
			der, _, err := by.Issue(csr(t, key), person)
			if err != nil {
				t.Fatal(err)
			}
			conf.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
		}
		return conf
	}
	server := a.ServerTLS()
	cert, seen, err := handshake(t, server, client(a, "localhost"))
	if err != nil || len(seen) != 1 || seen[0].Subject.CommonName != string(person) {
		t.Fatalf("good caller: %v, server saw %v", err, seen)
	}
	if _, seen, err := handshake(t, server, client(nil, "127.0.0.1")); err != nil || len(seen) != 0 {
		t.Errorf("anonymous caller: %v, server saw %v", err, seen)
	}
	if _, _, err := handshake(t, server, client(other, "localhost")); err == nil {
		t.Error("a certificate of another authority was accepted")
	}
	if _, _, err := handshake(t, server, client(a, "elsewhere.example")); err == nil {
		t.Error("the server's certificate is for any name")
	}
	old := client(a, "localhost")
	old.MaxVersion = tls.VersionTLS12
	if _, _, err := handshake(t, server, old); err == nil {
		t.Error("TLS 1.2 was accepted")
	}

	again, _, err := handshake(t, server, client(a, "localhost"))
	if err != nil || !bytes.Equal(again.Raw, cert.Raw) {
		t.Errorf("the server's certificate changed before its time (%v)", err)
	}
	c.add(tlsca.ServerLife * 3 / 4)
	renewed, _, err := handshake(t, server, client(a, "localhost"))
	if err != nil || bytes.Equal(renewed.Raw, cert.Raw) {
		t.Errorf("the server's certificate was not renewed (%v)", err)
	}
	stale := client(a, "localhost")
	c.add(tlsca.ClientLife + time.Hour)
	if _, _, err := handshake(t, server, stale); err == nil {
		t.Error("a client certificate past its time was accepted")
	}
}

// TestKeyElsewhere: the server's key is the one that is given, its certificate follows when it changes, and without it no handshake succeeds.
func TestKeyElsewhere(t *testing.T) {
	t.Parallel()
	c := newClock()
	var mu sync.Mutex
	var key crypto.Signer = p256(t)
	a, err := tlsca.Open(tlsca.Config{Dir: t.TempDir(), Names: tlsca.DefaultNames(), Now: c.Now, Key: func() (crypto.Signer, error) {
		mu.Lock()
		defer mu.Unlock()
		if key == nil {
			return nil, errors.New("gone")
		}
		return key, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	client := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost", Time: c.Now}
	client.RootCAs.AddCert(a.Certificate())
	server := a.ServerTLS()
	var seen [][]byte
	for range 2 {
		for range 2 {
			cert, _, err := handshake(t, server, client)
			if err != nil {
				t.Fatal(err)
			}
			if pub, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(key.Public()) {
				t.Error("the certificate is of another key")
			}
			seen = append(seen, cert.Raw)
		}
		mu.Lock()
		key = p256(t)
		mu.Unlock()
	}
	if !bytes.Equal(seen[0], seen[1]) || bytes.Equal(seen[1], seen[2]) {
		t.Error("a certificate is made anew when the key is, and not before")
	}
	mu.Lock()
	key = nil
	mu.Unlock()
	if _, _, err := handshake(t, server, client); err == nil {
		t.Error("a handshake without a key")
	}
}
