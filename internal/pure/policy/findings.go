// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Finding is something in a document that [Document.Check] accepts and that most likely was not meant.
type Finding struct {
	Section string // of the rule file: guards, routes, obligations, limits, breakGlass or whitelist
	ID      string // of the rule, or of the plan in breakGlass or whitelist
	What    string // is wrong, in words
	Note    bool   // worth knowing, and may well be meant
}

// Findings looks at a document without facts. It finds rules that can never match, expressions that always give the same, routes that an earlier one
// leaves nothing, limits on what no route lets through, askers whom a plan leaves too few to approve, what outlasts a drain or denies it, and a plan for the
// address book that nobody can use. It compares field by field: what only an
// expression tells it doesn't see.
func (r *Rules) Findings() (out []Finding) {
	say := func(section, id string, note bool, format string, args ...any) {
		out = append(out, Finding{section, id, fmt.Sprintf(format, args...), note})
	}
	for _, s := range []struct {
		name string
		ids  func(i int) string
		list []matcher
	}{
		{"guards", func(i int) string { return r.doc.Guards[i].ID }, r.guards},
		{"routes", func(i int) string { return r.doc.Routes[i].ID }, r.routes},
		{"obligations", func(i int) string { return r.doc.Obligations[i].ID }, r.obligations},
		{"limits", func(i int) string { return r.doc.Limits[i].ID }, r.limits},
	} {
		for i := range s.list {
			x := &s.list[i]
			if why := r.never(&x.m, s.name == "routes"); why != "" {
				say(s.name, s.ids(i), false, "never matches: %s", why)
			}
			if is, constant := x.constant(); constant {
				say(s.name, s.ids(i), false, "its expression is always %t, whatever is asked", is)
			}
		}
	}
	r.shadows(say)
	r.idleLimits(say)
	r.lonely(say)
	r.slowDrains(say)
	r.idleLedger(say)
	return out
}

// shadows finds routes that never get a request, because an earlier one matches whatever they match.
func (r *Rules) shadows(say tell) {
	for j, later := range r.doc.Routes {
		for _, earlier := range r.doc.Routes[:j] {
			if covers(&earlier.When, &later.When) {
				say("routes", later.ID, false, "never decides: route %s comes first and matches whatever it matches", earlier.ID)
				break
			}
		}
	}
}

// idleLimits finds limits on what no route lets through.
func (r *Rules) idleLimits(say tell) {
	for _, l := range r.doc.Limits {
		if !slices.ContainsFunc(r.doc.Routes, func(rt Route) bool { return meets(&l.When, &rt.When) }) {
			say("limits", l.ID, false, "limits nothing: no route lets through what it matches")
		}
	}
}

// lonely finds who asks in vain, because too few are left to approve.
func (r *Rules) lonely(say tell) {
	for _, rt := range r.doc.Routes {
		if rt.Auto {
			continue
		}
		var vain []custody.PersonID
		for _, p := range r.doc.Principals {
			if p.Active && r.mayAsk(&rt.When, p.ID) && !r.canMeet(rt.Plan, p.ID) {
				vain = append(vain, p.ID)
			}
		}
		if len(vain) > 0 {
			say("routes", rt.ID, true, "%s can't ask: too few people would be left to approve", joined(vain[:min(len(vain), MaxUnmet)], ", "))
		}
	}
}

func (r *Rules) mayAsk(m *Match, id custody.PersonID) bool {
	p := r.persons[id]
	return (len(m.Initiators) == 0 || slices.Contains(m.Initiators, id)) && (len(m.InitiatorKind) == 0 || slices.Contains(m.InitiatorKind, p.Kind)) &&
		(len(m.InitiatorIn) == 0 || slices.ContainsFunc(m.InitiatorIn, p.in))
}

// constant says whether an expression gives the same whatever the facts are: it does not need any.
func (x *matcher) constant() (is, constant bool) {
	if x.prog == nil {
		return false, false
	}
	v, _, err := x.prog.Eval(nothing{})
	b, ok := v.(types.Bool)
	return bool(b), err == nil && ok
}

// nothing knows no fact.
type nothing struct{}

// ResolveName knows none.
func (nothing) ResolveName(string) (any, bool) { return nil, false }

// Parent is nil.
func (nothing) Parent() cel.Activation { return nil }

// never says why a match is true of nothing, or gives the empty string. Fields of operations that have not what they ask for are never met.
func (r *Rules) never(m *Match, route bool) string {
	asks := slices.ContainsFunc(r.doc.Principals, func(p Principal) bool { return p.Active && r.mayAsk(m, p.ID) })
	kinds := func(k DestinationKind) bool { return slices.Contains(m.DestNot, k) }
	switch {
	case !asks:
		return "nobody who is active may be the one who asks"
	case kinds(Whitelisted) && kinds(OneTime):
		return "destination.not lists every kind there is"
	case len(m.Destination) > 0 && len(m.DestNot) > 0 && !slices.ContainsFunc(m.Destination, func(k DestinationKind) bool { return !kinds(k) }):
		return "destination.kind and destination.not exclude each other"
	case len(m.Books) > 0 && len(m.Destination) > 0 && !slices.Contains(m.Destination, Whitelisted), len(m.Books) > 0 && kinds(Whitelisted):
		return "entries of the address book are whitelisted, which destination.kind or destination.not excludes"
	case len(m.Chains) > 0 && len(m.Assets) > 0 && !slices.ContainsFunc(m.Assets, func(a custody.AssetID) bool { return slices.Contains(m.Chains, a.Chain()) }):
		return "none of asset.ids is of one of source.chains"
	case len(m.Chains) > 0 && len(m.Books) > 0 && !slices.ContainsFunc(m.Books, func(id string) bool { e, _ := r.doc.bookEntry(id); return slices.Contains(m.Chains, e.Chain) }):
		return "none of destination.ids is of one of source.chains"
	case !slices.ContainsFunc(request.Operations(), func(o request.Operation) bool { return m.fits(o) && !(route && o.Governance()) }):
		return "no operation that it names has what its other fields ask for"
	default:
		return ""
	}
}

// fits says whether an operation is one that a match names, and has every attribute that the other fields are about.
func (m *Match) fits(o request.Operation) bool {
	h := attributes(o)
	need := func(present, has bool) bool { return !present || has }
	return (len(m.Operations) == 0 || slices.Contains(m.Operations, o)) && need(len(m.Wallets)+len(m.Temperatures) > 0, h.wallet) && need(len(m.Chains) > 0, h.chain) &&
		need(len(m.Assets) > 0, h.asset) && need(len(m.Destination)+len(m.DestNot)+len(m.Books) > 0 || m.FeeOver != nil, h.destinations) &&
		need(m.AmountMax != nil || m.AmountOver != nil, h.total) && need(m.Simulation != nil, o == request.Transfer || o == request.ContractCall) &&
		need(m.Screening != nil, h.destinations || h.message)
}

// covers says whether a match is true of whatever another is true of, and of whatever the other can't be evaluated for. It may say no where it is.
func covers(a, b *Match) bool {
	return within(a.Operations, b.Operations) && within(a.Initiators, b.Initiators) && within(a.InitiatorIn, b.InitiatorIn) && within(a.InitiatorKind, b.InitiatorKind) &&
		within(a.Wallets, b.Wallets) && within(a.Chains, b.Chains) && within(a.Assets, b.Assets) && within(a.Destination, b.Destination) &&
		(len(a.DestNot) == 0 || len(b.DestNot) > 0 && within(b.DestNot, a.DestNot)) && within(a.Books, b.Books) &&
		(a.AmountMax == nil || b.AmountMax != nil && b.AmountMax.Cmp(*a.AmountMax) <= 0) && (a.AmountOver == nil || b.AmountOver != nil && b.AmountOver.Cmp(*a.AmountOver) >= 0) &&
		(a.FeeOver == nil || b.FeeOver != nil && b.FeeOver.Cmp(*a.FeeOver) >= 0) && (a.Expr == "" || a.Expr == b.Expr) &&
		(a.Time == nil || b.Time != nil && *a.Time == *b.Time) && within(a.Temperatures, b.Temperatures) && within(a.Classes, b.Classes) && a.coversRest(b)
}

// coversRest says whether the fields that covers does not compare one by one are absent in a, or the same in both.
func (m *Match) coversRest(b *Match) bool {
	rest := func(m Match) Match {
		m.Operations, m.Initiators, m.InitiatorIn, m.InitiatorKind, m.Wallets, m.Chains, m.Assets, m.Destination, m.DestNot, m.Books = nil, nil, nil, nil, nil, nil, nil, nil, nil, nil
		m.AmountMax, m.AmountOver, m.FeeOver, m.Expr, m.Time, m.Temperatures, m.Classes = nil, nil, nil, "", nil, nil, nil
		return m
	}
	mine := rest(*m)
	return same(mine, Match{}) || same(mine, rest(*b))
}

// within says whether a list that is absent, or names whatever the other does, lets through what the other lets through.
func within[T comparable](wide, narrow []T) bool {
	return len(wide) == 0 || len(narrow) > 0 && !slices.ContainsFunc(narrow, func(v T) bool { return !slices.Contains(wide, v) })
}

// meets says whether two matches may be true of the same. It may say yes where they can't.
func meets(a, b *Match) bool {
	return common(a.Operations, b.Operations) && common(a.Initiators, b.Initiators) && common(a.InitiatorKind, b.InitiatorKind) && common(a.Wallets, b.Wallets) && common(a.Chains, b.Chains) &&
		common(a.Assets, b.Assets) && common(a.Temperatures, b.Temperatures) && below(a.AmountOver, b.AmountMax) && below(b.AmountOver, a.AmountMax)
}

func common[T comparable](a, b []T) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(v T) bool { return slices.Contains(b, v) })
}

func below(over, most *custody.Uint256) bool {
	return over == nil || most == nil || over.Cmp(*most) < 0
}
