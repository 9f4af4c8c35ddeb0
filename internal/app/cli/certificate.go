// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"strongroom/client"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/edge/tlsca"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
)

// certificateRequest is what a person without a certificate gives to somebody who can issue one.
type certificateRequest struct {
	Domain string              `json:"domain"`
	Public keyfile.Public      `json:"public"`
	Asked  apiv1.CertificateIn `json:"asked"`
}

// personCertificate gets a client certificate: from serve's folder on this machine, or from serve with a certificate that still works, or,
// for a person on another machine who has neither, in two steps with 'person certify' between them.
type personCertificate struct {
	Out       string `required:"" placeholder:"DIR" help:"Identity folder to make, or to renew."`
	ServeData string `placeholder:"DIR" help:"Folder of serve on this machine: its certificate authority issues the certificate."`
	Request   string `placeholder:"FILE" help:"Write a request for a certificate instead; somebody runs 'strongroom person certify' on it."`
	Install   string `placeholder:"FILE" help:"Take the certificate that 'strongroom person certify' wrote."`
}

// Run gets the certificate.
func (c *personCertificate) Run(e *env) error {
	if c.Install != "" {
		return c.install(e)
	}
	d, err := e.domain()
	if err != nil {
		return err
	}
	k, err := e.signer()
	if err != nil {
		return err
	}
	if err := replaceable(c.Out, k.Person(), d); err != nil {
		return err
	}
	csr, keyPEM, err := newTLSKey(k.Person())
	if err != nil {
		return err
	}
	id := &identity{dir: c.Out, Server: e.Server, Person: k.Person(), ApprovalKey: e.keyPath(c.Out), Domain: d}
	if id.Server == "" && e.Identity != "" {
		if old, err := e.who(); err == nil {
			id.Server = old.Server
		}
	}
	if c.Request != "" {
		return c.request(e, k, id, csr, keyPEM)
	}
	var cert, ca []byte
	if c.ServeData != "" {
		cert, ca, err = issue(c.ServeData, csr, k.Person())
	} else {
		var cl *client.Client
		if cl, err = e.client(); err == nil {
			cert, ca, err = cl.Certify(e.ctx, k, csr)
		} else {
			err = hint(err, "the first certificate needs --serve-data on the machine of serve, or --request FILE for who runs serve")
		}
	}
	if err != nil {
		return err
	}
	if err := id.write(keyPEM, cert, ca); err != nil {
		return err
	}
	return c.done(e, cert)
}

// replaceable says whether an identity may be written into a folder: where none is, or one of the same person and domain, which is renewed.
func replaceable(dir string, p custody.PersonID, d domainFile) error {
	old, err := readIdentity(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && (old.Person != p || old.Domain.Domain != d.Domain) {
		err = fmt.Errorf("%s is the identity of %s in the domain %s", dir, old.Person, old.Domain.Domain)
	}
	if err != nil {
		return hint(err, "choose another --out; nothing was changed")
	}
	return nil
}

func (c *personCertificate) done(e *env, cert []byte) error {
	x, err := x509.ParseCertificate(cert)
	if err != nil {
		return err
	}
	e.say("The identity is in %s; its certificate ends on %s.", c.Out, x.NotAfter.Format(time.DateOnly))
	e.hint("export STRONGROOM_IDENTITY=%s, then: strongroom status", c.Out)
	return nil
}

// keyPath gives the approval key's path as an identity folder names it.
func (e *env) keyPath(dir string) string {
	path := e.Key
	if path == "" && e.folder != nil {
		path = e.folder.ApprovalKey
	}
	full, err1 := filepath.Abs(path)
	base, err2 := filepath.Abs(dir)
	if path == "" || err1 != nil || err2 != nil {
		return ""
	}
	if rel, err := filepath.Rel(base, full); err == nil {
		return rel
	}
	return full
}

// newTLSKey makes a key for the transport, and a certificate request for it.
func newTLSKey(p custody.PersonID) (csr, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if csr, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: string(p)}}, key); err != nil {
		return nil, nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return csr, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// issue has the certificate authority in serve's folder issue a certificate.
func issue(dir string, csr []byte, p custody.PersonID) (cert, ca []byte, err error) {
	// One that is made here would be another than serve's, and its certificates would open nothing.
	if _, err := os.Stat(filepath.Join(dir, tlsca.KeyFile)); err != nil {
		return nil, nil, hint(fmt.Errorf("%s has no certificate authority: %w", dir, err),
			"start serve once, which makes it, and give the folder that serve uses: 'strongroom up --data DIR' uses DIR/serve")
	}
	a, err := tlsca.Open(tlsca.Config{Dir: dir, Names: tlsca.DefaultNames(), Now: time.Now})
	if err != nil {
		return nil, nil, err
	}
	return a.Issue(csr, p)
}

// write writes the identity folder.
func (i *identity) write(keyPEM, cert, ca []byte) error {
	if err := os.MkdirAll(i.dir, 0o700); err != nil {
		return err
	}
	text, err := encodeJSON(i)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		b    []byte
		mode fs.FileMode
	}{
		{tlsKeyFile, keyPEM, 0o600},
		{certificateFile, toPEM(cert), 0o644},
		{authorityFile, toPEM(ca), 0o644},
		{identityFile, text, 0o644},
	} {
		if len(f.b) == 0 {
			continue
		}
		if err := replace(i.file(f.name), f.b, f.mode); err != nil {
			return err
		}
	}
	return nil
}

func toPEM(der []byte) []byte {
	if len(der) == 0 {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// replace writes a file whole or not at all, over what is there.
func replace(path string, b []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	err = errors.Join(f.Chmod(mode), func() error { _, err := f.Write(b); return err }(), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// request writes the request and keeps the transport's key until the certificate comes.
func (c *personCertificate) request(e *env, k *keyfile.Key, id *identity, csr, keyPEM []byte) error {
	a, _, err := id.Domain.ids()
	if err != nil {
		return err
	}
	st := apiv1.CertificateStatement{V: 1, Authority: a, Domain: client.DomainOf(a), Person: k.Person(), Request: sha256.Sum256(csr),
		NotAfter: time.Now().Unix() + apiv1.CertificateWindow - 60}
	sig, err := k.Sign(st.Message())
	if err != nil {
		return err
	}
	b, err := encodeJSON(certificateRequest{Domain: id.Domain.Domain, Public: k.PublicFile(),
		Asked: apiv1.CertificateIn{CSR: csr, Key: k.Public().Ref(), NotAfter: st.NotAfter, Signature: sig}})
	if err != nil {
		return err
	}
	if err := id.write(keyPEM, nil, nil); err != nil {
		return err
	}
	if err := e.create(c.Request, b, 0o644); err != nil {
		return err
	}
	e.say("The request is in %s; it is good for an hour.", c.Request)
	e.hint("who runs serve runs: strongroom person certify %s --domain domain.json --serve-data DIR --out %s; then: strongroom person certificate --out %s --install %s",
		c.Request, certificateOf(c.Request), c.Out, certificateOf(c.Request))
	return nil
}

// certificateOf proposes a name for the answer to a request for a certificate.
func certificateOf(request string) string {
	name := filepath.Base(request)
	return strings.TrimSuffix(strings.TrimSuffix(name, ".json"), ".csr") + ".crt.json"
}

// install completes an identity with the certificate.
func (c *personCertificate) install(e *env) error {
	id, err := readIdentity(c.Out)
	if err != nil {
		return err
	}
	var v apiv1.CertificateView
	if err := readJSON(c.Install, &v); err != nil {
		return fmt.Errorf("%s: %w", c.Install, err)
	}
	for name, der := range map[string][]byte{certificateFile: v.Certificate, authorityFile: v.Authority} {
		if _, err := x509.ParseCertificate(der); err != nil {
			return fmt.Errorf("%s: %w", c.Install, err)
		}
		if err := replace(id.file(name), toPEM(der), 0o644); err != nil {
			return err
		}
	}
	return c.done(e, v.Certificate)
}

type personCertify struct {
	File      string `arg:"" help:"What 'strongroom person certificate --request' wrote."`
	ServeData string `required:"" placeholder:"DIR" help:"Folder of serve on this machine: its certificate authority issues the certificate."`
	Out       string `required:"" placeholder:"FILE" help:"File for the certificate."`
}

// Run issues the certificate. It is for who runs serve: that the key is an active one of the person is shown by every call that is made with
// the certificate, because serve looks the person up in the rule document.
func (c *personCertify) Run(e *env) error {
	var q certificateRequest
	if err := readJSON(c.File, &q); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	d, err := e.domain()
	if err != nil {
		return err
	}
	a, _, err := d.ids()
	if err != nil {
		return err
	}
	if err := q.check(a); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	var v apiv1.CertificateView
	if v.Certificate, v.Authority, err = issue(c.ServeData, q.Asked.CSR, q.Public.Person); err != nil {
		return err
	}
	b, err := encodeJSON(v)
	if err != nil {
		return err
	}
	e.say("The certificate names %s, key %s, and works while they are active in the rule document. Compare the key with the person.", q.Public.Person, q.Public.Key().Ref())
	return e.create(c.Out, b, 0o644)
}

// check says whether the person signed for this domain, with the key in the file.
func (q certificateRequest) check(a client.AuthorityID) error {
	if err := q.Public.Check(); err != nil {
		return err
	}
	st := apiv1.CertificateStatement{V: 1, Authority: a, Domain: client.DomainOf(a), Person: q.Public.Person, Request: sha256.Sum256(q.Asked.CSR),
		NotAfter: q.Asked.NotAfter}
	if q.Asked.Key != q.Public.Key().Ref() || !q.Public.Key().Verify(st.Message(), q.Asked.Signature) {
		return fmt.Errorf("%s did not sign this for this domain", q.Public.Person)
	}
	if q.Asked.NotAfter < time.Now().Unix() {
		return errors.New("the request is past its hour; make another")
	}
	return nil
}
