// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/hsm"
	"strongroom/internal/pure/secp"
)

// algorithm is how a token makes and uses a key.
type algorithm struct {
	name      hsm.Algorithm
	keyType   uint
	params    [][]byte // CKA_EC_PARAMS in the forms that tokens take: the object id, then a name
	generate  uint
	sign      uint
	public    func(point []byte) ([]byte, error) // our form of a point
	signature func(sig []byte) ([]byte, error)   // our form of a signature
	verify    func(public, input, sig []byte) bool
}

// DER of object ids and curve names.
var (
	paramsSecp256k1 = []byte{6, 5, 0x2b, 0x81, 4, 0, 0x0a}                               // 1.3.132.0.10
	paramsP256      = []byte{6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7}                // 1.2.840.10045.3.1.7
	paramsP384      = []byte{6, 5, 0x2b, 0x81, 4, 0, 0x22}                               // 1.3.132.0.34
	paramsP521      = []byte{6, 5, 0x2b, 0x81, 4, 0, 0x23}                               // 1.3.132.0.35
	paramsEd25519   = []byte{6, 3, 0x2b, 0x65, 0x70}                                     // 1.3.101.112
	nameEd25519     = append([]byte{0x13, byte(len("edwards25519"))}, "edwards25519"...) // PrintableString, as PKCS #11 v3.0 has it
)

var algorithms = map[hsm.Algorithm]algorithm{
	hsm.ECDSASecp256k1: {hsm.ECDSASecp256k1, p11.CKK_EC, [][]byte{paramsSecp256k1}, p11.CKM_EC_KEY_PAIR_GEN, p11.CKM_ECDSA, publicSecp256k1, lowS, verifySecp256k1},
	hsm.ECDSAP256:      {hsm.ECDSAP256, p11.CKK_EC, [][]byte{paramsP256}, p11.CKM_EC_KEY_PAIR_GEN, p11.CKM_ECDSA, publicP256, sixtyFour, verifyP256},
	hsm.Ed25519:        {hsm.Ed25519, ckkECEdwards, [][]byte{paramsEd25519, nameEd25519}, ckmECEdwardsKeyPair, ckmEdDSA, publicEd25519, sixtyFour, verifyEd25519},
}

// checkSign refuses what can't be signed.
func checkSign(name hsm.Algorithm, input []byte) (algorithm, error) {
	a, ok := algorithms[name]
	switch {
	case !ok:
		return algorithm{}, fmt.Errorf("%w: algorithm %q is not known", hsm.ErrUnsupported, name)
	case name == hsm.Ed25519 && len(input) > hsm.MaxMessage:
		return algorithm{}, fmt.Errorf("%w: a message of %d bytes, at most %d", hsm.ErrInput, len(input), hsm.MaxMessage)
	case name != hsm.Ed25519 && len(input) != sha256.Size:
		return algorithm{}, fmt.Errorf("%w: a digest of %d bytes, not %d", hsm.ErrInput, len(input), sha256.Size)
	}
	return a, nil
}

// unpack takes the point out of CKA_EC_POINT: a DER octet string by the standard, bare with some tokens.
func unpack(b []byte, bare int) []byte {
	var point []byte
	if rest, err := asn1.Unmarshal(b, &point); err == nil && len(rest) == 0 && len(point) == bare {
		return point
	}
	return b
}

func publicSecp256k1(b []byte) ([]byte, error) {
	p, err := secp.ParseUncompressed(unpack(b, secp.UncompressedSize))
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", ErrModule, err)
	}
	c := p.Compressed()
	return c[:], nil
}

func publicP256(b []byte) ([]byte, error) {
	k, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), unpack(b, 65))
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", ErrModule, err)
	}
	full, err := k.Bytes() // 04 || x || y
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", ErrModule, err)
	}
	return append([]byte{2 | full[64]&1}, full[1:33]...), nil
}

func publicEd25519(b []byte) ([]byte, error) {
	if b = unpack(b, ed25519.PublicKeySize); len(b) != ed25519.PublicKeySize {
		return nil, wrongLength("a public key", len(b), ed25519.PublicKeySize)
	}
	return b, nil
}

func sixtyFour(sig []byte) ([]byte, error) {
	if len(sig) != 64 {
		return nil, wrongLength("a signature", len(sig), 64)
	}
	return sig, nil
}

// orderSecp256k1 is the order n of the group (SEC 2 section 2.4.1).
const orderSecp256k1 = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"

// lowS takes the lower of the two values of s that verify (BIP-62 rule 5). A signature is public, so big integers will do.
func lowS(sig []byte) ([]byte, error) {
	if len(sig) != 64 {
		return nil, wrongLength("a signature", len(sig), 64)
	}
	n, _ := new(big.Int).SetString(orderSecp256k1, 16)
	s := new(big.Int).SetBytes(sig[32:])
	if new(big.Int).Lsh(s, 1).Cmp(n) <= 0 || s.Cmp(n) >= 0 {
		return sig, nil
	}
	out := make([]byte, 64)
	copy(out, sig[:32])
	n.Sub(n, s).FillBytes(out[32:])
	return out, nil
}

func verifySecp256k1(public, input, sig []byte) bool {
	p, err := secp.ParsePublicKey(public)
	return err == nil && len(input) == 32 && len(sig) == 64 && secp.VerifyECDSA(p, [32]byte(input), [64]byte(sig))
}

func verifyP256(public, input, sig []byte) bool {
	if len(public) != 33 || len(sig) != 64 {
		return false
	}
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), public)
	if x == nil {
		return false
	}
	k := &ecdsa.PublicKey{Curve: elliptic.P256(), X: x, Y: y}
	return ecdsa.Verify(k, input, new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:]))
}

func verifyEd25519(public, input, sig []byte) bool {
	return len(public) == ed25519.PublicKeySize && ed25519.Verify(public, input, sig)
}
