// SPDX-License-Identifier: Apache-2.0

// Package ed448 is the family of Ed448 signatures: key pairs, and CKM_IBM_ED448_SHA3, which is Ed448 of RFC 8032 section 5.2 over the message with
// an empty context. Private keys are the 57 bytes that the RFC starts from, public keys and signatures its 57 and 114 bytes.
//
// It refuses public keys that are no points, or of low order, under which a signature says nothing.
//
// Constant time, and copies outside the arena: circl multiplies secret scalars with fixed windows and masked look-ups
// (docs/adr/0020-algorithms-for-applications.md). It expands the key on the heap; what it gives back is cleared, the state of its hash can't be.
package ed448

import (
	"context"
	"errors"

	"github.com/cloudflare/circl/ecc/goldilocks"
	circl "github.com/cloudflare/circl/sign/ed448"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// bits is the size of the field.
const bits = 448

// kind is the type of the keys.
var kind = family.KeyType{Type: ep11.CKK_EC, Params: ep11.OIDEd448}

// errSeed says that a secret has another length.
var errSeed = errors.New("ed448: secret is no key of Ed448")

// Set gives the family.
func Set() family.Set {
	kinds := []family.KeyType{kind}
	return family.Set{Keys: map[family.KeyType]family.Generator{kind: keys{}}, Rows: []family.Row{
		{Mechanism: ep11.CKM_EC_KEY_PAIR_GEN, Generates: kinds},
		{Mechanism: ep11.CKM_IBM_ED448_SHA3, Keys: kinds, Sign: signer{}},
	}}
}

// keys makes and checks pairs.
type keys struct{}

// Generate makes a pair.
func (g keys) Generate(ctx context.Context, t family.Tools, _ ep11.Mechanism, params []byte, _, _ ep11.Template) (family.Key, error) {
	key := family.Key{Type: ep11.CKK_EC, Params: params}
	var err error
	if key.Secret, err = secret.New(t.Arena, circl.SeedSize, func(b []byte) error { return t.Random.Fill(ctx, b) }); err != nil {
		return family.Key{}, err
	}
	if key.Public, err = g.Public(key); err != nil {
		key.Secret.Wipe()
		return family.Key{}, err
	}
	return key, nil
}

// with calls f with the expanded key, in [secret.Do].
func with(s secret.Bytes, f func(circl.PrivateKey)) error {
	return s.Use(func(seed []byte) error {
		if len(seed) != circl.SeedSize {
			return errSeed
		}
		secret.Do(func() {
			key := circl.NewKeyFromSeed(seed)
			defer clear(key)
			f(key)
		})
		return nil
	})
}

// Public gives the public key. All 57 bytes are a key.
func (keys) Public(k family.Key) (pub []byte, err error) {
	err = with(k.Secret, func(key circl.PrivateKey) { pub = append([]byte(nil), key[circl.SeedSize:]...) })
	if errors.Is(err, errSeed) {
		err = ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "an Ed448 key has %d bytes", circl.SeedSize)
	}
	return pub, err
}

// Check refuses what is no point of the curve, and points whose order divides the cofactor 4.
func (keys) Check(k family.Key) error {
	bad := ep11.Fail(ep11.CKR_PUBLIC_KEY_INVALID, "not a public key of Ed448")
	if len(k.Public) != circl.PublicKeySize {
		return bad
	}
	p, err := goldilocks.FromBytes(k.Public)
	if err != nil {
		return bad
	}
	p.Double()
	p.Double()
	if p.IsIdentity() {
		return bad
	}
	return nil
}

// Bits is the size of the field.
func (keys) Bits(family.Key) uint64 { return bits }

// signer signs and verifies.
type signer struct{}

// plain requires that there is no parameter.
func plain(m ep11.Mechanism) error {
	if len(m.Parameter) != 0 || m.OAEP != nil || m.PSS != nil || m.ECDH != nil || m.BTC != nil || m.Sign != nil || m.Kyber != nil || m.Aggregate != nil {
		return ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "this mechanism takes no parameter")
	}
	return nil
}

// Sign signs a message. It is deterministic, as RFC 8032 says.
func (signer) Sign(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, message []byte) ([]byte, error) {
	if err := plain(m); err != nil {
		return nil, err
	}
	var sig, public []byte
	err := with(k.Secret, func(key circl.PrivateKey) {
		sig = circl.Sign(key, message, "")
		public = append([]byte(nil), key[circl.SeedSize:]...)
	})
	if err != nil {
		return nil, err
	}
	if !circl.Verify(public, message, sig, "") {
		return nil, family.ErrFault
	}
	return sig, nil
}

// Verify checks a signature.
func (signer) Verify(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, message, sig []byte) error {
	if err := plain(m); err != nil {
		return err
	}
	if len(sig) != circl.SignatureSize {
		return ep11.CKR_SIGNATURE_LEN_RANGE
	}
	if len(k.Public) != circl.PublicKeySize || !circl.Verify(k.Public, message, sig, "") {
		return ep11.CKR_SIGNATURE_INVALID
	}
	return nil
}
