// SPDX-License-Identifier: Apache-2.0

// Package lattice is the family of post-quantum keys: ML-DSA-44, 65 and 87 (FIPS 204), ML-KEM-768 and 1024 (FIPS 203), and for clients of the
// hardware's interface Dilithium of round 3 in its three strengths. ML-DSA and ML-KEM answer to the vendor's numbers and to those of PKCS#11 3.2.
//
// Not offered, and not listed: Dilithium and Kyber of round 2, for which there is no library, and ML-KEM-512, which Go's standard library leaves
// out for its lower strength.
//
// Keys are as they stand in SubjectPublicKeyInfo and PKCS#8. ML-DSA (RFC 9881) and ML-KEM (RFC 9935): the seed alone, [0] IMPLICIT OCTET STRING;
// the public key's bytes. Dilithium: SEQUENCE { INTEGER 0, BIT STRING rho, key, tr, s1, s2, t0, [0] { BIT STRING t1 } OPTIONAL }; SEQUENCE { BIT
// STRING rho, BIT STRING t1 }. Keys that are made are without the optional t1, which stands in the public key; both forms come in.
//
// An encapsulation is a derivation with the vendor's Kyber parameter: mode 1 with the public key gives a key and a ciphertext, mode 2 with the
// private one gets the key back. A ciphertext that was made for another key gives another key, not an error (FIPS 203 section 6.3).
//
// Constant time: filippo.io/mldsa, crypto/mlkem, circl (docs/adr/0013-bls-and-ml-dsa.md, docs/adr/0020-algorithms-for-applications.md). Copies
// outside the arena: all three expand keys on the heap. Those of circl are cleared, those of the others can't be. Encapsulations draw from
// crypto/rand.
package lattice

import (
	"bytes"
	"context"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// strength is what mechanism infos and attributes give as the size of these keys.
const strength = 256

// Set gives the family.
func Set() family.Set {
	set := family.Set{Keys: map[family.KeyType]family.Generator{}}
	var dsa, kem, round3 []family.KeyType
	for _, p := range dsaSets() {
		kind := family.KeyType{Type: ep11.CKK_IBM_ML_DSA, Params: p.oid}
		set.Keys[kind], dsa = keys{p}, append(dsa, kind)
		for _, m := range []uint64{ep11.CKM_IBM_ML_DSA, ep11.CKM_ML_DSA} {
			set.Rows = append(set.Rows, family.Row{Mechanism: m, Keys: []family.KeyType{kind}, Sign: signer{p}})
		}
	}
	for _, p := range kemSets() {
		kind := family.KeyType{Type: ep11.CKK_IBM_ML_KEM, Params: p.oid}
		set.Keys[kind], kem = keys{p}, append(kem, kind)
		for _, m := range []uint64{ep11.CKM_IBM_ML_KEM, ep11.CKM_ML_KEM} {
			set.Rows = append(set.Rows, family.Row{Mechanism: m, Keys: []family.KeyType{kind}, Derive: deriver{p}})
		}
	}
	for _, p := range dilithiumSets() {
		kind := family.KeyType{Type: ep11.CKK_IBM_PQC_DILITHIUM, Params: p.oid}
		set.Keys[kind], round3 = keys{p}, append(round3, kind)
		set.Rows = append(set.Rows, family.Row{Mechanism: ep11.CKM_IBM_DILITHIUM, Keys: []family.KeyType{kind}, Sign: signer{p}})
	}
	for m, kinds := range map[uint64][]family.KeyType{
		ep11.CKM_IBM_ML_DSA_KEY_PAIR_GEN: dsa, ep11.CKM_ML_DSA_KEY_PAIR_GEN: dsa, ep11.CKM_IBM_ML_KEM_KEY_PAIR_GEN: kem, ep11.CKM_ML_KEM_KEY_PAIR_GEN: kem,
		ep11.CKM_IBM_DILITHIUM: round3,
	} {
		set.Rows = append(set.Rows, family.Row{Mechanism: m, Generates: kinds})
	}
	return set
}

// scheme is what keys of one parameter set need.
type scheme interface {
	ckk() uint64
	params() string
	// secretSizes are the lengths that a secret can have; the first is that of a new one.
	secretSizes() []int
	// create writes a new secret of the first size, made from fresh randomness.
	create(fill func([]byte) error, sk []byte) error
	// public computes the public key, or says that the secret is none.
	public(sk []byte) ([]byte, bool)
	// check says whether a public key is one.
	check(public []byte) bool
}

// keys makes and checks pairs of one parameter set.
type keys struct{ of scheme }

// Generate makes a pair.
func (g keys) Generate(ctx context.Context, t family.Tools, _ ep11.Mechanism, params []byte, _, _ ep11.Template) (family.Key, error) {
	key := family.Key{Type: g.of.ckk(), Params: params}
	var err error
	key.Secret, err = secret.New(t.Arena, g.of.secretSizes()[0], func(b []byte) error {
		return g.of.create(func(out []byte) error { return t.Random.Fill(ctx, out) }, b)
	})
	if err != nil {
		return family.Key{}, err
	}
	if key.Public, err = g.Public(key); err != nil {
		key.Secret.Wipe()
		return family.Key{}, family.ErrFault
	}
	return key, nil
}

// Public computes the public key.
func (g keys) Public(k family.Key) (pub []byte, err error) {
	fits := false
	for _, n := range g.of.secretSizes() {
		fits = fits || k.Secret.Len() == n
	}
	if !fits {
		return nil, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "a key of this type has %d bytes", g.of.secretSizes()[0])
	}
	err = k.Secret.Use(func(sk []byte) (err error) {
		ok := false
		secret.Do(func() { pub, ok = g.of.public(sk) })
		if !ok {
			err = ep11.Fail(ep11.CKR_WRAPPED_KEY_INVALID, "not a key of its type")
		}
		return err
	})
	return pub, err
}

// Check refuses public keys that are not well-formed.
func (g keys) Check(k family.Key) error {
	if !g.of.check(k.Public) {
		return ep11.Fail(ep11.CKR_PUBLIC_KEY_INVALID, "not a public key of its type")
	}
	return nil
}

// Bits is the size that the mechanisms' infos give.
func (keys) Bits(family.Key) uint64 { return strength }

// signing is a scheme that signs.
type signing interface {
	scheme
	signatureSize() int
	sign(sk, message []byte) ([]byte, bool)
	verify(public, message, sig []byte) bool
}

// signer signs with one parameter set.
type signer struct{ of signing }

// plain requires that there is no parameter: a context or prehash is not offered.
func plain(m ep11.Mechanism) error {
	if len(m.Parameter) != 0 || m.OAEP != nil || m.PSS != nil || m.ECDH != nil || m.BTC != nil || m.Sign != nil || m.Kyber != nil || m.Aggregate != nil {
		return ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "this mechanism takes no parameter")
	}
	return nil
}

// Sign signs a message.
func (s signer) Sign(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, message []byte) (sig []byte, err error) {
	if err := plain(m); err != nil {
		return nil, err
	}
	err = k.Secret.Use(func(sk []byte) error {
		ok := false
		var public []byte
		secret.Do(func() {
			if sig, ok = s.of.sign(sk, message); ok {
				public, ok = s.of.public(sk)
			}
		})
		if ok && s.of.verify(public, message, sig) {
			return nil
		}
		return s.fault(sk, message, sig)
	})
	if err != nil {
		return nil, err
	}
	return sig, nil
}

// fault says why a signature did not verify. A Dilithium key that was brought in may have parts that don't fit each other for this message alone;
// then its signature, which is deterministic, is the same again: that is the key's fault, not the machine's.
func (s signer) fault(sk, message, sig []byte) error {
	var again []byte
	ok := false
	secret.Do(func() { again, ok = s.of.sign(sk, message) })
	if ok && len(sig) > 0 && bytes.Equal(again, sig) {
		return ep11.Fail(ep11.CKR_FUNCTION_FAILED, "the parts of this key don't fit each other")
	}
	return family.ErrFault
}

// Verify checks a signature.
func (s signer) Verify(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, message, sig []byte) error {
	if err := plain(m); err != nil {
		return err
	}
	if len(sig) != s.of.signatureSize() {
		return ep11.CKR_SIGNATURE_LEN_RANGE
	}
	if !s.of.verify(k.Public, message, sig) {
		return ep11.CKR_SIGNATURE_INVALID
	}
	return nil
}

// seedKey is the DER of [0] IMPLICIT OCTET STRING around a seed.
func seedKey(sk []byte, size int) (seed []byte, ok bool) {
	if len(sk) != 2+size || sk[0] != 0x80 || int(sk[1]) != size {
		return nil, false
	}
	return sk[2:], true
}

// newSeed writes that DER with a fresh seed.
func newSeed(fill func([]byte) error, sk []byte) error {
	sk[0], sk[1] = 0x80, byte(len(sk)-2)
	return fill(sk[2:])
}
