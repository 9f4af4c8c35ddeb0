// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
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

// guard gives the guard that decides, or nil, and what each guard that matched saw.
func (r *Rules) guard(a *activation) (g *Guard, unmet []problem.Unmet) {
	for i := range r.guardAt[a.facts.Operation].of(a.facts) {
		x := &r.guards[i]
		v := x.match(a)
		if !v.match && v.err == nil {
			continue
		}
		this := r.doc.Guards[i].ifKnown(v)
		if g == nil || g.Effect == Hold && this.Effect == Deny {
			g = this
		}
		if len(unmet) < MaxUnmet {
			unmet = append(unmet, problem.Unmet{Rule: this.ID, Criterion: x.criterion(v), Observed: x.observed(v, a)})
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
	for i := range r.routeAt[f.Operation].of(f) {
		x, rt := &r.routes[i], &r.doc.Routes[i]
		if raw := f.Call != nil && f.Call.Undecoded != ""; raw && !rt.When.raw() {
			continue
		}
		switch v := x.match(a); {
		case v.err != nil:
			d.Rule = rt.ID
			d.Unmet = []problem.Unmet{{Rule: rt.ID, Criterion: x.criterion(v), Observed: x.observed(v, a)}}
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
	out := Plan{AnyOf: slices.Clone(p.AnyOf)}
	for i := range out.AnyOf {
		steps := slices.Clone(out.AnyOf[i].Steps)
		for j := range steps {
			steps[j].Differ, steps[j].Veto = slices.Clone(steps[j].Differ), slices.Clone(steps[j].Veto)
		}
		out.AnyOf[i].Steps = steps
	}
	return out
}
