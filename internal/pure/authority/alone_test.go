// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// takesAway asks as somebody and, where nobody else need agree, does it.
func (w *world) takesAway(t tester, by string, op request.Operation, body any) (*entry.Request, custody.RequestID) {
	t.Helper()
	r := w.request(who(by), op, body)
	e := w.asked(t, who(by), r)
	w.must(t, e)
	if e.Decision.Outcome == policy.Allowed && e.Decision.Auto {
		w.must(t, w.effect(t, r.ID()))
	}
	return e, r.ID()
}

// isAlone says in words how a decision came out.
func isAlone(e *entry.Request) string {
	out := string(e.Decision.Outcome)
	if e.Decision.Auto {
		return out + " alone"
	}
	for _, x := range e.Decision.Also {
		out += " " + x.Rule
	}
	return out
}

// One person alone blocks so many addresses a day, and suspends so many entries; more need the plan for the address book, with whose approvals they are
// done. Others are not held up, and the next day the same person is not either.
func TestWhatOnePersonDoesAloneIsBounded(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		rule  string
		op    request.Operation
		body  func(n int) any
		ready func(w *world)
	}{
		"blacklist_add": {policy.RuleBlacklist, request.BlacklistAdd, func(n int) any { return request.BlacklistAddBody{Chain: evm, Address: addressOf(n)} }, func(*world) {}},
		"whitelist_suspend": {policy.RuleSuspended, request.WhitelistSuspend, func(n int) any { return request.WhitelistSuspendBody{ID: fmt.Sprintf("e%d", n)} }, func(w *world) {
			for n := range policy.MaxAlone + 6 {
				w.s.book.insert(&bookRecord{BookEntry: policy.BookEntry{ID: fmt.Sprintf("e%d", n), Chain: evm, Address: addressOf(16 * n)}, since: 1})
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := ledgerWorld(t, nil)
			x.ready(w)
			for n := range policy.MaxAlone {
				if e, _ := w.takesAway(t, "bob", x.op, x.body(n)); isAlone(e) != "allow alone" {
					t.Fatalf("number %d: %s", n+1, isAlone(e))
				}
			}
			e, id := w.takesAway(t, "bob", x.op, x.body(policy.MaxAlone))
			if isAlone(e) != "allow "+x.rule || e.Decision.Rule != policy.RuleWhitelistPlan {
				t.Fatalf("one more: %s by %s", isAlone(e), e.Decision.Rule)
			}
			if k := w.lacks(t, id); k != problem.QuorumNotMet {
				t.Fatalf("one more, without approvals: %q", k)
			}
			if m, ok := w.s.Meter(MeterName{x.rule, []string{string(who("bob").id)}}, w.at()); !ok || m.Used != custody.U64(policy.MaxAlone) || !m.Left.IsZero() {
				t.Errorf("the meter: %+v, %t", m, ok)
			}
			alone := *e
			alone.Decision.Auto, alone.Decision.Also, alone.Decision.Plan = true, nil, policy.Plan{}
			r := w.request(who("bob"), x.op, x.body(policy.MaxAlone+5))
			forged := w.asked(t, who("bob"), r)
			forged.Decision = alone.Decision
			w.refused(t, "an entry that says it needs nobody", forged)
			if e, _ := w.takesAway(t, "carol", x.op, x.body(policy.MaxAlone+1)); isAlone(e) != "allow alone" {
				t.Fatalf("somebody else: %s", isAlone(e))
			}
			for _, by := range []string{"alice", "carol"} {
				w.must(t, w.approval(t, id, who(by), request.Approve))
			}
			w.must(t, w.effect(t, id))
			w.advance(23 * time.Hour)
			if e, _ := w.takesAway(t, "bob", x.op, x.body(policy.MaxAlone+2)); isAlone(e) != "allow "+x.rule {
				t.Fatalf("after 23 hours: %s", isAlone(e))
			}
			w.advance(2 * time.Hour)
			if e, _ := w.takesAway(t, "bob", x.op, x.body(policy.MaxAlone+3)); isAlone(e) != "allow alone" {
				t.Fatalf("a day later: %s", isAlone(e))
			}
			if name == "blacklist_add" { // the other's entries are in no log
				w.restores(t)
				w.audited(t)
			}
		})
	}
}

// The limits on what one person does alone count on beside whatever meters there are, over changes of the document, and are not used up by a gap: what takes
// power away finds room.
func TestTakingAwayFindsRoom(t *testing.T) {
	t.Parallel()
	w := ledgerWorld(t, nil)
	for n := range MaxMeters {
		w.s.meters[meterKey{byte(n), byte(n >> 8), byte(n >> 16), 1}] = &meter{}
	}
	if e := w.asked(t, who("bob"), w.request(who("bob"), request.BlacklistAdd, request.BlacklistAddBody{Chain: evm, Address: addressOf(1)})); isAlone(e) != "allow alone" {
		t.Errorf("with all meters taken: %s", isAlone(e))
	}
	w = ledgerWorld(t, nil)
	for n := range policy.MaxAlone {
		w.takesAway(t, "bob", request.BlacklistAdd, request.BlacklistAddBody{Chain: evm, Address: addressOf(n)})
	}
	w.rule(t, func(d *policy.Document) { d.Floor.MaxApprovalAge-- })
	if e, _ := w.takesAway(t, "bob", request.BlacklistAdd, request.BlacklistAddBody{Chain: evm, Address: addressOf(99)}); isAlone(e) != "allow "+policy.RuleBlacklist {
		t.Errorf("after another document: %s", isAlone(e))
	}
	w.s.useUp(entry.Leaf{Time: w.now, Bound: w.bound})
	if e, _ := w.takesAway(t, "carol", request.BlacklistAdd, request.BlacklistAddBody{Chain: evm, Address: addressOf(98)}); isAlone(e) != "allow alone" {
		t.Errorf("after a gap: %s", isAlone(e))
	}
	if !slices.ContainsFunc(w.s.MeterNames(policy.RuleBlacklist), func(m MeterName) bool { return m.Group[0] == string(who("bob").id) }) {
		t.Error("the meter is not listed")
	}
}
