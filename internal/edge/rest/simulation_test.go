// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"strongroom/client"
	"strongroom/internal/edge/rest"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	sim "strongroom/internal/pure/simulation" // simulation is a helper of other tests
)

// oracle says the same of every request.
type oracle struct {
	says  *sim.Report
	asked atomic.Int32
}

// Report gives what it says.
func (o *oracle) Report(_ context.Context, _ policy.Document, body request.Body) *sim.Report {
	if _, ok := body.(*request.TransferBody); ok {
		o.asked.Add(1)
	}
	return o.says
}

// watchful makes the rules look at simulations of transfers.
func watchful(t *testing.T, c *coretest.Core) {
	c.State(func(s *authority.State) {
		d := s.Doc
		d.Obligations = []policy.Obligation{{ID: "look", When: policy.Match{Operations: []request.Operation{request.Transfer}, Simulation: &policy.SimulationMatch{Unexpected: true}}, Add: policy.Addition{Delay: 60}}}
		rules, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		s.Rules, s.Doc = rules, rules.Document()
	})
}

func newWatchedHouse(t *testing.T, watching bool) (*house, *oracle) {
	t.Helper()
	o := &oracle{}
	h := newHouse(t, func(c *rest.Config) { c.Simulations = o })
	h.core.State(func(s *authority.State) {
		w, _, _ := s.Wallet("hot")
		d, err := authority.Derive(w, entry.KeyPath{})
		if err != nil {
			t.Fatal(err)
		}
		o.says = &sim.Report{V: 1, Chain: coretest.Ethereum, Address: d.Address, Status: sim.OK, Block: 4, BlockHash: make([]byte, 32),
			Changes: []sim.Change{{Asset: sim.Coin(coretest.Ethereum), Out: custody.U64(50_000)}}}
	})
	if watching {
		watchful(t, h.core)
	}
	return h, o
}

// What serve's node says goes to the core with a transfer where the rules look at it, is told later as that.
func TestReportsOfSimulations(t *testing.T) {
	t.Parallel()
	h, o := newWatchedHouse(t, true)
	anna := h.client(coretest.Anna)
	v, err := anna.Submit(t.Context(), signer(t, coretest.Anna), client.Ask{Body: transfer(50_000)})
	if err != nil || v.Decision.Delay != 0 || v.Simulation == nil || canon.Hash(canon.TagPolicy, v.Simulation) != canon.Hash(canon.TagPolicy, o.says) {
		t.Fatalf("as asked: %+v, %v", v, err)
	}
	id, err := client.ParseRequestID(v.ID)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := h.client(coretest.Bruno).Request(t.Context(), id); err != nil || again.Simulation == nil || again.Simulation.Block != 4 {
		t.Errorf("told later: %+v, %v", again.Simulation, err)
	}
	o.says.Changes[0].Out = custody.U64(50_001)
	if v, err = anna.Submit(t.Context(), signer(t, coretest.Anna), client.Ask{Body: transfer(50_000)}); err != nil || v.Decision.Delay != 60 {
		t.Errorf("more than asked: %+v, %v", v.Decision, err)
	}
	for name, says := range map[string]*sim.Report{"nothing": nil, "unknown": sim.Unsaid(coretest.Ethereum, o.says.Address, sim.Unreachable)} {
		o.says = says
		if v, err = anna.Submit(t.Context(), signer(t, coretest.Anna), client.Ask{Body: transfer(50_000)}); err != nil || v.Decision.Delay != 60 || v.State != "pending" {
			t.Errorf("%s: %+v, %v", name, v.Decision, err)
		}
	}
}

// Where the rules don't look, transfers are not kept waiting for a node.
func TestTransfersWithoutSimulation(t *testing.T) {
	t.Parallel()
	h, o := newWatchedHouse(t, false)
	v, err := h.client(coretest.Anna).Submit(t.Context(), signer(t, coretest.Anna), client.Ask{Body: transfer(50_000)})
	if err != nil || v.Simulation != nil || o.asked.Load() != 0 {
		t.Errorf("%+v, asked %d times, %v", v.Simulation, o.asked.Load(), err)
	}
}

// Who hands a request in can't hand in a report: neither in JSON nor in CBOR is there a place for one.
func TestCallersBringNoReports(t *testing.T) {
	t.Parallel()
	h, o := newWatchedHouse(t, true)
	o.says = nil
	r, err := h.client(coretest.Anna).Compose(t.Context(), coretest.Anna.ID, client.Ask{Body: transfer(50_000)})
	if err != nil {
		t.Fatal(err)
	}
	before := h.core.Calls(message.MethodSubmit)
	in := coretest.Signed(r, coretest.Anna)
	in.Simulation = sim.Unsaid(coretest.Ethereum, coretest.EthereumTo, sim.NoNode).Encode()
	for media, body := range map[string][]byte{apiv1.CBOR: canon.Encode(in), apiv1.JSON: withReport(t, r)} {
		resp, b := h.raw(h.transport(string(coretest.Anna.ID)), http.MethodPost, "/v1/requests", map[string]string{"Content-Type": media, apiv1.IdempotencyHeader: r.Key}, body)
		if resp.StatusCode/100 != 4 || !strings.Contains(string(b), string(problem.Malformed)) {
			t.Errorf("%s: %d %s", media, resp.StatusCode, b)
		}
	}
	if n := h.core.Calls(message.MethodSubmit) - before; n != 0 {
		t.Errorf("%d submissions", n)
	}
}

func withReport(t *testing.T, r request.Request) []byte {
	t.Helper()
	q, err := apiv1.RequestOf(r)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(apiv1.Submission{Request: q})
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte(`{"simulation":{"v":1},`), b[1:]...)
}
