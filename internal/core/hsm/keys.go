// SPDX-License-Identifier: Apache-2.0

package hsm

import (
	"context"
	"errors"

	"strongroom/internal/pure/custody"
)

// ErrUnsupported says that a root can't do what it was asked for: its token lacks a mechanism.
var ErrUnsupported = errors.New("hsm: the root of trust can't do this")

// Algorithm is how a key in a root signs, named as a key store names its mechanisms.
type Algorithm string

// The algorithms. ECDSA signs a digest of 32 bytes that the caller made, as r || s, 64 bytes, over secp256k1 with the lower of the two values of s;
// public keys are compressed points, 33 bytes (SEC 1 section 2.3.3). Ed25519 (RFC 8032) signs a message of at most [MaxMessage] bytes; public keys have 32 bytes.
// ECDSA nonces are the token's own: two signatures of one digest differ.
const (
	ECDSASecp256k1 Algorithm = "ecdsa-secp256k1"
	ECDSAP256      Algorithm = "ecdsa-p256"
	Ed25519        Algorithm = "ed25519"
)

// MaxMessage is the longest message in bytes that Ed25519 signs.
const MaxMessage = 16 << 10

// Algorithms lists the algorithms.
func Algorithms() []Algorithm { return []Algorithm{ECDSASecp256k1, ECDSAP256, Ed25519} }

// TokenKeys is a further capability of a root: keys that are made in it, sign in it and never leave it. Every signature is verified before it is
// given. Methods are safe for concurrent use.
type TokenKeys interface {
	// GenerateTokenKey makes a key under an id that must be free ([ErrExists]) and gives its public key. [ErrUnsupported] where the root doesn't
	// have the algorithm. After another error it is open whether it happened; TokenKey tells.
	GenerateTokenKey(ctx context.Context, id custody.KeyID, a Algorithm) (public []byte, err error)
	// TokenKey tells what lies under an id, or [ErrNotFound]. The answer is the root's word: what the caller wrote down at birth counts.
	TokenKey(ctx context.Context, id custody.KeyID) (a Algorithm, public []byte, err error)
	// SignWithTokenKey signs a digest or message. The signature verifies under public, or it is not given ([ErrAltered]).
	SignWithTokenKey(ctx context.Context, id custody.KeyID, a Algorithm, public, input []byte) (sig []byte, err error)
	// DestroyTokenKey destroys a key for good. Nothing under the id is no error.
	DestroyTokenKey(ctx context.Context, id custody.KeyID) error
	// TokenKeyIDs lists what keys lie in this root, sorted; not those of another root in the same token. What can't be seen for certain is an error,
	// never a shorter list.
	TokenKeyIDs(ctx context.Context) ([]custody.KeyID, error)
}

// WrappedKey is a key that signs in a root and lies outside of it, encrypted by the root.
type WrappedKey struct {
	Algorithm Algorithm
	Public    []byte
	Wrapped   []byte // AES-KWP (RFC 5649) of the PKCS #8 form, under a key that never leaves the root
}

// WrappedKeys is a further capability of a root: as many keys as the caller has room for. A wrapped key binds nothing but itself, so the caller keeps it
// in something authenticated. Methods are safe for concurrent use.
type WrappedKeys interface {
	// GenerateWrappedKey makes a key in the root and gives it wrapped. [ErrUnsupported] where the root can't make or wrap it.
	GenerateWrappedKey(ctx context.Context, a Algorithm) (WrappedKey, error)
	// SignWithWrappedKey unwraps the key inside the root for one signature, which verifies under k.Public, or is not given ([ErrAltered]).
	SignWithWrappedKey(ctx context.Context, k WrappedKey, input []byte) (sig []byte, err error)
}
