// SPDX-License-Identifier: Apache-2.0

package secp

import (
	"crypto/sha256"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
)

// VerifyBIP340 tells whether sig is a BIP-340 signature of msg by the x-only key, following section "Verification" step
// by step. A message may have any length, the empty one included; for taproot it is the 32-byte signature hash of BIP-341.
func VerifyBIP340(xonly [XOnlySize]byte, msg []byte, sig [SignatureSize]byte) bool {
	key, err := LiftX(xonly)
	if err != nil {
		return false
	}
	p := key.point()
	rx, sb := [32]byte(sig[:32]), [32]byte(sig[32:])
	var r secp256k1.FieldVal
	if r.SetBytes(&rx) != 0 { // r ≥ p
		return false
	}
	var s, e secp256k1.ModNScalar
	if s.SetBytes(&sb) != 0 { // s ≥ n
		return false
	}
	challenge := TaggedHash("BIP0340/challenge", rx[:], xonly[:], msg)
	e.SetBytes(&challenge)
	nonce := combine(&s, e.Negate(), &p) // R = s·G - e·P
	if isInfinity(&nonce) {
		return false
	}
	nonce.ToAffine()
	return !nonce.Y.IsOdd() && nonce.X.Equals(&r)
}

// TaggedHash is hash_tag of BIP-340: SHA-256 over the hash of the tag twice and then the parts, one after the other.
// BIP-341 uses it for sighashes, leaves, branches and tweaks.
func TaggedHash(tag string, parts ...[]byte) [32]byte {
	t := sha256.Sum256([]byte(tag))
	h := sha256.New()
	h.Write(t[:])
	h.Write(t[:])
	for _, p := range parts {
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}
