// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
)

// Reasons why a number is refused.
var (
	ErrOverflow = errors.New("number does not fit into 256 bits")
	ErrDecimal  = errors.New("number is not plain decimal; write digits only, without sign, point, exponent or leading zero")
)

// Uint256 is an unsigned integer of 256 bits, big-endian: amounts in wei or token base units, and fees. It is a value:
// it copies, compares with ==, and no operation changes its operands. The zero value is 0.
type Uint256 [32]byte

// FromUint64 returns v as a Uint256.
func FromUint64(v uint64) Uint256 {
	var u Uint256
	binary.BigEndian.PutUint64(u[24:], v)
	return u
}

// FromBytes reads a big-endian integer of at most 32 bytes; leading zeros are allowed, no bytes are 0.
func FromBytes(b []byte) (Uint256, error) {
	var u Uint256
	if len(b) > len(u) {
		return u, fmt.Errorf("%w: got %d bytes", ErrOverflow, len(b))
	}
	copy(u[len(u)-len(b):], b)
	return u, nil
}

// FromDecimal reads exactly what [Uint256.String] writes: digits without sign, separator or leading zero, "0" for zero.
// Errors are [ErrDecimal] and [ErrOverflow].
func FromDecimal(s string) (Uint256, error) {
	if s == "" || (s[0] == '0' && s != "0") {
		return Uint256{}, ErrDecimal
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return Uint256{}, ErrDecimal
		}
	}
	var u Uint256
	for i := range len(s) { // ends with the overflow after 79 digits at the latest, however long s is
		var err error
		if u, err = u.Mul64(10); err != nil {
			return Uint256{}, err
		}
		if u, err = u.Add(FromUint64(uint64(s[i] - '0'))); err != nil {
			return Uint256{}, err
		}
	}
	return u, nil
}

// String returns u in decimal.
func (u Uint256) String() string {
	const chunk = 1_000_000_000_000_000_000 // 10¹⁸, the largest power of a thousand in a limb
	limbs := u.limbs()
	var text string
	for {
		var rem uint64
		rest := uint64(0)
		for i := len(limbs) - 1; i >= 0; i-- {
			limbs[i], rem = bits.Div64(rem, limbs[i], chunk)
			rest |= limbs[i]
		}
		digits := strconv.FormatUint(rem, 10)
		if rest == 0 {
			return digits + text
		}
		text = fmt.Sprintf("%018d", rem) + text
	}
}

// IsZero tells whether u is 0.
func (u Uint256) IsZero() bool { return u == Uint256{} }

// Cmp returns -1, 0 or 1 as u is less than, equal to or greater than v.
func (u Uint256) Cmp(v Uint256) int { return bytes.Compare(u[:], v[:]) }

// Add returns u + v, or [ErrOverflow].
func (u Uint256) Add(v Uint256) (Uint256, error) {
	a, b := u.limbs(), v.limbs()
	var carry uint64
	for i := range a {
		a[i], carry = bits.Add64(a[i], b[i], carry)
	}
	if carry != 0 {
		return Uint256{}, ErrOverflow
	}
	return fromLimbs(a), nil
}

// Mul64 returns u · m, or [ErrOverflow].
func (u Uint256) Mul64(m uint64) (Uint256, error) {
	a := u.limbs()
	var carry uint64
	for i := range a {
		hi, lo := bits.Mul64(a[i], m)
		var c uint64
		a[i], c = bits.Add64(lo, carry, 0)
		carry = hi + c // never overflows: hi is at most 2⁶⁴-2
	}
	if carry != 0 {
		return Uint256{}, ErrOverflow
	}
	return fromLimbs(a), nil
}

// Uint64 returns u when it fits into 64 bits, and whether it does.
func (u Uint256) Uint64() (uint64, bool) {
	l := u.limbs()
	return l[0], l[1]|l[2]|l[3] == 0
}

// limbs splits u into 64-bit words, least significant first.
func (u Uint256) limbs() [4]uint64 {
	var l [4]uint64
	for i := range l {
		l[i] = binary.BigEndian.Uint64(u[24-8*i:])
	}
	return l
}

func fromLimbs(l [4]uint64) Uint256 {
	var u Uint256
	for i := range l {
		binary.BigEndian.PutUint64(u[24-8*i:], l[i])
	}
	return u
}
