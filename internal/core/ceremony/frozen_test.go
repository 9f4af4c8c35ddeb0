// SPDX-License-Identifier: Apache-2.0

package ceremony_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"strongroom/internal/core/ceremony"

	"strongroom/internal/secret/secrettest"
)

// TestFrozen: a ceremony of 2 of 3 that the first version held is opened, has the words that were printed, and is restored from sealed
// shares and from words. The file has a hybrid age identity, an X25519 one, the recovery public key, then for each share the sealed share
// and its words. The third custodian has the P-256 key whose scalar is 32 times 7.
func TestFrozen(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	text, err := os.ReadFile(filepath.Join("testdata", "frozen", "ceremony.txt"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	hybrid, err := age.ParseHybridIdentity(lines[0])
	if err != nil {
		t.Fatal(err)
	}
	classic, err := age.ParseX25519Identity(lines[1])
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdh.P256().NewPrivateKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	public, err := hex.DecodeString(lines[2])
	if err != nil {
		t.Fatal(err)
	}
	var opened, read []*ceremony.Opened
	for i, o := range []ceremony.Opener{ceremony.AgeOpener(hybrid), ceremony.AgeOpener(classic), ceremony.P256Opener(key)} {
		sealed, err := hex.DecodeString(lines[3+2*i])
		if err != nil {
			t.Fatal(err)
		}
		s, err := ceremony.OpenShare(a, sealed, o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Wipe()
		words, err := s.Words()
		if err != nil {
			t.Fatal(err)
		}
		defer words.Wipe()
		if got := string(content(t, words)); got != lines[4+2*i] || s.Meta.Custodian != five[i] {
			t.Errorf("share %d of %s has the words %q, had %q", i+1, s.Meta.Custodian, got, lines[4+2*i])
		}
		w, err := ceremony.FromWords(a, s.Meta, words)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Wipe()
		opened, read = append(opened, s), append(read, w)
	}
	known := ceremony.Expect{Sharing: opened[0].Commitments.Hash(), Recovery: sha256.Sum256(public)}
	for _, pair := range [][2]*ceremony.Opened{{opened[0], opened[1]}, {opened[2], opened[0]}, {read[1], read[2]}} {
		l := newLoad(t, a, known)
		handIn(t, l, pair[0])
		handIn(t, l, pair[1])
		k, err := l.Restore()
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(k.Public(), public) {
			t.Error("another key came back")
		}
		k.Wipe()
	}
}
