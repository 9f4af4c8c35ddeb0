// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/verify"
)

// frozen are proof files of a release with the log key that they are checked against.
type frozen struct {
	LogKey []byte   `cbor:"1,keyasint"`
	Files  [][]byte `cbor:"2,keyasint"`
}

func load(t testing.TB, name string) frozen {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var f frozen
	if err := canon.Decode(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func frozenFiles(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/frozen/proofs-*.cbor")
	if err != nil || len(files) < 1 {
		t.Fatalf("%d frozen files, %v", len(files), err)
	}
	return files
}

// The proofs of every release verify for ever, and no byte of one can be changed.
func TestFrozenProofs(t *testing.T) {
	t.Parallel()
	for _, name := range frozenFiles(t) {
		f := load(t, name)
		signed, refused, executed := 0, 0, 0
		for i, file := range f.Files {
			r, err := verify.Proof(file, f.LogKey)
			if err != nil {
				t.Errorf("%s proof %d: %v", name, i, err)
				continue
			}
			switch {
			case r.Executed:
				executed++
			case len(r.Attempts) > 0:
				signed++
			default:
				refused++
			}
			for at := i; at < len(file); at += 211 {
				bad := bytes.Clone(file)
				bad[at] ^= 1 << (at % 8)
				if _, err := verify.Proof(bad, f.LogKey); err == nil {
					t.Errorf("%s proof %d: byte %d changed, and the proof holds", name, i, at)
				}
			}
		}
		if len(f.Files) < 10 || signed < 3 || refused < 3 || executed < 3 {
			t.Errorf("%s shows %d signed, %d executed and %d other requests", name, signed, executed, refused)
		}
	}
}

// Whatever a file holds, it verifies or it does not; a changed one never does.
func FuzzProof(f *testing.F) {
	good := map[string]bool{}
	var key []byte
	for _, name := range frozenFiles(f) {
		x := load(f, name)
		key = x.LogKey
		for _, file := range x.Files {
			good[string(file)] = true
			f.Add(file)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := verify.Proof(file, key); err == nil && !good[string(file)] {
			t.Fatalf("another file of %d bytes verifies", len(file))
		}
	})
}

func TestNotAProof(t *testing.T) {
	t.Parallel()
	for _, b := range [][]byte{nil, {0xa5}, []byte("schema: 1"), []byte(`{"a":1}`), {0xa1, 0x01, 0xa5, 0x01}, {0xa5, 0x01, 0xa5}, {0xa5, 0x02, 0x01}} {
		_, err := verify.Proof(b, make([]byte, 32))
		if !errors.Is(err, verify.ErrNotProof) || !errors.Is(err, verify.ErrInvalid) {
			t.Errorf("%x: %v", b, err)
		}
	}
	if _, err := verify.Proof([]byte{0xa5, 0x01, 0x01, 0x02}, make([]byte, 32)); errors.Is(err, verify.ErrNotProof) || !errors.Is(err, verify.ErrInvalid) {
		t.Errorf("a damaged proof: %v", err)
	}
}
