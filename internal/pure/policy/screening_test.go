// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/verdict"
)

// screeners gives two sources of screening, of one signer each.
func screeners() (out []policy.ScreeningSource) {
	for i, id := range []string{"alpha", "beta"} {
		out = append(out, policy.ScreeningSource{ID: id, Signers: []price.Signer{{ID: "one", Pub: key(400 + i).Pub}}, MinSigners: 1, MaxAge: 600})
	}
	return out
}

func risk(n uint32) *uint32 { return &n }

// said makes a verdict of so much risk.
func opinion(n uint32, status verdict.Status, categories ...string) policy.Screened {
	return policy.Screened{Risk: n, Categories: categories, Exposure: verdict.Direct, Status: status, AsOf: 1, Verdicts: []policy.UsedQuote{{Signer: "one", Seq: 1}}}
}

func harmless(string, verdict.Subject) policy.Screened { return opinion(0, verdict.Accept) }

func drawScreeningMatch(t *rapid.T) *policy.ScreeningMatch {
	m := &policy.ScreeningMatch{Sources: some(t, "screened by", "alpha", "beta")}
	switch rapid.IntRange(0, 3).Draw(t, "screening") {
	case 0:
		m.Missing = true
	case 1:
		m.RiskMax = risk(rapid.SampledFrom([]uint32{0, 40, 100}).Draw(t, "riskMax"))
	case 2:
		m.RiskOver = risk(rapid.SampledFrom([]uint32{0, 40}).Draw(t, "riskOver"))
		m.Categories = some(t, "category", "mixer", "sanctions")
	default:
		m.Status = []verdict.Status{verdict.Freeze, verdict.Reject}
	}
	return m
}

// drawVerdicts gives facts what sources say, or why they say nothing, and now and then a verdict on the request.
func drawVerdicts(t *rapid.T, d policy.Document, f *policy.Facts) {
	r, err := policy.Compile(d)
	if err != nil {
		return // accepted by the generator, and refused by nobody but a test of it
	}
	r.Screened(f, [32]byte{1}, func(_ string, s verdict.Subject) policy.Screened {
		n := rapid.IntRange(0, 5).Draw(t, "verdict")
		if len(s.Request) > 0 {
			n -= 3
		}
		switch {
		case n <= 0:
			return policy.Screened{Lack: policy.NoQuotes}
		case n == 1:
			return policy.Screened{Lack: policy.StaleNow}
		default:
			return opinion(rapid.SampledFrom([]uint32{0, 40, 41, 100}).Draw(t, "risk"), rapid.SampledFrom(verdict.Statuses()).Draw(t, "status"), some(t, "is", "mixer", "sanctions")...)
		}
	})
}

// modelScreened says by hand what a match makes of verdicts on a transfer.
func modelScreened(d policy.Document, m policy.Match, f policy.Facts) modelVerdict {
	s := m.Screening
	switch {
	case s == nil:
		return yes
	case f.Operation != request.Transfer:
		return no
	}
	sources := s.Sources
	if len(sources) == 0 {
		sources = []string{"alpha", "beta"}
	}
	worst, found, missing := uint32(0), false, false
	for _, src := range sources {
		whole, lacks := false, false
		for _, x := range f.Screening {
			switch {
			case x.Source != src:
				continue
			case x.Lack != "":
				lacks = true
				continue
			case x.Address == "":
				whole = true
			}
			worst = max(worst, x.Risk)
			ok := s.RiskOver == nil || x.Risk > *s.RiskOver
			if len(s.Categories) > 0 {
				ok = ok && slices.ContainsFunc(s.Categories, func(c string) bool { return slices.Contains(x.Categories, c) })
			}
			if len(s.Status) > 0 {
				ok = ok && slices.Contains(s.Status, x.Status)
			}
			found = found || ok
		}
		missing = missing || lacks && !whole
	}
	truth := func(is bool) modelVerdict { return map[bool]modelVerdict{true: yes, false: no}[is] }
	switch {
	case s.Missing:
		return truth(missing)
	case s.RiskMax != nil && worst > *s.RiskMax:
		return no
	case s.RiskMax == nil && found:
		return yes
	case missing:
		return broken
	default:
		return truth(s.RiskMax != nil)
	}
}

// TestMissingNeverAllowsMore: what is allowed where verdicts are missing is allowed by the same rule where all are there and harmless.
func TestMissingNeverAllowsMore(t *testing.T) {
	t.Parallel()
	lacked := 0
	rapid.Check(t, func(t *rapid.T) {
		d := drawDocument(t)
		r, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		f := drawFacts(t, d)
		f.Screening = nil
		present, absent := f, f
		r.Screened(&present, [32]byte{1}, harmless)
		r.Screened(&absent, [32]byte{1}, func(src string, s verdict.Subject) policy.Screened {
			if rapid.Bool().Draw(t, "there") {
				return harmless(src, s)
			}
			lacked++
			return policy.Screened{Lack: policy.NoQuotes}
		})
		with, without := r.Evaluate(present), r.Evaluate(absent)
		if without.Outcome == policy.Allowed && (with.Outcome != policy.Allowed || with.Rule != without.Rule || len(with.Obligations) > len(without.Obligations)) {
			t.Fatalf("without verdicts %s, with harmless ones %s", describe(without), describe(with))
		}
	})
	if lacked == 0 {
		t.Error("nothing was ever missing")
	}
}

// screenedRules gives the sample's rules with one change, and facts of a transfer to broker with what alpha and beta say.
func screenedRules(t *testing.T, change func(*policy.Document), known map[string]policy.Screened) (*policy.Rules, policy.Facts) {
	t.Helper()
	d := sample()
	d.ScreeningSources = screeners()
	change(&d)
	r := compile(t, d)
	f := to(facts(alice, "hot", "100"), broker, policy.Whitelisted, "broker")
	r.Screened(&f, [32]byte{1}, func(src string, s verdict.Subject) policy.Screened {
		where := src
		if len(s.Request) > 0 {
			where += "/request"
		}
		if x, ok := known[where]; ok {
			return x
		}
		return policy.Screened{Lack: policy.NoQuotes}
	})
	return r, f
}

// TestRulesOnVerdicts: what decides where there are verdicts, and where there are none: a guard holds, a route is no match and ends the search, an obligation
// matches.
func TestRulesOnVerdicts(t *testing.T) {
	t.Parallel()
	guard := func(e policy.Effect, m policy.ScreeningMatch) func(*policy.Document) {
		return func(d *policy.Document) {
			d.Guards = append(d.Guards, policy.Guard{ID: "screen", Effect: e, When: ofTransfers(policy.Match{Screening: &m})})
		}
	}
	small := func(d *policy.Document) {
		d.Routes = slices.Insert(d.Routes, 0, policy.Route{ID: "clean", Priority: 1, Auto: true, When: ofTransfers(policy.Match{Screening: &policy.ScreeningMatch{RiskMax: risk(10), Sources: []string{"alpha"}}})})
	}
	obliged := func(d *policy.Document) {
		d.Obligations = []policy.Obligation{{ID: "second", Add: policy.Addition{Delay: 60}, When: ofTransfers(policy.Match{Screening: &policy.ScreeningMatch{RiskOver: risk(40), Sources: []string{"alpha"}}})}}
	}
	over, sanctioned := policy.ScreeningMatch{RiskOver: risk(40), Sources: []string{"alpha"}}, policy.ScreeningMatch{Categories: []string{"sanctions"}, Sources: []string{"alpha"}}
	alpha := func(x policy.Screened) map[string]policy.Screened { return map[string]policy.Screened{"alpha": x} }
	type known = map[string]policy.Screened
	for name, x := range map[string]struct {
		change  func(*policy.Document)
		known   known
		outcome policy.Outcome
		rule    string
		lacks   bool
	}{
		"no more than":              {guard(policy.Deny, over), alpha(opinion(40, verdict.Freeze)), policy.Allowed, "large", false},
		"more than":                 {guard(policy.Deny, over), alpha(opinion(41, verdict.Accept)), policy.Denied, "screen", false},
		"nothing known":             {guard(policy.Deny, over), nil, policy.Held, "screen", true},
		"stale":                     {guard(policy.Deny, over), alpha(policy.Screened{Lack: policy.StaleNow}), policy.Held, "screen", true},
		"a category":                {guard(policy.Deny, sanctioned), alpha(opinion(0, verdict.Accept, "mixer", "sanctions")), policy.Denied, "screen", false},
		"another category":          {guard(policy.Deny, sanctioned), alpha(opinion(100, verdict.Freeze, "mixer")), policy.Allowed, "large", false},
		"a status":                  {guard(policy.Deny, policy.ScreeningMatch{Status: []verdict.Status{verdict.Reject}, Sources: []string{"alpha"}}), alpha(opinion(0, verdict.Reject)), policy.Denied, "screen", false},
		"two of one verdict":        {guard(policy.Deny, policy.ScreeningMatch{RiskOver: risk(40), Categories: []string{"mixer"}}), known{"alpha": opinion(41, verdict.Alert), "beta": opinion(0, verdict.Alert, "mixer")}, policy.Allowed, "large", false},
		"one of two sources":        {guard(policy.Deny, policy.ScreeningMatch{RiskOver: risk(40)}), known{"alpha": opinion(0, verdict.Accept), "beta": opinion(41, verdict.Accept)}, policy.Denied, "screen", false},
		"one source is silent":      {guard(policy.Deny, policy.ScreeningMatch{RiskOver: risk(40)}), alpha(opinion(0, verdict.Accept)), policy.Held, "screen", true},
		"bad enough already":        {guard(policy.Deny, policy.ScreeningMatch{RiskOver: risk(40)}), alpha(opinion(41, verdict.Accept)), policy.Denied, "screen", false},
		"missing":                   {guard(policy.Hold, policy.ScreeningMatch{Missing: true, Sources: []string{"alpha"}}), nil, policy.Held, "screen", true},
		"not missing":               {guard(policy.Hold, policy.ScreeningMatch{Missing: true, Sources: []string{"alpha"}}), alpha(opinion(100, verdict.Freeze)), policy.Allowed, "large", false},
		"the request is spoken for": {guard(policy.Hold, policy.ScreeningMatch{Missing: true, Sources: []string{"alpha"}}), known{"alpha/request": opinion(3, verdict.Accept)}, policy.Allowed, "large", false},
		"the request is bad":        {guard(policy.Deny, over), known{"alpha": opinion(0, verdict.Accept), "alpha/request": opinion(41, verdict.Accept)}, policy.Denied, "screen", false},
		"route, clean":              {small, alpha(opinion(10, verdict.Accept)), policy.Allowed, "clean", false},
		"route, not clean":          {small, alpha(opinion(11, verdict.Accept)), policy.Allowed, "large", false},
		"route, nothing known":      {small, nil, policy.Denied, "clean", true},
		"obligation, low":           {obliged, alpha(opinion(40, verdict.Accept)), policy.Allowed, "large", false},
		"obligation, high":          {obliged, alpha(opinion(41, verdict.Accept)), policy.Allowed, "large", false},
		"obligation, not known":     {obliged, nil, policy.Allowed, "large", false},
	} {
		r, f := screenedRules(t, x.change, x.known)
		d := r.Evaluate(f)
		if d.Outcome != x.outcome || d.Rule != x.rule {
			t.Errorf("%s: %s", name, describe(d))
		}
		if lacks := slices.ContainsFunc(d.Unmet, func(u problem.Unmet) bool { return u.Criterion == policy.CriterionScreening }); lacks != x.lacks {
			t.Errorf("%s: unmet %+v", name, d.Unmet)
		}
		if d.Outcome == policy.Allowed && len(d.Screening) == 0 {
			t.Errorf("%s: the decision has not the verdicts", name)
		}
		if strings.HasPrefix(name, "obligation") && (len(d.Obligations) > 0) != (name != "obligation, low") {
			t.Errorf("%s: obligations %v", name, d.Obligations)
		}
	}
}

// TestMissingGuardTellsWhy: also where another field of the guard comes after it.
func TestMissingGuardTellsWhy(t *testing.T) {
	t.Parallel()
	r, f := screenedRules(t, func(d *policy.Document) {
		d.Guards = append(d.Guards, policy.Guard{ID: "screen", Effect: policy.Hold, When: ofTransfers(policy.Match{Screening: &policy.ScreeningMatch{Missing: true}, Expr: `total > amount("5")`})})
	}, nil)
	if d := r.Evaluate(f); d.Outcome != policy.Held || d.Unmet[0].Criterion != policy.CriterionScreening {
		t.Errorf("%+v", d)
	}
}

// TestForgedVerdictsAreDenied: facts that leave a source or subject out, say it twice, or have a verdict and none at once.
func TestForgedVerdictsAreDenied(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(*policy.Facts){
		"left out":     func(f *policy.Facts) { f.Screening = f.Screening[1:] },
		"none":         func(f *policy.Facts) { f.Screening = nil },
		"twice":        func(f *policy.Facts) { f.Screening = append(f.Screening[:1:1], f.Screening...) },
		"of another":   func(f *policy.Facts) { f.Screening[0].Address = bank },
		"other source": func(f *policy.Facts) { f.Screening[0].Source = "gamma" },
		"both":         func(f *policy.Facts) { f.Screening[0].Lack = policy.StaleNow },
		"neither":      func(f *policy.Facts) { f.Screening[0] = policy.Screened{Source: "alpha", Address: broker} },
		"no status":    func(f *policy.Facts) { f.Screening[0].Status = "" },
		"lack, request": func(f *policy.Facts) {
			f.Screening = append(f.Screening, policy.Screened{Source: "beta", Lack: policy.NoQuotes})
		},
		"not asked for":  func(f *policy.Facts) { f.Operation, f.Count = request.AddressCreate, 1 },
		"unsorted words": func(f *policy.Facts) { f.Screening[0].Categories = []string{"b", "a"} },
	} {
		r, f := screenedRules(t, func(d *policy.Document) {
			d.Guards = append(d.Guards, policy.Guard{ID: "screen", Effect: policy.Deny, When: ofTransfers(policy.Match{Screening: &policy.ScreeningMatch{RiskOver: risk(40)}})})
		}, map[string]policy.Screened{"alpha": opinion(1, verdict.Accept), "beta": opinion(1, verdict.Accept)})
		if d := r.Evaluate(f); d.Outcome != policy.Allowed {
			t.Fatalf("before: %s", describe(d))
		}
		forge(&f)
		if d := r.Evaluate(f); d.Outcome != policy.Denied || len(d.Unmet) == 0 || d.Unmet[0].Criterion != policy.CriterionScreening {
			t.Errorf("%s: %s %+v", name, describe(d), d.Unmet)
		}
	}
}

// TestWhoGetsSomething: of a call the contract, what it calls, where tokens go and who may take some; of a message who may take some and whom it is for. What nobody
// can decode might give somebody something, unless a verdict speaks for the whole request.
func TestWhoGetsSomething(t *testing.T) {
	t.Parallel()
	d := callDocument()
	d.ScreeningSources = screeners()
	d.Guards = append(d.Guards, policy.Guard{ID: "screen", Effect: policy.Deny, When: policy.Match{Operations: []request.Operation{request.ContractCall, request.MessageSign}, Screening: &policy.ScreeningMatch{RiskOver: risk(40), Sources: []string{"alpha"}}}})
	raw := request.TokenApproval{Contract: vendor, Spender: bank, ID: "usd"}
	call := calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "usd", approveFn)}, Approvals: []request.TokenApproval{raw}, Movements: []request.Movement{{Asset: ether, From: thief, To: broker, Amount: *u("1")}}})
	message := signingOf(request.MessageEffects{Kind: request.TypedMessage, Contract: vendor, Deadline: "2000000000", Approvals: []request.TokenApproval{raw}})
	for name, x := range map[string]struct {
		f    policy.Facts
		want []string
	}{"call": {call, []string{broker, vendor, bank}}, "message": {message, []string{vendor, bank}}, "text": {signingOf(request.MessageEffects{Kind: request.PersonalMessage}), nil}} {
		r := compile(t, d)
		f := x.f
		var asked []string
		r.Screened(&f, [32]byte{1}, func(_ string, s verdict.Subject) policy.Screened {
			if s.Address != "" {
				asked = append(asked, s.Address)
				return opinion(0, verdict.Accept)
			}
			return policy.Screened{Lack: policy.NoQuotes}
		})
		slices.Sort(asked)
		slices.Sort(x.want)
		if !slices.Equal(asked, x.want) {
			t.Errorf("%s: asked about %v", name, asked)
		}
		if got := r.Evaluate(f); got.Outcome != policy.Allowed {
			t.Errorf("%s: %s", name, describe(got))
		}
		for i := range f.Screening {
			g := f
			g.Screening = slices.Clone(f.Screening)
			g.Screening[i].Risk = 41
			if got := r.Evaluate(g); got.Outcome != policy.Denied || got.Rule != "screen" {
				t.Errorf("%s, %s is risky: %s", name, g.Screening[i].Address, describe(got))
			}
		}
	}
	d.Routes = append(d.Routes, policy.Route{ID: "raw", Priority: 50, Plan: plan("treasury", 2), When: policy.Match{Operations: []request.Operation{request.ContractCall}, Call: &policy.CallMatch{Undecoded: true}}})
	r := compile(t, d)
	for spoken, want := range map[bool]policy.Outcome{false: policy.Held, true: policy.Allowed} {
		f := calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "usd", "")}, Undecoded: "who knows"})
		r.Screened(&f, [32]byte{1}, func(_ string, s verdict.Subject) policy.Screened {
			if len(s.Request) > 0 && !spoken {
				return policy.Screened{Lack: policy.NoQuotes}
			}
			return opinion(0, verdict.Accept)
		})
		if got := r.Evaluate(f); got.Outcome != want {
			t.Errorf("not decoded, spoken for %t: %s", spoken, describe(got))
		}
	}
}

// TestMovementsAreScreened: a guard on transfers sees the address that a call's movement goes to, and no other.
func TestMovementsAreScreened(t *testing.T) {
	t.Parallel()
	d := callDocument()
	d.ScreeningSources = screeners()
	d.Guards = append(d.Guards, policy.Guard{ID: "screen", Effect: policy.Deny, When: ofTransfers(policy.Match{Screening: &policy.ScreeningMatch{RiskOver: risk(40), Sources: []string{"alpha"}}})})
	r := compile(t, d)
	for bad, want := range map[string]policy.Outcome{broker: policy.Denied, vendor: policy.Allowed} {
		f := calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "vault", stakeFn)}, Movements: []request.Movement{{Asset: ether, From: thief, To: broker, Amount: *u("1")}}})
		r.Screened(&f, [32]byte{1}, func(_ string, s verdict.Subject) policy.Screened {
			switch s.Address {
			case bad:
				return opinion(50, verdict.Accept)
			case "":
				return policy.Screened{Lack: policy.NoQuotes}
			}
			return opinion(0, verdict.Accept)
		})
		if got := r.Evaluate(f); got.Outcome != want {
			t.Errorf("%s is risky: %s", bad, describe(got))
		}
	}
}

// TestScreeningThatIsRefused names each fault of a source and a match.
func TestScreeningThatIsRefused(t *testing.T) {
	t.Parallel()
	src := func(change func(*policy.ScreeningSource)) func(*policy.Document) {
		return func(d *policy.Document) { change(&d.ScreeningSources[0]) }
	}
	when := func(m policy.ScreeningMatch) func(*policy.Document) {
		return func(d *policy.Document) {
			d.Guards[0].When = ofTransfers(policy.Match{Screening: &m})
			d.Guards[0].Effect = policy.Hold
		}
	}
	route := func(auto bool, m policy.ScreeningMatch) func(*policy.Document) {
		return func(d *policy.Document) {
			rt := policy.Route{ID: "screened", Priority: 1, Auto: auto, When: ofTransfers(policy.Match{Screening: &m})}
			if !auto {
				rt.Plan = plan("treasury", 2)
			}
			d.Routes = slices.Insert(d.Routes, 0, rt)
		}
	}
	for want, spoil := range map[string]func(*policy.Document){
		"":                    when(policy.ScreeningMatch{Missing: true}),
		"signers; want 1":     src(func(s *policy.ScreeningSource) { s.Signers = nil }),
		"minSigners is 2":     src(func(s *policy.ScreeningSource) { s.MinSigners = 2 }),
		"maxAge is 1":         src(func(s *policy.ScreeningSource) { s.MaxAge = 1 }),
		"is that of p_aaaa":   src(func(s *policy.ScreeningSource) { s.Signers[0].Pub = key(1).Pub }),
		"is that of feed/one": src(func(s *policy.ScreeningSource) { s.Signers[0].Pub = source().Signers[0].Pub }),
		"is that of alpha":    func(d *policy.Document) { d.ScreeningSources[1].Signers = d.ScreeningSources[0].Signers },
		"must be sorted by id": func(d *policy.Document) {
			d.ScreeningSources[0], d.ScreeningSources[1] = d.ScreeningSources[1], d.ScreeningSources[0]
		},
		"screening source \"A\"":     src(func(s *policy.ScreeningSource) { s.ID = "A" }),
		"more than 16":               func(d *policy.Document) { d.ScreeningSources = make([]policy.ScreeningSource, 17) },
		"is not in screeningSources": when(policy.ScreeningMatch{Missing: true, Sources: []string{"gamma"}}),
		"has no screeningSources": func(d *policy.Document) {
			d.ScreeningSources = nil
			when(policy.ScreeningMatch{Missing: true})(d)
		},
		"or missing alone":  when(policy.ScreeningMatch{}),
		"riskOver, riskMax": when(policy.ScreeningMatch{Missing: true, RiskMax: risk(4)}),
		"riskOver is less":  when(policy.ScreeningMatch{RiskOver: risk(100)}),
		"and riskMax that":  when(policy.ScreeningMatch{RiskMax: risk(101)}),
		"sources alone":     when(policy.ScreeningMatch{RiskMax: risk(1), RiskOver: risk(1)}),
		"is none of":        when(policy.ScreeningMatch{Status: []verdict.Status{"good"}}),
		"category":          when(policy.ScreeningMatch{Categories: []string{"A"}}),
		"ends nothing": func(d *policy.Document) {
			when(policy.ScreeningMatch{Missing: true})(d)
			d.Guards[0].Effect = policy.Deny
		},
		"opens no way":           route(false, policy.ScreeningMatch{Missing: true}),
		"of all subjects":        route(true, policy.ScreeningMatch{Status: []verdict.Status{verdict.Accept}}),
		"screening.sources must": when(policy.ScreeningMatch{Missing: true, Sources: []string{"beta", "alpha"}}),
	} {
		d := sample()
		d.ScreeningSources, d.PriceSources = screeners(), []policy.PriceSource{source()}
		spoil(&d)
		_, err := policy.Compile(d)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	for _, good := range []func(*policy.Document){route(true, policy.ScreeningMatch{RiskMax: risk(100)}), route(false, policy.ScreeningMatch{RiskOver: risk(99), Status: []verdict.Status{verdict.Reject}})} {
		d := sample()
		d.ScreeningSources = screeners()
		good(&d)
		compile(t, d)
	}
}

// TestDiffTellsOfScreening: who approves is told which sources change, and what rules look at.
func TestDiffTellsOfScreening(t *testing.T) {
	t.Parallel()
	a, b := sample(), sample()
	b.ScreeningSources = screeners()[:1]
	c := b
	c.ScreeningSources = screeners()[:1]
	c.ScreeningSources[0].MaxAge = 60
	guarded := func(m policy.ScreeningMatch) policy.Document {
		d := b
		d.Guards = append(slices.Clone(b.Guards), policy.Guard{ID: "screen", Effect: policy.Hold, When: ofTransfers(policy.Match{Screening: &m})})
		return d
	}
	for want, x := range map[string][2]policy.Document{
		"screening source alpha is new: 1 of one (":                                   {a, b},
		"screening source alpha is removed, and its verdicts are":                     {b, a},
		"screening source alpha is now: 1 of one (":                                   {b, c},
		"no fresh verdict of alpha is there on somebody":                              {b, guarded(policy.ScreeningMatch{Missing: true, Sources: []string{"alpha"}})},
		"somebody who gets something has a risk of more than 40":                      {b, guarded(policy.ScreeningMatch{RiskOver: risk(40)})},
		"has to do with mixer or sanctions and has the status":                        {b, guarded(policy.ScreeningMatch{Categories: []string{"mixer", "sanctions"}, Status: []verdict.Status{verdict.Reject}})},
		"every source of screening give everybody who gets something a risk of 10 at": {b, guarded(policy.ScreeningMatch{RiskMax: risk(10)})},
	} {
		if got := policy.Diff(x[0], x[1]); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
}

// TestWhoGetsSomethingOfACall: a router's payments and tokens of their own kind are no movements, and who gets them is screened all the same.
func TestWhoGetsSomethingOfACall(t *testing.T) {
	t.Parallel()
	d := sample()
	d.ScreeningSources = screeners()[:1]
	d.Guards = append(d.Guards, policy.Guard{ID: "screen", Effect: policy.Deny, When: policy.Match{Screening: &policy.ScreeningMatch{RiskOver: risk(40)}}})
	d.Routes = []policy.Route{{ID: "calls", Priority: 1, When: policy.Match{Operations: []request.Operation{request.ContractCall}}, Auto: true}}
	r := compile(t, d)
	for _, fn := range []string{"SWEEP(address,address,uint256)", "TRANSFER(address,address,uint256)", "safeTransferFrom(address,address,uint256)", "transferFrom(address,address,uint256)"} {
		f := calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "usd", stakeFn), node(1, "usd", fn, vendor, broker, "0")}})
		r.Screened(&f, [32]byte{1}, func(_ string, s verdict.Subject) policy.Screened {
			if s.Address == broker {
				return opinion(90, verdict.Freeze, "sanctions")
			}
			return opinion(0, verdict.Accept)
		})
		if got := r.Evaluate(f); got.Outcome != policy.Denied || got.Rule != "screen" {
			t.Errorf("%s: %s", fn, describe(got))
		}
	}
}
