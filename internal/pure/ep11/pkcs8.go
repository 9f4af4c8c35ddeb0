// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// scalarSizes are the bytes of the private keys of curves that have the form of RFC 5915.
var scalarSizes = map[string]int{OIDP224: 28, OIDP256: 32, OIDP384: 48, OIDP521: 66, OIDSecp256k1: 32, OIDBP256R1: 32, OIDBP384R1: 48, OIDBP512R1: 64, OIDBLS12381: 32}

// rfc8410 are the bytes of the private keys of the curves of RFC 8410.
var rfc8410 = map[string]int{OIDX25519: 32, OIDX448: 56, OIDEd25519: 32, OIDEd448: 57}

// PrivateKey is a private key as families hold it. Its slices hold secrets: they lie in the caller's arena, and nothing here copies them
// elsewhere.
type PrivateKey struct {
	Type   uint64 // CKK
	Params []byte
	Secret []byte
	Width  int // bytes that Secret shall have, filled up with zeros in front; 0: as it is
}

// PKCS8Size gives the length of what [PrivateKey.AppendPKCS8] appends, for a secret of n bytes. It is 0 for a type that has no such form.
func (k PrivateKey) PKCS8Size(n int, public []byte) int {
	k.Secret = nil
	head, tail := k.around(n, public)
	if head == nil {
		return 0
	}
	return len(head) + n + len(tail)
}

// AppendPKCS8 appends PrivateKeyInfo (RFC 5208): for RSA, PKCS#1; for curves ECPrivateKey with its public key (RFC 5915) or the forms of
// RFC 8410; for DH and DSA the private value; for post-quantum keys what their family keeps.
func (k PrivateKey) AppendPKCS8(to, public []byte) []byte {
	head, tail := k.around(len(k.Secret), public)
	to = append(to, head...)
	to = append(to, k.Secret...)
	return append(to, tail...)
}

// around gives what stands before and after the secret.
func (k PrivateKey) around(n int, public []byte) (head, tail []byte) {
	var inner, algorithm []byte
	oid := string(k.Params)
	switch {
	case k.Type == CKK_RSA:
		algorithm = []byte(oidRSA + null)
	case k.Type == CKK_EC && rfc8410[oid] != 0:
		algorithm, inner = k.Params, header(0x04, n)
	case k.Type == CKK_EC:
		algorithm = append([]byte(oidECPublicKey), k.Params...)
		if len(public) > 0 {
			bits := append(header(0x03, len(public)+1), 0)
			bits = append(bits, public...)
			tail = append(header(0xa1, len(bits)), bits...)
		}
		scalar := append([]byte{0x02, 1, 1}, header(0x04, n)...)
		inner = append(header(0x30, len(scalar)+n+len(tail)), scalar...)
	case k.Type == CKK_DH || k.Type == CKK_DSA:
		// With a zero in front the number is positive whatever its first bit; one zero too many is read by everybody but is no DER, and to
		// leave it out would tell the bit.
		name := oidDH
		if k.Type == CKK_DSA {
			name = oidDSA
		}
		algorithm = append([]byte(name), k.Params...)
		inner = append(header(0x02, n+1), 0)
	case k.Type == CKK_IBM_PQC_DILITHIUM || k.Type == CKK_IBM_PQC_KYBER:
		algorithm = append(append([]byte{}, k.Params...), null...)
	case k.Type == CKK_IBM_ML_DSA || k.Type == CKK_IBM_ML_KEM:
		algorithm = k.Params
	default:
		return nil, nil
	}
	octets := len(inner) + n + len(tail)
	body := append([]byte{0x02, 1, 0}, header(0x30, len(algorithm))...)
	body = append(body, algorithm...)
	body = append(body, header(0x04, octets)...)
	body = append(body, inner...)
	return append(header(0x30, len(body)+n+len(tail)), body...), tail
}

// header is the tag and length of a DER element.
func header(tag byte, n int) []byte {
	switch {
	case n < 0x80:
		return []byte{tag, byte(n)}
	case n < 0x100:
		return []byte{tag, 0x81, byte(n)}
	case n < 0x10000:
		return []byte{tag, 0x82, byte(n >> 8), byte(n)}
	}
	return []byte{tag, 0x83, byte(n >> 16), byte(n >> 8), byte(n)}
}

// ReadPKCS8 reads PrivateKeyInfo, also as OneAsymmetricKey (RFC 5958) with what that adds, which is not looked at. Secret is a part of b. It
// says false for everything that has another form, without a word of which: b may be what an altered ciphertext decrypted to.
func ReadPKCS8(b []byte) (PrivateKey, bool) {
	in := cryptobyte.String(b)
	var info, algorithm, secret cryptobyte.String
	var version uint8
	if !in.ReadASN1(&info, asn1.SEQUENCE) || !in.Empty() || !info.ReadASN1Integer(&version) || version > 1 ||
		!info.ReadASN1(&algorithm, asn1.SEQUENCE) || !info.ReadASN1(&secret, asn1.OCTET_STRING) ||
		!info.SkipOptionalASN1(asn1.Tag(0).ContextSpecific().Constructed()) || !info.SkipOptionalASN1(asn1.Tag(1).ContextSpecific()) || !info.Empty() {
		return PrivateKey{}, false
	}
	is, ok := readAlgorithm(algorithm)
	if !ok {
		return PrivateKey{}, false
	}
	k := PrivateKey{Type: is.Type, Params: is.Params, Secret: secret}
	switch oid := string(k.Params); {
	case k.Type == CKK_EC && rfc8410[oid] != 0:
		k.Width = rfc8410[oid]
		return k, secret.ReadASN1((*cryptobyte.String)(&k.Secret), asn1.OCTET_STRING) && secret.Empty() && len(k.Secret) == k.Width
	case k.Type == CKK_EC:
		k.Width = scalarSizes[oid]
		k.Secret, ok = readScalar(secret)
	case k.Type == CKK_DH || k.Type == CKK_DSA:
		p, q, _, err := Group(k.Type, k.Params)
		if err != nil {
			return PrivateKey{}, false
		}
		k.Width = len(p)
		if q != nil {
			k.Width = len(q)
		}
		var x cryptobyte.String
		ok = secret.ReadASN1(&x, asn1.INTEGER) && secret.Empty() && len(x) > 0 && x[0] < 0x80
		for ok && len(x) > 1 && x[0] == 0 {
			x = x[1:]
		}
		k.Secret = x
	}
	return k, ok && len(k.Secret) > 0 && (k.Width == 0 || len(k.Secret) <= k.Width)
}

// readScalar reads ECPrivateKey. What it says of its curve and public key is not looked at: both follow from the rest.
func readScalar(in cryptobyte.String) ([]byte, bool) {
	var body, scalar cryptobyte.String
	var version uint8
	ok := in.ReadASN1(&body, asn1.SEQUENCE) && in.Empty() && body.ReadASN1Integer(&version) && version == 1 && body.ReadASN1(&scalar, asn1.OCTET_STRING) &&
		body.SkipOptionalASN1(asn1.Tag(0).ContextSpecific().Constructed()) && body.SkipOptionalASN1(asn1.Tag(1).ContextSpecific().Constructed()) && body.Empty()
	return scalar, ok
}
