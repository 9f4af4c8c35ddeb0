// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

func TestEvaluate(t *testing.T) {
	t.Parallel()
	session := func(f policy.Facts) policy.Facts { f.Evidence = policy.BySession; return f }
	governance := func(op request.Operation, who custody.PersonID) policy.Facts {
		return policy.Facts{Operation: op, Initiator: who, Evidence: policy.BySignature}
	}
	addresses := policy.Facts{Operation: request.AddressCreate, Initiator: alice, Evidence: policy.BySignature, Wallet: "hot", Chain: chain, Count: 5}
	for _, c := range []struct {
		name   string
		change func(*policy.Document)
		facts  policy.Facts
		want   string
	}{
		{"large", nil, facts(alice, "hot", "1001"), "allow large"},
		{"small by a person is not automatic", nil, facts(alice, "hot", "1"), "allow large"},
		{"small by the service", nil, facts(bot, "hot", "1000"), "allow small auto"},
		{"small by the service's session", nil, session(facts(bot, "hot", "1000")), "allow small auto"},
		{"large by the service, signed", nil, facts(bot, "hot", "1001"), "allow large"},
		{"large by the service's session", nil, session(facts(bot, "hot", "1001")), "deny large: large evidence"},
		{"another wallet by the service's session", nil, session(facts(bot, "cold", "1")), "deny large: large evidence"},
		{"a person's session", nil, session(facts(alice, "hot", "1")), "deny default-deny: principals evidence"},
		{"a session is never passed on to a later route", func(d *policy.Document) {
			d.Routes[0].Priority, d.Routes[1].Priority = 20, 10
			d.Routes[0], d.Routes[1] = d.Routes[1], d.Routes[0]
		}, session(facts(bot, "hot", "1")), "deny large: large evidence"},

		{"one-time destination", nil, to(facts(alice, "hot", "1001"), thief, policy.OneTime, ""), "deny known-only: known-only destination.not"},
		{"hold", func(d *policy.Document) { d.Guards[0].Effect = policy.Hold }, to(facts(alice, "hot", "1001"), thief, policy.OneTime, ""), "hold known-only: known-only destination.not"},
		{"hold does not save what no route allows", func(d *policy.Document) { d.Guards[0].Effect, d.Routes = policy.Hold, nil },
			to(facts(alice, "hot", "1001"), thief, policy.OneTime, ""), "deny default-deny: default-deny route"},
		{"deny before hold, lowest id", func(d *policy.Document) {
			when := d.Guards[0].When
			d.Guards = []policy.Guard{{ID: "a", Effect: policy.Hold, When: when}, {ID: "b", Effect: policy.Deny, When: when}, {ID: "c", Effect: policy.Deny, When: when}}
		}, to(facts(alice, "hot", "1001"), thief, policy.OneTime, ""), "deny b: a destination.not"},

		{"policy change", nil, governance(request.PolicyChange, alice), "allow change-plan"},
		{"enrolment asked by a service", nil, governance(request.PersonEnrol, bot), "allow change-plan"},
		{"enrolment asked in a session", nil, session(governance(request.PersonEnrol, bot)), "deny change-plan: change-plan evidence"},
		{"guard on governance", func(d *policy.Document) {
			d.Guards[0].When = policy.Match{Operations: []request.Operation{request.PersonRevoke}, Initiators: []custody.PersonID{alice}}
		}, governance(request.PersonRevoke, alice), "deny known-only: known-only initiator.principals"},

		{"address", nil, addresses, "allow wallets"},
		{"no route", func(d *policy.Document) { d.Routes = d.Routes[:2] }, addresses, "deny default-deny: small operation"},
		{"unknown operation", nil, governance("stake", alice), "deny default-deny: facts operation"},
		{"unknown evidence", nil, func() policy.Facts { f := addresses; f.Evidence = ""; return f }(), "deny default-deny: facts evidence"},
		{"unknown initiator", nil, facts(person(9), "hot", "1001"), "deny default-deny: principals initiator.known"},
		{"revoked initiator", func(d *policy.Document) {
			d.Principals[3].Active = false
			d.Groups[1].Members = remove(d.Groups[1].Members, dave)
		}, facts(dave, "hot", "1001"), "deny default-deny: principals initiator.active"},
		{"the initiator is needed to approve", func(d *policy.Document) { d.Routes[1].Plan = plan("risk", 2) },
			facts(bob, "hot", "1001"), "deny floor: large floor.forbidSelfApproval"},
		{"the initiator is not needed to approve", func(d *policy.Document) { d.Routes[1].Plan = plan("risk", 2) }, facts(alice, "hot", "1001"), "allow large"},
		{"another branch does without the initiator", func(d *policy.Document) {
			d.Routes[1].Plan.AnyOf = append(plan("risk", 2).AnyOf, plan("treasury", 2).AnyOf...)
		}, facts(bob, "hot", "1001"), "allow large"},
		{"one of two steps is the initiator's", func(d *policy.Document) {
			d.Groups = append(d.Groups, policy.Group{ID: "zurich", Members: []custody.PersonID{alice, bob}})
			d.Routes[1].Plan.AnyOf[0].Steps = []policy.Step{{Group: "risk", Min: 1}, {Group: "zurich", Min: 1}}
			d.Groups[1].Members = []custody.PersonID{bob, dave}
		}, facts(dave, "hot", "1001"), "allow large"},
		{"two seats, one person left", func(d *policy.Document) {
			d.Groups[1].Members = []custody.PersonID{bob, dave}
			d.Groups = append(d.Groups, policy.Group{ID: "zurich", Members: []custody.PersonID{bob, dave}})
			d.Routes[1].Plan.AnyOf[0].Steps = []policy.Step{{Group: "risk", Min: 1}, {Group: "zurich", Min: 1}}
		}, facts(dave, "hot", "1001"), "deny floor: large floor.forbidSelfApproval"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := sample()
			if c.change != nil {
				c.change(&d)
			}
			got := compile(t, d).Evaluate(c.facts)
			if describe(got) != c.want {
				t.Errorf("got %s, want %s\n%+v", describe(got), c.want, got)
			}
			if got.Version != 1 || got.Hash != d.Hash() {
				t.Error("the decision does not name the document")
			}
			if got.Outcome == policy.Allowed && got.Auto == (len(got.Plan.AnyOf) > 0) {
				t.Error("an allowed request has either a plan or is automatic")
			}
			if got.Outcome != policy.Allowed && (got.Auto || got.FeeCap != nil || len(got.Plan.AnyOf) > 0 || len(got.Unmet) == 0) {
				t.Errorf("a refusal carries a plan, or does not say why: %+v", got)
			}
		})
	}
}

// TestFields tries each field of a match on a route: one set of facts that meets it, one that does not.
func TestFields(t *testing.T) {
	t.Parallel()
	base := facts(alice, "hot", "100")
	other := func(change func(*policy.Facts)) policy.Facts {
		f := facts(alice, "hot", "100")
		change(&f)
		return f
	}
	sepolia := custody.EVMChain(11155111)
	for _, c := range []struct {
		when      policy.Match
		criterion string
		not       policy.Facts
	}{
		{policy.Match{Initiators: []custody.PersonID{alice, carol}}, "initiator.principals", facts(bob, "hot", "100")},
		{policy.Match{InitiatorIn: []custody.GroupID{"bots", "treasury"}}, "initiator.groups", facts(dave, "hot", "100")},
		{policy.Match{InitiatorKind: []policy.PrincipalKind{policy.Human}}, "initiator.kind", facts(bot, "hot", "100")},
		{policy.Match{Wallets: []custody.WalletID{"hot", "warm"}}, "source.wallets", facts(alice, "cold", "100")},
		{policy.Match{Chains: []custody.ChainID{chain}}, "source.chains", other(func(f *policy.Facts) {
			f.Chain, f.Asset = sepolia, sepolia.Native()
			f.Destinations[0].Kind, f.Destinations[0].Book = policy.OneTime, ""
		})},
		{policy.Match{Assets: []custody.AssetID{ether}}, "asset.ids", other(func(f *policy.Facts) { f.Asset = "eip155:1/erc20:" + vendor })},
		{policy.Match{Destination: []policy.DestinationKind{policy.Whitelisted}}, "destination.kind", to(base, vendor, policy.OneTime, "")},
		{policy.Match{DestNot: []policy.DestinationKind{policy.OneTime}}, "destination.not", to(base, vendor, policy.OneTime, "")},
		{policy.Match{Books: []string{"bank"}}, "destination.ids", to(base, broker, policy.Whitelisted, "broker")},
		{policy.Match{AmountMax: u("100")}, "amount.max", facts(alice, "hot", "101")},
		{policy.Match{AmountOver: u("99")}, "amount.over", facts(alice, "hot", "99")},
		{policy.Match{Expr: `total == amount("100")`}, "expr", facts(alice, "hot", "101")},
	} {
		t.Run(c.criterion, func(t *testing.T) {
			t.Parallel()
			d := sample()
			d.Guards = nil
			d.Routes = []policy.Route{{ID: "r", Plan: plan("treasury", 2), When: c.when}}
			r := compile(t, d)
			if got := r.Evaluate(base); describe(got) != "allow r" {
				t.Errorf("got %s", describe(got))
			}
			got := r.Evaluate(c.not)
			if want := "deny default-deny: r " + c.criterion; describe(got) != want {
				t.Errorf("got %s, want %s", describe(got), want)
			}
			if got.Unmet[0].Observed == "" {
				t.Error("the decision does not say what was observed")
			}
			// An operation without the attribute does not meet the field, neither on a route nor on a guard.
			addr := policy.Facts{Operation: request.AddressCreate, Initiator: alice, Evidence: policy.BySignature, Wallet: "hot", Chain: chain, Count: 1}
			// Attributes that are there although the operation has none such are not looked at.
			revoke := facts(alice, "hot", "100")
			revoke.Operation = request.PersonRevoke
			d = sample()
			c.when.Operations = []request.Operation{request.PersonRevoke, request.Transfer}
			d.Guards = []policy.Guard{{ID: "g", Effect: policy.Deny, When: c.when}}
			want := "allow change-plan"
			if strings.HasPrefix(c.criterion, "initiator") || c.criterion == "expr" { // an initiator there is; an expression can't be evaluated
				want = "deny g: g " + c.criterion
			}
			for range 2 {
				if got := compile(t, d).Evaluate(revoke); describe(got) != want {
					t.Errorf("a guard on %s: got %s, want %s", c.criterion, describe(got), want)
				}
				revoke.Destinations[0].Kind, revoke.Destinations[0].Book = policy.OneTime, ""
			}
			if got := compile(t, d).Evaluate(base); describe(got) != "deny g: g "+c.criterion || len(got.Unmet) != 1 {
				t.Errorf("a guard on %s: got %s, %d times", c.criterion, describe(got), len(got.Unmet))
			}
			if strings.HasPrefix(c.criterion, "destination") || strings.HasPrefix(c.criterion, "amount") {
				if got := r.Evaluate(addr); describe(got) != "deny default-deny: r "+c.criterion {
					t.Errorf("got %s", describe(got))
				}
			}
		})
	}
}

// TestEveryDestination: kind and ids ask for every output, not for some output only; not asks for some.
func TestEveryDestination(t *testing.T) {
	t.Parallel()
	f := facts(alice, "hot", "100")
	f.Destinations = append(f.Destinations, policy.Destination{Address: thief, Amount: *u("1"), Kind: policy.OneTime})
	f.Total = *u("101")
	for _, c := range []struct {
		when policy.Match
		want string
	}{
		{policy.Match{Destination: []policy.DestinationKind{policy.Whitelisted}}, "deny default-deny: r destination.kind"},
		{policy.Match{Destination: []policy.DestinationKind{policy.OneTime, policy.Whitelisted}}, "allow r"},
		{policy.Match{Books: []string{"bank"}}, "deny default-deny: r destination.ids"},
		{policy.Match{DestNot: []policy.DestinationKind{policy.Whitelisted}}, "allow r"},
		{policy.Match{DestNot: []policy.DestinationKind{policy.OneTime, policy.Whitelisted}}, "deny default-deny: r destination.not"},
	} {
		d := sample()
		d.Guards = nil
		d.Routes = []policy.Route{{ID: "r", Plan: plan("treasury", 2), When: c.when}}
		if got := compile(t, d).Evaluate(f); describe(got) != c.want {
			t.Errorf("%s: got %s, want %s", c.when, describe(got), c.want)
		}
	}
}

// TestFactsRefused: facts that lack something or contradict themselves or the document are denied, whatever the rules are.
func TestFactsRefused(t *testing.T) {
	t.Parallel()
	d := sample()
	d.Guards = nil
	d.Routes = []policy.Route{{ID: "anything", Plan: plan("treasury", 2)}}
	r := compile(t, d)
	for _, c := range []struct {
		name, want string
		change     func(*policy.Facts)
	}{
		{"no wallet", "source.wallets", func(f *policy.Facts) { f.Wallet = "" }},
		{"no chain", "source.chains", func(f *policy.Facts) { f.Chain = "" }},
		{"no asset", "asset.ids", func(f *policy.Facts) { f.Asset = "" }},
		{"asset of another chain", "asset.ids", func(f *policy.Facts) { f.Asset = "eip155:5/slip44:60" }},
		{"no destinations", "destination", func(f *policy.Facts) { f.Destinations = nil }},
		{"too many destinations", "destination", func(f *policy.Facts) { f.Destinations = make([]policy.Destination, request.MaxOutputs+1) }},
		{"long address", "destination", func(f *policy.Facts) { f.Destinations[0].Address = strings.Repeat("a", 201) }},
		{"wrong total", "amount", func(f *policy.Facts) { f.Total = *u("99") }},
		{"overflow", "amount", func(f *policy.Facts) {
			f.Destinations[0].Amount = *u("115792089237316195423570985008687907853269984665640564039457584007913129639935")
			f.Destinations = append(f.Destinations, f.Destinations[0])
		}},
		{"whitelisted but not in the book", "destination.kind", func(f *policy.Facts) { f.Destinations[0].Address = thief }},
		{"whitelisted under another id", "destination.kind", func(f *policy.Facts) { f.Destinations[0].Book = "broker" }},
		{"one-time but in the book", "destination.kind", func(f *policy.Facts) { *f = to(*f, bank, policy.OneTime, "") }},
		{"one-time with a book id", "destination.kind", func(f *policy.Facts) { *f = to(*f, thief, policy.OneTime, "bank") }},
		{"reserved kind", "destination.kind", func(f *policy.Facts) { *f = to(*f, thief, policy.InternalWallet, "") }},
		{"unknown kind", "destination.kind", func(f *policy.Facts) { f.Destinations[0].Kind = "exchange" }},
		{"no count", "count", func(f *policy.Facts) {
			*f = policy.Facts{Operation: request.AddressCreate, Initiator: alice, Evidence: policy.BySignature, Wallet: "hot", Chain: chain}
		}},
		{"new wallet without id", "source.wallets", func(f *policy.Facts) {
			*f = policy.Facts{Operation: request.WalletCreate, Initiator: alice, Evidence: policy.BySignature, Chain: chain}
		}},
	} {
		f := facts(alice, "hot", "100")
		if got := r.Evaluate(f); describe(got) != "allow anything" {
			t.Fatal(describe(got))
		}
		c.change(&f)
		if got := r.Evaluate(f); describe(got) != "deny default-deny: facts "+c.want {
			t.Errorf("%s: got %s", c.name, describe(got))
		}
	}
}

// TestUnmetListsRoutes: a default denial tells why each route did not match, those for the operation first, and not without end.
func TestUnmetListsRoutes(t *testing.T) {
	t.Parallel()
	d := sample()
	d.Routes = []policy.Route{
		{ID: "wallets", Priority: 1, Plan: plan("treasury", 2), When: policy.Match{Operations: []request.Operation{request.WalletCreate}}},
		{ID: "cold", Priority: 2, Plan: plan("treasury", 2), When: policy.Match{Wallets: []custody.WalletID{"cold"}}},
		{ID: "tiny", Priority: 3, Plan: plan("treasury", 2), When: policy.Match{Operations: []request.Operation{request.Transfer}, AmountMax: u("5")}},
	}
	got := compile(t, d).Evaluate(facts(alice, "hot", "100"))
	want := "[{cold source.wallets hot} {tiny amount.max 100} {wallets operation transfer}]"
	if fmt.Sprint(got.Unmet) != want {
		t.Errorf("got %v, want %s", got.Unmet, want)
	}
	for i := range 50 {
		d.Routes = append(d.Routes, policy.Route{ID: fmt.Sprintf("r%d", i), Priority: uint32(10 + i), Plan: plan("treasury", 2), When: policy.Match{Wallets: []custody.WalletID{"cold"}}})
	}
	if got := compile(t, d).Evaluate(facts(alice, "hot", "100")); len(got.Unmet) != policy.MaxUnmet {
		t.Errorf("got %d unmet criteria, want %d", len(got.Unmet), policy.MaxUnmet)
	}
}

func TestDecisionHasAnEncoding(t *testing.T) {
	t.Parallel()
	r := compile(t, sample())
	for _, f := range []policy.Facts{facts(alice, "hot", "5"), facts(bot, "hot", "5"), to(facts(alice, "hot", "5"), thief, policy.OneTime, ""), {}, {Operation: "\xff", Initiator: alice}} {
		b := canon.Encode(r.Evaluate(f))
		var d policy.Decision
		if err := canon.Decode(b, &d); err != nil || !bytes.Equal(canon.Encode(d), b) {
			t.Errorf("%s: a decision does not survive its encoding: %v", f.Operation, err)
		}
	}
}

func TestLookups(t *testing.T) {
	t.Parallel()
	d := sample()
	r := compile(t, d)
	if p, ok := r.Principal(alice); !ok || p.Kind != policy.Human || !p.Active {
		t.Error("alice is not found")
	}
	if _, ok := r.Principal(person(9)); ok {
		t.Error("nobody is found")
	}
	if p, k, ok := r.Key(key(5).Ref()); !ok || p.ID != bot || k.Ref() != key(5).Ref() {
		t.Error("the bot's key is not found")
	}
	if _, _, ok := r.Key(key(99).Ref()); ok {
		t.Error("an unknown key is found")
	}
	if id, ok := r.Book(chain, bank); !ok || id != "bank" {
		t.Error("the bank is not found")
	}
	if _, ok := r.Book(custody.EVMChain(5), bank); ok {
		t.Error("the bank is found on another chain")
	}
	if !r.InGroup(bob, "risk") || r.InGroup(alice, "risk") || r.InGroup(alice, "nobody") {
		t.Error("wrong members of risk")
	}
	if r.Version() != 1 || r.Hash() != d.Hash() || r.Floor() != d.Floor || r.Document().Hash() != d.Hash() {
		t.Error("the rules do not name their document")
	}
}

// TestCompileCopies: what the caller does with its document, or with a decision, does not reach the rules.
func TestCompileCopies(t *testing.T) {
	t.Parallel()
	d := sample()
	r := compile(t, d)
	d.Groups[2].Members[0] = dave
	*d.Routes[0].When.AmountMax = *u("999999")
	got := r.Evaluate(facts(bot, "hot", "1000"))
	*got.FeeCap = *u("1")
	got = r.Evaluate(facts(alice, "hot", "1001"))
	got.Plan.AnyOf[0].Steps[0].Min = 0
	if got := r.Evaluate(facts(bot, "hot", "1001")); describe(got) != "allow large" || got.Plan.AnyOf[0].Steps[0].Min != 2 {
		t.Errorf("got %+v", got)
	}
	if got := r.Evaluate(facts(bot, "hot", "1")); got.FeeCap.String() != "5000" {
		t.Errorf("fee cap is %s", got.FeeCap)
	}
	if r.InGroup(dave, "treasury") {
		t.Error("the group changed")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	d := withExpr(`destinations.all(d, d.kind == "whitelisted") && total > amount("1000")`)
	r := compile(t, d)
	var wg sync.WaitGroup // each goroutine is waited for below
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				want := []string{"allow small auto", "hold g: g expr"}[i%2]
				if got := r.Evaluate(facts(bot, "hot", []string{"1000", "1001"}[i%2])); describe(got) != want {
					t.Errorf("got %s, want %s", describe(got), want)
				}
			}
		})
	}
	wg.Wait()
}

func TestNamesAreReserved(t *testing.T) {
	t.Parallel()
	for _, id := range []string{policy.RuleChangePlan, policy.RuleFloor, policy.RuleDefaultDeny, "facts", "plan", "principals"} {
		d := sample()
		d.Routes[1].ID = id
		mustContain(t, d.Check(custody.Evaluation), "reserved")
	}
}
