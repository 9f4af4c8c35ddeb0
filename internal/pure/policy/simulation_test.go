// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

const (
	soldCoin  = simulation.Asset(ether)
	soldToken = simulation.Asset("eip155:1/erc20:" + vendor)
)

// said is a report that an address gives and gets what is listed.
func said(changes ...simulation.Change) *simulation.Report {
	slices.SortFunc(changes, func(a, b simulation.Change) int { return strings.Compare(string(a.Asset), string(b.Asset)) })
	return &simulation.Report{V: 1, Chain: chain, Address: bank, Status: simulation.OK, Block: 5, BlockHash: make([]byte, 32), Changes: changes}
}

func gives(a simulation.Asset, n uint64) simulation.Change {
	return simulation.Change{Asset: a, Out: custody.U64(n)}
}

func fails() *simulation.Report {
	return &simulation.Report{V: 1, Chain: chain, Address: bank, Status: simulation.Reverted, Block: 5, BlockHash: make([]byte, 32)}
}

// drawReport gives any report, or none.
func drawReport(t *rapid.T, label string) *simulation.Report {
	switch rapid.IntRange(0, 5).Draw(t, label) {
	case 0:
		return nil
	case 1:
		return simulation.Unsaid(chain, bank, simulation.Unsupported)
	case 2:
		return fails()
	}
	r := said()
	for _, a := range some(t, label+" assets", soldToken, soldCoin) {
		c := simulation.Change{Asset: a, Out: custody.U64(rapid.SampledFrom([]uint64{0, 1, 10, 56, 3000}).Draw(t, label+" out"))}
		if c.Out.IsZero() {
			c.In = custody.U64(1)
		}
		r.Changes = append(r.Changes, c)
	}
	if rapid.Bool().Draw(t, label+" approves") {
		r.Approvals = []simulation.Approval{{Contract: vendor, Spender: broker, Amount: custody.U64(1)}}
	}
	if rapid.IntRange(0, 9).Draw(t, label+" of another chain") == 0 {
		r.Chain = custody.EVMChain(10)
	}
	return r
}

func drawSimulationMatch(t *rapid.T) *policy.SimulationMatch {
	m := &policy.SimulationMatch{AnyApproval: rapid.Bool().Draw(t, "anyApproval"), Reverted: rapid.Bool().Draw(t, "reverted"), Unexpected: rapid.Bool().Draw(t, "unexpected"), Unknown: rapid.Bool().Draw(t, "unknown")}
	for _, a := range some(t, "outOver", soldToken, soldCoin) {
		m.OutOver = append(m.OutOver, policy.Outgo{Asset: a, Amount: custody.U64(rapid.SampledFrom([]uint64{0, 9, 100}).Draw(t, "over"))})
	}
	if canon.Hash(canon.TagPolicy, m) == canon.Hash(canon.TagPolicy, &policy.SimulationMatch{}) {
		m.Unexpected = true
	}
	return m
}

// needs says whether one decision asks for at least what another does, field by field.
func needs(more, less policy.Decision) error {
	switch {
	case less.Outcome != policy.Allowed && more.Outcome == policy.Allowed:
		return fmt.Errorf("allowed where it was %s", less.Outcome)
	case more.Outcome != policy.Allowed:
		return nil
	case more.Delay < less.Delay:
		return fmt.Errorf("delay %d, less than %d", more.Delay, less.Delay)
	case less.Needs != nil && (more.Needs == nil || more.Needs.MinGroups < less.Needs.MinGroups):
		return fmt.Errorf("fewer groups")
	case more.Auto && !less.Auto:
		return fmt.Errorf("automatic")
	case !less.Auto && !bytes.Equal(canon.Encode(more.Plan), canon.Encode(less.Plan)) && !besides(less):
		return fmt.Errorf("another plan")
	case !bytes.Equal(canon.Encode(more.FeeCap), canon.Encode(less.FeeCap)):
		return fmt.Errorf("another fee cap")
	}
	for _, id := range less.Obligations {
		if !slices.Contains(more.Obligations, id) {
			return fmt.Errorf("obligation %s is gone", id)
		}
	}
	for _, x := range less.Also {
		if !slices.ContainsFunc(more.Also, func(y policy.Requirement) bool { return bytes.Equal(canon.Encode(x), canon.Encode(y)) }) {
			return fmt.Errorf("the plan of %s is gone", x.Rule)
		}
	}
	return nil
}

// besides says whether a decision was automatic without a plan that it needs besides, which then stands for its own too.
func besides(d policy.Decision) bool {
	return slices.ContainsFunc(d.Also, func(x policy.Requirement) bool {
		return x.Told && bytes.Equal(canon.Encode(x.Plan), canon.Encode(d.Plan))
	})
}

// drawCall makes facts a contract call that names some movements.
func drawCall(t *rapid.T, f policy.Facts) policy.Facts {
	f.Operation, f.Asset = request.ContractCall, ether
	f.Destinations = []policy.Destination{{Address: vendor, Kind: policy.OneTime, Amount: custody.U64(rapid.SampledFrom([]uint64{0, 10}).Draw(t, "value"))}}
	f.Total = f.Destinations[0].Amount
	f.Call = &request.CallEffects{Calls: []request.CallNode{{Contract: vendor, Selector: "0x01020304"}}}
	if rapid.Bool().Draw(t, "moves") {
		f.Call.Movements = []request.Movement{{Asset: custody.AssetID(soldToken), From: rapid.SampledFrom([]string{bank, broker}).Draw(t, "from"), To: thief, Amount: custody.U64(10)}}
	}
	return f
}

// TestSimulationOnlyAdds: whatever a report says, a decision needs at least what it needs without the obligations that look at simulations; and no report is
// worse than none.
func TestSimulationOnlyAdds(t *testing.T) {
	t.Parallel()
	added, spared := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		d := drawDocument(t)
		d.Whitelist = nil // a call's destinations would have to be listed
		without := drawObligations(t, d)
		without.Routes = append(slices.Clone(without.Routes), policy.Route{ID: "calls", Priority: 4_000_000, When: policy.Match{Operations: []request.Operation{request.ContractCall}}, Plan: drawPlan(t, d)})
		with := without
		with.Obligations = slices.Clone(without.Obligations)
		for i := range rapid.IntRange(1, 2).Draw(t, "looking") {
			o := policy.Obligation{ID: fmt.Sprintf("look%d", i), When: policy.Match{Simulation: drawSimulationMatch(t)}, Add: policy.Addition{Delay: rapid.Int64Range(1, 40).Draw(t, "wait")}}
			if rapid.Bool().Draw(t, "ask") {
				p := drawPlan(t, d)
				o.Add.Plan = &p
			}
			with.Obligations = append(with.Obligations, o)
		}
		before, err := policy.Compile(without)
		if err != nil {
			t.Skip(err.Error())
		}
		after, err := policy.Compile(with)
		if err != nil {
			t.Skip(err.Error())
		}
		for range 16 {
			f := drawFacts(t, d)
			if rapid.IntRange(0, 2).Draw(t, "call") == 0 && f.Operation == request.Transfer {
				f = drawCall(t, f)
			}
			base, worst := before.Evaluate(f), after.Evaluate(f)
			if err := needs(worst, base); err != nil {
				t.Fatalf("no report: %v", err)
			}
			for _, label := range []string{"a", "b"} {
				if f.Simulation = drawReport(t, label); !bytes.Equal(canon.Encode(before.Evaluate(f)), canon.Encode(base)) {
					t.Fatal("rules that don't look at simulations decide otherwise with a report")
				}
				x := after.Evaluate(f)
				if err := needs(x, base); err != nil {
					t.Fatalf("%v\n%+v\n%s\n%s", err, f.Simulation, describe(base), describe(x))
				}
				if votes := drawVotes(t, "votes", d); x.Outcome == policy.Allowed {
					if met, _ := x.Met(after, f.Initiator, votes); met {
						if was, unmet := base.Met(before, f.Initiator, votes); !was {
							t.Fatalf("votes meet it with a report and not without: %v", unmet)
						}
					}
				}
				if err := needs(worst, x); err != nil {
					t.Fatalf("a report is worse than none: %v\n%+v", err, f.Simulation)
				}
				if len(x.Obligations) > len(base.Obligations) {
					added++
				}
				if len(x.Obligations) < len(worst.Obligations) {
					spared++
				}
			}
		}
	})
	t.Logf("%d reports added something, %d less than none would have", added, spared)
	if added == 0 || spared == 0 {
		t.Error("nothing was added, or nothing depends on the report")
	}
}

// watching is a document whose one obligation looks at simulations.
func watching(m policy.SimulationMatch) policy.Document {
	d := sample()
	d.Obligations = []policy.Obligation{{ID: "look", When: policy.Match{Simulation: &m}, Add: policy.Addition{Delay: 60}}}
	return d
}

func TestSimulationMatch(t *testing.T) {
	t.Parallel()
	f := facts(person(1), "hot", "30")
	f.Asset, f.Chain = ether, chain
	approval := said()
	approval.Approvals = []simulation.Approval{{Contract: vendor, Spender: broker, All: true}}
	elsewhere := said()
	elsewhere.Chain = custody.EVMChain(10)
	all := policy.SimulationMatch{OutOver: []policy.Outgo{{Asset: soldToken, Amount: custody.U64(5)}}, AnyApproval: true, Reverted: true, Unexpected: true, Unknown: true}
	for _, c := range []struct {
		name string
		m    policy.SimulationMatch
		r    *simulation.Report
		want string // what the rule is said to see; empty: it does not match
	}{
		{"nothing of it", all, said(gives(soldCoin, 30)), ""},
		{"gets something", all, said(simulation.Change{Asset: soldToken, In: custody.U64(500)}), ""},
		{"no report", all, nil, "no report"},
		{"no report, of what is given", policy.SimulationMatch{OutOver: all.OutOver}, nil, "nothing is known"},
		{"no report, of power", policy.SimulationMatch{AnyApproval: true}, nil, "nothing is known"},
		{"no report, of failure", policy.SimulationMatch{Reverted: true}, nil, "nothing is known"},
		{"no report, of surprises", policy.SimulationMatch{Unexpected: true}, nil, "nothing is known"},
		{"of another chain", policy.SimulationMatch{Unexpected: true}, elsewhere, "nothing is known"},
		{"unknown", policy.SimulationMatch{Unknown: true}, simulation.Unsaid(chain, bank, simulation.Unsupported), "no-method"},
		{"unknown, of power", policy.SimulationMatch{AnyApproval: true}, simulation.Unsaid(chain, bank, simulation.Unsupported), "nothing is known"},
		{"known", policy.SimulationMatch{Unknown: true}, said(), ""},
		{"fails", policy.SimulationMatch{Reverted: true}, fails(), "it would fail"},
		{"fails, of power", policy.SimulationMatch{AnyApproval: true}, fails(), "what else it would do is not known"},
		{"fails, and that is known", policy.SimulationMatch{Unknown: true}, fails(), ""},
		{"as much as is allowed", policy.SimulationMatch{OutOver: all.OutOver}, said(gives(soldToken, 5)), ""},
		{"more", policy.SimulationMatch{OutOver: all.OutOver}, said(gives(soldToken, 6)), "gives 6 of " + string(soldToken)},
		{"power", policy.SimulationMatch{AnyApproval: true}, approval, broker + " may take tokens of " + vendor},
		{"what the transfer says", policy.SimulationMatch{Unexpected: true}, said(gives(soldCoin, 30)), ""},
		{"more than the transfer says", policy.SimulationMatch{Unexpected: true}, said(gives(soldCoin, 31)), "gives 31 of " + string(soldCoin) + ", and the request says 30"},
		{"another asset", policy.SimulationMatch{Unexpected: true}, said(gives(soldCoin, 30), gives(soldToken, 1)), "the request says 0"},
	} {
		g := f
		g.Simulation = c.r
		k := compile(t, watching(c.m)).Case(g)
		d := k.Decide()
		if d.Outcome != policy.Allowed || slices.Contains(d.Obligations, "look") != (c.want != "") {
			t.Errorf("%s: %s %v", c.name, describe(d), d.Obligations)
		}
		i := slices.IndexFunc(k.Consider(), func(x policy.Considered) bool { return x.Rule == "look" })
		if x := k.Consider()[i]; c.want != "" && (x.Criterion != "simulation" || !strings.Contains(x.Observed, c.want) || !x.Matches && !x.Unknown) {
			t.Errorf("%s: is told as %s", c.name, x)
		} else if c.want == "" && (x.Matches || x.Unknown) {
			t.Errorf("%s: is told as %s", c.name, x)
		}
	}
}

// What a call names as moved is expected of its own address only; tokens that are wrapped and come back are.
func TestExpectedOfCalls(t *testing.T) {
	t.Parallel()
	d := watching(policy.SimulationMatch{Unexpected: true})
	d.Guards = nil
	d.Routes = append(d.Routes, policy.Route{ID: "calls", Priority: 900, When: policy.Match{Operations: []request.Operation{request.ContractCall}}, Plan: plan("treasury", 2)})
	r := compile(t, d)
	call := func(c request.CallEffects) policy.Facts {
		f := facts(person(1), "hot", "3")
		f.Operation, f.Asset, f.Chain = request.ContractCall, ether, chain
		f.Destinations = []policy.Destination{{Address: vendor, Kind: policy.OneTime, Amount: f.Total}}
		if len(c.Calls) == 0 {
			c.Calls = []request.CallNode{{Contract: vendor, Selector: "0x01020304"}}
		}
		f.Call = &c
		return f
	}
	moved := func(from string, amounts ...uint64) request.CallEffects {
		var c request.CallEffects
		for _, n := range amounts {
			c.Movements = append(c.Movements, request.Movement{Asset: custody.AssetID(soldToken), From: from, To: thief, Amount: custody.U64(n)})
		}
		return c
	}
	back := func(kind, function string, depth uint32) request.CallEffects {
		return request.CallEffects{Calls: []request.CallNode{{Contract: broker, Selector: "0x01020304"}, {Contract: vendor, Selector: "0x2e1a7d4d", Kind: kind, Function: function, Depth: depth,
			Args: []request.CallArg{{Path: "0", Type: "uint256", Value: "9"}}}}}
	}
	huge := custody.Uint256(bytes.Repeat([]byte{0xff}, 32))
	over := moved(bank, 1, 1)
	over.Movements[0].Amount = huge
	for _, c := range []struct {
		name string
		call request.CallEffects
		r    *simulation.Report
		odd  bool
	}{
		{"its value", request.CallEffects{}, said(gives(soldCoin, 3)), false},
		{"more than its value", request.CallEffects{}, said(gives(soldCoin, 4)), true},
		{"what it moves", moved(bank, 6, 4), said(gives(soldToken, 10)), false},
		{"more than it moves", moved(bank, 6, 4), said(gives(soldToken, 11)), true},
		{"what another's tokens move", moved(broker, 10), said(gives(soldToken, 10)), true},
		{"a sum that does not fit", over, said(simulation.Change{Asset: soldToken, Out: huge}), false},
		{"undecoded", request.CallEffects{Undecoded: "no"}, said(gives(soldToken, 1)), true},
		{"wrapped coins that come back", back("wrapped", "withdraw(uint256)", 0), said(gives(soldToken, 9)), false},
		{"more of them", back("wrapped", "withdraw(uint256)", 0), said(gives(soldToken, 10)), true},
		{"of another kind", back("token", "withdraw(uint256)", 0), said(gives(soldToken, 9)), true},
		{"by another", back("wrapped", "withdraw(uint256)", 1), said(gives(soldToken, 9)), true},
		{"tokens with numbers", request.CallEffects{}, said(gives("eip155:1/erc721:"+vendor, 1)), true},
	} {
		f := call(c.call)
		if f.Simulation = c.r; c.call.Undecoded != "" {
			if d := r.Evaluate(f); d.Outcome == policy.Allowed {
				t.Errorf("%s: allowed", c.name)
			}
			continue
		}
		if x := r.Evaluate(f); x.Outcome != policy.Allowed || slices.Contains(x.Obligations, "look") != c.odd {
			t.Errorf("%s: %s %v", c.name, describe(x), x.Obligations)
		}
	}
}

// What no simulation tells of is not asked for one.
func TestSimulationOfOtherOperations(t *testing.T) {
	t.Parallel()
	r := compile(t, watching(policy.SimulationMatch{Unknown: true, Unexpected: true}))
	for _, f := range []policy.Facts{
		{Operation: request.PolicyChange, Initiator: person(1), Evidence: policy.BySignature},
		{Operation: request.WalletCreate, Initiator: person(1), Evidence: policy.BySignature, Wallet: "new", Chain: chain},
	} {
		if d := r.Evaluate(f); slices.Contains(d.Obligations, "look") {
			t.Errorf("%s: %s", f.Operation, describe(d))
		}
	}
	if policy.Simulates(request.Transfer, custody.BitcoinMainnet) || policy.Simulates(request.MessageSign, chain) || !policy.Simulates(request.ContractCall, chain) {
		t.Error("simulations tell of something else")
	}
	if sample().AsksSimulation() || !watching(policy.SimulationMatch{Unknown: true}).AsksSimulation() {
		t.Error("which documents look at simulations is told wrongly")
	}
}

// A document may look at simulations in obligations only, and says there what it looks for.
func TestSimulationsInDocuments(t *testing.T) {
	t.Parallel()
	when := policy.Match{Simulation: &policy.SimulationMatch{Unknown: true}}
	in := func(m policy.SimulationMatch) func(*policy.Document) {
		return func(d *policy.Document) { d.Obligations = watching(m).Obligations }
	}
	for _, c := range []struct {
		want string
		do   func(*policy.Document)
	}{
		{"guard no: when.simulation: what a simulation tells is the word of serve alone", func(d *policy.Document) {
			d.Guards = []policy.Guard{{ID: "no", When: when, Effect: policy.Deny}}
		}},
		{"route " + sample().Routes[0].ID + ": when.simulation", func(d *policy.Document) { d.Routes[0].When.Simulation = when.Simulation }},
		{"limit most: when.simulation", func(d *policy.Document) {
			d.Limits = []policy.Limit{{ID: "most", When: when, Measure: policy.MeasureCount, Max: custody.U64(1), Window: policy.Window{Rolling: 60}, Exceeded: policy.Effect(policy.Deny)}}
		}},
		{"obligation look: add.minDistinctGroups has no place", func(d *policy.Document) {
			d.Obligations = watching(policy.SimulationMatch{Unknown: true}).Obligations
			d.Obligations[0].Add.MinGroups = 1
		}},
		{"simulation is empty", in(policy.SimulationMatch{})},
		{"must be sorted", in(policy.SimulationMatch{OutOver: []policy.Outgo{{Asset: soldCoin}, {Asset: soldToken}}})},
		{"must be sorted", in(policy.SimulationMatch{OutOver: []policy.Outgo{{Asset: soldCoin}, {Asset: soldCoin}}})},
		{"is neither", in(policy.SimulationMatch{OutOver: []policy.Outgo{{Asset: "eip155:1/gold"}}})},
		{"more than 100", in(policy.SimulationMatch{OutOver: make([]policy.Outgo, 101)})},
	} {
		d := sample()
		c.do(&d)
		err := d.Check(custody.Evaluation)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		}
	}
	good := watching(policy.SimulationMatch{OutOver: []policy.Outgo{{Asset: soldToken, Amount: custody.U64(7)}, {Asset: soldCoin}}, Unexpected: true, AnyApproval: true, Reverted: true, Unknown: true})
	if err := good.Check(custody.Evaluation); err != nil {
		t.Fatal(err)
	}
	again, err := policy.DecodeDocument(good.Encode())
	if err != nil || again.Hash() != good.Hash() {
		t.Errorf("another after reading: %v", err)
	}
	want := "a simulation says that more than 7 of " + string(soldToken) + " is given, or that more than 0 of " + string(soldCoin) +
		" is given, or that something is given that the request does not name, or that power over tokens is given away, or that it would fail, or that nothing is known"
	if got := good.Obligations[0].When.String(); got != want {
		t.Errorf("told as %s", got)
	}
}

// The plan of an obligation that looks at simulations gives no group that the request needs without it.
func TestSimulationsHelpWithNothingElse(t *testing.T) {
	t.Parallel()
	d := sample()
	d.Floor.MinDistinctUsers = 1
	d.Groups = []policy.Group{{ID: "bots", Members: []custody.PersonID{bot}}, {ID: "desk", Members: []custody.PersonID{carol}}, {ID: "risk", Members: []custody.PersonID{dave}}, {ID: "treasury", Members: []custody.PersonID{alice, bob, carol}}}
	d.Routes[1].Plan = policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "treasury", Min: 2}}}, {Steps: []policy.Step{{Group: "risk", Min: 1}, {Group: "treasury", Min: 1}}}}}
	desk := plan("desk", 1)
	d.Obligations = []policy.Obligation{
		{ID: "all", When: policy.Match{Operations: []request.Operation{request.Transfer}}, Add: policy.Addition{MinGroups: 2}},
		{ID: "look", When: policy.Match{Simulation: &policy.SimulationMatch{Unknown: true}}, Add: policy.Addition{Plan: &desk}},
	}
	r := compile(t, d)
	x := r.Evaluate(facts(alice, "hot", "30"))
	if x.Outcome != policy.Allowed || len(x.Also) != 1 || !x.Also[0].Told || !slices.Equal(x.Obligations, []string{"all", "look"}) {
		t.Fatalf("%s %+v", describe(x), x)
	}
	if met, _ := x.Met(r, alice, approve(bob, carol)); met {
		t.Error("carol stands for a group that only the simulation asks for")
	}
	if met, unmet := x.Met(r, alice, approve(bob, carol, dave)); !met {
		t.Errorf("three of three groups: %v", unmet)
	}
	three := d
	three.Obligations = slices.Clone(d.Obligations)
	three.Obligations[0].Add.MinGroups = 3
	if x := compile(t, three).Evaluate(facts(alice, "hot", "30")); x.Outcome != policy.Denied || x.Rule != policy.RuleFloor || x.Unmet[0].Rule != "all" {
		t.Errorf("what can't be met without a simulation can be met with one: %s", describe(x))
	}
}
