// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

func TestFindings(t *testing.T) {
	t.Parallel()
	if got := compile(t, sample()).Findings(); len(got) > 0 {
		t.Errorf("the sample: %v", got)
	}
	transfer := []request.Operation{request.Transfer}
	for _, c := range []struct {
		name   string
		change func(d *policy.Document)
		want   string
	}{
		{"shadowed", func(d *policy.Document) {
			d.Routes = append(d.Routes, policy.Route{ID: "later", Priority: 40, Plan: plan("treasury", 2), When: policy.Match{Operations: transfer, AmountMax: u("5")}})
		}, "later: never decides: route large comes first"},
		{"always true", func(d *policy.Document) { d.Routes[1].When.Expr = "1 < 2" }, "large: its expression is always true"},
		{"always false", func(d *policy.Document) { d.Guards[0].When.Expr = "1 > 2" }, "known-only: its expression is always false"},
		{"true whatever else", func(d *policy.Document) { d.Routes[1].When.Expr = `true || total > amount("5")` }, "always true"},
		{"no kind left", func(d *policy.Document) {
			d.Guards[0].When.DestNot = []policy.DestinationKind{policy.OneTime, policy.Whitelisted}
		}, "known-only: never matches: destination.not lists every kind"},
		{"kinds that exclude each other", func(d *policy.Document) {
			d.Guards[0].When.Destination = []policy.DestinationKind{policy.Whitelisted}
		}, "exclude each other"},
		{"entries that are one-time", func(d *policy.Document) {
			d.Routes[1].When.Destination, d.Routes[1].When.Books = []policy.DestinationKind{policy.OneTime}, []string{"bank"}
		}, "large: never matches: entries of the address book are whitelisted"},
		{"asset of another chain", func(d *policy.Document) {
			d.Routes[1].When.Assets, d.Routes[1].When.Chains = []custody.AssetID{ether}, []custody.ChainID{"eip155:5"}
		}, "none of asset.ids"},
		{"entry of another chain", func(d *policy.Document) {
			d.Routes[1].When.Books, d.Routes[1].When.Chains = []string{"bank"}, []custody.ChainID{"eip155:5"}
		}, "none of destination.ids"},
		{"a wallet of a change of the rules", func(d *policy.Document) {
			d.Guards[0].When = policy.Match{Operations: []request.Operation{request.PolicyChange}, Wallets: []custody.WalletID{"hot"}}
		}, "known-only: never matches: no operation"},
		{"nobody asks", func(d *policy.Document) {
			d.Routes[1].When.InitiatorKind, d.Routes[1].When.InitiatorIn = []policy.PrincipalKind{policy.Service}, []custody.GroupID{"risk"}
		}, "large: never matches: nobody"},
		{"a limit on nothing", func(d *policy.Document) {
			d.Limits = []policy.Limit{{ID: "idle", Measure: policy.MeasureCount, Exceeded: policy.Deny, When: policy.Match{Operations: []request.Operation{request.AppGrant}}}}
		}, "idle: limits nothing"},
		{"who asks in vain", func(d *policy.Document) { d.Routes[1].Plan = plan("treasury", 3) }, "large: " + string(alice) + ", " + string(bob) + ", " + string(carol) + " can't ask"},
	} {
		d := sample()
		c.change(&d)
		var all []string
		for _, f := range compile(t, d).Findings() {
			all = append(all, f.ID+": "+f.What)
		}
		if !strings.Contains(strings.Join(all, "\n"), c.want) {
			t.Errorf("%s: got %q, want %q", c.name, all, c.want)
		}
	}
}

// TestFindingsAreTrue: a rule that is said never to match, or never to decide, does not, whatever the facts.
func TestFindingsAreTrue(t *testing.T) {
	t.Parallel()
	kinds := lawtest.Counts{}
	lawtest.Check(t, kinds.Want(1, "never decides", "never matches"), func(t *rapid.T) {
		d := drawDocument(t)
		r := compileIn(t, d)
		idle := make(map[string]string)
		for _, f := range r.Findings() {
			if strings.HasPrefix(f.What, "never") {
				idle[f.ID] = f.What
				kind, _, _ := strings.Cut(f.What, ":")
				kinds[kind]++
			}
		}
		for range 20 {
			f := drawFacts(t, d)
			x := r.Evaluate(f)
			if what, is := idle[x.Rule]; is {
				t.Fatalf("%s decides, of which it is said: %s\n%+v", x.Rule, what, f)
			}
			for _, rule := range x.Unmet {
				if what, is := idle[rule.Rule]; is && x.Rule != policy.RuleDefaultDeny {
					t.Fatalf("%s matches, of which it is said: %s", rule.Rule, what)
				}
			}
		}
	})
}
