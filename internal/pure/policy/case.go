// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Case is one set of facts before the rules. What its expressions gave is kept, so that a decision and what it takes from limits evaluate each
// once. A Case is for one goroutine.
type Case struct {
	rules *Rules
	facts Facts
	act   *activation // nil until somebody known has asked
}

// Case begins a decision.
func (r *Rules) Case(f Facts) *Case {
	c := &Case{rules: r, facts: f}
	if who, ok := r.persons[f.Initiator]; ok {
		c.act = &activation{facts: &c.facts, doc: &r.doc, n: r.exprs, who: who, has: attributes(f.Operation)}
	}
	return c
}

// Rules gives the rules that decide.
func (c *Case) Rules() *Rules { return c.rules }

// Facts gives what is decided about.
func (c *Case) Facts() Facts { return c.facts }

// Evaluate decides: a pure function of document and facts.
func (r *Rules) Evaluate(f Facts) Decision { return r.Case(f).Decide() }

// Decide decides: a pure function of document and facts.
//
//	(A) Every guard is tried. One that matches, or whose expression can't be evaluated, denies or holds; deny goes before hold,
//	    then the lowest id.
//	(B) A governance operation takes the plan that is reserved for it; domain_zeroize takes none and no guard. Any other takes the first route by priority; none means deny. A route
//	    whose expression can't be evaluated does not match, and no later route takes its place.
//	(C) Every obligation that matches, or whose expression can't be evaluated, adds what it asks for.
//
// Between the checks of the facts and the guards, in the order of docs/spec/rule-document.md, stand the roles of who asks, the operational state, and what one
// person may do alone.
//
// Before them, facts that lack an attribute of their operation or contradict the address book, and an initiator who is unknown
// or revoked, are denied. A session's evidence is good for automatic routes only; it does not make other routes be passed over.
// A hold needs a route too, so that adding a guard never turns a denial into a hold.
func (c *Case) Decide() Decision {
	r, f, a := c.rules, &c.facts, c.act
	d := Decision{Outcome: Denied, Version: r.doc.Version, Hash: r.hash, Rule: RuleDefaultDeny}
	deny := func(rule, criterion, observed string) Decision {
		d.Unmet = []problem.Unmet{{Rule: rule, Criterion: criterion, Observed: clip(observed)}}
		return d
	}
	switch {
	case a == nil:
		return deny("principals", "initiator.known", fmt.Sprintf("%q is not in the rule document", string(f.Initiator)))
	case !a.who.Active:
		return deny("principals", "initiator.active", string(f.Initiator)+" is revoked")
	}
	for _, complete := range []func(*Facts) (criterion, observed string){r.complete, r.completeScreening} {
		if criterion, observed := complete(f); criterion != "" {
			return deny("facts", criterion, observed)
		}
	}
	if f.Evidence == BySession && a.who.Kind != Service {
		return deny("principals", "evidence", "only services open sessions; sign the request")
	}
	if f.Operation == request.Zeroize { // takes power away only: no guard may stand in its way
		return r.zeroize(d, *f)
	}
	if out, decided := r.power(d, f, a.who); decided {
		return out
	}
	if stops(f.Operation) { // takes an address away only
		return r.stop(d, *f)
	}
	for _, barred := range []func(*Facts) (rule, criterion, observed string){r.barred, r.barredCall} {
		if rule, criterion, observed := barred(f); rule != "" {
			d.Rule = rule
			return deny(rule, criterion, observed)
		}
	}
	guard, unmet := r.guard(a)
	guard, unmet = r.moved(a, guard, unmet)
	if guard != nil && guard.Effect == Deny {
		return r.refused(d, guard, unmet)
	}
	if unmet := r.callDefaults(f); len(unmet) > 0 {
		d.Rule, d.Unmet = RuleCallDefaults, unmet
		return d
	}
	routed := r.route(a, d)
	if f.mode() == Draining && f.Operation == request.Transfer {
		routed = r.drain(a, d, routed)
	}
	d = r.oblige(a, routed)
	if d.Outcome == Allowed {
		d.Prices, d.Screening = f.prices(), f.Screening
	}
	if guard != nil && d.Outcome == Allowed {
		return r.refused(Decision{Outcome: Held, Version: d.Version, Hash: d.Hash}, guard, unmet)
	}
	return d
}

// Charges says what the request takes from the limits of the document, sorted by limit and group. fee is the most that it may cost. A limit in a currency that
// has no price gives a [NoPriceError].
func (c *Case) Charges(fee custody.Uint256) ([]Charge, error) {
	return c.charges(fee, func(Limit) bool { return true })
}

// FeeCharges is [Case.Charges] of a further attempt of a request that has paid: what the fee takes, and nothing else.
func (c *Case) FeeCharges(fee custody.Uint256) ([]Charge, error) {
	return c.charges(fee, func(l Limit) bool { return l.Measure == MeasureFee })
}

func (c *Case) charges(fee custody.Uint256, counts func(Limit) bool) ([]Charge, error) {
	r, f, a := c.rules, &c.facts, c.act
	switch {
	case a != nil && stops(f.Operation):
		return aloneCharges(f), nil
	case a == nil || f.Operation.Governance() || len(r.limits) == 0 && r.doc.Whitelist == nil:
		return nil, nil
	case f.Operation == request.ContractCall && f.Call != nil: // facts without it are denied
		return r.callCharges(a, fee, counts)
	default:
		return r.chargesOf(a, fee, counts)
	}
}

// chargesOf is Charges of one operation's own facts, from the limits that count.
func (r *Rules) chargesOf(a *activation, fee custody.Uint256, counts func(Limit) bool) ([]Charge, error) {
	var out []Charge
	for i := range r.limitAt[a.facts.Operation].of(a.facts) {
		if !counts(r.doc.Limits[i]) {
			continue
		}
		if v := r.limits[i].match(a); !v.match && v.err == nil {
			continue
		}
		more, err := r.doc.Limits[i].charges(a.has, *a.facts, fee)
		if err != nil {
			return nil, err
		}
		if out = append(out, more...); len(out) > MaxCharges {
			return nil, errCharges
		}
	}
	var ramp []Charge
	var err error
	if l, ok := r.doc.ramp(); ok && counts(l) {
		ramp, err = r.doc.rampCharges(*a.facts)
	}
	if out = append(out, ramp...); len(ramp) > 0 {
		slices.SortStableFunc(out, func(a, b Charge) int { return compare(a.Limit, b.Limit) })
	}
	if len(out) > MaxCharges {
		return nil, errCharges
	}
	return out, err
}

// Charges is [Case.Charges] of facts that nothing else is asked about.
func (r *Rules) Charges(f Facts, fee custody.Uint256) ([]Charge, error) {
	return r.Case(f).Charges(fee)
}
