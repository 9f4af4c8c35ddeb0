// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Names of what decides beside guards and routes; no rule may have one of them as its id.
const (
	RuleChangePlan  = "change-plan"  // changes of people, groups, address book and rules
	RuleFloor       = "floor"        // the plan can't be met without the initiator, who may not approve
	RuleDefaultDeny = "default-deny" // no route, or facts that can't be judged

	RuleSignaturePlan  = "signature-plan"  // operations on the life cycle
	RuleRevocationPlan = "revocation-plan" // domain_reanchor_cancel; besides, when somebody whom a plan of the domain counts ceases to be, or loses a key
	RuleRecoveryPlan   = "recovery-plan"   // domain_restore, slot_reconcile
	RuleZeroize        = "zeroize"         // domain_zeroize: one administrator, no plan

	RuleWhitelistPlan = "whitelist-plan" // operations on the address ledger; besides, when a document changes who may be paid how soon
	RuleRamp          = "whitelist-ramp" // the cap of a destination at its age, as a limit
	RuleBlacklist     = "blacklist"
	RuleSuspended     = "suspended"
	RuleLookalike     = "lookalike"     // an address that looks like one of the address book, or like one that was paid
	RuleCallDefaults  = "call-defaults" // power over tokens without limit, and others' code with a contract's powers, unless the contract's entry allows it
	RuleUndecodable   = "undecodable"   // a call that nobody can read, and no route that is for such calls
)

// Evaluate decides: a pure function of document and facts.
//
//	(A) Every guard is tried. One that matches, or whose expression can't be evaluated, denies or holds; deny goes before hold,
//	    then the lowest id.
//	(B) A governance operation takes the plan that is reserved for it; domain_zeroize takes none and no guard. Any other takes the first route by priority; none means deny. A route
//	    whose expression can't be evaluated does not match, and no later route takes its place.
//
// Before both, facts that lack an attribute of their operation or contradict the address book, and an initiator who is unknown
// or revoked, are denied. A session's evidence is good for automatic routes only; it does not make other routes be passed over.
// A hold needs a route too, so that adding a guard never turns a denial into a hold.
func (r *Rules) Evaluate(f Facts) Decision {
	d := Decision{Outcome: Denied, Version: r.doc.Version, Hash: r.hash, Rule: RuleDefaultDeny}
	deny := func(rule, criterion, observed string) Decision {
		d.Unmet = []problem.Unmet{{Rule: rule, Criterion: criterion, Observed: clip(observed)}}
		return d
	}
	who, ok := r.persons[f.Initiator]
	switch {
	case !ok:
		return deny("principals", "initiator.known", fmt.Sprintf("%q is not in the rule document", string(f.Initiator)))
	case !who.Active:
		return deny("principals", "initiator.active", string(f.Initiator)+" is revoked")
	}
	if criterion, observed := r.complete(&f); criterion != "" {
		return deny("facts", criterion, observed)
	}
	if f.Evidence == BySession && who.Kind != Service {
		return deny("principals", "evidence", "only services open sessions; sign the request")
	}
	if f.Operation == request.Zeroize { // takes power away only: no guard may stand in its way
		return r.zeroize(d, f)
	}
	if stops(f.Operation) { // the same for an address
		return r.stop(d, f)
	}
	for _, barred := range []func(*Facts) (rule, criterion, observed string){r.barred, r.barredCall} {
		if rule, criterion, observed := barred(&f); rule != "" {
			d.Rule = rule
			return deny(rule, criterion, observed)
		}
	}
	a := &activation{facts: &f, who: who, has: attributes(f.Operation), results: make([]exprResult, r.exprs)}
	guard, unmet := r.guard(a)
	guard, unmet = r.moved(&f, who, guard, unmet)
	if guard != nil && guard.Effect == Deny {
		return r.refused(d, guard, unmet)
	}
	if unmet := r.callDefaults(&f); len(unmet) > 0 {
		d.Rule, d.Unmet = RuleCallDefaults, unmet
		return d
	}
	d = r.route(a, d)
	if guard != nil && d.Outcome == Allowed {
		return r.refused(Decision{Outcome: Held, Version: d.Version, Hash: d.Hash}, guard, unmet)
	}
	return d
}

// guard gives the guard that decides, or nil, and what each guard that matched saw.
func (r *Rules) guard(a *activation) (g *Guard, unmet []problem.Unmet) {
	for i := range r.guardAt[a.facts.Operation].of(a.facts.Wallet) {
		x := &r.guards[i]
		v := x.match(a)
		if !v.match && v.err == nil {
			continue
		}
		this := &r.doc.Guards[i]
		if g == nil || g.Effect == Hold && this.Effect == Deny {
			g = this
		}
		if len(unmet) < MaxUnmet {
			unmet = append(unmet, problem.Unmet{Rule: this.ID, Criterion: v.decided.criterion(), Observed: x.observed(v, a)})
		}
	}
	return g, unmet
}

func oneUnmet(rule, criterion, observed string) []problem.Unmet {
	return []problem.Unmet{{Rule: rule, Criterion: criterion, Observed: clip(observed)}}
}

func (*Rules) refused(d Decision, g *Guard, unmet []problem.Unmet) Decision {
	d.Rule, d.Reason, d.Unmet = g.ID, g.Reason, unmet
	return d
}

// route completes d with the plan that the request needs, or leaves it denied and says why.
func (r *Rules) route(a *activation, d Decision) Decision {
	f := a.facts
	if f.Operation.Governance() {
		rule, plan := r.doc.planFor(f.Operation)
		return r.onPlan(a, d, rule, plan)
	}
	for i := range r.routeAt[f.Operation].of(f.Wallet) {
		x, rt := &r.routes[i], &r.doc.Routes[i]
		if raw := f.Call != nil && f.Call.Undecoded != ""; raw && !rt.When.raw() {
			continue
		}
		switch v := x.match(a); {
		case v.err != nil:
			d.Rule = rt.ID
			d.Unmet = []problem.Unmet{{Rule: rt.ID, Criterion: v.decided.criterion(), Observed: x.observed(v, a)}}
			return d
		case !v.match:
			continue
		case rt.Auto:
			d.Outcome, d.Rule, d.Auto, d.FeeCap = Allowed, rt.ID, true, copyOf(rt.FeeCap)
			return d
		default:
			if d = r.onPlan(a, d, rt.ID, rt.Plan); d.Outcome == Allowed {
				d.FeeCap = copyOf(rt.FeeCap)
			}
			return d
		}
	}
	if d.Unmet = r.considered(a); f.Call != nil && f.Call.Undecoded != "" {
		d.Rule, d.Unmet = RuleUndecodable, []problem.Unmet{{Rule: RuleUndecodable, Criterion: "call.undecoded", Observed: clip(f.Call.Undecoded)}}
	}
	return d
}

// onPlan allows on a plan if evidence and floor let it.
func (r *Rules) onPlan(a *activation, d Decision, rule string, p Plan) Decision {
	switch f := a.facts; {
	case f.Evidence == BySession:
		d.Rule = rule
		d.Unmet = []problem.Unmet{{Rule: rule, Criterion: "evidence", Observed: "session; a request that needs approvals must be signed"}}
	case !r.canMeet(p, f.Initiator):
		d.Rule = RuleFloor
		d.Unmet = []problem.Unmet{{Rule: rule, Criterion: "floor.forbidSelfApproval",
			Observed: clip(fmt.Sprintf("without %s, who asks, too few people are left to approve", f.Initiator))}}
	default:
		d.Outcome, d.Rule, d.Plan = Allowed, rule, p.clone()
	}
	return d
}

// considered tells the first unmet criterion of the routes: first those for the operation, then the others, by priority.
func (r *Rules) considered(a *activation) []problem.Unmet {
	if len(r.routes) == 0 {
		return []problem.Unmet{{Rule: RuleDefaultDeny, Criterion: "route", Observed: "the document has no routes"}}
	}
	var out []problem.Unmet
	tell := func(i int) {
		if x := &r.routes[i]; len(out) < MaxUnmet {
			v := x.match(a)
			out = append(out, problem.Unmet{Rule: r.doc.Routes[i].ID, Criterion: v.decided.criterion(), Observed: x.observed(v, a)})
		}
	}
	for _, i := range r.routeAt[a.facts.Operation].all {
		tell(i)
	}
	for i := range r.routes {
		if m := &r.routes[i].m; len(m.Operations) > 0 && !slices.Contains(m.Operations, a.facts.Operation) {
			tell(i)
		}
	}
	return out
}

func copyOf(u *custody.Uint256) *custody.Uint256 {
	if u == nil {
		return nil
	}
	c := *u
	return &c
}

// clone gives a plan that shares no memory with p.
func (p Plan) clone() Plan {
	out := Plan{AnyOf: make([]Branch, len(p.AnyOf))}
	for i, b := range p.AnyOf {
		out.AnyOf[i] = Branch{Steps: append([]Step(nil), b.Steps...)}
	}
	return out
}
