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
	"strongroom/internal/pure/webauthn"
)

// Passkey says whether k is used through a browser.
func (k PublicKey) Passkey() bool { return k.Alg == PasskeyP256 || k.Alg == PasskeyEd25519 }

func (k PublicKey) relying() webauthn.Relying { return webauthn.Relying{ID: k.RP, Origin: k.Origin} }

// CheckSig says whether sig has a length that a signature of some key can have.
func CheckSig(sig []byte) error {
	if len(sig) < 64 || len(sig) > MaxSig {
		return fmt.Errorf("signature of %d bytes; a key's has 64, a passkey's at most %d", len(sig), MaxSig)
	}
	return nil
}

// Check says whether k is a key of a known algorithm, a point where one is asked for, and a passkey's relying party and origin are such.
func (k PublicKey) Check() error {
	if !k.Passkey() && k.RP+k.Origin != "" {
		return fmt.Errorf("a key of algorithm %q has no relying party and no origin", k.Alg)
	}
	if k.Passkey() {
		if err := k.relying().Check(); err != nil {
			return err
		}
	}
	switch k.Alg {
	case Ed25519, PasskeyEd25519:
		if len(k.Pub) != ed25519.PublicKeySize {
			return fmt.Errorf("an ed25519 key has %d bytes, not %d", ed25519.PublicKeySize, len(k.Pub))
		}
		return checkEdwards([32]byte(k.Pub))
	case P256, PasskeyP256:
		_, err := k.p256()
		return err
	default:
		return fmt.Errorf("key algorithm %q is none of %q, %q, %q and %q", string(k.Alg), Ed25519, P256, PasskeyP256, PasskeyEd25519)
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

// Verify says whether sig is k's signature of message: 64 bytes, or of a passkey an encoded [webauthn.Assertion] whose challenge is the message's
// SHA-256, made at its origin by a person who was verified.
func (k PublicKey) Verify(message, sig []byte) bool {
	if k.Passkey() {
		return k.verifyPasskey(message, sig)
	}
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

func (k PublicKey) verifyPasskey(message, sig []byte) bool {
	a, err := webauthn.Decode(sig)
	if err != nil || k.Check() != nil {
		return false
	}
	signed, err := webauthn.Verify(k.relying(), webauthn.Challenge(message), a)
	if err != nil {
		return false
	}
	if k.Alg == PasskeyEd25519 {
		return ed25519.Verify(k.Pub, signed, a.Sig)
	}
	pub, err := k.p256()
	h := sha256.Sum256(signed)
	return err == nil && ecdsa.VerifyASN1(pub, h[:], a.Sig)
}

// publicKeyJSON is a public key in JSON: hex, because people compare and paste it.
type publicKeyJSON struct {
	Alg    Algorithm        `json:"alg"`
	Pub    custody.HexBytes `json:"pub"`
	RP     string           `json:"rp,omitempty"`
	Origin string           `json:"origin,omitempty"`
}

// MarshalJSON writes the algorithm, and the key in hex. What is signed and hashed is the canonical encoding, not this.
func (k PublicKey) MarshalJSON() ([]byte, error) {
	return json.Marshal(publicKeyJSON{k.Alg, k.Pub, k.RP, k.Origin})
}

// UnmarshalJSON reads these members and no others; encoding/json alone would take names in another case.
func (k *PublicKey) UnmarshalJSON(b []byte) error {
	var m map[string]json.RawMessage
	err := json.Unmarshal(b, &m)
	if err != nil || m["alg"] == nil || m["pub"] == nil {
		return errors.New("a public key has the members alg and pub, of a passkey rp and origin too")
	}
	var j publicKeyJSON
	for name, raw := range m {
		switch name {
		case "alg":
			err = json.Unmarshal(raw, &j.Alg)
		case "pub":
			err = j.Pub.UnmarshalJSON(raw)
		case "rp":
			err = json.Unmarshal(raw, &j.RP)
		case "origin":
			err = json.Unmarshal(raw, &j.Origin)
		default:
			err = fmt.Errorf("member %q is not known", name)
		}
		if err != nil {
			return fmt.Errorf("public key: %w", err)
		}
	}
	k.Alg, k.Pub, k.RP, k.Origin = j.Alg, j.Pub, j.RP, j.Origin
	return nil
}
