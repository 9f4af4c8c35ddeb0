// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Vote is what one person said to one request. Whoever makes it has checked the signature, its age and that it is for this request.
type Vote struct {
	Person   custody.PersonID
	Decision request.Decision
}

// Met says whether votes meet one of the plan's branches under the people and groups of r, and if not, what each branch lacks.
//
// An approval counts if its person is an active human of the step's group and not the initiator. A person counts once, and for
// one step only: who is in two groups does not meet two steps. People are seated so that as many steps as can be are met
// (a bipartite matching), hence the order of votes has no effect. Who voted anything but approve, before or after, does not
// count. The people who approved must also be as many as the floor asks. A plan without branches is never met.
func (p Plan) Met(r *Rules, initiator custody.PersonID, votes []Vote) (bool, []problem.Unmet) {
	return p.metBy(electorate{r.active, r.doc.Floor.MinDistinctUsers}, initiator, votes)
}

func (p Plan) metBy(e electorate, initiator custody.PersonID, votes []Vote) (bool, []problem.Unmet) {
	approved := make(map[custody.PersonID]bool, len(votes))
	for _, v := range votes {
		if v.Decision != request.Approve {
			approved[v.Person] = false
		} else if _, voted := approved[v.Person]; !voted {
			approved[v.Person] = true
		}
	}
	eligible := func(id custody.PersonID) bool { return approved[id] && id != initiator }
	var unmet []problem.Unmet
	for i, b := range p.AnyOf {
		lacks := e.lacks(b, eligible)
		if len(lacks) == 0 {
			return true, nil
		}
		for _, u := range lacks {
			if len(p.AnyOf) > 1 {
				u.Criterion = fmt.Sprintf("branch %d: %s", i+1, u.Criterion)
			}
			if len(unmet) < MaxUnmet {
				unmet = append(unmet, u)
			}
		}
	}
	if len(p.AnyOf) == 0 {
		unmet = []problem.Unmet{{Rule: "plan", Criterion: "plan", Observed: "a plan without branches is never met"}}
	}
	if approved[initiator] {
		unmet = append(unmet, problem.Unmet{Rule: RuleFloor, Criterion: "floor.forbidSelfApproval", Observed: string(initiator) + " asked and does not count"})
	}
	return false, unmet
}

// Met says whether a decision lets its request be done with these votes: it must allow, and its plan and the requirements besides must be
// met unless it is automatic. What is unmet names the deciding rule.
func (d Decision) Met(r *Rules, initiator custody.PersonID, votes []Vote) (bool, []problem.Unmet) {
	switch {
	case d.Outcome != Allowed:
		return false, d.Unmet
	case d.Auto:
		return true, nil
	}
	ok, unmet := d.Plan.Met(r, initiator, votes)
	name(unmet, d.Rule)
	for _, x := range d.Also {
		met, lacks := x.Plan.metBy(r.electorate(x), initiator, votes)
		name(lacks, x.Rule)
		if ok = ok && met; !met && len(unmet) < MaxUnmet {
			unmet = append(unmet, lacks[:min(len(lacks), MaxUnmet-len(unmet))]...)
		}
	}
	return ok, unmet
}

// name gives what is unmet of a plan the plan's name.
func name(unmet []problem.Unmet, rule string) {
	for i := range unmet {
		if unmet[i].Rule == "plan" {
			unmet[i].Rule = rule
		}
	}
}

// electorate is who counts for a plan: the active people of each group, and how many different ones it takes.
type electorate struct {
	members func(custody.GroupID) []custody.PersonID
	floor   uint32
}

// active gives the active people of a group.
func (r *Rules) active(g custody.GroupID) []custody.PersonID {
	list := r.groups[g]
	if !slices.ContainsFunc(list, r.noPerson) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), r.noPerson)
}

func (r *Rules) noPerson(id custody.PersonID) bool {
	w, ok := r.persons[id]
	return !ok || !w.Active || w.Kind != Human
}

// lacks says what a branch lacks if those who are eligible approve. A branch without steps has no people and so lacks the floor's.
func (e electorate) lacks(b Branch, eligible func(custody.PersonID) bool) (unmet []problem.Unmet) {
	voters := make([][]custody.PersonID, len(b.Steps))
	distinct := make(map[custody.PersonID]bool)
	for i, s := range b.Steps {
		for _, id := range e.members(s.Group) {
			if eligible(id) {
				voters[i] = append(voters[i], id)
				distinct[id] = true
			}
		}
	}
	for i, have := range seat(b.Steps, voters) {
		if s := b.Steps[i]; have < s.Min || s.Min == 0 {
			unmet = append(unmet, problem.Unmet{Rule: "plan", Criterion: fmt.Sprintf("%s by members of %s", more(s.Min-have), s.Group),
				Observed: fmt.Sprintf("%d of %d", have, s.Min)})
		}
	}
	if n := uint32(len(distinct)); n < e.floor {
		unmet = append(unmet, problem.Unmet{Rule: RuleFloor, Criterion: more(e.floor-n) + " by different people (floor.minDistinctUsers)",
			Observed: fmt.Sprintf("%d of %d", n, e.floor)})
	}
	return unmet
}

// lacks says what a branch lacks under the people of r.
func (r *Rules) lacks(b Branch, eligible func(custody.PersonID) bool) []problem.Unmet {
	return electorate{r.active, r.doc.Floor.MinDistinctUsers}.lacks(b, eligible)
}

func more(n uint32) string {
	if n == 1 {
		return "1 more approval"
	}
	return fmt.Sprintf("%d more approvals", n)
}

// seat gives each voter at most one step and fills as many seats as possible: augmenting paths from each seat (Kuhn's
// algorithm). The result says how many seats of each step are filled. Voters are sorted, so it depends on nothing else.
func seat(steps []Step, voters [][]custody.PersonID) []uint32 {
	at := make(map[custody.PersonID]int)
	var find func(step int, tried map[custody.PersonID]bool) bool
	find = func(step int, tried map[custody.PersonID]bool) bool {
		for _, p := range voters[step] {
			if tried[p] {
				continue
			}
			tried[p] = true
			if other, seated := at[p]; !seated || find(other, tried) {
				at[p] = step
				return true
			}
		}
		return false
	}
	filled := make([]uint32, len(steps))
	for i, s := range steps {
		for filled[i] < s.Min && find(i, make(map[custody.PersonID]bool)) {
			filled[i]++
		}
	}
	return filled
}

// canMeet says whether some branch would be met if everybody but the initiator approved.
func (r *Rules) canMeet(p Plan, initiator custody.PersonID) bool {
	return slices.ContainsFunc(p.AnyOf, func(b Branch) bool { return r.canMeetBranch(b, initiator) })
}

func (r *Rules) canMeetBranch(b Branch, initiator custody.PersonID) bool {
	// Most plans are answered by counting: where each group alone could fill every seat, seating them can't fail. Members of
	// groups that plans name are active humans (Document.Check).
	seats, wide := 0, true
	for _, s := range b.Steps {
		seats += int(s.Min)
	}
	need := max(seats, int(r.doc.Floor.MinDistinctUsers))
	for _, s := range b.Steps {
		n := len(r.groups[s.Group])
		if r.InGroup(initiator, s.Group) {
			n--
		}
		wide = wide && n >= need
	}
	return wide || len(r.lacks(b, func(id custody.PersonID) bool { return id != initiator })) == 0
}
