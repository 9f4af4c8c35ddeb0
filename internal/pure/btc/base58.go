// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
)

// base58Digits is the alphabet of base58: no 0, O, I and l.
const base58Digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

const (
	base58Bytes = 1 + 20 + 4 // version, hash, checksum
	base58Chars = 35         // most digits that base58Bytes can take
)

// encodeBase58 writes version, hash and the first four bytes of their double SHA-256 in base58.
func encodeBase58(version byte, hash []byte) string {
	b := append([]byte{version}, hash...)
	sum := doubleSHA256(b)
	b = append(b, sum[:4]...)
	zeros := leadingZeros(b)
	var digits []byte // least significant first
	for leadingZeros(b) < len(b) {
		carry := 0
		for i := range b {
			carry = carry<<8 | int(b[i])
			b[i] = byte(carry / 58)
			carry %= 58
		}
		digits = append(digits, base58Digits[carry])
	}
	slices.Reverse(digits)
	return strings.Repeat(base58Digits[:1], zeros) + string(digits)
}

// decodeBase58 is the inverse of [encodeBase58]: it accepts nothing that that function does not write.
func decodeBase58(s string) (version byte, hash []byte, err error) {
	if len(s) > base58Chars {
		return 0, nil, fmt.Errorf("%w: too long", ErrAddress)
	}
	b := make([]byte, base58Bytes)
	for i := range len(s) {
		carry := strings.IndexByte(base58Digits, s[i])
		if carry < 0 {
			return 0, nil, fmt.Errorf("%w: character %d is not used in one", ErrAddress, i+1)
		}
		for j := len(b) - 1; j >= 0; j-- {
			carry += int(b[j]) * 58
			b[j] = byte(carry)
			carry >>= 8
		}
		if carry != 0 {
			return 0, nil, fmt.Errorf("%w: too long", ErrAddress)
		}
	}
	ones := len(s) - len(strings.TrimLeft(s, base58Digits[:1]))
	if ones != leadingZeros(b) {
		return 0, nil, fmt.Errorf("%w: wrong length", ErrAddress)
	}
	payload, got := b[:base58Bytes-4], b[base58Bytes-4:]
	want := doubleSHA256(payload)
	if !slices.Equal(got, want[:4]) {
		return 0, nil, ErrChecksum
	}
	return payload[0], payload[1:], nil
}

// leadingZeros counts the zero bytes at the front of b.
func leadingZeros(b []byte) int {
	n := 0
	for n < len(b) && b[n] == 0 {
		n++
	}
	return n
}

func doubleSHA256(b []byte) [32]byte {
	h := sha256.Sum256(b)
	return sha256.Sum256(h[:])
}
