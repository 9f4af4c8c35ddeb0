// SPDX-License-Identifier: Apache-2.0

package keystore

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"strongroom/internal/core/seal"

	"strongroom/internal/secret/secrettest"
)

var (
	nextDWK     = bytes.Repeat([]byte{8}, 32)
	nextPattern = [seal.PatternSize]byte{8}
)

// The same key under another working key: same header but for epoch and pattern, same material; an expiry and a session don't matter.
func TestReencipher(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	h := seedHeader()
	h.Expires = 1
	blob, hash := mustSeal(t, a, h, seed)
	w := want(h)
	w.Now = 0
	next, nextHash, err := Reencipher(a, blob, hash, w, take(t, a, dwk), take(t, a, nextDWK), h.Epoch+1, nextPattern)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadHeader(next)
	wanted := h
	wanted.Epoch, wanted.Pattern = h.Epoch+1, nextPattern
	if err != nil || !reflect.DeepEqual(got, wanted) || nextHash != Hash(next) || nextHash == hash {
		t.Fatalf("%v: header %+v", err, got)
	}
	nw := want(wanted)
	if _, _, err := Open(a, next, nextHash, nw, take(t, a, nextDWK)); !errors.Is(err, ErrExpired) {
		t.Errorf("an expired key is opened: %v", err)
	}
	nw.Now = 0
	if _, _, err := Open(a, next, nextHash, w, take(t, a, nextDWK)); err == nil {
		t.Error("a blob of the next epoch is taken for one of the current")
	}
	back, backHash, err := Reencipher(a, next, nextHash, nw, take(t, a, nextDWK), take(t, a, dwk), h.Epoch, h.Pattern)
	if err != nil || bytes.Equal(back, blob) || backHash == hash {
		t.Errorf("and back: %v", err)
	}
}

// Every changed byte, another header, another key: nothing is enciphered then.
func TestReencipherRefuses(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	h := seedHeader()
	blob, hash := mustSeal(t, a, h, seed)
	from, to := take(t, a, dwk), take(t, a, nextDWK)
	for i := range blob {
		b := bytes.Clone(blob)
		b[i] ^= 1 << (i % 8)
		if _, _, err := Reencipher(a, b, hash, want(h), from, to, 9, nextPattern); !errors.Is(err, ErrNotCurrent) {
			t.Fatalf("byte %d: %v", i, err)
		}
		if _, _, err := Reencipher(a, b, Hash(b), want(h), from, to, 9, nextPattern); err == nil {
			t.Fatalf("byte %d, named by the log: enciphered", i)
		}
	}
	other := h
	other.Key = "ffffffffffffffffffffffffffffffff"
	swapped, swappedHash := mustSeal(t, a, other, seed)
	for what, err := range map[string]error{
		"another key's blob": func() error {
			_, _, err := Reencipher(a, swapped, swappedHash, want(h), from, to, 9, nextPattern)
			return err
		}(),
		"the wrong working key": func() error { _, _, err := Reencipher(a, blob, hash, want(h), to, to, 9, nextPattern); return err }(),
		"epoch 0":               func() error { _, _, err := Reencipher(a, blob, hash, want(h), from, to, 0, nextPattern); return err }(),
		"no working key": func() error {
			gone := take(t, a, nextDWK)
			gone.Wipe()
			_, _, err := Reencipher(a, blob, hash, want(h), from, gone, 9, nextPattern)
			return err
		}(),
	} {
		if err == nil {
			t.Errorf("%s: enciphered", what)
		}
	}
}
