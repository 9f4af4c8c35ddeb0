// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// moving gives the facts of a call that moves a token.
func moving(to, amount string) policy.Facts {
	return calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "usd", stakeFn)},
		Movements: []request.Movement{{Asset: custody.AssetID("eip155:1/erc20:" + vendor), From: thief, To: to, Amount: *u(amount)}}})
}

// A message gives nobody on the blacklist power over tokens, and is for no contract on it: a permit is an approval without a transaction.
func TestMessagesAreBarred(t *testing.T) {
	t.Parallel()
	d := callDocument()
	d.Blacklist = []policy.Blocked{{Chain: chain, Address: thief}}
	r := compile(t, d)
	for name, m := range map[string]request.MessageEffects{
		"spender": {Kind: request.TypedMessage, Contract: vendor, Deadline: "2000000000", Approvals: []request.TokenApproval{{Contract: vendor, Spender: thief, Amount: *u("5")}}},
		"token":   {Kind: request.TypedMessage, Contract: bank, Deadline: "2000000000", Approvals: []request.TokenApproval{{Contract: thief, Spender: bank, Amount: *u("5")}}},
		"for it":  {Kind: request.TypedMessage, Contract: thief},
	} {
		if got := r.Evaluate(signingOf(m)); got.Outcome != policy.Denied || got.Rule != policy.RuleBlacklist {
			t.Errorf("%s: %s", name, describe(got))
		}
	}
	if got := r.Evaluate(signingOf(request.MessageEffects{Kind: request.TypedMessage, Contract: vendor})); got.Outcome != policy.Allowed {
		t.Errorf("another contract: %s", describe(got))
	}
}

// Where the document alone says what destinations are, it says it of what calls move too: what is suspended, and whose counterparty it is.
func TestMovesAreTheDocuments(t *testing.T) {
	t.Parallel()
	d := callDocument()
	d.Counterparties = []policy.Counterparty{{ID: "acme"}}
	i := slices.IndexFunc(d.AddressBook, func(e policy.BookEntry) bool { return e.Address == bank })
	d.AddressBook[i].Counterparty = "acme"
	d.Limits = []policy.Limit{{ID: "exposure", When: policy.Match{Operations: []request.Operation{request.Transfer}}, Measure: policy.MeasureAmount, Max: *u("100"),
		GroupBy: []policy.Aspect{policy.ByAsset, policy.ByCounterparty}, Exceeded: policy.Deny}}
	got, err := compile(t, d).Charges(moving(bank, "5"), *u("1"))
	if err != nil || len(got) != 1 || got[0].Group[1] != "acme" {
		t.Errorf("a movement to acme takes %+v (%v)", got, err)
	}
	d.Guards = []policy.Guard{{ID: "no-acme", Effect: policy.Deny, When: policy.Match{Operations: []request.Operation{request.Transfer}, Counterparties: []string{"acme"}}}}
	if got := compile(t, d).Evaluate(moving(bank, "5")); got.Outcome != policy.Denied || got.Rule != "no-acme" {
		t.Errorf("a movement to acme, which transfers may not pay: %s", describe(got))
	}
	d.Guards, d.AddressBook[i].Suspended = nil, true
	if got := compile(t, d).Evaluate(moving(bank, "5")); got.Outcome != policy.Denied || got.Rule != policy.RuleSuspended {
		t.Errorf("a movement to a suspended entry: %s", describe(got))
	}
}

// A limit on the fees of transfers counts the fee of a call that moves what it is about, once, whichever of its movements that is.
func TestFeesOfMovements(t *testing.T) {
	t.Parallel()
	d := callDocument()
	f := moving(bank, "5")
	f.Call.Movements = append(f.Call.Movements, f.Call.Movements[0])
	d.Limits = []policy.Limit{
		{ID: "all", When: policy.Match{Operations: []request.Operation{request.Transfer}}, Measure: policy.MeasureFee, Max: *u("100"), GroupBy: []policy.Aspect{policy.ByChain}, Exceeded: policy.Deny},
		{ID: "by-asset", When: policy.Match{Operations: []request.Operation{request.Transfer}}, Measure: policy.MeasureFee, Max: *u("100"), GroupBy: []policy.Aspect{policy.ByAsset}, Exceeded: policy.Deny},
		{ID: "of-token", When: policy.Match{Operations: []request.Operation{request.Transfer}, Assets: []custody.AssetID{f.Call.Movements[0].Asset}}, Measure: policy.MeasureFee, Max: *u("100"), Exceeded: policy.Deny},
	}
	got, err := compile(t, d).Charges(f, *u("7"))
	if err != nil {
		t.Fatal(err)
	}
	var of []string
	for _, c := range got {
		if of = append(of, c.Limit); c.Amount != *u("7") {
			t.Errorf("%s takes %s", c.Limit, c.Amount)
		}
	}
	if want := []string{"all", "by-asset", "by-asset", "of-token"}; !slices.Equal(of, want) {
		t.Errorf("the fee is taken from %v, want %v", of, want)
	}
}
