// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

// told is a report that the wallet hot gives coins.
func (w *world) told(t tester, out uint64) *simulation.Report {
	t.Helper()
	hot, _, ok := w.s.Wallet("hot")
	if !ok {
		t.Fatal("there is no wallet")
	}
	d, err := Derive(hot, entry.KeyPath{})
	if err != nil {
		t.Fatal(err)
	}
	r := &simulation.Report{V: 1, Chain: evm, Address: d.Address, Status: simulation.OK, Block: 3, BlockHash: make([]byte, 32)}
	if out > 0 {
		r.Changes = []simulation.Change{{Asset: simulation.Coin(evm), Out: custody.U64(out)}}
	}
	return r
}

// drawTold draws what comes beside a request: mostly nothing, sometimes what is about something else.
func (d *driver) drawTold(t *rapid.T) *simulation.Report {
	if _, _, ok := d.s.Wallet("hot"); !ok || !rapid.Bool().Draw(t, "told") {
		return nil
	}
	r := d.told(t, rapid.Uint64Range(0, 9).Draw(t, "told out"))
	switch {
	case seldom(t, "told nothing"):
		r = simulation.Unsaid(evm, r.Address, simulation.Unreachable)
	case seldom(t, "told of another"):
		r.Address = known
	case seldom(t, "told badly"):
		r.V = 9
	}
	return r
}

// wrongTold is a report that no entry may have.
func (d *driver) wrongTold(t *rapid.T, e *entry.Request) *simulation.Report {
	r := &simulation.Report{V: 1, Chain: evm, Address: known, Status: simulation.OK, BlockHash: make([]byte, 32)}
	if e.Effects.Source != "" && rapid.Bool().Draw(t, "malformed") {
		r.Address, r.Status = e.Effects.Source, "fine"
	}
	return r
}

// askTold asks for a payment as alice, with a report beside it, and has it approved.
func (w *world) askTold(t tester, r *simulation.Report, by ...string) (*entry.Request, custody.RequestID) {
	t.Helper()
	x := w.request(who("alice"), request.Transfer, payEVM(5))
	e := w.askedWith(t, x, r)
	w.must(t, e)
	for _, n := range by {
		w.must(t, w.approval(t, x.ID(), who(n), request.Approve))
	}
	return e, x.ID()
}

func (w *world) askedWith(t tester, x request.Request, r *simulation.Report) *entry.Request {
	t.Helper()
	p, err := request.Parse(x.Encode())
	if err != nil {
		t.Fatal(err)
	}
	e, err := w.s.DecideRequestWith(p, policy.BySignature, r, w.at(), Derive)
	if err != nil {
		t.Fatal(err)
	}
	e.Evidence = evidence(who("alice"), p)
	return e
}

// wary asks for dave too where a simulation says that something is given which was not asked for.
func wary(d *policy.Document) {
	p := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "dave-alone", Min: 1}}}}}
	d.Groups = append(d.Groups, policy.Group{ID: "dave-alone", Members: []custody.PersonID{who("dave").id}})
	slices.SortFunc(d.Groups, func(a, b policy.Group) int { return strings.Compare(string(a.ID), string(b.ID)) })
	d.Obligations = []policy.Obligation{{ID: "look", When: policy.Match{Simulation: &policy.SimulationMatch{Unexpected: true}}, Add: policy.Addition{Plan: &p}}}
}

// A request keeps the report that it came with: for its own decision and for every one after it.
func TestReportStaysWithTheRequest(t *testing.T) {
	t.Parallel()
	w := worldWith(t, wary)
	for _, c := range []struct {
		name  string
		r     *simulation.Report
		needs bool // dave's approval
	}{
		{"none", nil, true},
		{"as asked", w.told(t, 5), false},
		{"more than asked", w.told(t, 6), true},
		{"unknown", simulation.Unsaid(evm, w.told(t, 0).Address, simulation.Rejected), true},
	} {
		e, id := w.askTold(t, c.r, "bob", "carol")
		if canon.Hash(canon.TagPolicy, e.Facts.Simulation) != canon.Hash(canon.TagPolicy, c.r) {
			t.Errorf("%s: the entry has another report", c.name)
		}
		if k := w.lacks(t, id); (k == problem.QuorumNotMet) != c.needs {
			t.Errorf("%s: %q is missing", c.name, k)
		}
		p, _ := w.s.Pending(id)
		if p.Simulation.Size() != c.r.Size() || p.size() != len(p.Request)+c.r.Size() {
			t.Errorf("%s: what waits has another report", c.name)
		}
		if c.needs {
			w.must(t, w.approval(t, id, who("dave"), request.Approve))
		}
		if k := w.lacks(t, id); k != "" {
			t.Errorf("%s: %q is missing in the end", c.name, k)
		}
		w.must(t, w.permit(t, id, c.name, account0(w.s.NextNonce("hot", 0)), 10))
	}
}

// What is about something else, or malformed, counts as none and is not recorded; an entry that has it is refused.
func TestReportsAboutSomethingElse(t *testing.T) {
	t.Parallel()
	w := worldWith(t, wary)
	good := w.told(t, 5)
	for name, spoil := range map[string]func(*simulation.Report){
		"address": func(r *simulation.Report) { r.Address = known }, "chain": func(r *simulation.Report) { r.Chain = "eip155:1"; r.Changes = nil }, "version": func(r *simulation.Report) { r.V = 2 },
	} {
		r := *good
		spoil(&r)
		x := w.request(who("alice"), request.Transfer, payEVM(5))
		e := w.askedWith(t, x, &r)
		if e.Facts.Simulation != nil || !slices.Contains(e.Decision.Obligations, "look") {
			t.Errorf("%s: %+v", name, e.Facts.Simulation)
		}
		e.Facts.Simulation = &r
		w.refused(t, name, e)
	}
	x := w.request(who("alice"), request.WalletCreate, request.WalletCreateBody{Wallet: "new", Chain: evm, Scheme: request.SchemeEVM})
	e := w.askedWith(t, x, good)
	if e.Facts.Simulation != nil {
		t.Error("a report beside what no simulation tells of is recorded")
	}
	e.Facts.Simulation = good
	w.refused(t, "a report of no transfer", e)
	for name, b := range map[string][]byte{"empty": nil, "no report": {1}, "too long": make([]byte, simulation.MaxReport+1)} {
		if ReadSimulation(b) != nil {
			t.Errorf("%s is read", name)
		}
	}
	if ReadSimulation(good.Encode()) == nil {
		t.Error("a report is not read")
	}
}

// Rules that are tightened while a request waits look at the report that it came with: nobody can bring another.
func TestTightenedRulesLookAtTheSameReport(t *testing.T) {
	t.Parallel()
	w := worldWith(t, func(*policy.Document) {})
	_, good := w.askTold(t, w.told(t, 5), "bob", "carol")
	_, bad := w.askTold(t, w.told(t, 6), "bob", "carol")
	_, none := w.askTold(t, nil, "bob", "carol")
	for _, id := range []custody.RequestID{good, bad, none} {
		if k := w.lacks(t, id); k != "" {
			t.Fatalf("%q is missing before", k)
		}
	}
	w.rule(t, wary)
	if k := w.lacks(t, good); k != "" {
		t.Errorf("%q is missing of what gives what it says", k)
	}
	for name, id := range map[string]custody.RequestID{"gives more": bad, "has no report": none} {
		if k := w.lacks(t, id); k != problem.QuorumNotMet {
			t.Errorf("%s: %q is missing", name, k)
		}
		w.must(t, w.approval(t, id, who("dave"), request.Approve)) // who has a say by the rules of now
		if k := w.lacks(t, id); k != "" {
			t.Errorf("%s: %q is missing with dave", name, k)
		}
	}
}

// Audit makes the decision again from the report that is recorded, and finds one that was put in its place.
func TestAuditOfReports(t *testing.T) {
	t.Parallel()
	w := worldWith(t, wary)
	e := w.askedWith(t, w.request(who("alice"), request.Transfer, payEVM(5)), w.told(t, 6))
	if err := w.s.Audit(w.leaf(e), e, Derive, nil); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]*simulation.Report{"a kinder one": w.told(t, 5), "none": nil, "of another address": {V: 1, Chain: evm, Address: known, Status: simulation.OK, BlockHash: make([]byte, 32)}} {
		x := *e
		x.Facts.Simulation = r
		// Without one the same is needed, and the entry is a good one; that it is another is for the tree to show.
		if err := w.s.Audit(w.leaf(&x), &x, Derive, nil); (err == nil) != (name == "none") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A replay looks at the reports that were recorded.
func TestReplayWithReports(t *testing.T) {
	t.Parallel()
	w := worldWith(t, wary)
	w.askTold(t, w.told(t, 5), "bob", "carol")
	w.askTold(t, w.told(t, 6), "bob", "carol")
	for _, c := range []struct {
		change func(*policy.Document)
		differ int
	}{
		{func(*policy.Document) {}, 0},
		{func(d *policy.Document) { d.Obligations = nil }, 1},
		{func(d *policy.Document) {
			d.Obligations[0].When.Simulation = &policy.SimulationMatch{OutOver: []policy.Outgo{{Asset: simulation.Coin(evm), Amount: custody.U64(1)}}}
		}, 1},
	} {
		next := w.s.Doc
		next.Obligations = slices.Clone(next.Obligations)
		c.change(&next)
		p, err := NewReplay(next, w.s.docs[len(w.s.docs)-1]+1)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range w.log {
			if err := p.Add(x.leaf, x.hash, x.body); err != nil {
				t.Fatal(err)
			}
		}
		if got := p.Report(); len(got.Differ) != c.differ {
			t.Errorf("%d decisions differ, want %d: %+v", len(got.Differ), c.differ, got.Differ)
		}
	}
}

// A call of many that hides a transfer: the report is of the whole call, whatever rule about its movements looks at it.
func TestReportOfACall(t *testing.T) {
	t.Parallel()
	w := worldWith(t, wary)
	w.s.life.Allowed = w.s.life.Allowed.Or(callPoints)
	r := w.told(t, 0)
	usd, err := eth.ParseAddress(tokenAt)
	if err != nil {
		t.Fatal(err)
	}
	for out, odd := range map[uint64]bool{0: false, 7: true} {
		x := *r
		if out > 0 {
			x.Changes = []simulation.Change{{Asset: simulation.ERC20(evm, usd), Out: custody.U64(out)}}
		}
		e := w.askedWith(t, w.request(who("alice"), request.ContractCall, nestedTransfer(t, 7)), &x)
		// The tokens that the call moves are those of the contract that makes many calls, not the wallet's.
		if e.Decision.Outcome != policy.Allowed || slices.Contains(e.Decision.Obligations, "look") != odd {
			t.Errorf("gives %d: %+v", out, e.Decision)
		}
		w.must(t, e)
	}
}
