// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// explained explains what was asked, and fails if that changes the state.
func (w *world) explained(t tester, asked Asked, p *Pending) *Explanation {
	t.Helper()
	before := w.s.StateRoot()
	x, err := w.s.Explain(asked, p, nil, w.at(), Derive)
	if err != nil {
		t.Fatal(err)
	}
	if w.s.StateRoot() != before {
		t.Fatal("explaining changed the state")
	}
	return x
}

func (w *world) simulated(t tester, by someone, v uint64) *Explanation {
	t.Helper()
	r := w.request(by, request.Transfer, payEVM(v))
	p, err := request.Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	return w.explained(t, Asked{Request: p, Kind: policy.BySignature}, nil)
}

func TestExplainIsWhatIsDecided(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		w := limitedWorld(t, limit("hour", 300, policy.Window{Rolling: 3600}), limit("each", 200, policy.Window{Rolling: 86400}, policy.ByInitiator))
		for range rapid.IntRange(1, 6).Draw(t, "payments") {
			by, v := rapid.SampledFrom([]string{"alice", "service"}).Draw(t, "by"), rapid.Uint64Range(1, 250).Draw(t, "amount")
			x := w.simulated(t, who(by), v)
			r := w.request(who(by), request.Transfer, payEVM(v))
			e := w.asked(t, who(by), r)
			if !bytes.Equal(canon.Encode(x.Decision), canon.Encode(e.Decision)) {
				t.Fatalf("simulated %+v, decided %+v", x.Decision, e.Decision)
			}
			if passed := slices.ContainsFunc(x.Limits, func(u LimitUse) bool { return u.Passed }); passed != (e.Decision.Outcome != policy.Allowed) {
				t.Fatalf("limits %+v, decided %+v", x.Limits, e.Decision)
			}
			w.must(t, e)
			if p, ok := w.s.Pending(r.ID()); ok {
				asked, err := p.Asked()
				if err != nil {
					t.Fatal(err)
				}
				// What it holds of limits is its own to take: while nothing else changes it is decided as before.
				if again := w.explained(t, asked, p); again.Decision.Outcome != policy.Allowed || again.Limits[0].Passed {
					t.Fatalf("%+v", again.Decision)
				}
			}
			w.advance(time.Duration(rapid.Int64Range(0, 3000).Draw(t, "seconds")) * time.Second)
		}
	})
}

func TestExplainNamesEveryRule(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("hour", 300, policy.Window{Rolling: 3600}))
	x := w.simulated(t, who("alice"), 5)
	saw := map[string]policy.Considered{}
	for _, c := range x.Considered {
		saw[c.Section+" "+c.Rule] = c
	}
	if want := len(w.s.Doc.Guards) + len(w.s.Doc.Routes) + len(w.s.Doc.Limits); len(saw) != want {
		t.Errorf("%d rules were told of, the document has %d", len(saw), want)
	}
	for rule, want := range map[string]policy.Considered{
		"guards known-only": {Criterion: "destination.not", Observed: "1 destinations"},
		"routes auto":       {Criterion: "initiator.principals", Observed: string(who("alice").id)},
		"routes pay":        {Matches: true, Criterion: "operation", Observed: "transfer"},
		"routes wallets":    {Criterion: "operation", Observed: "transfer"},
		"limits hour":       {Matches: true, Criterion: "asset.ids", Observed: string(evm.Native())},
	} {
		if got := saw[rule]; got.Matches != want.Matches || got.Unknown || got.Criterion != want.Criterion || got.Observed != want.Observed {
			t.Errorf("%s: %+v", rule, got)
		}
	}
	if len(x.Plans) != 1 || x.Plans[0].Met || x.Plans[0].Rule != "pay" || x.Plans[0].Branches[0].Steps[0].Have != 0 || x.Plans[0].Branches[0].Steps[0].Min != 2 {
		t.Errorf("%+v", x.Plans)
	}
	if len(x.Limits) != 1 || x.Limits[0].Takes != custody.U64(5) || x.Limits[0].Meter.Left != custody.U64(300) {
		t.Errorf("%+v", x.Limits)
	}
}

// TestExplainCountsApprovals: by group, and by the plan of acceptance too where the rules have changed since.
func TestExplainCountsApprovals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.request(who("alice"), request.Transfer, payEVM(2000))
	w.must(t, w.asked(t, who("alice"), r))
	w.must(t, w.approval(t, r.ID(), who("bob"), request.Approve))
	p, _ := w.s.Pending(r.ID())
	asked, err := p.Asked()
	if err != nil {
		t.Fatal(err)
	}
	x := w.explained(t, asked, p)
	step := x.Plans[0].Branches[0].Steps[0]
	if x.Then != nil || step.Have != 1 || step.Min != 2 || !slices.Equal(step.By, []custody.PersonID{who("bob").id}) || x.Plans[0].Met {
		t.Fatalf("%+v %+v", x.Plans, x.Then)
	}
	next := w.s.Doc
	next.Version, next.PrevHash, next.Routes = next.Version+1, next.Hash(), slices.Clone(next.Routes)
	next.Routes[1].Plan = policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 1}}}}}
	w.must(t, w.effect(t, w.approved(t, request.PolicyChange, request.PolicyChangeBody{Document: next.Encode()}, "bob", "carol")))
	p, _ = w.s.Pending(r.ID())
	if x = w.explained(t, asked, p); !x.Plans[0].Met || len(x.Then) != 1 || x.Then[0].Met {
		t.Fatalf("now %+v, then %+v", x.Plans, x.Then)
	}
}

// TestMetersTellWhatIsCounted: used, reserved, left, and when the oldest use is gone: from then on there is as much more, and not before.
func TestMetersTellWhatIsCounted(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("hour", 100, policy.Window{Rolling: 3600}), limit("ever", 1000, policy.Window{}, policy.BySource),
		policy.Limit{ID: "idle", Measure: policy.MeasureCount, Max: custody.U64(7), GroupBy: []policy.Aspect{policy.ByInitiator}, Exceeded: policy.Deny,
			When: policy.Match{Operations: []request.Operation{request.WarmOpen}}})
	w.pay(t, 60)
	w.must(t, w.asked(t, who("alice"), w.request(who("alice"), request.Transfer, payEVM(30))))
	names := w.s.MeterNames("")
	slices.SortFunc(names, CompareMeters)
	var got []Meter
	for _, n := range names {
		m, ok := w.s.Meter(n, w.at())
		if !ok {
			t.Fatalf("%+v", n)
		}
		got = append(got, m)
	}
	if len(got) != 3 || got[0].Limit != "ever" || !slices.Equal(got[0].Group, []string{"hot"}) || got[0].Frees != 0 || got[0].Left != custody.U64(910) ||
		got[1].Limit != "hour" || got[1].Used != custody.U64(60) || got[1].Reserved != custody.U64(30) || got[1].Left != custody.U64(10) ||
		got[2].Limit != "idle" || got[2].Group != nil || got[2].Left != custody.U64(7) {
		t.Fatalf("%+v", got)
	}
	frees := got[1].Frees * 1e9
	if least := w.now + 3600*1e9; frees < least || frees > least+62*1e9 {
		t.Fatalf("it says that the use of %d is gone at %d", w.now, frees)
	}
	w.now = frees - 1e9
	if m, _ := w.s.Meter(MeterName{Limit: "hour"}, w.at()); m.Used != custody.U64(60) {
		t.Errorf("before: %+v", m)
	}
	w.now = frees + w.bound
	if m, _ := w.s.Meter(MeterName{Limit: "hour"}, w.at()); !m.Used.IsZero() || m.Frees != 0 {
		t.Errorf("after: %+v", m)
	}
	if only := w.s.MeterNames("ever"); len(only) != 1 || only[0].Limit != "ever" {
		t.Errorf("%+v", only)
	}
	if _, ok := w.s.Meter(MeterName{Limit: "nothing"}, w.at()); ok {
		t.Error("a limit that is not in the document was told of")
	}
	w.s.useUp(entry.Leaf{Time: w.now, Bound: w.bound}) // as after a gap
	if m, _ := w.s.Meter(MeterName{Limit: "ever", Group: []string{"hot"}}, w.at()); !m.Left.IsZero() {
		t.Errorf("after a gap: %+v", m)
	}
}
