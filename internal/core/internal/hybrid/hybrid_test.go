// SPDX-License-Identifier: Apache-2.0

package hybrid_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"strongroom/internal/core/internal/hybrid"
)

// published are the vectors of draft-ietf-hpke-pq for KEM 0x647a: ikmR, skRm, SHA-256 of pkRm.
var published = [][3]string{
	{"0379761fa4f6869592b0d1f9a71eb92b122dc030a7a8858132109f6b1a4bbde4", "b3f98b03126a431ccecc62ae0f68e102c2d8e1cc7b21ba85d821d8e31761e0f8",
		"120b60e0ae3c00c1c9def1c61aeb12de710bfa49646ae6f99a7e564b25ace493"},
	{"9ed657ed25ee70055f12f2f1cf6f93165e5a6760a7bf6d4c2d9d6028c482781c", "977e67dd1cb3cbe7d2ba07816bd3d3d00f9b57a1c69426a628f4a1ca5ecb49fc",
		"672edcd9fc7874e45fe644c88bdf42acda487160a407e592d7e39e08043ab641"},
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	for _, v := range published {
		seed := make([]byte, hybrid.SeedSize)
		public, err := hybrid.Derive(seed, unhex(t, v[0]))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(seed, unhex(t, v[1])) {
			t.Errorf("got private key %x, want %s", seed, v[1])
		}
		if got := sha256.Sum256(public); !bytes.Equal(got[:], unhex(t, v[2])) || len(public) != hybrid.PublicSize {
			t.Errorf("the public key has %d bytes and hash %x, want %s", len(public), got, v[2])
		}
		again, err := hybrid.Public(seed)
		if err != nil || !bytes.Equal(again, public) {
			t.Errorf("the private key has another public key (err %v)", err)
		}
	}
}

func TestSealOpen(t *testing.T) {
	t.Parallel()
	seed := bytes.Repeat([]byte{7}, hybrid.SeedSize)
	public, err := hybrid.Public(seed)
	if err != nil {
		t.Fatal(err)
	}
	plain := []byte("plaintext")
	enc, box, err := hybrid.Seal(public, []byte("info"), []byte("aad"), plain)
	if err != nil || len(enc) != hybrid.EncSize || len(box) != len(plain)+hybrid.Overhead {
		t.Fatalf("%d and %d bytes, %v", len(enc), len(box), err)
	}
	out := make([]byte, len(plain))
	if err := hybrid.Open(out, seed, enc, []byte("info"), []byte("aad"), box); err != nil || !bytes.Equal(out, plain) {
		t.Errorf("got %q, %v", out, err)
	}
	other := bytes.Repeat([]byte{8}, hybrid.SeedSize)
	for name, err := range map[string]error{
		"another key":     hybrid.Open(out, other, enc, []byte("info"), []byte("aad"), box),
		"another info":    hybrid.Open(out, seed, enc, []byte("inf"), []byte("aad"), box),
		"another aad":     hybrid.Open(out, seed, enc, []byte("info"), nil, box),
		"no box":          hybrid.Open(out, seed, enc, []byte("info"), []byte("aad"), nil),
		"no key":          hybrid.Open(out, seed, nil, []byte("info"), []byte("aad"), box),
		"too little room": hybrid.Open(out[1:], seed, enc, []byte("info"), []byte("aad"), box),
	} {
		if !errors.Is(err, hybrid.ErrOpen) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	if err := hybrid.CheckPublic(public[1:]); err == nil {
		t.Error("a short public key is taken")
	}
}
