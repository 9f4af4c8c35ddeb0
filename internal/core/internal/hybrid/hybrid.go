// SPDX-License-Identifier: Apache-2.0

// Package hybrid is HPKE in one suite, base mode, for secrets that lie in an arena: KEM MLKEM768-X25519 (X-Wing, 0x647a), KDF HKDF-SHA384, AEAD
// AES-256-GCM, one message a key exchange. What is sealed for recovery and what custodians hand in at a load use it.
//
// Copies outside the arena: a private key is kept as the 32-byte seed of the KEM, in the arena. It is expanded for each call inside [secret.Do]:
// crypto/mlkem, crypto/ecdh and crypto/hpke then hold the expanded key, its seed, the shared secret and the AEAD's key on the Go heap. The seed
// and the plaintext that they return are cleared here; the rest can't be reached, is garbage when the call returns, and is erased when the
// build has runtime/secret. ML-KEM's temporaries need more stack than [secret.Do] erases in the form without it, so calls run on a stack that is
// erased deeper.
//
// Specs: RFC 9180 (HPKE), draft-ietf-hpke-pq (the KEM), FIPS 203 (ML-KEM).
package hybrid

import (
	"crypto/hpke"
	"crypto/sha3"
	"errors"

	"strongroom/internal/secret"
)

// Sizes in bytes.
const (
	SeedSize   = 32        // of a private key, in its serialized form
	PublicSize = 1184 + 32 // of a public key: ML-KEM-768 encapsulation key, X25519 public key
	EncSize    = 1088 + 32 // of an encapsulated key: ML-KEM-768 ciphertext, X25519 public key
	Overhead   = 16        // of the box over the plaintext
)

// ErrOpen says that a box does not open under this key, info and additional data.
var ErrOpen = errors.New("hybrid: does not open")

// Derive writes to seed the private key that follows from ikm, and returns the public one. It is DeriveKeyPair of draft-ietf-hpke-pq, that
// is LabeledDerive of SHAKE256 over the KEM's suite id: crypto/hpke has it too, but leaves copies of ikm on the heap.
func Derive(seed, ikm []byte) (public []byte, err error) {
	secret.Do(func() {
		h := sha3.NewSHAKE256()
		for _, part := range [][]byte{ikm, []byte("HPKE-v1KEM"), {0x64, 0x7a}, {0, 13}, []byte("DeriveKeyPair"), {0, SeedSize}} {
			_, _ = h.Write(part) // a sponge takes everything
		}
		_, _ = h.Read(seed)
		h.Reset()
	})
	return Public(seed)
}

// Public returns the public key of a private one.
func Public(seed []byte) (public []byte, err error) {
	do(func() {
		var k hpke.PrivateKey
		if k, err = hpke.MLKEM768X25519().NewPrivateKey(seed); err != nil {
			return
		}
		if kept, err := k.Bytes(); err == nil { // the key's own slice: clearing it clears the key's copy
			defer clear(kept)
		}
		public = k.PublicKey().Bytes()
	})
	return public, err
}

// CheckPublic refuses bytes that are no public key: of another size, or with an ML-KEM part that is not reduced (FIPS 203 section 7.2).
func CheckPublic(public []byte) error {
	_, err := hpke.MLKEM768X25519().NewPublicKey(public)
	return err
}

// Seal encrypts plain to a public key.
func Seal(public, info, aad, plain []byte) (enc, box []byte, err error) {
	pk, err := hpke.MLKEM768X25519().NewPublicKey(public)
	if err != nil {
		return nil, nil, err
	}
	do(func() {
		var s *hpke.Sender
		if enc, s, err = hpke.NewSender(pk, hpke.HKDFSHA384(), hpke.AES256GCM(), info); err == nil {
			box, err = s.Seal(aad, plain)
		}
	})
	return enc, box, err
}

// Open decrypts a box into out, which has the size of the plaintext, or returns [ErrOpen].
func Open(out, seed, enc, info, aad, box []byte) (err error) {
	do(func() { err = open(out, seed, enc, info, aad, box) })
	return err
}

func open(out, seed, enc, info, aad, box []byte) error {
	k, err := hpke.MLKEM768X25519().NewPrivateKey(seed)
	if err != nil {
		return err
	}
	if kept, err := k.Bytes(); err == nil {
		defer clear(kept)
	}
	r, err := hpke.NewRecipient(enc, k, hpke.HKDFSHA384(), hpke.AES256GCM(), info)
	if err != nil {
		return ErrOpen
	}
	plain, err := r.Open(aad, box)
	if err != nil {
		return ErrOpen
	}
	defer clear(plain)
	if len(out) != len(plain) {
		return ErrOpen
	}
	copy(out, plain)
	return nil
}

// deepStack is how much stack ML-KEM's key expansion and decapsulation may use, in bytes.
const deepStack = 64 << 10

// do is [secret.Do] for computations that need up to deepStack bytes of stack.
func do(f func()) {
	defer eraseDeep()
	eraseDeep()
	secret.Do(f)
}

// eraseDeep grows the stack by deepStack, so that it is not moved while f runs, and zeroes that much of it. The array is passed on so that the
// compiler keeps the stores.
//
//go:noinline
func eraseDeep() {
	var room [deepStack]byte
	wipe(room[:])
}

//go:noinline
func wipe(b []byte) { clear(b) }
