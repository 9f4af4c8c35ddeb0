// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// TestGapFreezes: after entries were lost the domain is frozen, where its document knows of operational states; one of an older document is as it was.
func TestGapFreezes(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		doc  policy.Document
		want policy.Mode
	}{"with breakGlass": {overseenDocument(), policy.Frozen}, "without": {firstDocument(), policy.Normal}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := furnished(t, worldOf(t, x.doc))
			w.must(t, w.reanchorDocument(func(b *entry.Reanchor) { b.Known = w.checkpointOf(1, b.Size+12, [32]byte{1}) }))
			if err := w.asks("alice", request.Freeze, request.FreezeBody{Reason: "meanwhile"}); err != nil {
				t.Errorf("freeze while the time-lock runs: %v", err)
			}
			w.gapped(t)
			if got := w.s.Mode(w.at()); got != x.want {
				t.Fatalf("%s after the gap, want %s", got, x.want)
			}
			if m := w.s.ModeState(); m != nil && (m.Since != w.s.Next-1 || m.By != "" || m.Reason == "") {
				t.Errorf("%+v", m)
			}
			if x.want == policy.Frozen {
				wants(t, "a payment", w.asks("alice", request.Transfer, payEVM(5)), problem.Frozen)
				w.must(t, w.effect(t, w.approved(t, request.Unfreeze, request.UnfreezeBody{Since: w.s.ModeState().Since, Reason: "looked"}, "bob", "carol")))
				if w.s.ModeState() != nil {
					t.Error("still frozen")
				}
			}
		})
	}
}

// TestFreezeSurvivesReanchoring: a freeze that is in what is left of the log is there after re-anchoring it.
func TestFreezeSurvivesReanchoring(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, w.effect(t, w.approved(t, request.Freeze, request.FreezeBody{Reason: "stop"})))
	since := w.s.ModeState().Since
	w.must(t, w.reanchorDocument(func(b *entry.Reanchor) { b.Known = w.checkpointOf(1, b.Size+12, [32]byte{1}) }))
	w.gapped(t)
	if m := w.s.ModeState(); m == nil || m.Since != since {
		t.Fatalf("%+v", m)
	}
}

// TestGovernanceImageRefused: an image whose operational state or holds can't be is not restored.
func TestGovernanceImageRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.approved(t, request.Transfer, payEVM(5))
	for name, g := range map[string]governanceSection{
		"unknown state":      {Mode: &ModeState{Mode: "melting", Since: 1}},
		"normal, written":    {Mode: &ModeState{Mode: policy.Normal, Since: 1}},
		"of the future":      {Mode: &ModeState{Mode: policy.Frozen, Since: w.s.Next}},
		"of no request":      {Held: []Hold{{Request: custody.RequestID{1}, Seq: 1}}},
		"holds out of order": {Held: []Hold{{Request: id, Seq: 2}, {Request: id, Seq: 1}}},
	} {
		m := w.s.Image()
		m.Governance = &g
		if _, err := Restore(m, func(h [32]byte) ([]byte, error) { return w.s.Chunks()[h], nil }); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
}

// TestReplacementsAreOfTheirOperation: the fold takes no further attempt of a call while the domain drains, as it takes no first one.
func TestReplacementsAreOfTheirOperation(t *testing.T) {
	t.Parallel()
	w := furnished(t, worldOf(t, overseenDocument()))
	w.s.life.Allowed = w.s.life.Allowed.Or(callPoints)
	id := w.approved(t, request.ContractCall, approveCall(t, "hot", 5), "bob")
	w.must(t, w.permit(t, id, "call", account0(0), 10))
	more := w.permit(t, id, "call, dearer", account0(0), 20)
	w.must(t, w.effect(t, w.approved(t, request.Drain, request.DrainBody{Reason: "move it"}, "bob", "carol")))
	w.refused(t, "a further attempt of a call while draining", more)
	w.must(t, w.effect(t, w.approved(t, request.Resume, request.ResumeBody{Since: w.s.ModeState().Since, Reason: "done"}, "bob", "carol")))
	w.must(t, more)
}

// TestNobodyHoldsTheirOwnRevocation: who may hold requests can't keep themselves in.
func TestNobodyHoldsTheirOwnRevocation(t *testing.T) {
	t.Parallel()
	bob, doc := who("bob"), firstDocument()
	for i := range doc.Principals {
		if p := &doc.Principals[i]; p.ID == bob.id {
			p.Keys = append(p.Keys, person("bob's other key").pub)
			slices.SortFunc(p.Keys, func(a, b request.PublicKey) int { return strings.Compare(string(a.Ref()), string(b.Ref())) })
		}
	}
	w := furnished(t, worldOf(t, doc))
	revoke := w.approved(t, request.PersonRevoke, request.PersonRevokeBody{Person: bob.id})
	key := w.approved(t, request.PersonKeyRemove, request.PersonKeyRemoveBody{Person: bob.id, Key: bob.pub.Ref()})
	for _, id := range []custody.RequestID{revoke, key} {
		wants(t, "bob holds what is about bob", w.asks("bob", request.RequestHold, request.RequestHoldBody{Request: id[:], Reason: "no"}), problem.Forbidden)
		if err := w.asks("carol", request.RequestHold, request.RequestHoldBody{Request: id[:], Reason: "wait"}); err != nil {
			t.Errorf("carol: %v", err)
		}
	}
}
