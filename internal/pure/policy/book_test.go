// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// withLedger is the sample with settings, counterparties and a blacklist.
func withLedger() policy.Document {
	d := sample()
	d.Counterparties = []policy.Counterparty{{ID: "acme", Title: "Acme", Jurisdiction: "CH", VASP: "licensed"}, {ID: "bourse"}}
	d.Whitelist = &policy.Whitelist{Plan: plan("treasury", 2), Proofs: []request.ProofKind{request.Attested, request.SignedMessage}, CoolOff: 3600, ReviewAfter: 90 * 86400,
		Ramp: []policy.RampStep{{After: 3600, Caps: []policy.RampCap{{Asset: ether, Max: *u("100")}}}, {After: 86400}}}
	d.Blacklist = []policy.Blocked{{Chain: chain, Address: thief, Reason: "sanctions"}}
	d.AddressBook[0].Counterparty, d.AddressBook[0].Kind, d.AddressBook[0].Tags, d.AddressBook[0].Proof, d.AddressBook[0].Expires = "acme", "exchange", []string{"eu", "hot"}, request.Attested, 2_000_000_000
	return d
}

// TestRulesRememberAsTheirDocument: what a document asks of the past is told alike by it and by its rules, whichever part asks.
func TestRulesRememberAsTheirDocument(t *testing.T) {
	t.Parallel()
	transfers := []request.Operation{request.Transfer}
	for name, x := range map[string]struct {
		set             func(*policy.Document)
		remembers, paid bool
	}{
		"nothing":         {func(*policy.Document) {}, false, false},
		"ledger":          {func(d *policy.Document) { *d = withLedger() }, true, true},
		"entry that ends": {func(d *policy.Document) { d.AddressBook[1].Expires = 2_000_000_000 }, true, false},
		"guard":           {func(d *policy.Document) { d.Guards[0].When.FirstUse = true }, true, true},
		"route":           {func(d *policy.Document) { d.Routes[0].When = policy.Match{Operations: transfers, Lookalike: true} }, true, true},
		"obligation": {func(d *policy.Document) {
			d.Obligations = []policy.Obligation{{ID: "new", When: policy.Match{Operations: transfers, FirstUse: true}, Add: policy.Addition{Delay: 1}}}
		}, true, true},
		"limit": {func(d *policy.Document) {
			d.Limits = []policy.Limit{{ID: "new", When: policy.Match{Operations: transfers, FirstUse: true}, Measure: policy.MeasureCount, Exceeded: policy.Deny}}
		}, true, true},
		"limit of new destinations": {func(d *policy.Document) {
			d.Limits = []policy.Limit{{ID: "new", When: policy.Match{Operations: transfers}, Measure: policy.MeasureNew, Exceeded: policy.Deny}}
		}, true, true},
	} {
		d := sample()
		x.set(&d)
		r := compile(t, d)
		if r.Remembers() != x.remembers || d.Remembers() != x.remembers || r.RemembersPaid() != x.paid || d.RemembersPaid() != x.paid {
			t.Errorf("%s: rules %v %v, document %v %v; want %v %v", name, r.Remembers(), r.RemembersPaid(), d.Remembers(), d.RemembersPaid(), x.remembers, x.paid)
		}
	}
}

func TestLedgerChecks(t *testing.T) {
	t.Parallel()
	if err := withLedger().Check(custody.Production); err != nil {
		t.Fatal(err)
	}
	if d, err := policy.DecodeDocument(withLedger().Encode()); err != nil || d.Hash() != withLedger().Hash() {
		t.Fatal(err)
	}
	for want, spoil := range map[string]func(*policy.Document){
		"counterparties must be sorted":      func(d *policy.Document) { slices.Reverse(d.Counterparties) },
		"two capitals":                       func(d *policy.Document) { d.Counterparties[0].Jurisdiction = "ch" },
		"vaspStatus":                         func(d *policy.Document) { d.Counterparties[0].VASP = "maybe" },
		"can't be seen":                      func(d *policy.Document) { d.Counterparties[0].Title = "a\u202eb" },
		"blacklist must be sorted":           func(d *policy.Document) { d.Blacklist = append(d.Blacklist, d.Blacklist[0]) },
		"one spelling":                       func(d *policy.Document) { d.Blacklist[0].Address = strings.ToLower(thief) },
		"more than 2000":                     func(d *policy.Document) { d.Blacklist = make([]policy.Blocked, 2001) },
		"whitelist.plan branch 1 asks for":   func(d *policy.Document) { d.Whitelist.Plan = plan("treasury", 1) },
		"whitelist.plan: needs a branch":     func(d *policy.Document) { d.Whitelist.Plan = policy.Plan{} },
		"proofs must be sorted":              func(d *policy.Document) { slices.Reverse(d.Whitelist.Proofs) },
		"proof \"oath\" is none":             func(d *policy.Document) { d.Whitelist.Proofs = []request.ProofKind{"oath"} },
		"coolOff is -1":                      func(d *policy.Document) { d.Whitelist.CoolOff = -1 },
		"reviewAfter is 60":                  func(d *policy.Document) { d.Whitelist.ReviewAfter = 60 },
		"ramp must begin":                    func(d *policy.Document) { d.Whitelist.Ramp[0].After = 3601 },
		"only the last may have none":        func(d *policy.Document) { d.Whitelist.Ramp[0].Caps = nil },
		"must be sorted by after":            func(d *policy.Document) { d.Whitelist.Ramp[1].After = 3600 },
		"sorted by asset":                    func(d *policy.Document) { c := &d.Whitelist.Ramp[0].Caps; *c = append(*c, (*c)[0]) },
		"has 11 steps":                       func(d *policy.Document) { d.Whitelist.Ramp = make([]policy.RampStep, 11) },
		"counterparty \"none\"":              func(d *policy.Document) { d.AddressBook[0].Counterparty = "none" },
		"kind \"pub\"":                       func(d *policy.Document) { d.AddressBook[0].Kind = "pub" },
		"tags must be sorted":                func(d *policy.Document) { d.AddressBook[0].Tags = []string{"b", "a"} },
		"expires must be":                    func(d *policy.Document) { d.AddressBook[0].Expires = -1 },
		"destination.counterparties: \"zz\"": func(d *policy.Document) { d.Guards[0].When.Counterparties = []string{"zz"} },
		"destination.minAge needs":           func(d *policy.Document) { d.Whitelist, d.Guards[0].When.MinAge = nil, 60 },
		"destination.youngerThan is":         func(d *policy.Document) { d.Guards[0].When.YoungerThan = 400 * 86400 },
		"the id \"whitelist-ramp\" is":       func(d *policy.Document) { d.Guards[0].ID = "whitelist-ramp" },
		"groupBy destination and counter": func(d *policy.Document) {
			d.Limits = []policy.Limit{{ID: "x", Measure: policy.MeasureCount, GroupBy: []policy.Aspect{policy.ByCounterparty}, Exceeded: policy.Deny}}
		},
		"measure newDestinations needs": func(d *policy.Document) {
			d.Limits = []policy.Limit{{ID: "x", Measure: policy.MeasureNew, Exceeded: policy.Deny}}
		},
	} {
		d := withLedger()
		spoil(&d)
		mustContain(t, d.Check(custody.Production), want)
	}
}

func TestLedgerDiff(t *testing.T) {
	t.Parallel()
	got := strings.Join(policy.Diff(sample(), withLedger()), "\n")
	for _, want := range []string{`counterparty acme is new: "Acme", in CH, VASP licensed`, "there is an address ledger now: entries change with 2 of treasury, need attested or signed_msg, count after 3600 seconds",
		"100 of " + string(ether) + " a day each", "from 86400 seconds on without a cap", "expire unless reviewed every 7776000 seconds", "the blacklist gains " + thief + ` on eip155:1 ("sanctions")`,
		"address book entry bank is now " + bank + " on eip155:1, of acme, proof attested, kind exchange, tags eu hot, until 2033-05-18T03:33:20Z"} {
		if !strings.Contains(got, want) {
			t.Errorf("does not say %q:\n%s", want, got)
		}
	}
	back := strings.Join(policy.Diff(withLedger(), sample()), "\n")
	for _, want := range []string{"counterparty bourse is removed", "there is no address ledger any more", "the blacklist loses"} {
		if !strings.Contains(back, want) {
			t.Errorf("does not say %q:\n%s", want, back)
		}
	}
}

// Facts that contradict the document are denied, whatever the rules let through.
func TestDestinationFactsMustFit(t *testing.T) {
	t.Parallel()
	ledger := withLedger()
	ledger.Guards, ledger.Blacklist = nil, nil
	plain := sample()
	plain.Guards = nil
	dest := func(change func(*policy.Destination)) policy.Facts {
		f := facts(alice, "hot", "5")
		f.Destinations[0].Counterparty = "acme"
		change(&f.Destinations[0])
		return f
	}
	for name, c := range map[string]struct {
		doc policy.Document
		f   policy.Facts
		ok  bool
	}{
		"as it is":                  {ledger, dest(func(*policy.Destination) {}), true},
		"cooling":                   {ledger, dest(func(d *policy.Destination) { d.Kind = policy.Cooling }), true},
		"other party":               {ledger, dest(func(d *policy.Destination) { d.Counterparty = "bourse" }), false},
		"other name":                {ledger, dest(func(d *policy.Destination) { d.Book = "broker" }), false},
		"listed beside the book":    {ledger, dest(func(d *policy.Destination) { d.Address, d.Book = vendor, "vendor" }), true},
		"under the document's name": {ledger, dest(func(d *policy.Destination) { d.Address = vendor }), false},
		"no name":                   {ledger, dest(func(d *policy.Destination) { d.Address, d.Book = vendor, "" }), false},
		"unknown party":             {ledger, dest(func(d *policy.Destination) { d.Address, d.Book, d.Counterparty = vendor, "vendor", "zz" }), false},
		"a look-alike of itself":    {ledger, dest(func(d *policy.Destination) { d.Lookalike = "bank" }), false},
		"one_time with an age": {ledger, dest(func(d *policy.Destination) {
			*d = policy.Destination{Address: vendor, Amount: d.Amount, Kind: policy.OneTime, Age: 1}
		}), false},
		"no ledger":               {plain, dest(func(d *policy.Destination) { d.Counterparty, d.Kind = "", policy.Cooling }), false},
		"listed without a ledger": {plain, dest(func(d *policy.Destination) { d.Counterparty, d.Address, d.Book = "", vendor, "vendor" }), false},
	} {
		d := compile(t, c.doc).Evaluate(c.f)
		if bad := len(d.Unmet) > 0 && d.Unmet[0].Rule == "facts"; bad == c.ok {
			t.Errorf("%s: %s", name, describe(d))
		}
	}
}

func TestNewDestinationsAndCounterparties(t *testing.T) {
	t.Parallel()
	d := withLedger()
	transfers := policy.Match{Operations: []request.Operation{request.Transfer}}
	d.Limits = []policy.Limit{
		{ID: "exposure", When: transfers, Measure: policy.MeasureAmount, Max: *u("100"), GroupBy: []policy.Aspect{policy.ByAsset, policy.ByCounterparty}, Exceeded: policy.Deny},
		{ID: "fresh", When: transfers, Measure: policy.MeasureNew, Max: *u("2"), Exceeded: policy.Hold},
		{ID: "fresh-of", When: transfers, Measure: policy.MeasureNew, Max: *u("2"), GroupBy: []policy.Aspect{policy.ByCounterparty}, Exceeded: policy.Hold},
	}
	f := facts(alice, "hot", "1")
	f.Destinations = []policy.Destination{
		{Address: bank, Amount: *u("2"), Kind: policy.Whitelisted, Book: "bank", Counterparty: "acme", Age: 3600},
		{Address: vendor, Amount: *u("3"), Kind: policy.Cooling, Book: "vendor", Counterparty: "acme", First: true},
		{Address: vendor, Amount: *u("4"), Kind: policy.Cooling, Book: "vendor", Counterparty: "acme", First: true},
		{Address: broker, Amount: *u("5"), Kind: policy.Whitelisted, Book: "broker", First: true, Age: 86400},
	}
	f.Total = *u("14")
	got, err := compile(t, d).Charges(f, *u("1"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, c := range got {
		s := c.Limit + " " + strings.Join(c.Group, " ") + " " + c.Amount.String()
		if c.Max != nil {
			s += " of " + c.Max.String()
		}
		lines = append(lines, s)
	}
	a := string(ether)
	want := []string{"exposure " + a + "  5", "exposure " + a + " acme 9", "fresh  2", "fresh-of  1", "fresh-of acme 1", "whitelist-ramp " + a + " eip155:1:" + bank + " 2 of 100"}
	if !slices.Equal(lines, want) {
		t.Fatalf("got  %q\nwant %q", lines, want)
	}
	for i := range f.Destinations {
		f.Destinations[i].First = false
	}
	if got, err = compile(t, d).Charges(f, *u("1")); err != nil || slices.ContainsFunc(got, func(c policy.Charge) bool { return strings.HasPrefix(c.Limit, "fresh") }) {
		t.Fatalf("%+v, %v", got, err)
	}
}

// A longer blacklist never allows more, and where it still allows nothing changed; a suspended destination is never paid.
func TestBlacklistOnlyReduces(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawDocument(t)
		with := d
		with.Blacklist = []policy.Blocked{{Chain: chain, Address: vendor}}
		if len(d.Blacklist) > 0 {
			with.Blacklist = append(slices.Clone(d.Blacklist), with.Blacklist...) // thief comes first
		}
		before, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		after, err := policy.Compile(with)
		if err != nil {
			t.Fatal(err)
		}
		f := drawFacts(t, d)
		a, b := before.Evaluate(f), after.Evaluate(f)
		if rank(b) > rank(a) || b.Outcome == policy.Allowed && b.Rule != a.Rule {
			t.Fatalf("a blacklist raised %s to %s", describe(a), describe(b))
		}
		if slices.ContainsFunc(f.Destinations, func(x policy.Destination) bool { return x.Address == vendor || x.Kind == policy.Suspended }) && b.Outcome != policy.Denied {
			t.Fatalf("paid all the same: %s", describe(b))
		}
	})
}
