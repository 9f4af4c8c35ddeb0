// SPDX-License-Identifier: Apache-2.0

package argon2id_test

import (
	"bytes"
	"encoding/hex"
	"testing"

	"golang.org/x/crypto/argon2"
	"pgregory.net/rapid"

	"strongroom/internal/core/internal/argon2id"
	"strongroom/internal/secret"
)

func arena(t testing.TB) *secret.Arena {
	t.Helper()
	a, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// TestReference has vectors of the reference implementation's test for version 0x13. That of RFC 9106 has a secret value and associated data, which nobody here has.
func TestReference(t *testing.T) {
	t.Parallel()
	a := arena(t)
	for _, c := range []struct {
		passes, memory, lanes uint32
		want                  string
	}{
		{1, 64, 1, "655ad15eac652dc59f7170a7332bf49b8469be1fdb9c28bb"},
		{2, 64, 1, "068d62b26455936aa6ebe60060b0a65870dbfa3ddf8d41f7"},
		{2, 64, 2, "350ac37222f436ccb5c0972f1ebd3bf6b958bf2071841362"},
		{3, 256, 2, "4668d30ac4187e6878eedeacf0fd83c5a0a30db2cc16ef0b"},
		{4, 4096, 4, "145db9733a9f4ee43edf33c509be96b934d505a4efb33c5a"},
		{4, 1024, 8, "8dafa8e004f8ea96bf7c0f93eecf67a6047476143d15577f"},
		{2, 64, 3, "4a15b31aec7c2590b87d1f520be7d96f56658172deaa3079"},
		{3, 1024, 6, "1640b932f4b60e272f5d2207b9a9c626ffa1bd88d2349016"},
	} {
		got, err := argon2id.Key(a, []byte("password"), []byte("somesalt"), c.passes, c.memory, c.lanes, 24)
		if err != nil || hex.EncodeToString(got) != c.want {
			t.Errorf("%+v: %x, %v", c, got, err)
		}
	}
}

// TestAgainstAnother: whatever is asked, it is what another implementation gives.
func TestAgainstAnother(t *testing.T) {
	t.Parallel()
	a := arena(t)
	rapid.Check(t, func(t *rapid.T) {
		lanes := rapid.Uint32Range(1, 6).Draw(t, "lanes")
		memory := rapid.Uint32Range(8*lanes, 8*lanes+2000).Draw(t, "memory")
		passes := rapid.Uint32Range(1, 4).Draw(t, "passes")
		n := rapid.SampledFrom([]int{4, 16, 31, 32, 33, 63, 64, 65, 96, 97, 128, 200}).Draw(t, "n")
		password := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "password")
		salt := rapid.SliceOfN(rapid.Byte(), 8, 200).Draw(t, "salt")
		got, err := argon2id.Key(a, password, salt, passes, memory, lanes, n)
		if err != nil {
			t.Fatal(err)
		}
		if want := argon2.IDKey(password, salt, passes, memory, uint8(lanes), uint32(n)); !bytes.Equal(got, want) {
			t.Fatalf("%x, want %x", got, want)
		}
	})
}

func BenchmarkKey(b *testing.B) {
	a := arena(b)
	b.Run("own", func(b *testing.B) {
		for b.Loop() {
			if _, err := argon2id.Key(a, []byte("password"), []byte("somesalt"), 3, 256<<10, 4, 32); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("x/crypto", func(b *testing.B) {
		for b.Loop() {
			argon2.IDKey([]byte("password"), []byte("somesalt"), 3, 256<<10, 4, 32)
		}
	})
}
