// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// movingCalls is a document whose guard, obligation and limits look at what calls move, by expressions too.
func movingCalls() policy.Document {
	d := callDocument()
	transfers := []request.Operation{request.Transfer}
	large, any := `destinations.exists(d, d.amount > amount("7"))`, policy.Window{Rolling: 3600}
	d.Guards = append(d.Guards, policy.Guard{ID: "very-large", Effect: policy.Hold, When: policy.Match{Operations: transfers, Expr: `total > amount("90")`}})
	d.Obligations = []policy.Obligation{{ID: "wait", When: policy.Match{Operations: transfers, Expr: large}, Add: policy.Addition{Delay: 60}}}
	d.Limits = []policy.Limit{
		{ID: "coins", When: policy.Match{Operations: transfers, Expr: large}, Measure: policy.MeasureAmount, Max: *u("1000"), Window: any, GroupBy: []policy.Aspect{policy.ByAsset, policy.ByDestination}, Exceeded: policy.Deny},
		{ID: "fees", When: policy.Match{Operations: transfers}, Measure: policy.MeasureFee, Max: *u("1000"), Window: any, GroupBy: []policy.Aspect{policy.ByChain}, Exceeded: policy.Deny},
		{ID: "times", When: policy.Match{Operations: []request.Operation{request.ContractCall}}, Measure: policy.MeasureCount, Max: *u("3"), Window: any, Exceeded: policy.Deny},
	}
	return d
}

// movingCall gives the facts of a call that moves amounts to two of the address book in turn.
func movingCall(value string, amounts ...string) policy.Facts {
	e := request.CallEffects{Calls: []request.CallNode{node(0, "usd", stakeFn)}}
	for i, a := range amounts {
		e.Movements = append(e.Movements, request.Movement{Asset: custody.AssetID("eip155:1/erc20:" + vendor), From: thief, To: []string{bank, broker}[i%2], Amount: *u(a)})
	}
	f := calling(value, e)
	f.Destinations[0].Address, f.Destinations[0].Kind, f.Destinations[0].Book = bank, policy.Whitelisted, "bank"
	return f
}

// TestOneCaseServesBoth: a decision and what it takes from limits are the same whether one case gives both, in either order, or each is asked for alone.
func TestOneCaseServesBoth(t *testing.T) {
	t.Parallel()
	r := compile(t, movingCalls())
	outcomes := map[policy.Outcome]int{}
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.SampledFrom([]string{"0", "1", "8", "80"})
		if rapid.IntRange(0, 3).Draw(t, "above all") == 0 {
			amount = rapid.Just("95")
		}
		f := movingCall(amount.Draw(t, "value"), rapid.SliceOfN(amount, 0, 6).Draw(t, "moved")...)
		if m := f.Call.Movements; len(m) > 0 && rapid.IntRange(0, 3).Draw(t, "stranger") == 0 {
			m[len(m)-1].To = thief
		}
		if rapid.IntRange(0, 9).Draw(t, "transfer") == 0 {
			f = facts(alice, "hot", amount.Draw(t, "total"))
		}
		fee := custody.U64(rapid.Uint64Range(0, 9).Draw(t, "fee"))
		decision := r.Evaluate(f)
		charges, err := r.Charges(f, fee)
		if err != nil {
			t.Fatal(err)
		}
		outcomes[decision.Outcome]++
		c := r.Case(f)
		for range 2 { // decision first, then charges first
			gotDecision := c.Decide()
			gotCharges, err := c.Charges(fee)
			if err != nil || !bytes.Equal(canon.Encode(gotDecision), canon.Encode(decision)) || !bytes.Equal(canon.Encode(gotCharges), canon.Encode(charges)) {
				t.Fatalf("got %s, %v (%v); alone %s, %v", describe(gotDecision), gotCharges, err, describe(decision), charges)
			}
			c = r.Case(f)
			if _, err := c.Charges(fee); err != nil {
				t.Fatal(err)
			}
		}
	})
	if outcomes[policy.Allowed] == 0 || outcomes[policy.Held] == 0 || outcomes[policy.Denied] == 0 {
		t.Errorf("the cases did not tell: %v", outcomes)
	}
}

// TestMovementsAreWorkedOutOnce: a case that has decided a call has the movements and the expressions' results at hand for what it takes from limits.
func TestMovementsAreWorkedOutOnce(t *testing.T) {
	r := compile(t, movingCalls())
	f := movingCall("1", "1", "2", "3", "4", "5", "6", "7", "8", "1", "2", "3", "4", "5", "6", "7", "8")
	fee := custody.U64(1)
	allocs := func(between func(*policy.Case) *policy.Case) float64 {
		return testing.AllocsPerRun(20, func() {
			c := r.Case(f)
			if d := c.Decide(); d.Outcome != policy.Allowed {
				t.Fatal(describe(d))
			}
			if got, err := between(c).Charges(fee); err != nil || len(got) == 0 {
				t.Fatal(got, err)
			}
		})
	}
	one := allocs(func(c *policy.Case) *policy.Case { return c })
	two := allocs(func(*policy.Case) *policy.Case { return r.Case(f) })
	if one > two*3/4 {
		t.Errorf("one case allocates %v times, two %v times", one, two)
	}
}
