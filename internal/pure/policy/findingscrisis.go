// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"math"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// tell adds a finding.
type tell func(section, id string, note bool, format string, args ...any)

// slowDrains finds what keeps a drain from bringing anything to its destinations before its time is over: plans and delays that outlast it, and guards
// that deny. Of a rule that reaches some transfers only there is a note.
func (r *Rules) slowDrains(say tell) {
	b := r.doc.BreakGlass
	if b == nil || len(b.DrainTo) == 0 {
		return
	}
	if wait := leastDelay(&b.Who); wait >= b.Duration {
		say("breakGlass", RuleBreakGlass, false, "a drain lasts %d seconds, and the plan that approves its transfers is not met before %d: it can't finish", b.Duration, wait)
	}
	for i, g := range r.doc.Guards {
		if all, _ := r.drained(&r.guards[i]); g.Effect == Deny && len(all) > 0 {
			say("guards", g.ID, false, "denies whatever a drain brings to %s", joined(all, ", "))
		}
	}
	late := func(section, id string, x *matcher, wait int64, beyond bool) {
		if wait < b.Duration {
			return
		}
		all, some := r.drained(x)
		if beyond { // a limit asks for it only once it is passed
			all, some = nil, append(all, some...)
		}
		if len(all) > 0 {
			say(section, id, false, "a drain lasts %d seconds, and this holds back for %d whatever it brings to %s: it can't finish", b.Duration, wait, joined(all, ", "))
		}
		if len(some) > 0 {
			say(section, id, true, "a drain lasts %d seconds, and this holds back for %d what it matches on the way to %s", b.Duration, wait, joined(some, ", "))
		}
	}
	for i, o := range r.doc.Obligations {
		late("obligations", o.ID, &r.obligations[i], max(o.Add.Delay, leastDelay(o.Add.Plan)), false)
	}
	for i, l := range r.doc.Limits {
		late("limits", l.ID, &r.limits[i], leastDelay(l.Plan), true)
	}
}

// leastDelay gives the seconds after acceptance before which a plan can't be met; of none, 0.
func leastDelay(p *Plan) int64 {
	if p == nil || len(p.AnyOf) == 0 {
		return 0
	}
	return slices.MinFunc(p.AnyOf, func(a, b Branch) int { return int(a.Delay - b.Delay) }).Delay
}

// drained lists the destinations of a drain of which a rule matches every transfer, and those of which it may match some.
func (r *Rules) drained(x *matcher) (all, some []string) {
	for _, id := range r.doc.BreakGlass.DrainTo {
		e, _ := r.doc.bookEntry(id)
		switch may, always := x.drains(e); {
		case always:
			all = append(all, id)
		case may:
			some = append(some, id)
		}
	}
	return all, some
}

// drains says whether a match may be true of a transfer to an entry that can be paid, and whether it is of each.
func (x *matcher) drains(e BookEntry) (may, always bool) {
	m := &x.m
	may = common(m.Operations, []request.Operation{request.Transfer}) && common(m.Chains, []custody.ChainID{e.Chain}) &&
		(len(m.Assets) == 0 || slices.ContainsFunc(m.Assets, func(a custody.AssetID) bool { return a.Chain() == e.Chain })) &&
		common(m.Destination, []DestinationKind{Whitelisted}) && !slices.Contains(m.DestNot, Whitelisted) && common(m.Books, []string{e.ID}) &&
		common(m.Counterparties, []string{e.Counterparty}) && m.Call == nil && m.Typed == nil && len(m.Message) == 0
	if !may {
		return false, false
	}
	rest := *m
	rest.Operations, rest.Chains, rest.Destination, rest.Books, rest.Counterparties, rest.Expr = nil, nil, nil, nil, nil, ""
	always = same(rest, Match{}) // every other field tells one transfer to the entry from another
	if x.prog == nil {
		return true, always
	}
	is, known := x.toEntry(e)
	return is || !known, always && is && known
}

// toEntry says what an expression gives for every transfer to an entry; known is false if that depends on more. It tries two which differ in all that
// the expression could read of the destination besides.
func (x *matcher) toEntry(e BookEntry) (is, known bool) {
	small := Destination{Address: e.Address, Kind: Whitelisted, Book: e.ID, Counterparty: e.Counterparty}
	large := small
	large.Amount, large.First = custody.U64(math.MaxUint64), true
	for i, d := range []Destination{small, large} {
		f := Facts{Operation: request.Transfer, Chain: e.Chain, Destinations: []Destination{d}}
		v, _, err := x.prog.Eval(destinationOnly{&activation{facts: &f, has: has{chain: true, destinations: true}}})
		b, ok := v.(types.Bool)
		if err != nil || !ok || i > 0 && bool(b) != is {
			return false, false
		}
		is = bool(b)
	}
	return is, true
}

// destinationOnly knows the operation, the chain and the destinations, and nothing of who asks or how much.
type destinationOnly struct{ a *activation }

// ResolveName gives what is known.
func (o destinationOnly) ResolveName(name string) (any, bool) {
	switch name {
	case "operation", "chain", "destinations":
		return o.a.ResolveName(name)
	default:
		return nil, false
	}
}

// Parent is nil.
func (destinationOnly) Parent() cel.Activation { return nil }

// idleLedger finds a plan for the address book that nobody can use: who may ask for a new entry leaves too few to approve it, or of those whom it counts
// nobody has a role to take an address away alone.
func (r *Rules) idleLedger(say tell) {
	if r.doc.Whitelist == nil {
		return
	}
	rule, plan := r.doc.listPlan()
	var ask, vain []custody.PersonID
	stop := false
	for _, p := range r.doc.Principals {
		if !p.Active {
			continue
		}
		stop = stop || r.counts(plan, p.ID) && p.MayAsk(request.WhitelistSuspend) && p.MayAsk(request.BlacklistAdd)
		switch {
		case !p.MayAsk(request.WhitelistAdd):
		case r.canMeet(plan, p.ID):
			ask = append(ask, p.ID)
		default:
			vain = append(vain, p.ID)
		}
	}
	switch {
	case len(ask)+len(vain) == 0:
		say("whitelist", rule, false, "nobody can ask for a new entry: no active person has the role %s", request.Whitelister)
	case len(ask) == 0:
		say("whitelist", rule, false, "nobody gets a new entry: without any of those who may ask (%s) too few are left to approve", joined(vain[:min(len(vain), MaxUnmet)], ", "))
	case len(vain) > 0:
		say("whitelist", rule, true, "%s can't ask for a new entry: too few people would be left to approve", joined(vain[:min(len(vain), MaxUnmet)], ", "))
	}
	if !stop {
		say("whitelist", rule, false, "nobody can suspend an entry or block an address alone: of the people whom the plan counts none has a role for it (%s or %s)", request.Whitelister, request.Risk)
	}
}
