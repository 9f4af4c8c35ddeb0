// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Mode is the operational state of a domain. docs/spec/operational-state.md.
type Mode string

// The modes.
const (
	Normal   Mode = "normal"
	Frozen   Mode = "frozen"   // nothing is permitted, signed or used
	Draining Mode = "draining" // transfers to the destinations of breakGlass.drainTo only
)

// Names of what decides on the operational state, on holds and on what is done in it.
const (
	RuleFrozen     = "frozen"
	RuleDraining   = "draining"
	RuleHeld       = "held"         // a request that somebody holds
	RuleFreeze     = "freeze"       // domain_freeze: one person, no plan
	RuleHold       = "hold"         // request_hold: likewise
	RuleBreakGlass = "break-glass"  // domain_drain, and transfers while draining
	RuleResume     = "resume-plan"  // domain_resume
	RuleRelease    = "release-plan" // request_release
)

// CriterionMode is the criterion by which the rules [RuleFrozen] and [RuleDraining] refuse. No guard or route has it.
const CriterionMode = "mode"

// Context is what a decision depends on beside request and document. It is recorded with the facts, and made again from the state by who audits.
type Context struct {
	Mode Mode `cbor:"1,keyasint,omitempty"` // left out while normal

	Prices []Price `cbor:"2,keyasint,omitempty"` // one for each currency that the rules look at, in their order
}

// mode gives the operational state that the facts have.
func (f *Facts) mode() Mode {
	if f.Context == nil || f.Context.Mode == "" {
		return Normal
	}
	return f.Context.Mode
}

// TakenIn says whether an operation is taken in a mode at all. Frozen, a domain takes what takes power away, what governs it, and nothing that pays,
// makes wallets or gives an application or an offline domain anything. Draining, it takes what takes power away, and the transfers that
// [Rules.Drains] lets through with the sessions that warm wallets need for them: nobody adds a destination, moves a key or changes a rule then.
func TakenIn(m Mode, o request.Operation) bool {
	switch m {
	case Normal, "":
		return true
	case Frozen:
		return o.Governance() && o != request.OfflineAdd || o == request.WarmClose || o == request.AppRevoke || o == request.AppKeyRevoke
	case Draining:
		switch o {
		case request.Transfer, request.WarmOpen, request.WarmClose, request.AppRevoke, request.AppKeyRevoke, request.PersonRevoke, request.PersonKeyRemove,
			request.Zeroize, request.Restore, request.ReanchorCancel, request.PointsSet, request.WhitelistSuspend, request.WhitelistRemove, request.BlacklistAdd:
			return true
		default:
			return o.Oversight()
		}
	default:
		return false
	}
}

// Drains says whether a destination is one that the document approved for draining.
func (r *Rules) Drains(c custody.ChainID, address string) bool {
	id, ok := r.Book(c, address)
	return ok && r.doc.BreakGlass != nil && slices.Contains(r.doc.BreakGlass.DrainTo, id)
}

// inMode denies what the operational state does not take.
func (r *Rules) inMode(d Decision, f *Facts) (Decision, bool) {
	m := f.mode()
	rule := RuleFrozen
	if m == Draining {
		rule = RuleDraining
	}
	deny := func(format string, args ...any) (Decision, bool) {
		d.Rule = rule
		d.Unmet = []problem.Unmet{{Rule: rule, Criterion: CriterionMode, Observed: clip(fmt.Sprintf(format, args...))}}
		return d, true
	}
	if !TakenIn(m, f.Operation) {
		return deny("the domain is %s and takes no %s", m, f.Operation)
	}
	if m != Draining || f.Operation != request.Transfer {
		return d, false
	}
	for i, x := range f.Destinations {
		if !r.Drains(f.Chain, x.Address) {
			return deny("the domain is draining, and destination %d, %s, is none of breakGlass.drainTo", i, x.Address)
		}
	}
	return d, false
}

// Powerless gives the decision that denies something whatever it is about: because who asks has no role for it, or because the operational state takes no
// such thing. It needs no facts but operation, initiator and context.
func (r *Rules) Powerless(f Facts) (Decision, bool) {
	d := Decision{Outcome: Denied, Version: r.doc.Version, Hash: r.hash, Rule: RuleDefaultDeny}
	who, ok := r.persons[f.Initiator]
	if !ok || !who.Active {
		return d, false
	}
	f.Destinations = nil
	return r.power(d, &f, who)
}

// power decides what comes before guards: roles, the operational state, and what one person may do alone.
func (r *Rules) power(d Decision, f *Facts, who *person) (Decision, bool) {
	if out, no := r.role(d, f, who); no {
		return out, true
	}
	if out, no := r.inMode(d, f); no {
		return out, true
	}
	switch f.Operation {
	case request.Freeze:
		return r.alone(d, f, RuleFreeze, "initiator.freeze", r.MayFreeze(f.Initiator)), true
	case request.RequestHold:
		return r.alone(d, f, RuleHold, "initiator.hold", r.MayHold(f.Initiator)), true
	case request.Drain, request.Resume:
		b := r.doc.BreakGlass
		if b == nil || f.Operation == request.Drain && len(b.DrainTo) == 0 {
			d.Rule = RuleBreakGlass
			d.Unmet = []problem.Unmet{{Rule: RuleBreakGlass, Criterion: "breakGlass", Observed: "the document has no break-glass plan for this"}}
			return d, true
		}
	}
	return d, false
}

// alone decides what one person may do without approvals. No guard stands in its way: it takes power away and gives none.
func (*Rules) alone(d Decision, f *Facts, rule, criterion string, may bool) Decision {
	d.Rule = rule
	switch {
	case f.Evidence == BySession:
		d.Unmet = []problem.Unmet{{Rule: rule, Criterion: "evidence", Observed: "session; a person must sign this"}}
	case !may:
		d.Unmet = []problem.Unmet{{Rule: rule, Criterion: criterion, Observed: clip(string(f.Initiator) + " is none of those who may")}}
	default:
		d.Outcome, d.Auto = Allowed, true
	}
	return d
}

// MayFreeze says whether somebody may freeze the domain alone: a person of the first or second line in a group of breakGlass.freeze, or of
// breakGlass.who where that names none. Without breakGlass an administrator may.
func (r *Rules) MayFreeze(id custody.PersonID) bool {
	b := r.doc.BreakGlass
	switch {
	case b == nil:
		return r.Administrator(id)
	case len(b.Freeze) > 0:
		return r.inAny(id, b.Freeze)
	default:
		return r.counts(b.Who, id)
	}
}

// MayHold says whether somebody may hold a request alone: a person of a group of oversight.hold; where that names none a person of the second line, and
// in a document without lines an administrator.
func (r *Rules) MayHold(id custody.PersonID) bool {
	who, ok := r.persons[id]
	switch o := r.doc.Oversight; {
	case !ok || !who.Active || who.Kind != Human:
		return false
	case o != nil && len(o.Hold) > 0:
		return r.inAny(id, o.Hold)
	case slices.ContainsFunc(r.doc.Principals, func(p Principal) bool { return p.Line > 0 }):
		return who.Line == 2
	default:
		return r.Administrator(id)
	}
}

// inAny says whether somebody is an active person in one of some groups.
func (r *Rules) inAny(id custody.PersonID, groups []custody.GroupID) bool {
	who, ok := r.persons[id]
	return ok && who.Active && who.Kind == Human && slices.ContainsFunc(groups, func(g custody.GroupID) bool { return r.InGroup(id, g) })
}

// drain completes d for a transfer while the domain drains: a route that is automatic stays so, and else the break-glass plan approves.
func (r *Rules) drain(a *activation, d, routed Decision) Decision {
	if routed.Outcome == Allowed && routed.Auto {
		return routed
	}
	d = r.onPlan(a, d, RuleBreakGlass, r.doc.BreakGlass.Who)
	if d.Outcome == Allowed {
		d.FeeCap = routed.FeeCap
	}
	return d
}
