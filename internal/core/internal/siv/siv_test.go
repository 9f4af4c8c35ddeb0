// SPDX-License-Identifier: Apache-2.0

package siv

import (
	"bytes"
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

// TestRFC5297 has the example with a nonce, appendix A.2, which has three associated strings.
func TestRFC5297(t *testing.T) {
	t.Parallel()
	a, err := New(unhex(t, "7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f"))
	if err != nil {
		t.Fatal(err)
	}
	got := a.Seal(unhex(t, "7468697320697320736f6d6520706c61696e7465787420746f20656e6372797074207573696e67205349562d414553"),
		unhex(t, "00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100"),
		unhex(t, "102030405060708090a0"), unhex(t, "09f911029d74e35bd84156c5635688c0"))
	const want = "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d"
	if hex.EncodeToString(got) != want {
		t.Errorf("got %x", got)
	}
}

type vectorFile struct {
	NumberOfTests int
	TestGroups    []struct {
		Tests []struct {
			TcID                                        int
			Comment, Key, Iv, Aad, Msg, Ct, Tag, Result string
		}
	}
}

// TestWycheproof runs both files: without a nonce, and with the nonce as last associated string (tag in front).
func TestWycheproof(t *testing.T) {
	t.Parallel()
	for _, f := range []struct {
		name  string
		want  int
		nonce bool
	}{{"aes_siv_cmac_test.json", 442, false}, {"aead_aes_siv_cmac_test.json", 900, true}} {
		raw, err := fs.ReadFile(wycheproof.TestVectors, f.name)
		if err != nil {
			t.Fatal(err)
		}
		var file vectorFile
		if err := json.Unmarshal(raw, &file); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, g := range file.TestGroups {
			for _, v := range g.Tests {
				n++
				associated := [][]byte{unhex(t, v.Aad)}
				if f.nonce {
					associated = append(associated, unhex(t, v.Iv))
				}
				sealed := unhex(t, v.Tag+v.Ct)
				a, err := New(unhex(t, v.Key))
				if err != nil {
					if v.Result == "valid" {
						t.Errorf("%s %d: %v", f.name, v.TcID, err)
					}
					continue
				}
				plain, err := a.Open(sealed, associated...)
				if (err == nil) != (v.Result == "valid") || err != nil && !errors.Is(err, ErrOpen) {
					t.Errorf("%s %d (%s): got %v, want %s", f.name, v.TcID, v.Comment, err, v.Result)
				}
				if v.Result == "valid" && (!bytes.Equal(plain, unhex(t, v.Msg)) || !bytes.Equal(a.Seal(plain, associated...), sealed)) {
					t.Errorf("%s %d (%s): does not go both ways", f.name, v.TcID, v.Comment)
				}
			}
		}
		if n != file.NumberOfTests || n < f.want {
			t.Errorf("%s: ran %d of %d tests", f.name, n, file.NumberOfTests)
		}
	}
}

// TestTamper: no bit of ciphertext, associated strings or their borders can change.
func TestTamper(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, err := New(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		if err != nil {
			t.Fatal(err)
		}
		text := rapid.SliceOfN(rapid.Byte(), 1, 40)
		ad, nonce, plain := text.Draw(t, "associated"), text.Draw(t, "nonce"), rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "plain")
		sealed := a.Seal(plain, ad, nonce)
		if got, err := a.Open(sealed, ad, nonce); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("got %x, %v", got, err)
		}
		bad := bytes.Clone(sealed)
		bad[rapid.IntRange(0, len(bad)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		moved := append(bytes.Clone(ad), nonce[0])
		for name, open := range map[string]func() ([]byte, error){
			"changed":  func() ([]byte, error) { return a.Open(bad, ad, nonce) },
			"no nonce": func() ([]byte, error) { return a.Open(sealed, ad) },
			"short":    func() ([]byte, error) { return a.Open(sealed[:len(sealed)-1], ad, nonce) },
			"moved":    func() ([]byte, error) { return a.Open(sealed, moved, nonce[1:]) },
		} {
			if got, err := open(); err == nil {
				t.Fatalf("%s: opened to %x", name, got)
			}
		}
	})
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 16, 31, 33, 65} {
		if _, err := New(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes is taken", n)
		}
	}
	a, err := New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Open(make([]byte, Overhead-1)); !errors.Is(err, ErrOpen) {
		t.Errorf("got %v", err)
	}
}
