// SPDX-License-Identifier: Apache-2.0

package request

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"fmt"
	"math/big"
)

// Check says whether k is a key of a known algorithm, a point where one is asked for.
func (k PublicKey) Check() error {
	switch k.Alg {
	case Ed25519:
		if len(k.Pub) != ed25519.PublicKeySize {
			return fmt.Errorf("an ed25519 key has %d bytes, not %d", ed25519.PublicKeySize, len(k.Pub))
		}
		return nil
	case P256:
		_, err := k.p256()
		return err
	default:
		return fmt.Errorf("key algorithm %q is neither %q nor %q", string(k.Alg), Ed25519, P256)
	}
}

func (k PublicKey) p256() (*ecdsa.PublicKey, error) {
	if len(k.Pub) != 33 {
		return nil, fmt.Errorf("a p256 key is a compressed point of 33 bytes, not %d", len(k.Pub))
	}
	//lint:ignore SA1019 the standard library has no other reader of compressed points; the data is public
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), k.Pub)
	if x == nil {
		return nil, fmt.Errorf("p256 key is not a point of the curve")
	}
	return &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}, nil
}

// Verify says whether sig, 64 bytes, is k's signature of message.
func (k PublicKey) Verify(message, sig []byte) bool {
	if len(sig) != 64 {
		return false
	}
	switch k.Alg {
	case Ed25519:
		return len(k.Pub) == ed25519.PublicKeySize && ed25519.Verify(k.Pub, message, sig)
	case P256:
		pub, err := k.p256()
		if err != nil {
			return false
		}
		h := sha256.Sum256(message)
		return ecdsa.Verify(pub, h[:], new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
	default:
		return false
	}
}
