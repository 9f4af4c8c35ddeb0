// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"testing"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// boardWorld has dave in a group of his own, which no route names, and rules as change adds them.
func boardWorld(t tester, change func(d *policy.Document, board policy.Plan)) *world {
	t.Helper()
	return worldWith(t, func(d *policy.Document) {
		d.Groups = append([]policy.Group{{ID: "board", Members: []custody.PersonID{who("dave").id}}}, d.Groups...)
		change(d, policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "board", Min: 1}}}}})
	})
}

// becomesDue requires that dave has no say in a request, and after the change has one, without which it is not done any more.
func (w *world) becomesDue(t tester, id custody.RequestID, change func()) {
	t.Helper()
	if k := w.lacks(t, id); k != "" {
		t.Fatalf("at first it lacks %q", k)
	}
	w.refused(t, "an approval by the board, before its plan is due", w.approval(t, id, who("dave"), request.Approve))
	w.refused(t, "a rejection by the board, likewise", w.approval(t, id, who("dave"), request.Reject))
	version := w.s.Doc.Version
	change()
	if k := w.lacks(t, id); k != problem.QuorumNotMet || w.s.Doc.Version != version {
		t.Fatalf("once the plan is due: %q", k)
	}
	w.refused(t, "a permit without the board", w.permit(t, id, "a", account0(w.s.NextNonce("hot", 0)), 10))
	w.refused(t, "an approval by who has no say under either plan", w.approval(t, id, who("service"), request.Approve))
	p, _ := w.s.Pending(id)
	stranger := w.approval(t, id, who("service"), request.Approve).Approval
	if err := w.s.CheckApproval(p, stranger, w.at()); problem.KindOf(err) != problem.Forbidden {
		t.Fatal(err)
	}
	w.must(t, w.approval(t, id, who("dave"), request.Approve))
	w.restores(t)
	w.must(t, w.permit(t, id, "a", account0(w.s.NextNonce("hot", 0)), 10))
	w.audited(t)
}

// Under one and the same document a plan may become due while a request waits; whom it asks for may then approve, and the request needs both.
func TestPlansThatBecomeDueLater(t *testing.T) {
	t.Parallel()
	day := int64(24 * 3600 * 1e9)
	t.Run("obligation by the hour", func(t *testing.T) {
		t.Parallel()
		w := boardWorld(t, func(d *policy.Document, board policy.Plan) {
			d.Calendars = []policy.Calendar{{ID: "office", Offsets: []policy.Offset{{}}, Weekly: []policy.Hours{{Days: []uint{1, 2, 3, 4, 5, 6, 7}, From: 0, To: 720}}}}
			d.Obligations = []policy.Obligation{{ID: "late", When: policy.Match{Operations: []request.Operation{request.Transfer}, Time: &policy.TimeMatch{Outside: "office"}},
				Add: policy.Addition{Plan: &board}}}
		})
		w.now += day - w.now%day + 11*3600*1e9
		w.becomesDue(t, w.askLong(t, who("alice"), 5000, "bob", "carol"), func() { w.advance(2 * time.Hour) })
	})
	t.Run("limit that others used up by plan", func(t *testing.T) {
		t.Parallel()
		w := boardWorld(t, func(d *policy.Document, board policy.Plan) {
			l := limit("day", 8000, policy.Window{Rolling: 86400})
			l.Exceeded, l.Plan = policy.ByPlan, &board
			d.Limits = []policy.Limit{l}
		})
		w.becomesDue(t, w.transferOf(t, 5000, "bob", "carol"), func() {
			other := w.transferOf(t, 4000, "bob", "carol", "dave")
			w.must(t, w.permit(t, other, "other", account0(0), 10))
		})
	})
	t.Run("route by the age of the destination", func(t *testing.T) {
		t.Parallel()
		w := ledgerWorld(t, func(d *policy.Document) {
			d.Groups = append([]policy.Group{{ID: "board", Members: []custody.PersonID{who("dave").id}}}, d.Groups...)
			board := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "board", Min: 1}}}}}
			d.Whitelist.Ramp, d.Whitelist.CoolOff = nil, 60
			d.Routes = append([]policy.Route{{ID: "aged", Plan: board, When: policy.Match{Operations: []request.Operation{request.Transfer}, MinAge: 7200}}}, d.Routes...)
		})
		if err := w.add(t, "vendor", 1, nil); err != nil {
			t.Fatal(err)
		}
		w.advance(90 * time.Minute)
		id := w.approved(t, request.Transfer, payTo(addressOf(1), 50), "bob", "carol")
		w.becomesDue(t, id, func() { w.advance(45 * time.Minute) })
	})
	t.Run("drain", func(t *testing.T) {
		t.Parallel()
		w := boardWorld(t, func(d *policy.Document, board policy.Plan) {
			d.BreakGlass = &policy.BreakGlass{Who: board, DrainTo: []string{"exchange"}, Duration: 7200, Resume: board}
		})
		w.becomesDue(t, w.transferOf(t, 5000, "bob", "carol"), func() {
			w.must(t, w.effect(t, w.approved(t, request.Drain, request.DrainBody{Reason: "test"}, "dave")))
		})
	})
}
