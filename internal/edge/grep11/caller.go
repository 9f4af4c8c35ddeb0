// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"strongroom/internal/pure/ep11"
)

// Kinds of callers, before the colon of their names.
const (
	kindCertificate = "cert"  // by a client certificate: the SHA-256 of its public key (SPKI), hex
	kindToken       = "token" // by a bearer token: the subject of the API key
	kindLocal       = "local" // by nothing: whoever reaches a plaintext listener on loopback
)

// CertificateCaller gives the name of who shows a certificate. It follows from the public key alone (SHA-256 of SubjectPublicKeyInfo,
// RFC 5280 4.1.2.7): a renewed certificate of the same key is the same caller.
func CertificateCaller(c *x509.Certificate) string {
	h := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return kindCertificate + ":" + hex.EncodeToString(h[:])
}

// subject is what may be called: of API keys and of plaintext listeners.
var subject = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// CheckSubject says whether a name is good for an API key's subject or for the callers of a plaintext listener.
func CheckSubject(s string) error {
	if !subject.MatchString(s) {
		return fmt.Errorf("%.80q is not 1 to 63 of a-z, 0-9 and . _ -, beginning with a letter or digit", s)
	}
	return nil
}

// errNobody is what callers without a name get, whatever is wrong with what they show.
func errNobody(what string) error {
	return ep11.Fail(ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED, "%s", what)
}

// caller names who makes a call: a bearer token decides if there is one, else the certificate. A bad token is never made good by a certificate.
func (s *Server) caller(ctx context.Context) (string, error) {
	if s.cfg.Local != "" {
		return kindLocal + ":" + s.cfg.Local, nil
	}
	p, ok := peer.FromContext(ctx)
	if !ok {
		return "", errNobody("the connection has no peer")
	}
	if token, err := bearer(ctx); err != nil || token != "" {
		if err != nil {
			return "", err
		}
		return s.byToken(token, p.Addr)
	}
	info, ok := p.AuthInfo.(credentials.TLSInfo)
	if !ok || len(info.State.PeerCertificates) == 0 {
		return "", errNobody("show a client certificate or a bearer token")
	}
	leaf := info.State.PeerCertificates[0]
	if err := inTime(leaf, s.cfg.Now()); err != nil { // a connection may outlive the certificate
		return "", errNobody(err.Error())
	}
	return CertificateCaller(leaf), nil
}

// bearer gives a call's token; empty if there is none. Clients without an API key send the header with nothing in it.
func bearer(ctx context.Context) (string, error) {
	values := metadata.ValueFromIncomingContext(ctx, "authorization")
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1 || len(values[0]) > maxToken:
		return "", errNobody("one authorization header is wanted, with a token of this gateway")
	}
	v := strings.TrimSpace(values[0])
	if v == "" {
		return "", nil
	}
	scheme, token, _ := strings.Cut(v, " ")
	if !strings.EqualFold(scheme, "bearer") {
		return "", errNobody("the authorization header has no bearer token")
	}
	return strings.TrimSpace(token), nil
}

// maxToken is the longest authorization header in bytes.
const maxToken = 4 << 10

// byToken names the caller of a token. A good one is taken whatever else came from its address.
func (s *Server) byToken(token string, from net.Addr) (string, error) {
	if s.cfg.Tokens == nil {
		return "", errNobody("this gateway takes client certificates only")
	}
	who, err := s.cfg.Tokens.Subject(token)
	switch {
	case err == nil:
	case s.ownFault(err):
		return "", again(ep11.CKR_DEVICE_ERROR, "tokens can't be checked at the moment")
	case !s.guessed(err, from.String()):
		return "", errNobody("too many bad tokens or API keys came from this address; wait")
	default:
		return "", errNobody("the token is not good, or has expired; get a new one with the API key")
	}
	return kindToken + ":" + who, nil
}

// clientTLS makes the server's side of TLS: 1.3 only, and a client certificate is asked for. Who issued it does not matter unless roots are
// given: callers are known by their key, which the handshake proves and a grant names.
func clientTLS(from *tls.Config, roots *x509.CertPool, now func() time.Time) *tls.Config {
	c := from.Clone()
	c.MinVersion = tls.VersionTLS13
	c.NextProtos = []string{"h2"}
	c.ClientAuth = tls.RequestClientCert
	c.ClientCAs = nil
	if roots != nil {
		c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, roots
	}
	c.Time = now
	c.VerifyConnection = func(st tls.ConnectionState) error {
		if len(st.PeerCertificates) == 0 {
			return nil // may have a token
		}
		return checkCertificate(st.PeerCertificates[0], now())
	}
	return c
}

// checkCertificate refuses a client certificate out of its time, for another use than clients, or with a weak key.
func checkCertificate(c *x509.Certificate, now time.Time) error {
	if err := inTime(c, now); err != nil {
		return err
	}
	use := len(c.ExtKeyUsage) == 0 && len(c.UnknownExtKeyUsage) == 0
	for _, u := range c.ExtKeyUsage {
		use = use || u == x509.ExtKeyUsageClientAuth || u == x509.ExtKeyUsageAny
	}
	if !use {
		return errors.New("the client certificate is not for clients")
	}
	switch k := c.PublicKey.(type) {
	case ed25519.PublicKey:
		return nil
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521() {
			return nil
		}
	case *rsa.PublicKey:
		if k.N.BitLen() >= 2048 {
			return nil
		}
	}
	return errors.New("the client certificate's key must be Ed25519, of P-256, P-384 or P-521, or RSA of 2048 bits or more")
}

func inTime(c *x509.Certificate, now time.Time) error {
	if now.Before(c.NotBefore) || now.After(c.NotAfter) {
		return errors.New("the client certificate is out of its time")
	}
	return nil
}
