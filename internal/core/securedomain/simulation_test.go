// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
	"strongroom/verify"
)

// wary asks for a third approval, dave's, where a simulation says that something is given which was not asked for, or says nothing.
func wary(d *policy.Document) {
	third := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 3}}}}}
	dave := domaintest.NewPerson("dave")
	for i, g := range d.Groups {
		if g.ID == "officers" {
			d.Groups[i].Members = append(slices.Clone(g.Members), dave.ID)
			slices.Sort(d.Groups[i].Members)
		}
	}
	d.Obligations = []policy.Obligation{{ID: "look", When: policy.Match{Operations: []request.Operation{request.Transfer}, Simulation: &policy.SimulationMatch{Unexpected: true, Reverted: true}}, Add: policy.Addition{Plan: &third}}}
}

func withDave() (out []domaintest.Person) {
	for _, n := range []string{"alice", "bob", "carol", "service", "dave"} {
		out = append(out, domaintest.NewPerson(n))
	}
	return out
}

// saysGives is a report that the wallet gives coins.
func saysGives(address string, out uint64) *simulation.Report {
	return &simulation.Report{V: 1, Chain: domaintest.Chain, Address: address, Status: simulation.OK, Block: 8, BlockHash: make([]byte, 32),
		Changes: []simulation.Change{{Asset: simulation.Coin(domaintest.Chain), Out: custody.U64(out)}}}
}

// submitWith hands a request in with a report beside it.
func submitWith(h *domaintest.Harness, by domaintest.Person, r request.Request, report, payload []byte) (message.Request, error) {
	return h.D.Submit(context.Background(), message.Submit{Request: r.Encode(), Evidence: by.Sign(r), Payload: payload, Simulation: report})
}

// TestSimulationsInADomain: a report decides what is needed besides, stays with its request across a restart, and is in proofs and in what is told. A killed
// node, which makes no report, keeps nothing back: what is asked for is taken, and needs more.
func TestSimulationsInADomain(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: wary, People: withDave(), SnapshotEvery: 8})
	w := h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	dave := domaintest.NewPerson("dave")
	cases := []struct {
		name   string
		report []byte
		more   bool // needs a third approval
		kept   bool
	}{
		{"as asked", saysGives(w.Address, 5000).Encode(), false, true},
		{"more than asked", saysGives(w.Address, 5001).Encode(), true, true},
		{"node killed", nil, true, false},
		{"node without the method", simulation.Unsaid(domaintest.Chain, w.Address, simulation.Unsupported).Encode(), true, true},
		{"fails", (&simulation.Report{V: 1, Chain: domaintest.Chain, Address: w.Address, Status: simulation.Reverted, Block: 8, BlockHash: make([]byte, 32)}).Encode(), true, true},
		{"about another address", saysGives(domaintest.Stranger, 5000).Encode(), true, false},
		{"no report at all", []byte("nonsense"), true, false},
		{"too long", make([]byte, simulation.MaxReport+1), true, false},
	}
	asked := make([]message.Request, len(cases))
	for i, c := range cases {
		r := pay(h, h.Alice, domaintest.Whitelisted, 5000)
		x, err := h.D.Simulate(t.Context(), message.Simulate{Request: r.Encode(), Evidence: policy.BySignature, Simulation: c.report})
		if err != nil || x.Now == nil || slices.Contains(x.Now.Decision.Obligations, "look") != c.more || (x.Now.Facts.Simulation != nil) != c.kept {
			t.Errorf("%s: simulated: %+v, %v", c.name, x.Now, err)
		}
		if asked[i], err = submitWith(h, h.Alice, r, c.report, nil); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		again, err := submitWith(h, h.Alice, r, saysGives(w.Address, 5000).Encode(), nil) // a better report comes too late
		if err != nil || again.Seq != asked[i].Seq || !slices.Equal(again.Decision.Obligations, asked[i].Decision.Obligations) {
			t.Errorf("%s: again: %+v, %v", c.name, again.Decision, err)
		}
	}
	h.Reopen()
	for i, c := range cases {
		v := asked[i]
		for _, p := range []domaintest.Person{h.Bob, h.Carol} {
			if _, err := h.Decide(p, v, request.Approve); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		nonce := uint64(i)
		_, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 5000, nonce, 10))
		if c.more && problem.KindOf(err) != problem.QuorumNotMet || !c.more && err != nil {
			t.Fatalf("%s: signed with two approvals: %v", c.name, err)
		}
		if c.more {
			if _, err := h.Decide(dave, v, request.Approve); err != nil {
				t.Fatal(err)
			}
			if _, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 5000, nonce, 10)); err != nil {
				t.Fatalf("%s: with three: %v", c.name, err)
			}
		}
		if _, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 5000, nonce, 20)); err != nil {
			t.Errorf("%s: a replacement: %v", c.name, err)
		}
		now, err := h.D.Request(t.Context(), v.ID)
		if err != nil || (now.Simulation != nil) != c.kept {
			t.Errorf("%s: told as %+v, %v", c.name, now.Simulation, err)
		}
		x, err := h.D.Explain(t.Context(), message.ByID{ID: v.ID})
		if err != nil || x.Now == nil || canon.Hash(canon.TagPolicy, x.Now.Facts.Simulation) != canon.Hash(canon.TagPolicy, now.Simulation) || slices.Contains(x.Now.Decision.Obligations, "look") != c.more {
			t.Errorf("%s: explained as %+v, %v", c.name, x.Now, err)
		}
		file, err := h.D.Proof(t.Context(), v.ID)
		if err != nil {
			t.Fatal(err)
		}
		p, err := verify.Proof(file, h.Genesis.LogKey)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if noted := slices.ContainsFunc(p.Notes, func(s string) bool { return strings.Contains(s, "simulation") }); noted != c.kept {
			t.Errorf("%s: the proof notes %q", c.name, p.Notes)
		}
	}
	h.Check()
}

// A serve that lies about simulations gets no further than the document lets it without them: what is denied stays denied, what needs two needs two, and an
// automatic route is no longer automatic where it says nothing.
func TestServeThatLiesAboutSimulations(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: wary, People: withDave()})
	w := h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	kind := saysGives(w.Address, 0)
	kind.Changes = nil // gives nothing, it says
	if v, err := submitWith(h, h.Alice, pay(h, h.Alice, domaintest.Stranger, 5000), kind.Encode(), nil); err != nil || v.State != message.StateRefused {
		t.Errorf("to a stranger: %s, %v", v.State, err)
	}
	v, err := submitWith(h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 5000), kind.Encode(), payload(t, domaintest.Whitelisted, 5000, 0, 10))
	if err != nil || v.State != message.StatePending || v.Decision.Auto {
		t.Fatalf("%s, %v", v.State, err)
	}
	if _, err := h.Decide(h.Bob, v, request.Approve); err != nil {
		t.Fatal(err)
	}
	if _, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 5000, 0, 10)); problem.KindOf(err) != problem.QuorumNotMet {
		t.Errorf("with one approval: %v", err)
	}
	auto := pay(h, h.Service, domaintest.Whitelisted, 500)
	if v, err = submitWith(h, h.Service, auto, saysGives(w.Address, 500).Encode(), payload(t, domaintest.Whitelisted, 500, 0, 10)); err != nil || v.State != message.StateSigned || v.Simulation == nil {
		t.Errorf("automatic: %s, %v", v.State, err)
	}
	if v, err = submitWith(h, h.Service, pay(h, h.Service, domaintest.Whitelisted, 500), nil, payload(t, domaintest.Whitelisted, 500, 1, 10)); err != nil || v.State != message.StatePending || v.Decision.Auto {
		t.Errorf("automatic, without a report: %s, %v", v.State, err)
	}
	h.Check()
}
