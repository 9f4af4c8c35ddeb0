// SPDX-License-Identifier: Apache-2.0

package request

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"strongroom/internal/pure/custody"
)

// Check says whether k is a key of a known algorithm, a point where one is asked for.
func (k PublicKey) Check() error {
	switch k.Alg {
	case Ed25519:
		if len(k.Pub) != ed25519.PublicKeySize {
			return fmt.Errorf("an ed25519 key has %d bytes, not %d", ed25519.PublicKeySize, len(k.Pub))
		}
		return checkEdwards([32]byte(k.Pub))
	case P256:
		_, err := k.p256()
		return err
	default:
		return fmt.Errorf("key algorithm %q is neither %q nor %q", string(k.Alg), Ed25519, P256)
	}
}

// smallOrder are the y coordinates, little-endian, of the points of edwards25519 whose order divides 8 (RFC 8032 section 5.1: the cofactor). Under
// such a key, signatures that anybody can write verify.
var smallOrder = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000", // order 4
	"0100000000000000000000000000000000000000000000000000000000000000", // the neutral element
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // order 2: -1
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", // order 8
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", // order 8
}

// checkEdwards refuses points of small order, and y coordinates that are not below p = 2^255 - 19: the same point has another encoding then.
// Whether it is a point at all shows with the first signature.
func checkEdwards(pub [32]byte) error {
	pub[31] &= 0x7f // the sign of x
	y := hex.EncodeToString(pub[:])
	if slices.Contains(smallOrder[:], y) {
		return errors.New("the ed25519 key is a point of small order, under which anybody can sign; make a new key")
	}
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	slices.Reverse(pub[:])
	if new(big.Int).SetBytes(pub[:]).Cmp(p) >= 0 {
		return errors.New("the ed25519 key is not in its canonical encoding")
	}
	return nil
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
		return k.Check() == nil && ed25519.Verify(k.Pub, message, sig)
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

// publicKeyJSON is a public key in JSON: hex, because people compare and paste it.
type publicKeyJSON struct {
	Alg Algorithm        `json:"alg"`
	Pub custody.HexBytes `json:"pub"`
}

// MarshalJSON writes the algorithm, and the key in hex. What is signed and hashed is the canonical encoding, not this.
func (k PublicKey) MarshalJSON() ([]byte, error) { return json.Marshal(publicKeyJSON{k.Alg, k.Pub}) }

// UnmarshalJSON reads exactly these two members; encoding/json alone would take names in another case.
func (k *PublicKey) UnmarshalJSON(b []byte) error {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil || len(m) != 2 || m["alg"] == nil || m["pub"] == nil {
		return errors.New("a public key has the members alg and pub, and no others")
	}
	var j publicKeyJSON
	if err := errors.Join(json.Unmarshal(m["alg"], &j.Alg), j.Pub.UnmarshalJSON(m["pub"])); err != nil {
		return fmt.Errorf("public key: %w", err)
	}
	k.Alg, k.Pub = j.Alg, j.Pub
	return nil
}
