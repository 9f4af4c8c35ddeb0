// SPDX-License-Identifier: Apache-2.0

package keystore

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

func take(t testing.TB, a *secret.Arena, b []byte) secret.Bytes {
	t.Helper()
	s, err := secret.Take(a, bytes.Clone(b))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wipe)
	return s
}

var (
	dwk  = bytes.Repeat([]byte{7}, 32)
	seed = bytes.Repeat([]byte("seed"), 16)
)

func want(h Header) Want {
	return Want{Authority: h.Authority, Domain: h.Domain, Epoch: h.Epoch, Pattern: h.Pattern, Key: h.Key, Purpose: h.Purpose, Now: 1_800_000_000}
}

func mustSeal(t testing.TB, a *secret.Arena, h Header, material []byte) ([]byte, [32]byte) {
	t.Helper()
	blob, hash, err := Seal(take(t, a, dwk), h, take(t, a, material))
	if err != nil {
		t.Fatal(err)
	}
	return blob, hash
}

func TestBlobRoundTrip(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	in := take(t, a, seed)
	blob, hash, err := Seal(take(t, a, dwk), seedHeader(), in)
	if err != nil {
		t.Fatal(err)
	}
	if hash != Hash(blob) {
		t.Error("the hash is not that of the blob")
	}
	out, h, err := Open(a, blob, hash, want(seedHeader()), take(t, a, dwk))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Wipe()
	if !out.Equal(in) || !reflect.DeepEqual(h, seedHeader()) {
		t.Errorf("got header %+v and the same seed %v", h, out.Equal(in))
	}
	if got, err := ReadHeader(blob); err != nil || !reflect.DeepEqual(got, h) {
		t.Errorf("header: got %+v and error %v", got, err)
	}
}

// TestBlobEveryBit changes each bit of a blob, with the hash of the log, which finds it, and with the hash of the changed blob, as if the
// log's word had been forged too.
func TestBlobEveryBit(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	key := take(t, a, dwk)
	blob, hash := mustSeal(t, a, seedHeader(), seed)
	for i := range len(blob) * 8 {
		b := bytes.Clone(blob)
		b[i/8] ^= 1 << (i % 8)
		if _, _, err := Open(a, b, hash, want(seedHeader()), key); !errors.Is(err, ErrNotCurrent) {
			t.Fatalf("bit %d of byte %d: got error %v", i%8, i/8, err)
		}
		if out, _, err := Open(a, b, Hash(b), want(seedHeader()), key); err == nil {
			out.Wipe()
			t.Fatalf("bit %d of byte %d: opened", i%8, i/8)
		}
	}
}

func TestOpenRefusals(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	bound := seedHeader()
	bound.Session = bytes.Repeat([]byte{9}, SessionSize)
	forever := seedHeader()
	forever.Expires = 0
	tests := []struct {
		name   string
		header Header
		change func(*Want)
		field  string // of the MismatchError
		want   error
	}{
		{"another authority", seedHeader(), func(w *Want) { w.Authority[0]++ }, "authority", nil},
		{"another domain", seedHeader(), func(w *Want) { w.Domain[0]++ }, "domain", nil},
		{"another key", seedHeader(), func(w *Want) { w.Key = "ffeeddccbbaa99887766554433221100" }, "key", nil},
		{"another purpose", seedHeader(), func(w *Want) { w.Purpose = App }, "purpose", nil},
		{"an earlier epoch", seedHeader(), func(w *Want) { w.Epoch = 4 }, "epoch", nil},
		{"a later epoch", seedHeader(), func(w *Want) { w.Epoch = 2 }, "epoch", nil},
		{"another working key", seedHeader(), func(w *Want) { w.Pattern[15]++ }, "verification pattern", nil},
		{"no session", bound, func(*Want) {}, "session", nil},
		{"another session", bound, func(w *Want) { w.Session = bytes.Repeat([]byte{8}, SessionSize) }, "session", nil},
		{"its session", bound, func(w *Want) { w.Session = bound.Session }, "", nil},
		{"any session", seedHeader(), func(w *Want) { w.Session = bound.Session }, "", nil},
		{"the last second", seedHeader(), func(w *Want) { w.Now = seedHeader().Expires - 1 }, "", nil},
		{"expired", seedHeader(), func(w *Want) { w.Now = seedHeader().Expires }, "", ErrExpired},
		{"nobody says when", seedHeader(), func(w *Want) { w.Now = 0 }, "", ErrExpired},
		{"never expires", forever, func(w *Want) { w.Now = 0 }, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			blob, hash := mustSeal(t, a, tt.header, seed)
			w := want(tt.header)
			tt.change(&w)
			// A wrong key shows that the refusal comes before the key is used.
			key := take(t, a, dwk)
			if tt.field != "" || tt.want != nil {
				key = take(t, a, bytes.Repeat([]byte{8}, 32))
			}
			out, _, err := Open(a, blob, hash, w, key)
			if err == nil {
				out.Wipe()
			}
			var mismatch *MismatchError
			if tt.field != "" && (!errors.As(err, &mismatch) || mismatch.Field != tt.field) || tt.field == "" && !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v or field %q", err, tt.want, tt.field)
			}
		})
	}
	blob, hash := mustSeal(t, a, seedHeader(), seed)
	if _, _, err := Open(a, blob, hash, want(seedHeader()), take(t, a, bytes.Repeat([]byte{8}, 32))); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("wrong working key: got error %v", err)
	}
	older, _ := mustSeal(t, a, seedHeader(), seed)
	if _, _, err := Open(a, older, hash, want(seedHeader()), take(t, a, dwk)); !errors.Is(err, ErrNotCurrent) {
		t.Errorf("older blob of the same key: got error %v", err)
	}
}

// TestHeaderSwap gives each of two blobs the other's header; both are well-formed, and the log's word is forged too.
func TestHeaderSwap(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	strict := seedHeader()
	strict.Attributes &^= Sign
	one, _ := mustSeal(t, a, seedHeader(), seed)
	two, _ := mustSeal(t, a, strict, seed)
	swapped := bytes.Replace(two, strict.Encode(), seedHeader().Encode(), 1)
	if bytes.Equal(swapped, two) || len(swapped) != len(one) {
		t.Fatal("the test swaps nothing")
	}
	if h, err := ReadHeader(swapped); err != nil || h.Attributes&Sign == 0 {
		t.Fatalf("got %+v and error %v", h, err)
	}
	if _, _, err := Open(a, swapped, Hash(swapped), want(seedHeader()), take(t, a, dwk)); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("got error %v", err)
	}
}

func TestSealRefusals(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	key := take(t, a, dwk)
	bad := seedHeader()
	bad.Purpose = ""
	if _, _, err := Seal(key, bad, take(t, a, seed)); !errors.Is(err, ErrHeader) {
		t.Errorf("header: got error %v", err)
	}
	for _, n := range []int{1, 15, 65} {
		if _, _, err := Seal(key, seedHeader(), take(t, a, make([]byte, n))); !errors.Is(err, ErrSize) {
			t.Errorf("seed of %d bytes: got error %v", n, err)
		}
	}
	if _, _, err := Seal(take(t, a, dwk[:31]), seedHeader(), take(t, a, seed)); !errors.Is(err, seal.ErrInput) {
		t.Errorf("short working key: got error %v", err)
	}
	// Sealed by something else, with a length that the kind can't have.
	blob, err := seal.Seal(canon.TagBlob, key, seedHeader().Encode(), take(t, a, make([]byte, 65)))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Open(a, blob, Hash(blob), want(seedHeader()), key); !errors.Is(err, ErrSize) {
		t.Errorf("open a seed of 65 bytes: got error %v", err)
	}
	if _, _, err := Open(a, nil, Hash(nil), Want{Key: custody.KeyID("x")}, key); !errors.Is(err, seal.ErrMalformed) {
		t.Errorf("open nothing: got error %v", err)
	}
}

// FuzzReadHeader: a blob that is read has one encoding.
func FuzzReadHeader(f *testing.F) {
	a := secrettest.Arena(f)
	blob, _ := mustSeal(f, a, seedHeader(), seed)
	key := take(f, a, dwk)
	f.Add(blob)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadHeader(b)
		if err != nil {
			return
		}
		if !bytes.Contains(b, h.Encode()) {
			t.Fatal("a header was read that doesn't stand in the blob")
		}
		out, _, err := Open(a, b, Hash(b), want(h), key)
		if err == nil {
			out.Wipe()
			if h.Check() != nil {
				t.Fatal("opened under a bad header")
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	a := secrettest.Arena(b)
	blob, hash := mustSeal(b, a, seedHeader(), seed)
	key := take(b, a, dwk)
	b.ReportAllocs()
	for b.Loop() {
		out, _, err := Open(a, blob, hash, want(seedHeader()), key)
		if err != nil {
			b.Fatal(err)
		}
		out.Wipe()
	}
}
