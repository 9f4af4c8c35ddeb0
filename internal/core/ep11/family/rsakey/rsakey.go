// SPDX-License-Identifier: Apache-2.0

// Package rsakey is the family of RSA: PKCS#1 v1.5 and PSS signatures, X9.31 signatures, PKCS#1 v1.5 and OAEP encryption and key wrap.
//
// It refuses private keys below 2,048 and above 4,096 bits or not in steps of 16, public ones below 1,024, exponents below 17, keys whose parts don't
// fit, and those that come in with factors that are not prime. It makes
// keys with exponent 65537 only. X9.31's own conditions on primes are not met by the primes that are made here (FIPS 186-5 appendix A.1.3), so its
// way of making keys is not offered.
//
// PKCS#1 v1.5 decryption tells whether the padding was right, because the interface does: who can ask often enough decrypts with it
// (Bleichenbacher 1998). Grants should name OAEP. Unwrapping has one answer for everything.
//
// Copies outside the arena: crypto/rsa needs the key as integers on the heap: those that can be reached are cleared when an operation ends; its own
// copies, and those of filippo.io/bigmod for the two forms of padding that crypto/rsa lacks, can't all be. Both are constant time.
//
// Specs: RFC 8017, ANSI X9.31 with the trailer as OpenSSL has it, FIPS 186-5.
package rsakey

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// Set gives the keys and mechanisms of the family.
func Set() family.Set {
	keys := []family.KeyType{{Type: ep11.CKK_RSA}}
	set := family.Set{
		Keys: map[family.KeyType]family.Generator{keys[0]: pairs{}},
		Rows: []family.Row{
			{Mechanism: ep11.CKM_RSA_PKCS_KEY_PAIR_GEN, Generates: keys},
			{Mechanism: ep11.CKM_RSA_PKCS, Keys: keys, Sign: signer{}, Cipher: crypter{}, Wrap: crypter{}},
			{Mechanism: ep11.CKM_RSA_PKCS_OAEP, Keys: keys, Cipher: crypter{}, Wrap: crypter{}},
		},
	}
	for m := range paddings {
		if m != ep11.CKM_RSA_PKCS {
			set.Rows = append(set.Rows, family.Row{Mechanism: m, Keys: keys, Sign: signer{}})
		}
	}
	return set
}

const exponent = 65537

// minPublic is the smallest key that verifies and encrypts, in bits: crypto/rsa has no smaller ones.
const minPublic = 1024

// pairs makes keys.
type pairs struct{}

// Generate takes a pair from the pool, or makes one, which takes seconds for 4,096 bits.
func (pairs) Generate(_ context.Context, t family.Tools, _ ep11.Mechanism, _ []byte, _, public ep11.Template) (family.Key, error) {
	bits, ok := public.Number(ep11.CKA_MODULUS_BITS)
	if !ok {
		return family.Key{}, ep11.Fail(ep11.CKR_TEMPLATE_INCOMPLETE, "CKA_MODULUS_BITS says how large the key is")
	}
	if bits < ep11.MinRSA || bits > ep11.MaxRSA || bits%16 != 0 {
		return family.Key{}, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "keys of %d to %d bits are made, in steps of 16", ep11.MinRSA, ep11.MaxRSA)
	}
	if e, ok := public.Number(ep11.CKA_PUBLIC_EXPONENT); ok && e != exponent {
		return family.Key{}, ep11.Fail(ep11.CKR_ATTRIBUTE_VALUE_INVALID, "keys have the public exponent %d", exponent)
	}
	if t.Pool != nil {
		if key, public, ok := t.Pool.Take(int(bits)); ok {
			return family.Key{Type: ep11.CKK_RSA, Secret: key, Public: public}, nil
		}
	}
	return Make(t.Arena, int(bits))
}

// Make makes a pair of bits with exponent 65537 by crypto/rsa, which draws from the system's randomness alone and does the consistency test. It
// is what fills a pool.
func Make(a *secret.Arena, bits int) (family.Key, error) {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return family.Key{}, err
	}
	defer forget(key)
	if len(key.Primes) != 2 || key.E != exponent || key.N.BitLen() != bits {
		return family.Key{}, family.ErrFault
	}
	parts := []*big.Int{new(big.Int), key.N, big.NewInt(exponent), key.D, key.Primes[0], key.Primes[1], key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv}
	size := 0
	for _, p := range parts {
		size += len(head(0x02, p.BitLen()/8+1)) + p.BitLen()/8 + 1
	}
	outer := head(0x30, size)
	made, err := secret.New(a, len(outer)+size, func(b []byte) error {
		b = b[copy(b, outer):]
		for _, p := range parts {
			n := p.BitLen()/8 + 1 // with a zero in front where the first bit is set
			b = b[copy(b, head(0x02, n)):]
			p.FillBytes(b[:n])
			b = b[n:]
		}
		return nil
	})
	return family.Key{Type: ep11.CKK_RSA, Secret: made, Public: encode(&key.PublicKey)}, err
}

// head is the tag and length of a DER element shorter than 64 KiB.
func head(tag byte, n int) []byte {
	switch {
	case n < 0x80:
		return []byte{tag, byte(n)}
	case n < 0x100:
		return []byte{tag, 0x81, byte(n)}
	}
	return []byte{tag, 0x82, byte(n >> 8), byte(n)}
}

// encode gives PKCS#1 RSAPublicKey.
func encode(k *rsa.PublicKey) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1BigInt(k.N)
		b.AddASN1Int64(int64(k.E))
	})
	out, err := b.Bytes()
	if err != nil {
		return nil
	}
	return out
}

// Modulus reads PKCS#1 RSAPublicKey: modulus and exponent, big-endian.
func Modulus(public []byte) (n *big.Int, e int64, ok bool) {
	in := cryptobyte.String(public)
	var body cryptobyte.String
	n = new(big.Int)
	ok = in.ReadASN1(&body, asn1.SEQUENCE) && in.Empty() && body.ReadASN1Integer(n) && body.ReadASN1Integer(&e) && body.Empty()
	return n, e, ok
}

// publicKey reads a public key.
func publicKey(public []byte) (*rsa.PublicKey, error) {
	n, e, ok := Modulus(public)
	switch bits := n.BitLen(); {
	case !ok || n.Sign() <= 0 || n.Bit(0) == 0 || e < 17 || e%2 == 0 || e >= 1<<31:
		return nil, ep11.Fail(ep11.CKR_PUBLIC_KEY_INVALID, "the public key has a modulus or exponent that can't be")
	case bits < minPublic || bits > ep11.MaxRSA:
		return nil, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "public keys of %d to %d bits are used, not of %d", minPublic, ep11.MaxRSA, bits)
	}
	return &rsa.PublicKey{N: n, E: int(e)}, nil
}

// privateKey reads PKCS#1 RSAPrivateKey. crypto/rsa checks that its parts fit. The caller forgets it.
func privateKey(sk []byte) (*rsa.PrivateKey, error) {
	in := cryptobyte.String(sk)
	var body cryptobyte.String
	if !in.ReadASN1(&body, asn1.SEQUENCE) || !in.Empty() {
		return nil, ep11.CKR_WRAPPED_KEY_INVALID
	}
	var n [9]*big.Int
	bad := false
	for i := range n {
		var x cryptobyte.String
		bad = bad || !body.ReadASN1(&x, asn1.INTEGER) || len(x) == 0 || x[0] >= 0x80 || len(x) > ep11.MaxRSA/8+1
		n[i] = new(big.Int).SetBytes(x)
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n[1], E: int(n[2].Int64())}, D: n[3], Primes: n[4:6],
		Precomputed: rsa.PrecomputedValues{Dp: n[6], Dq: n[7], Qinv: n[8]}}
	bits := key.N.BitLen()
	bad = bad || !body.Empty() || n[0].Sign() != 0 || n[2].BitLen() > 31 || key.E < 17 || key.E%2 == 0 || key.N.Bit(0) == 0
	if bad {
		forget(key)
		return nil, ep11.CKR_WRAPPED_KEY_INVALID
	}
	if bits < ep11.MinRSA || bits > ep11.MaxRSA || bits%16 != 0 {
		forget(key)
		return nil, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "private keys of %d to %d bits are used, in steps of 16", ep11.MinRSA, ep11.MaxRSA)
	}
	key.Precompute()
	if key.Validate() != nil {
		forget(key)
		return nil, ep11.CKR_WRAPPED_KEY_INVALID
	}
	return key, nil
}

// forget clears what of a key can be reached.
func forget(key *rsa.PrivateKey) {
	for _, x := range append([]*big.Int{key.D, key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv}, key.Primes...) {
		if x != nil {
			clear(x.Bits())
		}
	}
}

// with calls f with the private key.
func with(k family.Key, f func(*rsa.PrivateKey) error) error {
	return k.Secret.Use(func(sk []byte) (err error) {
		secret.Do(func() {
			var key *rsa.PrivateKey
			if key, err = privateKey(sk); err != nil {
				return
			}
			defer forget(key)
			err = f(key)
		})
		return err
	})
}

// Public gives the public half of a private key whose parts fit and whose factors are prime: crypto/rsa doesn't look, and with others some signatures
// would not verify.
func (pairs) Public(k family.Key) (public []byte, err error) {
	err = with(k, func(key *rsa.PrivateKey) error {
		for _, p := range key.Primes {
			if !prime(p) {
				return ep11.CKR_WRAPPED_KEY_INVALID
			}
		}
		public = encode(&key.PublicKey)
		return nil
	})
	return public, err
}

// Check refuses a public key of a wrong form or size.
func (pairs) Check(k family.Key) error {
	_, err := publicKey(k.Public)
	return err
}

// Bits is the length of the modulus.
func (pairs) Bits(k family.Key) uint64 {
	n, _, ok := Modulus(k.Public)
	if !ok {
		return 0
	}
	return uint64(n.BitLen())
}
