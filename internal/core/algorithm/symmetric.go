// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/mlkem"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"

	"strongroom/internal/core/internal/keywrap"
	described "strongroom/internal/pure/algorithm"
)

// gcm makes AES-GCM with a random nonce in front of each ciphertext. A key may seal 2^32 messages (SP 800-38D section 8.3); its holder counts.
func gcm(sk []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(sk)
	if err != nil {
		return nil, ErrSecret
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func gcmSeal(sk, plain, additional []byte) ([]byte, error) {
	aead, err := gcm(sk)
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, plain, additional), nil
}

func gcmOpen(sk, sealed, additional []byte) ([]byte, error) {
	aead, err := gcm(sk)
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, sealed, additional)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

func kwpWrap(sk, plain []byte) ([]byte, error) {
	out := make([]byte, keywrap.Size(len(plain)))
	if err := keywrap.Wrap(sk, plain, out); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	return out, nil
}

func kwpUnwrap(sk, wrapped, out []byte) (int, error) {
	n, err := keywrap.Unwrap(sk, wrapped, out[:max(len(wrapped)-8, 0)])
	if errors.Is(err, keywrap.ErrUnwrap) {
		err = ErrOpen
	}
	return n, err
}

// hmacOf gives HMAC with the hash of a mechanism.
func hmacOf(m Mechanism) func(sk, msg []byte) []byte {
	h := func() hash.Hash { return sha256.New() }
	switch m {
	case described.HMACSHA384:
		h = sha512.New384
	case described.HMACSHA512:
		h = sha512.New
	}
	return func(sk, msg []byte) []byte {
		mac := hmac.New(h, sk)
		mac.Write(msg)
		return mac.Sum(nil)
	}
}

func mlkem768Public(sk []byte) ([]byte, error) {
	key, err := mlkem.NewDecapsulationKey768(sk)
	if err != nil {
		return nil, ErrSecret
	}
	return key.EncapsulationKey().Bytes(), nil
}

func mlkem768Encapsulate(pub []byte) (shared, capsule []byte, err error) {
	key, err := mlkem.NewEncapsulationKey768(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: not an encapsulation key", ErrInput)
	}
	shared, capsule = key.Encapsulate()
	return shared, capsule, nil
}

func mlkem768Decapsulate(sk, capsule, out []byte) error {
	key, err := mlkem.NewDecapsulationKey768(sk)
	if err != nil {
		return ErrSecret
	}
	return decapsulated(out)(key.Decapsulate(capsule))
}

func mlkem1024Public(sk []byte) ([]byte, error) {
	key, err := mlkem.NewDecapsulationKey1024(sk)
	if err != nil {
		return nil, ErrSecret
	}
	return key.EncapsulationKey().Bytes(), nil
}

func mlkem1024Encapsulate(pub []byte) (shared, capsule []byte, err error) {
	key, err := mlkem.NewEncapsulationKey1024(pub)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: not an encapsulation key", ErrInput)
	}
	shared, capsule = key.Encapsulate()
	return shared, capsule, nil
}

func mlkem1024Decapsulate(sk, capsule, out []byte) error {
	key, err := mlkem.NewDecapsulationKey1024(sk)
	if err != nil {
		return ErrSecret
	}
	return decapsulated(out)(key.Decapsulate(capsule))
}

// decapsulated moves a shared secret into the arena. Only a capsule of a wrong length is refused (FIPS 203 section 7.3).
func decapsulated(out []byte) func([]byte, error) error {
	return func(shared []byte, err error) error {
		defer clear(shared)
		if err != nil {
			return fmt.Errorf("%w: a capsule of another length", ErrInput)
		}
		copy(out, shared)
		return nil
	}
}
