// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/ed25519"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/proof"
	"strongroom/internal/pure/tlog"
	"strongroom/verify"
)

// A log that does not begin with a genesis is refused for that, also when its own key signed it: who reads a stranger's file trusts nothing in it.
func TestNoGenesis(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	body, salt := canon.Encode(&entry.Snapshot{}), [entry.SaltSize]byte{1}
	leaf := entry.Leaf{V: 1, Kind: entry.KindSnapshot, KindVersion: 1, Engine: entry.Engine1, Writer: 1, Time: 1,
		Bodies: []entry.BodyRef{entry.Ref(entry.Public, salt, body)}}.Encode()
	key, err := tlog.NewKey("strongroom/domain/"+custody.DomainID(entry.Hash(leaf)).String(), public)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: key.Origin(), Size: 1, Root: entry.Hash(leaf)}, key,
		func(m []byte) ([]byte, error) { return ed25519.Sign(private, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	f := proof.File{V: 1, Checkpoint: signed, Entries: []proof.Entry{{Leaf: leaf, Bodies: []proof.Body{{Salt: salt[:], Body: body}}, Path: [][32]byte{}}}}
	if _, err := verify.Proof(f.Encode(), public); err == nil || !strings.Contains(err.Error(), "no genesis") {
		t.Errorf("%v", err)
	}
}
