// SPDX-License-Identifier: Apache-2.0

package parcel

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"strongroom/internal/core/recovery"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

func key(t *testing.T, a *secret.Arena, n byte) *recovery.Key {
	t.Helper()
	r, err := secret.Take(a, bytes.Repeat([]byte{n}, recovery.MasterSize))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Wipe()
	k, err := recovery.Derive(a, r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Wipe)
	return k
}

func seal(t *testing.T, a *secret.Arena, k *recovery.Key, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(a, &out, k.Public(), [32]byte{1}, "offline-bundle")
	if err != nil {
		t.Fatal(err)
	}
	for len(content) > 0 { // in odd portions
		n := min(700_001, len(content))
		if _, err := w.Write(content[:n]); err != nil {
			t.Fatal(err)
		}
		content = content[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func open(a *secret.Arena, k *recovery.Key, identity [32]byte, label string, b []byte) ([]byte, error) {
	r, err := Open(a, bytes.NewReader(b), k, identity, label)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

// What is sealed opens to the same bytes with its key, for its domain and use only.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	k, other := key(t, a, 1), key(t, a, 2)
	for _, n := range []int{0, 1, PieceSize - 1, PieceSize, PieceSize + 1, 2*PieceSize + 5} {
		content := bytes.Repeat([]byte{7, 1, 3}, n/3+1)[:n]
		b := seal(t, a, k, content)
		got, err := open(a, k, [32]byte{1}, "offline-bundle", b)
		if err != nil || !bytes.Equal(got, content) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		for what, try := range map[string]func() ([]byte, error){
			"another key":    func() ([]byte, error) { return open(a, other, [32]byte{1}, "offline-bundle", b) },
			"another domain": func() ([]byte, error) { return open(a, k, [32]byte{2}, "offline-bundle", b) },
			"another use":    func() ([]byte, error) { return open(a, k, [32]byte{1}, "offline-result", b) },
		} {
			if _, err := try(); !errors.Is(err, ErrParcel) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// Any altered byte is found; so are pieces that change places. A piece that is cut off at the end is the content's to find.
func TestAltered(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	k := key(t, a, 1)
	b := seal(t, a, k, []byte("some content"))
	for i := range b {
		x := bytes.Clone(b)
		x[i] ^= 1
		if _, err := open(a, k, [32]byte{1}, "offline-bundle", x); !errors.Is(err, ErrParcel) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	for n := range len(b) {
		if got, err := open(a, k, [32]byte{1}, "offline-bundle", b[:n]); err == nil && len(got) > 0 {
			t.Fatalf("cut off at %d: %d bytes", n, len(got))
		}
	}
	long := seal(t, a, k, make([]byte, 2*PieceSize))
	piece := 4 + PieceSize + 57
	head := len(long) - 2*piece
	swapped := append(bytes.Clone(long[:head]), append(bytes.Clone(long[head+piece:]), long[head:head+piece]...)...)
	if _, err := open(a, k, [32]byte{1}, "offline-bundle", swapped); !errors.Is(err, ErrParcel) {
		t.Errorf("pieces exchanged: %v", err)
	}
}
