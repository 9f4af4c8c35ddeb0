// SPDX-License-Identifier: Apache-2.0

package proof_test

import (
	"bytes"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/proof"
)

func example() proof.File {
	return proof.File{V: 1, Request: custody.RequestID{1}, Checkpoint: []byte("note"), Entries: []proof.Entry{
		{Leaf: []byte{1}, Bodies: []proof.Body{{Salt: make([]byte, 16), Body: []byte{2}}, {LeftOut: true}}, Path: [][32]byte{{3}, {4}}}, {Leaf: []byte{5}}}}
}

func TestDecode(t *testing.T) {
	t.Parallel()
	b := example().Encode()
	f, err := proof.Decode(b)
	if err != nil || !bytes.Equal(f.Encode(), b) || len(f.Entries) != 2 {
		t.Fatalf("%+v, %v", f, err)
	}
	other := example()
	other.V = 2
	for name, bad := range map[string][]byte{"empty": nil, "cut off": b[:len(b)-1], "more": append(bytes.Clone(b), 0), "version": other.Encode(), "too large": make([]byte, proof.MaxFile+1)} {
		if _, err := proof.Decode(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// What is accepted is the one encoding of what was read.
func FuzzDecode(f *testing.F) {
	f.Add(example().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if f, err := proof.Decode(b); err == nil && !bytes.Equal(f.Encode(), b) {
			t.Fatalf("%x was read as %+v", b, f)
		}
	})
}
