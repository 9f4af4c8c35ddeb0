// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"math"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Vote is what one person said to one request. Whoever makes it has checked the signature, that it still counts by the floor, and that it is for
// this request.
type Vote struct {
	Person   custody.PersonID
	Decision request.Decision

	Key request.KeyRef // that signed; without one it is of no passkey
	Seq uint64         // place in the log, for steps that are ordered; 0 is before all
	Age int64          // nanoseconds since it was given at most, for branches whose approvals expire
}

// Poll is what was said to a request, and when that is asked. Times are nanoseconds since the request was accepted: Least have passed for
// certain, Most at most.
type Poll struct {
	Votes       []Vote
	Least, Most int64
	Floor       *Floor // that holds for the plan besides the one of the rules; nil: none
}

// Anytime gives a poll of votes that asks for neither delays nor deadlines, because a permit settled them.
func Anytime(votes []Vote) Poll { return Poll{Votes: votes, Least: math.MaxInt64} }

// Strictest gives the floor that holds where both do.
func (f Floor) Strictest(o Floor) Floor {
	f.MinDistinctUsers, f.MinDistinctGroups = max(f.MinDistinctUsers, o.MinDistinctUsers), max(f.MinDistinctGroups, o.MinDistinctGroups)
	f.RequestTTL, f.MaxApprovalAge = min(f.RequestTTL, o.RequestTTL), min(f.MaxApprovalAge, o.MaxApprovalAge)
	return f
}

// Met says whether votes meet one of the plan's branches under the people and groups of r, and if not, what each branch lacks. Delays and
// deadlines are not asked for.
//
// An approval counts if its person is an active human of the step's group and not the initiator. A person counts once, and for
// one step only: who is in two groups does not meet two steps. People are seated so that as many steps as can be are met
// (a bipartite matching), hence the order of votes has no effect. Who voted anything but approve, before or after, does not
// count. The people who approved must also be as many as the floor asks. A plan without branches is never met.
//
// To an ordered step count only approvals that come, in the log, after those by which the steps before it could first be met.
func (p Plan) Met(r *Rules, initiator custody.PersonID, votes []Vote) (bool, []problem.Unmet) {
	return p.metBy(r.electorateOf(r.doc.Floor), initiator, r.ballot(initiator, Anytime(votes)))
}

func (p Plan) metBy(e electorate, initiator custody.PersonID, c count) (bool, []problem.Unmet) {
	var unmet []problem.Unmet
	for i, b := range p.AnyOf {
		lacks := e.lacks(b, c)
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
	if c.self {
		unmet = append(unmet, problem.Unmet{Rule: RuleFloor, Criterion: "floor.forbidSelfApproval", Observed: string(initiator) + " asked and does not count"})
	}
	return false, unmet
}

// Met says whether a decision lets its request be done with these votes: it must allow, and its plan and the requirements besides must be
// met unless it is automatic. What is unmet names the deciding rule. Delays and deadlines are not asked for.
func (d Decision) Met(r *Rules, initiator custody.PersonID, votes []Vote) (bool, []problem.Unmet) {
	return d.MetIn(r, initiator, Anytime(votes))
}

// MetIn is [Decision.Met] with the time that has passed. The decision's own delay is for [Decision.Waits].
func (d Decision) MetIn(r *Rules, initiator custody.PersonID, poll Poll) (bool, []problem.Unmet) {
	switch {
	case d.Outcome != Allowed:
		return false, d.Unmet
	case d.Auto:
		return true, nil
	}
	f := r.doc.Floor
	if poll.Floor != nil {
		f = f.Strictest(*poll.Floor)
	}
	c := r.ballot(initiator, poll)
	ok, unmet := d.Plan.metBy(r.electorateOf(f), initiator, c)
	name(unmet, d.Rule)
	add := func(rule string, lacks []problem.Unmet) {
		name(lacks, rule)
		ok = false
		unmet = append(unmet, lacks[:max(0, min(len(lacks), MaxUnmet-len(unmet)))]...)
	}
	for _, x := range d.Also {
		if met, lacks := x.Plan.metBy(r.electorate(x), initiator, c); !met {
			add(x.Rule, lacks)
		}
	}
	if have, want := r.standFor(d, c), d.minGroups(); have < want {
		add("", []problem.Unmet{{Rule: "obligations", Criterion: fmt.Sprintf("approvals by people of %d more groups (minDistinctGroups)", want-have), Observed: fmt.Sprintf("%d of %d", have, want)}})
	}
	return ok, unmet
}

// Waits says how many seconds a decision still has to wait when so many nanoseconds have passed since acceptance for certain.
func (d Decision) Waits(least int64) int64 {
	if d.Delay <= least/1e9 {
		return 0
	}
	return d.Delay - max(least, 0)/1e9
}

// name gives what is unmet of a plan the plan's name.
func name(unmet []problem.Unmet, rule string) {
	for i := range unmet {
		if unmet[i].Rule == "plan" {
			unmet[i].Rule = rule
		}
	}
}

// electorate is who counts for a plan: the active people of each group, and how many different ones, of how many groups, it takes.
type electorate struct {
	members func(custody.GroupID) []custody.PersonID
	floor   uint32
	groups  uint32
}

func (r *Rules) electorateOf(f Floor) electorate {
	return electorate{r.active, f.MinDistinctUsers, f.MinDistinctGroups}
}

// mayStand says whether somebody of a step's group is in none of those from which its people must differ.
func (e electorate) mayStand(id custody.PersonID, s Step) bool {
	return !slices.ContainsFunc(s.Differ, func(g custody.GroupID) bool { return slices.Contains(e.members(g), id) })
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

// always is after every entry of a log.
const always = math.MaxUint64

// count says who approved, and when.
type count struct {
	by          func(id custody.PersonID, s Step, expires int64, after, until uint64) bool // somebody has an approval that counts for a step
	order       []uint64                                                                   // places of the approvals in the log, ascending
	asked       bool                                                                       // everybody approves, in whatever order
	self        bool                                                                       // the initiator approved
	least, most int64
}

// everybody is the count if everybody but the initiator approved, in the right order and time.
func (r *Rules) everybody(initiator custody.PersonID) count {
	return count{asked: true, least: math.MaxInt64, by: func(id custody.PersonID, s Step, _ int64, _, _ uint64) bool {
		return id != initiator && (!s.Hardware || r.hardware[id])
	}}
}

// ballot is the count of a poll.
func (r *Rules) ballot(initiator custody.PersonID, poll Poll) count {
	approved := make(map[custody.PersonID][]Vote, len(poll.Votes))
	against := make(map[custody.PersonID]bool)
	c := count{least: poll.Least, most: poll.Most}
	for _, v := range poll.Votes {
		if v.Decision != request.Approve {
			against[v.Person] = true
			continue
		}
		approved[v.Person] = append(approved[v.Person], v)
		c.order = append(c.order, v.Seq)
	}
	slices.Sort(c.order)
	c.self = len(approved[initiator]) > 0 && !against[initiator]
	c.by = func(id custody.PersonID, s Step, expires int64, after, until uint64) bool {
		return id != initiator && !against[id] && slices.ContainsFunc(approved[id], func(v Vote) bool {
			return v.Seq >= after && v.Seq <= until && (expires == 0 || v.Age <= expires*1e9) && (!s.Hardware || r.byPasskey(v))
		})
	}
	return c
}

// byPasskey says whether a vote was signed with a passkey of its person.
func (r *Rules) byPasskey(v Vote) bool {
	o, ok := r.keys[v.Key]
	return ok && o.person == v.Person && o.key.Passkey()
}

// lacks says what a branch lacks. A branch without steps has no people and so lacks the floor's.
func (e electorate) lacks(b Branch, c count) (unmet []problem.Unmet) {
	voters, filled := e.seats(b, c)
	distinct := make(map[custody.PersonID]bool)
	for _, list := range voters {
		for _, id := range list {
			distinct[id] = true
		}
	}
	for i, have := range filled {
		s := b.Steps[i]
		if have >= s.Min && s.Min > 0 {
			continue
		}
		how := ""
		if s.Hardware {
			how = " with passkeys"
		}
		if s.Ordered && i > 0 {
			how += ", after the steps before are met"
		}
		unmet = append(unmet, problem.Unmet{Rule: "plan", Criterion: fmt.Sprintf("%s by members of %s%s", more(s.Min-have), s.Group, how),
			Observed: fmt.Sprintf("%d of %d", have, s.Min)})
	}
	if n := uint32(len(distinct)); n < e.floor {
		unmet = append(unmet, problem.Unmet{Rule: RuleFloor, Criterion: more(e.floor-n) + " by different people (floor.minDistinctUsers)",
			Observed: fmt.Sprintf("%d of %d", n, e.floor)})
	}
	if n := uint32(len(b.Steps)); n < e.groups {
		unmet = append(unmet, problem.Unmet{Rule: RuleFloor, Criterion: "steps of different groups (floor.minDistinctGroups)", Observed: fmt.Sprintf("%d of %d", n, e.groups)})
	}
	if b.Delay > 0 && c.least/1e9 < b.Delay {
		unmet = append(unmet, problem.Unmet{Rule: "plan", Criterion: "delay", Observed: fmt.Sprintf("%d of %d seconds have passed", max(c.least, 0)/1e9, b.Delay)})
	}
	if b.Deadline > 0 && c.most > b.Deadline*1e9 {
		unmet = append(unmet, problem.Unmet{Rule: "plan", Criterion: "deadline", Observed: fmt.Sprintf("more than %d seconds have passed", b.Deadline)})
	}
	return unmet
}

// seats gives who approved each step of a branch, and how many of them are counted for it.
func (e electorate) seats(b Branch, c count) (voters [][]custody.PersonID, filled []uint32) {
	voters = make([][]custody.PersonID, len(b.Steps))
	after := e.order(b, c)
	for i, s := range b.Steps {
		voters[i] = e.voters(s, b, c, after[i], always)
	}
	return voters, seat(b.Steps, voters)
}

// voters lists who approved a step after one place in the log, up to another.
func (e electorate) voters(s Step, b Branch, c count, after, until uint64) (out []custody.PersonID) {
	for _, id := range e.members(s.Group) {
		if e.mayStand(id, s) && c.by(id, s, b.ExpiresAfter, after, until) {
			out = append(out, id)
		}
	}
	return out
}

// order gives for each step the place in the log from which on its approvals count: of an ordered one, the place after the first at which the
// steps before it could be met. More approvals only ever make it earlier.
func (e electorate) order(b Branch, c count) []uint64 {
	after := make([]uint64, len(b.Steps))
	for i, s := range b.Steps {
		if !s.Ordered || i == 0 || c.asked {
			continue
		}
		before := b.Steps[:i]
		n, met := slices.BinarySearchFunc(c.order, true, func(until uint64, _ bool) int {
			voters := make([][]custody.PersonID, i)
			for j, x := range before {
				voters[j] = e.voters(x, b, c, after[j], until)
			}
			for j, have := range seat(before, voters) {
				if have < before[j].Min {
					return -1
				}
			}
			return 0
		})
		if after[i] = always; met && c.order[n] < always {
			after[i] = c.order[n] + 1
		}
	}
	return after
}

// lacks says what a branch lacks under the people of r.
func (r *Rules) lacks(b Branch, c count) []problem.Unmet {
	return r.electorateOf(r.doc.Floor).lacks(b, c)
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
	seats, wide := 0, uint32(len(b.Steps)) >= r.doc.Floor.MinDistinctGroups
	for _, s := range b.Steps {
		seats += int(s.Min)
		wide = wide && !s.Hardware && len(s.Differ) == 0
	}
	need := max(seats, int(r.doc.Floor.MinDistinctUsers))
	for _, s := range b.Steps {
		n := len(r.groups[s.Group])
		if r.InGroup(initiator, s.Group) {
			n--
		}
		wide = wide && n >= need
	}
	return wide || len(r.lacks(b, r.everybody(initiator))) == 0
}
