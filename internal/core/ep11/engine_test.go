// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	"strongroom/internal/pure/ep11"
)

// spki reads the SubjectPublicKeyInfo at the start of a public blob, as clients of the service do.
func spki(t testing.TB, blob []byte) (algorithm []asn1.RawValue, key []byte) {
	t.Helper()
	var info struct {
		Algorithm []asn1.RawValue
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(blob, &info); err != nil {
		t.Fatal(err)
	}
	return info.Algorithm, info.Key.Bytes
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	data := []byte("what is signed here has 28 b")
	for _, tt := range []struct {
		name, curve string
		mech        uint64
		size        int
		check       func(key, sig []byte) bool
	}{
		{"P-224", ep11.OIDP224, ep11.CKM_ECDSA, 56, nistCheck(elliptic.P224(), 28, data)},
		{"P-256", ep11.OIDP256, ep11.CKM_ECDSA, 64, nistCheck(elliptic.P256(), 32, data)},
		{"P-384", ep11.OIDP384, ep11.CKM_ECDSA, 96, nistCheck(elliptic.P384(), 48, data)},
		{"P-521", ep11.OIDP521, ep11.CKM_ECDSA, 132, nistCheck(elliptic.P521(), 66, data)},
		{"P-256 SHA-512", ep11.OIDP256, ep11.CKM_ECDSA_SHA512, 64, nistCheck(elliptic.P256(), 32, sum512(data))},
		{"P-384 IBM SHA-256", ep11.OIDP384, ep11.CKM_IBM_ECDSA_SHA256, 96, nistCheck(elliptic.P384(), 48, sum256(data))},
		{"secp256k1", ep11.OIDSecp256k1, ep11.CKM_ECDSA, 64, nil},
		{"secp256k1 SHA-256", ep11.OIDSecp256k1, ep11.CKM_ECDSA_SHA256, 64, nil},
		{"Ed25519", ep11.OIDEd25519, ep11.CKM_IBM_ED25519_SHA512, 64, func(key, sig []byte) bool { return ed25519.Verify(key, data, sig) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sk, pk := b.pair(tt.curve, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
			algorithm, key := spki(t, pk)
			if len(algorithm) != 2 || string(algorithm[1].FullBytes) != tt.curve {
				t.Errorf("algorithm %v", algorithm)
			}
			sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(tt.mech), Key: sk, Data: data}).Data
			if len(sig) != tt.size {
				t.Errorf("%d bytes, want %d", len(sig), tt.size)
			}
			if tt.check != nil && !tt.check(key, sig) {
				t.Error("another implementation refuses the signature")
			}
			checkVerify(b, tt.mech, pk, data, sig)
			bare := ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(tt.curve), Key: key}.SPKI()
			if !bytes.HasPrefix(pk, bare) {
				t.Error("the blob does not begin with the SPKI")
			}
			checkVerify(b, tt.mech, bare, data, sig)
		})
	}
}

// checkVerify wants a signature to verify, and altered ones and others not to.
func checkVerify(b *bench, m uint64, pk, data, sig []byte) {
	b.t.Helper()
	call := ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(m), Key: pk, Data: data, Signature: sig}
	b.must(call)
	for _, bad := range [][]byte{flip(sig, 0), flip(sig, len(sig)-1), make([]byte, len(sig)), bytes.Repeat([]byte{0xff}, len(sig))} {
		call.Signature = bad
		b.refused(ep11.CKR_SIGNATURE_INVALID, call)
	}
	for _, bad := range [][]byte{sig[1:], append(bytes.Clone(sig), 0), nil} {
		call.Signature = bad
		b.refused(ep11.CKR_SIGNATURE_LEN_RANGE, call)
	}
	call.Signature, call.Data = sig, flip(data, 0)
	b.refused(ep11.CKR_SIGNATURE_INVALID, call)
}

// rsaOne is what the number 1 encrypts to under any RSA key of 2,048 bits: it has no padding. A ciphertext with a bit flipped decrypts to
// anything, and that looks padded to PKCS#1 once in a hundred thousand times.
func rsaOne() []byte { return append(make([]byte, 255), 1) }

func flip(b []byte, i int) []byte {
	out := bytes.Clone(b)
	out[i] ^= 1
	return out
}

func sum256(b []byte) []byte { s := sha256.Sum256(b); return s[:] }
func sum512(b []byte) []byte { s := sha512.Sum512(b); return s[:] }

func nistCheck(c elliptic.Curve, n int, digest []byte) func(key, sig []byte) bool {
	return func(key, sig []byte) bool {
		pub, err := ecdsa.ParseUncompressedPublicKey(c, key)
		return err == nil && ecdsa.Verify(pub, digest, new(big.Int).SetBytes(sig[:n]), new(big.Int).SetBytes(sig[n:]))
	}
}

func TestRSA(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sk, pk := b.rsa(2048, flags(ep11.CKA_SIGN, ep11.CKA_DECRYPT, ep11.CKA_EXTRACTABLE), flags(ep11.CKA_VERIFY, ep11.CKA_ENCRYPT))
	_, inner := spki(t, pk)
	pub, err := x509.ParsePKCS1PublicKey(inner)
	if err != nil {
		t.Fatal(err)
	}
	data := []byte("a message")
	digest := sum512(data)
	for _, tt := range []struct {
		name string
		m    ep11.Mechanism
		data []byte
		ok   func(sig []byte) bool
	}{
		{"PKCS#1", ep11.Mechanism{Type: ep11.CKM_RSA_PKCS}, data, func(sig []byte) bool { return rsa.VerifyPKCS1v15(pub, 0, data, sig) == nil }},
		{"PKCS#1 SHA-512", ep11.Mechanism{Type: ep11.CKM_SHA512_RSA_PKCS}, data, func(sig []byte) bool { return rsa.VerifyPKCS1v15(pub, crypto.SHA512, digest, sig) == nil }},
		{"PSS, no salt", ep11.Mechanism{Type: ep11.CKM_SHA512_RSA_PKCS_PSS, PSS: &ep11.PSS{Hash: ep11.CKM_SHA512, MGF: ep11.CKG_MGF1_SHA512}}, data,
			func(sig []byte) bool {
				return rsa.VerifyPSS(pub, crypto.SHA512, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthAuto}) == nil &&
					rsa.VerifyPSS(pub, crypto.SHA512, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) != nil
			}},
		{"PSS, salt of the hash", ep11.Mechanism{Type: ep11.CKM_SHA512_RSA_PKCS_PSS, PSS: &ep11.PSS{Hash: ep11.CKM_SHA512, MGF: ep11.CKG_MGF1_SHA512, Salt: ep11.SaltOfHash}}, data,
			func(sig []byte) bool {
				return rsa.VerifyPSS(pub, crypto.SHA512, digest, sig, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}) == nil
			}},
		{"PSS of a digest", ep11.Mechanism{Type: ep11.CKM_RSA_PKCS_PSS, PSS: &ep11.PSS{Hash: ep11.CKM_SHA512, MGF: ep11.CKG_MGF1_SHA512, Salt: 7}}, digest,
			func(sig []byte) bool {
				return rsa.VerifyPSS(pub, crypto.SHA512, digest, sig, &rsa.PSSOptions{SaltLength: 7}) == nil
			}},
		{"X9.31", ep11.Mechanism{Type: ep11.CKM_RSA_X9_31}, append(sum512(data), 0x35), func([]byte) bool { return true }},
		{"X9.31 SHA-1", ep11.Mechanism{Type: ep11.CKM_SHA1_RSA_X9_31}, data, func([]byte) bool { return true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: &tt.m, Key: sk, Data: tt.data}).Data
			if len(sig) != 256 || !tt.ok(sig) {
				t.Error("another implementation refuses the signature")
			}
			verify := ep11.Call{Function: ep11.FnVerifySingle, Mechanism: &tt.m, Key: pk, Data: tt.data, Signature: sig}
			b.must(verify)
			for _, bad := range [][]byte{flip(sig, 0), flip(sig, 255), make([]byte, 256), bytes.Repeat([]byte{0xff}, 256), append(make([]byte, 255), 1)} {
				verify.Signature = bad
				b.refused(ep11.CKR_SIGNATURE_INVALID, verify)
			}
			verify.Signature = sig[1:]
			b.refused(ep11.CKR_SIGNATURE_LEN_RANGE, verify)
		})
	}
	oaep := ep11.Mechanism{Type: ep11.CKM_RSA_PKCS_OAEP, OAEP: &ep11.OAEP{Hash: ep11.CKM_SHA_1, MGF: ep11.CKG_MGF1_SHA1}}
	for _, m := range []*ep11.Mechanism{&oaep, mech(ep11.CKM_RSA_PKCS)} {
		sealed := b.must(ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: m, Key: pk, Data: data}).Data
		if got := b.must(ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: m, Key: sk, Data: sealed}).Data; !bytes.Equal(got, data) {
			t.Errorf("%x decrypts to %x", m.Type, got)
		}
		b.refused(ep11.CKR_ENCRYPTED_DATA_INVALID, ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: m, Key: sk, Data: rsaOne()})
		b.refused(ep11.CKR_ENCRYPTED_DATA_LEN_RANGE, ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: m, Key: sk, Data: sealed[1:]})
		b.refused(ep11.CKR_DATA_LEN_RANGE, ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: m, Key: pk, Data: make([]byte, 250)})
	}
}
