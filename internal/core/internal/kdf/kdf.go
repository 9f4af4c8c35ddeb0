// SPDX-License-Identifier: Apache-2.0

// Package kdf derives keys from keys with HKDF (RFC 5869), leaving no copy of the input behind. crypto/hkdf hashes the input key through objects
// on the Go heap whose buffers keep it in clear until they are collected and overwritten; here everything in between lies on the stack, in
// [secret.Do], which erases it. The output is the caller's memory: in an arena, or cleared after use.
//
// It refuses inputs that are longer than what the core derives from, so that its buffers have a fixed size.
package kdf

import (
	"crypto/sha256"
	"crypto/sha512"
	"fmt"

	"strongroom/internal/secret"
)

// Hash is the hash function of a derivation.
type Hash uint8

// The hash functions.
const (
	SHA256 Hash = iota + 1
	SHA384
)

// Bounds in bytes.
const (
	MaxKey  = 64  // of the input key
	MaxSalt = 64  // not above a block of either hash, so that it is never hashed first
	MaxInfo = 128 // of the context
	MaxOut  = 128 // of what is derived

	maxBlock = sha512.BlockSize
	maxSum   = sha512.Size384
)

// HKDF fills out with HKDF-Expand(HKDF-Extract(salt, key), info). No salt is a salt of zeros, as RFC 5869 says. out may lie in an arena.
func HKDF(h Hash, out, key, salt, info []byte) error {
	size, ok := map[Hash]int{SHA256: sha256.Size, SHA384: sha512.Size384}[h]
	if !ok || len(out) < 1 || len(out) > MaxOut || len(key) > MaxKey || len(salt) > MaxSalt || len(info) > MaxInfo {
		return fmt.Errorf("kdf: hash %d, %d bytes from a key of %d, salt of %d and context of %d: outside the bounds", h, len(out), len(key), len(salt), len(info))
	}
	secret.Do(func() {
		var prk, t [maxSum]byte
		hmac(h, &prk, salt, key, nil, nil)
		last := t[:0]
		for n := byte(1); len(out) > 0; n++ {
			hmac(h, &t, prk[:size], last, info, []byte{n})
			last = t[:size]
			out = out[copy(out, last):]
		}
	})
	return nil
}

// hmac puts HMAC(key, a || b || c) into sum: RFC 2104. It calls the hash functions by name: through a variable, their input would move to the heap.
func hmac(h Hash, sum *[maxSum]byte, key, a, b, c []byte) {
	var buf [maxBlock + max(MaxKey, maxSum) + MaxInfo + 1]byte
	block := maxBlock
	if h == SHA256 {
		block = sha256.BlockSize
	}
	pad(buf[:block], key, 0x36)
	n := block
	n += copy(buf[n:], a)
	n += copy(buf[n:], b)
	n += copy(buf[n:], c)
	n = block + digest(h, sum, buf[:n])
	pad(buf[:block], key, 0x5c)
	copy(buf[block:], sum[:n-block])
	digest(h, sum, buf[:n])
}

func pad(block, key []byte, with byte) {
	for i := range block {
		block[i] = with
	}
	for i, k := range key {
		block[i] ^= k
	}
}

// digest puts the hash of data into sum and gives its length.
func digest(h Hash, sum *[maxSum]byte, data []byte) int {
	if h == SHA256 {
		s := sha256.Sum256(data)
		return copy(sum[:], s[:])
	}
	s := sha512.Sum384(data)
	return copy(sum[:], s[:])
}
