// SPDX-License-Identifier: Apache-2.0

// Package testimony has what signers of a source outside of the domain sign, whatever it is about: quotes of prices, verdicts of screening. It refuses what is no
// statement, has another encoding, or is too long; who may sign, and how old a statement may be, is for the rule document to say (docs/spec/prices.md,
// docs/spec/screening.md).
package testimony

import (
	"crypto/ed25519"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// MaxSigned is the largest signed statement, in bytes.
const MaxSigned = 1024

// Statement is what is signed: a value with a canonical encoding.
type Statement interface {
	Check() error    // whether it is well-formed
	Message() []byte // what a signer signs, under a tag of its own
}

// Signer is who signs what a source says.
type Signer struct {
	ID  string `cbor:"1,keyasint" json:"id"`
	Pub []byte `cbor:"2,keyasint" json:"pub"` // Ed25519, 32 bytes
}

// Check says whether s is well-formed.
func (s Signer) Check() error {
	if err := custody.CheckSlug("signer", s.ID); err != nil {
		return err
	}
	if len(s.Pub) != ed25519.PublicKeySize {
		return fmt.Errorf("signer %s: an Ed25519 key has %d bytes, not %d", s.ID, ed25519.PublicKeySize, len(s.Pub))
	}
	return nil
}

// Signed is a statement with its signature.
type Signed[S Statement] struct {
	Said   S      `cbor:"1,keyasint"`
	Signer string `cbor:"2,keyasint"` // id, in the source
	Sig    []byte `cbor:"3,keyasint"` // 64 bytes
}

// Sign signs a statement.
func Sign[S Statement](s S, signer string, key ed25519.PrivateKey) Signed[S] {
	return Signed[S]{Said: s, Signer: signer, Sig: ed25519.Sign(key, s.Message())}
}

// Decode reads a signed statement: canonical, and well-formed.
func Decode[S Statement](b []byte) (s Signed[S], err error) {
	if len(b) > MaxSigned {
		return s, fmt.Errorf("has %d bytes, more than %d", len(b), MaxSigned)
	}
	if err := canon.Decode(b, &s); err != nil {
		return s, err
	}
	return s, s.Check()
}

// Encode gives the canonical encoding.
func (s Signed[S]) Encode() []byte { return canon.Encode(&s) }

// Check says whether s is well-formed. It does not verify the signature.
func (s Signed[S]) Check() error {
	if err := custody.CheckSlug("signer", s.Signer); err != nil {
		return err
	}
	if len(s.Sig) != ed25519.SignatureSize {
		return fmt.Errorf("a signature has %d bytes, not %d", ed25519.SignatureSize, len(s.Sig))
	}
	if err := s.Said.Check(); err != nil {
		return err
	}
	if n := len(s.Encode()); n > MaxSigned {
		return fmt.Errorf("has %d bytes, more than %d", n, MaxSigned)
	}
	return nil
}

// Verify says whether the signature is the key's over this statement.
func (s Signed[S]) Verify(pub []byte) bool {
	return len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, s.Said.Message(), s.Sig)
}

// CheckTime says whether a time of a statement is one: Unix seconds.
func CheckTime(what string, t int64) error {
	if t <= 0 || t > 1<<33 {
		return fmt.Errorf("%s %d is no time in Unix seconds", what, t)
	}
	return nil
}
