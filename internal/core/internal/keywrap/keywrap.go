// SPDX-License-Identifier: Apache-2.0

// Package keywrap is AES key wrap with padding (RFC 5649; KWP of SP 800-38F): a key of any length from 1 byte encrypted under an AES key,
// deterministic and with 64 bits of integrity, without a nonce; and AES key wrap without padding (RFC 3394; KW), for whole semiblocks.
//
// It refuses wrapped bytes whose length, integrity value or padding is wrong, with one error for all three, found without branching on what
// was decrypted. What it decrypts into belongs to the caller and is zero after a refusal. The expanded key schedule is on the Go heap, where
// crypto/aes puts it; it can't be cleared.
package keywrap

import (
	"crypto/aes"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// Sizes in bytes.
const (
	semi     = 8                          // of a semiblock
	MaxPlain = 8 << 10                    // the longest key that is wrapped; the standard allows 2^32-1
	icv      = uint32(0xa65959a6)         // first half of the alternative initial value, RFC 5649 section 3
	icvWhole = uint64(0xa6a6a6a6a6a6a6a6) // initial value of RFC 3394 section 2.2.3.1
)

var (
	// ErrInput says that a key can't be wrapped: it is empty or too long, or the wrapping key has a wrong size.
	ErrInput = errors.New("keywrap: can't be wrapped")
	// ErrUnwrap says that bytes don't unwrap: they were wrapped under another key, or altered.
	ErrUnwrap = errors.New("keywrap: does not unwrap: the wrapping key is another one, or the wrapped bytes were altered")
)

// Size gives the length of what [Wrap] makes of n bytes.
func Size(n int) int { return (n+semi-1)/semi*semi + semi }

// Wrap encrypts plain under key, an AES key of 16, 24 or 32 bytes, into out, which has [Size] bytes. plain and out don't overlap.
func Wrap(key, plain, out []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil || len(plain) < 1 || len(plain) > MaxPlain || len(out) != Size(len(plain)) {
		return fmt.Errorf("%w: key of %d bytes, plaintext of %d, room for %d", ErrInput, len(key), len(plain), len(out))
	}
	clear(out)
	binary.BigEndian.PutUint32(out, icv)
	binary.BigEndian.PutUint32(out[4:], uint32(len(plain)))
	copy(out[semi:], plain)
	if len(out) == 2*semi {
		block.Encrypt(out, out)
		return nil
	}
	wrapLong(block.Encrypt, out)
	return nil
}

// WrapWhole encrypts plain, at least two and whole semiblocks of 8 bytes, under key without padding (RFC 3394), into out, which has [Size] bytes.
func WrapWhole(key, plain, out []byte) error {
	block, err := aes.NewCipher(key)
	if err != nil || len(plain) < 2*semi || len(plain)%semi != 0 || len(plain) > MaxPlain || len(out) != Size(len(plain)) {
		return fmt.Errorf("%w: key of %d bytes, plaintext of %d, room for %d", ErrInput, len(key), len(plain), len(out))
	}
	binary.BigEndian.PutUint64(out, icvWhole)
	copy(out[semi:], plain)
	wrapLong(block.Encrypt, out)
	return nil
}

// UnwrapWhole decrypts what [WrapWhole] made into out, which has 8 bytes less than wrapped, and gives its length.
func UnwrapWhole(key, wrapped, out []byte) (int, error) {
	block, err := aes.NewCipher(key)
	if err != nil || len(wrapped) < 3*semi || len(wrapped)%semi != 0 || len(wrapped) > Size(MaxPlain) || len(out) != len(wrapped)-semi {
		return 0, ErrUnwrap
	}
	var a, want [semi]byte
	binary.BigEndian.PutUint64(want[:], icvWhole)
	unwrapLong(block.Decrypt, wrapped, &a, out)
	if subtle.ConstantTimeCompare(a[:], want[:]) != 1 {
		clear(out)
		return 0, ErrUnwrap
	}
	return len(out), nil
}

// wrapLong is RFC 3394 section 2.2.1, indexed form, in place: A stays in out[:8].
func wrapLong(encrypt func(dst, src []byte), out []byte) {
	var b [aes.BlockSize]byte
	defer clear(b[:])
	n := len(out)/semi - 1
	for j := range 6 {
		for i := 1; i <= n; i++ {
			r := out[i*semi : (i+1)*semi]
			copy(b[:semi], out[:semi])
			copy(b[semi:], r)
			encrypt(b[:], b[:])
			t := uint64(n*j + i)
			binary.BigEndian.PutUint64(out, binary.BigEndian.Uint64(b[:])^t)
			copy(r, b[semi:])
		}
	}
}

// Unwrap decrypts what [Wrap] made into out, which has 8 bytes less than wrapped, and gives the number of bytes of the key at its start; the
// rest is zero.
func Unwrap(key, wrapped, out []byte) (int, error) {
	block, err := aes.NewCipher(key)
	if err != nil || len(wrapped) < 2*semi || len(wrapped)%semi != 0 || len(wrapped) > Size(MaxPlain) || len(out) != len(wrapped)-semi {
		return 0, ErrUnwrap
	}
	var a [semi]byte
	if len(wrapped) == 2*semi {
		var b [aes.BlockSize]byte
		defer clear(b[:])
		block.Decrypt(b[:], wrapped)
		copy(a[:], b[:semi])
		copy(out, b[semi:])
	} else {
		unwrapLong(block.Decrypt, wrapped, &a, out)
	}
	n := int64(binary.BigEndian.Uint32(a[4:]))
	ok := subtle.ConstantTimeEq(int32(binary.BigEndian.Uint32(a[:])^icv), 0)
	// The length fits the padding: len(out)-8 < n <= len(out).
	full := int64(len(out))
	ok &= less(full-semi, n) & less(n, full+1)
	var padding byte
	for i, x := range out[len(out)-semi:] {
		padding |= x & byte(-less(n, full-semi+int64(i)+1)) // 0xff at and beyond n
	}
	ok &= subtle.ConstantTimeByteEq(padding, 0)
	if ok != 1 {
		clear(out)
		return 0, ErrUnwrap
	}
	return int(n), nil
}

// less is 1 if x < y and 0 if not, in constant time. Both are far from the ends of int64.
func less(x, y int64) int { return int(uint64(x-y) >> 63) }

// unwrapLong is RFC 3394 section 2.2.2, indexed form.
func unwrapLong(decrypt func(dst, src []byte), wrapped []byte, a *[semi]byte, out []byte) {
	var b [aes.BlockSize]byte
	defer clear(b[:])
	copy(a[:], wrapped)
	copy(out, wrapped[semi:])
	n := len(out) / semi
	for j := 5; j >= 0; j-- {
		for i := n; i >= 1; i-- {
			r := out[(i-1)*semi : i*semi]
			t := uint64(n*j + i)
			binary.BigEndian.PutUint64(b[:], binary.BigEndian.Uint64(a[:])^t)
			copy(b[semi:], r)
			decrypt(b[:], b[:])
			copy(a[:], b[:semi])
			copy(r, b[semi:])
		}
	}
}
