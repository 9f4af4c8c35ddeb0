// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

var transfers = policy.Match{Operations: []request.Operation{request.Transfer}}

// office gives the sample a calendar: Mondays to Fridays, 9:00 to 17:00 UTC; 1 January 2026, a Thursday, is a holiday.
func office(d *policy.Document) {
	d.Calendars = []policy.Calendar{{ID: "office", Offsets: []policy.Offset{{}}, Weekly: []policy.Hours{{Days: []uint{1, 2, 3, 4, 5}, From: 540, To: 1020}}, Holidays: []policy.Special{{Day: 20454}}}}
}

func duty(a policy.Addition) policy.Obligation {
	return policy.Obligation{ID: "duty", When: transfers, Add: a}
}

func TestCheckRefusesNewFields(t *testing.T) {
	t.Parallel()
	type D = *policy.Document
	risk, none := plan("risk", 1), plan("risk", 3)
	oblige := func(a policy.Addition) func(D) { return func(d D) { d.Obligations = []policy.Obligation{duty(a)} } }
	route := func(change func(*policy.Branch)) func(D) {
		return func(d D) {
			d.Routes[1].Plan = policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "risk", Min: 1}, {Group: "treasury", Min: 1}}}}}
			change(&d.Routes[1].Plan.AnyOf[0])
		}
	}
	hours := func(change func(*policy.Calendar)) func(D) {
		return func(d D) {
			office(d)
			change(&d.Calendars[0])
		}
	}
	for _, c := range []struct {
		name   string
		change func(D)
		want   string
	}{
		{"adds nothing", oblige(policy.Addition{}), "obligation duty: adds nothing"},
		{"delay beyond the life of a request", oblige(policy.Addition{Delay: 86400}), "add.delay is 86400 seconds"},
		{"negative delay", oblige(policy.Addition{Delay: -1}), "add.delay is -1"},
		{"plan without branches", oblige(policy.Addition{Plan: &policy.Plan{}}), "add.plan needs a branch"},
		{"plan that can't be met", oblige(policy.Addition{Plan: &none}), "obligation duty: add.plan: branch 1 step 1 (group risk): asks for 3 approvals"},
		{"too many groups", oblige(policy.Addition{MinGroups: 201}), "add.minDistinctGroups is 201"},
		{"id of a route", func(d D) { oblige(policy.Addition{Delay: 1})(d); d.Obligations[0].ID = "large" }, "another rule has this id"},
		{"reserved id", func(d D) { oblige(policy.Addition{Delay: 1})(d); d.Obligations[0].ID = "obligations" }, "reserved"},
		{"obligations out of order", func(d D) {
			d.Obligations = []policy.Obligation{duty(policy.Addition{Delay: 1}), {ID: "a", Add: policy.Addition{Delay: 1}}}
		}, "obligations must be sorted"},
		{"lock-out by an obligation", func(d D) {
			oblige(policy.Addition{MinGroups: 2})(d)
			d.Obligations[0].When = policy.Match{}
		}, "obligation duty asks for more than can be met of every change of the rules"},
		{"too many obligations", func(d D) {
			for i := range 201 {
				d.Obligations = append(d.Obligations, policy.Obligation{ID: fmt.Sprintf("d%03d", i), Add: policy.Addition{Delay: 1}})
			}
		}, "201 obligations"},

		{"delay of a branch", route(func(b *policy.Branch) { b.Delay = 86400 }), "delay is 86400 seconds"},
		{"approvals older than the floor's", route(func(b *policy.Branch) { b.ExpiresAfter = 86401 }), "expiresAfter is 86401"},
		{"approvals that hardly count", route(func(b *policy.Branch) { b.ExpiresAfter = 59 }), "expiresAfter is 59"},
		{"deadline before the delay", route(func(b *policy.Branch) { b.Delay, b.Deadline = 3600, 3600 }), "deadline is 3600"},
		{"first step ordered", route(func(b *policy.Branch) { b.Steps[0].Ordered = true }), "no step before the first"},
		{"passkeys that nobody has", route(func(b *policy.Branch) { b.Steps[1].Hardware = true }), "with passkeys"},
		{"unknown group to differ from", route(func(b *policy.Branch) { b.Steps[1].Differ = []custody.GroupID{"x"} }), `mustDifferFrom: "x" is not in the document`},
		{"unknown veto", route(func(b *policy.Branch) { b.Steps[1].Veto = []custody.GroupID{"x"} }), `veto: "x" is not in the document`},
		{"nobody left who differs", route(func(b *policy.Branch) { b.Steps[1].Differ = []custody.GroupID{"treasury"} }), "can't be met"},
		{"too few groups", func(d D) { d.Floor.MinDistinctGroups = 2 }, "floor.minDistinctGroups is 2"},
		{"groups beyond all steps", func(d D) { d.Floor.MinDistinctGroups = 9 }, "want 8 at most"},
		{"reserved plan that differs", func(d D) { d.ChangePlan.AnyOf[0].Steps[0].Differ = []custody.GroupID{"risk"} }, "mustDifferFrom has no place in a reserved plan"},
		{"recovery by passkeys", func(d D) { d.ChangePlan.AnyOf[0].Steps[0].Hardware = true }, "the plan of recovery"},

		{"limit with a plan that denies", func(d D) {
			d.Limits = []policy.Limit{{ID: "x", Measure: policy.MeasureCount, Exceeded: policy.Deny, Plan: &risk}}
		}, "a plan goes with onExceed: plan"},
		{"limit by plan without one", func(d D) {
			d.Limits = []policy.Limit{{ID: "x", Measure: policy.MeasureCount, Exceeded: policy.ByPlan}}
		}, "a plan goes with onExceed: plan"},
		{"guard with the effect plan", func(d D) { d.Guards[0].Effect = policy.ByPlan }, `effect "plan"`},

		{"unknown calendar", func(d D) { d.Routes[1].When.Time = &policy.TimeMatch{Inside: "x"} }, `calendar "x" is not in the document`},
		{"neither inside nor outside", func(d D) { office(d); d.Routes[1].When.Time = &policy.TimeMatch{} }, "want one of inside and outside"},
		{"calendar without hours", func(d D) {
			hours(func(c *policy.Calendar) { c.Weekly, c.Holidays = nil, nil })(d)
			d.Routes[1].When.Time = &policy.TimeMatch{Outside: "office"}
		}, "has no weekly hours"},
		{"temperature", func(d D) { d.Routes[1].When.Temperatures = []request.Temperature{"tepid"} }, `"tepid"`},
		{"hours backwards", hours(func(c *policy.Calendar) { c.Weekly[0].To = 540 }), "from must come before to"},
		{"no such day", hours(func(c *policy.Calendar) { c.Weekly[0].Days = []uint{8} }), "days must be sorted"},
		{"no day", hours(func(c *policy.Calendar) { c.Weekly[0].Days = nil }), "no day"},
		{"holiday twice", hours(func(c *policy.Calendar) { c.Holidays = append(c.Holidays, c.Holidays[0]) }), "holidays must be sorted and distinct"},
		{"holidays of nothing", hours(func(c *policy.Calendar) { c.Weekly = nil }), "no weekly hours"},
		{"lock-out at any time", func(d D) {
			office(d)
			d.Guards = []policy.Guard{{ID: "in", Effect: policy.Deny, When: policy.Match{Time: &policy.TimeMatch{Inside: "office"}}}, {ID: "out", Effect: policy.Hold, When: policy.Match{Time: &policy.TimeMatch{Outside: "office"}}}}
		}, "would refuse every change of the rules"},
	} {
		d := sample()
		c.change(&d)
		mustContain(t, d.Check(custody.Evaluation), c.want)
	}
	d := sample()
	office(&d)
	d.Guards[0].When = policy.Match{Time: &policy.TimeMatch{Outside: "office"}}
	if err := d.Check(custody.Production); err != nil {
		t.Errorf("a guard that shuts at night: %v", err)
	}
}

// TestTimeInRules: inside and outside are true where they surely are. Where the clock can't tell, a guard and an obligation match, and a route does
// not, and ends the search.
func TestTimeInRules(t *testing.T) {
	t.Parallel()
	const monday = 20458 * 86400 // 5 January 2026
	at := func(from, to int64) policy.Facts {
		f := facts(alice, "hot", "1001")
		f.Around = &policy.Around{Earliest: monday + from, Latest: monday + to, Temperature: request.Hot}
		return f
	}
	nine, noon, night := int64(9*3600), int64(12*3600), int64(20*3600)
	d := sample()
	office(&d)
	d.Routes[1].When.Time = &policy.TimeMatch{Inside: "office"}
	d.Guards[0].When.Temperatures = []request.Temperature{request.Cold}
	d.Obligations = []policy.Obligation{{ID: "late", When: policy.Match{Operations: transfers.Operations, Time: &policy.TimeMatch{Outside: "office"}}, Add: policy.Addition{Delay: 60}}}
	r := compile(t, d)
	for _, c := range []struct {
		name string
		f    policy.Facts
		want string
	}{
		{"noon", at(noon, noon+5), "allow large"},
		{"opening", at(nine, nine), "allow large"},
		{"a second before", at(nine-1, nine), "deny large: large time"},
		{"night", at(night, night), "deny default-deny: small initiator.groups"},
		{"holiday", at(noon-4*86400, noon-4*86400), "deny default-deny: small initiator.groups"},
		{"two days", at(noon, noon+2*86400), "deny large: large time"},
		{"no time known", facts(alice, "hot", "1001"), "deny large: large time"},
	} {
		if got := describe(r.Evaluate(c.f)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	d.Routes[1].When.Time = nil
	r = compile(t, d)
	for name, c := range map[string]struct {
		f     policy.Facts
		delay int64
	}{"noon": {at(noon, noon), 0}, "closing": {at(17*3600-1, 17*3600), 60}, "night": {at(night, night), 60}, "unknown": {facts(alice, "hot", "1001"), 60}} {
		if got := r.Evaluate(c.f); got.Outcome != policy.Allowed || got.Delay != c.delay {
			t.Errorf("%s: %s, delay %d", name, describe(got), got.Delay)
		}
	}
	thieves := to(at(noon, noon), thief, policy.OneTime, "")
	if got := r.Evaluate(thieves); got.Rule == "known-only" {
		t.Error("a guard on cold wallets stops a hot one")
	}
	thieves.Around.Temperature = ""
	if got := r.Evaluate(thieves); got.Rule != "known-only" || !strings.Contains(got.Unmet[0].Observed, "is not known") {
		t.Errorf("an unknown temperature: %s", describe(got))
	}
}

// TestLongestDelayHolds, in whichever order obligations stand.
func TestLongestDelayHolds(t *testing.T) {
	t.Parallel()
	for _, delays := range [][2]int64{{60, 5}, {5, 60}} {
		d := sample()
		d.Obligations = []policy.Obligation{{ID: "a", When: transfers, Add: policy.Addition{Delay: delays[0]}}, {ID: "b", When: transfers, Add: policy.Addition{Delay: delays[1]}}}
		if got := compile(t, d).Evaluate(facts(alice, "hot", "1001")); got.Delay != 60 || len(got.Obligations) != 2 {
			t.Errorf("%v: %d by %v", delays, got.Delay, got.Obligations)
		}
	}
}

// TestFeeOver: the fee cap asked for, and operations without one never match.
func TestFeeOver(t *testing.T) {
	t.Parallel()
	d := sample()
	d.Obligations = []policy.Obligation{{ID: "dear", When: policy.Match{FeeOver: u("9")}, Add: policy.Addition{Delay: 5}}}
	r := compile(t, d)
	dear, cheap := facts(alice, "hot", "1001"), facts(alice, "hot", "1001")
	cheap.FeeCap = *u("9")
	wallet := policy.Facts{Operation: request.WalletCreate, Initiator: alice, Evidence: policy.BySignature, Wallet: "x", Chain: chain, FeeCap: *u("10")}
	if a, b, c := r.Evaluate(dear), r.Evaluate(cheap), r.Evaluate(wallet); a.Delay != 5 || b.Delay != 0 || c.Delay != 0 {
		t.Errorf("delays %d, %d and %d", a.Delay, b.Delay, c.Delay)
	}
}

// passkeys gives somebody a passkey beside their key, and says its name.
func passkeys(d *policy.Document, who ...custody.PersonID) request.KeyRef {
	var ref request.KeyRef
	for i := range d.Principals {
		if slices.Contains(who, d.Principals[i].ID) {
			k := key(200 + i)
			k.Alg, k.RP, k.Origin = "passkey-ed25519", "vault.example", "https://vault.example"
			d.Principals[i].Keys = append(slices.Clone(d.Principals[i].Keys), k)
			ref = k.Ref()
		}
	}
	return ref
}

// TestHardwareOnly: only what was signed with the person's own passkey counts.
func TestHardwareOnly(t *testing.T) {
	t.Parallel()
	d := sample()
	carols := passkeys(&d, carol)
	bobs := passkeys(&d, bob)
	d.Routes[1].Plan = policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "treasury", Min: 2, Hardware: true}}}}}
	r := compile(t, d)
	p := r.Evaluate(facts(dave, "hot", "1001")).Plan
	vote := func(by custody.PersonID, k request.KeyRef) policy.Vote {
		return policy.Vote{Person: by, Decision: request.Approve, Key: k}
	}
	for name, c := range map[string]struct {
		votes []policy.Vote
		met   bool
	}{
		"passkeys":               {[]policy.Vote{vote(bob, bobs), vote(carol, carols)}, true},
		"one by a file":          {[]policy.Vote{vote(bob, bobs), vote(carol, key(3).Ref())}, false},
		"no key known":           {approve(bob, carol), false},
		"another's":              {[]policy.Vote{vote(bob, bobs), vote(carol, bobs)}, false},
		"a file, then a passkey": {[]policy.Vote{vote(bob, bobs), vote(carol, key(3).Ref()), vote(carol, carols)}, true},
	} {
		if met, unmet := p.Met(r, dave, c.votes); met != c.met {
			t.Errorf("%s: %t %v", name, met, unmet)
		}
	}
	if got := describe(r.Evaluate(facts(bob, "hot", "1001"))); got != "deny floor: large floor.forbidSelfApproval" {
		t.Errorf("bob asks, and carol alone has a passkey: %s", got)
	}
}

// TestMinDistinctGroups counts people for groups, each for one, over all plans of a request.
func TestMinDistinctGroups(t *testing.T) {
	t.Parallel()
	d := sample()
	risk := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "risk", Min: 1}, {Group: "treasury", Min: 1}}}}}
	d.Routes[1].Plan = policy.Plan{AnyOf: append(plan("treasury", 2).AnyOf, risk.AnyOf...)}
	d.Obligations = []policy.Obligation{duty(policy.Addition{MinGroups: 2})}
	r := compile(t, d)
	x := r.Evaluate(facts(alice, "cold", "5"))
	for name, c := range map[string]struct {
		votes []policy.Vote
		met   bool
	}{
		"two of treasury, one of risk too": {approve(bob, carol), true}, // bob stands for risk
		"treasury and risk":                {approve(carol, dave), true},
		"one alone":                        {approve(bob), false},
	} {
		if met, unmet := x.Met(r, alice, c.votes); met != c.met {
			t.Errorf("%s: %t %v", name, met, unmet)
		}
	}
	d.Groups[1].Members = []custody.PersonID{bob, dave}
	y := r.Evaluate(facts(dave, "cold", "5"))
	if met, unmet := y.Met(r, dave, approve(alice, carol)); met || unmet[0].Rule != "obligations" {
		t.Errorf("two of treasury alone: %t %v", met, unmet)
	}
}

// TestDelaysOfBranches: each branch has its own.
func TestDelaysOfBranches(t *testing.T) {
	t.Parallel()
	d := sample()
	slow := plan("treasury", 2).AnyOf[0]
	slow.Delay, slow.Deadline = 3600, 7200
	d.Routes[1].Plan = policy.Plan{AnyOf: append(plan("treasury", 3).AnyOf, slow)}
	r := compile(t, d)
	if !r.Delayed() || compile(t, sample()).Delayed() {
		t.Error("whether the document has delays is told wrongly")
	}
	x := r.Evaluate(facts(dave, "hot", "1001"))
	for _, c := range []struct {
		least, most int64
		votes       []policy.Vote
		met         bool
	}{
		{0, 0, approve(alice, bob, carol), true},
		{0, 0, approve(alice, bob), false},
		{3600*1e9 - 1, 3600 * 1e9, approve(alice, bob), false},
		{3600 * 1e9, 3600 * 1e9, approve(alice, bob), true},
		{7200*1e9 - 1, 7200 * 1e9, approve(alice, bob), true},
		{7200*1e9 - 1, 7200*1e9 + 1, approve(alice, bob), false},
		{9000 * 1e9, 9000 * 1e9, approve(alice, bob, carol), true},
	} {
		if met, unmet := x.MetIn(r, dave, policy.Poll{Votes: c.votes, Least: c.least, Most: c.most}); met != c.met {
			t.Errorf("%+v: %t %v", c, met, unmet)
		}
	}
}

// TestDiffTellsNewFields: each new field of a document is told when it changes.
func TestDiffTellsNewFields(t *testing.T) {
	t.Parallel()
	was, is := sample(), sample()
	office(&was)
	office(&is)
	is.Calendars[0].Weekly = []policy.Hours{{Days: []uint{1, 7}, From: 60, To: 1440}}
	is.Calendars[0].Holidays = []policy.Special{{Day: 20454, From: 60, To: 120}}
	is.Floor.MinDistinctGroups = 1
	p := policy.Plan{AnyOf: []policy.Branch{{Delay: 1, ExpiresAfter: 60, Deadline: 90, Steps: []policy.Step{{Group: "risk", Min: 1}, {Group: "treasury", Min: 1, Ordered: true, Hardware: true, Differ: []custody.GroupID{"bots"}, Veto: []custody.GroupID{"risk"}}}}}}
	is.Obligations = []policy.Obligation{{ID: "duty", Title: "a title", When: policy.Match{FeeOver: u("5"), Temperatures: []request.Temperature{request.Warm}, Time: &policy.TimeMatch{Inside: "office"}}, Add: policy.Addition{Delay: 7, MinGroups: 2, Plan: &p}}}
	is.Limits = []policy.Limit{{ID: "most", Measure: policy.MeasureCount, Exceeded: policy.ByPlan, Plan: &p}}
	is.Guards[0].When.Time = &policy.TimeMatch{Outside: "office"}
	text := strings.Join(policy.Diff(was, is), "\n")
	for _, want := range []string{
		"each branch of a plan now needs steps of 1 different groups", "outside the hours of office", "calendar office is now open Mon, Sun 01:00 to 24:00", "calendar office is now: not on 2026-01-01 but 01:00 to 02:00",
		"limit most is new", "more needs besides 1 of risk and then 1 of treasury with passkeys who are not in bots (risk may reject), not before 1 seconds after acceptance, by approvals no older than 60 seconds, within 90 seconds of acceptance",
		"obligation duty is new: when the time is inside the hours of office and the wallet is warm and the fee may be more than 5, adds that it needs besides 1 of risk", "a delay of 7 seconds", "stand for 2 different groups", `("a title")`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it doesn't say %q:\n%s", want, text)
		}
	}
	if back := policy.Diff(is, was); !slices.ContainsFunc(back, func(s string) bool { return strings.HasPrefix(s, "obligation duty is removed") }) {
		t.Errorf("%q", back)
	}
}
