// SPDX-License-Identifier: Apache-2.0

// Package kdf hashes secrets and derives keys from them with HKDF and PBKDF2, leaving no copy of them in memory: the standard library's hashes keep the last
// block of what they were given, its HMAC and HKDF keep the key, on the heap, where they can't be cleared from outside. What is derived is the
// same.
//
// Calls run inside [secret.Do], so that temporaries on the stack are erased. Inputs and outputs are the caller's: they lie in an arena, or are
// cleared after use.
//
// Specs: FIPS 180-4 (SHA-2), FIPS 198-1 (HMAC), RFC 5869 (HKDF), RFC 8018 (PBKDF2), SEC 1 section 3.6.1 (the KDF
// of ANSI X9.63).
package kdf

import (
	"crypto/sha1" //nolint:gosec // PKCS#11 names it; no collision helps who hashes a secret
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding"
	"encoding/binary"
	"errors"
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

// PBKDF2 fills out with PBKDF2 of a password (RFC 8018 section 5.2). It refuses an unknown hash, an empty output, and fewer iterations than one.
func PBKDF2(with Hash, out, password, salt []byte, iterations int) error {
	if h := with.new(); h == nil || len(out) < 1 || iterations < 1 {
		return fmt.Errorf("kdf: %d bytes with hash %d and %d iterations can't be derived", len(out), with, iterations)
	}
	var err error
	secret.Do(func() {
		h := with.new()
		defer forget(h)
		var k keyed
		defer k.wipe()
		if err = k.init(h, password); err != nil {
			return
		}
		var u, t [maxSum]byte
		defer func() { wipe(u[:]); wipe(t[:]) }()
		size := h.Size()
		for i := uint32(1); len(out) > 0 && err == nil; i++ {
			err = k.mac(h, &u, salt, binary.BigEndian.AppendUint32(nil, i))
			copy(t[:], u[:])
			for n := 1; n < iterations && err == nil; n++ {
				err = k.mac(h, &u, u[:size])
				subtle.XORBytes(t[:size], t[:size], u[:size])
			}
			out = out[copy(out, t[:size]):]
		}
	})
	return err
}

// maxState is room for the state of a hash, in bytes, as it writes it.
const maxState = 256

// keyed is an HMAC key, absorbed: what a hash holds after the inner and the outer pad, so that each further HMAC costs half. A hash that is
// cloned could not be cleared.
type keyed struct {
	inner, outer [maxState]byte
	ni, no       int
}

// state is what a hash of the standard library can besides.
type state interface {
	encoding.BinaryAppender
	encoding.BinaryUnmarshaler
}

func (k *keyed) init(h hash.Hash, key []byte) error {
	var pad [maxBlock]byte
	var short [maxSum]byte
	defer func() { wipe(pad[:]); wipe(short[:]) }()
	if len(key) > h.BlockSize() {
		sum(h, &short, key)
		key = short[:h.Size()]
	}
	copy(pad[:], key)
	var err error
	absorb := func(flip byte, to *[maxState]byte) (n int) {
		for i := range pad[:h.BlockSize()] {
			pad[i] ^= flip
		}
		h.Reset()
		h.Write(pad[:h.BlockSize()])
		b, e := h.(state).AppendBinary(to[:0])
		if e == nil && len(b) > maxState {
			wipe(b)
			e = fmt.Errorf("kdf: the state of a hash has %d bytes", len(b))
		}
		err = errors.Join(err, e)
		return len(b)
	}
	k.ni = absorb(0x36, &k.inner)
	k.no = absorb(0x36^0x5c, &k.outer)
	return err
}

// mac writes the HMAC of the parts, joined, to out, which may be one of them.
func (k *keyed) mac(h hash.Hash, out *[maxSum]byte, parts ...[]byte) error {
	if err := h.(state).UnmarshalBinary(k.inner[:k.ni]); err != nil {
		return err
	}
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(out[:0])
	if err := h.(state).UnmarshalBinary(k.outer[:k.no]); err != nil {
		return err
	}
	h.Write(out[:h.Size()])
	h.Sum(out[:0])
	return nil
}

func (k *keyed) wipe() { wipe(k.inner[:]); wipe(k.outer[:]) }

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
