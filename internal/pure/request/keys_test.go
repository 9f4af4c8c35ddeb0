// SPDX-License-Identifier: Apache-2.0

package request

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// Under a key of small order one constant signature verifies for some messages, for the neutral element for all: no such key is taken, with
// either sign of x, nor another encoding of the same y.
func TestKeysOfSmallOrder(t *testing.T) {
	t.Parallel()
	forged := make([]byte, ed25519.SignatureSize) // R is the neutral element, S is 0
	forged[0] = 1
	for _, y := range smallOrder {
		pub, err := hex.DecodeString(y)
		if err != nil {
			t.Fatal(err)
		}
		works := false
		for i := uint64(0); i < 200 && !works; i++ {
			works = ed25519.Verify(pub, binary.BigEndian.AppendUint64(nil, i), forged)
		}
		if !works {
			t.Errorf("%s: no forgery in 200 messages: it has no small order", y)
		}
		for _, sign := range []byte{0, 0x80} {
			k := PublicKey{Alg: Ed25519, Pub: slices.Clone(pub)}
			k.Pub[31] |= sign
			if err := k.Check(); err == nil || !strings.Contains(err.Error(), "small order") {
				t.Errorf("%x: %v", k.Pub, err)
			}
			for i := uint64(0); i < 200; i++ {
				if k.Verify(binary.BigEndian.AppendUint64(nil, i), forged) {
					t.Fatalf("%x: a forgery verifies", k.Pub)
				}
			}
		}
	}
}

func TestKeyEncodingIsCanonical(t *testing.T) {
	t.Parallel()
	for low := range 19 {
		k := PublicKey{Alg: Ed25519, Pub: slices.Repeat([]byte{0xff}, 32)} // 2^255 - 19 + low, and the sign
		k.Pub[0] = byte(0xed + low)
		for _, last := range []byte{0x7f, 0xff} {
			k.Pub[31] = last
			if err := k.Check(); err == nil || !strings.Contains(err.Error(), "canonical") {
				t.Errorf("%x: %v", k.Pub, err)
			}
		}
	}
	for range 100 {
		pub, _, err := ed25519.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := (PublicKey{Alg: Ed25519, Pub: pub}).Check(); err != nil {
			t.Errorf("an honest key: %v", err)
		}
	}
}

func TestPublicKeyInJSON(t *testing.T) {
	t.Parallel()
	k := PublicKey{Alg: Ed25519, Pub: []byte{0xab, 0}}
	b, err := json.Marshal(k)
	if err != nil || string(b) != `{"alg":"ed25519","pub":"ab00"}` {
		t.Fatalf("got %s, error %v", b, err)
	}
	var again PublicKey
	if err := json.Unmarshal(b, &again); err != nil || again.Alg != k.Alg || !bytes.Equal(again.Pub, k.Pub) {
		t.Errorf("got %+v, error %v", again, err)
	}
	for _, bad := range []string{`{}`, `null`, `"ab00"`, `{"alg":"ed25519"}`, `{"alg":"ed25519","pub":"qwA="}`, `{"alg":"ed25519","PUB":"ab00"}`,
		`{"alg":"ed25519","pub":"ab00","Pub":"cd"}`, `{"alg":"ed25519","pub":null}`, `{"alg":7,"pub":"ab00"}`} {
		if err := json.Unmarshal([]byte(bad), new(PublicKey)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
