// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/request"
)

// TestPowerInMoney: who may take tokens can have what they are worth, so a call that gives such power is worth that for matches; without limit, or without a price,
// it has no value. What takes power back is worth nothing.
func TestPowerInMoney(t *testing.T) {
	t.Parallel()
	m := withOperations(policy.Match{}, []request.Operation{request.ContractCall})
	m.FiatMax = usd("30")
	r := inMoney(t, func(d *policy.Document) {
		d.Contracts[0].Allow = []policy.Allowance{policy.AllowApprovalForAll, policy.AllowUnlimited}
		d.Routes = append([]policy.Route{{ID: "cheap", Priority: 1, Auto: true, When: m}}, d.Routes...)
	})
	for name, x := range map[string]struct {
		a       request.TokenApproval
		lack    policy.Lack
		outcome policy.Outcome
		rule    string
	}{
		"as much as the bound": {request.TokenApproval{Amount: custody.U64(15)}, "", policy.Allowed, "cheap"},
		"more":                 {request.TokenApproval{Amount: custody.U64(16)}, "", policy.Allowed, "calls"},
		"none":                 {request.TokenApproval{}, policy.StaleNow, policy.Allowed, "cheap"},
		"no price":             {request.TokenApproval{Amount: custody.U64(1)}, policy.StaleNow, policy.Denied, "cheap"},
		"without limit":        {request.TokenApproval{Amount: custody.U64(1), Unlimited: true}, "", policy.Denied, "cheap"},
		"every token":          {request.TokenApproval{All: true}, "", policy.Denied, "cheap"},
	} {
		x.a.Contract, x.a.Spender, x.a.ID = vendor, thief, "usd"
		f := calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "usd", approveFn)}, Approvals: []request.TokenApproval{x.a}})
		r.Valued(&f, func(_ custody.AssetID, currency string) policy.Price {
			if x.lack != "" {
				return policy.Price{Currency: currency, Lack: x.lack}
			}
			return policy.Price{Currency: currency, Rate: &price.Rate{Mantissa: custody.U64(2)}}
		})
		if d := r.Evaluate(f); d.Outcome != x.outcome || d.Rule != x.rule {
			t.Errorf("%s: %s %+v", name, describe(d), d.Unmet)
		}
	}
}

// TestOneOfAKindInMoney: a call that moves a token which is one of a kind, or gives power over one, has no value, and the rules about small payments don't let it
// through.
func TestOneOfAKindInMoney(t *testing.T) {
	t.Parallel()
	m := withOperations(policy.Match{}, []request.Operation{request.ContractCall})
	m.FiatMax = usd("30")
	r := inMoney(t, func(d *policy.Document) {
		d.Routes = append([]policy.Route{{ID: "cheap", Priority: 1, Auto: true, When: m}}, d.Routes...)
	})
	for _, x := range []struct {
		kind     calls.Kind
		function string
		outcome  policy.Outcome
	}{
		{calls.NFT, "safeTransferFrom(address,address,uint256)", policy.Denied},
		{"", "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", policy.Denied},
		{calls.NFT, "transferFrom(address,address,uint256)", policy.Denied},
		{calls.NFT, approveFn, policy.Denied},
		{calls.NFT, stakeFn, policy.Allowed},
		{calls.Token, "transferFrom(address,address,uint256)", policy.Allowed}, // its movements say what it is worth
	} {
		n := node(1, "usd", x.function)
		n.Kind = string(x.kind)
		f := calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "usd", stakeFn), n}})
		r.Valued(&f, nil)
		if d := r.Evaluate(f); d.Outcome != x.outcome || d.Rule != "cheap" {
			t.Errorf("%s of %q: %s %+v", x.function, x.kind, describe(d), d.Unmet)
		}
	}
}

// TestValuesOfCallsAreChecked: facts whose values are not those of their rates are denied, of a call too where the document remembers destinations.
func TestValuesOfCallsAreChecked(t *testing.T) {
	t.Parallel()
	for _, remembers := range []bool{false, true} {
		r := inMoney(t, func(d *policy.Document) {
			m := withOperations(policy.Match{}, []request.Operation{request.ContractCall})
			m.FiatMax = usd("30")
			d.Routes = append([]policy.Route{{ID: "cheap", Priority: 1, Auto: true, When: m}}, d.Routes...)
			if remembers {
				d.AddressBook[0].Expires = 1 << 32
			}
		})
		f := paying(r, "1", "1")
		if remembers {
			f.Moves = []policy.Destination{{Address: broker, Amount: custody.U64(1), Kind: policy.Whitelisted, Book: "broker"}}
		}
		if d := r.Evaluate(f); d.Outcome != policy.Allowed {
			t.Fatalf("remembers %t: %s %+v", remembers, describe(d), d.Unmet)
		}
		f.Fiat[0].Amount = custody.U64(1)
		if d := r.Evaluate(f); d.Outcome != policy.Denied || d.Unmet[0].Criterion != policy.CriterionPrice {
			t.Errorf("remembers %t: a value below: %s", remembers, describe(d))
		}
	}
}
