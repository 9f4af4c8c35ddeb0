// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// source gives a source with the pair of ether in USD and two of three signers.
func source() policy.PriceSource {
	s := policy.PriceSource{ID: "feed", Pairs: []policy.Pair{{Asset: ether, Currency: "USD"}}, MinSigners: 2, MaxAge: 60, MaxStep: 1000}
	for i, id := range []string{"one", "three", "two"} {
		s.Signers = append(s.Signers, price.Signer{ID: id, Pub: key(200 + i).Pub})
	}
	return s
}

func usd(v string) *policy.Fiat { return &policy.Fiat{Currency: "USD", Amount: *u(v)} }

// priced gives the sample's rules with one more rule, and facts of a transfer valued at 0.3 minor units for a base unit, or not at all.
func priced(t *testing.T, change func(*policy.Document), amount string, lack policy.Lack) (*policy.Rules, policy.Facts) {
	t.Helper()
	d := sample()
	d.PriceSources = []policy.PriceSource{source()}
	change(&d)
	r := compile(t, d)
	f := facts(alice, "hot", amount)
	r.Valued(&f, func(_ custody.AssetID, currency string) policy.Price {
		if lack != "" {
			return policy.Price{Currency: currency, Lack: lack}
		}
		return policy.Price{Currency: currency, Rate: &price.Rate{Mantissa: custody.U64(3), Scale: 1}}
	})
	return r, f
}

func ofTransfers(m policy.Match) policy.Match {
	return withOperations(m, []request.Operation{request.Transfer})
}

// TestRulesInMoney: what decides where there is a price, and where there is none: a guard holds, a route is no match and ends the search.
func TestRulesInMoney(t *testing.T) {
	t.Parallel()
	deny := func(m policy.Match) func(*policy.Document) {
		return func(d *policy.Document) {
			d.Guards = append(d.Guards, policy.Guard{ID: "rich", Effect: policy.Deny, When: ofTransfers(m)})
		}
	}
	small := func(d *policy.Document) {
		d.Routes = slices.Insert(d.Routes, 0, policy.Route{ID: "cheap", Priority: 1, Auto: true, When: ofTransfers(policy.Match{FiatMax: usd("30")})})
	}
	for name, x := range map[string]struct {
		change  func(*policy.Document)
		amount  string
		lack    policy.Lack
		outcome policy.Outcome
		rule    string
	}{
		"guard, below":            {deny(policy.Match{FiatOver: usd("30")}), "100", "", policy.Allowed, "large"},
		"guard, rounded up":       {deny(policy.Match{FiatOver: usd("30")}), "101", "", policy.Denied, "rich"},
		"guard, no price":         {deny(policy.Match{FiatOver: usd("30")}), "1", policy.StaleNow, policy.Held, "rich"},
		"guard at most, no price": {deny(policy.Match{FiatMax: usd("30")}), "1", policy.Stepped, policy.Held, "rich"},
		"another asset":           {deny(policy.Match{FiatOver: usd("30"), Assets: []custody.AssetID{"eip155:1/erc20:" + vendor}}), "101", policy.NoQuotes, policy.Allowed, "large"},
		"route, at most":          {small, "100", "", policy.Allowed, "cheap"},
		"route, more":             {small, "101", "", policy.Allowed, "large"},
		"route, no price":         {small, "1", policy.NoQuotes, policy.Denied, "cheap"},
	} {
		r, f := priced(t, x.change, x.amount, x.lack)
		d := r.Evaluate(f)
		if d.Outcome != x.outcome || d.Rule != x.rule {
			t.Errorf("%s: %s", name, describe(d))
		}
		if lacks := slices.ContainsFunc(d.Unmet, func(u problem.Unmet) bool { return u.Criterion == policy.CriterionPrice }); lacks != (x.lack != "" && x.outcome != policy.Allowed) {
			t.Errorf("%s: unmet %+v", name, d.Unmet)
		}
		if d.Outcome == policy.Allowed && len(d.Prices) != 1 {
			t.Errorf("%s: the decision has not the prices: %+v", name, d.Prices)
		}
	}
}

// TestForgedValueIsDenied: facts whose value is not what their price gives are denied.
func TestForgedValueIsDenied(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(*policy.Facts){
		"less":        func(f *policy.Facts) { f.Fiat[0].Amount = custody.U64(1) },
		"none":        func(f *policy.Facts) { f.Fiat = nil },
		"one more":    func(f *policy.Facts) { f.Fiat = append(f.Fiat, policy.Fiat{Currency: "EUR"}) },
		"other money": func(f *policy.Facts) { f.Fiat[0].Currency = "EUR" },
	} {
		r, f := priced(t, func(d *policy.Document) {
			d.Guards = append(d.Guards, policy.Guard{ID: "rich", Effect: policy.Deny, When: ofTransfers(policy.Match{FiatOver: usd("3000")})})
		}, "100", "")
		forge(&f)
		if d := r.Evaluate(f); d.Outcome != policy.Denied || d.Rule != "facts" && d.Rule != policy.RuleDefaultDeny || len(d.Unmet) == 0 || d.Unmet[0].Criterion != policy.CriterionPrice {
			t.Errorf("%s: %s %+v", name, describe(d), d.Unmet)
		}
	}
}

// TestChargesInMoney: what a limit in a currency takes, in all and for each destination; without a price it says so, but not of fees alone.
func TestChargesInMoney(t *testing.T) {
	t.Parallel()
	limit := func(by ...policy.Aspect) func(*policy.Document) {
		return func(d *policy.Document) {
			d.Limits = []policy.Limit{{ID: "day", Measure: policy.MeasureFiat, Currency: "USD", Max: *u("100"), Window: policy.Window{Rolling: 86400}, GroupBy: by, Exceeded: policy.Deny, When: ofTransfers(policy.Match{})}}
		}
	}
	r, f := priced(t, limit(), "101", "")
	if got, err := r.Charges(f, *u("9")); err != nil || len(got) != 1 || got[0].Amount != *u("31") {
		t.Errorf("got %v %v, want 31", got, err)
	}
	r, f = priced(t, limit(policy.ByDestination), "12", "")
	f.Destinations = []policy.Destination{{Address: bank, Amount: *u("4"), Kind: policy.Whitelisted, Book: "bank"}, {Address: broker, Amount: *u("1"), Kind: policy.Whitelisted, Book: "broker"},
		{Address: bank, Amount: *u("7"), Kind: policy.Whitelisted, Book: "bank"}}
	got, err := r.Charges(f, *u("9"))
	if err != nil || len(got) != 2 || got[0].Amount != *u("4") || got[1].Amount != *u("1") { // 11 × 0.3 and 1 × 0.3, each rounded up
		t.Errorf("got %v %v", got, err)
	}
	r, f = priced(t, limit(), "101", policy.StaleNow)
	var lacks *policy.NoPriceError
	if _, err := r.Charges(f, *u("9")); !errors.As(err, &lacks) || lacks.Limit != "day" || lacks.Lack != policy.StaleNow {
		t.Errorf("without a price: %v", err)
	}
	if got, err := r.Case(f).FeeCharges(*u("9")); err != nil || len(got) != 0 {
		t.Errorf("a fee alone: %v %v", got, err)
	}
}

// TestPriceSourcesThatAreRefused names each fault of a source, a match and a limit in money.
func TestPriceSourcesThatAreRefused(t *testing.T) {
	t.Parallel()
	src := func(change func(*policy.PriceSource)) func(*policy.Document) {
		return func(d *policy.Document) { change(&d.PriceSources[0]) }
	}
	when := func(m policy.Match) func(*policy.Document) {
		return func(d *policy.Document) { d.Guards[0].When = ofTransfers(m) }
	}
	fiat := policy.Limit{ID: "day", Measure: policy.MeasureFiat, Currency: "USD", Window: policy.Window{Rolling: 3600}, Exceeded: policy.Deny, When: ofTransfers(policy.Match{})}
	limit := func(change func(*policy.Limit)) func(*policy.Document) {
		return func(d *policy.Document) {
			l := fiat
			change(&l)
			d.Limits = []policy.Limit{l}
		}
	}
	for want, spoil := range map[string]func(*policy.Document){
		"":                      limit(func(*policy.Limit) {}),
		"pairs and 3 signers":   src(func(s *policy.PriceSource) { s.Pairs = nil }),
		"minSigners is 4":       src(func(s *policy.PriceSource) { s.MinSigners = 4 }),
		"minSigners is 0":       src(func(s *policy.PriceSource) { s.MinSigners = 0 }),
		"maxAge is 1":           src(func(s *policy.PriceSource) { s.MaxAge = 1 }),
		"maxStep is 100001":     src(func(s *policy.PriceSource) { s.MaxStep = 100_001 }),
		"three capital letters": src(func(s *policy.PriceSource) { s.Pairs[0].Currency = "usd" }),
		"pairs must be sorted":  src(func(s *policy.PriceSource) { s.Pairs = append(s.Pairs, s.Pairs[0]) }),
		"not 31":                src(func(s *policy.PriceSource) { s.Signers[0].Pub = s.Signers[0].Pub[:31] }),
		"signers must be":       src(func(s *policy.PriceSource) { s.Signers[0], s.Signers[1] = s.Signers[1], s.Signers[0] }),
		"is that of feed/one":   src(func(s *policy.PriceSource) { s.Signers[1].Pub = s.Signers[0].Pub }),
		"is that of p_aaaa":     src(func(s *policy.PriceSource) { s.Signers[1].Pub = key(1).Pub }),
		"small order":           src(func(s *policy.PriceSource) { s.Signers[1].Pub = make([]byte, 32) }),
		"a pair has one source": func(d *policy.Document) {
			other := source()
			other.ID, other.Signers, other.MinSigners = "other", []price.Signer{{ID: "x", Pub: key(300).Pub}}, 1
			d.PriceSources = append(d.PriceSources, other)
		},
		"priceSources must be":     func(d *policy.Document) { d.PriceSources = append(d.PriceSources, d.PriceSources[0]) },
		"fiatOver: no source":      when(policy.Match{FiatOver: &policy.Fiat{Currency: "EUR"}}),
		"fiatMax: currency":        when(policy.Match{FiatMax: &policy.Fiat{}}),
		"nothing matches":          when(policy.Match{FiatMax: usd("3"), FiatOver: usd("3")}),
		"currency goes with":       limit(func(l *policy.Limit) { l.Measure, l.When.Assets = policy.MeasureAmount, []custody.AssetID{ether} }),
		"currency: currency":       limit(func(l *policy.Limit) { l.Currency = "" }),
		"currency: no source":      limit(func(l *policy.Limit) { l.Currency = "EUR" }),
		"nothing else pays":        limit(func(l *policy.Limit) { l.When.Operations = nil }),
		"when.amount.fiatOver: no": limit(func(l *policy.Limit) { l.When.FiatOver = &policy.Fiat{Currency: "EUR"} }),
	} {
		d := sample()
		d.PriceSources = []policy.PriceSource{source()}
		spoil(&d)
		_, err := policy.Compile(d)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestDiffTellsOfPrices: who approves is told which sources change, and that a limit in other money counts anew.
func TestDiffTellsOfPrices(t *testing.T) {
	t.Parallel()
	a := sample()
	b := sample()
	b.PriceSources = []policy.PriceSource{source()}
	c := b
	c.PriceSources = []policy.PriceSource{source()}
	c.PriceSources[0].MaxStep = 0
	l := func(d policy.Document, currency string) policy.Document {
		d.Limits = []policy.Limit{{ID: "day", Measure: policy.MeasureFiat, Currency: currency, Exceeded: policy.Deny}}
		return d
	}
	for want, x := range map[string][2]policy.Document{
		"price source feed is new: 2 of one (":                  {a, b},
		"price source feed is removed":                          {b, a},
		"price source feed is now, and what was accepted of it": {b, c},
		"limit day is now, and counts anew":                     {l(b, "EUR"), l(b, "USD")},
	} {
		if got := policy.Diff(x[0], x[1]); len(got) != 1 || !strings.HasPrefix(got[0], want) {
			t.Errorf("want %q, got %q", want, got)
		}
	}
	if got := policy.Diff(b, b); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}
