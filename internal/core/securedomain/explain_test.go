// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// TestExplainInADomain: what a simulation says is what is decided then, in every state of a request; nothing of it is in the log.
func TestExplainInADomain(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: limited})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	simulated := func(amount uint64) message.Explained {
		t.Helper()
		before := h.D.Status()
		x, err := h.D.Simulate(t.Context(), message.Simulate{Request: pay(h, h.Service, domaintest.Whitelisted, amount).Encode(), Evidence: policy.BySignature})
		if err != nil {
			t.Fatal(err)
		}
		if now := h.D.Status(); now.Size != before.Size || now.Pending != before.Pending {
			t.Fatal("a simulation was recorded")
		}
		return x
	}
	if x := simulated(3000); x.Unfit != nil || x.Missing != nil || x.Now == nil || x.Now.Decision.Outcome != policy.Allowed || x.State != "" || x.Recorded != nil {
		t.Fatalf("%+v", x)
	}
	v, err := h.Submit(h.Service, pay(h, h.Service, domaintest.Whitelisted, 3000), payload(t, domaintest.Whitelisted, 3000, 0, 10))
	if err != nil {
		t.Fatal(err)
	}
	if x := simulated(2001); x.Missing == nil || x.Missing.Rule != "an-hour" || x.Now.Decision.Rule != "an-hour" || !x.Now.Limits[0].Passed || x.Now.Limits[0].Meter.Left != custody.U64(2000) {
		t.Fatalf("%+v", x)
	}
	refused, err := h.Submit(h.Service, pay(h, h.Service, domaintest.Whitelisted, 2001), nil)
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[custody.RequestID]message.State{v.ID: message.StateSigned, refused.ID: message.StateRefused} {
		x, err := h.D.Explain(t.Context(), message.ByID{ID: id})
		if err != nil {
			t.Fatal(err)
		}
		if x.State != want || x.Recorded == nil || x.Now == nil || len(x.Now.Considered) == 0 || (x.Missing != nil) != (want == message.StateRefused) {
			t.Errorf("%s: %+v", want, x)
		}
	}
	l, err := h.D.Limits(message.LimitsAsk{Most: 1})
	if err != nil || l.Total != 2 || len(l.Meters) != 1 || l.Meters[0].Limit != "an-hour" || l.Meters[0].Used != custody.U64(3000) || l.Meters[0].Frees == 0 {
		t.Fatalf("%+v, %v", l, err)
	}
	if l, err = h.D.Limits(message.LimitsAsk{From: 1, Most: 5}); err != nil || len(l.Meters) != 1 || l.Meters[0].Limit != "fees" || l.Limits[0].ID != "fees" {
		t.Fatalf("%+v, %v", l, err)
	}
	if l, err = h.D.Limits(message.LimitsAsk{From: 1 << 60, Most: 5}); err != nil || len(l.Meters) != 0 {
		t.Fatalf("%+v, %v", l, err)
	}
	h.Check()
}

// TestSimulationsThatAreNotTaken: what would be a problem is told, and nothing else with it.
func TestSimulationsThatAreNotTaken(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: limited})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	r := pay(h, h.Service, domaintest.Whitelisted, 1)
	r.NotAfter = 1
	if x, err := h.D.Simulate(t.Context(), message.Simulate{Request: r.Encode(), Evidence: policy.BySignature}); err != nil || x.Unfit == nil || x.Unfit.Kind != problem.Expired || x.Now != nil {
		t.Errorf("%+v, %v", x, err)
	}
	r = pay(h, h.Service, domaintest.Whitelisted, 1)
	for _, in := range []message.Simulate{{Request: r.Encode()}, {Request: r.Encode(), Evidence: "word of honour"}, {Request: []byte{1}, Evidence: policy.BySession}} {
		if _, err := h.D.Simulate(t.Context(), in); problem.KindOf(err) != problem.Malformed {
			t.Errorf("%+v: %v", in, err)
		}
	}
	if _, err := h.D.Explain(t.Context(), message.ByID{ID: r.ID()}); problem.KindOf(err) != problem.NotFound {
		t.Error(err)
	}
	if _, err := h.D.Limits(message.LimitsAsk{Limit: "nothing"}); problem.KindOf(err) != problem.NotFound {
		t.Error(err)
	}
}
