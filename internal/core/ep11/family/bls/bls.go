// SPDX-License-Identifier: Apache-2.0

// Package bls is the family of BLS signatures on BLS12-381: key pairs, CKM_IBM_ECDSA_OTHER of type 6 to sign and verify, and CKM_IBM_EC_AGGREGATE,
// which makes one signature of several (mode 1) and one public key of several (mode 2). Public keys lie in G1 and are 04 || x || y, 97 bytes;
// signatures lie in G2 and are x || y uncompressed, 192 bytes (draft-irtf-cfrg-bls-signature-05, section 2 and appendix).
//
// Several public keys one after the other stand for their sum: verifying under them is FastAggregateVerify of the draft's proof-of-possession
// scheme, whose tag all signatures have. The scheme is sound only for keys whose owners have proved that they hold them. Nothing here sees such
// proofs: a caller who sums up keys that others sent must have them.
//
// It refuses points outside their groups, infinity as a key, as a sum of keys and as a signature, and every encoding but the one above.
//
// Constant time, and copies outside the arena: blst, see docs/adr/0013-bls-and-ml-dsa.md. The scalar lies on the heap while it is used and is
// cleared. Whether the processor can run blst's code is checked when the core starts (package core/algorithm).
package bls

import (
	"context"
	"errors"

	blst "github.com/supranational/blst/bindings/go"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// Sizes in bytes.
const (
	SecretSize    = blst.BLST_SCALAR_BYTES
	PublicSize    = 1 + blst.BLST_P1_SERIALIZE_BYTES
	SignatureSize = blst.BLST_P2_SERIALIZE_BYTES
)

// tag is the domain separation tag of the proof-of-possession scheme.
const tag = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"

// bits is what the field of the curve has.
const bits = 381

// flags are the bits of a point's first byte that say compressed, infinity or which y; the uncompressed form has none of them.
const flags = 0xe0

// errScalar says that a secret is no key.
var errScalar = errors.New("bls: secret is no key of BLS12-381")

// kind is the type of the keys.
var kind = family.KeyType{Type: ep11.CKK_EC, Params: ep11.OIDBLS12381}

// Set gives the family.
func Set() family.Set {
	kinds := []family.KeyType{kind}
	return family.Set{
		Keys: map[family.KeyType]family.Generator{kind: keys{}},
		Rows: []family.Row{
			{Mechanism: ep11.CKM_EC_KEY_PAIR_GEN, Generates: kinds},
			{Mechanism: ep11.CKM_IBM_ECDSA_OTHER, Keys: kinds, Sign: signer{}},
			{Mechanism: ep11.CKM_IBM_EC_AGGREGATE, Keys: []family.KeyType{{}}, Sign: aggregator{}, Derive: aggregator{}},
		},
	}
}

// keys makes and checks pairs.
type keys struct{}

// Generate makes a pair by KeyGen of the draft (section 2.3) from 32 random bytes.
func (g keys) Generate(ctx context.Context, t family.Tools, _ ep11.Mechanism, params []byte, _, _ ep11.Template) (family.Key, error) {
	key := family.Key{Type: ep11.CKK_EC, Params: params}
	var err error
	key.Secret, err = secret.New(t.Arena, SecretSize, func(b []byte) error {
		if err := t.Random.Fill(ctx, b); err != nil {
			return err
		}
		var made error
		secret.Do(func() {
			sk := blst.KeyGen(b)
			if sk == nil {
				made = family.ErrFault
				return
			}
			defer sk.Zeroize()
			raw := sk.Serialize()
			copy(b, raw)
			clear(raw)
		})
		return made
	})
	if err != nil {
		return family.Key{}, err
	}
	if key.Public, err = g.Public(key); err != nil {
		key.Secret.Wipe()
		return family.Key{}, err
	}
	return key, nil
}

// with calls f with the scalar of a secret, in [secret.Do].
func with(s secret.Bytes, f func(*blst.SecretKey)) error {
	return s.Use(func(b []byte) (err error) {
		if len(b) != SecretSize {
			return errScalar
		}
		secret.Do(func() {
			sk := new(blst.SecretKey)
			defer sk.Zeroize()
			if sk.Deserialize(b) == nil {
				err = errScalar
				return
			}
			f(sk)
		})
		return err
	})
}

// Public gives the public key of a scalar in [1, r-1].
func (keys) Public(k family.Key) (pub []byte, err error) {
	if k.Secret.Len() != SecretSize {
		return nil, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "a BLS12-381 key has %d bytes", SecretSize)
	}
	err = with(k.Secret, func(sk *blst.SecretKey) { pub = encode(new(blst.P1Affine).From(sk)) })
	if errors.Is(err, errScalar) {
		err = ep11.Fail(ep11.CKR_WRAPPED_KEY_INVALID, "not a key of BLS12-381")
	}
	return pub, err
}

// Check refuses public keys that are not one or more valid ones, with a sum that is one.
func (keys) Check(k family.Key) error {
	_, err := sum(k.Public)
	return err
}

// Bits is the size of the field.
func (keys) Bits(family.Key) uint64 { return bits }

// encode writes a public key.
func encode(p *blst.P1Affine) []byte { return append([]byte{4}, p.Serialize()...) }

// sum reads one or more public keys and adds them.
func sum(public []byte) (*blst.P1Affine, error) {
	bad := ep11.Fail(ep11.CKR_PUBLIC_KEY_INVALID, "not a public key of BLS12-381, or several of one size")
	if len(public) == 0 || len(public)%PublicSize != 0 {
		return nil, bad
	}
	var total blst.P1Aggregate
	for at := 0; at < len(public); at += PublicSize {
		raw := public[at : at+PublicSize]
		if raw[0] != 4 || raw[1]&flags != 0 {
			return nil, bad
		}
		p := new(blst.P1Affine).Deserialize(raw[1:])
		if p == nil || !p.KeyValidate() || !total.Add(p, false) {
			return nil, bad
		}
	}
	out := total.ToAffine()
	if out == nil || !out.KeyValidate() { // infinity
		return nil, bad
	}
	return out, nil
}

// point reads a signature, which must be in its group and not infinity.
func point(sig []byte) (*blst.P2Affine, error) {
	if len(sig) != SignatureSize {
		return nil, ep11.CKR_SIGNATURE_LEN_RANGE
	}
	if sig[0]&flags != 0 {
		return nil, ep11.CKR_SIGNATURE_INVALID
	}
	p := new(blst.P2Affine).Deserialize(sig)
	if p == nil || !p.SigValidate(true) {
		return nil, ep11.CKR_SIGNATURE_INVALID
	}
	return p, nil
}

// signer signs and verifies.
type signer struct{}

// isBLS requires the parameter that names this signature.
func isBLS(m ep11.Mechanism) error {
	if m.Sign == nil || m.Sign.Type != ep11.CK_ECSG_BLS {
		return ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the signature type is missing or not the one for BLS12-381")
	}
	return nil
}

// Sign signs a message. There is no nonce: the same message has the same signature.
func (signer) Sign(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, message []byte) ([]byte, error) {
	if err := isBLS(m); err != nil {
		return nil, err
	}
	var sig *blst.P2Affine
	var public *blst.P1Affine
	err := with(k.Secret, func(sk *blst.SecretKey) {
		sig = new(blst.P2Affine).Sign(sk, message, []byte(tag))
		public = new(blst.P1Affine).From(sk)
	})
	if err != nil {
		return nil, err
	}
	if sig == nil || !sig.Verify(true, public, true, message, []byte(tag)) {
		return nil, family.ErrFault
	}
	return sig.Serialize(), nil
}

// Verify checks a signature under a public key, or an aggregate of signatures under the sum of several.
func (signer) Verify(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, message, sig []byte) error {
	if err := isBLS(m); err != nil {
		return err
	}
	p, err := point(sig)
	if err != nil {
		return err
	}
	public, err := sum(k.Public)
	if err != nil || !p.Verify(false, public, false, message, []byte(tag)) { // both are validated
		return ep11.CKR_SIGNATURE_INVALID
	}
	return nil
}
