// SPDX-License-Identifier: Apache-2.0

package rsakey

import (
	"crypto/rand"
	"math/big"

	"filippo.io/bigmod"
)

// rounds of the test: whoever made up the number gets past it once in 2^64.
const rounds = 32

// prime is the Miller-Rabin test with random bases (FIPS 186-5 appendix B.3.1). math/big has one in variable time with bases that follow from the
// number; a key that comes in wrapped with its attributes is a secret also to its caller.
func prime(p *big.Int) bool {
	if p.BitLen() < 3 || p.Bit(0) == 0 {
		return false
	}
	m, err := bigmod.NewModulus(p.Bytes())
	if err != nil {
		return false
	}
	less := new(big.Int).Sub(p, big.NewInt(1))
	twos := less.TrailingZeroBits()
	odd := new(big.Int).Rsh(less, twos)
	exponent := odd.Bytes()
	span := new(big.Int).Sub(p, big.NewInt(3))
	defer func() { clear(less.Bits()); clear(odd.Bits()); clear(span.Bits()); clear(exponent) }()
	for range rounds {
		base, err := rand.Int(rand.Reader, span)
		if err != nil {
			return false
		}
		a, err := bigmod.NewNat().SetBytes(base.Add(base, big.NewInt(2)).FillBytes(make([]byte, m.Size())), m) // 2 to p - 2
		if err != nil || !passes(bigmod.NewNat().Exp(a, exponent, m), twos, m) {
			return false
		}
	}
	return true
}

// passes says whether x, a power to the odd part of m - 1, is 1 or becomes -1 by squaring.
func passes(x *bigmod.Nat, twos uint, m *bigmod.Modulus) bool {
	if x.IsOne() == 1 {
		return true
	}
	for range twos {
		if x.IsMinusOne(m) == 1 {
			return true
		}
		x.Mul(x, m)
	}
	return false
}
