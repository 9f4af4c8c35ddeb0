// SPDX-License-Identifier: Apache-2.0

package keywrap

import (
	"bytes"
	"crypto/aes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
	"pgregory.net/rapid"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRFC5649 has the two examples of section 6.
func TestRFC5649(t *testing.T) {
	t.Parallel()
	key := unhex(t, "5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8")
	for _, tt := range []struct{ plain, want string }{
		{"c37b7e6492584340bed12207808941155068f738", "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a"},
		{"466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"},
	} {
		plain := unhex(t, tt.plain)
		out := make([]byte, Size(len(plain)))
		if err := Wrap(key, plain, out); err != nil || hex.EncodeToString(out) != tt.want {
			t.Errorf("got %x, %v; want %s", out, err, tt.want)
		}
	}
}

// TestWycheproof: what is valid unwraps to the message and wraps to the same bytes; what is not is refused and leaves nothing.
func TestWycheproof(t *testing.T) {
	t.Parallel()
	raw, err := fs.ReadFile(wycheproof.TestVectors, "aes_kwp_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		TestGroups []struct {
			Tests []struct {
				TcID                          int
				Comment, Key, Msg, Ct, Result string
			}
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	n, valid := 0, 0
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			n++
			key, msg, ct := unhex(t, v.Key), unhex(t, v.Msg), unhex(t, v.Ct)
			out := make([]byte, max(len(ct)-8, 0))
			m, err := Unwrap(key, ct, out)
			if (err == nil) != (v.Result != "invalid") || err == nil && !bytes.Equal(out[:m], msg) {
				t.Errorf("%d %s: got %x, %v; %s", v.TcID, v.Comment, out[:m], err, v.Result)
			}
			if err != nil {
				if !errors.Is(err, ErrUnwrap) || !bytes.Equal(out, make([]byte, len(out))) {
					t.Errorf("%d %s: left %x, %v", v.TcID, v.Comment, out, err)
				}
				continue
			}
			valid++
			again := make([]byte, Size(len(msg)))
			if err := Wrap(key, msg, again); err != nil || !bytes.Equal(again, ct) {
				t.Errorf("%d %s: wrapped to %x, %v", v.TcID, v.Comment, again, err)
			}
		}
	}
	if n != 254 || valid < 50 {
		t.Errorf("ran %d cases, %d valid", n, valid)
	}
}

// TestEveryBit: no wrapped byte can be changed, and no other key unwraps.
func TestEveryBit(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key")
		plain := rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "plain")
		wrapped := make([]byte, Size(len(plain)))
		if err := Wrap(key, plain, wrapped); err != nil {
			t.Fatal(err)
		}
		out := make([]byte, len(wrapped)-8)
		if n, err := Unwrap(key, wrapped, out); err != nil || !bytes.Equal(out[:n], plain) || !bytes.Equal(out[n:], make([]byte, len(out)-n)) {
			t.Fatalf("got %x, %v", out[:n], err)
		}
		bit := rapid.IntRange(0, len(wrapped)*8-1).Draw(t, "bit")
		wrapped[bit/8] ^= 1 << (bit % 8)
		if _, err := Unwrap(key, wrapped, out); err == nil {
			t.Fatal("unwrapped altered bytes")
		}
		wrapped[bit/8] ^= 1 << (bit % 8)
		key[bit%32] ^= 1
		if _, err := Unwrap(key, wrapped, out); err == nil {
			t.Fatal("unwrapped under another key")
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	key, out := make([]byte, 32), make([]byte, 24)
	for name, err := range map[string]error{
		"empty":          Wrap(key, nil, out[:8]),
		"no room":        Wrap(key, make([]byte, 16), out[:16]),
		"wrapping key":   Wrap(key[:31], make([]byte, 16), out),
		"beyond maximum": Wrap(key, make([]byte, MaxPlain+1), make([]byte, Size(MaxPlain+1))),
	} {
		if !errors.Is(err, ErrInput) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	wrapped := make([]byte, 24)
	for _, n := range []int{0, 8, 15, 16, 23} {
		if _, err := Unwrap(key, wrapped[:n], make([]byte, max(n-8, 0))); !errors.Is(err, ErrUnwrap) {
			t.Errorf("%d bytes: got %v", n, err)
		}
	}
	// A length far outside, with the right first half: it must not pass for a negative number.
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, length := range []string{"00000000", "00000009", "7fffffff", "80000000", "80000008", "ffffffff"} {
		b := unhex(t, "a65959a6"+length+"0000000000000000")
		block.Encrypt(b, b)
		if _, err := Unwrap(key, b, make([]byte, 8)); !errors.Is(err, ErrUnwrap) {
			t.Errorf("length %s: got %v", length, err)
		}
	}
}
