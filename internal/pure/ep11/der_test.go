// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"
)

// samples are keys of each type, with material of the right lengths.
func samples() []struct {
	public  PublicKey
	private PrivateKey
} {
	var out []struct {
		public  PublicKey
		private PrivateKey
	}
	add := func(ckk uint64, params string, secret, public []byte) {
		out = append(out, struct {
			public  PublicKey
			private PrivateKey
		}{PublicKey{ckk, []byte(params), public}, PrivateKey{Type: ckk, Params: []byte(params), Secret: secret}})
	}
	fill := func(n int) []byte { return bytes.Repeat([]byte{0x81}, n) }
	add(CKK_RSA, "", fill(300), fill(270))
	for oid, n := range scalarSizes {
		add(CKK_EC, oid, fill(n), fill(2*n+1))
	}
	for oid, n := range rfc8410 {
		add(CKK_EC, oid, fill(n), fill(n))
	}
	p, q, g := append([]byte{0xff}, fill(255)...), append([]byte{0xff}, fill(31)...), []byte{2}
	add(CKK_DH, string(EncodeGroup(p, nil, g)), fill(256), fill(256))
	add(CKK_DSA, string(EncodeGroup(p, q, g)), append([]byte{0, 0}, fill(30)...), append([]byte{0}, fill(255)...))
	for oid, ckk := range pqcTypes {
		add(ckk, oid, fill(4000), fill(2600))
	}
	return out
}

func TestKeysRoundTrip(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		der := s.public.SPKI()
		var info struct {
			Algorithm asn1.RawValue
			Key       asn1.BitString
		}
		if rest, err := asn1.Unmarshal(der, &info); err != nil || len(rest) != 0 {
			t.Fatalf("%x: %v", s.public.Params, err)
		}
		got, rest, err := ReadSPKI(append(bytes.Clone(der), 4, 0))
		if err != nil || got.Type != s.public.Type || !bytes.Equal(got.Params, s.public.Params) || !bytes.Equal(got.Key, s.public.Key) || !bytes.Equal(rest, []byte{4, 0}) {
			t.Errorf("type %x, %x: %v", s.public.Type, s.public.Params, err)
		}
		for i := range der { // cut anywhere, it is none
			if _, _, err := ReadSPKI(der[:i]); err == nil {
				t.Errorf("type %x cut at %d is read", s.public.Type, i)
			}
		}
		size := s.private.PKCS8Size(len(s.private.Secret), s.public.Key)
		room := make([]byte, 0, size)
		sealed := s.private.AppendPKCS8(room, s.public.Key)
		if len(sealed) != size || &sealed[0] != &room[:1][0] {
			t.Errorf("type %x: %d bytes, announced %d, or moved", s.private.Type, len(sealed), size)
		}
		back, ok := ReadPKCS8(sealed)
		full := make([]byte, max(back.Width, len(back.Secret)))
		copy(full[len(full)-len(back.Secret):], back.Secret)
		if !ok || back.Type != s.private.Type || !bytes.Equal(back.Params, s.private.Params) || !bytes.Equal(full, s.private.Secret) {
			t.Errorf("type %x, %x: another private key", s.private.Type, s.private.Params)
		}
		for i := range sealed {
			if _, ok := ReadPKCS8(sealed[:i]); ok {
				t.Errorf("type %x cut at %d is read", s.private.Type, i)
			}
		}
	}
	if (PublicKey{Type: CKK_AES}).SPKI() != nil || (PrivateKey{Type: CKK_AES}).PKCS8Size(16, nil) != 0 {
		t.Error("a symmetric key has a form")
	}
}

// TestForeignKeys reads what Go's own encoder writes, and Go's parser what is written here.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	p521, _ := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	edPublic, ed, _ := ed25519.GenerateKey(rand.Reader)
	x, _ := ecdh.X25519().GenerateKey(rand.Reader)
	for _, tt := range []struct {
		public, private any
		ckk             uint64
		params          string
	}{
		{&r.PublicKey, r, CKK_RSA, ""}, {&p224.PublicKey, p224, CKK_EC, OIDP224}, {&p521.PublicKey, p521, CKK_EC, OIDP521},
		{edPublic, ed, CKK_EC, OIDEd25519}, {x.PublicKey(), x, CKK_EC, OIDX25519},
	} {
		der, err := x509.MarshalPKIXPublicKey(tt.public)
		if err != nil {
			t.Fatal(err)
		}
		pub, rest, err := ReadSPKI(der)
		if err != nil || len(rest) != 0 || pub.Type != tt.ckk || string(pub.Params) != tt.params {
			t.Errorf("%T: %+v, %v", tt.public, pub, err)
		}
		if der, err = x509.MarshalPKCS8PrivateKey(tt.private); err != nil {
			t.Fatal(err)
		}
		k, ok := ReadPKCS8(der)
		if !ok || k.Type != tt.ckk || string(k.Params) != tt.params {
			t.Fatalf("%T: %+v", tt.private, k)
		}
		back, err := x509.ParsePKCS8PrivateKey(k.AppendPKCS8(nil, pub.Key))
		if err != nil || !tt.private.(interface{ Equal(crypto.PrivateKey) bool }).Equal(back) {
			t.Errorf("%T: Go's parser reads %T, %v", tt.private, back, err)
		}
	}
}

func TestGroup(t *testing.T) {
	t.Parallel()
	p, q, g := append([]byte{0xf1}, make([]byte, 127)...), append([]byte{0xa1}, make([]byte, 19)...), []byte{0x02, 0x03}
	wide := func(b []byte) []byte { return append(make([]byte, 128-len(b)), b...) }
	for _, tt := range []struct {
		ckk uint64
		in  []byte
		q   []byte
	}{
		{CKK_DH, EncodeGroup(p, nil, g), nil}, {CKK_DSA, EncodeGroup(p, q, g), q},
		{CKK_DH, append(bytes.Clone(p), wide(g)...), nil}, {CKK_DSA, append(append(bytes.Clone(p), wide(q)...), wide(g)...), q},
	} {
		gotP, gotQ, gotG, err := Group(tt.ckk, tt.in)
		if err != nil || !bytes.Equal(gotP, p) || !bytes.Equal(gotQ, tt.q) || !bytes.Equal(gotG, g) {
			t.Errorf("%x: %x %x %x %v", tt.in[:4], gotP, gotQ, gotG, err)
		}
	}
	withLength, _ := asn1.Marshal(struct {
		P, G *big.Int
		L    int
	}{new(big.Int).SetBytes(p), new(big.Int).SetBytes(g), 256})
	if _, _, _, err := Group(CKK_DH, withLength); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]byte{nil, {0x30}, {0x30, 0}, EncodeGroup(nil, nil, nil), bytes.Repeat([]byte{1}, 2*maxPrime+2)} {
		for _, ckk := range []uint64{CKK_DH, CKK_DSA} {
			if _, _, _, err := Group(ckk, bad); FailureOf(err) == nil || FailureOf(err).Code != CKR_DOMAIN_PARAMS_INVALID {
				t.Errorf("%x: %v", bad, err)
			}
		}
	}
}

// FuzzSPKI: what is read is written again to the same key.
func FuzzSPKI(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.public.SPKI())
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		k, rest, err := ReadSPKI(in)
		if err != nil {
			if FailureOf(err).Code == CKR_GENERAL_ERROR {
				t.Fatal(err)
			}
			return
		}
		if !bytes.HasSuffix(in, rest) {
			t.Fatal("the rest is no rest")
		}
		der := k.SPKI()
		again, rest, err := ReadSPKI(der)
		if err != nil || len(rest) != 0 || again.Type != k.Type || !bytes.Equal(again.Params, k.Params) || !bytes.Equal(again.Key, k.Key) {
			t.Fatalf("%x is read as another key: %v", der, err)
		}
	})
}

// FuzzPKCS8: what is read is written again to the same key.
func FuzzPKCS8(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.private.AppendPKCS8(nil, s.public.Key))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		k, ok := ReadPKCS8(in)
		if !ok {
			return
		}
		full := make([]byte, max(k.Width, len(k.Secret)))
		copy(full[len(full)-len(k.Secret):], k.Secret)
		k.Secret = full
		again, ok := ReadPKCS8(k.AppendPKCS8(nil, nil))
		if !ok || again.Type != k.Type || !bytes.Equal(again.Params, k.Params) || !bytes.HasSuffix(full, again.Secret) {
			t.Fatal("written again it is another key")
		}
	})
}
