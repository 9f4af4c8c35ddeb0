// SPDX-License-Identifier: Apache-2.0

// Package siv is AES-SIV, RFC 5297: authenticated encryption with any number of associated strings, which a repeated nonce does not
// break. NTS (RFC 8915) protects NTP packets with AEAD_AES_SIV_CMAC_256.
//
// A nonce, where a protocol has one, is the last associated string (RFC 5297 section 3). NTS servers in use refuse packets whose nonce
// is left out instead.
//
// Copies outside the arena: the two AES key schedules, which crypto/aes keeps on the heap while the value lives.
package siv

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"errors"
	"fmt"

	"strongroom/internal/core/internal/cmac"
)

// Overhead is by how much a ciphertext is longer than its plaintext, in bytes: the synthetic initialization vector in front.
const Overhead = aes.BlockSize

// ErrOpen says that a ciphertext is not of this key, these associated strings, or unchanged.
var ErrOpen = errors.New("siv: the ciphertext is not authentic")

// AEAD encrypts under one key. It is not changed by use, and safe for concurrent use.
type AEAD struct {
	mac *cmac.MAC
	ctr cipher.Block
}

// New makes an AEAD from a key of 32, 48 or 64 bytes: half for S2V, half for CTR.
func New(key []byte) (*AEAD, error) {
	if n := len(key); n != 32 && n != 48 && n != 64 {
		return nil, fmt.Errorf("siv: a key has 32, 48 or 64 bytes, not %d", n)
	}
	m, err := cmac.New(key[:len(key)/2])
	if err != nil {
		return nil, err
	}
	b, err := aes.NewCipher(key[len(key)/2:])
	if err != nil {
		return nil, err
	}
	return &AEAD{m, b}, nil
}

// Seal encrypts plain and authenticates it together with the associated strings,
// of which there may be 126 (RFC 5297 section 7).
func (a *AEAD) Seal(plain []byte, associated ...[]byte) []byte {
	out := make([]byte, Overhead+len(plain))
	v := a.s2v(plain, associated)
	copy(out, v[:])
	a.stream(v, out[Overhead:], plain)
	return out
}

// Open gives the plaintext, or [ErrOpen].
func (a *AEAD) Open(sealed []byte, associated ...[]byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, ErrOpen
	}
	v := [Overhead]byte(sealed)
	plain := make([]byte, len(sealed)-Overhead)
	a.stream(v, plain, sealed[Overhead:])
	if want := a.s2v(plain, associated); subtle.ConstantTimeCompare(v[:], want[:]) != 1 {
		clear(plain)
		return nil, ErrOpen
	}
	return plain, nil
}

// s2v is RFC 5297 section 2.4.
func (a *AEAD) s2v(plain []byte, associated [][]byte) [Overhead]byte {
	var zero [Overhead]byte
	d := a.mac.Sum(zero[:])
	for _, s := range associated {
		cmac.Double(&d)
		t := a.mac.Sum(s)
		subtle.XORBytes(d[:], d[:], t[:])
	}
	if n := len(plain); n >= Overhead { // the last block of plain is mixed with d, in place
		subtle.XORBytes(d[:], d[:], plain[n-Overhead:])
		return a.mac.Sum(plain[:n-Overhead], d[:])
	}
	cmac.Double(&d)
	var padded [Overhead]byte
	copy(padded[:], plain)
	padded[len(plain)] = 0x80
	subtle.XORBytes(d[:], d[:], padded[:])
	return a.mac.Sum(d[:])
}

// stream is CTR mode from the vector with two bits cleared (RFC 5297 section 2.5).
func (a *AEAD) stream(v [Overhead]byte, dst, src []byte) {
	v[8] &= 0x7f
	v[12] &= 0x7f
	cipher.NewCTR(a.ctr, v[:]).XORKeyStream(dst, src)
}
