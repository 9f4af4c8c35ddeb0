// SPDX-License-Identifier: Apache-2.0

// Package seal is the one way in which the core encrypts something that it keeps: an envelope of an authenticated header in clear and a
// ciphertext under a key of its own, derived from a parent key, a random salt and the header (docs/spec/blob.md).
//
// AES-256-GCM alone has two weaknesses that matter to a store of keys: random nonces collide when one key encrypts very much, and one
// ciphertext can be made that opens under two keys. A key for each envelope removes the first. The second is removed by a commitment:
// 32 more bytes of the same derivation, stored in clear and compared in constant time before anything is decrypted.
//
// It refuses envelopes that are not canonical, too large, or were not sealed under this key, tag and header, and doesn't say which of
// key, header and ciphertext was wrong, because it can't know.
//
// Copies outside the arena: the derived 64 bytes lie on the heap (cleared here), and crypto/aes keeps the key schedule of the derived key
// there, which is garbage when the call returns, and is erased when the build has runtime/secret ([secret.Do]). It opens one envelope. The
// parent key itself and the plaintext never leave the arena: package kdf derives without crypto/hkdf, which leaves its input on the heap.
//
// Specs: SP 800-38D (GCM), RFC 5869 (HKDF), RFC 8949 section 4.2.1 (encoding).
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"

	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

// Sizes in bytes.
const (
	KeySize        = 32       // of a parent key
	SaltSize       = 32       // of an envelope's salt
	CommitmentSize = 32       // of an envelope's key commitment
	MaxHeader      = 4 << 10  // the longest header
	MaxPlain       = 64 << 10 // the longest plaintext
	overhead       = 12 + 16  // GCM nonce and tag

	// MaxEnvelope is a bound on what [Seal] returns; it is for readers of files.
	MaxEnvelope = MaxHeader + MaxPlain + 256
)

var (
	// ErrMalformed says that bytes are no envelope: not canonical, or a part has a size that it can't have.
	ErrMalformed = errors.New("seal: not a sealed envelope")
	// ErrOpen says that an envelope does not open: it was sealed under another key or for another use, or was altered.
	ErrOpen = errors.New("seal: does not open: the key is another one, or the sealed bytes were altered")
	// ErrInput says that a header, plaintext or key has a size that can't be sealed.
	ErrInput = errors.New("seal: can't be sealed")
)

// envelope is the stored form.
type envelope struct {
	Header     []byte               `cbor:"1,keyasint"` // authenticated, in clear
	Salt       [SaltSize]byte       `cbor:"2,keyasint"`
	Commitment [CommitmentSize]byte `cbor:"3,keyasint"`
	Box        []byte               `cbor:"4,keyasint"` // nonce (12), ciphertext, GCM tag (16)
}

// Seal encrypts plain under a key derived from key for this one envelope, and authenticates header with it. tag says for what: an envelope
// opens under the tag that it was sealed with only. Two calls with the same arguments give different envelopes.
func Seal(tag canon.Tag, key secret.Bytes, header []byte, plain secret.Bytes) ([]byte, error) {
	if len(header) > MaxHeader {
		return nil, fmt.Errorf("%w: header of %d bytes, at most %d", ErrInput, len(header), MaxHeader)
	}
	if n := plain.Len(); n > MaxPlain {
		return nil, fmt.Errorf("%w: content of %d bytes, at most %d", ErrInput, n, MaxPlain)
	}
	e := envelope{Header: header}
	rand.Read(e.Salt[:]) // never fails: crypto/rand ends the process when the system has no randomness
	err := key.Use(func(k []byte) error {
		return plain.Use(func(p []byte) error {
			return derived(tag, k, &e, func(aead cipher.AEAD, commitment *[CommitmentSize]byte) error {
				e.Commitment = *commitment
				e.Box = aead.Seal(nil, nil, p, header)
				return nil
			})
		})
	})
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return canon.Encode(e), nil
}

// Open decrypts what [Seal] made under the same tag and key into arena a, and returns the header with it. The commitment is compared first,
// in constant time. Any wrong bit anywhere gives [ErrMalformed] or [ErrOpen].
func Open(a *secret.Arena, tag canon.Tag, key secret.Bytes, sealed []byte) (plain secret.Bytes, header []byte, err error) {
	e, err := decode(sealed)
	if err != nil {
		return secret.Bytes{}, nil, err
	}
	plain, err = secret.New(a, len(e.Box)-overhead, func(p []byte) error {
		return key.Use(func(k []byte) error {
			return derived(tag, k, &e, func(aead cipher.AEAD, commitment *[CommitmentSize]byte) error {
				if subtle.ConstantTimeCompare(commitment[:], e.Commitment[:]) != 1 {
					return ErrOpen
				}
				// p[:0] has exactly the capacity of the plaintext: it is decrypted in place, in the arena.
				if _, err := aead.Open(p[:0], nil, e.Box, e.Header); err != nil {
					return ErrOpen
				}
				return nil
			})
		})
	})
	if err != nil {
		return secret.Bytes{}, nil, err
	}
	return plain, e.Header, nil
}

// Header reads the header of an envelope. Nothing has been authenticated then: it is for choosing the key and for refusing early.
func Header(sealed []byte) ([]byte, error) {
	e, err := decode(sealed)
	return e.Header, err
}

func decode(sealed []byte) (envelope, error) {
	var e envelope
	if len(sealed) > MaxEnvelope {
		return envelope{}, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(sealed), MaxEnvelope)
	}
	if err := canon.Decode(sealed, &e); err != nil {
		return envelope{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(e.Header) > MaxHeader || len(e.Box) <= overhead || len(e.Box) > MaxPlain+overhead {
		return envelope{}, fmt.Errorf("%w: header of %d and box of %d bytes", ErrMalformed, len(e.Header), len(e.Box))
	}
	return e, nil
}

// derived calls f with the cipher and the commitment of one envelope:
// K || C = HKDF-SHA-384(key, salt, info = SHA-256(tag || 0x00 || header)), 32 bytes each.
func derived(tag canon.Tag, key []byte, e *envelope, f func(cipher.AEAD, *[CommitmentSize]byte) error) (err error) {
	if len(key) != KeySize {
		return fmt.Errorf("%w: key of %d bytes, not %d", ErrInput, len(key), KeySize)
	}
	info := canon.HashBytes(tag, e.Header)
	secret.Do(func() {
		okm := make([]byte, KeySize+CommitmentSize)
		defer clear(okm)
		if err = kdf.HKDF(kdf.SHA384, okm, key, e.Salt[:], info[:]); err != nil {
			err = fmt.Errorf("derive key: %w", err)
			return
		}
		var block cipher.Block
		block, err = aes.NewCipher(okm[:KeySize])
		if err != nil {
			err = fmt.Errorf("make cipher: %w", err)
			return
		}
		var aead cipher.AEAD
		aead, err = cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			err = fmt.Errorf("make cipher: %w", err)
			return
		}
		err = f(aead, (*[CommitmentSize]byte)(okm[KeySize:]))
	})
	return err
}
