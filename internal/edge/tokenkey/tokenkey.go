// SPDX-License-Identifier: Apache-2.0

// Package tokenkey signs with an approval key that lies in a PKCS#11 token and never leaves it: a PIV card (OpenSC's library, or the vendor's), a token, or
// SoftHSM. P-256 keys sign by CKM_ECDSA, Ed25519 keys by CKM_EDDSA where the token can. A key that wants its PIN with each signature
// (CKA_ALWAYS_AUTHENTICATE, such as a PIV card's signature key) gets it.
//
// It refuses tokens and keys that aren't there or aren't the only ones that fit, keys of other kinds, and a token whose signatures don't verify. It is for
// an approver's program and loads the library into that process: name no other library than the token's own.
//
// Copies outside the arena: the PIN passes as a string, which can't be wiped, at each login; the library keeps what it likes.
//
// Spec: PKCS #11 3.0; RFC 7512 for how a key is named.
package tokenkey

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"
	"sync"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

var (
	// ErrNotFound says that the library, the token or the key is not there: put the card in, or name another one.
	ErrNotFound = errors.New("key in a token: not found")
	// ErrAmbiguous says that several tokens or keys fit: name one.
	ErrAmbiguous = errors.New("key in a token: several fit; name one")
	// ErrPIN says that the token refuses the PIN. Cards lock after a few wrong ones.
	ErrPIN = errors.New("key in a token: the token refuses the PIN")
	// ErrToken says that the token can't do what is asked, or does it wrongly.
	ErrToken = errors.New("key in a token: the token fails")
)

// DER encodings of curves, as CKA_EC_PARAMS has them: the object identifiers of P-256 and Ed25519 (RFC 8410), and the name that PKCS #11 3.0 has for the
// second.
var (
	oidP256    = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}
	oidEd25519 = []byte{0x06, 0x03, 0x2b, 0x65, 0x70}
	curveName  = append([]byte{0x13, 0x0c}, "edwards25519"...)
)

// CKK_EC_EDWARDS and CKM_EDDSA of PKCS #11 3.0, which the module has not.
const (
	keyEdwards = 0x40
	eddsa      = 0x1057
)

// Key is a key in a token. Its methods are safe for concurrent use.
type Key struct {
	public request.PublicKey
	found  URI // as it was found: token, serial, label and id
	pin    secret.Bytes

	mu      sync.Mutex // guards all below: a session takes one call at a time
	lib     *p11.Ctx
	session p11.SessionHandle
	private p11.ObjectHandle
	always  bool // wants the PIN with each signature
	closed  bool
}

// Open loads the library, logs in, finds the key and has it sign once. ask gives the PIN, once the token is found; the key keeps a copy in arena until it is
// closed.
func Open(arena *secret.Arena, u URI, ask func(token string) (secret.Bytes, error)) (*Key, error) {
	lib := p11.New(u.Module)
	if lib == nil {
		return nil, fmt.Errorf("%w: library %q can't be loaded", ErrNotFound, u.Module)
	}
	if err := lib.Initialize(); err != nil {
		lib.Destroy()
		return nil, fmt.Errorf("%w: start the library: %w", ErrToken, err)
	}
	k := &Key{lib: lib, found: u}
	err := k.open(arena, u, ask)
	if err == nil {
		err = k.try()
	}
	if err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

func (k *Key) open(arena *secret.Arena, u URI, ask func(token string) (secret.Bytes, error)) error {
	slot, info, err := k.findToken(u)
	if err != nil {
		return err
	}
	switch {
	case info.Flags&p11.CKF_USER_PIN_LOCKED != 0:
		return fmt.Errorf("%w: it is locked", ErrPIN)
	case info.Flags&p11.CKF_USER_PIN_INITIALIZED == 0:
		return fmt.Errorf("%w: it has no PIN yet; set one with the vendor's tool", ErrPIN)
	}
	k.found.Token, k.found.Serial = text(info.Label), text(info.SerialNumber)
	pin, err := ask(k.found.Token)
	if err != nil {
		return err
	}
	defer pin.Wipe()
	if k.pin, err = secret.New(arena, pin.Len(), func(to []byte) error {
		return pin.Use(func(from []byte) error { copy(to, from); return nil })
	}); err != nil {
		return err
	}
	if k.session, err = k.lib.OpenSession(slot, p11.CKF_SERIAL_SESSION); err != nil {
		return fmt.Errorf("%w: open a session: %w", ErrToken, err)
	}
	if err := k.login(p11.CKU_USER); err != nil {
		return err
	}
	return k.findKey(u)
}

func (k *Key) login(as uint) error {
	err := k.pin.Use(func(b []byte) error { return k.lib.Login(k.session, as, string(b)) })
	if err == nil || errors.Is(err, p11.Error(p11.CKR_USER_ALREADY_LOGGED_IN)) && as == p11.CKU_USER {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrPIN, err)
}

// text is a text of a library without its padding.
func text(s string) string { return strings.TrimRight(s, " \x00") }

func (k *Key) findToken(u URI) (slot uint, info p11.TokenInfo, err error) {
	slots, err := k.lib.GetSlotList(true)
	if err != nil {
		return 0, info, fmt.Errorf("%w: list tokens: %w", ErrToken, err)
	}
	fits := func(want, got string) bool { return want == "" || want == text(got) }
	n := 0
	for _, s := range slots {
		i, err := k.lib.GetTokenInfo(s)
		if err == nil && i.Flags&p11.CKF_TOKEN_INITIALIZED != 0 && fits(u.Token, i.Label) && fits(u.Serial, i.SerialNumber) && fits(u.Manufacturer, i.ManufacturerID) && fits(u.Model, i.Model) {
			slot, info, n = s, i, n+1
		}
	}
	switch n {
	case 0:
		return 0, info, fmt.Errorf("%w: token %q", ErrNotFound, u.Token)
	case 1:
		return slot, info, nil
	}
	return 0, info, fmt.Errorf("%w: %d tokens", ErrAmbiguous, n)
}

// findKey finds the private key by label and id, and its public key by their common id.
func (k *Key) findKey(u URI) error {
	var fit []p11.ObjectHandle
	for _, kind := range []uint{p11.CKK_EC, keyEdwards} {
		template := []*p11.Attribute{p11.NewAttribute(p11.CKA_CLASS, p11.CKO_PRIVATE_KEY), p11.NewAttribute(p11.CKA_KEY_TYPE, kind), p11.NewAttribute(p11.CKA_SIGN, true)}
		if u.Object != "" {
			template = append(template, p11.NewAttribute(p11.CKA_LABEL, u.Object))
		}
		if len(u.ID) > 0 {
			template = append(template, p11.NewAttribute(p11.CKA_ID, u.ID))
		}
		list, err := k.find(template)
		if err != nil {
			return err
		}
		for _, h := range list {
			if pub, id, err := k.publicOf(h); err == nil {
				fit, k.public, k.found.ID = append(fit, h), pub, id
			}
		}
	}
	switch len(fit) {
	case 0:
		return fmt.Errorf("%w: key %q of P-256 or Ed25519 that can sign, with its public key or certificate", ErrNotFound, u.Object)
	case 1:
		k.private = fit[0]
		a, err := k.lib.GetAttributeValue(k.session, k.private, []*p11.Attribute{p11.NewAttribute(p11.CKA_ALWAYS_AUTHENTICATE, nil)})
		k.always = err == nil && len(a) == 1 && len(a[0].Value) > 0 && a[0].Value[0] != 0 // a token that doesn't know the attribute doesn't ask
		return nil
	}
	return fmt.Errorf("%w: %d keys", ErrAmbiguous, len(fit))
}

// publicOf gives the public key of a private one, and their id: of the public object of the same id, or of a certificate.
func (k *Key) publicOf(private p11.ObjectHandle) (request.PublicKey, []byte, error) {
	var none request.PublicKey
	a, err := k.lib.GetAttributeValue(k.session, private, []*p11.Attribute{p11.NewAttribute(p11.CKA_ID, nil)})
	if err != nil {
		return none, nil, err
	}
	id := a[0].Value
	list, err := k.find([]*p11.Attribute{p11.NewAttribute(p11.CKA_CLASS, p11.CKO_PUBLIC_KEY), p11.NewAttribute(p11.CKA_ID, id)})
	if err == nil && len(list) == 1 {
		if a, err = k.lib.GetAttributeValue(k.session, list[0], []*p11.Attribute{p11.NewAttribute(p11.CKA_EC_PARAMS, nil), p11.NewAttribute(p11.CKA_EC_POINT, nil)}); err == nil {
			pub, err := publicKey(a[0].Value, a[1].Value)
			return pub, id, err
		}
	}
	list, err = k.find([]*p11.Attribute{p11.NewAttribute(p11.CKA_CLASS, p11.CKO_CERTIFICATE), p11.NewAttribute(p11.CKA_ID, id)})
	if err != nil || len(list) != 1 {
		return none, nil, errors.Join(errors.New("no public key and no certificate of the same id"), err)
	}
	if a, err = k.lib.GetAttributeValue(k.session, list[0], []*p11.Attribute{p11.NewAttribute(p11.CKA_VALUE, nil)}); err != nil {
		return none, nil, err
	}
	cert, err := x509.ParseCertificate(a[0].Value)
	if err != nil {
		return none, nil, err
	}
	switch pub := cert.PublicKey.(type) {
	case ed25519.PublicKey:
		return request.PublicKey{Alg: request.Ed25519, Pub: pub}, id, nil
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil || pub.Curve != elliptic.P256() {
			return none, nil, errors.New("the certificate is of another curve")
		}
		pk, err := publicKey(oidP256, point)
		return pk, id, err
	}
	return none, nil, errors.New("the certificate is for a key of another kind")
}

// publicKey reads a curve and a point, which should lie in an OCTET STRING; some libraries give the point itself.
func publicKey(curve, point []byte) (k request.PublicKey, err error) {
	var inner []byte
	if rest, err := asn1.Unmarshal(point, &inner); err == nil && len(rest) == 0 {
		point = inner
	}
	switch {
	case bytes.Equal(curve, oidP256) && len(point) == 65 && point[0] == 4:
		k = request.PublicKey{Alg: request.P256, Pub: append([]byte{2 | point[64]&1}, point[1:33]...)}
	case bytes.Equal(curve, oidEd25519) || bytes.Equal(curve, curveName):
		k = request.PublicKey{Alg: request.Ed25519, Pub: point}
	default:
		return k, errors.New("a key of another curve")
	}
	return k, k.Check()
}

func (k *Key) find(template []*p11.Attribute) ([]p11.ObjectHandle, error) {
	const most = 64
	if err := k.lib.FindObjectsInit(k.session, template); err != nil {
		return nil, fmt.Errorf("%w: look for keys: %w", ErrToken, err)
	}
	list, _, err := k.lib.FindObjects(k.session, most)
	if err = errors.Join(err, k.lib.FindObjectsFinal(k.session)); err != nil {
		return nil, fmt.Errorf("%w: look for keys: %w", ErrToken, err)
	}
	return list, nil
}

// try has the token sign something that is nobody's message: no tag of ours and no signature base begins so.
func (k *Key) try() error {
	message := []byte("strongroom: does this key sign?")
	sig, err := k.Sign(message)
	if err != nil {
		return err
	}
	if !k.public.Verify(message, sig) {
		return fmt.Errorf("%w: its signature does not verify with its public key", ErrToken)
	}
	return nil
}

// Public gives the public key.
func (k *Key) Public() request.PublicKey { return k.public }

// URI names the key as it was found, so that it is found again beside others.
func (k *Key) URI() URI { return k.found }

// Sign gives the 64-byte signature of a message as request.PublicKey.Verify reads it.
func (k *Key) Sign(message []byte) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, fmt.Errorf("%w: closed", ErrToken)
	}
	mechanism, input := uint(eddsa), message
	if k.public.Alg == request.P256 {
		h := sha256.Sum256(message)
		mechanism, input = p11.CKM_ECDSA, h[:]
	}
	if err := k.lib.SignInit(k.session, []*p11.Mechanism{p11.NewMechanism(mechanism, nil)}, k.private); err != nil {
		return nil, fmt.Errorf("%w: sign: %w", ErrToken, err)
	}
	if k.always {
		if err := k.login(p11.CKU_CONTEXT_SPECIFIC); err != nil {
			return nil, err
		}
	}
	sig, err := k.lib.Sign(k.session, input)
	if err != nil {
		return nil, fmt.Errorf("%w: sign: %w", ErrToken, err)
	}
	if len(sig) != 64 {
		return nil, fmt.Errorf("%w: a signature of %d bytes, not 64", ErrToken, len(sig))
	}
	return sig, nil
}

// Close logs out, unloads the library and wipes the PIN. Closing again does nothing.
func (k *Key) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	k.closed = true
	k.pin.Wipe()
	// Finalize ends all sessions; there is nobody to tell what a library says of that.
	_ = k.lib.Finalize()
	k.lib.Destroy()
}
