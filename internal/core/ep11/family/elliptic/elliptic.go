// SPDX-License-Identifier: Apache-2.0

// Package elliptic is the family of the common curves: ECDSA over P-224, P-256, P-384, P-521 and secp256k1, and Ed25519.
//
// It refuses scalars out of range, points that are not on their curve, and encoded points of low order. Raw ECDSA takes data of any length from
// one byte: what is longer than the order is cut to its leftmost bits, what is shorter is the number it is (FIPS 186-5 section 6.4.1).
// Signatures are r || s, each as long as the order; of secp256k1 with the low s, while a high s verifies too, as clients of the service may
// hold either. Every signature is hedged with fresh randomness where the algorithm has a nonce, and verified before it is returned: on P-256 and
// Ed25519 with a comb of the public key where the key signs often, which is public and lies on the heap.
//
// Copies outside the arena: crypto/ecdsa and crypto/ed25519 need the scalar or seed on the heap: the integers and the seed that are ours are
// cleared, their own copies can't be. secp256k1 works in place in the arena, in constant time, by libsecp256k1 (ADR 0001).
//
// Specs: FIPS 186-5, SEC 1, SEC 2, RFC 8032.
package elliptic

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	nist "crypto/elliptic"
	"crypto/rand"
	"errors"

	"filippo.io/edwards25519"
	"filippo.io/nistec"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/internal/curve"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

// ecdsaMechanisms are those that sign a digest or, the first, what they are given.
var ecdsaMechanisms = []uint64{ep11.CKM_ECDSA, ep11.CKM_ECDSA_SHA1, ep11.CKM_ECDSA_SHA224, ep11.CKM_ECDSA_SHA256, ep11.CKM_ECDSA_SHA384,
	ep11.CKM_ECDSA_SHA512, ep11.CKM_IBM_ECDSA_SHA224, ep11.CKM_IBM_ECDSA_SHA256, ep11.CKM_IBM_ECDSA_SHA384, ep11.CKM_IBM_ECDSA_SHA512}

// Set gives the keys and mechanisms of the family.
func Set() (family.Set, error) {
	backend, err := curve.New()
	if err != nil {
		return family.Set{}, err
	}
	set := family.Set{Keys: map[family.KeyType]family.Generator{}}
	var all []family.KeyType
	for _, c := range []struct {
		oid   string
		curve scheme
	}{
		{ep11.OIDP224, nistCurve{curve: nist.P224(), bytes: 28}}, {ep11.OIDP256, nistCurve{nist.P256(), 32, &combs[*nistec.P256Point]{}}}, {ep11.OIDP384, nistCurve{curve: nist.P384(), bytes: 48}},
		{ep11.OIDP521, nistCurve{curve: nist.P521(), bytes: 66}}, {ep11.OIDSecp256k1, koblitz{backend}}, {ep11.OIDEd25519, edwards{newEdwardsCombs()}},
	} {
		is := family.KeyType{Type: ep11.CKK_EC, Params: c.oid}
		set.Keys[is] = pairs{c.curve}
		all = append(all, is)
		rows := ecdsaMechanisms
		if c.oid == ep11.OIDEd25519 {
			rows = []uint64{ep11.CKM_IBM_ED25519_SHA512}
		}
		for _, m := range rows {
			set.Rows = append(set.Rows, family.Row{Mechanism: m, Keys: []family.KeyType{is}, Sign: pairs{c.curve}})
		}
	}
	set.Rows = append(set.Rows, family.Row{Mechanism: ep11.CKM_EC_KEY_PAIR_GEN, Generates: all})
	return set, nil
}

// scheme is a curve with its signatures. Secrets are slices in the arena.
type scheme interface {
	size() (scalar, public, signature, bits int)
	draw(b []byte) // makes 8*scalar random bits what a scalar may look like
	public(sk []byte) ([]byte, error)
	check(public []byte) error
	sign(sk, public, data []byte) (sig []byte, verified bool, err error) // verified: sign has done what verify does, and need not be asked again
	verify(public, data, sig []byte) bool
}

// pairs makes and uses keys of a scheme.
type pairs struct{ scheme }

// draws is how often a scalar is drawn; that all of them are out of range is as likely as that the source of randomness is broken.
const draws = 64

// Generate draws scalars until one is in range, and puts the pair through the consistency test (FIPS 140-3 IG 10.3.A).
func (p pairs) Generate(ctx context.Context, t family.Tools, _ ep11.Mechanism, params []byte, _, _ ep11.Template) (family.Key, error) {
	k := family.Key{Type: ep11.CKK_EC, Params: bytes.Clone(params)}
	size, _, _, _ := p.size()
	made, err := secret.New(t.Arena, size, func(b []byte) (err error) {
		for range draws {
			if err := t.Random.Fill(ctx, b); err != nil {
				return err
			}
			p.draw(b)
			if k.Public, err = p.public(b); err == nil {
				return nil
			}
		}
		return errors.Join(family.ErrFault, errors.New("no scalar in range"))
	})
	if err != nil {
		return family.Key{}, err
	}
	k.Secret = made
	probe := make([]byte, 32)
	rand.Read(probe)
	if _, err := p.Sign(ctx, t, ep11.Mechanism{}, k, probe); err != nil {
		made.Wipe()
		return family.Key{}, err
	}
	return k, nil
}

// Public computes the public key.
func (p pairs) Public(k family.Key) (public []byte, err error) {
	if size, _, _, _ := p.size(); k.Secret.Len() != size {
		return nil, ep11.CKR_WRAPPED_KEY_INVALID
	}
	err = k.Secret.Use(func(sk []byte) (err error) {
		secret.Do(func() { public, err = p.public(sk) })
		return err
	})
	if err != nil {
		return nil, ep11.CKR_WRAPPED_KEY_INVALID
	}
	return public, nil
}

// Check refuses what is no point.
func (p pairs) Check(k family.Key) error {
	if _, public, _, _ := p.size(); len(k.Public) != public || p.check(k.Public) != nil {
		return ep11.Fail(ep11.CKR_PUBLIC_KEY_INVALID, "the public key is no point of its curve")
	}
	return nil
}

// Bits is the size of the order.
func (p pairs) Bits(family.Key) uint64 {
	_, _, _, bits := p.size()
	return uint64(bits)
}

// maxMessage is the longest data that is signed raw in bytes.
const maxMessage = ep11.MaxData

// Sign signs and verifies.
func (p pairs) Sign(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, data []byte) (sig []byte, err error) {
	if err := plain(m, data); err != nil {
		return nil, err
	}
	if _, ed := p.scheme.(edwards); len(data) == 0 && !ed {
		return nil, ep11.Fail(ep11.CKR_DATA_LEN_RANGE, "there is nothing to sign")
	}
	verified := false
	err = k.Secret.Use(func(sk []byte) (err error) {
		secret.Do(func() { sig, verified, err = p.sign(sk, k.Public, data) })
		return err
	})
	if err == nil && !verified && !p.good(k.Public, data, sig) {
		err = family.ErrFault
	}
	if err != nil {
		return nil, err
	}
	return sig, nil
}

// good verifies a signature that was just made.
func (p pairs) good(public, data, sig []byte) bool {
	if fast, ok := p.scheme.(rechecked); ok && fast.recheck(public, data, sig) {
		return true
	}
	return p.verify(public, data, sig)
}

// Verify checks a signature.
func (p pairs) Verify(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, data, sig []byte) error {
	if err := plain(m, data); err != nil {
		return err
	}
	if _, _, size, _ := p.size(); len(sig) != size {
		return ep11.CKR_SIGNATURE_LEN_RANGE
	}
	if !p.verify(k.Public, data, sig) {
		return ep11.CKR_SIGNATURE_INVALID
	}
	return nil
}

// plain refuses a parameter, which none of the mechanisms takes.
func plain(m ep11.Mechanism, data []byte) error {
	if len(m.Parameter) != 0 {
		return ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the mechanism takes no parameter")
	}
	if len(data) > maxMessage {
		return ep11.CKR_DATA_LEN_RANGE
	}
	return nil
}

// koblitz is secp256k1.
type koblitz struct{ backend *curve.Backend }

func (koblitz) size() (scalar, public, signature, bits int) {
	return curve.ScalarSize, secp.UncompressedSize, curve.SignatureSize, 256
}

func (koblitz) draw([]byte) {}

func (c koblitz) public(sk []byte) ([]byte, error) {
	short, err := c.backend.PublicKey(sk)
	if err != nil {
		return nil, err
	}
	point, err := secp.ParsePublicKey(short[:])
	if err != nil {
		return nil, err
	}
	long := point.Uncompressed()
	return long[:], nil
}

func (koblitz) check(public []byte) error {
	_, err := secp.ParseUncompressed(public)
	return err
}

// sign leaves it to the backend to verify: it gives out no signature that is not by the public key.
func (c koblitz) sign(sk, public, data []byte) ([]byte, bool, error) {
	var aux [32]byte
	rand.Read(aux[:]) // never fails: crypto/rand ends the process when the system has no randomness
	sig, _, err := c.backend.SignECDSA(sk, compress(public), digest32(data), aux)
	if errors.Is(err, curve.ErrFault) || errors.Is(err, curve.ErrPublicKey) {
		err = errors.Join(family.ErrFault, err)
	}
	return sig[:], err == nil, err
}

// verify takes either s: the backend takes the low one.
func (c koblitz) verify(public, data, sig []byte) bool {
	if len(public) != secp.UncompressedSize || len(sig) != curve.SignatureSize {
		return false
	}
	low, ok := lowS([curve.SignatureSize]byte(sig))
	return ok && c.backend.VerifyECDSA(compress(public), digest32(data), low)
}

// edwards is Ed25519; what is signed is the message.
type edwards struct{ combs *edwardsCombs }

func (edwards) size() (scalar, public, signature, bits int) {
	return 32, 32, ed25519.SignatureSize, 256
}

func (edwards) draw([]byte) {}

func (edwards) public(sk []byte) ([]byte, error) {
	key := ed25519.NewKeyFromSeed(sk)
	defer clear(key[:ed25519.SeedSize])
	return bytes.Clone(key[ed25519.SeedSize:]), nil
}

func (edwards) check(public []byte) error {
	p, err := new(edwards25519.Point).SetBytes(public)
	if err != nil {
		return err
	}
	if new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) == 1 {
		return errors.New("a point of low order")
	}
	return nil
}

// sign uses the public key that the blob holds: computing it again costs as much as signing, and a wrong one shows when the signature is
// verified.
func (edwards) sign(sk, public, data []byte) ([]byte, bool, error) {
	if len(sk) != ed25519.SeedSize || len(public) != ed25519.PublicKeySize {
		return nil, false, family.ErrFault
	}
	var key [ed25519.PrivateKeySize]byte
	defer clear(key[:])
	copy(key[copy(key[:], sk):], public)
	return ed25519.Sign(key[:], data), false, nil
}

func (edwards) verify(public, data, sig []byte) bool {
	return len(public) == ed25519.PublicKeySize && ed25519.Verify(public, data, sig)
}

// nistCurve is a curve of FIPS 186-5.
type nistCurve struct {
	curve nist.Curve
	bytes int
	combs *combs[*nistec.P256Point] // of P-256 alone
}

func (c nistCurve) size() (scalar, public, signature, bits int) {
	return c.bytes, 2*c.fieldSize() + 1, 2 * c.bytes, c.curve.Params().BitSize
}

func (c nistCurve) fieldSize() int { return (c.curve.Params().BitSize + 7) / 8 }

// draw clears the bits above the order's: without it one draw of P-521 in 128 would do.
func (c nistCurve) draw(b []byte) {
	if extra := 8*c.bytes - c.curve.Params().BitSize; extra > 0 {
		b[0] &= 0xff >> extra
	}
}

func (c nistCurve) public(sk []byte) ([]byte, error) {
	key, err := ecdsa.ParseRawPrivateKey(c.curve, sk)
	if err != nil {
		return nil, err
	}
	defer forget(key)
	return key.PublicKey.Bytes()
}

func (c nistCurve) check(public []byte) error {
	_, err := ecdsa.ParseUncompressedPublicKey(c.curve, public)
	return err
}
