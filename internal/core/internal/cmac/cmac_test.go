// SPDX-License-Identifier: Apache-2.0

package cmac

import (
	"encoding/hex"
	"encoding/json"
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

// TestRFC4493 has the examples of section 4 of the RFC.
func TestRFC4493(t *testing.T) {
	t.Parallel()
	m, err := New(unhex(t, "2b7e151628aed2a6abf7158809cf4f3c"))
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(m.k1[:]); got != "fbeed618357133667c85e08f7236a8de" {
		t.Errorf("K1 is %s", got)
	}
	if got := hex.EncodeToString(m.k2[:]); got != "f7ddac306ae266ccf90bc11ee46d513b" {
		t.Errorf("K2 is %s", got)
	}
	msg := unhex(t, "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710")
	for n, want := range map[int]string{
		0: "bb1d6929e95937287fa37d129b756746", 16: "070a16b46b4d4144f79bdd9dd04a287c",
		40: "dfa66747de9ae63030ca32611497c827", 64: "51f0bebf7e3b9d92fc49741779363cfe",
	} {
		if got := m.Sum(msg[:n]); hex.EncodeToString(got[:]) != want {
			t.Errorf("%d bytes: got %x, want %s", n, got, want)
		}
	}
}

func TestWycheproof(t *testing.T) {
	t.Parallel()
	raw, err := fs.ReadFile(wycheproof.TestVectors, "aes_cmac_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		NumberOfTests int
		TestGroups    []struct {
			TagSize int
			Tests   []struct {
				TcID                           int
				Comment, Key, Msg, Tag, Result string
			}
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range file.TestGroups {
		for _, v := range g.Tests {
			n++
			ok := false
			if m, err := New(unhex(t, v.Key)); err == nil {
				tag := m.Sum(unhex(t, v.Msg))
				ok = hex.EncodeToString(tag[:g.TagSize/8]) == v.Tag
			}
			if ok != (v.Result == "valid") {
				t.Errorf("test %d (%s): got %t, want %s", v.TcID, v.Comment, ok, v.Result)
			}
		}
	}
	if n != file.NumberOfTests || n < 311 {
		t.Errorf("ran %d of %d tests", n, file.NumberOfTests)
	}
}

// TestParts: how a message is cut has no effect.
func TestParts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m, err := New(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "key"))
		if err != nil {
			t.Fatal(err)
		}
		msg := rapid.SliceOfN(rapid.Byte(), 0, 70).Draw(t, "message")
		i := rapid.IntRange(0, len(msg)).Draw(t, "first cut")
		j := rapid.IntRange(i, len(msg)).Draw(t, "second cut")
		if m.Sum(msg) != m.Sum(msg[:i], msg[i:j], nil, msg[j:]) {
			t.Fatalf("cut at %d and %d the tag differs", i, j)
		}
	})
}
