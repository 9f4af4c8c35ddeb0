// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"math"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// maxAgain is how often one person may approve a request while earlier approvals of theirs still count by the floor.
const maxAgain = 8

// Elapsed says how many nanoseconds have passed from one moment to another: at least, and at most.
func Elapsed(from, to Moment) (least, most int64) {
	return (to.Time - to.Bound) - (from.Time + from.Bound), (to.Time + to.Bound) - (from.Time - from.Bound)
}

// plansMet checks the pinned decision and the current one against the votes that still count and the time that has passed: who loosens the
// rules does not help a request that waits, and who tightens them reaches it.
func (s *State) plansMet(p *Pending, d policy.Decision, at Moment) error {
	return Settled(s.Rules, p.Initiator, s.poll(p, at), p.Decision, d)
}

// poll gives the votes on a request that still count, and the time that has passed.
func (s *State) poll(p *Pending, at Moment) policy.Poll {
	least, most := int64(math.MaxInt64), int64(0) // the document has no delays
	if p.Accepted != nil {
		least, most = Elapsed(*p.Accepted, at)
	}
	return policy.Poll{Votes: s.votes(p, at), Least: least, Most: most, Floor: p.Floor}
}

// Settled says whether decisions are met by a poll: nil, a [*QuorumError], or where nothing but time is missing a [*WaitError].
func Settled(rules *policy.Rules, initiator custody.PersonID, poll policy.Poll, decisions ...policy.Decision) error {
	later := poll
	later.Least = math.MaxInt64
	var wait error
	for _, x := range decisions {
		if ok, unmet := x.MetIn(rules, initiator, later); !ok {
			return &QuorumError{Rule: x.Rule, Unmet: unmet}
		}
		if ok, _ := x.MetIn(rules, initiator, poll); !ok && wait == nil {
			wait = &WaitError{Rule: x.Rule}
		}
		if n := x.Waits(poll.Least); n > 0 && wait == nil {
			wait = &WaitError{Rule: x.Rule, Seconds: n}
		}
	}
	return wait
}

// pinDocument keeps, before another document comes into force, what requests that wait were accepted under, as far as their decisions do not say it.
func (s *State) pinDocument(next *policy.Rules, l entry.Leaf) {
	for _, p := range s.pending {
		if p.Floor == nil && s.Doc.Floor != next.Floor() {
			f := s.Doc.Floor
			p.Floor = &f
		}
		if p.Accepted == nil && next.Delayed() {
			p.Accepted = &Moment{l.Time, l.Bound}
		}
	}
}

// floor is the stricter of the floors of acceptance and of now.
func (s *State) floor(p *Pending) policy.Floor {
	if p.Floor == nil {
		return s.Doc.Floor
	}
	return s.Doc.Floor.Strictest(*p.Floor)
}

// stands says whether an approval still counts: the key that signed is still an active key of its person, and the approval is not
// older than the rules allow.
func (s *State) stands(p *Pending, v Vote, at Moment) bool {
	return s.holds(v.Person, v.Key) == nil && !Stale(s.floor(p), v.Time, at)
}

// Stale says whether an approval given at a time, in Unix nanoseconds, may be older than the floor allows.
func Stale(f policy.Floor, given int64, at Moment) bool { return older(f.MaxApprovalAge, given, at) }

func older(seconds, given int64, at Moment) bool { return at.Time+at.Bound-given > seconds*1e9 }

// approved says whether somebody has approved a request and need not, and so may not, again. Who may are those whose approval is too old for some
// plan, or may have come too early for a step that is ordered: somebody else approved since.
func (s *State) approved(p *Pending, by custody.PersonID, at Moment) (seq uint64, done bool) {
	age, ordered := s.Rules.Again(p.Decision)
	count := 0
	var last Vote
	for _, v := range p.Approvals {
		if v.Person == by && s.stands(p, v, at) {
			last = v
			count++
		}
	}
	if count == 0 {
		return 0, false
	}
	since := ordered && slices.ContainsFunc(p.Approvals, func(v Vote) bool { return v.Person != by && v.Seq > last.Seq })
	again := count < maxAgain && (since || older(age, last.Time, at))
	return last.Seq, !again
}

// hasSay says whether somebody may approve or reject a request: who its decision counts and, to reject, who has a veto. Where the document, or the worth of what is
// paid, may have changed since, also those whom the decision of now asks for.
func (s *State) hasSay(p *Pending, a request.Approval, at Moment) bool {
	if say(p.Decision, s.Rules, a) {
		return true
	}
	if p.Decision.Version == s.Doc.Version && len(p.Decision.Prices) == 0 {
		return false
	}
	r, err := p.Parse()
	if err != nil {
		return false
	}
	x, err := s.describe(r, p.Evidence, at, Derive)
	if err != nil {
		return false
	}
	c := s.Rules.Case(x.facts)
	d := Judge(c, x.document)
	return say(s.limited(c, Charge(c, d, FeeCap(p.Bounds, p.Decision, d), false), p.reserved, at), s.Rules, a)
}

func say(d policy.Decision, rules *policy.Rules, a request.Approval) bool {
	if a.Decision == request.Reject {
		return d.Vetoes(rules, a.Person)
	}
	return d.Counts(rules, a.Person)
}

// votes lists the approvals that still count.
func (s *State) votes(p *Pending, at Moment) []policy.Vote {
	var out []policy.Vote
	for _, v := range p.Approvals {
		if s.stands(p, v, at) {
			out = append(out, policy.Vote{Person: v.Person, Decision: request.Approve, Key: v.Key, Seq: v.Seq, Age: at.Time + at.Bound - v.Time})
		}
	}
	return out
}
