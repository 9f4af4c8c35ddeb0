// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/request"
)

// Diff tells in plain words what next changes in old, for the people who approve it: one sentence a change, people first, then
// groups, address book, floor, guards, routes and change plan. It is empty only if the two say the same; version and previous
// hash are not counted.
func Diff(old, next Document) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	diffPrincipals(old, next, say)
	both(old.Groups, next.Groups, func(g Group) custody.GroupID { return g.ID },
		func(g Group) { say("group %s is new%s: %s", g.ID, ofLine(g), names(g.Members)) },
		func(g Group) { say("group %s is removed; it had %s", g.ID, names(g.Members)) },
		func(a, b Group) {
			if in := minus(b.Members, a.Members); len(in) > 0 {
				say("group %s gains %s", a.ID, names(in))
			}
			if gone := minus(a.Members, b.Members); len(gone) > 0 {
				say("group %s loses %s", a.ID, names(gone))
			}
			if a.Line != b.Line {
				say("group %s is now of line %d; it was of line %d (0: none)", a.ID, b.Line, a.Line)
			}
		})
	entry := BookEntry.String
	both(old.AddressBook, next.AddressBook, func(e BookEntry) string { return e.ID },
		func(e BookEntry) { say("address book gains %s: %s", e.ID, entry(e)) },
		func(e BookEntry) { say("address book loses %s: %s", e.ID, entry(e)) },
		func(a, b BookEntry) {
			if !same(a, b) {
				say("address book entry %s is now %s; it was %s", a.ID, entry(b), entry(a))
			}
		})
	diffFloor(old.Floor, next.Floor, say)
	both(old.Guards, next.Guards, func(g Guard) string { return g.ID },
		func(g Guard) { say("guard %s is new: %s", g.ID, g) },
		func(g Guard) { say("guard %s is removed; it was: %s", g.ID, g) },
		func(a, b Guard) {
			if !same(a, b) {
				say("guard %s is now: %s; it was: %s", a.ID, b, a)
			}
		})
	both(old.Routes, next.Routes, func(r Route) string { return r.ID },
		func(r Route) { say("route %s is new: %s", r.ID, r) },
		func(r Route) { say("route %s is removed; it was: %s", r.ID, r) },
		func(a, b Route) {
			if !same(a, b) {
				say("route %s is now: %s; it was: %s", a.ID, b, a)
			}
		})
	diffLimits(old, next, say)
	both(old.Obligations, next.Obligations, func(o Obligation) string { return o.ID },
		func(o Obligation) { say("obligation %s is new: %s", o.ID, o) },
		func(o Obligation) { say("obligation %s is removed; it was: %s", o.ID, o) },
		func(a, b Obligation) {
			if !same(a, b) {
				say("obligation %s is now: %s; it was: %s", a.ID, b, a)
			}
		})
	diffOversight(old, next, say)
	diffBook(old, next, say)
	diffContracts(old, next, say)
	diffReplay(old, next, say)
	diffPrices(old, next, say)
	diffScreening(old, next, say)
	if !same(old.ChangePlan, next.ChangePlan) {
		say("changes of the rules now need %s; they needed %s", next.ChangePlan, old.ChangePlan)
	}
	was, is := old.Plans(), next.Plans()
	for _, p := range []struct {
		what    string
		was, is Plan
	}{{"control points and working keys of the domain", was.Signature, is.Signature}, {"removing an administrator of the domain", was.Revocation, is.Revocation},
		{"restoring the domain after zeroize, and re-anchoring it", was.Recovery, is.Recovery}} {
		if (old.Domain != nil || next.Domain != nil) && !same(p.was, p.is) {
			say("%s: now needs %s; it needed %s", p.what, p.is, p.was)
		}
	}
	if a, b := old.ReanchorDelay(), next.ReanchorDelay(); a != b {
		say("a re-anchoring now takes effect after %d seconds; it was %d", b, a)
	}
	if (old.Domain == nil) != (next.Domain == nil) {
		say("the domain's plans are now %s", map[bool]string{true: "those that changes of the rules need", false: "plans of their own"}[next.Domain == nil])
	}
	return out
}

func diffPrincipals(old, next Document, say func(string, ...any)) {
	keys := func(ks []request.PublicKey) string {
		refs := make([]string, len(ks))
		for i, k := range ks {
			refs[i] = string(k.Ref())
		}
		return strings.Join(refs, ", ")
	}
	both(old.Principals, next.Principals, func(p Principal) custody.PersonID { return p.ID },
		func(p Principal) {
			state := ""
			if !p.Active {
				state = ", revoked"
			}
			if len(p.EffectiveRoles()) > 0 {
				state += ", " + p.described()
			}
			say("%s %s is new%s, with key %s", p.Kind, p.ID, state, keys(p.Keys))
		},
		func(p Principal) { say("%s %s is removed", p.Kind, p.ID) },
		func(a, b Principal) {
			switch {
			case a.Active && !b.Active:
				say("%s %s is revoked", a.Kind, a.ID)
			case !a.Active && b.Active:
				say("%s %s is made active again", a.Kind, a.ID)
			}
			if a.Kind != b.Kind {
				say("%s is now a %s; it was a %s", a.ID, b.Kind, a.Kind)
			}
			diffLine(a, b, say)
			has := func(ks []request.PublicKey, k request.PublicKey) bool { return hasKey(ks, k.Ref()) } // where a passkey is used is part of it
			lost := slices.DeleteFunc(slices.Clone(a.Keys), func(k request.PublicKey) bool { return has(b.Keys, k) })
			won := slices.DeleteFunc(slices.Clone(b.Keys), func(k request.PublicKey) bool { return has(a.Keys, k) })
			if len(won) > 0 {
				say("%s gains key %s", a.ID, keys(won))
			}
			if len(lost) > 0 {
				say("%s loses key %s", a.ID, keys(lost))
			}
			if len(won)+len(lost) == 0 && !same(a.Keys, b.Keys) {
				say("the keys of %s are in another order", a.ID)
			}
		})
}

func diffFloor(a, b Floor, say func(string, ...any)) {
	if a.MinDistinctUsers != b.MinDistinctUsers {
		say("each plan now needs %d different people at least; it needed %d", b.MinDistinctUsers, a.MinDistinctUsers)
	}
	if a.MinDistinctGroups != b.MinDistinctGroups {
		say("each branch of a plan now needs steps of %d different groups at least; it needed %d", b.MinDistinctGroups, a.MinDistinctGroups)
	}
	if a.ForbidSelfApproval != b.ForbidSelfApproval {
		say("forbidSelfApproval is now %t", b.ForbidSelfApproval)
	}
	if a.RequestTTL != b.RequestTTL {
		say("a request may now live %d seconds; it was %d", b.RequestTTL, a.RequestTTL)
	}
	if a.MaxApprovalAge != b.MaxApprovalAge {
		say("an approval now counts for %d seconds; it was %d", b.MaxApprovalAge, a.MaxApprovalAge)
	}
}

func diffLimits(old, next Document, say func(string, ...any)) {
	both(old.Calendars, next.Calendars, func(c Calendar) string { return c.ID },
		func(c Calendar) { say("calendar %s is new: %s", c.ID, c) },
		func(c Calendar) { say("calendar %s (%s) is removed", c.ID, c.Zone) },
		func(a, b Calendar) { diffCalendar(a, b, say) })
	both(old.Limits, next.Limits, func(l Limit) string { return l.ID },
		func(l Limit) { say("limit %s is new, and begins to count now: %s", l.ID, l) },
		func(l Limit) { say("limit %s is removed, and what it counted is forgotten; it was: %s", l.ID, l) },
		func(a, b Limit) {
			counts := func(a, b Limit) bool {
				return a.Measure == b.Measure && a.Currency == b.Currency && a.Window == b.Window && slices.Equal(a.GroupBy, b.GroupBy) && slices.Equal(old.Offsets(a.Window), next.Offsets(b.Window))
			}
			switch {
			case same(a, b) && counts(a, b):
			case counts(a, b):
				say("limit %s is now: %s; it was: %s", a.ID, b, a)
			default:
				say("limit %s is now, and counts anew from zero: %s; it was: %s", a.ID, b, a)
			}
		})
}

// both walks two lists by id: what is new, what is gone, what is in both.
func both[T any, K ~string](old, next []T, id func(T) K, added, removed func(T), kept func(a, b T)) {
	was, is := make(map[K]T, len(old)), make(map[K]bool, len(next))
	for _, v := range old {
		was[id(v)] = v
	}
	for _, v := range next {
		is[id(v)] = true
		if o, ok := was[id(v)]; ok {
			kept(o, v)
		} else {
			added(v)
		}
	}
	for _, v := range old {
		if !is[id(v)] {
			removed(v)
		}
	}
}

// same compares encodings, because pointers and empty lists make == useless.
func same[T any](a, b T) bool { return bytes.Equal(canon.Encode(a), canon.Encode(b)) }

func minus(a, b []custody.PersonID) []custody.PersonID {
	return slices.DeleteFunc(slices.Clone(a), func(p custody.PersonID) bool { return slices.Contains(b, p) })
}

func names[T ~string](vs []T) string {
	if len(vs) == 0 {
		return "nobody"
	}
	return joined(vs, ", ")
}

func joined[T ~string](vs []T, sep string) string {
	ss := make([]string, len(vs))
	for i, v := range vs {
		ss[i] = string(v)
	}
	return strings.Join(ss, sep)
}

// String tells a guard in words.
func (g Guard) String() string {
	s := fmt.Sprintf("%s when %s", g.Effect, g.When)
	if g.Reason != "" {
		s += ", reason " + g.Reason
	}
	if g.Title != "" {
		s += fmt.Sprintf(" (%q)", g.Title)
	}
	return s
}

// String tells a route in words.
func (r Route) String() string {
	s := fmt.Sprintf("priority %d, when %s, ", r.Priority, r.When)
	if r.Auto {
		s += "automatic, without approvals"
	} else {
		s += "needs " + r.Plan.String()
	}
	if r.FeeCap != nil {
		s += ", fee at most " + r.FeeCap.String()
	}
	return s
}

// String tells a limit in words.
func (l Limit) String() string {
	what := map[Measure]string{MeasureAmount: "pay", MeasureFee: "pay in fees", MeasureCount: "be asked", MeasureNew: "pay to destinations never paid before,", MeasureFiat: "pay what is worth"}[l.Measure]
	most := l.Max.String()
	if l.Measure == MeasureFiat {
		most = price.Money(l.Max, l.Currency)
	}
	s := fmt.Sprintf("when %s, all together may %s at most %s %s", l.When, what, most, l.Window)
	if l.Measure == MeasureCount {
		s = fmt.Sprintf("when %s, at most %s requests are taken %s", l.When, l.Max, l.Window)
	}
	if len(l.GroupBy) > 0 {
		s += ", for each " + joined(l.GroupBy, " and ")
	}
	s += map[Effect]string{Deny: "; more is denied", Hold: "; more is held"}[l.Exceeded]
	if l.Plan != nil {
		s += "; more needs besides " + l.Plan.String()
	}
	if l.Title != "" {
		s += fmt.Sprintf(" (%q)", l.Title)
	}
	return s
}

// String tells a window in words.
func (w Window) String() string {
	switch {
	case w.Rolling > 0:
		return fmt.Sprintf("within any %d seconds", w.Rolling)
	case w.Unit != "":
		return fmt.Sprintf("in a %s of calendar %s", w.Unit, w.Calendar)
	default:
		return "in all"
	}
}

// String tells a plan in words.
func (p Plan) String() string {
	if len(p.AnyOf) == 0 {
		return "nothing that can be met"
	}
	branches := make([]string, len(p.AnyOf))
	for i, b := range p.AnyOf {
		steps := make([]string, len(b.Steps))
		for j, s := range b.Steps {
			steps[j] = s.String()
		}
		branches[i] = strings.Join(steps, " and ") + b.times()
	}
	return strings.Join(branches, ", or ")
}

// String tells a match in words.
func (m Match) String() string {
	var parts []string
	say := func(present bool, format string, args ...any) {
		if present {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	say(len(m.Operations) > 0, "the operation is %s", joined(m.Operations, " or "))
	say(len(m.Initiators) > 0, "%s asks", joined(m.Initiators, " or "))
	say(len(m.InitiatorIn) > 0, "a member of %s asks", joined(m.InitiatorIn, " or "))
	say(len(m.InitiatorKind) > 0, "a %s asks", joined(m.InitiatorKind, " or "))
	say(len(m.Wallets) > 0, "the wallet is %s", joined(m.Wallets, " or "))
	say(len(m.Chains) > 0, "the chain is %s", joined(m.Chains, " or "))
	say(len(m.Assets) > 0, "the asset is %s", joined(m.Assets, " or "))
	say(len(m.Destination) > 0, "every destination is %s", joined(m.Destination, " or "))
	say(len(m.DestNot) > 0, "some destination is not %s", joined(m.DestNot, " or "))
	say(len(m.Books) > 0, "every destination is %s of the address book", joined(m.Books, " or "))
	say(len(m.Counterparties) > 0, "every destination is of the counterparty %s", joined(m.Counterparties, " or "))
	say(m.MinAge > 0, "every destination is in the address book for at least %d seconds", m.MinAge)
	say(m.YoungerThan > 0, "some destination is in the address book for less than %d seconds, or not whitelisted", m.YoungerThan)
	say(m.FirstUse, "some destination was never paid before")
	say(m.Lookalike, "some destination looks like another that is known")
	say(m.AmountMax != nil, "the total is at most %s", m.AmountMax)
	say(m.AmountOver != nil, "the total is more than %s", m.AmountOver)
	say(m.Expr != "", "%q is true", m.Expr)
	if m.Time != nil {
		say(m.Time.Inside != "", "the time is inside the hours of %s", m.Time.Inside)
		say(m.Time.Outside != "", "the time is outside the hours of %s", m.Time.Outside)
	}
	say(len(m.Temperatures) > 0, "the wallet is %s", joined(m.Temperatures, " or "))
	say(m.FeeOver != nil, "the fee may be more than %s", m.FeeOver)
	say(len(m.Classes) > 0, "the class of the wallet's key is %s", joined(m.Classes, " or "))
	say(len(m.InitiatorRoles) > 0, "somebody with the role %s asks", joined(m.InitiatorRoles, " or "))
	say(m.Call != nil, "%s", m.Call)
	say(m.Typed != nil, "%s", m.Typed)
	say(len(m.Message) > 0, "the message is %s", joined(m.Message, " or "))
	say(m.FiatMax != nil, "the total is worth at most %s", m.FiatMax)
	say(m.FiatOver != nil, "the total is worth more than %s", m.FiatOver)
	say(m.Simulation != nil, "%s", m.Simulation)
	say(m.Screening != nil, "%s", m.Screening)
	if len(parts) == 0 {
		return "anything is asked"
	}
	return strings.Join(parts, " and ")
}
