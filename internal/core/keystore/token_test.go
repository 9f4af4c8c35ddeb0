// SPDX-License-Identifier: Apache-2.0

package keystore

import (
	"bytes"
	"encoding/hex"
	"testing"

	"strongroom/internal/secret/secrettest"
)

// generator is the public key of the private number 1.
var generator, _ = hex.DecodeString("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")

// What the blob of a key in the token seals follows from the public key. The value is frozen: blobs have it.
func TestTokenMaterial(t *testing.T) {
	t.Parallel()
	m := TokenMaterial(generator)
	if got := hex.EncodeToString(m[:]); got != frozenMaterial {
		t.Errorf("got %s, want %s", got, frozenMaterial)
	}
}

const frozenMaterial = "ee2e4af1822992b8e50a346f864d753a8d905f4fc600911563560f5aade90007"

// A blob that was opened is that of a key in the token, or it is not taken for one.
func TestCheckToken(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	m := TokenMaterial(generator)
	token := func(change func(*Header)) Header {
		h := seedHeader()
		h.Kind, h.Class, h.Attributes, h.Mechanisms, h.Public = Secp256k1, Token, Sign|Local|NeverExtractable, []Mechanism{ECDSASecp256k1}, generator
		change(&h)
		return h
	}
	right := token(func(*Header) {})
	blob, hash := mustSeal(t, a, right, m[:])
	got, h, err := Open(a, blob, hash, want(right), take(t, a, dwk))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Wipe()
	if err := h.CheckToken(got); err != nil {
		t.Error(err)
	}
	for name, h := range map[string]Header{
		"class core":     token(func(h *Header) { h.Class = Core }),
		"for an app":     token(func(h *Header) { h.Purpose = App }),
		"another kind":   token(func(h *Header) { h.Kind = P256 }),
		"may not sign":   token(func(h *Header) { h.Attributes = Local }),
		"no mechanism":   token(func(h *Header) { h.Mechanisms = nil }),
		"another public": token(func(h *Header) { h.Public = append([]byte{3}, generator[1:]...) }),
		"no public":      token(func(h *Header) { h.Public = nil }),
	} {
		if err := h.CheckToken(got); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := right.CheckToken(take(t, a, bytes.Repeat([]byte{1}, TokenMaterialSize))); err == nil {
		t.Error("a secret scalar was taken for it")
	}
}
