// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"errors"
	"slices"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/request"
)

const token = custody.AssetID("eip155:1/erc20:" + vendor)

// paying gives the facts of a call that sends a value and moves tokens to the broker, valued at 0.3 minor units for a base unit of ether and 2 for one of the token;
// assets in lacks have no price.
func paying(r *policy.Rules, value, tokens string, lacks ...custody.AssetID) policy.Facts {
	e := request.CallEffects{Calls: []request.CallNode{node(0, "usd", stakeFn, "1")}}
	if tokens != "" {
		e.Movements = []request.Movement{{Asset: token, From: bank, To: broker, Amount: *u(tokens)}}
	}
	f := calling(value, e)
	f.Destinations = []policy.Destination{{Address: bank, Amount: f.Total, Kind: policy.Whitelisted, Book: "bank"}}
	r.Valued(&f, func(a custody.AssetID, currency string) policy.Price {
		switch {
		case slices.Contains(lacks, a):
			return policy.Price{Currency: currency, Lack: policy.StaleNow}
		case a == token:
			return policy.Price{Currency: currency, Rate: &price.Rate{Mantissa: custody.U64(2)}}
		default:
			return policy.Price{Currency: currency, Rate: &price.Rate{Mantissa: custody.U64(3), Scale: 1}}
		}
	})
	return f
}

func inMoney(t *testing.T, change func(*policy.Document)) *policy.Rules {
	t.Helper()
	d := callDocument()
	s := source()
	s.Pairs = []policy.Pair{{Asset: token, Currency: "USD"}, {Asset: ether, Currency: "USD"}}
	d.PriceSources = []policy.PriceSource{s}
	change(&d)
	return compile(t, d)
}

// TestCallsInMoney: a call is worth its value and all that it moves, each asset by its own price; what transfers may not be worth, no movement may be; and where an
// asset that it pays with has no price, or nobody can say what it moves, it waits.
func TestCallsInMoney(t *testing.T) {
	t.Parallel()
	calls := withOperations(policy.Match{}, []request.Operation{request.ContractCall})
	cheap := func(d *policy.Document) {
		m := calls
		m.FiatMax = usd("30")
		d.Routes = slices.Insert(d.Routes, 0, policy.Route{ID: "cheap", Priority: 1, Auto: true, When: m})
	}
	deny := func(d *policy.Document) {
		d.Guards = append(d.Guards, policy.Guard{ID: "rich", Effect: policy.Deny, When: ofTransfers(policy.Match{FiatOver: usd("30")})})
	}
	for name, x := range map[string]struct {
		change        func(*policy.Document)
		value, tokens string
		lacks         []custody.AssetID
		outcome       policy.Outcome
		rule          string
	}{
		"both fit":                   {cheap, "40", "9", nil, policy.Allowed, "cheap"}, // 12 + 18
		"together too much":          {cheap, "41", "9", nil, policy.Allowed, "calls"}, // 13 + 18
		"tokens alone too much":      {cheap, "0", "16", nil, policy.Allowed, "calls"}, // 32
		"the token has no price":     {cheap, "1", "1", []custody.AssetID{token}, policy.Denied, "cheap"},
		"the coin has no price":      {cheap, "1", "1", []custody.AssetID{ether}, policy.Denied, "cheap"},
		"no value, no price":         {cheap, "0", "15", []custody.AssetID{ether}, policy.Allowed, "cheap"},
		"nothing is paid":            {cheap, "0", "", []custody.AssetID{ether, token}, policy.Allowed, "cheap"},
		"guard: each for itself":     {deny, "100", "15", nil, policy.Allowed, "calls"}, // 30 and 30
		"guard: value":               {deny, "101", "15", nil, policy.Denied, "rich"},
		"guard: movement":            {deny, "0", "16", nil, policy.Denied, "rich"},
		"guard: movement, no price":  {deny, "0", "1", []custody.AssetID{token}, policy.Held, "rich"},
		"guard: other asset's price": {deny, "0", "15", []custody.AssetID{ether}, policy.Allowed, "calls"},
	} {
		r := inMoney(t, x.change)
		f := paying(r, x.value, x.tokens, x.lacks...)
		if d := r.Evaluate(f); d.Outcome != x.outcome || d.Rule != x.rule {
			t.Errorf("%s: %s %+v", name, describe(d), d.Unmet)
		}
	}
	r := inMoney(t, cheap)
	f := paying(r, "1", "")
	f.Call.Undecoded = "an unknown function"
	f.Fiat = nil
	if d := r.Evaluate(f); d.Outcome == policy.Allowed {
		t.Errorf("what can't be decoded: %s", describe(d))
	}
	f = paying(r, "1", "1")
	f.Fiat[0].Amount = custody.U64(1)
	if d := r.Evaluate(f); d.Outcome != policy.Denied || d.Unmet[0].Criterion != policy.CriterionPrice {
		t.Errorf("a value below: %s", describe(d))
	}
}

// TestCallChargesInMoney: limits in a currency count what a call pays, each asset by its price and rounded up; a further attempt, which pays a fee only, needs no price.
func TestCallChargesInMoney(t *testing.T) {
	t.Parallel()
	r := inMoney(t, func(d *policy.Document) {
		d.Limits = []policy.Limit{
			{ID: "day", Measure: policy.MeasureFiat, Currency: "USD", Max: *u("1000"), Window: policy.Window{Rolling: 86400}, Exceeded: policy.Deny, When: ofTransfers(policy.Match{})},
			{ID: "fees", Measure: policy.MeasureFee, Max: *u("1000"), Window: policy.Window{Rolling: 86400}, GroupBy: []policy.Aspect{policy.ByChain}, Exceeded: policy.Deny, When: ofTransfers(policy.Match{})},
		}
	})
	of := func(got []policy.Charge, id string) string {
		for _, c := range got {
			if c.Limit == id {
				return c.Amount.String()
			}
		}
		return ""
	}
	f := paying(r, "101", "7")
	got, err := r.Charges(f, *u("9"))
	if err != nil || of(got, "day") != "45" || of(got, "fees") != "9" { // 31 + 14
		t.Errorf("got %v %v", got, err)
	}
	f = paying(r, "101", "7", token)
	var lacks *policy.NoPriceError
	if got, err := r.Charges(f, *u("9")); !errors.As(err, &lacks) || lacks.Limit != "day" {
		t.Errorf("without the token's price: %v %v", got, err)
	}
	if got, err = r.Case(f).FeeCharges(*u("9")); err != nil || len(got) != 1 || of(got, "fees") != "9" {
		t.Errorf("a fee alone: %v %v", got, err)
	}
}
