// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// again is an import that says how the log was re-anchored.
func again(incarnation, at, size uint64, leaf [32]byte, kept uint64) *offline.Import {
	return &offline.Import{Number: 3, Size: size, Time: 1, Again: &offline.Reanchored{Kept: kept, Entries: []offline.Anchored{{Incarnation: incarnation, Entry: at, Leaf: leaf}}}}
}

// A result that names its permit's leaf hash is of no other with that number; one that does not name any is of the permit with its number.
func TestResultNamesPermit(t *testing.T) {
	t.Parallel()
	a := newAfar(t)
	a.away(t, "hot")
	id := a.approved(t, request.Transfer, payEVM(100), "bob", "carol")
	a.must(t, a.permit(t, id, "cold", account0(0), 10))
	g, _ := a.s.Signed(id)
	other := [32]byte{1}
	for name, x := range map[string]struct {
		leaf []byte
		open int
	}{"none": {nil, 1}, "its own": {g.PermitLeaf[:], 1}, "another": {other[:], 0}} {
		e := a.tells(t, nil, &offline.Import{Number: 2, Size: a.s.Next, Time: 1}, &offline.Result{Entry: g.Permit, Signatures: [][]byte{{1}}, TxID: "x", Leaf: x.leaf})
		acts, _, err := a.s.ReadOffline(a.box.id, e.Records)
		if err != nil {
			t.Fatal(err)
		}
		if open := a.s.Unsigned(acts); len(open) != x.open {
			t.Errorf("%s: %d results", name, len(open))
		}
		if x.open == 0 {
			a.must(t, e) // nothing of it is wanted in the log before
		} else {
			a.refused(t, "its result is not in the log", e)
		}
	}
}

// What an offline domain did under entries that this log has lost has no effect here, but that its import key is another one; nobody sends a seed
// before it has told.
func TestOfflineActsOfLostEntries(t *testing.T) {
	t.Parallel()
	a := newAfar(t)
	a.away(t, "hot")
	a.must(t, a.effect(t, a.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "third", Chain: evm, Scheme: request.SchemeEVM}, "bob")))
	id := a.approved(t, request.Transfer, payEVM(100), "bob", "carol")
	a.must(t, a.permit(t, id, "cold", account0(0), 10))
	g, _ := a.s.Signed(id)
	kept := a.s.Next
	a.must(t, a.reanchorDocument(nil))
	anchor := *a.s.anchoring
	a.gapped(t)
	if got := a.kind(t, request.WalletMove, a.goes("third")); got != problem.Conflict {
		t.Errorf("a seed to an import key that may be used: %q", got)
	}
	lost := func() []any {
		return []any{&offline.Import{Number: 9, Size: kept + 1000, Time: 1}, &offline.Permit{Entry: kept + 3, Request: custody.RequestID{9}}, &offline.Result{Entry: kept + 3, Signatures: [][]byte{{1}}, TxID: "x"},
			&offline.MovedIn{Wallet: "third", Key: a.seed("third").ID, Entry: kept + 5, Used: "u", Next: importKey("lost")}, &offline.MovedOut{Wallet: "hot", Key: a.seed("hot").ID, Entry: kept + 9}}
	}
	for name, x := range map[string]*offline.Import{
		"knows nothing of it":         {Number: 3, Size: a.s.Next, Time: 1},
		"another incarnation":         again(anchor.Incarnation+1, anchor.Since, a.s.Next, anchor.Leaf, kept),
		"another entry":               again(anchor.Incarnation, anchor.Since-1, a.s.Next, anchor.Leaf, kept-1),
		"another leaf":                again(anchor.Incarnation, anchor.Since, a.s.Next, [32]byte{1}, kept),
		"more kept than it can be":    again(anchor.Incarnation, anchor.Since, a.s.Next, anchor.Leaf, kept+2000),
		"without what re-anchored":    {Number: 3, Size: a.s.Next, Time: 1, Again: &offline.Reanchored{Kept: kept}},
		"and lost what is this log's": again(anchor.Incarnation, anchor.Since, a.s.Next+1, anchor.Leaf, kept),
	} {
		a.refused(t, name, a.tells(t, nil, append(lost(), x)...))
	}
	e := a.tells(t, nil, append(lost(), again(anchor.Incarnation, anchor.Since, a.s.Next, anchor.Leaf, kept), &offline.Result{Entry: g.Permit, Signatures: [][]byte{{1}}, TxID: "x", Leaf: g.PermitLeaf[:]})...)
	acts, _, err := a.s.ReadOffline(a.box.id, e.Records)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range acts {
		if x.Lost != (i < 5) {
			t.Errorf("act %d: lost is %v", i, x.Lost)
		}
	}
	if open := a.s.Unsigned(acts); len(open) != 1 || open[0].Permit != g.Permit {
		t.Fatalf("%+v", open)
	}
	a.must(t, a.result(id))
	a.must(t, e)
	d, _ := a.s.OfflineDomain(a.box.id)
	if where, ok := a.s.Away("hot"); !ok || where.Way != Held || d.Import.ID != importKey("lost").ID || d.Knows != lastImport(acts) {
		t.Errorf("%+v", d)
	}
	if _, away := a.s.Away("third"); away {
		t.Error("a seed that came by a lost entry is away")
	}
	if got := a.kind(t, request.WalletMove, a.goes("third")); got != "" {
		t.Errorf("after its result: %q", got)
	}
}

// lastImport is the size of the last import.
func lastImport(acts []OfflineAct) (n uint64) {
	for _, a := range acts {
		if a.Import != nil {
			n = a.Import.Size
		}
	}
	return n
}
