// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// glass is [sample] with a break-glass plan: two of treasury drain to the bank for an hour, risk freezes.
func glass() policy.Document {
	d := sample()
	release := plan("treasury", 2)
	d.BreakGlass = &policy.BreakGlass{Who: plan("treasury", 2), DrainTo: []string{"bank"}, Duration: 3600, Freeze: []custody.GroupID{"risk"}, Resume: plan("treasury", 2)}
	d.Oversight = &policy.Oversight{Release: &release, Hold: []custody.GroupID{"risk"}}
	return d
}

// in gives facts in an operational state.
func in(m policy.Mode, f policy.Facts) policy.Facts {
	f.Context = &policy.Context{Mode: m}
	return f
}

// TestModeTable says of every operation what is taken while frozen and while draining, written out by hand.
func TestModeTable(t *testing.T) {
	t.Parallel()
	frozen := strings.Fields(`policy_change person_enrol person_revoke group_set whitelist_add whitelist_remove person_key_add person_key_remove domain_points_set domain_epoch_load
		domain_epoch_commit domain_epoch_activate domain_epoch_finalize domain_epoch_cancel domain_zeroize domain_restore warm_close app_revoke app_key_revoke offline_remove
		domain_reanchor_cancel slot_reconcile domain_freeze domain_unfreeze domain_drain domain_resume request_hold request_release
		whitelist_suspend whitelist_review blacklist_add blacklist_remove`)
	draining := strings.Fields(`transfer warm_open warm_close app_revoke app_key_revoke person_revoke person_key_remove domain_points_set domain_zeroize domain_restore domain_reanchor_cancel
		domain_freeze domain_unfreeze domain_drain domain_resume request_hold request_release whitelist_suspend whitelist_remove blacklist_add`)
	for m, want := range map[policy.Mode][]string{policy.Frozen: frozen, policy.Draining: draining} {
		taken := 0
		for _, o := range request.Operations() {
			if policy.TakenIn(m, o) {
				taken++
			}
			if !policy.TakenIn(policy.Normal, o) || policy.TakenIn("melting", o) {
				t.Errorf("%s: want it taken normally, and never in a state that is not known", o)
			}
		}
		for _, o := range want {
			if !policy.TakenIn(m, request.Operation(o)) {
				t.Errorf("%s takes no %s", m, o)
			}
		}
		if taken != len(want) {
			t.Errorf("%s takes %d operations, want %d", m, taken, len(want))
		}
	}
}

func TestFrozenAndDraining(t *testing.T) {
	t.Parallel()
	r := compile(t, glass())
	small := facts(bot, "hot", "5")
	large := facts(alice, "hot", "5000")
	change := policy.Facts{Operation: request.PolicyChange, Initiator: alice, Evidence: policy.BySignature}
	for _, x := range []struct {
		what string
		f    policy.Facts
		want string
	}{
		{"normal", large, "allow large"},
		{"frozen, automatic", in(policy.Frozen, small), "deny frozen: frozen mode"},
		{"frozen", in(policy.Frozen, large), "deny frozen: frozen mode"},
		{"frozen, the rules change", in(policy.Frozen, change), "allow change-plan"},
		{"draining to the bank, automatic", in(policy.Draining, small), "allow small auto"},
		{"draining to the bank", in(policy.Draining, large), "allow break-glass"},
		{"draining elsewhere", in(policy.Draining, to(large, broker, policy.Whitelisted, "broker")), "deny draining: draining mode"},
		{"draining to a stranger", in(policy.Draining, to(large, thief, policy.OneTime, "")), "deny draining: draining mode"},
		{"draining, the rules change", in(policy.Draining, change), "deny draining: draining mode"},
		{"a state that is not known", in("melting", large), "deny frozen: frozen mode"},
		{"drain", policy.Facts{Operation: request.Drain, Initiator: alice, Evidence: policy.BySignature}, "allow break-glass"},
		{"resume", in(policy.Frozen, policy.Facts{Operation: request.Resume, Initiator: alice, Evidence: policy.BySignature}), "allow resume-plan"},
		{"unfreeze", in(policy.Frozen, policy.Facts{Operation: request.Unfreeze, Initiator: alice, Evidence: policy.BySignature}), "allow change-plan"},
		{"release", policy.Facts{Operation: request.RequestRelease, Initiator: alice, Evidence: policy.BySignature}, "allow release-plan"},
		{"freeze", policy.Facts{Operation: request.Freeze, Initiator: dave, Evidence: policy.BySignature}, "allow freeze auto"},
		{"freeze by another", policy.Facts{Operation: request.Freeze, Initiator: alice, Evidence: policy.BySignature}, "deny freeze: freeze initiator.freeze"},
		{"freeze in a session", policy.Facts{Operation: request.Freeze, Initiator: bot, Evidence: policy.BySession}, "deny freeze: freeze evidence"},
		{"hold", policy.Facts{Operation: request.RequestHold, Initiator: bob, Evidence: policy.BySignature}, "allow hold auto"},
		{"hold by another", policy.Facts{Operation: request.RequestHold, Initiator: carol, Evidence: policy.BySignature}, "deny hold: hold initiator.hold"},
	} {
		if got := describe(r.Evaluate(x.f)); got != x.want {
			t.Errorf("%s: %s, want %s", x.what, got, x.want)
		}
	}
	old := compile(t, sample())
	for _, x := range []struct {
		o    request.Operation
		by   custody.PersonID
		want string
	}{{request.Freeze, alice, "allow freeze auto"}, {request.Freeze, dave, "deny freeze: freeze initiator.freeze"}, {request.Drain, alice, "deny break-glass: break-glass breakGlass"},
		{request.Resume, alice, "deny break-glass: break-glass breakGlass"}, {request.RequestHold, bob, "allow hold auto"}, {request.RequestRelease, alice, "allow change-plan"}} {
		if got := describe(old.Evaluate(policy.Facts{Operation: x.o, Initiator: x.by, Evidence: policy.BySignature})); got != x.want {
			t.Errorf("without breakGlass, %s: %s, want %s", x.o, got, x.want)
		}
	}
}

// TestNoGuardStopsFreeze: a guard that denies everything does not stop who takes power away, and stops a drain.
func TestNoGuardStopsFreeze(t *testing.T) {
	t.Parallel()
	d := glass()
	d.Guards = append(d.Guards, policy.Guard{ID: "zz", Effect: policy.Deny, When: policy.Match{Operations: []request.Operation{request.Drain, request.Freeze, request.RequestHold, request.Transfer}}})
	d.Guards[1].When.Operations = []request.Operation{request.Freeze, request.Drain, request.RequestHold, request.Transfer}
	sortOperations(d.Guards[1].When.Operations)
	r := compile(t, d)
	for o, want := range map[request.Operation]string{request.Freeze: "allow freeze auto", request.RequestHold: "allow hold auto", request.Drain: "deny zz: zz operation"} {
		if got := describe(r.Evaluate(policy.Facts{Operation: o, Initiator: bob, Evidence: policy.BySignature})); got != want {
			t.Errorf("%s: %s, want %s", o, got, want)
		}
	}
	if got := describe(r.Evaluate(in(policy.Draining, facts(alice, "hot", "5000")))); got != "deny zz: zz operation" {
		t.Errorf("a guard in a drain: %s", got)
	}
}

func sortOperations(o []request.Operation) {
	for i := range o {
		for j := i + 1; j < len(o); j++ {
			if o[j] < o[i] {
				o[i], o[j] = o[j], o[i]
			}
		}
	}
}

// TestModesNeverAllowMore: an operational state never turns a denial into an allowance but for what the break-glass plan lets through, and never without people.
func TestModesNeverAllowMore(t *testing.T) {
	t.Parallel()
	r := compile(t, glass())
	for _, who := range []custody.PersonID{alice, bob, dave, bot} {
		for _, amount := range []string{"5", "5000"} {
			for _, f := range []policy.Facts{facts(who, "hot", amount), to(facts(who, "cold", amount), broker, policy.Whitelisted, "broker"), to(facts(who, "hot", amount), thief, policy.OneTime, "")} {
				normal := r.Evaluate(f)
				for _, m := range []policy.Mode{policy.Frozen, policy.Draining} {
					got := r.Evaluate(in(m, f))
					if rank(got) > rank(normal) && got.Rule != policy.RuleBreakGlass || got.Auto && !normal.Auto || m == policy.Frozen && got.Outcome != policy.Denied {
						t.Errorf("%s: %s became %s", m, describe(normal), describe(got))
					}
				}
			}
		}
	}
}

func TestBreakGlassRefused(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		change func(*policy.Document)
		want   string
	}{
		"no duration":            {func(d *policy.Document) { d.BreakGlass.Duration = 0 }, "breakGlass.duration is 0 seconds"},
		"too long":               {func(d *policy.Document) { d.BreakGlass.Duration = policy.MaxDrain + 1 }, "breakGlass.duration"},
		"unknown destination":    {func(d *policy.Document) { d.BreakGlass.DrainTo = []string{"moon"} }, "not in the address book"},
		"destination twice":      {func(d *policy.Document) { d.BreakGlass.DrainTo = []string{"bank", "bank"} }, "sorted and distinct"},
		"nobody drains":          {func(d *policy.Document) { d.BreakGlass.Who = policy.Plan{} }, "breakGlass.who: needs a branch"},
		"nobody resumes":         {func(d *policy.Document) { d.BreakGlass.Resume = policy.Plan{} }, "breakGlass.resume: needs a branch"},
		"too few to drain":       {func(d *policy.Document) { d.BreakGlass.Who = plan("treasury", 4) }, "breakGlass.who"},
		"too few to resume":      {func(d *policy.Document) { d.BreakGlass.Resume = plan("risk", 3) }, "breakGlass.resume"},
		"unknown group freezes":  {func(d *policy.Document) { d.BreakGlass.Freeze = []custody.GroupID{"moon"} }, "breakGlass.freeze"},
		"services freeze":        {func(d *policy.Document) { d.BreakGlass.Freeze = []custody.GroupID{"bots"} }, "service"},
		"oversight of nothing":   {func(d *policy.Document) { d.Oversight = &policy.Oversight{} }, "says nothing"},
		"unknown group holds":    {func(d *policy.Document) { d.Oversight.Hold = []custody.GroupID{"moon"} }, "oversight.hold"},
		"nobody releases":        {func(d *policy.Document) { d.Oversight.Release = &policy.Plan{} }, "oversight.release: needs a branch"},
		"a guard called frozen":  {func(d *policy.Document) { d.Guards[0].ID = "frozen" }, "reserved"},
		"a route called held":    {func(d *policy.Document) { d.Routes[0].ID = "held" }, "reserved"},
		"a route for freezing":   {func(d *policy.Document) { d.Routes[2].When.Operations = []request.Operation{request.Freeze} }, "always takes the plan"},
		"one approval to resume": {func(d *policy.Document) { d.BreakGlass.Resume = plan("treasury", 1) }, "breakGlass.resume branch 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := glass()
			x.change(&d)
			mustContain(t, d.Check(custody.Production), x.want)
		})
	}
	if err := glass().Check(custody.Production); err != nil {
		t.Error(err)
	}
	old := sample()
	old.Guards[0].ID = "frozen" // a document that is older than the name keeps its rules
	if err := old.Check(custody.Production); err != nil {
		t.Error(err)
	}
	if _, err := glass().WithoutWhitelist(custody.Production, request.WhitelistRemoveBody{ID: "bank"}); err == nil {
		t.Error("a destination of a drain was removed from the address book")
	}
}

// TestOversightInWords: each change of breakGlass and oversight is told.
func TestOversightInWords(t *testing.T) {
	t.Parallel()
	changed := glass()
	changed.BreakGlass.Duration, changed.Oversight.Hold = 7200, nil
	for _, x := range []struct {
		old, next policy.Document
		want      []string
	}{
		{sample(), glass(), []string{"breakGlass is new: members of risk freeze the domain alone; draining it to bank of the address book needs 2 of treasury and lasts 3600 seconds; ending either needs 2 of treasury",
			"oversight is new: members of risk hold requests; releasing one needs 2 of treasury"}},
		{glass(), sample(), []string{"breakGlass is removed; it was", "oversight is removed; it was"}},
		{glass(), changed, []string{"lasts 7200 seconds", "the second line"}},
	} {
		got := strings.Join(policy.Diff(x.old, x.next), "\n")
		for _, w := range x.want {
			if !strings.Contains(got, w) {
				t.Errorf("%q does not say %q", got, w)
			}
		}
	}
	if got := policy.Diff(glass(), glass()); len(got) > 0 {
		t.Errorf("%q", got)
	}
}

// TestWhoFreezesAndHoldsMay: groups that may freeze or hold alone have people whose roles let them, or the document names somebody in vain.
func TestWhoFreezesAndHoldsMay(t *testing.T) {
	t.Parallel()
	watched := func(change func(*policy.Document)) policy.Document {
		d := lined()
		d.BreakGlass, d.Oversight = glass().BreakGlass, glass().Oversight
		change(&d)
		return d
	}
	if err := watched(func(*policy.Document) {}).Check(custody.Production); err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		change func(*policy.Document)
		want   string
	}{
		"line 1 holds":      {func(d *policy.Document) { d.Oversight.Hold = []custody.GroupID{"treasury"} }, "oversight.hold"},
		"approvers hold":    {func(d *policy.Document) { d.Principals[3].Roles = []request.Role{request.Approver} }, "oversight.hold"},
		"the third freezes": {func(d *policy.Document) { d.BreakGlass.Freeze = []custody.GroupID{"audit"} }, "breakGlass.freeze"},
		"a pricer freezes": {func(d *policy.Document) {
			d.Groups[2].Line, d.Principals[3].Line, d.Principals[3].Roles = 0, 0, []request.Role{request.Pricer}
			d.Oversight.Hold = nil
		}, "breakGlass.freeze"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mustContain(t, watched(x.change).Check(custody.Evaluation), x.want)
		})
	}
}

// TestHoldWithoutLines: in a document that gives roles and no lines an administrator holds, who has the role for it.
func TestHoldWithoutLines(t *testing.T) {
	t.Parallel()
	d := sample()
	for i := range d.Principals {
		if d.Principals[i].ID == alice {
			d.Principals[i].Roles = []request.Role{request.Administrator, request.Approver, request.Requester, request.Risk}
		}
	}
	r := compile(t, d)
	hold := func(p custody.PersonID) policy.Outcome {
		return r.Evaluate(policy.Facts{Operation: request.RequestHold, Initiator: p, Evidence: policy.BySignature}).Outcome
	}
	if hold(alice) != policy.Allowed {
		t.Error("an administrator with the role can't hold")
	}
	if hold(dave) != policy.Denied {
		t.Error("somebody who is no administrator holds")
	}
}
