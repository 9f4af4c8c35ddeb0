// SPDX-License-Identifier: Apache-2.0

package readkey

import (
	"bytes"
	"crypto/sha3"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/pure/entry"
)

// The vectors of C2SP XAES-256-GCM, "Test vectors".
func TestXAESVectors(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		name, key, aad, want string
	}{
		{"msb 0", "0101010101010101010101010101010101010101010101010101010101010101", "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{"msb 1", "0303030303030303030303030303030303030303030303030303030303030303", "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		t.Run(v.name, func(t *testing.T) {
			key, err := hex.DecodeString(v.key)
			if err != nil {
				t.Fatal(err)
			}
			x, err := newXAES((*[32]byte)(key))
			if err != nil {
				t.Fatal(err)
			}
			nonce := (*[24]byte)([]byte("ABCDEFGHIJKLMNOPQRSTUVWX"))
			got, err := x.seal(nil, nonce, []byte("XAES-256-GCM"), []byte(v.aad))
			if err != nil || hex.EncodeToString(got) != v.want {
				t.Errorf("got %x and error %v, want %s", got, err, v.want)
			}
			back, err := x.open(nonce, got, []byte(v.aad))
			if err != nil || string(back) != "XAES-256-GCM" {
				t.Errorf("got %q and error %v", back, err)
			}
		})
	}
}

// The accumulated vectors of the same page: 10,000 cases from one stream of SHAKE128, their ciphertexts hashed with another.
func TestXAESAccumulated(t *testing.T) {
	t.Parallel()
	stream, sum := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := stream.Read(b); err != nil {
			t.Fatal(err)
		}
		return b
	}
	for range 10_000 {
		key, nonce := read(32), read(24)
		plain := read(int(read(1)[0]))
		aad := read(int(read(1)[0]))
		x, err := newXAES((*[32]byte)(key))
		if err != nil {
			t.Fatal(err)
		}
		box, err := x.seal(nil, (*[24]byte)(nonce), plain, aad)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sum.Write(box); err != nil {
			t.Fatal(err)
		}
		if back, err := x.open((*[24]byte)(nonce), box, aad); err != nil || !bytes.Equal(back, plain) {
			t.Fatalf("got %x and error %v, want %x", back, err, plain)
		}
	}
	got := make([]byte, 32)
	if _, err := sum.Read(got); err != nil {
		t.Fatal(err)
	}
	if want := "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939"; hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}

func newKey(t testing.TB, period uint32, fill byte) *Key {
	t.Helper()
	k, err := New(period, (*[32]byte)(bytes.Repeat([]byte{fill}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	k := newKey(t, 24323, 1)
	rapid.Check(t, func(r *rapid.T) {
		nonce := [NonceSize]byte(rapid.SliceOfN(rapid.Byte(), NonceSize, NonceSize).Draw(r, "nonce"))
		salt := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(r, "salt"))
		body := rapid.SliceOf(rapid.Byte()).Draw(r, "body")
		at := Place{rapid.Uint64().Draw(r, "seq"), rapid.Uint32().Draw(r, "index")}
		before := bytes.Clone(body)
		stored, err := k.Seal(nonce, at, salt, body)
		if err != nil {
			r.Fatal(err)
		}
		if len(stored) != len(body)+Overhead || !bytes.Equal(body, before) {
			r.Fatalf("%d bytes stored of %d; the body must not change", len(stored), len(body))
		}
		gotSalt, got, err := k.Open(at, stored)
		if err != nil || gotSalt != salt || !bytes.Equal(got, body) {
			r.Fatalf("got %x, %x and error %v", gotSalt, got, err)
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	k := newKey(t, 24323, 1)
	at := Place{7, 1}
	stored, err := k.Seal([NonceSize]byte{9}, at, [16]byte{5}, []byte("a confidential body"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(stored) * 8 {
		b := bytes.Clone(stored)
		b[i/8] ^= 1 << (i % 8)
		if _, _, err := k.Open(at, b); !errors.Is(err, ErrOpen) {
			t.Fatalf("bit %d of byte %d changed: got error %v", i%8, i/8, err)
		}
	}
	for n := range len(stored) {
		if _, _, err := k.Open(at, stored[:n]); !errors.Is(err, ErrOpen) {
			t.Fatalf("cut to %d bytes: got error %v", n, err)
		}
	}
	for _, tt := range []struct {
		name string
		key  *Key
		at   Place
	}{
		{"another entry", k, Place{8, 1}},
		{"another body of the entry", k, Place{7, 0}},
		{"entry and index exchanged", k, Place{1, 7}},
		{"another period", newKey(t, 24324, 1), at},
		{"another key", newKey(t, 24323, 2), at},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := tt.key.Open(tt.at, stored); !errors.Is(err, ErrOpen) {
				t.Errorf("got error %v", err)
			}
		})
	}
	if _, err := k.Seal([NonceSize]byte{}, at, [16]byte{}, make([]byte, entry.MaxBody+1)); err == nil {
		t.Error("sealed a body that is too long")
	}
	if _, _, err := k.Open(at, append([]byte{1}, make([]byte, entry.MaxBody+Overhead)...)); !errors.Is(err, ErrOpen) {
		t.Errorf("too long: got error %v", err)
	}
}

// frozenBox is ciphertext and tag of the body "frozen" at entry 7, body 1.
const frozenBox = "afa9923de9a76dc101674c6a2c3c6157db356e739fe89c53fb961e5801283aca10f4ad50a473"

// TestFrozen opens a stored body that the first version wrote.
func TestFrozen(t *testing.T) {
	t.Parallel()
	stored, err := hex.DecodeString("01" + "000102030405060708090a0b0c0d0e0f1011121314151617" + frozenBox)
	if err != nil {
		t.Fatal(err)
	}
	salt, body, err := newKey(t, 24323, 1).Open(Place{7, 1}, stored)
	if err != nil || salt != [16]byte{5} || string(body) != "frozen" {
		t.Errorf("got %x, %q and error %v", salt, body, err)
	}
}

func TestPeriod(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		when string
		want uint32
	}{
		{"2026-11-30T23:59:59.999999999Z", 2026*12 + 11},
		{"2026-12-01T00:00:00Z", 2026*12 + 12},
		{"2026-12-31T23:59:59Z", 2026*12 + 12},
		{"2027-01-01T00:00:00Z", 2027*12 + 1},
		{"2027-01-01T01:00:00+02:00", 2026*12 + 12},
		{"1970-01-01T00:00:00Z", 1970*12 + 1},
	} {
		at, err := time.Parse(time.RFC3339Nano, tt.when)
		if err != nil {
			t.Fatal(err)
		}
		if got := Period(at.UnixNano()); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.when, got, tt.want)
		}
	}
}

// FuzzOpen states that nothing but what was sealed opens, at its place only.
func FuzzOpen(f *testing.F) {
	k := newKey(f, 24323, 1)
	stored, err := k.Seal([NonceSize]byte{9}, Place{7, 1}, [16]byte{5}, []byte("a confidential body"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint64(7), uint32(1), stored)
	f.Fuzz(func(t *testing.T, seq uint64, index uint32, b []byte) {
		_, _, err := k.Open(Place{seq, index}, b)
		if ok := seq == 7 && index == 1 && bytes.Equal(b, stored); ok != (err == nil) {
			t.Fatalf("got error %v", err)
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	k := newKey(b, 24323, 1)
	body := make([]byte, 1024)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Seal([NonceSize]byte{}, Place{}, [16]byte{}, body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	k := newKey(b, 24323, 1)
	stored, err := k.Seal([NonceSize]byte{}, Place{}, [16]byte{}, make([]byte, 1024))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := k.Open(Place{}, stored); err != nil {
			b.Fatal(err)
		}
	}
}
