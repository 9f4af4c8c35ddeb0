// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"fmt"
	"strings"
)

// bech32Digits is the alphabet of bech32: a character stands for five bits.
const bech32Digits = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// bech32Checksum is the length of the checksum in characters.
const bech32Checksum = 6

// bech32Spec is the constant that the checksum ends in; it tells bech32 from bech32m.
type bech32Spec uint32

const (
	bech32Plain bech32Spec = 1          // BIP-173, witness version 0
	bech32M     bech32Spec = 0x2bc830a3 // BIP-350, witness versions 1 to 16
)

// bech32Polymod is the checksum's polynomial of BIP-173 "Checksum", one step for one value of five bits.
func bech32Polymod(chk uint32, v byte) uint32 {
	generator := [5]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3}
	top := chk >> 25
	chk = (chk&0x1ffffff)<<5 ^ uint32(v)
	for i, g := range generator {
		if top>>i&1 == 1 {
			chk ^= g
		}
	}
	return chk
}

// bech32Sum runs the polynomial over the expanded human-readable part and the data.
func bech32Sum(hrp string, data []byte) uint32 {
	chk := uint32(1)
	for i := range len(hrp) {
		chk = bech32Polymod(chk, hrp[i]>>5)
	}
	chk = bech32Polymod(chk, 0)
	for i := range len(hrp) {
		chk = bech32Polymod(chk, hrp[i]&31)
	}
	for _, v := range data {
		chk = bech32Polymod(chk, v)
	}
	return chk
}

// encodeSegwit writes a witness program as an address, BIP-173 "Segwit address format" and BIP-350.
func encodeSegwit(hrp string, version byte, program []byte) string {
	data := append([]byte{version}, regroup8to5(program)...)
	spec := bech32M
	if version == 0 {
		spec = bech32Plain
	}
	sum := bech32Sum(hrp, append(data[:len(data):len(data)], make([]byte, bech32Checksum)...)) ^ uint32(spec)
	var b strings.Builder
	b.WriteString(hrp)
	b.WriteByte('1')
	for _, v := range data {
		b.WriteByte(bech32Digits[v])
	}
	for i := range bech32Checksum {
		b.WriteByte(bech32Digits[sum>>(5*(bech32Checksum-1-i))&31])
	}
	return b.String()
}

// decodeBech32 reads a bech32 or bech32m string: human-readable part in lower case, data in five-bit groups without the
// checksum, and which of the two it is.
func decodeBech32(s string) (hrp string, data []byte, spec bech32Spec, err error) {
	if len(s) > MaxAddressChars {
		return "", nil, 0, fmt.Errorf("%w: longer than %d characters", ErrAddress, MaxAddressChars)
	}
	for i := range len(s) {
		if s[i] < 33 || s[i] > 126 {
			return "", nil, 0, fmt.Errorf("%w: character %d is not used in one", ErrAddress, i+1)
		}
	}
	lower := strings.ToLower(s)
	if lower != s && strings.ToUpper(s) != s {
		return "", nil, 0, ErrMixedCase
	}
	sep := strings.LastIndexByte(lower, '1')
	if sep < 1 || len(lower)-sep-1 < bech32Checksum {
		return "", nil, 0, fmt.Errorf("%w: separator or checksum is missing", ErrAddress)
	}
	hrp = lower[:sep]
	for i := sep + 1; i < len(lower); i++ {
		v := strings.IndexByte(bech32Digits, lower[i])
		if v < 0 {
			return "", nil, 0, fmt.Errorf("%w: character %d is not used in one", ErrAddress, i+1)
		}
		data = append(data, byte(v))
	}
	spec = bech32Spec(bech32Sum(hrp, data))
	if spec != bech32Plain && spec != bech32M {
		return "", nil, 0, ErrChecksum
	}
	return hrp, data[:len(data)-bech32Checksum], spec, nil
}

// regroup8to5 cuts bytes into five-bit groups and fills the last one with zero bits.
func regroup8to5(b []byte) []byte {
	var out []byte
	acc, bits := uint32(0), 0
	for _, v := range b {
		acc = acc<<8 | uint32(v)
		for bits += 8; bits >= 5; {
			bits -= 5
			out = append(out, byte(acc>>bits&31))
		}
	}
	if bits > 0 {
		out = append(out, byte(acc<<(5-bits)&31))
	}
	return out
}

// regroup5to8 is the inverse of [regroup8to5]; padding of five bits or more, or other than zero, is refused.
func regroup5to8(groups []byte) ([]byte, error) {
	var out []byte
	acc, bits := uint32(0), 0
	for _, v := range groups {
		acc = acc<<5 | uint32(v)
		if bits += 5; bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
		}
	}
	if bits >= 5 || acc<<(8-bits)&0xff != 0 {
		return nil, fmt.Errorf("%w: padding is too long or not zero", ErrAddress)
	}
	return out, nil
}
