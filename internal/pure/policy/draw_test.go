// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/request"
)

// errMissing is what a model expression gives for a fact that the operation has not.
var errMissing = errors.New("missing")

// modelExpr is an expression and, written by hand, what it means.
type modelExpr struct {
	text string
	is   func(f policy.Facts, groups []custody.GroupID) (bool, error)
}

func modelExprs() []modelExpr {
	transfer := func(f policy.Facts) bool { return f.Operation == request.Transfer }
	return []modelExpr{
		{`total > amount("50")`, func(f policy.Facts, _ []custody.GroupID) (bool, error) {
			if !transfer(f) {
				return false, errMissing
			}
			return f.Total.Cmp(*u("50")) > 0, nil
		}},
		{`destinations.exists(d, d.kind == "one_time" && d.amount >= amount("10"))`, func(f policy.Facts, _ []custody.GroupID) (bool, error) {
			if !transfer(f) {
				return false, errMissing
			}
			return slices.ContainsFunc(f.Destinations, func(d policy.Destination) bool {
				return d.Kind != policy.Whitelisted && d.Amount.Cmp(*u("10")) >= 0
			}), nil
		}},
		{`count > 3`, func(f policy.Facts, _ []custody.GroupID) (bool, error) {
			if f.Operation != request.AddressCreate {
				return false, errMissing
			}
			return f.Count > 3, nil
		}},
		{`"g1" in initiatorGroups`, func(_ policy.Facts, gs []custody.GroupID) (bool, error) { return slices.Contains(gs, "g1"), nil }},
		{`wallet == "hot" || count > 3`, func(f policy.Facts, _ []custody.GroupID) (bool, error) {
			switch {
			case !f.Operation.Governance() && f.Wallet == "hot":
				return true, nil
			case f.Operation == request.AddressCreate:
				return f.Count > 3, nil
			default:
				return false, errMissing
			}
		}},
	}
}

func some[T any](t *rapid.T, label string, of ...T) []T {
	var out []T
	for i, v := range of {
		if rapid.Bool().Draw(t, fmt.Sprintf("%s%d", label, i)) {
			out = append(out, v)
		}
	}
	return out
}

func drawMatch(t *rapid.T, humans []custody.PersonID) policy.Match {
	var m policy.Match
	switch rapid.IntRange(0, 14).Draw(t, "shape") {
	case 13:
		m.InitiatorRoles = some(t, "roles", request.Approver, request.Requester)
	case 0:
		m.Initiators = some(t, "initiator", humans...)
	case 1:
		m.InitiatorIn = some(t, "in", custody.GroupID("g0"), "g1")
	case 2:
		m.InitiatorKind = some(t, "kind", policy.Human, policy.Service)
	case 3:
		m.Destination = some(t, "dest", policy.OneTime, policy.Whitelisted)
	case 4:
		m.DestNot = some(t, "not", policy.OneTime, policy.Whitelisted)
	case 5:
		m.Books = some(t, "books", "bank", "broker")
	case 8:
		m.Counterparties = some(t, "parties", "acme", "bourse")
	case 9:
		m.MinAge = int64(rapid.SampledFrom([]int{60, 7200}).Draw(t, "minAge"))
	case 10:
		m.YoungerThan = int64(rapid.SampledFrom([]int{60, 7200}).Draw(t, "youngerThan"))
	case 11:
		m.FirstUse = true
	case 12:
		m.Lookalike = true
	case 7:
		m.Destination = some(t, "standing", policy.Cooling, policy.Expired, policy.OneTime, policy.Suspended)
	case 6:
		m.Chains, m.Assets = []custody.ChainID{chain}, some(t, "assets", custody.AssetID("eip155:1/erc20:"+vendor), ether)
	}
	m.Wallets = some(t, "wallet", custody.WalletID("cold"), "hot")
	if rapid.IntRange(0, 3).Draw(t, "classes") == 0 {
		m.Classes = some(t, "class", request.ClassCore, request.ClassToken)
	}
	if rapid.Bool().Draw(t, "capped") {
		m.AmountMax = u(rapid.SampledFrom([]string{"10", "60", "1000"}).Draw(t, "max"))
	}
	if rapid.IntRange(0, 3).Draw(t, "floored") == 0 {
		m.AmountOver = u(rapid.SampledFrom([]string{"1", "5"}).Draw(t, "over"))
	}
	if rapid.IntRange(0, 9).Draw(t, "in money") == 0 {
		m.FiatOver = &policy.Fiat{Currency: "USD", Amount: *u(rapid.SampledFrom([]string{"1", "3"}).Draw(t, "worth over"))}
	}
	if rapid.IntRange(0, 9).Draw(t, "in money at most") == 0 {
		m.FiatMax = &policy.Fiat{Currency: "USD", Amount: *u(rapid.SampledFrom([]string{"4", "600"}).Draw(t, "worth at most"))}
	}
	if rapid.IntRange(0, 7).Draw(t, "screened") == 0 {
		m.Screening = drawScreeningMatch(t)
	}
	if rapid.IntRange(0, 3).Draw(t, "expr") == 0 {
		m.Expr = rapid.SampledFrom(modelExprs()).Draw(t, "which").text
	}
	return m
}

func drawPlan(t *rapid.T, d policy.Document) policy.Plan {
	var p policy.Plan
	for range rapid.IntRange(1, 2).Draw(t, "branches") {
		var b policy.Branch
		for _, g := range some(t, "step", d.Groups[:len(d.Groups)-1]...) {
			if len(g.Members) > 0 {
				b.Steps = append(b.Steps, policy.Step{Group: g.ID, Min: uint32(rapid.IntRange(1, len(g.Members)).Draw(t, "min"))})
			}
		}
		if len(b.Steps) == 0 {
			b.Steps = []policy.Step{{Group: "all", Min: 2}}
		}
		p.AnyOf = append(p.AnyOf, b)
	}
	return p
}

// drawDocument gives a document that evaluation accepts.
func drawDocument(t *rapid.T) policy.Document {
	d := policy.Document{V: 1, Version: 1, Floor: policy.Floor{
		MinDistinctUsers: uint32(rapid.IntRange(1, 2).Draw(t, "floor")), ForbidSelfApproval: true, RequestTTL: 60, MaxApprovalAge: 60}}
	var humans []custody.PersonID
	for i := range rapid.IntRange(3, 6).Draw(t, "people") {
		humans = append(humans, person(i))
		d.Principals = append(d.Principals, principal(person(i), i, policy.Human))
	}
	d.Principals = append(d.Principals, principal(bot, 99, policy.Service))
	d.Groups = []policy.Group{{ID: "all", Members: humans}}
	for i := range 3 {
		d.Groups = append(d.Groups, policy.Group{ID: custody.GroupID(fmt.Sprintf("g%d", i)), Members: some(t, "member", humans...)})
	}
	d.Groups = append(d.Groups, policy.Group{ID: "svc", Members: []custody.PersonID{bot}})
	for i := range d.Principals {
		if d.Principals[i].Roles = rapid.SampledFrom(drawnRoles()).Draw(t, "roles"); d.Principals[i].Kind == policy.Service && len(d.Principals[i].Roles) > 0 {
			d.Principals[i].Roles = []request.Role{request.Pricer}
		}
	}
	d.AddressBook = sample().AddressBook[:rapid.IntRange(0, 2).Draw(t, "book")]
	d.Counterparties = []policy.Counterparty{{ID: "acme"}, {ID: "bourse"}}
	if len(d.AddressBook) > 0 && rapid.Bool().Draw(t, "party") {
		d.AddressBook[0].Counterparty = "acme"
	}
	if rapid.Bool().Draw(t, "settings") {
		d.Whitelist = &policy.Whitelist{CoolOff: 60, Plan: plan("all", 2)}
	}
	if rapid.IntRange(0, 3).Draw(t, "blocked") == 0 {
		d.Blacklist = []policy.Blocked{{Chain: chain, Address: thief}}
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "guards") {
		d.Guards = append(d.Guards, policy.Guard{ID: fmt.Sprintf("guard%d", i), Effect: rapid.SampledFrom([]policy.Effect{policy.Deny, policy.Hold, policy.Hold}).Draw(t, "effect"),
			When: withOperations(drawMatch(t, humans), some(t, "op", request.AddressCreate, request.PersonRevoke, request.Transfer))})
	}
	for i := range rapid.IntRange(0, 6).Draw(t, "routes") {
		r := policy.Route{ID: fmt.Sprintf("route%d", i), Priority: uint32(10 * i), When: drawMatch(t, humans)}
		if rapid.Bool().Draw(t, "auto") {
			r.Auto = true
			r.When.Operations = rapid.SampledFrom([][]request.Operation{{request.AddressCreate}, {request.Transfer}, {request.AddressCreate, request.Transfer}}).Draw(t, "auto op")
			if rapid.Bool().Draw(t, "fee") {
				r.FeeCap = u("7")
			}
		} else {
			r.Plan = drawPlan(t, d)
			r.When.Operations = some(t, "op", request.AddressCreate, request.Transfer, request.WalletCreate)
		}
		d.Routes = append(d.Routes, r)
	}
	d.ChangePlan = drawPlan(t, d)
	if rapid.Bool().Draw(t, "domain plans") {
		d.Domain = &policy.DomainPlans{Signature: drawPlan(t, d), Revocation: drawPlan(t, d), Recovery: drawPlan(t, d)}
	}
	if rapid.Bool().Draw(t, "break glass") {
		d.BreakGlass = &policy.BreakGlass{Who: plan("all", 2), Duration: 60, Resume: plan("all", 1)}
		for _, e := range d.AddressBook {
			d.BreakGlass.DrainTo = append(d.BreakGlass.DrainTo, some(t, "drain to", e.ID)...)
		}
	}
	d.ReplayRequired = rapid.Bool().Draw(t, "replay required")
	d.PriceSources, d.ScreeningSources = []policy.PriceSource{source()}, screeners()
	return accepted(t, d)
}

// drawnRoles are roles that people of the generator have: all approve, because every plan may count them, and the first administer.
func drawnRoles() [][]request.Role {
	return [][]request.Role{nil, nil, nil, {request.Administrator, request.Approver, request.Requester}, {request.Administrator, request.Approver}, {request.Approver, request.Requester}}
}

func withOperations(m policy.Match, ops []request.Operation) policy.Match {
	m.Operations = ops
	return m
}

// accepted makes d one that evaluation accepts: what does not fit is replaced by something simple that does.
func accepted(t *rapid.T, d policy.Document) policy.Document {
	book := make(map[string]bool)
	for _, e := range d.AddressBook {
		book[e.ID] = true
	}
	fix := func(m *policy.Match) {
		if d.Whitelist == nil {
			m.MinAge, m.YoungerThan = 0, 0
		}
		m.Books = slices.DeleteFunc(m.Books, func(id string) bool { return !book[id] })
	}
	for i := range d.Guards {
		if fix(&d.Guards[i].When); d.Guards[i].When.Screening != nil && d.Guards[i].When.Screening.Missing {
			d.Guards[i].Effect = policy.Hold
		}
	}
	for i := range d.Routes {
		fix(&d.Routes[i].When)
		if m := d.Routes[i].When.Screening; m != nil && (m.Missing || d.Routes[i].Auto && m.RiskMax == nil) {
			d.Routes[i].When.Screening = nil
		}
	}
	if d.Check(custody.Evaluation) == nil {
		return d
	}
	plans := func(d *policy.Document, p policy.Plan) {
		d.ChangePlan = p
		if d.Whitelist != nil {
			d.Whitelist.Plan = p
		}
		if d.Domain != nil {
			d.Domain = &policy.DomainPlans{Signature: plan("g0", 1), Revocation: p, Recovery: plan("g1", 1)}
			if one := *d; one.Check(custody.Evaluation) != nil {
				d.Domain = &policy.DomainPlans{Signature: p, Revocation: p, Recovery: p}
			}
		}
		for i := range d.Routes {
			if !d.Routes[i].Auto {
				d.Routes[i].Plan = p
			}
		}
	}
	plans(&d, plan("all", 2))
	if d.Check(custody.Evaluation) == nil {
		return d
	}
	for i := range d.Guards {
		d.Guards[i].When.Operations = []request.Operation{request.Transfer}
	}
	if d.Check(custody.Evaluation) != nil { // nobody may ask for a change, or too few beside who may
		for i := range d.Principals {
			d.Principals[i].Roles = nil
		}
	}
	if err := d.Check(custody.Evaluation); err != nil {
		t.Fatalf("the generator makes a document that is refused: %v", err)
	}
	return d
}

// drawPrice gives facts a price, or says why there is none, or neither.
func drawPrice(t *rapid.T, f *policy.Facts) {
	p := policy.Price{Currency: "USD", Source: "feed"}
	switch rapid.IntRange(0, 5).Draw(t, "price") {
	case 0:
		return
	case 1:
		p.Lack = policy.StaleNow
	default:
		p.Rate = &price.Rate{Mantissa: custody.U64(3), Scale: 1}
		v, _ := p.Rate.Value(f.Total)
		f.Fiat = []policy.Fiat{{Currency: "USD", Amount: v}}
	}
	if f.Context == nil {
		f.Context = &policy.Context{}
	}
	f.Context.Prices = []policy.Price{p}
}

// drawFacts gives facts that fit the document's address book, mostly complete.
func drawFacts(t *rapid.T, d policy.Document) policy.Facts {
	who := d.Principals[rapid.IntRange(0, len(d.Principals)-1).Draw(t, "who")].ID
	f := policy.Facts{
		Operation: rapid.SampledFrom([]request.Operation{request.Transfer, request.Transfer, request.Transfer, request.AddressCreate, request.WalletCreate, request.PersonRevoke, request.PolicyChange,
			request.EpochLoad, request.PointsSet, request.Restore, request.Zeroize, request.Freeze, request.Drain, request.Resume, request.Unfreeze,
			request.WhitelistAdd, request.WhitelistSuspend, request.BlacklistAdd, request.BlacklistRemove}).Draw(t, "operation"),
		Initiator: who, Evidence: policy.BySignature,
	}
	if rapid.IntRange(0, 3).Draw(t, "session") == 0 {
		f.Evidence = policy.BySession
	}
	if m := rapid.SampledFrom([]policy.Mode{"", "", "", "", policy.Draining, policy.Frozen}).Draw(t, "mode"); m != "" {
		f.Context = &policy.Context{Mode: m}
	}
	if f.Operation.Governance() {
		return f
	}
	f.Wallet, f.Chain = rapid.SampledFrom([]custody.WalletID{"cold", "hot", "warm"}).Draw(t, "wallet"), chain
	f.Class = rapid.SampledFrom([]request.Class{"", request.ClassToken}).Draw(t, "class")
	switch f.Operation {
	case request.AddressCreate:
		f.Count = uint32(rapid.IntRange(1, 6).Draw(t, "count"))
	case request.Transfer:
		f.Asset = rapid.SampledFrom([]custody.AssetID{ether, "eip155:1/erc20:" + vendor}).Draw(t, "asset")
		for range rapid.IntRange(1, 3).Draw(t, "outputs") {
			dest := policy.Destination{Address: rapid.SampledFrom([]string{bank, broker, vendor, thief}).Draw(t, "address"), Amount: *u(rapid.SampledFrom([]string{"1", "5", "10", "55", "2000"}).Draw(t, "amount"))}
			dest.Kind = policy.OneTime
			for _, e := range d.AddressBook {
				if e.Address == dest.Address {
					dest.Kind, dest.Book, dest.Counterparty = policy.Whitelisted, e.ID, e.Counterparty
				}
			}
			if d.Whitelist != nil {
				drawListed(t, &dest)
			}
			dest.First = rapid.Bool().Draw(t, "first")
			f.Destinations = append(f.Destinations, dest)
			f.Total, _ = f.Total.Add(dest.Amount)
		}
		drawPrice(t, &f)
		drawVerdicts(t, d, &f)
	}
	return f
}

// drawListed makes a destination something that a state with a ledger could say of it.
func drawListed(t *rapid.T, dest *policy.Destination) {
	if dest.Kind == policy.OneTime && rapid.Bool().Draw(t, "listed") {
		dest.Kind, dest.Book = policy.Whitelisted, "of-"+lowerCase(dest.Address)[2:8]
		dest.Counterparty = rapid.SampledFrom([]string{"", "acme", "bourse"}).Draw(t, "of")
	}
	switch {
	case dest.Kind == policy.Whitelisted:
		dest.Kind = rapid.SampledFrom([]policy.DestinationKind{policy.Whitelisted, policy.Whitelisted, policy.Cooling, policy.Expired, policy.Suspended}).Draw(t, "standing")
		dest.Age = int64(rapid.SampledFrom([]int{0, 60, 3600, 7200}).Draw(t, "age"))
	case rapid.IntRange(0, 4).Draw(t, "alike") == 0:
		dest.Lookalike = rapid.SampledFrom([]string{"bank", policy.PaidBefore}).Draw(t, "what")
	}
}

func lowerCase(s string) string { return strings.ToLower(s) }
