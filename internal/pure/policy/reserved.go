// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// reservedPlan is a plan that stands beside the routes.
type reservedPlan struct {
	rule  string
	place string // in a rule file
	plan  Plan
}

// reserved lists the plans that the document has of its own, the change plan first.
func (d Document) reserved() []reservedPlan {
	out := []reservedPlan{{RuleChangePlan, "changePlan", d.ChangePlan}}
	if w := d.Whitelist; w != nil {
		out = append(out, reservedPlan{RuleWhitelistPlan, "whitelist.plan", w.Plan})
	}
	if p := d.Domain; p != nil {
		out = append(out, reservedPlan{RuleSignaturePlan, "domain.signature", p.Signature}, reservedPlan{RuleRevocationPlan, "domain.revocation", p.Revocation},
			reservedPlan{RuleRecoveryPlan, "domain.recovery", p.Recovery})
	}
	return append(out, d.oversightPlans()...)
}

// Plans gives the domain's plans; where the document has none, the change plan stands for each.
func (d Document) Plans() DomainPlans {
	if d.Domain == nil {
		return DomainPlans{Signature: d.ChangePlan, Revocation: d.ChangePlan, Recovery: d.ChangePlan}
	}
	return *d.Domain
}

// ReanchorDelay gives the time-lock of a re-anchoring, in seconds.
func (d Document) ReanchorDelay() int64 {
	if d.Domain == nil || d.Domain.ReanchorDelay == nil {
		return DefaultReanchorDelay
	}
	return *d.Domain.ReanchorDelay
}

// checkDelay says whether a profile allows the time-lock.
func (d Document) checkDelay(profile custody.Profile) error {
	least := int64(0)
	if profile == custody.Production {
		least = MinReanchorDelay
	}
	if n := d.ReanchorDelay(); n < least || n > MaxReanchorDelay {
		return d.bad("domain.reanchorDelay is %d seconds; want %d to %d", n, least, MaxReanchorDelay)
	}
	return nil
}

// planFor gives the plan that is reserved for a governance operation.
func (d *Document) planFor(o request.Operation) (rule string, p Plan) {
	switch {
	case o.Lists(), o == request.BlacklistRemove:
		return d.listPlan()
	case o.EditsRules():
		return RuleChangePlan, d.ChangePlan
	case o.Oversight():
		return d.oversightPlan(o)
	case o == request.Restore, o == request.SlotReconcile:
		return RuleRecoveryPlan, d.Plans().Recovery
	case o == request.ReanchorCancel:
		return RuleRevocationPlan, d.Plans().Revocation
	default:
		return RuleSignaturePlan, d.Plans().Signature
	}
}

// Administrator says whether somebody is an active person in a group that the signature plan names.
func (r *Rules) Administrator(id custody.PersonID) bool {
	return r.counts(r.doc.Plans().Signature, id)
}

// Administrators lists them, sorted.
func (r *Rules) Administrators() []custody.PersonID { return r.doc.people(r.doc.Plans().Signature) }

// counts says whether somebody is an active person in a group that a plan names.
func (r *Rules) counts(p Plan, id custody.PersonID) bool {
	who, ok := r.persons[id]
	if !ok || !who.Active || who.Kind != Human {
		return false
	}
	for _, b := range p.AnyOf {
		for _, s := range b.Steps {
			if r.InGroup(id, s.Group) && !slices.ContainsFunc(s.Differ, func(g custody.GroupID) bool { return r.InGroup(id, g) }) {
				return true
			}
		}
	}
	return false
}

// zeroize decides the one act that a single administrator may do alone.
func (r *Rules) zeroize(d Decision, f Facts) Decision {
	d.Rule = RuleZeroize
	switch {
	case f.Evidence == BySession:
		d.Unmet = []problem.Unmet{{Rule: RuleZeroize, Criterion: "evidence", Observed: "session; an administrator must sign this"}}
	case !r.Administrator(f.Initiator):
		d.Unmet = []problem.Unmet{{Rule: RuleZeroize, Criterion: "initiator.administrator", Observed: clip(string(f.Initiator) + " is no administrator of the domain")}}
	default:
		d.Outcome, d.Auto = Allowed, true
	}
	return d
}

// Requirement is a plan that must be met besides the one that decided. Who says what the rules are to be needs those who have a say now
// and those who will have one.
type Requirement struct {
	Rule   string  `cbor:"1,keyasint"`
	Plan   Plan    `cbor:"2,keyasint"`
	Groups []Group `cbor:"3,keyasint,omitempty"` // of the document as it will be, active people only; none: the current document's
	Floor  uint32  `cbor:"4,keyasint"`           // different people that must approve

	FloorGroups uint32 `cbor:"5,keyasint,omitempty"` // different groups whose people must

	Told bool `cbor:"6,keyasint,omitempty"` // asked for because of what a simulation tells: its groups count for nothing else ([Needs])
}

// Requirements says which plans a change of the document needs besides the change plan as it is. docs/spec/domain.md, "Reserved plans".
func Requirements(old, next Document) []Requirement {
	var out []Requirement
	was, is := old.Plans(), next.Plans()
	need := func(rule string, p Plan, groups []Group, f Floor) {
		x := Requirement{Rule: rule, Plan: p.clone(), Groups: groups, Floor: f.MinDistinctUsers, FloorGroups: f.MinDistinctGroups}
		alike := func(o Requirement) bool { o.Rule = x.Rule; return same(o, x) }
		if !alike(Requirement{Plan: old.ChangePlan, Floor: old.Floor.MinDistinctUsers, FloorGroups: old.Floor.MinDistinctGroups}) && !slices.ContainsFunc(out, alike) {
			out = append(out, x)
		}
	}
	for _, p := range []struct {
		rule    string
		was, is Plan
	}{{RuleChangePlan, old.ChangePlan, next.ChangePlan}, {RuleSignaturePlan, was.Signature, is.Signature},
		{RuleRevocationPlan, was.Revocation, is.Revocation}, {RuleRecoveryPlan, was.Recovery, is.Recovery}} {
		if touches(old, next, p.was, p.is) || p.rule == RuleRecoveryPlan && old.ReanchorDelay() != next.ReanchorDelay() {
			need(p.rule, p.was, nil, old.Floor)
			need(p.rule, p.is, next.named(p.is), next.Floor)
		}
	}
	if old.Whitelist != nil || next.Whitelist != nil {
		_, was := old.listPlan()
		_, is := next.listPlan()
		if touches(old, next, was, is) {
			need(RuleWhitelistPlan, was, nil, old.Floor)
			need(RuleWhitelistPlan, is, next.named(is), next.Floor)
		} else if touchesBook(old, next) {
			need(RuleWhitelistPlan, was, nil, old.Floor)
		}
	}
	for _, p := range [][2]Plan{{was.Signature, is.Signature}, {was.Revocation, is.Revocation}, {was.Recovery, is.Recovery}} {
		people := old.people(p[0])
		if len(minus(people, next.people(p[1]))) > 0 || slices.ContainsFunc(people, func(id custody.PersonID) bool { return losesKey(old, next, id) }) {
			need(RuleRevocationPlan, was.Revocation, nil, old.Floor)
		}
	}
	return out
}

// losesKey says whether somebody has a key in a document that they lack in the next. Who takes the keys that somebody can reach takes their
// say, though their name stays.
func losesKey(old, next Document, id custody.PersonID) bool {
	was, _ := old.principal(id)
	is, _ := next.principal(id)
	return slices.ContainsFunc(was.Keys, func(k request.PublicKey) bool { return !hasKey(is.Keys, k.Ref()) })
}

// touches says whether a change of the document changes a plan, or gives somebody a say in it. That people only leave does not touch it:
// nobody gets more than they had, and a group could never lose one whom it needs for the quorum that comes after.
func touches(old, next Document, was, is Plan) bool {
	if !same(was, is) || old.Floor.MinDistinctUsers != next.Floor.MinDistinctUsers || old.Floor.MinDistinctGroups != next.Floor.MinDistinctGroups {
		return true
	}
	before, after := old.named(was), next.named(is)
	for i := range before { // the same plan names the same groups
		if len(minus(after[i].Members, before[i].Members)) > 0 {
			return true
		}
	}
	return false
}

// named gives the groups that a plan names, sorted, with their active people.
func (d Document) named(p Plan) (out []Group) {
	var ids []custody.GroupID
	for _, b := range p.AnyOf {
		for _, s := range b.Steps {
			ids = append(ids, s.Group)
		}
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		g := Group{ID: id, Members: []custody.PersonID{}}
		have, _ := d.group(id)
		for _, m := range have.Members {
			if who, ok := d.principal(m); ok && who.Active && who.Kind == Human {
				g.Members = append(g.Members, m)
			}
		}
		out = append(out, g)
	}
	return out
}

// people lists whom a plan counts, sorted.
func (d Document) people(p Plan) (out []custody.PersonID) {
	for _, g := range d.named(p) {
		out = append(out, g.Members...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Require adds requirements to a decision that allows. It denies where one can't be met even if everybody but the initiator approved.
func (r *Rules) Require(d Decision, initiator custody.PersonID, needs []Requirement) Decision {
	if d.Outcome != Allowed {
		return d
	}
	needs = slices.DeleteFunc(slices.Clone(needs), func(x Requirement) bool { return x.Groups == nil && x.Rule == d.Rule && same(x.Plan, d.Plan) })
	for _, x := range needs {
		met := slices.ContainsFunc(x.Plan.AnyOf, func(b Branch) bool {
			return len(r.electorate(x).lacks(b, r.everybody(initiator))) == 0
		})
		if !met {
			return Decision{Outcome: Denied, Version: d.Version, Hash: d.Hash, Rule: RuleFloor, Unmet: []problem.Unmet{{Rule: x.Rule, Criterion: "floor.forbidSelfApproval",
				Observed: clip(fmt.Sprintf("without %s, who asks, too few people are left to approve", initiator))}}}
		}
	}
	if len(needs) > 0 {
		d.Also = slices.Concat(d.Also, needs)
	}
	return d
}

// electorate gives the people who count for a requirement.
func (r *Rules) electorate(x Requirement) electorate {
	e := electorate{members: r.active, floor: x.Floor, groups: x.FloorGroups}
	if x.Groups != nil {
		e.members = func(g custody.GroupID) []custody.PersonID {
			i := slices.IndexFunc(x.Groups, func(o Group) bool { return o.ID == g })
			if i < 0 {
				return nil
			}
			return x.Groups[i].Members
		}
	}
	return e
}

// Counts says whether somebody may approve or reject a request with this decision: an active person in a group that its plan names, or
// a plan that it needs besides. Who may only veto is not among them ([Decision.Vetoes]).
func (d Decision) Counts(r *Rules, id custody.PersonID) bool {
	if r.counts(d.Plan, id) {
		return true
	}
	who, ok := r.persons[id]
	if !ok || !who.Active || who.Kind != Human {
		return false
	}
	for _, x := range d.Also {
		if x.Groups == nil && r.counts(x.Plan, id) {
			return true
		}
		for _, g := range x.Groups {
			if slices.Contains(g.Members, id) {
				return true
			}
		}
	}
	return false
}

// Vetoes says whether somebody may reject a request with this decision: who may approve, and active people of a group with a veto in one of its
// plans.
func (d Decision) Vetoes(r *Rules, id custody.PersonID) bool {
	if d.Counts(r, id) {
		return true
	}
	if r.noPerson(id) {
		return false
	}
	in := func(p Plan) bool {
		return slices.ContainsFunc(p.AnyOf, func(b Branch) bool {
			return slices.ContainsFunc(b.Steps, func(s Step) bool {
				return slices.ContainsFunc(s.Veto, func(g custody.GroupID) bool { return r.InGroup(id, g) })
			})
		})
	}
	return in(d.Plan) || slices.ContainsFunc(d.Also, func(x Requirement) bool { return in(x.Plan) })
}

// PlansOf gives the plans that a rule asks for, by the name that decisions and problems have for it; those of acceptance are in the decision.
func (d Document) PlansOf(rule string) (out []Plan) {
	for _, x := range d.plans() {
		if x.rule == rule {
			out = append(out, x.plan)
		}
	}
	return out
}

// plans lists every plan of the document, with its rule and its place in a rule file.
func (d Document) plans() []reservedPlan {
	out := d.reserved()
	for _, r := range d.Routes {
		if !r.Auto {
			out = append(out, reservedPlan{r.ID, "route " + r.ID + ": plan", r.Plan})
		}
	}
	for _, o := range d.Obligations {
		if o.Add.Plan != nil {
			out = append(out, reservedPlan{o.ID, "obligation " + o.ID + ": add.plan", *o.Add.Plan})
		}
	}
	for _, l := range d.Limits {
		if l.Plan != nil {
			out = append(out, reservedPlan{l.ID, "limit " + l.ID + ": plan", *l.Plan})
		}
	}
	return out
}
