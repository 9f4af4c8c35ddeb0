// SPDX-License-Identifier: Apache-2.0

package corebench

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/pkcs11"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

// Mechanisms and a key type of PKCS #11 v3.0 that the binding has no names for.
const (
	ckkECEdwards        = 0x40
	ckmECEdwardsKeyPair = 0x1055
	ckmEdDSA            = 0x1057
)

// tokenCurves are the algorithms of class token, with what the bare library is asked for.
var tokenCurves = []struct {
	name      string
	algorithm hsm.Algorithm
	keyType   uint
	generate  uint
	sign      uint
	params    []byte // DER of the curve's object id
}{
	{"secp256k1", hsm.ECDSASecp256k1, p11.CKK_EC, p11.CKM_EC_KEY_PAIR_GEN, p11.CKM_ECDSA, []byte{6, 5, 0x2b, 0x81, 4, 0, 0x0a}},
	{"p256", hsm.ECDSAP256, p11.CKK_EC, p11.CKM_EC_KEY_PAIR_GEN, p11.CKM_ECDSA, []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}},
	{"ed25519", hsm.Ed25519, ckkECEdwards, ckmECEdwardsKeyPair, ckmEdDSA, []byte{6, 3, 0x2b, 0x65, 0x70}},
}

// TokenNames lists the operations that [Tokens.Ops] makes: signatures by keys of class token, verified as always, and by the library alone, which
// nobody verifies.
func TokenNames() (out []string) {
	for _, c := range tokenCurves {
		out = append(out, TokenRow(c.name), BareTokenRow(c.name))
	}
	return out
}

// TokenRow names a signature by a key of class token.
func TokenRow(curve string) string { return "class token on SoftHSM2, " + curve }

// BareTokenRow names one by the library with nothing around it.
func BareTokenRow(curve string) string { return "bare SoftHSM2 sign, " + curve }

// Tokens are keys in a token.
type Tokens struct {
	lib    *pkcs11.Library
	root   *pkcs11.Root
	module *p11.Ctx
	slot   uint
	made   int
}

// NewTokens opens a token through its library, with a PIN, and makes a root of trust on it in a folder, which the caller removes. Memory for keys
// is mapped until the process ends.
func NewTokens(dir, library, token, pin string) (*Tokens, error) {
	a, err := secret.NewArena(secret.Config{Size: 4 << 20})
	if err != nil {
		return nil, err
	}
	t := &Tokens{}
	if t.lib, err = pkcs11.Load(pkcs11.Config{Arena: a, Path: library}); err != nil {
		return nil, err
	}
	p, err := secret.Take(a, []byte(pin))
	if err != nil {
		return nil, errors.Join(err, t.lib.Close())
	}
	defer p.Wipe()
	if t.root, err = t.lib.Create(context.Background(), pkcs11.RootConfig{Dir: filepath.Join(dir, "root"), Token: token, PIN: p, Attended: true}); err != nil {
		return nil, errors.Join(err, t.lib.Close())
	}
	// The second handle to the library shares its state: initialised, and logged in at the token.
	if t.module = p11.New(library); t.module == nil {
		return nil, errors.Join(errors.New("the library can't be opened twice"), t.Close())
	}
	slots, err := t.module.GetSlotList(true)
	for _, s := range slots {
		if i, e := t.module.GetTokenInfo(s); e == nil && i.Label == token {
			t.slot = s
			return t, nil
		}
	}
	return nil, errors.Join(err, fmt.Errorf("there is no token %q", token), t.Close())
}

// Close lets the token go.
func (t *Tokens) Close() error { return errors.Join(t.root.Close(), t.lib.Close()) }

// Ops makes n operations of a name, for a goroutine each.
func (t *Tokens) Ops(name string, n int) (out []Op, err error) {
	digest := sha256.Sum256([]byte("strongroom benchmark"))
	for _, c := range tokenCurves {
		switch name {
		case TokenRow(c.name):
			t.made++
			id := custody.KeyID(fmt.Sprintf("%032x", t.made))
			public, err := t.root.GenerateTokenKey(context.Background(), id, c.algorithm)
			if err != nil {
				return nil, err
			}
			op := func() error {
				_, err := t.root.SignWithTokenKey(context.Background(), id, c.algorithm, public, digest[:])
				return err
			}
			for range n {
				out = append(out, op)
			}
			return out, nil
		case BareTokenRow(c.name):
			for range n {
				s, err := t.module.OpenSession(t.slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
				if err != nil {
					return nil, err
				}
				private, err := t.pair(s, c.keyType, c.generate, c.params)
				if err != nil {
					return nil, err
				}
				out = append(out, func() error {
					if err := t.module.SignInit(s, []*p11.Mechanism{p11.NewMechanism(c.sign, nil)}, private); err != nil {
						return err
					}
					_, err := t.module.Sign(s, digest[:])
					return err
				})
			}
			return out, nil
		}
	}
	return nil, fmt.Errorf("operation %q is not known", name)
}

// pair makes a key pair that ends with its session.
func (t *Tokens) pair(s p11.SessionHandle, keyType, generate uint, params []byte) (p11.ObjectHandle, error) {
	public := []*p11.Attribute{p11.NewAttribute(p11.CKA_KEY_TYPE, keyType), p11.NewAttribute(p11.CKA_TOKEN, false), p11.NewAttribute(p11.CKA_VERIFY, true),
		p11.NewAttribute(p11.CKA_EC_PARAMS, params)}
	private := []*p11.Attribute{p11.NewAttribute(p11.CKA_KEY_TYPE, keyType), p11.NewAttribute(p11.CKA_TOKEN, false), p11.NewAttribute(p11.CKA_SIGN, true),
		p11.NewAttribute(p11.CKA_SENSITIVE, true), p11.NewAttribute(p11.CKA_EXTRACTABLE, false)}
	_, key, err := t.module.GenerateKeyPair(s, []*p11.Mechanism{p11.NewMechanism(generate, nil)}, public, private)
	return key, err
}
