// SPDX-License-Identifier: Apache-2.0

// Package kdf hashes and derives secrets with SHA-512, leaving no copy of them in memory: the standard library's hashes keep the last block of
// what they were given, and its HMAC keeps the key, on the heap, where they can't be cleared from outside. What is derived is the same.
//
// Calls run inside [secret.Do], so that temporaries on the stack are erased. Inputs and outputs are the caller's: they lie in an arena.
//
// Specs: FIPS 180-4 (SHA-512), FIPS 198-1 (HMAC), RFC 5869 (HKDF).
package kdf

import (
	"crypto/sha512"
	"hash"

	"strongroom/internal/secret"
)

// Size is the length of a hash in bytes.
const Size = sha512.Size

// maxOut is the most that HKDF can give (RFC 5869 section 2.3).
const maxOut = 255 * Size

// Sum writes the SHA-512 of the parts, joined, to out.
func Sum(out *[Size]byte, parts ...[]byte) {
	secret.Do(func() {
		h := sha512.New()
		defer forget(h)
		sum(h, out, parts...)
	})
}

// HKDF fills out with HKDF-SHA-512 of key, salt (nil for none) and info. It panics if out is longer than 16,320 bytes.
func HKDF(out, key, salt []byte, info string) {
	if len(out) > maxOut {
		panic("kdf: more bytes than HKDF has")
	}
	secret.Do(func() {
		h := sha512.New()
		defer forget(h)
		var prk, block [Size]byte
		defer func() { wipe(prk[:]); wipe(block[:]) }()
		if salt == nil {
			salt = make([]byte, Size)
		}
		mac(h, &prk, salt, key)
		for i := byte(1); len(out) > 0; i++ {
			if i == 1 {
				mac(h, &block, prk[:], []byte(info), []byte{i})
			} else {
				mac(h, &block, prk[:], block[:], []byte(info), []byte{i})
			}
			out = out[copy(out, block[:]):]
		}
	})
}

// mac writes the HMAC of the parts, joined, to out, which may be one of them. key has at most a block.
func mac(h hash.Hash, out *[Size]byte, key []byte, parts ...[]byte) {
	var pad [sha512.BlockSize]byte
	defer func() { wipe(pad[:]) }()
	if len(key) > sha512.BlockSize {
		sum(h, out, key)
		key = out[:]
	}
	copy(pad[:], key)
	for i := range pad {
		pad[i] ^= 0x36
	}
	var inner [Size]byte
	defer func() { wipe(inner[:]) }()
	sum(h, &inner, append([][]byte{pad[:]}, parts...)...)
	for i := range pad {
		pad[i] ^= 0x36 ^ 0x5c
	}
	sum(h, out, pad[:], inner[:])
}

func sum(h hash.Hash, out *[Size]byte, parts ...[]byte) {
	h.Reset()
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(out[:0])
}

// forget overwrites what a hash keeps: its state by Reset, and its buffer of one block by zeros that it has to keep for a while.
func forget(h hash.Hash) {
	var zeros [sha512.BlockSize - 1]byte
	h.Reset()
	h.Write(zeros[:1])
	h.Write(zeros[:])
	h.Reset()
}

//go:noinline
func wipe(b []byte) { clear(b) }
