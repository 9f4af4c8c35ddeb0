// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// PublicKey is a public key as families hold it: raw, with the DER of its parameters (docs/spec/app-keys.md lists the forms).
type PublicKey struct {
	Type   uint64 // CKK
	Params []byte
	Key    []byte
}

// null is the DER of NULL.
const null = "\x05\x00"

// SPKI gives the SubjectPublicKeyInfo of the key. All curves have the form of ecPublicKey with the curve as parameter, also those for which
// RFC 8410 has another, because clients of the service read that one. It is nil for a key whose type has none, or without the parameters of it.
func (k PublicKey) SPKI() []byte {
	algorithm, params, key := "", k.Params, k.Key
	switch k.Type {
	case CKK_RSA:
		algorithm, params = oidRSA, []byte(null)
	case CKK_EC:
		algorithm = oidECPublicKey
	case CKK_DH, CKK_DSA:
		algorithm = map[uint64]string{CKK_DH: oidDH, CKK_DSA: oidDSA}[k.Type]
		key = integer(key)
	case CKK_IBM_PQC_DILITHIUM, CKK_IBM_PQC_KYBER:
		algorithm, params = string(k.Params), []byte(null)
	case CKK_IBM_ML_DSA, CKK_IBM_ML_KEM:
		algorithm, params = string(k.Params), nil
	default:
		return nil
	}
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes([]byte(algorithm))
			b.AddBytes(params)
		})
		b.AddASN1BitString(key)
	})
	out, err := b.Bytes()
	if err != nil {
		return nil
	}
	return out
}

// integer is the DER of a non-negative INTEGER.
func integer(b []byte) []byte {
	var out cryptobyte.Builder
	out.AddASN1BigInt(new(big.Int).SetBytes(b))
	der, err := out.Bytes()
	if err != nil {
		return nil
	}
	return der
}

// ReadSPKI reads a SubjectPublicKeyInfo and gives what comes after it. The form alone is checked: whether the key is a point of its curve
// knows its family. What is not well-formed, or of an algorithm that is not known, is CKR_PUBLIC_KEY_INVALID.
func ReadSPKI(b []byte) (k PublicKey, rest []byte, err error) {
	in := cryptobyte.String(b)
	var info, algorithm cryptobyte.String
	var key []byte
	if !in.ReadASN1(&info, asn1.SEQUENCE) || !info.ReadASN1(&algorithm, asn1.SEQUENCE) || !info.ReadASN1BitStringAsBytes(&key) || !info.Empty() {
		return PublicKey{}, nil, Fail(CKR_PUBLIC_KEY_INVALID, "not a SubjectPublicKeyInfo")
	}
	k, ok := readAlgorithm(algorithm)
	if !ok || len(key) == 0 {
		return PublicKey{}, nil, Fail(CKR_PUBLIC_KEY_INVALID, "a public key of an algorithm that is not known")
	}
	k.Key = key
	if k.Type == CKK_DH || k.Type == CKK_DSA {
		p, _, _, err := Group(k.Type, k.Params)
		if err != nil {
			return PublicKey{}, nil, err
		}
		if k.Key, ok = readInteger(key, len(p)); !ok {
			return PublicKey{}, nil, Fail(CKR_PUBLIC_KEY_INVALID, "the public value is no integer below the prime")
		}
	}
	return k, in, nil
}

// readInteger reads the DER of a non-negative INTEGER and brings it to a width.
func readInteger(der []byte, width int) ([]byte, bool) {
	in, y := cryptobyte.String(der), []byte(nil)
	if !in.ReadASN1Integer(&y) || !in.Empty() || len(y) > width {
		return nil, false
	}
	out := make([]byte, width)
	copy(out[width-len(y):], y)
	return out, true
}

// readAlgorithm reads what stands in an AlgorithmIdentifier.
func readAlgorithm(in cryptobyte.String) (k PublicKey, ok bool) {
	var oid cryptobyte.String
	if !in.ReadASN1Element(&oid, asn1.OBJECT_IDENTIFIER) {
		return PublicKey{}, false
	}
	params := []byte(in)
	switch name := string(oid); name {
	case oidRSA:
		return PublicKey{Type: CKK_RSA}, string(params) == null || len(params) == 0
	case oidECPublicKey:
		var curve cryptobyte.String
		ok = in.ReadASN1Element(&curve, asn1.OBJECT_IDENTIFIER) && in.Empty()
		return PublicKey{Type: CKK_EC, Params: bytes.Clone(curve)}, ok
	case OIDX25519, OIDX448, OIDEd25519, OIDEd448: // RFC 8410
		return PublicKey{Type: CKK_EC, Params: []byte(name)}, len(params) == 0
	case oidDH, oidDSA:
		k.Type = CKK_DH
		if name == oidDSA {
			k.Type = CKK_DSA
		}
		p, q, g, err := Group(k.Type, params)
		if err != nil {
			return PublicKey{}, false
		}
		k.Params = EncodeGroup(p, q, g)
		return k, true
	default:
		ckk, known := pqcTypes[name]
		return PublicKey{Type: ckk, Params: []byte(name)}, known && (len(params) == 0 || string(params) == null)
	}
}

// maxPrime is the longest prime of a group in bytes.
const maxPrime = 1024

// EncodeGroup gives the DER of SEQUENCE { p, q, g }, or of SEQUENCE { p, g } for a q that is nil.
func EncodeGroup(p, q, g []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(asn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(integer(p))
		if q != nil {
			b.AddBytes(integer(q))
		}
		b.AddBytes(integer(g))
	})
	out, err := b.Bytes()
	if err != nil {
		return nil
	}
	return out
}

// Group reads the parameters of a DH or DSA key: the DER that [EncodeGroup] gives, for DH with an optional length of private values, or the
// numbers one after the other in equal width. They are big-endian without leading zeros; q is nil for DH. Whether they are good knows the
// family; here it is CKR_DOMAIN_PARAMS_INVALID if they have no such form.
func Group(ckk uint64, b []byte) (p, q, g []byte, err error) {
	parts := 2
	if ckk == CKK_DSA {
		parts = 3
	}
	var n [3][]byte
	in, ok := cryptobyte.String(b), false
	var body cryptobyte.String
	if in.ReadASN1(&body, asn1.SEQUENCE) && in.Empty() {
		ok = true
		for i := range parts {
			ok = ok && body.ReadASN1Integer(&n[i])
		}
		ok = ok && (body.Empty() || ckk == CKK_DH && body.SkipASN1(asn1.INTEGER) && body.Empty())
	}
	if !ok && len(b) > 0 && len(b)%parts == 0 && b[0] != 0 { // of equal width; a prime has its first bit set
		width := len(b) / parts
		for i := range parts {
			n[i] = b[i*width : (i+1)*width]
		}
		ok = true
	}
	for i := range parts {
		n[i] = bytes.TrimLeft(n[i], "\x00")
		ok = ok && len(n[i]) > 0 && len(n[i]) <= maxPrime
	}
	if !ok {
		return nil, nil, nil, Fail(CKR_DOMAIN_PARAMS_INVALID, "not the parameters of a group")
	}
	if parts == 3 {
		return n[0], n[1], n[2], nil
	}
	return n[0], nil, n[1], nil
}
