// SPDX-License-Identifier: Apache-2.0

// Package cardkey uses a custodian's P-256 key in a PKCS#11 token, such as the key-management key of a PIV card (OpenSC's library, a vendor's)
// or SoftHSM: the token computes the ECDH, the key never leaves it. A [Key] is what ceremony.P256Opener takes.
//
// It refuses libraries, tokens and keys that aren't there or aren't the only ones that fit, and a token whose ECDH is wrong: [Open] tries it.
// It is for a custodian's program, not for the core, and loads the library for itself alone.
//
// Copies outside the arena: the PIN passes as a string, which can't be wiped, and the library keeps what it likes. The ECDH's result is
// on the heap of the caller, who hashes it.
//
// Spec: PKCS #11 2.40, CKM_ECDH1_DERIVE with CKD_NULL.
package cardkey

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/subtle"
	"encoding/asn1"
	"errors"
	"fmt"
	"sync"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/secret"
)

var (
	// ErrNotFound says that the library, the token or the key is not there: put the card in, or name another one.
	ErrNotFound = errors.New("cardkey: not found")
	// ErrAmbiguous says that several tokens or keys fit: name one.
	ErrAmbiguous = errors.New("cardkey: several fit; name one")
	// ErrPIN says that the token refuses the PIN. Cards lock after a few wrong ones.
	ErrPIN = errors.New("cardkey: the token refuses the PIN")
	// ErrToken says that the token can't do what is asked, or does it wrongly.
	ErrToken = errors.New("cardkey: the token fails")
)

// oidP256 is the DER encoding of the curve's object identifier, as CKA_EC_PARAMS has it.
var oidP256 = []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}

// Config says which key. The zero Config is refused.
type Config struct {
	Library string // path of the PKCS#11 library
	Token   string // label of the token; may be empty if there is only one
	Key     string // label of the key; may be empty if only one P-256 key can derive
}

// Key is a P-256 key in a token. Its methods are safe for concurrent use.
type Key struct {
	public *ecdh.PublicKey

	mu      sync.Mutex // guards all below: a session takes one call at a time
	lib     *p11.Ctx
	session p11.SessionHandle
	private p11.ObjectHandle
	closed  bool
}

var _ ecdh.KeyExchanger = (*Key)(nil)

// Open loads the library, logs in and finds the key. Close it after use. The caller keeps and wipes the PIN.
func Open(cfg Config, pin secret.Bytes) (*Key, error) {
	lib := p11.New(cfg.Library)
	if lib == nil {
		return nil, fmt.Errorf("%w: library %q can't be loaded", ErrNotFound, cfg.Library)
	}
	if err := lib.Initialize(); err != nil {
		lib.Destroy()
		return nil, fmt.Errorf("%w: start the library: %w", ErrToken, err)
	}
	k := &Key{lib: lib}
	if err := k.open(cfg, pin); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

func (k *Key) open(cfg Config, pin secret.Bytes) error {
	slot, err := k.findToken(cfg.Token)
	if err != nil {
		return err
	}
	if k.session, err = k.lib.OpenSession(slot, p11.CKF_SERIAL_SESSION); err != nil {
		return fmt.Errorf("%w: open a session: %w", ErrToken, err)
	}
	err = pin.Use(func(b []byte) error {
		err := k.lib.Login(k.session, p11.CKU_USER, string(b))
		if errors.Is(err, p11.Error(p11.CKR_USER_ALREADY_LOGGED_IN)) {
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPIN, err)
	}
	if err := k.findKey(cfg.Key); err != nil {
		return err
	}
	return k.try()
}

func (k *Key) findToken(label string) (uint, error) {
	slots, err := k.lib.GetSlotList(true)
	if err != nil {
		return 0, fmt.Errorf("%w: list tokens: %w", ErrToken, err)
	}
	var fit []uint
	for _, s := range slots {
		info, err := k.lib.GetTokenInfo(s)
		if err == nil && info.Flags&p11.CKF_TOKEN_INITIALIZED != 0 && (label == "" || info.Label == label) {
			fit = append(fit, s)
		}
	}
	switch len(fit) {
	case 0:
		return 0, fmt.Errorf("%w: token %q", ErrNotFound, label)
	case 1:
		return fit[0], nil
	}
	return 0, fmt.Errorf("%w: %d tokens", ErrAmbiguous, len(fit))
}

// findKey finds the private key by its label, and its public key by their common id.
func (k *Key) findKey(label string) error {
	template := []*p11.Attribute{p11.NewAttribute(p11.CKA_CLASS, p11.CKO_PRIVATE_KEY), p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_EC), p11.NewAttribute(p11.CKA_DERIVE, true)}
	if label != "" {
		template = append(template, p11.NewAttribute(p11.CKA_LABEL, label))
	}
	list, err := k.find(template)
	if err != nil {
		return err
	}
	var fit []p11.ObjectHandle
	var public []*ecdh.PublicKey
	for _, h := range list {
		if pub, err := k.publicOf(h); err == nil {
			fit, public = append(fit, h), append(public, pub)
		}
	}
	switch len(fit) {
	case 0:
		return fmt.Errorf("%w: P-256 key %q that can derive, with its public key", ErrNotFound, label)
	case 1:
		k.private, k.public = fit[0], public[0]
		return nil
	}
	return fmt.Errorf("%w: %d keys", ErrAmbiguous, len(fit))
}

func (k *Key) publicOf(private p11.ObjectHandle) (*ecdh.PublicKey, error) {
	a, err := k.lib.GetAttributeValue(k.session, private, []*p11.Attribute{p11.NewAttribute(p11.CKA_ID, nil), p11.NewAttribute(p11.CKA_EC_PARAMS, nil)})
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(a[1].Value, oidP256) {
		return nil, errors.New("another curve")
	}
	list, err := k.find([]*p11.Attribute{p11.NewAttribute(p11.CKA_CLASS, p11.CKO_PUBLIC_KEY), p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_EC), p11.NewAttribute(p11.CKA_ID, a[0].Value)})
	if err != nil || len(list) != 1 {
		return nil, errors.Join(errors.New("no public key of the same id"), err)
	}
	if a, err = k.lib.GetAttributeValue(k.session, list[0], []*p11.Attribute{p11.NewAttribute(p11.CKA_EC_POINT, nil)}); err != nil {
		return nil, err
	}
	point := a[0].Value
	var inner []byte
	if rest, err := asn1.Unmarshal(point, &inner); err == nil && len(rest) == 0 {
		point = inner // an OCTET STRING, as the standard has it; some libraries give the point itself
	}
	return ecdh.P256().NewPublicKey(point)
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

// try has the token compute an ECDH that is known.
func (k *Key) try() error {
	e, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	want, err := e.ECDH(k.public)
	if err != nil {
		return err
	}
	got, err := k.ECDH(e.PublicKey())
	if err != nil {
		return err
	}
	if subtle.ConstantTimeCompare(got, want) != 1 {
		return fmt.Errorf("%w: its ECDH is not that of its public key", ErrToken)
	}
	return nil
}

// PublicKey implements [ecdh.KeyExchanger].
func (k *Key) PublicKey() *ecdh.PublicKey { return k.public }

// Curve implements [ecdh.KeyExchanger]: P-256.
func (k *Key) Curve() ecdh.Curve { return ecdh.P256() }

// ECDH implements [ecdh.KeyExchanger]: the token computes the x coordinate of the common point, 32 bytes.
func (k *Key) ECDH(remote *ecdh.PublicKey) ([]byte, error) {
	if remote.Curve() != ecdh.P256() {
		return nil, fmt.Errorf("%w: the other key is not of P-256", ErrToken)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return nil, fmt.Errorf("%w: closed", ErrToken)
	}
	mechanism := p11.NewMechanism(p11.CKM_ECDH1_DERIVE, p11.NewECDH1DeriveParams(p11.CKD_NULL, nil, remote.Bytes()))
	h, err := k.lib.DeriveKey(k.session, []*p11.Mechanism{mechanism}, k.private, []*p11.Attribute{
		p11.NewAttribute(p11.CKA_CLASS, p11.CKO_SECRET_KEY), p11.NewAttribute(p11.CKA_KEY_TYPE, p11.CKK_GENERIC_SECRET), p11.NewAttribute(p11.CKA_VALUE_LEN, 32),
		p11.NewAttribute(p11.CKA_TOKEN, false), p11.NewAttribute(p11.CKA_SENSITIVE, false), p11.NewAttribute(p11.CKA_EXTRACTABLE, true),
	})
	if err != nil {
		return nil, fmt.Errorf("%w: ECDH: %w", ErrToken, err)
	}
	a, err := k.lib.GetAttributeValue(k.session, h, []*p11.Attribute{p11.NewAttribute(p11.CKA_VALUE, nil)})
	if err = errors.Join(err, k.lib.DestroyObject(k.session, h)); err != nil {
		return nil, fmt.Errorf("%w: ECDH: %w", ErrToken, err)
	}
	if len(a) != 1 || len(a[0].Value) != 32 {
		return nil, fmt.Errorf("%w: ECDH gives no 32 bytes", ErrToken)
	}
	return a[0].Value, nil
}

// Close logs out and unloads the library. Closing again does nothing.
func (k *Key) Close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return
	}
	k.closed = true
	// Finalize ends all sessions; there is nobody to tell what a library says of that.
	_ = k.lib.Finalize()
	k.lib.Destroy()
}
