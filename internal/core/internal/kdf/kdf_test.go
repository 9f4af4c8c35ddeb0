// SPDX-License-Identifier: Apache-2.0

package kdf_test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha512"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/core/internal/kdf"
)

// TestAgrees: the same as the standard library, for all lengths of key, salt and output.
func TestAgrees(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(r, "key")
		salt := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(r, "salt")
		if rapid.Bool().Draw(r, "no salt") {
			salt = nil
		}
		info := rapid.String().Draw(r, "info")
		n := rapid.IntRange(1, 500).Draw(r, "length")
		want, err := hkdf.Key(sha512.New, key, salt, info, n)
		if err != nil {
			r.Fatal(err)
		}
		got := make([]byte, n)
		kdf.HKDF(got, key, salt, info)
		if !bytes.Equal(got, want) {
			r.Fatalf("got %x, want %x", got, want)
		}
		var sum [kdf.Size]byte
		kdf.Sum(&sum, key, salt, []byte(info))
		if want := sha512.Sum512(bytes.Join([][]byte{key, salt, []byte(info)}, nil)); sum != want {
			r.Fatalf("sum: got %x, want %x", sum, want)
		}
	})
}

func TestLongest(t *testing.T) {
	t.Parallel()
	out := make([]byte, 255*kdf.Size)
	kdf.HKDF(out, []byte("key"), nil, "info")
	want, err := hkdf.Key(sha512.New, []byte("key"), nil, "info", len(out))
	if err != nil || !bytes.Equal(out, want) {
		t.Errorf("the longest output differs (err %v)", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a byte more is given")
		}
	}()
	kdf.HKDF(make([]byte, 255*kdf.Size+1), []byte("key"), nil, "info")
}
