// SPDX-License-Identifier: Apache-2.0

package secp

import (
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
)

// base58Digits is the alphabet of Bitcoin's base58: no 0, O, I and l.
const base58Digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

// checksumSize is the size in bytes of the checksum that base58check puts behind the payload.
const checksumSize = 4

// Reasons why a text is not base58check.
var (
	ErrBase58   = errors.New("text has a character that base58 does not use")
	ErrChecksum = errors.New("checksum does not match: the text was mistyped or cut")
)

// encodeBase58Check appends the first four bytes of the double SHA-256 and writes the whole in base58.
func encodeBase58Check(payload []byte) string {
	sum := doubleSHA256(payload)
	rest := append(slices.Clone(payload), sum[:checksumSize]...)
	zeros := 0
	for zeros < len(rest) && rest[zeros] == 0 {
		zeros++
	}
	var digits []byte // least significant first
	for start := zeros; start < len(rest); {
		carry := 0
		for i := start; i < len(rest); i++ {
			carry = carry<<8 | int(rest[i])
			rest[i] = byte(carry / 58)
			carry %= 58
		}
		digits = append(digits, base58Digits[carry])
		for start < len(rest) && rest[start] == 0 {
			start++
		}
	}
	slices.Reverse(digits)
	return strings.Repeat(base58Digits[:1], zeros) + string(digits)
}

// decodeBase58Check is the inverse of [encodeBase58Check]. Work is quadratic: the caller bounds the length of s.
func decodeBase58Check(s string) ([]byte, error) {
	zeros := 0
	for zeros < len(s) && s[zeros] == base58Digits[0] {
		zeros++
	}
	var out []byte // least significant first
	for i := zeros; i < len(s); i++ {
		carry := strings.IndexByte(base58Digits, s[i])
		if carry < 0 {
			return nil, ErrBase58
		}
		for j := range out {
			carry += int(out[j]) * 58
			out[j] = byte(carry)
			carry >>= 8
		}
		if carry > 0 {
			out = append(out, byte(carry))
		}
	}
	out = append(out, make([]byte, zeros)...)
	slices.Reverse(out)
	if len(out) < checksumSize {
		return nil, ErrChecksum
	}
	payload, got := out[:len(out)-checksumSize], out[len(out)-checksumSize:]
	want := doubleSHA256(payload)
	if !slices.Equal(got, want[:checksumSize]) {
		return nil, ErrChecksum
	}
	return payload, nil
}

func doubleSHA256(b []byte) [32]byte {
	h := sha256.Sum256(b)
	return sha256.Sum256(h[:])
}
