// SPDX-License-Identifier: Apache-2.0

// Package cmac is AES-CMAC: NIST SP 800-38B, RFC 4493. It authenticates NTP packets (RFC 8573) and is the pseudo-random function
// inside AES-SIV. It compares nothing: callers compare tags with crypto/subtle.
//
// Copies outside the arena: the AES key schedule, which crypto/aes keeps on the heap while the value lives, and the two subkeys.
package cmac

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
)

// Size is the length of a tag in bytes.
const Size = aes.BlockSize

// MAC computes tags under one key. It is not changed by use, and safe for concurrent use.
type MAC struct {
	block  cipher.Block
	k1, k2 [Size]byte
}

// New makes a MAC from an AES key of 16, 24 or 32 bytes.
func New(key []byte) (*MAC, error) {
	b, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	m := &MAC{block: b}
	b.Encrypt(m.k1[:], m.k1[:])
	Double(&m.k1)
	m.k2 = m.k1
	Double(&m.k2)
	return m, nil
}

// Sum gives the tag of a message, which is the parts one after the other.
func (m *MAC) Sum(parts ...[]byte) [Size]byte {
	var x, last [Size]byte
	n := 0 // bytes in last
	for _, p := range parts {
		for len(p) > 0 {
			if n == Size { // more follows, so that last is not the final block
				subtle.XORBytes(x[:], x[:], last[:])
				m.block.Encrypt(x[:], x[:])
				n = 0
			}
			k := copy(last[n:], p)
			n, p = n+k, p[k:]
		}
	}
	sub := &m.k1
	if n < Size {
		clear(last[n:])
		last[n] = 0x80
		sub = &m.k2
	}
	subtle.XORBytes(x[:], x[:], last[:])
	subtle.XORBytes(x[:], x[:], sub[:])
	m.block.Encrypt(x[:], x[:])
	return x
}

// Double multiplies by x in GF(2^128) as RFC 4493 section 2.3 and RFC 5297 section 2.3 define it, in constant time.
func Double(b *[Size]byte) {
	carry := b[0] >> 7
	for i := range Size - 1 {
		b[i] = b[i]<<1 | b[i+1]>>7
	}
	b[Size-1] = b[Size-1]<<1 ^ carry*0x87
}
