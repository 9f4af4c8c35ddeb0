// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/binary"
	"testing"

	"strongroom/internal/pure/ep11"
)

// wrapper is a KEK pair with a mechanism.
type wrapper struct {
	name         string
	m            *ep11.Mechanism
	wrap, unwrap []byte // blobs
}

func wrappers(b *bench) []wrapper {
	both := flags(ep11.CKA_WRAP, ep11.CKA_UNWRAP)
	aes := b.aes(32, both)
	des := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_DES3_KEY_GEN), Template: and(both, number(ep11.CKA_VALUE_LEN, 32))}).Key
	sk, pk := b.rsa(2048, flags(ep11.CKA_UNWRAP), flags(ep11.CKA_WRAP))
	iv16, iv8 := make([]byte, 16), make([]byte, 8)
	rand.Read(iv16)
	rand.Read(iv8)
	oaep := ep11.Mechanism{Type: ep11.CKM_RSA_PKCS_OAEP, OAEP: &ep11.OAEP{Hash: ep11.CKM_SHA256, MGF: ep11.CKG_MGF1_SHA256, Source: ep11.CKZ_DATA_SPECIFIED, Label: []byte("label")}}
	return []wrapper{
		{"AES-ECB", mech(ep11.CKM_AES_ECB), aes, aes}, {"AES-CBC", withIV(ep11.CKM_AES_CBC, iv16), aes, aes},
		{"AES-CBC-PAD", withIV(ep11.CKM_AES_CBC_PAD, iv16), aes, aes}, {"AES-KW", mech(ep11.CKM_AES_KEY_WRAP), aes, aes},
		{"AES-KWP", mech(ep11.CKM_AES_KEY_WRAP_PAD), aes, aes}, {"DES3-ECB", mech(ep11.CKM_DES3_ECB), des, des},
		{"DES3-CBC", withIV(ep11.CKM_DES3_CBC, iv8), des, des}, {"DES3-CBC-PAD", withIV(ep11.CKM_DES3_CBC_PAD, iv8), des, des},
		{"RSA-PKCS", mech(ep11.CKM_RSA_PKCS), pk, sk}, {"RSA-OAEP", &oaep, pk, sk},
	}
}

// TestWrapSecretKeys: a secret key comes back through every wrapping mechanism, with its check value.
func TestWrapSecretKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	use := flags(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT, ep11.CKA_EXTRACTABLE)
	made := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_AES_KEY_GEN), Template: and(use, number(ep11.CKA_VALUE_LEN, 32))})
	if len(made.CheckSum) != 7 || binary.BigEndian.Uint32(made.CheckSum[3:]) != 256 {
		t.Fatalf("check sum %x", made.CheckSum)
	}
	for _, w := range wrappers(b) {
		t.Run(w.name, func(t *testing.T) {
			b.uses = nil
			wrapped := b.must(ep11.Call{Function: ep11.FnWrapKey, Mechanism: w.m, Key: made.Key, Key2: w.wrap}).Data
			if want := map[bool]int{true: 1, false: 2}[w.wrap[0] == spkiStart]; len(b.uses) != want {
				t.Errorf("%d uses, want %d", len(b.uses), want)
			}
			unwrap := ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: w.m, Key2: w.unwrap, Data: wrapped,
				Template: and(use, number(ep11.CKA_KEY_TYPE, ep11.CKK_AES), number(ep11.CKA_CLASS, ep11.CKO_SECRET_KEY), number(ep11.CKA_VALUE_LEN, 32))}
			got := b.must(unwrap)
			if !bytes.Equal(got.CheckSum, made.CheckSum) {
				t.Errorf("check sum %x, want %x", got.CheckSum, made.CheckSum)
			}
			cbc := withIV(ep11.CKM_AES_CBC_PAD, make([]byte, 16))
			sealed := b.must(ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: cbc, Key: made.Key, Data: []byte("text")}).Data
			if plain := b.must(ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: cbc, Key: got.Key, Data: sealed}).Data; string(plain) != "text" {
				t.Errorf("decrypts to %q", plain)
			}
			if w.m.Type == ep11.CKM_RSA_PKCS {
				unwrap.Data = rsaOne()
				b.refused(ep11.CKR_WRAPPED_KEY_INVALID, unwrap)
			} else if n := unpadded[w.m.Type]; n == 0 {
				for i := range wrapped {
					if i%7 == 0 {
						unwrap.Data = flip(wrapped, i)
						if _, err := b.do(unwrap); codeOf(err) != ep11.CKR_WRAPPED_KEY_INVALID && w.m.Type != ep11.CKM_AES_CBC_PAD && w.m.Type != ep11.CKM_DES3_CBC_PAD {
							t.Errorf("byte %d: %v", i, err)
						}
					}
				}
			}
			unwrap.Data = wrapped[:len(wrapped)-1]
			b.refused(ep11.CKR_WRAPPED_KEY_LEN_RANGE, unwrap)
			unwrap.Data, unwrap.Template = wrapped, use
			b.refused(ep11.CKR_TEMPLATE_INCOMPLETE, unwrap)
			unwrap.Template = and(use, number(ep11.CKA_KEY_TYPE, ep11.CKK_AES), number(ep11.CKA_CLASS, ep11.CKO_PRIVATE_KEY))
			b.refused(ep11.CKR_TEMPLATE_INCONSISTENT, unwrap)
			unwrap.Template, unwrap.Key2 = number(ep11.CKA_KEY_TYPE, ep11.CKK_AES), nil
			b.refused(ep11.CKR_UNWRAPPING_KEY_HANDLE_INVALID, unwrap)
			unwrap.Key2 = b.generic(32, flags(ep11.CKA_UNWRAP))
			b.refused(ep11.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT, unwrap)
			unwrap.Key2 = b.generic(32)
			b.refused(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, unwrap)
		})
	}
}

// TestUnwrapCuts: what modes without padding give back is cut to the length that the template says.
func TestUnwrapCuts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	kek := b.aes(16, flags(ep11.CKA_WRAP, ep11.CKA_UNWRAP))
	key := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_AES_KEY_GEN), Template: and(flags(ep11.CKA_EXTRACTABLE), number(ep11.CKA_VALUE_LEN, 24))})
	wrapped := b.must(ep11.Call{Function: ep11.FnWrapKey, Mechanism: mech(ep11.CKM_AES_ECB), Key: key.Key, Key2: kek}).Data
	unwrap := ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: mech(ep11.CKM_AES_ECB), Key2: kek, Data: wrapped, Template: and(number(ep11.CKA_KEY_TYPE, ep11.CKK_AES), number(ep11.CKA_VALUE_LEN, 24))}
	if got := b.must(unwrap); !bytes.Equal(got.CheckSum, key.CheckSum) {
		t.Error("another key")
	}
	unwrap.Template = and(number(ep11.CKA_KEY_TYPE, ep11.CKK_AES), number(ep11.CKA_VALUE_LEN, 23))
	b.refused(ep11.CKR_KEY_SIZE_RANGE, unwrap)
	unwrap.Template = number(ep11.CKA_KEY_TYPE, ep11.CKK_IBM_PQC_KYBER+50)
	b.refused(ep11.CKR_TEMPLATE_INCONSISTENT, unwrap)
}

// TestExportPrivateKeys: what AES_CBC_PAD wraps of a private key is PKCS#8 that Go's parser reads, and that comes back in.
func TestExportPrivateKeys(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	private, public := flags(ep11.CKA_SIGN, ep11.CKA_EXTRACTABLE), flags(ep11.CKA_VERIFY)
	for _, curve := range []string{ep11.OIDP224, ep11.OIDP256, ep11.OIDP384, ep11.OIDP521, ep11.OIDSecp256k1, ep11.OIDEd25519} {
		sk, pk := b.pair(curve, private, public)
		der := b.exported(sk)
		_, point := spki(t, pk)
		switch key, err := x509.ParsePKCS8PrivateKey(der); {
		case curve == ep11.OIDSecp256k1: // which Go doesn't know
		case err != nil:
			t.Fatal(err)
		case curve == ep11.OIDEd25519:
			if !bytes.Equal(key.(ed25519.PrivateKey)[32:], point) {
				t.Error("another key")
			}
		default:
			if got, err := key.(*ecdsa.PrivateKey).PublicKey.Bytes(); err != nil || !bytes.Equal(got, point) {
				t.Errorf("another key: %v", err)
			}
		}
		again, err := b.imported(der, ep11.CKK_EC, private)
		if err != nil {
			t.Fatal(err)
		}
		m := uint64(ep11.CKM_ECDSA)
		if curve == ep11.OIDEd25519 {
			m = ep11.CKM_IBM_ED25519_SHA512
		}
		sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(m), Key: again, Data: []byte("x")}).Data
		b.must(ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(m), Key: pk, Data: []byte("x"), Signature: sig})
		for i := 0; i < len(der) && len(point) <= 65; i++ { // nothing that is read makes a key by which signatures don't verify, and nothing panics
			if bad, err := b.imported(flip(der, i), ep11.CKK_EC, private); err == nil {
				b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(m), Key: bad, Data: []byte("x")})
			}
		}
		if _, err := b.imported(append(bytes.Clone(der), 0), ep11.CKK_EC, private); codeOf(err) != ep11.CKR_WRAPPED_KEY_INVALID {
			t.Errorf("a byte after it: %v", err)
		}
	}
	sk, _ := b.rsa(2048, private, public)
	der := b.exported(sk)
	if key, err := x509.ParsePKCS8PrivateKey(der); err != nil || key.(*rsa.PrivateKey).N.BitLen() != 2048 {
		t.Fatalf("Go's parser: %v", err)
	}
	again, err := b.imported(der, ep11.CKK_RSA, private)
	if err != nil {
		t.Fatal(err)
	}
	b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_SHA256_RSA_PKCS), Key: again, Data: []byte("x")})
	if _, err := b.imported(der, ep11.CKK_EC, private); codeOf(err) != ep11.CKR_WRAPPED_KEY_INVALID {
		t.Errorf("RSA as EC: %v", err)
	}
	for i := 0; i < len(der); i += 11 {
		if _, err := b.imported(flip(der, i), ep11.CKK_RSA, private); err == nil {
			t.Errorf("RSA with byte %d changed comes in", i)
		}
	}
}

// TestImportForeign: keys made by others come in.
func TestImportForeign(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		key  any
		ckk  uint64
		want ep11.Code
	}{
		{"P-384", p384, ep11.CKK_EC, ep11.CKR_OK},
		{"RSA of 1024 bits", small, ep11.CKK_RSA, ep11.CKR_KEY_SIZE_RANGE},
		{"a curve without code", x, ep11.CKK_EC, ep11.CKR_CURVE_NOT_SUPPORTED},
	} {
		der, err := x509.MarshalPKCS8PrivateKey(tt.key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.imported(der, tt.ckk, nil); codeOf(err) != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	der, _ := x509.MarshalPKCS8PrivateKey(p384)
	if _, err := b.imported(der, ep11.CKK_EC, bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDP256)); codeOf(err) != ep11.CKR_TEMPLATE_INCONSISTENT {
		t.Errorf("another curve than the template's: %v", err)
	}
	// The check sum of an unwrapped private key is its authenticated public half.
	kek := b.aes(32, flags(ep11.CKA_ENCRYPT, ep11.CKA_UNWRAP))
	m := withIV(ep11.CKM_AES_CBC_PAD, make([]byte, 16))
	sealed := b.must(ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: m, Key: kek, Data: der}).Data
	got := b.must(ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: m, Key2: kek, Data: sealed, Template: and(flags(ep11.CKA_SIGN), number(ep11.CKA_KEY_TYPE, ep11.CKK_EC))})
	sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_ECDSA), Key: got.Key, Data: []byte("x")}).Data
	checkVerify(b, ep11.CKM_ECDSA, got.CheckSum, []byte("x"), sig)
}

func TestWrapRefusals(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	m := withIV(ep11.CKM_AES_CBC_PAD, make([]byte, 16))
	kek := b.aes(32, flags(ep11.CKA_WRAP, ep11.CKA_UNWRAP))
	open := b.aes(32, flags(ep11.CKA_EXTRACTABLE))
	sk, pk := b.pair(ep11.OIDP256, flags(ep11.CKA_EXTRACTABLE), flags(ep11.CKA_WRAP))
	rsaSK, rsaPK := b.rsa(2048, flags(ep11.CKA_EXTRACTABLE), flags(ep11.CKA_WRAP))
	_, inner := spki(t, rsaPK)
	for _, tt := range []struct {
		name     string
		m        *ep11.Mechanism
		key, kek []byte
		want     ep11.Code
	}{
		{"unextractable", m, b.aes(32), kek, ep11.CKR_KEY_UNEXTRACTABLE},
		{"public", m, pk, kek, ep11.CKR_KEY_NOT_WRAPPABLE},
		{"bound", m, b.aes(32, flags(ep11.CKA_EXTRACTABLE, ep11.CKA_IBM_ATTRBOUND)), kek, ep11.CKR_KEY_NOT_WRAPPABLE},
		{"trusted only", m, b.aes(32, flags(ep11.CKA_EXTRACTABLE, ep11.CKA_WRAP_WITH_TRUSTED)), kek, ep11.CKR_KEY_NOT_WRAPPABLE},
		{"KEK that doesn't wrap", m, open, b.aes(32), ep11.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"KEK of another type", m, open, b.generic(32, flags(ep11.CKA_WRAP)), ep11.CKR_WRAPPING_KEY_TYPE_INCONSISTENT},
		{"curve as KEK", mech(ep11.CKM_RSA_PKCS), open, pk, ep11.CKR_WRAPPING_KEY_TYPE_INCONSISTENT},
		{"bare public KEK", mech(ep11.CKM_RSA_PKCS), open, ep11.PublicKey{Type: ep11.CKK_RSA, Key: inner}.SPKI(), ep11.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"no KEK", m, open, nil, ep11.CKR_WRAPPING_KEY_HANDLE_INVALID},
		{"no key", m, nil, kek, ep11.CKR_KEY_HANDLE_INVALID},
		{"private key in whole blocks", withIV(ep11.CKM_AES_CBC, make([]byte, 16)), sk, kek, ep11.CKR_KEY_SIZE_RANGE},
		{"private key under RSA", mech(ep11.CKM_RSA_PKCS), rsaSK, rsaPK, ep11.CKR_KEY_SIZE_RANGE},
		{"IV of a wrong size", withIV(ep11.CKM_AES_CBC_PAD, make([]byte, 15)), open, kek, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"signature as wrap", mech(ep11.CKM_ECDSA), open, kek, ep11.CKR_MECHANISM_INVALID},
		{"no mechanism", nil, open, kek, ep11.CKR_ARGUMENTS_BAD},
	} {
		if _, err := b.do(ep11.Call{Function: ep11.FnWrapKey, Mechanism: tt.m, Key: tt.key, Key2: tt.kek}); codeOf(err) != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

// TestBound: a key wrapped with its attributes comes back with them, and only through the two keys that it was wrapped with.
func TestBound(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bound := flags(ep11.CKA_IBM_ATTRBOUND)
	sk, pk := b.rsa(2048, and(bound, flags(ep11.CKA_UNWRAP)), and(bound, flags(ep11.CKA_WRAP)))
	mac := b.generic(32, bound) // in the compatibility profile it signs and verifies
	use := flags(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT)
	key := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_AES_KEY_GEN), Template: and(bound, use, flags(ep11.CKA_EXTRACTABLE), number(ep11.CKA_VALUE_LEN, 32))})
	wrap := ep11.Call{Function: ep11.FnWrapKey, Mechanism: mech(ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP), Key: key.Key, Key2: pk, Key3: mac}
	wrapped := b.must(wrap).Data
	template := and(use, number(ep11.CKA_CLASS, ep11.CKO_SECRET_KEY), number(ep11.CKA_KEY_TYPE, ep11.CKK_AES), number(ep11.CKA_VALUE_LEN, 32))
	unwrap := ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: mech(ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP), Key2: sk, Key3: mac, Data: wrapped, Template: template}
	got := b.must(unwrap)
	if !bytes.Equal(got.CheckSum[:3], key.CheckSum[:3]) {
		t.Error("another key")
	}
	asked := b.must(ep11.Call{Function: ep11.FnGetAttribute, Key: got.Key, Template: flags(ep11.CKA_ENCRYPT, ep11.CKA_SIGN, ep11.CKA_IBM_ATTRBOUND, ep11.CKA_EXTRACTABLE, ep11.CKA_LOCAL)}).Attributes
	for n, want := range map[uint64]bool{ep11.CKA_ENCRYPT: true, ep11.CKA_SIGN: false, ep11.CKA_IBM_ATTRBOUND: true, ep11.CKA_EXTRACTABLE: true, ep11.CKA_LOCAL: false} {
		if asked.Has(n) != want {
			t.Errorf("attribute %x is %v", n, !want)
		}
	}
	for i := range wrapped {
		if i > 300 || i%16 == 0 { // the seed under RSA takes milliseconds each
			unwrap.Data = flip(wrapped, i)
			b.refused(ep11.CKR_WRAPPED_KEY_INVALID, unwrap)
		}
	}
	unwrap.Data, unwrap.Template = wrapped, and(template, flags(ep11.CKA_SIGN))
	b.refused(ep11.CKR_TEMPLATE_INCONSISTENT, unwrap)
	unwrap.Template = and(template, number(ep11.CKA_KEY_TYPE, ep11.CKK_DES3))
	b.refused(ep11.CKR_TEMPLATE_INCONSISTENT, unwrap)
	unwrap.Template = and(template, ep11.Template{ep11.CKA_DECRYPT: ep11.Bool(false)})
	b.refused(ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: mech(ep11.CKM_AES_ECB), Key: b.must(unwrap).Key, Data: make([]byte, 16)})
	unwrap.Template, unwrap.Key3 = template, b.generic(32, bound)
	b.refused(ep11.CKR_WRAPPED_KEY_INVALID, unwrap)
	unwrap.Key3 = nil
	b.refused(ep11.CKR_KEY_HANDLE_INVALID, unwrap)

	plainMAC := b.generic(32, flags(ep11.CKA_SIGN, ep11.CKA_VERIFY))
	_, plainPK := b.rsa(2048, nil, flags(ep11.CKA_WRAP))
	for _, tt := range []struct {
		name          string
		key, kek, mac []byte
		want          ep11.Code
	}{
		{"unbound key", b.aes(32, flags(ep11.CKA_EXTRACTABLE)), pk, mac, ep11.CKR_KEY_NOT_WRAPPABLE},
		{"unbound KEK", key.Key, plainPK, mac, ep11.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"unbound MAC key", key.Key, pk, plainMAC, ep11.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"no MAC key", key.Key, pk, nil, ep11.CKR_KEY_HANDLE_INVALID},
		{"unextractable", b.aes(32, bound), pk, mac, ep11.CKR_KEY_UNEXTRACTABLE},
		{"generic secret as KEK", key.Key, b.generic(32, and(bound, flags(ep11.CKA_WRAP))), mac, ep11.CKR_WRAPPING_KEY_TYPE_INCONSISTENT},
	} {
		wrap.Key, wrap.Key2, wrap.Key3 = tt.key, tt.kek, tt.mac
		if _, err := b.do(wrap); codeOf(err) != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	// A private key, under an AES key.
	kek := b.aes(32, and(bound, flags(ep11.CKA_WRAP, ep11.CKA_UNWRAP)))
	signing, verifying := b.pair(ep11.OIDSecp256k1, and(bound, flags(ep11.CKA_SIGN, ep11.CKA_EXTRACTABLE)), and(bound, flags(ep11.CKA_VERIFY)))
	wrap.Key, wrap.Key2, wrap.Key3 = signing, kek, mac
	back := b.must(ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: wrap.Mechanism, Key2: kek, Key3: mac, Data: b.must(wrap).Data, Template: number(ep11.CKA_KEY_TYPE, ep11.CKK_EC)})
	sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_ECDSA), Key: back.Key, Data: []byte("x")}).Data
	checkVerify(b, ep11.CKM_ECDSA, verifying, []byte("x"), sig)
}

// TestTransport: a public key comes in as SubjectPublicKeyInfo.
func TestTransport(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, _ := ed25519.GenerateKey(rand.Reader)
	for _, public := range []any{&key.PublicKey, edwards} {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			t.Fatal(err)
		}
		call := ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: mech(ep11.CKM_IBM_TRANSPORTKEY), Data: der, Key2: b.aes(32), Template: flags(ep11.CKA_VERIFY, ep11.CKA_ENCRYPT)}
		got := b.must(call)
		sum := got.CheckSum
		if bits := binary.BigEndian.Uint32(sum[len(sum)-4:]); !bytes.HasPrefix(got.Key, sum[:len(sum)-4]) || bits != 2048 && bits != 256 {
			t.Errorf("check sum %x", sum)
		}
		call.Template = number(ep11.CKA_KEY_TYPE, ep11.CKK_RSA)
		b.refused(ep11.CKR_TEMPLATE_INCONSISTENT, call)
		call.Template = flags(ep11.CKA_SIGN)
		b.refused(ep11.CKR_TEMPLATE_INCONSISTENT, call)
		for _, bad := range [][]byte{nil, der[:20], append(bytes.Clone(der), 0), got.Key} {
			call.Data, call.Template = bad, nil
			b.refused(ep11.CKR_WRAPPED_KEY_INVALID, call)
		}
	}
	bad := ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(ep11.OIDP256), Key: append([]byte{4}, make([]byte, 64)...)}
	b.refused(ep11.CKR_PUBLIC_KEY_INVALID, ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: mech(ep11.CKM_IBM_TRANSPORTKEY), Data: bad.SPKI()})
	low := ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(ep11.OIDEd25519), Key: append([]byte{1}, make([]byte, 31)...)}
	b.refused(ep11.CKR_PUBLIC_KEY_INVALID, ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: mech(ep11.CKM_IBM_TRANSPORTKEY), Data: low.SPKI()})
	other := ep11.PublicKey{Type: ep11.CKK_EC, Params: []byte(ep11.OIDX448), Key: make([]byte, 56)}
	b.refused(ep11.CKR_CURVE_NOT_SUPPORTED, ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: mech(ep11.CKM_IBM_TRANSPORTKEY), Data: other.SPKI()})
}
