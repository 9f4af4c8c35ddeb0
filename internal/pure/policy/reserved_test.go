// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// governed is the sample with administrators of their own: two of three of admins, one of whom is of treasury too.
func governed() policy.Document {
	d := sample()
	d.Groups = append([]policy.Group{{ID: "admins", Members: []custody.PersonID{bob, carol, dave}}}, d.Groups...)
	d.Domain = &policy.DomainPlans{Signature: plan("admins", 2), Revocation: plan("admins", 2), Recovery: plan("treasury", 2)}
	return d
}

// rules lists the rules of requirements, marked where they are of the document as it will be.
func rulesOf(list []policy.Requirement) string {
	var out []string
	for _, r := range list {
		s := r.Rule
		if r.Groups != nil {
			s += " then"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func members(d policy.Document, g custody.GroupID, ids ...custody.PersonID) policy.Document {
	d.Groups = slices.Clone(d.Groups)
	for i := range d.Groups {
		if d.Groups[i].ID == g {
			slices.Sort(ids)
			d.Groups[i].Members = ids
		}
	}
	return d
}

func TestRequirements(t *testing.T) {
	t.Parallel()
	one, two := sample(), governed()
	with := func(d policy.Document, f func(*policy.Document)) policy.Document {
		if d.Domain != nil {
			p := *d.Domain
			d.Domain = &p
		}
		f(&d)
		return d
	}
	for _, x := range []struct {
		name      string
		old, next policy.Document
		want      string
	}{
		{"nothing that matters", two, with(two, func(d *policy.Document) { d.Routes = d.Routes[:2]; d.AddressBook = nil }), ""},
		{"somebody joins a group that no plan names", two, members(two, "risk", alice, bob, dave), ""},
		{"somebody joins who change the rules", one, members(one, "treasury", alice, bob, carol, dave), "change-plan then"},
		{"somebody leaves who change the rules", one, members(one, "treasury", alice, bob), ""},
		{"one for another", one, members(one, "treasury", alice, bob, dave), "change-plan then"},
		{"an administrator more", two, members(two, "admins", alice, bob, carol, dave), "signature-plan, signature-plan then"},
		{"an administrator less", two, members(two, "admins", carol, dave), "revocation-plan"},
		{"an administrator for another", two, members(two, "admins", alice, carol, dave), "signature-plan, signature-plan then"},
		{"a governor more, who restores too", two, members(two, "treasury", alice, bob, carol, dave), "change-plan then"},
		{"a governor less, who restores too", two, members(two, "treasury", alice, bob), "revocation-plan"},
		{"another change plan", two, with(two, func(d *policy.Document) { d.ChangePlan = plan("treasury", 3) }), "change-plan then"},
		{"another signature plan", two, with(two, func(d *policy.Document) { d.Domain.Signature = plan("admins", 3) }), "signature-plan, signature-plan then"},
		{"another revocation plan", two, with(two, func(d *policy.Document) { d.Domain.Revocation = plan("admins", 3) }), "revocation-plan, revocation-plan then"},
		{"another recovery plan", two, with(two, func(d *policy.Document) { d.Domain.Recovery = plan("treasury", 3) }), "recovery-plan then"},
		{"the floor", two, with(two, func(d *policy.Document) { d.Floor.MinDistinctUsers = 3 }), "change-plan then, signature-plan, signature-plan then"},
		{"plans of its own", one, two, "signature-plan then"},
		{"no plans of its own any more", two, one, "signature-plan, signature-plan then"},
		{"somebody is revoked", two, with(members(members(members(two, "admins", carol, dave), "treasury", alice, carol), "risk", dave), func(d *policy.Document) {
			d.Principals = slices.Clone(d.Principals)
			d.Principals[1].Active = false
		}), "revocation-plan"},
	} {
		if got := rulesOf(policy.Requirements(x.old, x.next)); got != x.want {
			t.Errorf("%s: needs %q, want %q", x.name, got, x.want)
		}
	}
}

// Who takes a key from somebody whom a plan of the domain counts needs the revocation plan besides, in whatever way it goes; from anybody else
// they don't.
func TestKeysAreTakenByTheRevocationPlan(t *testing.T) {
	t.Parallel()
	two := members(governed(), "treasury", alice, bob)
	two.ChangePlan = plan("risk", 2)
	two = members(two, "risk", alice, bob, dave, person(4))
	two.Principals = slices.Insert(slices.Clone(two.Principals), 4, principal(person(4), 7, policy.Human)) // counted by the change plan only
	for n, x := range []struct {
		who    custody.PersonID
		counts bool
	}{{alice, true}, {bob, true}, {carol, true}, {dave, true}, {person(4), false}, {bot, false}} {
		old, err := two.WithKey(custody.Evaluation, request.PersonKeyAddBody{Person: x.who, Key: key(50 + n)})
		if err != nil {
			t.Fatal(err)
		}
		if got := rulesOf(policy.Requirements(two, old)); got != "" {
			t.Errorf("%s gets a key: needs %q", x.who, got)
		}
		removed, err := old.WithoutKey(custody.Evaluation, request.PersonKeyRemoveBody{Person: x.who, Key: key(50 + n).Ref()})
		if err != nil {
			t.Fatal(err)
		}
		replaced, err := old.WithDocument(custody.Evaluation, removed)
		if err != nil {
			t.Fatal(err)
		}
		for how, next := range map[string]policy.Document{"person_key_remove": removed, "policy_change": replaced} {
			needs, want := policy.Requirements(old, next), map[bool]string{true: "revocation-plan"}[x.counts]
			if got := rulesOf(needs); got != want {
				t.Errorf("%s loses a key by %s: needs %q, want %q", x.who, how, got, want)
			}
		}
		d := policy.Decision{Outcome: policy.Allowed, Version: 1, Plan: old.ChangePlan, Also: policy.Requirements(old, removed)}
		r := compile(t, old)
		if met, _ := d.Met(r, alice, approve(bob, person(4))); met == x.counts {
			t.Errorf("%s loses a key with the change plan alone: %v", x.who, met)
		}
		if met, unmet := d.Met(r, alice, approve(bob, person(4), dave)); !met {
			t.Errorf("%s loses a key with both plans: lacks %v", x.who, unmet)
		}
	}
}

// A change that gives somebody a say takes effect only with a quorum of those who have it and one of those who will.
func TestOldAndNewQuorum(t *testing.T) {
	t.Parallel()
	old := members(governed(), "admins", bob, carol, alice)
	next := members(old, "admins", dave, person(4))
	for _, d := range []*policy.Document{&old, &next} {
		d.Principals = slices.Insert(slices.Clone(d.Principals), 4, principal(person(4), 7, policy.Human))
	}
	r := compile(t, old)
	d := r.Require(r.Evaluate(policy.Facts{Operation: request.GroupSet, Initiator: alice, Evidence: policy.BySignature}), alice, policy.Requirements(old, next))
	if d.Outcome != policy.Allowed {
		t.Fatal(describe(d))
	}
	for _, x := range []struct {
		who  []custody.PersonID
		want bool
	}{
		{[]custody.PersonID{bob, carol}, false},                        // the old ones alone
		{[]custody.PersonID{dave, person(4)}, false},                   // the new ones alone
		{[]custody.PersonID{bob, carol, dave}, false},                  // one of the new ones
		{[]custody.PersonID{bob, dave, person(4)}, false},              // one of the old ones
		{[]custody.PersonID{alice, bob, carol, dave}, false},           // who asks doesn't count
		{[]custody.PersonID{bob, carol, dave, person(4)}, true},        // both
		{[]custody.PersonID{bob, carol, dave, dave, dave, bot}, false}, // nobody counts twice
	} {
		ok, unmet := d.Met(r, alice, approve(x.who...))
		if ok != x.want || ok != (len(unmet) == 0) {
			t.Errorf("%v: met %v, lacks %v", x.who, ok, unmet)
		}
	}
	for who, want := range map[custody.PersonID]bool{bob: true, carol: true, dave: true, person(4): true, bot: false, "p_qqqqqqqqqqqqqqqq": false} {
		if d.Counts(r, who) != want {
			t.Errorf("%s counts: %v", who, !want)
		}
	}
	if d := r.Require(d, dave, policy.Requirements(old, next)); d.Outcome != policy.Denied || d.Rule != policy.RuleFloor {
		t.Errorf("dave asks for what needs dave: %s", describe(d))
	}
}

// Whatever a change is: with its requirements met, the change plan and each plan that somebody gets a say in are met, as they were and as
// they will be. More approvals never undo it.
func TestNobodyGetsASayAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		old := drawDocument(t)
		old.BreakGlass = nil // its plans would make most changes of groups no document
		next := old
		next.Groups = slices.Clone(old.Groups)
		for i := range next.Groups[:len(next.Groups)-1] {
			if rapid.Bool().Draw(t, "change") {
				next.Groups[i].Members = some(t, "member", old.Groups[0].Members...)
			}
		}
		if rapid.Bool().Draw(t, "plan") {
			next.ChangePlan = drawPlan(t, next)
		}
		after, err := policy.Compile(next)
		if err != nil {
			t.Skip("no document")
		}
		before, err := policy.Compile(old)
		if err != nil {
			t.Fatal(err)
		}
		who := old.Principals[0].ID
		d := policy.Decision{Outcome: policy.Allowed, Version: 1, Plan: old.ChangePlan, Also: policy.Requirements(old, next)}
		votes := approve(some(t, "votes", everybody(old)...)...)
		met, _ := d.Met(before, who, votes)
		if more, _ := d.Met(before, who, append(votes, approve(some(t, "more", everybody(old)...)...)...)); met && !more {
			t.Fatal("an approval undid the quorum")
		}
		if !met {
			return
		}
		for name, p := range map[string][2]policy.Plan{"change": {old.ChangePlan, next.ChangePlan}, "signature": {old.Plans().Signature, next.Plans().Signature}, "revocation": {old.Plans().Revocation, next.Plans().Revocation},
			"recovery": {old.Plans().Recovery, next.Plans().Recovery}} {
			if !gains(old, next, p) {
				continue
			}
			was, _ := p[0].Met(before, who, votes)
			is, _ := p[1].Met(after, who, votes)
			if !was || !is {
				t.Fatalf("%s plan: met as it was %v, as it will be %v", name, was, is)
			}
		}
	})
}

// gains says whether somebody may approve for a plan who couldn't before, or the plan is another.
func gains(old, next policy.Document, p [2]policy.Plan) bool {
	count := func(d policy.Document, p policy.Plan) map[string]bool {
		out := map[string]bool{}
		for _, b := range p.AnyOf {
			for _, s := range b.Steps {
				for _, g := range d.Groups {
					if g.ID == s.Group {
						for _, m := range g.Members {
							out[fmt.Sprint(g.ID, m)] = true
						}
					}
				}
			}
		}
		return out
	}
	if p[0].String() != p[1].String() {
		return true
	}
	was := count(old, p[0])
	for m := range count(next, p[1]) {
		if !was[m] {
			return true
		}
	}
	return false
}

// The domain's plans are checked as the change plan is, and no guard stands between an administrator and zeroize.
func TestDomainPlans(t *testing.T) {
	t.Parallel()
	for what, spoil := range map[string]func(*policy.DomainPlans){
		"domain.signature: needs a branch":                  func(p *policy.DomainPlans) { p.Signature = policy.Plan{} },
		"domain.revocation: needs a branch":                 func(p *policy.DomainPlans) { p.Revocation = policy.Plan{} },
		"domain.recovery: branch 1 step 1":                  func(p *policy.DomainPlans) { p.Recovery = plan("nobody", 2) },
		"domain.signature branch 1 asks for 1 approval":     func(p *policy.DomainPlans) { p.Signature = plan("admins", 1) },
		"domain.recovery branch 1 asks for 1 approval":      func(p *policy.DomainPlans) { p.Recovery = plan("treasury", 1) },
		"domain.revocation: branch 1 step 1 (group admins)": func(p *policy.DomainPlans) { p.Revocation = plan("admins", 4) },
	} {
		d := governed()
		spoil(d.Domain)
		mustContain(t, d.Check(custody.Production), what)
	}
	d := governed()
	if err := d.Check(custody.Production); err != nil {
		t.Fatal(err)
	}
	d.Guards = append(d.Guards, policy.Guard{ID: "locked", Effect: policy.Hold, When: policy.Match{InitiatorKind: []policy.PrincipalKind{policy.Human}, Operations: []request.Operation{request.EpochLoad, request.Zeroize}}})
	r := compile(t, d)
	ask := func(op request.Operation, by custody.PersonID, kind policy.EvidenceKind) policy.Decision {
		return r.Evaluate(policy.Facts{Operation: op, Initiator: by, Evidence: kind})
	}
	if x := ask(request.EpochLoad, alice, policy.BySignature); x.Outcome != policy.Held || x.Rule != "locked" {
		t.Errorf("a guard that holds back a load: %s", describe(x))
	}
	if x := ask(request.Zeroize, dave, policy.BySignature); x.Outcome != policy.Allowed || !x.Auto || x.Rule != policy.RuleZeroize {
		t.Errorf("an administrator zeroizes: %s", describe(x))
	}
	for by, kind := range map[custody.PersonID]policy.EvidenceKind{alice: policy.BySignature, bot: policy.BySession} {
		if x := ask(request.Zeroize, by, kind); x.Outcome != policy.Denied {
			t.Errorf("%s zeroizes: %s", by, describe(x))
		}
	}
	if got := r.Administrators(); !slices.Equal(got, []custody.PersonID{bob, carol, dave}) {
		t.Errorf("administrators: %v", got)
	}
	if lines := strings.Join(policy.Diff(sample(), governed()), "; "); !strings.Contains(lines, "2 of admins") {
		t.Errorf("the plans are not told: %s", lines)
	}
}
