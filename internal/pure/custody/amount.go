// SPDX-License-Identifier: Apache-2.0

package custody

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/bits"
)

// Uint256 is an unsigned integer of 256 bits, big-endian. It is immutable, comparable with == and ordered by [Uint256.Cmp].
// Canonical CBOR holds it as a byte string without leading zeros (zero is the empty string); JSON as a decimal string.
type Uint256 [32]byte

// ErrAmount is wrapped by every error about a malformed or overflowing amount.
var ErrAmount = errors.New("bad amount")

// U64 gives v as a Uint256.
func U64(v uint64) (u Uint256) {
	for i := range 8 {
		u[31-i] = byte(v >> (8 * i))
	}
	return u
}

// ParseUint256 reads a decimal integer in base units: digits only, no sign, exponent, point, space or leading zero.
func ParseUint256(s string) (u Uint256, err error) {
	if s == "" || len(s) > 78 || (len(s) > 1 && s[0] == '0') {
		return u, fmt.Errorf("%w: %.80q: want a whole number of base units in decimal digits, without sign or leading zero", ErrAmount, s)
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return u, fmt.Errorf("%w: %q: want a whole number of base units in decimal digits only (no sign, point, exponent or space)", ErrAmount, s)
		}
	}
	n, _ := new(big.Int).SetString(s, 10)
	if n.BitLen() > 256 {
		return u, fmt.Errorf("%w: %s does not fit in 256 bits", ErrAmount, s)
	}
	n.FillBytes(u[:])
	return u, nil
}

// String gives decimal digits.
func (u Uint256) String() string { return new(big.Int).SetBytes(u[:]).String() }

// IsZero says whether u is 0.
func (u Uint256) IsZero() bool { return u == Uint256{} }

// Cmp gives -1, 0 or 1.
func (u Uint256) Cmp(v Uint256) int { return bytes.Compare(u[:], v[:]) }

// Add gives u+v, and false if the sum does not fit.
func (u Uint256) Add(v Uint256) (s Uint256, ok bool) {
	var sum, carry uint64
	for i := 24; i >= 0; i -= 8 { // a limit adds up hundreds in a decision: byte by byte takes twice as long and more
		sum, carry = bits.Add64(binary.BigEndian.Uint64(u[i:]), binary.BigEndian.Uint64(v[i:]), carry)
		binary.BigEndian.PutUint64(s[i:], sum)
	}
	return s, carry == 0
}

// Sub gives u-v, and false if v is larger.
func (u Uint256) Sub(v Uint256) (d Uint256, ok bool) {
	var rest, borrow uint64
	for i := 24; i >= 0; i -= 8 {
		rest, borrow = bits.Sub64(binary.BigEndian.Uint64(u[i:]), binary.BigEndian.Uint64(v[i:]), borrow)
		binary.BigEndian.PutUint64(d[i:], rest)
	}
	return d, borrow == 0
}

// Mul64 gives u*m, and false if the product does not fit.
func (u Uint256) Mul64(m uint64) (p Uint256, ok bool) {
	n := new(big.Int).SetBytes(u[:])
	n.Mul(n, new(big.Int).SetUint64(m))
	if n.BitLen() > 256 {
		return p, false
	}
	n.FillBytes(p[:])
	return p, true
}

// Uint64 gives u as a uint64, and false if it does not fit.
func (u Uint256) Uint64() (v uint64, ok bool) {
	for _, b := range u[:24] {
		if b != 0 {
			return 0, false
		}
	}
	for _, b := range u[24:] {
		v = v<<8 | uint64(b)
	}
	return v, true
}

// Minimal gives the big-endian bytes without leading zeros.
func (u Uint256) Minimal() []byte { return bytes.TrimLeft(u[:], "\x00") }

// AppendCBOR appends the byte string of [Uint256.Minimal].
func (u *Uint256) AppendCBOR(to []byte) []byte {
	m := u.Minimal()
	if len(m) < 24 {
		return append(append(to, 0x40|byte(len(m))), m...)
	}
	return append(append(to, 0x58, byte(len(m))), m...)
}

// MarshalCBOR gives the byte string of [Uint256.Minimal].
func (u Uint256) MarshalCBOR() ([]byte, error) { return u.AppendCBOR(nil), nil }

// UnmarshalCBOR reads what MarshalCBOR gives and nothing else.
func (u *Uint256) UnmarshalCBOR(b []byte) error {
	var m []byte
	switch n := len(b); {
	case n >= 1 && n <= 24 && int(b[0]) == 0x40+n-1:
		m = b[1:]
	case n >= 26 && b[0] == 0x58 && int(b[1]) == n-2:
		m = b[2:]
	default:
		return fmt.Errorf("%w: want a byte string in its shortest form", ErrAmount)
	}
	if len(m) > 32 || (len(m) > 0 && m[0] == 0) {
		return fmt.Errorf("%w: want at most 32 bytes without leading zeros", ErrAmount)
	}
	*u = Uint256{}
	copy(u[32-len(m):], m)
	return nil
}

// MarshalJSON gives a decimal string.
func (u Uint256) MarshalJSON() ([]byte, error) { return json.Marshal(u.String()) }

// UnmarshalJSON reads a decimal string; a JSON number is refused, because programs round those.
func (u *Uint256) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("%w: an amount is a JSON string of decimal digits, not a number", ErrAmount)
	}
	v, err := ParseUint256(s)
	if err != nil {
		return err
	}
	*u = v
	return nil
}
