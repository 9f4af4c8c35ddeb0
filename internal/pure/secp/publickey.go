// SPDX-License-Identifier: Apache-2.0

// Package secp checks what others made with secp256k1: it parses public keys, verifies ECDSA and BIP-340 signatures,
// recovers the key of a signature, and derives non-hardened BIP-32 children of extended public keys.
//
// It handles public data only. Nothing in it runs in constant time, so a private key, a nonce or a secret scalar must
// never reach it; signing and private derivation live in the core, on a constant-time backend.
//
// It refuses hybrid and wrongly sized keys, points off the curve, coordinates and scalars out of range, signatures with
// a high s, private extended keys, hardened steps from a public key, and every text that is not the one canonical
// spelling. Specifications: SEC 1 and SEC 2 (encodings, curve, ECDSA), BIP-62 rule 5 and EIP-2 (low s), BIP-340, BIP-32.
//
// The field and point arithmetic is that of github.com/decred/dcrd/dcrec/secp256k1.
package secp

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// Sizes of encoded public keys in bytes, SEC 1 section 2.3.3 and BIP-340.
const (
	CompressedSize   = 33
	UncompressedSize = 65
	XOnlySize        = 32
)

// Reasons why bytes are not a public key, or why no key comes out of [PublicKey.TweakAdd].
var (
	ErrKeySize     = errors.New("public key has the wrong length")
	ErrKeyPrefix   = errors.New("public key has the wrong first byte")
	ErrKeyRange    = errors.New("public key coordinate is not below the field prime")
	ErrKeyOffCurve = errors.New("public key is not a point of secp256k1")
	ErrKeyInfinity = errors.New("result is the point at infinity, which is not a public key")
	ErrTweak       = errors.New("tweak is not below the order of secp256k1")
)

// PublicKey is a point of secp256k1 other than infinity. Values are made by the parsers of this package and are then
// known to lie on the curve; they compare with ==. The zero value is no key: no signature verifies under it and no
// parser accepts its encodings.
type PublicKey struct{ x, y [32]byte }

// ParsePublicKey reads the compressed form of SEC 1: 33 bytes, first 02 (even y) or 03 (odd y), then x, big-endian.
// It refuses every other form with [ErrKeySize], [ErrKeyPrefix], [ErrKeyRange] or [ErrKeyOffCurve].
func ParsePublicKey(b []byte) (PublicKey, error) {
	if len(b) != CompressedSize {
		return PublicKey{}, fmt.Errorf("%w: got %d bytes, a compressed key has %d", ErrKeySize, len(b), CompressedSize)
	}
	if b[0] != 2 && b[0] != 3 {
		return PublicKey{}, fmt.Errorf("%w: got %02x, a compressed key starts with 02 or 03", ErrKeyPrefix, b[0])
	}
	return decompress([32]byte(b[1:]), b[0] == 3)
}

// ParseUncompressed reads the uncompressed form of SEC 1: 65 bytes, first 04, then x and y, big-endian.
// The hybrid forms 06 and 07 are refused. Errors as for [ParsePublicKey].
func ParseUncompressed(b []byte) (PublicKey, error) {
	if len(b) != UncompressedSize {
		return PublicKey{}, fmt.Errorf("%w: got %d bytes, an uncompressed key has %d", ErrKeySize, len(b), UncompressedSize)
	}
	if b[0] != 4 {
		return PublicKey{}, fmt.Errorf("%w: got %02x, an uncompressed key starts with 04", ErrKeyPrefix, b[0])
	}
	y := [32]byte(b[33:])
	var fy secp256k1.FieldVal
	if fy.SetBytes(&y) != 0 {
		return PublicKey{}, fmt.Errorf("%w: y", ErrKeyRange)
	}
	k, err := decompress([32]byte(b[1:33]), fy.IsOdd())
	if err != nil {
		return PublicKey{}, err
	}
	if k.y != y {
		return PublicKey{}, ErrKeyOffCurve
	}
	return k, nil
}

// LiftX returns the point with the given x and even y: lift_x of BIP-340 section "Verification".
// Errors are [ErrKeyRange] and [ErrKeyOffCurve].
func LiftX(x [XOnlySize]byte) (PublicKey, error) { return decompress(x, false) }

// decompress finds the point with the given x and parity of y.
func decompress(x [32]byte, odd bool) (PublicKey, error) {
	var fx, fy secp256k1.FieldVal
	if fx.SetBytes(&x) != 0 {
		return PublicKey{}, fmt.Errorf("%w: x", ErrKeyRange)
	}
	if !secp256k1.DecompressY(&fx, odd, &fy) {
		return PublicKey{}, ErrKeyOffCurve
	}
	return PublicKey{x: x, y: *fy.Bytes()}, nil
}

// IsZero tells whether k is the zero value, which is no key.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// Compressed returns the 33-byte form that [ParsePublicKey] reads.
func (k PublicKey) Compressed() [CompressedSize]byte {
	out := [CompressedSize]byte{2 + k.y[31]&1}
	copy(out[1:], k.x[:])
	return out
}

// Uncompressed returns the 65-byte form that [ParseUncompressed] reads.
func (k PublicKey) Uncompressed() [UncompressedSize]byte {
	out := [UncompressedSize]byte{4}
	copy(out[1:], k.x[:])
	copy(out[33:], k.y[:])
	return out
}

// XOnly returns the 32-byte public key of BIP-340. The parity of y is lost: the key it stands for is [LiftX] of it.
func (k PublicKey) XOnly() [XOnlySize]byte { return k.x }

// HasOddY tells the parity of y, which [PublicKey.XOnly] drops and BIP-341 asks for.
func (k PublicKey) HasOddY() bool { return k.y[31]&1 == 1 }

// String returns the compressed form in lower-case hex.
func (k PublicKey) String() string {
	c := k.Compressed()
	return hex.EncodeToString(c[:])
}

// TweakAdd returns k + tweak·G: the public step of BIP-32 (CKDpub) and, on a [LiftX] key, of taproot_tweak_pubkey in
// BIP-341. A tweak that is not below the group order is refused with [ErrTweak], a result at infinity with
// [ErrKeyInfinity], the zero k with [ErrKeyOffCurve].
func (k PublicKey) TweakAdd(tweak [32]byte) (PublicKey, error) {
	if k.IsZero() {
		return PublicKey{}, ErrKeyOffCurve
	}
	var t secp256k1.ModNScalar
	if t.SetBytes(&tweak) != 0 {
		return PublicKey{}, ErrTweak
	}
	p := k.point()
	var tg, sum secp256k1.JacobianPoint
	secp256k1.ScalarBaseMultNonConst(&t, &tg)
	secp256k1.AddNonConst(&p, &tg, &sum)
	return fromPoint(&sum)
}

// point returns k in Jacobian coordinates; k must not be the zero value.
func (k PublicKey) point() secp256k1.JacobianPoint {
	var p secp256k1.JacobianPoint
	p.X.SetBytes(&k.x)
	p.Y.SetBytes(&k.y)
	p.Z.SetInt(1)
	return p
}

// fromPoint turns the result of a computation back into a key.
func fromPoint(p *secp256k1.JacobianPoint) (PublicKey, error) {
	if isInfinity(p) {
		return PublicKey{}, ErrKeyInfinity
	}
	p.ToAffine()
	return PublicKey{x: *p.X.Bytes(), y: *p.Y.Bytes()}, nil
}

// isInfinity knows both ways in which the arithmetic below writes infinity: z = 0, and x = y = 0.
func isInfinity(p *secp256k1.JacobianPoint) bool {
	return p.Z.IsZero() || (p.X.IsZero() && p.Y.IsZero())
}
