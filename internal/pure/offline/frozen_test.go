// SPDX-License-Identifier: Apache-2.0

package offline_test

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"os"
	"slices"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
)

// frozen are encodings, hashes and labels that offline domains and their couriers have: they never change.
func frozen(t *testing.T) map[string]string {
	out := map[string]string{}
	put := func(name string, b []byte) { out[name] = hex.EncodeToString(b) }
	g := genesis()
	g.Import.Public, g.Transport = nil, nil // long
	put("genesis without keys", canon.Encode(g))
	w := newWorld(t)
	domain := w.Domain
	put("domain", domain[:])
	b := head()
	b.Reply = []byte{9}
	put("bundle", b.Encode())
	put("bundle message", b.Message())
	h := b.Hash()
	put("bundle hash", h[:])
	put("result", answer().Encode())
	put("result message", answer().Message())
	c := offline.Confirmation{V: 1, Authority: authorityID, Domain: domain, Bundle: h, Permits: []offline.Confirmed{{Entry: 7, Payload: [32]byte{7}}}, Time: 8}
	put("confirmation message", c.Message())
	w.imported()
	w.must(w.movedIn("cold", 4, key1, key2))
	put("permit", canon.Encode(w.permit(10, 1, custody.RequestID{1}, entry.Slot{Account: "0xa", Nonce: 1})))
	put("import", canon.Encode(offline.Import{Number: 3, Size: 50, Root: [32]byte{5}, Leaf: [32]byte{6}, Time: 1, Bundle: [32]byte{7}}))
	put("recovery copies", canon.Encode(offline.Recovery{Public: [32]byte{1}, WorkingKey: [32]byte{2}, Identity: [32]byte{3}}))
	put("signed", canon.Encode(offline.Result{Entry: 10, Signatures: [][]byte{{1}}, TxID: "t", Signed: [32]byte{2}}))
	in := w.movedIn("cold", 4, key1, key2)
	in.Next.Public = nil
	put("moved in", canon.Encode(in))
	put("moved out", canon.Encode(offline.MovedOut{Wallet: "cold", Key: seed, Entry: 20, Copy: [32]byte{1}}))
	put("refusal", canon.Encode(offline.Refusal{Entry: 1, Kind: problem.Conflict, Detail: "d", Bundle: [32]byte{1}}))
	put("zeroized", canon.Encode(offline.Zeroized{Cause: "c"}))
	put("restored", canon.Encode(offline.Restored{Epoch: 1}))
	put("record", offline.Record{Leaf: []byte{1}, Salt: make([]byte, 16), Body: []byte{2}}.Encode())
	out["move label"] = offline.Move{Authority: authorityID, From: custody.DomainID{1}, To: custody.DomainID{2}, Wallet: "w", Key: seed, Import: key1}.SealLabel()
	out["bundle label"], out["result label"] = offline.BundleLabel(domain), offline.ResultLabel(domain, 12)
	pages, err := offline.Pages([]byte("a page"))
	if err != nil {
		t.Fatal(err)
	}
	out["page"] = pages[0]
	return out
}

func TestFrozen(t *testing.T) {
	t.Parallel()
	const file = "testdata/frozen/offline-1.json"
	got := frozen(t)
	b, err := os.ReadFile(file)
	if os.IsNotExist(err) && os.Getenv("STRONGROOM_FREEZE") != "" {
		if b, err = json.MarshalIndent(got, "", "  "); err == nil {
			err = os.WriteFile(file, append(b, '\n'), 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	var want map[string]string
	if err := json.Unmarshal(b, &want); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))) {
		t.Fatalf("the file has %v", slices.Sorted(maps.Keys(want)))
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s is now\n%s\nand was\n%s", k, got[k], v)
		}
	}
}
