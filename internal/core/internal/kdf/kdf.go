// SPDX-License-Identifier: Apache-2.0

// Package kdf hashes secrets and derives keys from them with HKDF, leaving no copy of them in memory: the standard library's hashes keep the last
// block of what they were given, its HMAC and HKDF keep the key, on the heap, where they can't be cleared from outside. What is derived is the
// same.
//
// Calls run inside [secret.Do], so that temporaries on the stack are erased. Inputs and outputs are the caller's: they lie in an arena, or are
// cleared after use.
//
// Specs: FIPS 180-4 (SHA-2), FIPS 198-1 (HMAC), RFC 5869 (HKDF), SEC 1 section 3.6.1 (the KDF of ANSI X9.63).
package kdf

import (
	"crypto/sha1" //nolint:gosec // PKCS#11 names it; no collision helps who hashes a secret
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash"

	"strongroom/internal/secret"
)

// Hash is the hash function of a derivation.
type Hash uint8

// The hash functions.
const (
	SHA256 Hash = iota + 1
	SHA384
	SHA512
	SHA1 // for applications' keys alone
	SHA224
)

// Size is the length of [Sum] in bytes.
const Size = sha512.Size

// maxSum and maxBlock are the longest sum and block of the hash functions, in bytes.
const (
	maxSum   = sha512.Size
	maxBlock = sha512.BlockSize
)

// new makes a hash, or nil.
func (h Hash) new() hash.Hash {
	switch h {
	case SHA256:
		return sha256.New()
	case SHA384:
		return sha512.New384()
	case SHA512:
		return sha512.New()
	case SHA1:
		return sha1.New()
	case SHA224:
		return sha256.New224()
	default:
		return nil
	}
}

// Sum writes the SHA-512 of the parts, joined, to out.
func Sum(out *[Size]byte, parts ...[]byte) {
	secret.Do(func() {
		h := SHA512.new()
		defer forget(h)
		sum(h, out, parts...)
	})
}

// Digest fills out with the leading bytes of the hash of the parts, joined. It refuses an unknown hash, and more bytes than it has.
func Digest(with Hash, out []byte, parts ...[]byte) error {
	if h := with.new(); h == nil || len(out) < 1 || len(out) > h.Size() {
		return fmt.Errorf("kdf: %d bytes of a digest with hash %d", len(out), with)
	}
	secret.Do(func() {
		h := with.new()
		defer forget(h)
		var digest [maxSum]byte
		defer wipe(digest[:])
		sum(h, &digest, parts...)
		copy(out, digest[:])
	})
	return nil
}

// maxX963 is the longest output of [X963] in bytes: more than any key needs.
const maxX963 = 1 << 16

// X963 fills out with the KDF of ANSI X9.63: hash(z || counter || info) for counters from 1. It refuses an unknown hash, and an output that is empty
// or longer than 64 KiB.
func X963(with Hash, out, z, info []byte) error {
	if with.new() == nil || len(out) < 1 || len(out) > maxX963 {
		return fmt.Errorf("kdf: %d bytes with hash %d can't be derived", len(out), with)
	}
	secret.Do(func() {
		h := with.new()
		defer forget(h)
		var block [maxSum]byte
		defer wipe(block[:])
		for i := uint32(1); len(out) > 0; i++ {
			sum(h, &block, z, binary.BigEndian.AppendUint32(nil, i), info)
			out = out[copy(out, block[:h.Size()]):]
		}
	})
	return nil
}

// HMAC fills out, of the hash's size, with the HMAC of the parts, joined. It refuses an unknown hash, and another size.
func HMAC(with Hash, out, key []byte, parts ...[]byte) error {
	if h := with.new(); h == nil || len(out) != h.Size() {
		return fmt.Errorf("kdf: %d bytes of an HMAC with hash %d", len(out), with)
	}
	secret.Do(func() {
		h := with.new()
		defer forget(h)
		var sum [maxSum]byte
		defer wipe(sum[:])
		mac(h, &sum, key, parts...)
		copy(out, sum[:])
	})
	return nil
}

// HKDF fills out with HKDF-Expand(HKDF-Extract(salt, key), info). No salt is a salt of zeros, as RFC 5869 says. It refuses an unknown hash, and an
// output that is empty or longer than 255 sums (RFC 5869 section 2.3).
func HKDF(with Hash, out, key, salt, info []byte) error {
	if h := with.new(); h == nil || len(out) < 1 || len(out) > 255*h.Size() {
		return fmt.Errorf("kdf: %d bytes with hash %d can't be derived", len(out), with)
	}
	secret.Do(func() {
		h := with.new()
		defer forget(h)
		var prk, block [maxSum]byte
		defer func() { wipe(prk[:]); wipe(block[:]) }()
		size := h.Size()
		mac(h, &prk, salt, key)
		last := block[:0]
		for i := byte(1); len(out) > 0; i++ {
			mac(h, &block, prk[:size], last, info, []byte{i})
			last = block[:size]
			out = out[copy(out, last):]
		}
	})
	return nil
}

// mac writes the HMAC of the parts, joined, to out, which may be one of them.
func mac(h hash.Hash, out *[maxSum]byte, key []byte, parts ...[]byte) {
	var buf [maxBlock]byte
	defer func() { wipe(buf[:]) }()
	pad := buf[:h.BlockSize()]
	if len(key) > len(pad) {
		sum(h, out, key)
		key = out[:h.Size()]
	}
	copy(pad, key)
	for i := range pad {
		pad[i] ^= 0x36
	}
	var inner [maxSum]byte
	defer func() { wipe(inner[:]) }()
	sum(h, &inner, append([][]byte{pad}, parts...)...)
	for i := range pad {
		pad[i] ^= 0x36 ^ 0x5c
	}
	sum(h, out, pad, inner[:h.Size()])
}

func sum(h hash.Hash, out *[maxSum]byte, parts ...[]byte) {
	h.Reset()
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(out[:0])
}

// forget overwrites what a hash keeps: its state by Reset, and its buffer of one block by zeros that it has to keep for a while.
func forget(h hash.Hash) {
	var zeros [maxBlock]byte
	h.Reset()
	h.Write(zeros[:1])
	h.Write(zeros[:h.BlockSize()-1])
	h.Reset()
}

//go:noinline
func wipe(b []byte) { clear(b) }
