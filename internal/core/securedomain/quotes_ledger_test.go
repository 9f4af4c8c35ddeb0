// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/verify"
)

// Rules in money and an address ledger: a destination that grows older between the asking and the signing has another route, and the proof holds. A route that the
// payment is worth too much for, whatever the ledger said, is a lie.
func TestProofInMoneyToSomebodyOlder(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: func(d *policy.Document) {
		withPrices(d)
		ledger(d)
		route := func(id string, cents uint64, priority uint32, plan policy.Plan) policy.Route {
			return policy.Route{ID: id, Priority: priority, Auto: len(plan.AnyOf) == 0, Plan: plan,
				When: policy.Match{Operations: []request.Operation{request.Transfer}, MinAge: 86400, FiatMax: &policy.Fiat{Currency: "USD", Amount: custody.U64(cents)}}}
		}
		d.Routes = append([]policy.Route{route("old-tiny", 100, 1, policy.Plan{}), route("old", 1000, 2, d.ChangePlan)}, d.Routes...)
	}})
	c, b := lyingCore{t, h}, &book{T: t, h: h}
	if err := b.does(request.WhitelistAdd, request.WhitelistAddBody{ID: "stranger", Chain: domaintest.Chain, Address: domaintest.Stranger}); err != nil {
		t.Fatal(err)
	}
	quote := func() {
		h.Clock.Advance(2 * time.Second)
		if out, err := h.D.Quotes(t.Context(), message.Quotes{Quotes: quoted(h, 2, 1, 2)}); err != nil || out.Taken != 2 {
			t.Fatal(out, err)
		}
	}
	h.Clock.Advance(24*time.Hour - 30*time.Minute)
	quote()
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Stranger, 100)), h.Bob, h.Carol)
	h.Clock.Advance(40 * time.Minute)
	quote()
	if _, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Stranger, 100, 0, 10)); err != nil {
		t.Fatal(err)
	}
	lastEntry(t, h)
	proves(t, h, v.ID, 2, 1)
	h.Check()
	honest, err := h.D.Proof(t.Context(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	e := c.read(honest)
	_, p := find[*entry.Permit](t, e, 0)
	if p.Decision.Rule != "old" || len(p.Decision.Prices) != 1 {
		t.Fatalf("decided by %q with %d prices", p.Decision.Rule, len(p.Decision.Prices))
	}
	p.Decision.Rule, p.Decision.Auto, p.Decision.Plan = "old-tiny", true, policy.Plan{}
	if _, err := verify.Proof(c.write(v.ID, e), h.Genesis.LogKey); !errors.Is(err, verify.ErrInvalid) {
		t.Errorf("200 cents on a route for 100: %v", err)
	}
}

// Rules in money that come while a request waits decide its permit; the proof says whose word the price is.
func TestProofUnderRulesThatCameToBeInMoney(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 100)), h.Bob, h.Carol)
	newRules(t, h, withPrices)
	sign := func() error {
		_, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 100, 0, 10))
		return err
	}
	if err := sign(); problem.KindOf(err) != problem.NoPrice {
		t.Fatalf("before the first quote: %v", err)
	}
	h.Clock.Advance(2 * time.Second)
	if out, err := h.D.Quotes(t.Context(), message.Quotes{Quotes: quoted(h, 2, 1, 2)}); err != nil || out.Taken != 2 {
		t.Fatal(out, err)
	}
	if err := sign(); err != nil {
		t.Fatal(err)
	}
	lastEntry(t, h)
	r := proves(t, h, v.ID, 2, 1)
	if r == nil || strings.Count(strings.Join(r.Notes, "\n"), "the price is the domain's word") != 1 {
		t.Errorf("%+v", r)
	}
	h.Check()
}

// A call that lets somebody take tokens is worth what they may take, as the core decodes it: the route for small payments is not for more. The proof holds, and the
// auditor agrees.
func TestPowerOverTokensInMoney(t *testing.T) {
	t.Parallel()
	asset := custody.AssetID(string(domaintest.Chain) + "/erc20:" + token)
	h := domaintest.New(t, domaintest.Options{Points: callPoints(), Document: func(d *policy.Document) {
		withCalls(d)
		withPrices(d)
		d.PriceSources[0].Pairs = []policy.Pair{{Asset: asset, Currency: "USD"}}
		d.Routes = append([]policy.Route{{ID: "cheap", Priority: 1, Auto: true,
			When: policy.Match{Operations: []request.Operation{request.ContractCall}, FiatMax: &policy.Fiat{Currency: "USD", Amount: custody.U64(30)}}}}, d.Routes...)
	}})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	asks := func(amount, rule string, auto bool, outcome policy.Outcome) {
		t.Helper()
		v := submitted(t, h, h.Alice, h.Request(h.Alice, request.ContractCall, approving(t, amount)))
		if v.Decision.Rule != rule || v.Decision.Auto != auto || v.Decision.Outcome != outcome {
			t.Errorf("%s: %s by %q", amount, v.Decision.Outcome, v.Decision.Rule)
		}
		proves(t, h, v.ID, 0, 0)
	}
	asks("7", "cheap", false, policy.Denied)
	list := quoted(h, 2, 1, 2)
	for i, q := range list {
		q.Said.Asset = asset
		list[i] = price.Sign(q.Said, q.Signer, feedKey(byte(i+1)))
	}
	if out, err := h.D.Quotes(t.Context(), message.Quotes{Quotes: list}); err != nil || out.Taken != 2 {
		t.Fatal(out, err)
	}
	asks("15", "cheap", true, policy.Allowed)
	asks("16", "calls", false, policy.Allowed)
	asks("0", "cheap", true, policy.Allowed)
	h.Check()
}
