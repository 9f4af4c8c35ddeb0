// SPDX-License-Identifier: Apache-2.0

package elliptic

import (
	"bytes"
	"crypto/ed25519"
	nist "crypto/elliptic"
	"crypto/sha512"
	"math/big"
	"slices"

	"filippo.io/edwards25519"
	"filippo.io/nistec"
)

// Signatures that were just made are verified with combs of the public key, which takes half the time that the standard library takes. What a comb does not find
// good the library is asked about, and it alone says no: a fault in a comb is no fault of the signature. Signatures that callers bring are
// for the library alone.

// rechecked is a scheme whose own signatures are verified faster.
type rechecked interface {
	// recheck says whether a signature is surely good. False says nothing.
	recheck(public, data, sig []byte) bool
}

// edwardsCombs are those of Ed25519.
type edwardsCombs struct {
	base *comb[*edwards25519.Point]
	keys combs[*edwards25519.Point]
}

func newEdwardsCombs() *edwardsCombs {
	return &edwardsCombs{base: newComb(edwards25519.NewIdentityPoint, edwards25519.NewGeneratorPoint())}
}

// recheck verifies as RFC 8032 section 5.1.7 says, without the cofactor: R is the encoding of [S]B - [k]A.
func (e edwards) recheck(public, data, sig []byte) bool {
	if len(public) != ed25519.PublicKeySize || len(sig) != ed25519.SignatureSize {
		return false
	}
	minus := e.combs.keys.get(public, func() *comb[*edwards25519.Point] {
		a, err := new(edwards25519.Point).SetBytes(public)
		if err != nil {
			return nil
		}
		return newComb(edwards25519.NewIdentityPoint, a.Negate(a))
	})
	s, err := edwards25519.NewScalar().SetCanonicalBytes(sig[32:])
	if minus == nil || err != nil {
		return false
	}
	h := sha512.New()
	h.Write(sig[:32])
	h.Write(public)
	h.Write(data)
	k, err := edwards25519.NewScalar().SetUniformBytes(h.Sum(nil))
	if err != nil {
		return false
	}
	r := sum(edwards25519.NewIdentityPoint(), multiple[*edwards25519.Point]{e.combs.base, (*[32]byte)(s.Bytes())}, multiple[*edwards25519.Point]{minus, (*[32]byte)(k.Bytes())})
	return bytes.Equal(r.Bytes(), sig[:32])
}

// recheck verifies as FIPS 186-5 section 6.4.2 says, on P-256: r is the x coordinate of [e/s]G + [r/s]Q.
func (c nistCurve) recheck(public, data, sig []byte) bool {
	if c.curve != nist.P256() || len(sig) != 64 {
		return false
	}
	key := c.combs.get(public, func() *comb[*nistec.P256Point] {
		q, err := nistec.NewP256Point().SetBytes(public)
		if err != nil || len(public) != 65 {
			return nil
		}
		return newComb(nistec.NewP256Point, q)
	})
	if key == nil {
		return false
	}
	n := c.curve.Params().N
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if r.Sign() == 0 || s.Sign() == 0 || r.Cmp(n) >= 0 || s.Cmp(n) >= 0 {
		return false
	}
	w := s.ModInverse(s, n)
	u1 := new(big.Int).SetBytes(data[:min(len(data), 32)])
	u1.Mod(u1.Mul(u1, w), n)
	u2 := new(big.Int).Mul(r, w)
	u2.Mod(u2, n)
	var by [32]byte
	g, err := nistec.NewP256Point().ScalarBaseMult(u1.FillBytes(by[:]))
	if err != nil {
		return false
	}
	u2.FillBytes(by[:])
	slices.Reverse(by[:])
	q := sum(nistec.NewP256Point(), multiple[*nistec.P256Point]{key, &by})
	x, err := q.Add(q, g).BytesX()
	if err != nil {
		return false // infinity
	}
	v := new(big.Int).SetBytes(x)
	return v.Mod(v, n).Cmp(r) == 0
}
