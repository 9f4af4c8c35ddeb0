// SPDX-License-Identifier: Apache-2.0

package kdf

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"testing"

	"pgregory.net/rapid"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRFC5869 has test cases 1 and 3 of appendix A; case 2 has longer inputs than are taken here, the others are for SHA-1.
func TestRFC5869(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ key, salt, info, want string }{
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
			"3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
			"8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
	} {
		out := make([]byte, 42)
		if err := HKDF(SHA256, out, unhex(t, v.key), unhex(t, v.salt), unhex(t, v.info)); err != nil || hex.EncodeToString(out) != v.want {
			t.Errorf("got %x, %v; want %s", out, err, v.want)
		}
	}
}

func TestAgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, most int) []byte { return rapid.SliceOfN(rapid.Byte(), 0, most).Draw(t, name) }
		key, salt, info := draw("key", MaxKey), draw("salt", MaxSalt), draw("info", MaxInfo)
		n := rapid.IntRange(1, MaxOut).Draw(t, "n")
		for h, f := range map[Hash]func() hash.Hash{SHA256: sha256.New, SHA384: sha512.New384} {
			got := make([]byte, n)
			if err := HKDF(h, got, key, salt, info); err != nil {
				t.Fatal(err)
			}
			want, err := hkdf.Key(f, key, salt, string(info), n)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("hash %d: got %x, want %x, %v", h, got, want, err)
			}
		}
	})
}

func TestBounds(t *testing.T) {
	t.Parallel()
	b := make([]byte, 200)
	for name, err := range map[string]error{
		"no hash":  HKDF(0, b[:1], nil, nil, nil),
		"hash 3":   HKDF(3, b[:1], nil, nil, nil),
		"no out":   HKDF(SHA256, nil, nil, nil, nil),
		"long out": HKDF(SHA256, b[:MaxOut+1], nil, nil, nil),
		"key":      HKDF(SHA256, b[:1], b[:MaxKey+1], nil, nil),
		"salt":     HKDF(SHA256, b[:1], nil, b[:MaxSalt+1], nil),
		"info":     HKDF(SHA256, b[:1], nil, nil, b[:MaxInfo+1]),
	} {
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Nothing of the derivation is on the heap: what is not allocated there, is not left there.
func TestStaysOffTheHeap(t *testing.T) {
	out, key, info := make([]byte, 64), make([]byte, 32), make([]byte, 32)
	for _, h := range []Hash{SHA256, SHA384} {
		if n := testing.AllocsPerRun(50, func() {
			if err := HKDF(h, out, key, key, info); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("hash %d: %v allocations", h, n)
		}
	}
}
