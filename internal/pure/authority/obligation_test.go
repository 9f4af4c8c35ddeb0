// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

var transfers = policy.Match{Operations: []request.Operation{request.Transfer}}

// worldWith has the wallet hot, and the first document as a change makes it.
func worldWith(t tester, change func(*policy.Document)) *world {
	t.Helper()
	d := firstDocument()
	change(&d)
	w := worldOf(t, d)
	b := request.WalletCreateBody{Wallet: "hot", Chain: evm, Scheme: request.SchemeEVM}
	w.must(t, w.effect(t, w.approved(t, request.WalletCreate, b, "bob", "carol")))
	return w
}

// rule changes the document, by whom its change plan asks.
func (w *world) rule(t tester, change func(*policy.Document)) {
	t.Helper()
	next := w.s.Doc
	next.Version, next.PrevHash = next.Version+1, next.Hash()
	change(&next)
	w.must(t, w.effect(t, w.approved(t, request.PolicyChange, request.PolicyChangeBody{Document: next.Encode()}, "bob", "carol")))
}

// lacks is the kind of problem that keeps a request waiting; empty if it is ready.
func (w *world) lacks(t tester, id custody.RequestID) problem.Kind {
	t.Helper()
	p, ok := w.s.Pending(id)
	if !ok {
		t.Fatal("the request does not wait")
	}
	if err := w.s.Ready(p, w.at(), Derive); err != nil {
		return problem.KindOf(err)
	}
	return ""
}

func (w *world) transferOf(t tester, v uint64, by ...string) custody.RequestID {
	t.Helper()
	return w.askLong(t, who("alice"), v, by...)
}

// askLong asks for a payment that has a day.
func (w *world) askLong(t tester, asks someone, v uint64, by ...string) custody.RequestID {
	t.Helper()
	r := w.request(asks, request.Transfer, payEVM(v))
	r.NotAfter = w.now/1e9 + 86400
	w.must(t, w.asked(t, asks, r))
	for _, n := range by {
		w.must(t, w.approval(t, r.ID(), who(n), request.Approve))
	}
	return r.ID()
}

func delayed(hours int64) policy.Obligation {
	return policy.Obligation{ID: "wait", When: transfers, Add: policy.Addition{Delay: hours * 3600}}
}

// A delay counts from acceptance, by the times that are surest: neither Ready nor Apply lets anything through before.
func TestDelay(t *testing.T) {
	t.Parallel()
	w := worldWith(t, func(d *policy.Document) { d.Obligations = []policy.Obligation{delayed(1)} })
	id := w.transferOf(t, 5000, "bob", "carol")
	start := w.log[w.entryAt(t, id)].leaf
	if k := w.lacks(t, id); k != problem.NotYet {
		t.Fatalf("at once: %q", k)
	}
	w.refused(t, "a permit at once", w.permit(t, id, "a", account0(0), 10))
	w.now = start.Time + start.Bound + 3600*1e9 + w.bound - 1
	if k := w.lacks(t, id); k != problem.NotYet {
		t.Fatalf("a nanosecond before: %q", k)
	}
	w.refused(t, "a permit a nanosecond early", w.permit(t, id, "a", account0(0), 10))
	w.now++
	w.must(t, w.permit(t, id, "a", account0(0), 10))

	r := w.request(who("alice"), request.Transfer, payEVM(5000))
	r.NotAfter = w.now/1e9 + 3600
	p, err := request.Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.DecideRequest(p, policy.BySignature, w.at(), Derive); err == nil || !strings.Contains(err.Error(), "notAfter comes before its end") {
		t.Fatalf("a request that ends before its delay: %v", err)
	}
}

// entryAt gives the place of a request's entry in the world's log.
func (w *world) entryAt(t tester, id custody.RequestID) int {
	t.Helper()
	p, ok := w.s.Pending(id)
	if !ok {
		t.Fatal("the request does not wait")
	}
	return slices.IndexFunc(w.log, func(x logged) bool { return x.leaf.Seq == p.Seq })
}

// An automatic route with a delay stays automatic, and waits; with a plan it is automatic no more.
func TestObligationOnAnAutomaticRoute(t *testing.T) {
	t.Parallel()
	w := worldWith(t, func(d *policy.Document) { d.Obligations = []policy.Obligation{delayed(1)} })
	id := w.askLong(t, who("service"), 5)
	e := w.entryOf(t, id)
	if !e.Decision.Auto || w.lacks(t, id) != problem.NotYet {
		t.Fatalf("%+v", e.Decision)
	}
	w.advance(2 * time.Hour)
	w.must(t, w.permit(t, id, "a", account0(0), 10))

	officers := firstDocument().Routes[2].Plan
	w = worldWith(t, func(d *policy.Document) {
		d.Obligations = []policy.Obligation{{ID: "look", When: transfers, Add: policy.Addition{Plan: &officers}}}
	})
	if e, id = w.ask(t, 5); e.Decision.Auto || e.Decision.Outcome != policy.Allowed || w.lacks(t, id) != problem.QuorumNotMet {
		t.Fatalf("%+v", e.Decision)
	}
	w.refused(t, "a permit without the plan", w.permit(t, id, "a", account0(0), 10))
	w.must(t, w.approval(t, id, who("bob"), request.Approve))
	w.must(t, w.permit(t, id, "a", account0(0), 10))
}

// A tighter document reaches what waits: its obligations, its delay from then on, its floor. Those whom it asks for may then approve.
func TestTighterDocumentReachesWhatWaits(t *testing.T) {
	t.Parallel()
	w := worldWith(t, func(d *policy.Document) {
		d.Groups = append([]policy.Group{{ID: "board", Members: []custody.PersonID{who("dave").id}}}, d.Groups...)
		d.Floor.MinDistinctUsers = 1
	})
	id := w.transferOf(t, 5000, "bob", "carol")
	if w.lacks(t, id) != "" {
		t.Fatal("not ready")
	}
	w.refused(t, "an approval by the board", w.approval(t, id, who("dave"), request.Approve))
	board := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "board", Min: 1}}}}}
	w.rule(t, func(d *policy.Document) {
		d.Obligations = []policy.Obligation{{ID: "board-too", When: transfers, Add: policy.Addition{Plan: &board, Delay: 3600}}}
	})
	if k := w.lacks(t, id); k != problem.QuorumNotMet {
		t.Fatalf("under the tighter document: %q", k)
	}
	w.must(t, w.approval(t, id, who("dave"), request.Approve))
	if k := w.lacks(t, id); k != problem.NotYet {
		t.Fatalf("with the board's approval: %q", k)
	}
	w.restores(t)
	w.advance(2 * time.Hour)
	w.must(t, w.permit(t, id, "a", account0(0), 10))
}

// A laxer document does not help what waits: plan, delay, floor and the age of approvals stay those of acceptance.
func TestLaxerDocumentHelpsNothingThatWaits(t *testing.T) {
	t.Parallel()
	w := worldWith(t, func(d *policy.Document) {
		d.Floor.MinDistinctUsers, d.Floor.MaxApprovalAge = 2, 3600
		d.Routes[1].Plan = policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 1}}}}} // the floor asks for the second
		d.Obligations = []policy.Obligation{delayed(1)}
	})
	id := w.transferOf(t, 5000, "bob")
	short := w.transferOf(t, 5000, "bob", "carol")
	w.rule(t, func(d *policy.Document) {
		d.Floor.MinDistinctUsers, d.Floor.MaxApprovalAge = 1, 7*24*3600
		d.Obligations = nil
	})
	if k := w.lacks(t, id); k != problem.QuorumNotMet {
		t.Fatalf("one approval: %q", k)
	}
	if k := w.lacks(t, short); k != problem.NotYet {
		t.Fatalf("before the delay: %q", k)
	}
	w.restores(t)
	w.advance(2 * time.Hour)
	if k := w.lacks(t, short); k != problem.QuorumNotMet {
		t.Fatalf("approvals of two hours count: %q", k)
	}
	w.refused(t, "a permit by old approvals", w.permit(t, short, "a", account0(0), 10))
	w.must(t, w.approval(t, short, who("bob"), request.Approve))
	w.must(t, w.approval(t, short, who("carol"), request.Approve))
	w.must(t, w.permit(t, short, "a", account0(0), 10))
	if fresh := w.transferOf(t, 5000, "bob"); w.lacks(t, fresh) != "" {
		t.Fatal("a new request is under the old document")
	}
}

// Who approved too early for an ordered step approves again once somebody else has; nobody does so without end.
func TestApprovingAgainInOrder(t *testing.T) {
	t.Parallel()
	w := worldWith(t, func(d *policy.Document) {
		d.Groups = append([]policy.Group{{ID: "board", Members: []custody.PersonID{who("carol").id}}}, d.Groups...)
		d.Routes[1].Plan.AnyOf = []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 1}, {Group: "board", Min: 1, Ordered: true}}}}
	})
	id := w.transferOf(t, 5000, "carol")
	w.refused(t, "the same person at once", w.approval(t, id, who("carol"), request.Approve))
	w.must(t, w.approval(t, id, who("bob"), request.Approve))
	if w.lacks(t, id) != problem.QuorumNotMet {
		t.Fatal("carol's early approval counts for the step after bob's, or bob's for none")
	}
	for range 3 {
		w.must(t, w.approval(t, id, who("carol"), request.Approve))
		if w.lacks(t, id) != "" {
			t.Fatal("it is not ready")
		}
		w.refused(t, "nobody else approved since", w.approval(t, id, who("carol"), request.Approve))
		w.must(t, w.approval(t, id, who("bob"), request.Approve))
	}
	for range 2 * maxAgain {
		for _, n := range []string{"bob", "carol"} {
			_ = w.write(w.approval(t, id, who(n), request.Approve))
		}
	}
	if p, _ := w.s.Pending(id); len(p.Approvals) > 2*maxAgain {
		t.Fatalf("%d approvals", len(p.Approvals))
	}
	w.must(t, w.permit(t, id, "a", account0(0), 10))
}

// An approval that is too old for a branch is given again.
func TestApprovalsExpireForABranch(t *testing.T) {
	t.Parallel()
	w := worldWith(t, func(d *policy.Document) { d.Routes[1].Plan.AnyOf[0].ExpiresAfter = 600 })
	id := w.transferOf(t, 5000, "bob")
	w.advance(11 * time.Minute)
	w.must(t, w.approval(t, id, who("carol"), request.Approve))
	if w.lacks(t, id) != problem.QuorumNotMet {
		t.Fatal("an approval of eleven minutes counts")
	}
	w.must(t, w.approval(t, id, who("bob"), request.Approve))
	w.must(t, w.permit(t, id, "a", account0(0), 10))
}

// Who has a veto ends a request, and does not approve it.
func TestVeto(t *testing.T) {
	t.Parallel()
	w := worldWith(t, func(d *policy.Document) {
		d.Groups = append([]policy.Group{{ID: "board", Members: []custody.PersonID{who("dave").id}}}, d.Groups...)
		d.Routes[1].Plan.AnyOf[0].Steps[0].Veto = []custody.GroupID{"board"}
	})
	id := w.transferOf(t, 5000, "bob", "carol")
	w.refused(t, "an approval by a veto", w.approval(t, id, who("dave"), request.Approve))
	w.must(t, w.approval(t, id, who("dave"), request.Reject))
	if o, ok := w.s.Done(id); !ok || o.End != EndRejected {
		t.Fatalf("%+v", o)
	}
}

// Beyond a limit that asks for a plan a request needs it besides; what passes so is used as anything else.
func TestLimitThatAsksForAPlan(t *testing.T) {
	t.Parallel()
	l := limit("day", 100, policy.Window{Rolling: 86400})
	officers := firstDocument().Routes[2].Plan
	l.Exceeded, l.Plan = policy.ByPlan, &officers
	top := limit("top", 300, policy.Window{Rolling: 86400})
	w := limitedWorld(t, l, top)
	w.pay(t, 80)
	e, id := w.ask(t, 50)
	if e.Decision.Outcome != policy.Allowed || e.Decision.Auto || len(e.Decision.Also) != 1 || e.Decision.Also[0].Rule != "day" || w.lacks(t, id) != problem.QuorumNotMet {
		t.Fatalf("beyond the limit: %+v", e.Decision)
	}
	bare := *e
	bare.Decision.Also = nil
	bare.Decision.Auto = true
	p := w.permit(t, id, "x", account0(w.s.NextNonce("hot", 0)), 10)
	w.refused(t, "without the plan's approvals", p)
	w.must(t, w.approval(t, id, who("bob"), request.Approve))
	lies := *w.permit(t, id, "x", account0(w.s.NextNonce("hot", 0)), 10)
	lies.Decision.Also = nil
	w.refused(t, "a decision that leaves the plan out", &lies)
	w.must(t, w.permit(t, id, "x", account0(w.s.NextNonce("hot", 0)), 10))
	w.restores(t)
	if e, _ = w.ask(t, 100); e.Decision.Auto || e.Decision.Outcome != policy.Allowed {
		t.Fatalf("what passed by plan is not used: %+v", e.Decision)
	}
	w.denied(t, 171, "top")
	w.advance(48 * time.Hour)
	w.must(t, &entry.Snapshot{Root: w.s.StateRoot()}) // ends what is past its time
	w.pay(t, 80)
}

// Time and temperature are recorded with the facts, decided again at the permit, and by Audit.
func TestTimeAndTemperatureInFacts(t *testing.T) {
	t.Parallel()
	w := worldWith(t, func(d *policy.Document) {
		d.Calendars = []policy.Calendar{{ID: "office", Offsets: []policy.Offset{{}}, Weekly: []policy.Hours{{Days: []uint{1, 2, 3, 4, 5, 6, 7}, From: 0, To: 720}}}}
		d.Guards = append(d.Guards, policy.Guard{ID: "night", Effect: policy.Deny, When: policy.Match{Operations: []request.Operation{request.Transfer},
			Temperatures: []request.Temperature{request.Hot}, Time: &policy.TimeMatch{Outside: "office"}}})
	})
	day := int64(24 * 3600 * 1e9)
	w.now += day - w.now%day + 11*3600*1e9 // 11:00 of the next day
	id := w.askLong(t, who("alice"), 5000, "bob", "carol")
	f := w.entryOf(t, id).Facts.Around
	if f == nil || f.Temperature != request.Hot || f.Earliest > w.now/1e9 || f.Latest < w.now/1e9-1 {
		t.Fatalf("%+v", f)
	}
	if w.lacks(t, id) != "" {
		t.Fatal("not ready in the morning")
	}
	w.advance(time.Hour) // noon, give or take
	if w.lacks(t, id) != problem.RefusedByRule {
		t.Fatal("ready at noon, when the clock may be past it")
	}
	w.advance(13 * time.Hour)
	if w.lacks(t, id) != "" {
		t.Fatal("not ready at night, when the office is open again")
	}
	w.must(t, w.permit(t, id, "a", account0(0), 10))
}
