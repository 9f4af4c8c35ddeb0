// SPDX-License-Identifier: Apache-2.0

package kdf

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/pbkdf2"
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

// TestRFC5869 has test cases 1 and 3 of appendix A.
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

var hashes = map[Hash]func() hash.Hash{SHA256: sha256.New, SHA384: sha512.New384, SHA512: sha512.New}

// TestAgreesWithTheStandardLibrary: for all lengths of key, salt, context and output.
func TestAgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(name string, most int) []byte { return rapid.SliceOfN(rapid.Byte(), 0, most).Draw(t, name) }
		key, salt, info := draw("key", 300), draw("salt", 300), draw("info", 300)
		if rapid.Bool().Draw(t, "no salt") {
			salt = nil
		}
		n := rapid.IntRange(1, 500).Draw(t, "n")
		for h, f := range hashes {
			got := make([]byte, n)
			if err := HKDF(h, got, key, salt, info); err != nil {
				t.Fatal(err)
			}
			want, err := hkdf.Key(f, key, salt, string(info), n)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("hash %d: got %x, want %x, %v", h, got, want, err)
			}
		}
		for h, f := range hashes {
			m := hmac.New(f, key)
			m.Write(salt)
			m.Write(info)
			got := make([]byte, m.Size())
			if err := HMAC(h, got, key, salt, info); err != nil || !hmac.Equal(got, m.Sum(nil)) {
				t.Fatalf("hash %d: HMAC %x, %v", h, got, err)
			}
			if HMAC(h, got[1:], key) == nil || HMAC(0, got, key) == nil {
				t.Fatalf("hash %d: another size or hash was taken", h)
			}
		}
		var sum [Size]byte
		Sum(&sum, key, salt, info)
		if want := sha512.Sum512(bytes.Join([][]byte{key, salt, info}, nil)); sum != want {
			t.Fatalf("sum: got %x, want %x", sum, want)
		}
	})
}

// TestRFC7914 has the PBKDF2 vectors of RFC 7914 section 11.
func TestRFC7914(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		password, salt string
		iterations     int
		want           string
	}{
		{"passwd", "salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"},
		{"Password", "NaCl", 80000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"},
	} {
		out := make([]byte, 64)
		if err := PBKDF2(SHA256, out, []byte(v.password), []byte(v.salt), v.iterations); err != nil || hex.EncodeToString(out) != v.want {
			t.Errorf("got %x, %v; want %s", out, err, v.want)
		}
	}
}

func TestPBKDF2AgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		password, salt := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "password"), rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "salt")
		n, iterations := rapid.IntRange(1, 200).Draw(t, "n"), rapid.IntRange(1, 20).Draw(t, "iterations")
		for h, f := range hashes {
			got := make([]byte, n)
			if err := PBKDF2(h, got, password, salt, iterations); err != nil {
				t.Fatal(err)
			}
			if want, err := pbkdf2.Key(f, string(password), salt, iterations, n); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("hash %d: got %x, want %x, %v", h, got, want, err)
			}
		}
	})
	for _, bad := range []struct {
		h    Hash
		n, i int
	}{{SHA256, 0, 1}, {SHA256, 1, 0}, {0, 1, 1}, {4, 1, 1}} {
		if PBKDF2(bad.h, make([]byte, bad.n), nil, nil, bad.i) == nil {
			t.Errorf("%+v was derived", bad)
		}
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	for h, f := range hashes {
		longest := make([]byte, 255*f().Size())
		if err := HKDF(h, longest, []byte("key"), nil, nil); err != nil {
			t.Errorf("hash %d: the longest output: %v", h, err)
		}
		want, err := hkdf.Key(f, []byte("key"), nil, "", len(longest))
		if err != nil || !bytes.Equal(longest, want) {
			t.Errorf("hash %d: the longest output differs (err %v)", h, err)
		}
		if err := HKDF(h, make([]byte, len(longest)+1), []byte("key"), nil, nil); err == nil {
			t.Errorf("hash %d: a byte more was given", h)
		}
		if err := HKDF(h, nil, []byte("key"), nil, nil); err == nil {
			t.Errorf("hash %d: nothing was derived without an error", h)
		}
	}
	for _, h := range []Hash{0, 4} {
		if err := HKDF(h, make([]byte, 1), nil, nil, nil); err == nil {
			t.Errorf("hash %d was accepted", h)
		}
	}
}

// TestForgets: a hash that was forgotten keeps no byte of what it was given, whatever its length.
func TestForgets(t *testing.T) {
	t.Parallel()
	for id := range hashes {
		for n := range 2 * maxBlock {
			h := id.new()
			h.Write(bytes.Repeat([]byte{0xa5}, n))
			forget(h)
			state, err := h.(interface{ MarshalBinary() ([]byte, error) }).MarshalBinary()
			if err != nil {
				t.Fatal(err)
			}
			fresh, err := id.new().(interface{ MarshalBinary() ([]byte, error) }).MarshalBinary()
			if err != nil || !bytes.Equal(state, fresh) {
				t.Fatalf("hash %d after %d bytes: %x", id, n, state)
			}
		}
	}
}
