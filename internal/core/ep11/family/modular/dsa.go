// SPDX-License-Identifier: Apache-2.0

package modular

import (
	"context"
	"errors"
	"math/big"

	"filippo.io/bigmod"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// nonceTag separates the nonces of DSA from whatever else is computed with a key.
const nonceTag = "strongroom/dsa/nonce/v1"

// draws is how often a number below q is drawn: half of the draws may be too large, so that all are with a probability of 1 in 2^128.
const draws = 128

// errZero says that r or s is 0, and the signature is begun anew; the probability is below 1 in 2^250.
var errZero = errors.New("modular: a part of the signature is 0")

// dsaKeys makes and checks pairs.
type dsaKeys struct{ fields []*field }

// Generate makes a pair in the group of params.
func (g dsaKeys) Generate(ctx context.Context, t family.Tools, _ ep11.Mechanism, params []byte, _, _ ep11.Template) (family.Key, error) {
	f, err := find(g.fields, params)
	if err != nil {
		return family.Key{}, err
	}
	key := family.Key{Type: ep11.CKK_DSA, Params: params}
	key.Secret, err = secret.New(t.Arena, len(f.q), func(b []byte) error {
		return f.draw(b, func(out []byte) error { return t.Random.Fill(ctx, out) })
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

// draw fills out with a number in [1, q-1] (FIPS 186-4 B.1.2 and B.2.2: draws out of range are thrown away).
func (f *field) draw(out []byte, fill func([]byte) error) error {
	for range draws {
		if err := fill(out); err != nil {
			return err
		}
		if x, err := f.exponent(out); err == nil {
			clear(x.Bits())
			return nil
		}
	}
	return family.ErrFault
}

// exponent reads a number in [1, q-1]. The caller clears it.
func (f *field) exponent(b []byte) (*bigmod.Nat, error) {
	if len(b) != len(f.q) {
		return nil, errExponent
	}
	x, err := bigmod.NewNat().SetBytes(b, f.mq)
	if err != nil || x.IsZero() == 1 {
		return nil, errExponent
	}
	return x, nil
}

// Public gives g^x, as long as p.
func (g dsaKeys) Public(k family.Key) ([]byte, error) {
	f, err := find(g.fields, k.Params)
	if err != nil {
		return nil, err
	}
	if k.Secret.Len() != len(f.q) {
		return nil, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "a private value has %d bytes", len(f.q))
	}
	y := make([]byte, len(f.p))
	err = k.Secret.Use(func(x []byte) (err error) {
		secret.Do(func() {
			n, bad := f.exponent(x)
			if bad != nil {
				err = ep11.Fail(ep11.CKR_WRAPPED_KEY_INVALID, "not a private value of its group")
				return
			}
			clear(n.Bits())
			err = f.power(f.g, x, y)
		})
		return err
	})
	return y, err
}

// Check refuses public values that are not in their group, and groups of wrong sizes.
func (g dsaKeys) Check(k family.Key) error {
	f, err := foreign(k)
	if err != nil {
		return ep11.Fail(ep11.CKR_DOMAIN_PARAMS_INVALID, "not the parameters of a DSA key")
	}
	if !f.member(f.g) {
		return ep11.Fail(ep11.CKR_DOMAIN_PARAMS_INVALID, "not the parameters of a DSA key")
	}
	if len(k.Public) != len(f.p) || !f.member(k.Public) {
		return ep11.Fail(ep11.CKR_PUBLIC_KEY_INVALID, "not a public value of its group")
	}
	return nil
}

// Bits is the size of the prime.
func (g dsaKeys) Bits(k family.Key) uint64 {
	f, err := foreign(k)
	if err != nil {
		return 0
	}
	return uint64(8 * len(f.p))
}

// foreign reads the group of a public key, which may be any of the sizes of FIPS 186-4 section 4.2 from 2048 bits on. That its numbers are prime
// is not checked.
func foreign(k family.Key) (*field, error) {
	p, q, g, err := ep11.Group(ep11.CKK_DSA, k.Params)
	if err != nil {
		return nil, err
	}
	size := [2]int{new(big.Int).SetBytes(p).BitLen(), new(big.Int).SetBytes(q).BitLen()}
	if size != [2]int{2048, 224} && size != [2]int{2048, 256} && size != [2]int{3072, 256} || p[len(p)-1]&1 == 0 || q[len(q)-1]&1 == 0 {
		return nil, errExponent
	}
	return &field{p: p, q: q, g: g}, nil
}

// signer signs with DSA. data is a digest, of which the leftmost bits count (FIPS 186-4 section 4.6).
type signer struct{ fields []*field }

// Sign signs a digest: r || s, each as long as q.
func (s signer) Sign(ctx context.Context, t family.Tools, _ ep11.Mechanism, k family.Key, data []byte) ([]byte, error) {
	if len(data) == 0 {
		return nil, ep11.Fail(ep11.CKR_DATA_LEN_RANGE, "there is nothing to sign")
	}
	f, err := find(s.fields, k.Params)
	if err != nil {
		return nil, err
	}
	var sig []byte
	err = k.Secret.Use(func(x []byte) (err error) {
		for range draws {
			if sig, err = f.attempt(ctx, t, x, data); !errors.Is(err, errZero) {
				return err
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	public, err := dsaKeys(s).Public(k)
	if err != nil || !f.verify(public, data, sig) {
		return nil, family.ErrFault
	}
	return sig, nil
}

// attempt makes a signature with a fresh nonce. The nonce is hedged: HMAC-SHA-256 under the private key of randomness and digest.
func (f *field) attempt(ctx context.Context, t family.Tools, x, data []byte) ([]byte, error) {
	fresh, err := secret.New(t.Arena, 32, func(b []byte) error { return t.Random.Fill(ctx, b) })
	if err != nil {
		return nil, err
	}
	defer fresh.Wipe()
	var nonce secret.Bytes
	err = fresh.Use(func(random []byte) (err error) {
		draw := byte(0)
		nonce, err = secret.New(t.Arena, len(f.q), func(b []byte) error {
			return f.draw(b, func(out []byte) error {
				draw++
				return kdf.HMAC(kdf.SHA256, out, x, []byte(nonceTag), []byte{draw}, random, data)
			})
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	defer nonce.Wipe()
	var sig []byte
	err = nonce.Use(func(k []byte) (err error) {
		secret.Do(func() { sig, err = f.sign(x, k, data) })
		return err
	})
	return sig, err
}

// sign computes r = (g^k mod p) mod q and s = k^-1 (z + x r) mod q.
func (f *field) sign(x, k, data []byte) ([]byte, error) {
	sk, err := f.exponent(x)
	if err != nil {
		return nil, family.ErrFault
	}
	defer clear(sk.Bits())
	nonce, err := f.exponent(k)
	if err != nil {
		return nil, family.ErrFault
	}
	defer clear(nonce.Bits())
	g, errG := bigmod.NewNat().SetBytes(f.g, f.mp)
	z, errZ := bigmod.NewNat().SetOverflowingBytes(leftmost(data, len(f.q)), f.mq)
	if errG != nil || errZ != nil {
		return nil, family.ErrFault
	}
	r := bigmod.NewNat().Mod(bigmod.NewNat().Exp(g, k, f.mp), f.mq)
	inverse := bigmod.NewNat().Exp(nonce, f.fermat(), f.mq)
	defer clear(inverse.Bits())
	sk.Mul(r, f.mq).Add(z, f.mq).Mul(inverse, f.mq)
	if r.IsZero() == 1 || sk.IsZero() == 1 {
		return nil, errZero
	}
	return append(r.Bytes(f.mq), sk.Bytes(f.mq)...), nil
}

// fermat is q - 2: a number to this power is its inverse modulo the prime q.
func (f *field) fermat() []byte {
	q := new(big.Int).SetBytes(f.q)
	return q.Sub(q, big.NewInt(2)).FillBytes(make([]byte, len(f.q)))
}

// leftmost gives the leftmost bytes of a digest, filled up with zeros in front if it is shorter. The sizes of q are whole bytes.
func leftmost(data []byte, n int) []byte {
	data = data[:min(len(data), n)]
	out := make([]byte, n)
	copy(out[n-len(data):], data)
	return out
}

// Verify checks a signature.
func (s signer) Verify(_ context.Context, _ family.Tools, _ ep11.Mechanism, k family.Key, data, sig []byte) error {
	f, err := foreign(k)
	if err != nil {
		return ep11.Fail(ep11.CKR_DOMAIN_PARAMS_INVALID, "not the parameters of a DSA key")
	}
	if len(sig) != 2*len(f.q) {
		return ep11.CKR_SIGNATURE_LEN_RANGE
	}
	if !f.verify(k.Public, data, sig) {
		return ep11.CKR_SIGNATURE_INVALID
	}
	return nil
}

// verify is FIPS 186-4 section 4.7, of public values.
func (f *field) verify(public, data, sig []byte) bool {
	p, q, g := new(big.Int).SetBytes(f.p), new(big.Int).SetBytes(f.q), new(big.Int).SetBytes(f.g)
	r, s, y := new(big.Int).SetBytes(sig[:len(f.q)]), new(big.Int).SetBytes(sig[len(f.q):]), new(big.Int).SetBytes(public)
	if r.Sign() == 0 || r.Cmp(q) >= 0 || s.Sign() == 0 || s.Cmp(q) >= 0 || y.Cmp(big.NewInt(1)) <= 0 || y.Cmp(p) >= 0 || g.Cmp(big.NewInt(1)) <= 0 || g.Cmp(p) >= 0 {
		return false
	}
	w := new(big.Int).ModInverse(s, q)
	if w == nil { // q is no prime
		return false
	}
	z := new(big.Int).SetBytes(leftmost(data, len(f.q)))
	u1 := z.Mod(z.Mul(z, w), q)
	u2 := w.Mod(w.Mul(w, r), q)
	v := g.Exp(g, u1, p)
	v.Mod(v.Mul(v, y.Exp(y, u2, p)), p)
	return v.Mod(v, q).Cmp(r) == 0
}
