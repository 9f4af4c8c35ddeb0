// SPDX-License-Identifier: Apache-2.0

// Package tlsca is serve's own certificate authority: it names serve to its callers and callers to serve. Certificates open the
// transport only; every act is decided by the core on evidence of its own, and a certificate works only while its person is
// active in the rule document, which serve checks on each call.
//
// The authority's key (P-256) is made on the first start, in one file with its certificate, readable by its owner only; it
// refuses a file that others can read. The server's key lives in memory and is made anew well before its certificate ends; or elsewhere ([Config.Key]).
// X.509 as in RFC 5280, TLS 1.3 only.
package tlsca

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

// Lives of certificates.
const (
	AuthorityLife = 10 * 365 * 24 * time.Hour
	ServerLife    = 90 * 24 * time.Hour
	ClientLife    = 365 * 24 * time.Hour
	backdate      = 5 * time.Minute // for callers whose clocks lag
)

// Names of files in the folder.
const (
	KeyFile         = "ca-key.pem" // private key and certificate, 0600
	CertificateFile = "ca.pem"     // certificate alone, for callers
)

// DefaultNames are the server's names where none are configured.
func DefaultNames() []string { return []string{"localhost", "127.0.0.1", "::1"} }

// Config says where the authority lives and how the server is called. All fields but Key are required.
type Config struct {
	Dir   string   // serve's folder; made with mode 0700 if it is missing
	Names []string // DNS names and IP addresses
	Now   func() time.Time

	// Key gives the server's key where it does not lie in memory here. It is asked at each handshake, and may give another one than before;
	// while it fails no handshake succeeds. It is safe for concurrent use.
	Key func() (crypto.Signer, error)
}

// Authority issues certificates. Its methods are safe for concurrent use.
type Authority struct {
	cfg   Config
	key   *ecdsa.PrivateKey
	cert  *x509.Certificate
	roots *x509.CertPool

	mu     sync.Mutex // guards server
	server *tls.Certificate
}

// Open reads the authority of a folder, or makes it.
func Open(cfg Config) (*Authority, error) {
	if cfg.Dir == "" || len(cfg.Names) == 0 || cfg.Now == nil {
		return nil, errors.New("tlsca: folder, names and clock are required")
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("tlsca: %w", err)
	}
	a := &Authority{cfg: cfg, roots: x509.NewCertPool()}
	err := a.load()
	if errors.Is(err, fs.ErrNotExist) {
		if err = a.create(); err == nil || errors.Is(err, fs.ErrExist) { // another process was quicker
			err = a.load()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("tlsca: %w", err)
	}
	a.roots.AddCert(a.cert)
	return a, nil
}

// load reads the key file, and writes the certificate's file if it is not there as it should be.
func (a *Authority) load() error {
	path := filepath.Join(a.cfg.Dir, KeyFile)
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s can be read by others than its owner; run: chmod 600 %s", path, path)
	}
	text := make([]byte, min(st.Size(), 64<<10))
	if _, err := f.ReadAt(text, 0); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	defer clear(text)
	if err := a.parse(text); err != nil {
		return fmt.Errorf("%s: %w; restore it, or remove it and issue all certificates anew", path, err)
	}
	if now := a.cfg.Now(); now.After(a.cert.NotAfter) {
		return fmt.Errorf("the authority of %s ended on %s; remove it and issue all certificates anew", path, a.cert.NotAfter.Format(time.DateOnly))
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	if have, err := os.ReadFile(filepath.Join(a.cfg.Dir, CertificateFile)); err == nil && bytes.Equal(have, public) {
		return nil
	}
	return writeFile(a.cfg.Dir, CertificateFile, public, 0o644, os.Rename)
}

func (a *Authority) parse(text []byte) error {
	keyBlock, rest := pem.Decode(text)
	certBlock, rest := pem.Decode(rest)
	if keyBlock == nil || certBlock == nil || keyBlock.Type != "PRIVATE KEY" || certBlock.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) != 0 {
		return errors.New("does not hold a private key and a certificate, and nothing else")
	}
	key, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return errors.New("the private key can't be read") // the error may quote the key
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return errors.New("the private key is not of P-256")
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	if pub, ok := cert.PublicKey.(*ecdsa.PublicKey); !ok || !pub.Equal(&ec.PublicKey) || !cert.IsCA {
		return errors.New("the certificate is not of the private key")
	}
	a.key, a.cert = ec, cert
	return nil
}

func (a *Authority) create() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("make the authority's key: %w", err)
	}
	now := a.cfg.Now()
	t := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: "Strongroom serve"}, NotBefore: now.Add(-backdate),
		NotAfter: now.Add(AuthorityLife), IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	cert, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return fmt.Errorf("make the authority's certificate: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("write the authority's key: %w", err)
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	defer clear(text)
	return writeFile(a.cfg.Dir, KeyFile, append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})...), 0o600, os.Link)
}

// Certificate gives the authority's own certificate.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Issue gives a certificate for the key of a certificate request (DER) in a person's name, and the authority's own. What else
// the request asks for is ignored. Refused as malformed: a request that does not verify, and keys other than P-256, P-384 and
// Ed25519. Who may have it is for the caller to say.
func (a *Authority) Issue(csr []byte, person custody.PersonID) (certificate, authority []byte, err error) {
	if err := person.Check(); err != nil {
		return nil, nil, problem.New(problem.Malformed, "%v", err)
	}
	q, err := x509.ParseCertificateRequest(csr)
	if err != nil {
		return nil, nil, problem.New(problem.Malformed, "the certificate request can't be read; send PKCS #10 in DER")
	}
	if err := checkKey(q.PublicKey); err != nil {
		return nil, nil, problem.New(problem.Malformed, "certificate request: %v", err)
	}
	if err := q.CheckSignature(); err != nil {
		return nil, nil, problem.New(problem.Malformed, "the certificate request is not signed with its own key")
	}
	now := a.cfg.Now()
	t := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: string(person)}, NotBefore: now.Add(-backdate),
		NotAfter: earlier(now.Add(ClientLife), a.cert.NotAfter), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, t, a.cert, q.PublicKey, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("issue a certificate for %s: %w", person, err)
	}
	return cert, a.cert.Raw, nil
}

func checkKey(k crypto.PublicKey) error {
	switch k := k.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() {
			return nil
		}
	}
	return errors.New("the key must be of P-256, P-384 or Ed25519")
}

// End says when the authority ends; everything that it issued ends then at the latest.
func (a *Authority) End() time.Time { return a.cert.NotAfter }

// ServerTLS gives serve's side of TLS. Who shows no client certificate is let through, for the few anonymous calls.
func (a *Authority) ServerTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.VerifyClientCertIfGiven, ClientCAs: a.roots, Time: a.cfg.Now,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.serverCertificate() }}
}

// serverCertificate gives the server's certificate, a new one when a third of its life is left, or when the key is another.
func (a *Authority) serverCertificate() (*tls.Certificate, error) {
	var key crypto.Signer
	var err error
	if a.cfg.Key != nil { // before the lock: it may have to be fetched
		if key, err = a.cfg.Key(); err != nil {
			return nil, fmt.Errorf("the server's key: %w", err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.cfg.Now()
	if a.server != nil && now.Add(ServerLife/3).Before(a.server.Leaf.NotAfter) && !now.Before(a.server.Leaf.NotBefore) && (key == nil || key == a.server.PrivateKey) {
		return a.server, nil
	}
	if key == nil {
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return nil, fmt.Errorf("make the server's key: %w", err)
		}
	}
	t := &x509.Certificate{SerialNumber: serial(), Subject: pkix.Name{CommonName: a.cfg.Names[0]}, NotBefore: now.Add(-backdate),
		NotAfter: earlier(now.Add(ServerLife), a.cert.NotAfter), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true}
	for _, n := range a.cfg.Names {
		if ip := net.ParseIP(n); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, n)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("make the server's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("make the server's certificate: %w", err)
	}
	a.server = &tls.Certificate{Certificate: [][]byte{der, a.cert.Raw}, PrivateKey: key, Leaf: leaf}
	return a.server, nil
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
