// SPDX-License-Identifier: Apache-2.0

// Package recovery is the recovery key of a domain: an HPKE key pair that follows from the custodians' master secret R. Its public half stands
// in the log, so that a core can seal a new working key for recovery without R; its private half exists only while custodians restore
// (docs/spec/share.md section 2, docs/adr/0008-recovery-key.md).
//
// The suite is one, in base mode: KEM MLKEM768-X25519 (X-Wing, 0x647a), KDF HKDF-SHA384, AEAD AES-256-GCM. What is sealed lies in backups
// for years, so that it must stand against somebody who keeps it for a quantum computer: the KEM is a hybrid of ML-KEM-768 and X25519.
//
// It refuses envelopes that are not canonical or too large, that were sealed to another recovery key, and those that don't open under
// this key, domain identity and label; which of these was wrong can't be known then. It does not say who sealed something: anybody can seal
// to a public key. The log does, by the hash of what was sealed.
//
// Copies outside the arena: the key is kept as the 32-byte seed of the KEM, in the arena. Package internal/core/internal/hybrid, which expands
// it for each call, says what stays behind.
//
// Specs: RFC 9180 (HPKE), draft-ietf-hpke-pq (the KEM), FIPS 203 (ML-KEM), RFC 5869 (HKDF), RFC 8949 section 4.2.1 (encoding).
package recovery

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/core/internal/hybrid"
	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

// Sizes in bytes.
const (
	MasterSize = 32                // of the master secret R
	PublicSize = hybrid.PublicSize // of a recovery public key: 1,216
	MaxLabel   = 64                // the longest label
	MaxPlain   = 64 << 10          // the longest plaintext

	ikmSize = 64 // of what the key pair is derived from

	// MaxSealed is a bound on what [Seal] returns; it is for readers of files.
	MaxSealed = hybrid.EncSize + MaxPlain + hybrid.Overhead + 64
)

// version is that of the envelope.
const version = 1

var (
	// ErrInput says that a secret, public key, label or plaintext has a form that it can't have.
	ErrInput = errors.New("recovery: can't be used")
	// ErrMalformed says that bytes are no envelope: not canonical, of another version, or a part has a size that it can't have.
	ErrMalformed = errors.New("recovery: not something sealed for recovery")
	// ErrOtherKey says that an envelope was sealed to another recovery key: use the shares of the custodians of its time.
	ErrOtherKey = errors.New("recovery: sealed to another recovery key")
	// ErrOpen says that an envelope does not open: it belongs to another domain or label, or was altered.
	ErrOpen = errors.New("recovery: does not open: it is of another domain or label, or was altered")
)

// envelope is the stored form.
type envelope struct {
	V   uint              `cbor:"1,keyasint"` // 1
	Key [sha256.Size]byte `cbor:"2,keyasint"` // SHA-256 of the recovery public key
	Enc []byte            `cbor:"3,keyasint"` // encapsulated key
	Box []byte            `cbor:"4,keyasint"` // AES-256-GCM ciphertext and tag
}

// context is what an envelope is bound to: HPKE's info, under its tag.
type context struct {
	V        uint              `cbor:"1,keyasint"` // 1
	Key      [sha256.Size]byte `cbor:"2,keyasint"` // SHA-256 of the recovery public key
	Identity [32]byte          `cbor:"3,keyasint"` // public identity key of the domain
	Label    string            `cbor:"4,keyasint"`
}

func info(key, identity [32]byte, label string) []byte {
	return canon.Message(canon.TagRecoverySeal, context{V: version, Key: key, Identity: identity, Label: label})
}

// Key is the private half of a recovery key. Its methods are safe for concurrent use.
type Key struct {
	seed   secret.Bytes // the KEM's private key in its serialized form
	public []byte
}

// Derive makes the recovery key that follows from the master secret r (32 bytes), always the same:
// DeriveKeyPair(HKDF-SHA-512(r, no salt, info = "strongroom/recovery/v1", 64 bytes)), with DeriveKeyPair as draft-ietf-hpke-pq has it for
// MLKEM768-X25519. The caller keeps and wipes r.
func Derive(a *secret.Arena, r secret.Bytes) (*Key, error) {
	var public []byte
	ikm, err := secret.New(a, ikmSize, func(out []byte) error {
		return r.Use(func(b []byte) error {
			if len(b) != MasterSize {
				return fmt.Errorf("%w: master secret of %d bytes, not %d", ErrInput, len(b), MasterSize)
			}
			return kdf.HKDF(kdf.SHA512, out, b, nil, []byte(canon.TagRecovery))
		})
	})
	if err != nil {
		return nil, fmt.Errorf("recovery: derive the recovery key: %w", err)
	}
	defer ikm.Wipe()
	seed, err := secret.New(a, hybrid.SeedSize, func(out []byte) error {
		return ikm.Use(func(b []byte) (err error) {
			public, err = hybrid.Derive(out, b)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("recovery: derive the recovery key: %w", err)
	}
	return &Key{seed: seed, public: public}, nil
}

// Public returns the public half, [PublicSize] bytes.
func (k *Key) Public() []byte { return slices.Clone(k.public) }

// Wipe forgets the private half.
func (k *Key) Wipe() { k.seed.Wipe() }

// CheckPublic refuses bytes that are no recovery public key: of another size, or with an ML-KEM part that is not reduced (FIPS 203 section
// 7.2).
func CheckPublic(public []byte) error {
	if len(public) != PublicSize {
		return fmt.Errorf("%w: recovery public key of %d bytes, not %d", ErrInput, len(public), PublicSize)
	}
	if err := hybrid.CheckPublic(public); err != nil {
		return fmt.Errorf("%w: recovery public key: %w", ErrInput, err)
	}
	return nil
}

// CheckLabel refuses a label that is empty, longer than [MaxLabel], or has other characters than lower-case letters, digits, '-' and '.'.
func CheckLabel(label string) error {
	if len(label) == 0 || len(label) > MaxLabel {
		return fmt.Errorf("%w: label of %d bytes; use 1 to %d", ErrInput, len(label), MaxLabel)
	}
	for _, c := range []byte(label) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '.' {
			return fmt.Errorf("%w: label %q: use a to z, 0 to 9, '-' and '.'", ErrInput, label)
		}
	}
	return nil
}

// Seal encrypts plain (1 to [MaxPlain] bytes) to a recovery public key, bound to the domain with this identity key and to a label such as
// "identity" or "dwk-3". Two calls give different envelopes. The plaintext is read in the arena and is not copied.
func Seal(public []byte, identity [32]byte, label string, plain secret.Bytes) ([]byte, error) {
	if err := CheckLabel(label); err != nil {
		return nil, err
	}
	if err := CheckPublic(public); err != nil {
		return nil, err
	}
	e := envelope{V: version, Key: sha256.Sum256(public)}
	err := plain.Use(func(p []byte) error {
		if len(p) > MaxPlain {
			return fmt.Errorf("%w: content of %d bytes, at most %d", ErrInput, len(p), MaxPlain)
		}
		var err error
		e.Enc, e.Box, err = hybrid.Seal(public, info(e.Key, identity, label), nil, p)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("recovery: seal %s: %w", label, err)
	}
	return canon.Encode(e), nil
}

// KeyOf returns the SHA-256 of the recovery public key that an envelope was sealed to. Nothing has been authenticated then: it is for
// finding the right custodians.
func KeyOf(sealed []byte) ([sha256.Size]byte, error) {
	e, err := decode(sealed)
	return e.Key, err
}

// Open decrypts into arena a what [Seal] made to this key for the same identity and label. Any wrong bit anywhere gives [ErrMalformed],
// [ErrOtherKey] or [ErrOpen].
func (k *Key) Open(a *secret.Arena, identity [32]byte, label string, sealed []byte) (secret.Bytes, error) {
	if err := CheckLabel(label); err != nil {
		return secret.Bytes{}, err
	}
	e, err := decode(sealed)
	if err != nil {
		return secret.Bytes{}, err
	}
	if e.Key != sha256.Sum256(k.public) {
		return secret.Bytes{}, ErrOtherKey
	}
	plain, err := secret.New(a, len(e.Box)-hybrid.Overhead, func(out []byte) error {
		return k.seed.Use(func(seed []byte) error {
			return hybrid.Open(out, seed, e.Enc, info(e.Key, identity, label), nil, e.Box)
		})
	})
	if errors.Is(err, hybrid.ErrOpen) {
		return secret.Bytes{}, ErrOpen
	}
	return plain, err
}

func decode(sealed []byte) (envelope, error) {
	var e envelope
	if len(sealed) > MaxSealed {
		return envelope{}, fmt.Errorf("%w: %d bytes, at most %d", ErrMalformed, len(sealed), MaxSealed)
	}
	if err := canon.Decode(sealed, &e); err != nil {
		return envelope{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if e.V != version {
		return envelope{}, fmt.Errorf("%w: version %d, this program reads %d", ErrMalformed, e.V, version)
	}
	if len(e.Enc) != hybrid.EncSize || len(e.Box) <= hybrid.Overhead || len(e.Box) > MaxPlain+hybrid.Overhead {
		return envelope{}, fmt.Errorf("%w: encapsulated key of %d and box of %d bytes", ErrMalformed, len(e.Enc), len(e.Box))
	}
	return e, nil
}
