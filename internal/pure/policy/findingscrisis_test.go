// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// found lists what is found in the sample with changes: section, id, whether it is a note, and the words.
func found(t *testing.T, changes ...func(d *policy.Document)) string {
	t.Helper()
	d := sample()
	for _, c := range changes {
		c(&d)
	}
	var all []string
	for _, f := range compile(t, d).Findings() {
		all = append(all, fmt.Sprintf("%s %s %t: %s", f.Section, f.ID, f.Note, f.What))
	}
	return strings.Join(all, "\n")
}

// drains lets the sample drain to the bank in an hour; what is asked of it waits for wait seconds if when matches.
func drains(d *policy.Document) {
	d.BreakGlass = &policy.BreakGlass{Who: plan("treasury", 2), DrainTo: []string{"bank"}, Duration: 3600, Resume: plan("treasury", 2)}
}

func waits(seconds int64, when policy.Match) func(*policy.Document) {
	return func(d *policy.Document) {
		d.Obligations = append(d.Obligations, policy.Obligation{ID: "wait", When: when, Add: policy.Addition{Delay: seconds}})
	}
}

// TestDrainsThatCantFinish: what holds a drain's transfers back for as long as the drain lasts is found; what matches some of them only is a note; what
// lets them out in time, or is about something else, is nothing.
func TestDrainsThatCantFinish(t *testing.T) {
	t.Parallel()
	transfer := []request.Operation{request.Transfer}
	late := plan("treasury", 2)
	late.AnyOf[0].Delay = 3600
	either := policy.Plan{AnyOf: []policy.Branch{late.AnyOf[0], plan("treasury", 3).AnyOf[0]}}
	limit := func(d *policy.Document) {
		d.Limits = []policy.Limit{{ID: "day", Measure: policy.MeasureCount, Max: *u("5"), Exceeded: policy.ByPlan, Plan: &late, When: policy.Match{Operations: transfer}}}
	}
	for name, x := range map[string]struct {
		change func(*policy.Document)
		want   string // empty: nothing is found
	}{
		"nothing":                    {func(*policy.Document) {}, ""},
		"a delay within the drain":   {waits(3599, policy.Match{Operations: transfer}), ""},
		"a delay as long":            {waits(3600, policy.Match{Operations: transfer}), "obligations wait false: a drain lasts 3600 seconds, and this holds back for 3600 whatever it brings to bank: it can't finish"},
		"of anything":                {waits(7200, policy.Match{}), "obligations wait false: "},
		"of the chain and the entry": {waits(7200, policy.Match{Chains: []custody.ChainID{chain}, Books: []string{"bank"}, Destination: []policy.DestinationKind{policy.Whitelisted}}), "obligations wait false: "},
		"of other operations":        {waits(7200, policy.Match{Operations: []request.Operation{request.PolicyChange}}), ""},
		"of other entries":           {waits(7200, policy.Match{Operations: transfer, Books: []string{"broker"}}), ""},
		"of strangers":               {waits(7200, policy.Match{Operations: transfer, DestNot: []policy.DestinationKind{policy.Whitelisted}}), ""},
		"of another chain":           {waits(7200, policy.Match{Operations: transfer, Chains: []custody.ChainID{"eip155:5"}}), ""},
		"of large transfers":         {waits(7200, policy.Match{Operations: transfer, AmountOver: u("5")}), "obligations wait true: a drain lasts 3600 seconds, and this holds back for 7200 what it matches on the way to bank"},
		"of some people":             {waits(7200, policy.Match{Operations: transfer, InitiatorIn: []custody.GroupID{"risk"}}), "obligations wait true: "},
		"but for the entry":          {waits(7200, policy.Match{Operations: transfer, Expr: `!destinations.all(d, d.book in ["bank"])`}), ""},
		"for the entry":              {waits(7200, policy.Match{Operations: transfer, Expr: `destinations.exists(d, d.book == "bank")`}), "obligations wait false: "},
		"of more by expression":      {waits(7200, policy.Match{Operations: transfer, Expr: `total > amount("5")`}), "obligations wait true: "},
		"of a large destination":     {waits(7200, policy.Match{Operations: transfer, Expr: `destinations.exists(d, d.amount > amount("5"))`}), "obligations wait true: "},
		"of a new destination":       {waits(7200, policy.Match{Operations: transfer, Expr: `destinations.exists(d, d.firstUse)`}), "obligations wait true: "},
		"the entry and some wallet":  {waits(7200, policy.Match{Operations: transfer, Expr: `destinations.exists(d, d.book == "bank")`, Wallets: []custody.WalletID{"hot"}}), "obligations wait true: "},
		"a plan that waits": {func(d *policy.Document) {
			d.Obligations = []policy.Obligation{{ID: "wait", When: policy.Match{Operations: transfer}, Add: policy.Addition{Plan: &late}}}
		}, "obligations wait false: "},
		"a plan with a way in time": {func(d *policy.Document) {
			d.Obligations = []policy.Obligation{{ID: "wait", When: policy.Match{Operations: transfer}, Add: policy.Addition{Plan: &either}}}
		}, ""},
		"a limit with such a plan": {limit, "limits day true: "},
		"who approves the drain":   {func(d *policy.Document) { d.BreakGlass.Who = late }, "breakGlass break-glass false: a drain lasts 3600 seconds, and the plan that approves its transfers is not met before 3600"},
		"a guard that denies": {func(d *policy.Document) {
			d.Guards[0].When = policy.Match{Operations: transfer, Books: []string{"bank"}}
		}, "guards known-only false: denies whatever a drain brings to bank"},
		"a guard that denies some": {func(d *policy.Document) { d.Guards[0].When = policy.Match{Operations: transfer, AmountOver: u("5")} }, ""},
		"a guard that holds": {func(d *policy.Document) {
			d.Guards[0].When, d.Guards[0].Effect = policy.Match{Operations: transfer, Books: []string{"bank"}}, policy.Hold
		}, ""},
		"a document that can't drain": {func(d *policy.Document) {
			d.BreakGlass.DrainTo = nil
			waits(7200, policy.Match{Operations: transfer})(d)
		}, ""},
	} {
		if got := found(t, drains, x.change); (x.want == "") != (got == "") || !strings.HasPrefix(got, x.want) || strings.Contains(got, "\n") {
			t.Errorf("%s: got %q, want %q", name, got, x.want)
		}
	}
	if got := found(t, waits(7200, policy.Match{})); got != "" {
		t.Errorf("without breakGlass: %q", got)
	}
}

// TestFoundDrainsAreLate: what is said of a drain is so. An obligation of which it is said that it holds everything back does, whoever asks, from
// wherever and however much.
func TestFoundDrainsAreLate(t *testing.T) {
	t.Parallel()
	d := sample()
	drains(&d)
	waits(7200, policy.Match{Operations: []request.Operation{request.Transfer}, Expr: `destinations.exists(d, d.book == "bank")`})(&d)
	r := compile(t, d)
	if f := r.Findings(); len(f) != 1 || f[0].Note {
		t.Fatal(f)
	}
	for _, wallet := range []custody.WalletID{"hot", "other"} {
		for _, amount := range []string{"1", "1000", "999999999999"} {
			for _, who := range []custody.PersonID{alice, dave, bot} {
				f := facts(who, wallet, amount)
				f.Context = &policy.Context{Mode: policy.Draining}
				if x := r.Evaluate(f); x.Outcome == policy.Allowed && x.Delay < d.BreakGlass.Duration {
					t.Errorf("%s of %s by %s is done in %d seconds", amount, wallet, who, x.Delay)
				}
			}
		}
	}
}

// TestLedgersThatNobodyCanUse: a plan for the address book is of use only with people who may ask, who leave enough to approve, and with somebody who
// takes an address away alone.
func TestLedgersThatNobodyCanUse(t *testing.T) {
	t.Parallel()
	ledger := func(d *policy.Document) { d.Whitelist = &policy.Whitelist{Plan: plan("treasury", 2)} }
	roles := func(of map[custody.PersonID][]request.Role) func(*policy.Document) {
		return func(d *policy.Document) {
			for i, p := range d.Principals {
				d.Principals[i].Roles = of[p.ID]
			}
		}
	}
	all := []request.Role{request.Administrator, request.Approver, request.Requester}
	with := func(r ...request.Role) []request.Role { return append(append([]request.Role{}, all...), r...) }
	for name, x := range map[string]struct {
		of   map[custody.PersonID][]request.Role
		want string
	}{
		"no roles":            {nil, ""},
		"one of the plan may": {map[custody.PersonID][]request.Role{alice: with(request.Whitelister), bob: all, carol: all, dave: all, bot: {request.Requester}}, ""},
		"one who is outside may, and nobody stops": {map[custody.PersonID][]request.Role{alice: all, bob: all, carol: all, dave: with(request.Whitelister), bot: {request.Requester}},
			"whitelist whitelist-plan false: nobody can suspend an entry or block an address alone: of the people whom the plan counts none has a role for it (whitelister or risk)"},
		"nobody may": {map[custody.PersonID][]request.Role{alice: with(request.Risk), bob: all, carol: all, dave: all, bot: {request.Requester}},
			"whitelist whitelist-plan false: nobody can ask for a new entry: no active person has the role whitelister"},
	} {
		if got := found(t, ledger, roles(x.of)); got != x.want {
			t.Errorf("%s: got %q, want %q", name, got, x.want)
		}
	}
	three := func(d *policy.Document) { d.Whitelist.Plan = plan("treasury", 3) }
	outside := map[custody.PersonID][]request.Role{alice: with(request.Whitelister), bob: all, carol: all, dave: all, bot: {request.Requester}}
	if got := found(t, ledger, three, roles(outside)); got != "whitelist whitelist-plan false: nobody gets a new entry: without any of those who may ask ("+string(alice)+") too few are left to approve" {
		t.Errorf("the only one who may ask is needed to approve: %q", got)
	}
	outside[dave] = with(request.Whitelister)
	if got := found(t, ledger, three, roles(outside)); got != "whitelist whitelist-plan true: "+string(alice)+" can't ask for a new entry: too few people would be left to approve" {
		t.Errorf("one of two who may ask is needed to approve: %q", got)
	}
	if got := found(t, roles(map[custody.PersonID][]request.Role{alice: all, bob: all, carol: all, dave: all, bot: {request.Requester}})); got != "" {
		t.Errorf("without a ledger: %q", got)
	}
}
