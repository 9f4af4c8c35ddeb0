// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"strongroom/internal/core/hsm/tpm2"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

func newKey(t testing.TB, fill byte) secret.Bytes {
	t.Helper()
	a, err := secret.NewArena(secret.Config{Size: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	key, err := secret.Take(a, bytes.Repeat([]byte{fill}, secretSize))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		key.Wipe()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return key
}

func example(t testing.TB, key secret.Bytes) []byte {
	t.Helper()
	r := record{V: 1, Counter: tpm2.CounterID{Primary: append([]byte{0, 11}, make([]byte, 32)...), Index: 0x01812345, First: 7}, Value: 9,
		Size: 3, Root: [32]byte{1}, Checkpoint: []byte("checkpoint"), Day: 20833, Marks: 2}
	var err error
	if r.MAC, err = r.mac(key); err != nil {
		t.Fatal(err)
	}
	return canon.Encode(r)
}

// TestFrozenRecord compares with docs/spec/anchor-tpm.md.
func TestFrozenRecord(t *testing.T) {
	t.Parallel()
	key := newKey(t, 7)
	b := example(t, key)
	const want = "a9010102a3015822000b0000000000000000000000000000000000000000000000000000000000000000021a01812345030703090403055820010000000000000000" +
		"0000000000000000000000000000000000000000000000064a636865636b706f696e74071951610802095820" +
		"a4ae03b3f7ec2b6ad2638bbcaf298269ecff2dca0f73aabc6d674f9a001ba60c"
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("got %s", got)
	}
	for i := range len(b) * 8 {
		c := bytes.Clone(b)
		c[i/8] ^= 1 << (i % 8)
		if _, err := decodeRecord(c, key); !errors.Is(err, ErrAltered) {
			t.Fatalf("bit %d: got error %v", i, err)
		}
	}
	if _, err := decodeRecord(b, newKey(t, 8)); !errors.Is(err, ErrAltered) {
		t.Errorf("another secret: got error %v", err)
	}
}

// FuzzRecord: what is accepted has one encoding, and was made with the key.
func FuzzRecord(f *testing.F) {
	key := newKey(f, 7)
	f.Add(example(f, key))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b, key)
		if err != nil {
			return
		}
		if !bytes.Equal(canon.Encode(r), b) || !bytes.Equal(b, example(t, key)) {
			t.Fatalf("accepted %x", b)
		}
	})
}
