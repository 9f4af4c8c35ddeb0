// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

// Obligation adds to what every request that it matches needs. All that match are merged, and none takes anything away. An expression that
// can't be evaluated counts as a match.
type Obligation struct {
	ID    string   `cbor:"1,keyasint"`
	Title string   `cbor:"2,keyasint,omitempty"`
	When  Match    `cbor:"3,keyasint"`
	Add   Addition `cbor:"4,keyasint"`
}

// Addition is what an obligation adds. At least one of its fields is set.
type Addition struct {
	Plan      *Plan  `cbor:"1,keyasint,omitempty"` // that must be met besides
	Delay     int64  `cbor:"2,keyasint,omitempty"` // seconds after acceptance; of several the longest holds
	MinGroups uint32 `cbor:"3,keyasint,omitempty"` // different groups that those who approve stand for, each for one; of several the most hold
}

// Needs is what the approvals of a request must be together, whichever of its plans they are for.
type Needs struct {
	MinGroups uint32 `cbor:"1,keyasint,omitempty"` // as [Addition.MinGroups]
}

// checkObligations checks the obligations but for their ids, which rules of all sorts share, and their plans.
func (d Document) checkObligations() error {
	if len(d.Obligations) > MaxObliged {
		return fmt.Errorf("has %d obligations, more than %d", len(d.Obligations), MaxObliged)
	}
	for i, o := range d.Obligations {
		if i > 0 && d.Obligations[i-1].ID >= o.ID {
			return fmt.Errorf("obligations must be sorted by id: %s comes after %s", o.ID, d.Obligations[i-1].ID)
		}
		if err := cmp.Or(checkText("title", o.Title, MaxTitle), d.checkAddition(o.Add), o.When.addable(o.Add), d.checkMatch(o.When)); err != nil {
			return inItem("obligations", "obligation", o.ID, err)
		}
	}
	return nil
}

func (d Document) checkAddition(a Addition) error {
	switch {
	case a == (Addition{}):
		return errors.New("adds nothing: want a plan, a delay or minDistinctGroups")
	case a.Plan != nil && len(a.Plan.AnyOf) == 0:
		return errors.New("add.plan needs a branch; without one it could never be met")
	case a.Delay < 0 || a.Delay >= d.Floor.RequestTTL:
		return fmt.Errorf("add.delay is %d seconds; a request lives %d, so that it could never be done", a.Delay, d.Floor.RequestTTL)
	case a.MinGroups > MaxGroups:
		return fmt.Errorf("add.minDistinctGroups is %d, more than %d", a.MinGroups, MaxGroups)
	default:
		return nil
	}
}

// oblige merges the obligations that match into a decision that allows.
func (r *Rules) oblige(a *activation, d Decision) Decision {
	if d.Outcome != Allowed {
		return d
	}
	which := r.obliging(a)
	for _, told := range []bool{false, true} { // what simulations add comes to a decision that stands without it
		var plans []Requirement
		for _, i := range which {
			o := &r.doc.Obligations[i]
			if (o.When.Simulation != nil) != told {
				continue
			}
			d.Obligations = append(d.Obligations, o.ID)
			d.Delay = max(d.Delay, o.Add.Delay)
			if n := o.Add.MinGroups; n > 0 && (d.Needs == nil || d.Needs.MinGroups < n) {
				d.Needs = &Needs{MinGroups: n}
			}
			if o.Add.Plan != nil {
				x := r.requirement(o.ID, *o.Add.Plan)
				x.Told = told
				plans = append(plans, x)
			}
		}
		if d = r.Besides(d, *a.facts, plans); d.Outcome != Allowed {
			return d
		}
	}
	slices.Sort(d.Obligations)
	return d
}

// obliging lists the obligations that match, in the order of the document. What a transfer is obliged to, a call that moves the same is too.
func (r *Rules) obliging(a *activation) (out []int) {
	find := func(a *activation) {
		for i := range r.obligationAt[a.facts.Operation].of(a.facts) {
			if v := r.obligations[i].match(a); v.match || v.err != nil {
				out = append(out, i)
			}
		}
	}
	find(a)
	for x := range r.moving(a) {
		find(x)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// requirement asks for a plan of the document besides.
func (r *Rules) requirement(rule string, p Plan) Requirement {
	f := r.doc.Floor
	return Requirement{Rule: rule, Plan: p.clone(), Floor: f.MinDistinctUsers, FloorGroups: f.MinDistinctGroups}
}

// Exceeded gives what a decision that allows becomes where the request passes limits that ask for a plan then.
func (r *Rules) Exceeded(d Decision, f Facts, limits []Limit) Decision {
	var plans []Requirement
	for _, l := range limits {
		plans = append(plans, r.requirement(l.ID, *l.Plan))
	}
	return r.Besides(d, f, plans)
}

// Besides adds plans to a decision that allows. It is then not automatic any more: a session's evidence is denied, and the first of the plans is
// the one that the automatic route lacked. It denies where a plan, or the number of groups, can't be met even if everybody but the
// initiator approved.
func (r *Rules) Besides(d Decision, f Facts, plans []Requirement) Decision {
	if d.Outcome != Allowed {
		return d
	}
	deny := func(rule string, u problem.Unmet) Decision {
		u.Observed = clip(u.Observed)
		return Decision{Outcome: Denied, Version: d.Version, Hash: d.Hash, Rule: rule, Unmet: []problem.Unmet{u}}
	}
	if len(plans) > 0 && f.Evidence == BySession {
		return deny(plans[0].Rule, problem.Unmet{Rule: plans[0].Rule, Criterion: "evidence", Observed: "session; a request that needs approvals must be signed"})
	}
	for _, x := range plans {
		if !r.canMeet(x.Plan, f.Initiator) {
			return deny(RuleFloor, problem.Unmet{Rule: x.Rule, Criterion: "floor.forbidSelfApproval", Observed: fmt.Sprintf("without %s, who asks, too few people are left to approve", f.Initiator)})
		}
	}
	if len(plans) > 0 {
		if d.Auto {
			d.Auto, d.Plan = false, plans[0].Plan.clone()
		}
		d.Also = slices.Concat(d.Also, plans)
	}
	if have, want := r.standFor(d, r.everybody(f.Initiator)), d.minGroups(); have < want {
		return deny(RuleFloor, problem.Unmet{Rule: d.Obligations[0], Criterion: "minDistinctGroups", Observed: fmt.Sprintf("%d of %d, if everybody but %s approved", have, want, f.Initiator)})
	}
	return d
}

func (d Decision) minGroups() uint32 {
	if d.Needs == nil {
		return 0
	}
	return d.Needs.MinGroups
}

// standFor says for how many different groups of a decision's plans those who approved can stand, each for one. Plans that a simulation asks for are left out: a
// report must not help to meet what is needed without it.
func (r *Rules) standFor(d Decision, c count) uint32 {
	if d.Needs == nil {
		return 0
	}
	var groups []custody.GroupID
	var voters [][]custody.PersonID
	add := func(p Plan, e electorate) {
		for _, b := range p.AnyOf {
			for _, s := range b.Steps {
				at := slices.Index(groups, s.Group)
				if at < 0 {
					at = len(groups)
					groups, voters = append(groups, s.Group), append(voters, nil)
				}
				for _, id := range e.members(s.Group) {
					if !slices.Contains(voters[at], id) && e.mayStand(id, s) && c.by(id, s, b.ExpiresAfter, 0, always) {
						voters[at] = append(voters[at], id)
					}
				}
			}
		}
	}
	add(d.Plan, r.electorateOf(r.doc.Floor))
	for _, x := range d.Also {
		if !x.Told {
			add(x.Plan, r.electorate(x))
		}
	}
	seats := make([]Step, len(groups))
	for i, g := range groups {
		seats[i] = Step{Group: g, Min: 1}
	}
	return uint32(len(slices.DeleteFunc(seat(seats, voters), func(n uint32) bool { return n == 0 })))
}

// Delayed says whether the document has a delay or deadline anywhere, so that it matters when a request was accepted.
func (r *Rules) Delayed() bool { return r.delayed }

func (d Document) delayed() bool {
	late := func(p Plan) bool {
		return slices.ContainsFunc(p.AnyOf, func(b Branch) bool { return b.Delay > 0 || b.Deadline > 0 })
	}
	for _, p := range d.plans() {
		if late(p.plan) {
			return true
		}
	}
	return slices.ContainsFunc(d.Obligations, func(o Obligation) bool { return o.Add.Delay > 0 })
}

// Again says from which age on, in seconds, somebody may approve once more because no plan of the document or of a decision need count the first
// approval any more, and whether a plan wants approvals in an order, so that one may have come too early.
func (r *Rules) Again(d Decision) (age int64, ordered bool) {
	age = r.doc.Floor.MaxApprovalAge
	look := func(p Plan) {
		for _, b := range p.AnyOf {
			if b.ExpiresAfter > 0 {
				age = min(age, b.ExpiresAfter)
			}
			ordered = ordered || slices.ContainsFunc(b.Steps, func(s Step) bool { return s.Ordered })
		}
	}
	for _, p := range r.doc.plans() {
		look(p.plan)
	}
	look(d.Plan)
	for _, x := range d.Also {
		look(x.Plan)
	}
	return age, ordered
}
