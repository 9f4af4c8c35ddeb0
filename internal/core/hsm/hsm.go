// SPDX-License-Identifier: Apache-2.0

// Package hsm is the contract of a root of trust: what keeps the few secrets from which a domain gets all others, and counts forward. A root
// is opened by means of its own (a passphrase, a token's PIN, a TPM's measurements), so nothing here says how.
//
// Every implementation passes hsmtest.Run; one that has a further capability, [Randomness], [TokenKeys] or [WrappedKeys], passes its suite there too.
// Roots: soft (package soft), for evaluation; pkcs11 (package pkcs11), a token; tpm2 (package tpm2), a TPM 2.0.
package hsm

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

// Sizes in bytes that every root can seal.
const (
	MaxHeader = 1024
	MaxPlain  = 1024
)

var (
	// ErrExists says that the root has something sealed under the label already.
	ErrExists = errors.New("hsm: the label is in use")
	// ErrNotFound says that the root has nothing sealed under the label, or that it was destroyed, also where a file of before is put back and the root
	// can tell.
	ErrNotFound = errors.New("hsm: nothing is sealed under the label")
	// ErrAltered says that what is stored for the root was altered, belongs to another label, or is missing where it must be.
	ErrAltered = errors.New("hsm: what the root has stored was altered")
	// ErrClosed says that the root was closed: open it again.
	ErrClosed = errors.New("hsm: the root of trust is closed")
	// ErrInput says that a label, header or plaintext can't be sealed.
	ErrInput = errors.New("hsm: can't be sealed")
)

// Sealer keeps small secrets under labels. It stores them itself, so that destroying one is its own affair: a token destroys the object
// without which its file is worthless. Methods are safe for concurrent use.
type Sealer interface {
	// Seal stores plain under a label that must be free ([ErrExists]), with a header that is kept in clear and authenticated. It is durable
	// when it returns nil; after an error other than ErrExists and [ErrInput] it is open whether it happened. The root doesn't keep plain.
	Seal(ctx context.Context, label string, header []byte, plain secret.Bytes) error
	// Unseal returns header and plaintext, [ErrNotFound] or [ErrAltered]. The caller owns and wipes the plaintext.
	Unseal(ctx context.Context, label string) (header []byte, plain secret.Bytes, err error)
	// Destroy makes what is sealed under a label unrecoverable, as far as this root can, durably when it returns nil. Nothing under the
	// label is no error. The label is free afterwards.
	Destroy(ctx context.Context, label string) error
}

// Counter is a number that only grows. Methods are safe for concurrent use.
type Counter interface {
	// ReadCounter returns the number, 0 in a new root; [ErrAltered] when it can't be trusted.
	ReadCounter(ctx context.Context) (uint64, error)
	// IncrementCounter adds one and returns the new number, durable then. After an error it is open whether it was added.
	IncrementCounter(ctx context.Context) (uint64, error)
}

// Root is a root of trust.
type Root interface {
	Sealer
	Counter
	// Status tells what the root is and holds.
	Status(ctx context.Context) (Status, error)
}

// Randomness is a further capability of a root: random bytes made inside it. They are one source among others, to be mixed and not to be used alone.
// Safe for concurrent use.
type Randomness interface {
	// Random fills b, or says why not; what b holds after an error is not to be used.
	Random(ctx context.Context, b []byte) error
}

// Status is what a root tells about itself.
type Status struct {
	Kind     string   // "soft", as genesis names it
	Hardware bool     // keys can't be copied out of it, and its counter can't be set back
	Labels   []string // what is sealed, sorted
}

// CheckInput refuses what no root seals: a label that is no slug ([custody.CheckSlug]), a header or plaintext of another size than allowed.
func CheckInput(label string, header []byte, plain secret.Bytes) error {
	if err := custody.CheckSlug("label", label); err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	if n := plain.Len(); len(header) > MaxHeader || n < 1 || n > MaxPlain {
		return fmt.Errorf("%w: header of %d and plaintext of %d bytes, at most %d and 1 to %d", ErrInput, len(header), n, MaxHeader, MaxPlain)
	}
	return nil
}
