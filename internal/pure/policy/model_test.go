// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// The naive model: no index, no compiled expressions, no cleverness, quorums by trying every choice of people.

type modelVerdict int

const (
	no modelVerdict = iota
	yes
	broken
)

func modelGroups(d policy.Document, p custody.PersonID) (out []custody.GroupID) {
	for _, g := range d.Groups {
		if slices.Contains(g.Members, p) {
			out = append(out, g.ID)
		}
	}
	return out
}

func modelMatch(d policy.Document, m policy.Match, f policy.Facts) modelVerdict {
	money, screened := modelFiat(m, f), modelScreened(d, m, f)
	rest := modelMatchBut(d, m, f)
	if rest == no || money == no || screened == no {
		return no
	}
	return max(rest, money, screened)
}

// modelFiat works out by hand what 0.3 minor units for a base unit are, rounded up.
func modelFiat(m policy.Match, f policy.Facts) modelVerdict {
	if m.FiatMax == nil && m.FiatOver == nil {
		return yes
	}
	if f.Operation != request.Transfer {
		return no
	}
	if f.Context == nil || len(f.Context.Prices) == 0 || f.Context.Prices[0].Rate == nil {
		return broken
	}
	total, _ := f.Total.Uint64()
	worth := total * 3 / 10
	if total*3%10 > 0 {
		worth++
	}
	if m.FiatMax != nil {
		if most, _ := m.FiatMax.Amount.Uint64(); worth > most {
			return no
		}
	}
	if m.FiatOver != nil {
		if least, _ := m.FiatOver.Amount.Uint64(); worth <= least {
			return no
		}
	}
	return yes
}

func modelMatchBut(d policy.Document, m policy.Match, f policy.Facts) modelVerdict {
	transfer := f.Operation == request.Transfer
	hasWallet := !f.Operation.Governance()
	groups := modelGroups(d, f.Initiator)
	var kind policy.PrincipalKind
	var roles []request.Role
	for _, p := range d.Principals {
		if p.ID == f.Initiator {
			kind, roles = p.Kind, p.Roles
		}
	}
	all := func(ok func(policy.Destination) bool) bool {
		for _, x := range f.Destinations {
			if !ok(x) {
				return false
			}
		}
		return true
	}
	if len(m.Operations) > 0 && !slices.Contains(m.Operations, f.Operation) ||
		len(m.Initiators) > 0 && !slices.Contains(m.Initiators, f.Initiator) ||
		len(m.InitiatorIn) > 0 && !slices.ContainsFunc(m.InitiatorIn, func(g custody.GroupID) bool { return slices.Contains(groups, g) }) ||
		len(m.InitiatorKind) > 0 && !slices.Contains(m.InitiatorKind, kind) ||
		len(m.InitiatorRoles) > 0 && !slices.ContainsFunc(m.InitiatorRoles, func(r request.Role) bool { return slices.Contains(roles, r) }) ||
		len(m.Wallets) > 0 && !(hasWallet && slices.Contains(m.Wallets, f.Wallet)) ||
		len(m.Chains) > 0 && !(hasWallet && slices.Contains(m.Chains, f.Chain)) ||
		len(m.Classes) > 0 && !(hasWallet && slices.Contains(m.Classes, map[request.Class]request.Class{"": "core", "token": "token"}[f.Class])) ||
		len(m.Assets) > 0 && !(transfer && slices.Contains(m.Assets, f.Asset)) ||
		len(m.Destination) > 0 && !(transfer && all(func(x policy.Destination) bool {
			return slices.Contains(m.Destination, x.Kind) || x.Kind != policy.Whitelisted && slices.Contains(m.Destination, policy.OneTime)
		})) ||
		len(m.DestNot) > 0 && !(transfer && !all(func(x policy.Destination) bool {
			return slices.Contains(m.DestNot, x.Kind) || x.Kind != policy.Whitelisted && slices.Contains(m.DestNot, policy.OneTime)
		})) ||
		len(m.Books) > 0 && !(transfer && all(func(x policy.Destination) bool {
			return x.Kind == policy.Whitelisted && slices.Contains(m.Books, x.Book)
		})) ||
		len(m.Counterparties) > 0 && !(transfer && all(func(x policy.Destination) bool {
			return x.Kind == policy.Whitelisted && slices.Contains(m.Counterparties, x.Counterparty)
		})) ||
		m.MinAge > 0 && !(transfer && all(func(x policy.Destination) bool { return x.Kind == policy.Whitelisted && x.Age >= m.MinAge })) ||
		m.YoungerThan > 0 && !(transfer && !all(func(x policy.Destination) bool { return x.Kind == policy.Whitelisted && x.Age >= m.YoungerThan })) ||
		m.FirstUse && !(transfer && !all(func(x policy.Destination) bool { return !x.First })) ||
		m.Lookalike && !(transfer && !all(func(x policy.Destination) bool { return x.Lookalike == "" })) ||
		m.AmountMax != nil && !(transfer && f.Total.Cmp(*m.AmountMax) <= 0) ||
		m.AmountOver != nil && !(transfer && f.Total.Cmp(*m.AmountOver) > 0) {
		return no
	}
	if m.Expr == "" {
		return yes
	}
	for _, e := range modelExprs() {
		if e.text == m.Expr {
			is, err := e.is(f, groups)
			switch {
			case err != nil:
				return broken
			case is:
				return yes
			default:
				return no
			}
		}
	}
	panic("an expression without a model")
}

// modelMet tries every way to give each seat another voter.
func modelMet(d policy.Document, p policy.Plan, initiator custody.PersonID, voters []custody.PersonID) bool {
	counts := func(id custody.PersonID) bool {
		return id != initiator && slices.Contains(voters, id) &&
			slices.ContainsFunc(d.Principals, func(x policy.Principal) bool { return x.ID == id && x.Active && x.Kind == policy.Human })
	}
	members := func(g custody.GroupID) (out []custody.PersonID) {
		for _, x := range d.Groups {
			if x.ID == g {
				for _, m := range x.Members {
					if counts(m) {
						out = append(out, m)
					}
				}
			}
		}
		return out
	}
	var fill func(seats []custody.GroupID, used []custody.PersonID) bool
	fill = func(seats []custody.GroupID, used []custody.PersonID) bool {
		if len(seats) == 0 {
			return true
		}
		for _, m := range members(seats[0]) {
			if !slices.Contains(used, m) && fill(seats[1:], append(slices.Clone(used), m)) {
				return true
			}
		}
		return false
	}
	for _, b := range p.AnyOf {
		var seats []custody.GroupID
		people := make(map[custody.PersonID]bool)
		for _, s := range b.Steps {
			for range s.Min {
				seats = append(seats, s.Group)
			}
			for _, m := range members(s.Group) {
				people[m] = true
			}
		}
		if len(people) >= int(d.Floor.MinDistinctUsers) && fill(seats, nil) {
			return true
		}
	}
	return false
}

// modelEffect: a guard that can't be told only because there is no price or no verdict holds. One whose expression fails too does as it says.
func modelEffect(d policy.Document, g policy.Guard, f policy.Facts) policy.Effect {
	if modelMatch(d, g.When, f) == broken && modelMatchBut(d, g.When, f) == yes {
		return policy.Hold
	}
	return g.Effect
}

func everybody(d policy.Document) (out []custody.PersonID) {
	for _, p := range d.Principals {
		out = append(out, p.ID)
	}
	return out
}

// modelEvaluate gives outcome, deciding rule and whether it is automatic.
func modelEvaluate(d policy.Document, f policy.Facts) string {
	service := f.Initiator == bot
	if f.Evidence == policy.BySession && !service {
		return "deny default-deny"
	}
	if f.Operation == request.Zeroize {
		p := d.ChangePlan
		if d.Domain != nil {
			p = d.Domain.Signature
		}
		for _, b := range p.AnyOf {
			for _, s := range b.Steps {
				for _, g := range d.Groups {
					if g.ID == s.Group && slices.Contains(g.Members, f.Initiator) && f.Evidence == policy.BySignature {
						return "allow zeroize auto"
					}
				}
			}
		}
		return "deny zeroize"
	}
	if d, decided := modelPower(d, f); decided {
		return d
	}
	book, rule := d.ChangePlan, "change-plan"
	if d.Whitelist != nil {
		book, rule = d.Whitelist.Plan, "whitelist-plan"
	}
	if f.Operation == request.WhitelistSuspend || f.Operation == request.BlacklistAdd {
		for _, b := range book.AnyOf {
			for _, s := range b.Steps {
				for _, g := range d.Groups {
					if g.ID == s.Group && slices.Contains(g.Members, f.Initiator) && f.Evidence == policy.BySignature {
						return "allow " + rule + " auto"
					}
				}
			}
		}
		return "deny " + rule
	}
	for _, bar := range []struct {
		rule string
		is   func(policy.Destination) bool
	}{{"blacklist", func(x policy.Destination) bool { return len(d.Blacklist) > 0 && x.Address == thief }},
		{"suspended", func(x policy.Destination) bool { return x.Kind == policy.Suspended }},
		{"lookalike", func(x policy.Destination) bool { return d.Whitelist != nil && x.Lookalike != "" }}} {
		if slices.ContainsFunc(f.Destinations, bar.is) {
			return "deny " + bar.rule
		}
	}
	held := ""
	for _, effect := range []policy.Effect{policy.Deny, policy.Hold} {
		for _, g := range d.Guards {
			if modelEffect(d, g, f) == effect && modelMatch(d, g.When, f) != no {
				if effect == policy.Deny {
					return "deny " + g.ID
				}
				if held == "" {
					held = "hold " + g.ID
				}
			}
		}
	}
	routed := modelRoute(d, f)
	if held != "" && routed[:5] == "allow" {
		return held
	}
	return routed
}

// modelPower decides by roles, the operational state and what one may do alone, from lists written out by hand.
func modelPower(d policy.Document, f policy.Facts) (string, bool) {
	for _, p := range d.Principals {
		if p.ID != f.Initiator || len(p.Roles) == 0 {
			continue
		}
		needs := map[request.Operation][]request.Role{
			request.Transfer: {"requester"}, request.AddressCreate: {"requester"}, request.WalletCreate: {"requester"}, request.PolicyChange: {"administrator"}, request.PersonRevoke: {"administrator", "risk"},
			request.EpochLoad: {"administrator"}, request.PointsSet: {"administrator"}, request.Restore: {"administrator"}, request.Freeze: {"requester", "approver", "administrator"},
			request.Drain: {"administrator"}, request.Resume: {"administrator"}, request.Unfreeze: {"administrator"},
			request.BlacklistAdd: {"administrator", "risk", "whitelister"}, request.WhitelistAdd: {"whitelister"}, request.WhitelistSuspend: {"whitelister", "risk"}, request.BlacklistRemove: {"whitelister"}}[f.Operation]
		if !slices.ContainsFunc(needs, func(r request.Role) bool { return slices.Contains(p.Roles, r) }) {
			return "deny roles", true
		}
	}
	mode := policy.Mode("")
	if f.Context != nil {
		mode = f.Context.Mode
	}
	pays := f.Operation == request.Transfer || f.Operation == request.AddressCreate || f.Operation == request.WalletCreate
	switch {
	case mode == policy.Frozen && pays:
		return "deny frozen", true
	case mode == policy.Draining && slices.Contains([]request.Operation{request.AddressCreate, request.WalletCreate, request.PolicyChange, request.EpochLoad, request.WhitelistAdd, request.BlacklistRemove}, f.Operation):
		return "deny draining", true
	case mode == policy.Draining && f.Operation == request.Transfer:
		for _, x := range f.Destinations {
			if d.BreakGlass == nil || x.Book == "" || !slices.Contains(d.BreakGlass.DrainTo, x.Book) {
				return "deny draining", true
			}
		}
	}
	switch f.Operation {
	case request.Freeze:
		p := d.ChangePlan
		switch {
		case d.BreakGlass != nil:
			p = d.BreakGlass.Who
		case d.Domain != nil:
			p = d.Domain.Signature
		}
		for _, b := range p.AnyOf {
			for _, s := range b.Steps {
				for _, g := range d.Groups {
					if g.ID == s.Group && slices.Contains(g.Members, f.Initiator) && f.Evidence == policy.BySignature {
						return "allow freeze auto", true
					}
				}
			}
		}
		return "deny freeze", true
	case request.Drain, request.Resume:
		if d.BreakGlass == nil || f.Operation == request.Drain && len(d.BreakGlass.DrainTo) == 0 {
			return "deny break-glass", true
		}
	}
	return "", false
}

func modelRoute(d policy.Document, f policy.Facts) string {
	routed := modelRouted(d, f)
	if f.Operation != request.Transfer || f.Context == nil || f.Context.Mode != policy.Draining || len(routed) > 5 && routed[len(routed)-4:] == "auto" {
		return routed
	}
	switch {
	case f.Evidence == policy.BySession:
		return "deny break-glass"
	case !modelMet(d, d.BreakGlass.Who, f.Initiator, everybody(d)):
		return "deny floor"
	default:
		return "allow break-glass"
	}
}

func modelRouted(d policy.Document, f policy.Facts) string {
	onPlan := func(rule string, p policy.Plan) string {
		switch {
		case f.Evidence == policy.BySession:
			return "deny " + rule
		case !modelMet(d, p, f.Initiator, everybody(d)):
			return "deny floor"
		default:
			return "allow " + rule
		}
	}
	own := policy.DomainPlans{Signature: d.ChangePlan, Recovery: d.ChangePlan}
	if d.Domain != nil {
		own = *d.Domain
	}
	switch f.Operation {
	case request.PersonRevoke, request.PolicyChange, request.Unfreeze:
		return onPlan("change-plan", d.ChangePlan)
	case request.Drain:
		return onPlan("break-glass", d.BreakGlass.Who)
	case request.Resume:
		return onPlan("resume-plan", d.BreakGlass.Resume)
	case request.WhitelistAdd, request.BlacklistRemove:
		if d.Whitelist != nil {
			return onPlan("whitelist-plan", d.Whitelist.Plan)
		}
		return onPlan("change-plan", d.ChangePlan)
	case request.EpochLoad, request.PointsSet:
		return onPlan("signature-plan", own.Signature)
	case request.Restore:
		return onPlan("recovery-plan", own.Recovery)
	}
	for _, r := range d.Routes {
		switch modelMatch(d, r.When, f) {
		case broken:
			return "deny " + r.ID
		case yes:
			if r.Auto {
				return "allow " + r.ID + " auto"
			}
			return onPlan(r.ID, r.Plan)
		case no:
		}
	}
	return "deny default-deny"
}

func short(d policy.Decision) string {
	d.Unmet = nil
	return describe(d)
}

func TestEvaluateAgreesWithModel(t *testing.T) {
	t.Parallel()
	seen := lawtest.Counts{}
	lawtest.Check(t, seen.Want(1, "allowfalse", "allowtrue", "denyfalse", "holdfalse"), func(t *rapid.T) {
		d := drawDocument(t)
		r, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		for range 24 {
			f := drawFacts(t, d)
			got := r.Evaluate(f)
			if want := modelEvaluate(d, f); short(got) != want {
				t.Fatalf("got %s, the model says %s\nfacts %+v\nrules %v", short(got), want, f, policy.Diff(policy.Document{}, d))
			}
			seen[string(got.Outcome)+fmt.Sprint(got.Auto)]++
		}
	})
}

func rank(d policy.Decision) int {
	return map[policy.Outcome]int{policy.Denied: 0, policy.Held: 1, policy.Allowed: 2}[d.Outcome]
}

// TestGuardsOnlyReduce: adding a guard never allows more, and where it still allows, nothing changed.
func TestGuardsOnlyReduce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawDocument(t)
		before, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		with := d
		with.Guards = append(slices.Clone(d.Guards), policy.Guard{ID: "new", Effect: rapid.SampledFrom([]policy.Effect{policy.Deny, policy.Hold}).Draw(t, "effect"),
			When: withOperations(drawMatch(t, []custody.PersonID{alice, bob}), []request.Operation{request.AddressCreate, request.Transfer})})
		with = accepted(t, with)
		if !slices.EqualFunc(with.Guards[:len(d.Guards)], d.Guards, func(a, b policy.Guard) bool { return a.String() == b.String() }) || policy.Diff(d, with)[0][:5] != "guard" {
			t.Skip("the new guard would lock the document")
		}
		after, err := policy.Compile(with)
		if err != nil {
			t.Fatal(err)
		}
		f := drawFacts(t, d)
		a, b := before.Evaluate(f), after.Evaluate(f)
		if rank(b) > rank(a) {
			t.Fatalf("a guard raised %s to %s", describe(a), describe(b))
		}
		if b.Outcome == policy.Allowed && (b.Rule != a.Rule || b.Auto != a.Auto || !slices.Equal(canon.Encode(a.Plan), canon.Encode(b.Plan))) {
			t.Fatalf("a guard changed %+v to %+v", a, b)
		}
	})
}

// TestOrderHasNoEffect: guards renamed so that their order is another, and outputs in another order, give the same outcome.
func TestOrderHasNoEffect(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawDocument(t)
		shuffled := d
		shuffled.Guards = rapid.Permutation(d.Guards).Draw(t, "guards")
		for i := range shuffled.Guards {
			shuffled.Guards[i].ID = fmt.Sprintf("guard%d", i)
		}
		f := drawFacts(t, d)
		g := f
		g.Destinations = rapid.Permutation(f.Destinations).Draw(t, "destinations")
		a, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		b, err := policy.Compile(shuffled)
		if err != nil {
			t.Fatal(err)
		}
		x, y := a.Evaluate(f), b.Evaluate(g)
		if x.Outcome != y.Outcome || x.Auto != y.Auto || x.Outcome == policy.Allowed && x.Rule != y.Rule {
			t.Fatalf("order changed %s to %s", describe(x), describe(y))
		}
	})
}

// TestSessionNeverAllowsMore: the same request, signed, is allowed on the same rule.
func TestSessionNeverAllowsMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawDocument(t)
		r, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		f := drawFacts(t, d)
		f.Initiator, f.Evidence = bot, policy.BySession
		session := r.Evaluate(f)
		f.Evidence = policy.BySignature
		signed := r.Evaluate(f)
		if session.Outcome == policy.Allowed && (!session.Auto || describe(signed) != describe(session)) {
			t.Fatalf("session %s, signed %s", describe(session), describe(signed))
		}
	})
}

func FuzzDecodeDocument(f *testing.F) {
	f.Add(sample().Encode())
	f.Add(withLedger().Encode())
	f.Add(withExpr(`total > amount("5")`).Encode())
	second := sample()
	second.Version, second.PrevHash = 2, second.Hash()
	f.Add(second.Encode())
	f.Add(lined().Encode())
	f.Add(glass().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := policy.DecodeDocument(b)
		if err != nil {
			return
		}
		if !slices.Equal(d.Encode(), b) {
			t.Fatal("a document has two encodings")
		}
		production, evaluation := d.Check(custody.Production), d.Check(custody.Evaluation)
		if production == nil && evaluation != nil {
			t.Fatalf("production accepts what evaluation refuses: %v", evaluation)
		}
		r, err := policy.Compile(d)
		if (err == nil) != (evaluation == nil) {
			t.Fatalf("Check says %v, Compile %v", evaluation, err)
		}
		_ = policy.Diff(sample(), d)
		if err == nil {
			for _, x := range []policy.Facts{facts(alice, "hot", "5"), {Operation: request.PolicyChange, Initiator: alice, Evidence: policy.BySignature}} {
				_ = r.Evaluate(x)
			}
		}
	})
}
