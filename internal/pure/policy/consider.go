// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

// Considered is how one rule sees a request. docs/spec/explain.md.
type Considered struct {
	Section   string `cbor:"1,keyasint" json:"section"` // of a rule file: "guards", "routes", "obligations" or "limits"
	Rule      string `cbor:"2,keyasint" json:"rule"`
	Matches   bool   `cbor:"3,keyasint,omitempty" json:"matches"`
	Unknown   bool   `cbor:"4,keyasint,omitempty" json:"unknown,omitempty"`  // it can't be told: a match in a guard, an obligation and a limit, the end of the search in a route
	Criterion string `cbor:"5,keyasint" json:"criterion"`                    // the first that is not met; of a match, the last that is
	Observed  string `cbor:"6,keyasint,omitempty" json:"observed,omitempty"` // what it was compared with
	Priority  uint32 `cbor:"7,keyasint,omitempty" json:"priority,omitempty"` // of a route
	Effect    Effect `cbor:"8,keyasint,omitempty" json:"effect,omitempty"`   // of a guard, and of a limit that is passed
	Reserved  bool   `cbor:"9,keyasint,omitempty" json:"notAsked,omitempty"` // a route, of an operation whose plan is reserved: none is asked
	Reason    string `cbor:"10,keyasint,omitempty" json:"reason,omitempty"`  // of a guard
}

// Consider tells how every guard, route, obligation and limit sees the request, in the order of the document, whether the decision got as far or
// not. It decides nothing. An initiator who is not in the document is seen by none.
func (c *Case) Consider() []Considered {
	r, a := c.rules, c.act
	if a == nil {
		return nil
	}
	var out []Considered
	tell := func(x *matcher, this Considered) {
		v := x.match(a)
		this.Matches, this.Unknown = v.match, v.err != nil
		this.Criterion, this.Observed = v.decided.criterion(), x.observed(v, a)
		out = append(out, this)
	}
	for i, g := range r.doc.Guards {
		tell(&r.guards[i], Considered{Section: "guards", Rule: g.ID, Effect: g.Effect, Reason: g.Reason})
	}
	for i, rt := range r.doc.Routes {
		tell(&r.routes[i], Considered{Section: "routes", Rule: rt.ID, Priority: rt.Priority, Reserved: c.facts.Operation.Governance()})
	}
	for i, o := range r.doc.Obligations {
		tell(&r.obligations[i], Considered{Section: "obligations", Rule: o.ID})
	}
	for i, l := range r.doc.Limits {
		tell(&r.limits[i], Considered{Section: "limits", Rule: l.ID, Effect: l.Exceeded})
	}
	return out
}

// Progress is how far the approvals of a request have come with one plan.
type Progress struct {
	Rule     string           `cbor:"1,keyasint" json:"rule"`
	Met      bool             `cbor:"2,keyasint,omitempty" json:"met"`
	Branches []BranchProgress `cbor:"3,keyasint" json:"branches"`
}

// BranchProgress is how far they have come with a branch. One branch that lacks nothing meets the plan.
type BranchProgress struct {
	Steps []StepProgress  `cbor:"1,keyasint" json:"steps"`
	Lacks []problem.Unmet `cbor:"2,keyasint,omitempty" json:"lacks,omitempty"`
}

// StepProgress is how far they have come with a step.
type StepProgress struct {
	Group custody.GroupID    `cbor:"1,keyasint" json:"group"`
	Min   uint32             `cbor:"2,keyasint" json:"min"`
	Have  uint32             `cbor:"3,keyasint" json:"have"`                   // approvals that are counted for this step; a person is counted for one step only
	By    []custody.PersonID `cbor:"4,keyasint,omitempty" json:"by,omitempty"` // whose approvals could be, sorted
}

// Progress says how far a poll has come with each plan of a decision that allows: its own, then those besides. An automatic decision has none. What a
// decision needs of all of them together is in MetIn alone.
func (d Decision) Progress(r *Rules, initiator custody.PersonID, poll Poll) (out []Progress) {
	if d.Outcome != Allowed || d.Auto {
		return nil
	}
	f := r.doc.Floor
	if poll.Floor != nil {
		f = f.Strictest(*poll.Floor)
	}
	c := r.ballot(initiator, poll)
	tell := func(rule string, p Plan, e electorate) {
		this := Progress{Rule: rule}
		for _, b := range p.AnyOf {
			voters, have := e.seats(b, c)
			x := BranchProgress{Lacks: e.lacks(b, c)}
			name(x.Lacks, rule)
			for i, s := range b.Steps {
				x.Steps = append(x.Steps, StepProgress{Group: s.Group, Min: s.Min, Have: have[i], By: voters[i]})
			}
			this.Met = this.Met || len(x.Lacks) == 0
			this.Branches = append(this.Branches, x)
		}
		out = append(out, this)
	}
	tell(d.Rule, d.Plan, r.electorateOf(f))
	for _, x := range d.Also {
		tell(x.Rule, x.Plan, r.electorate(x))
	}
	return out
}

// String tells of a rule in a line.
func (c Considered) String() string {
	says := "does not match: " + c.Criterion
	switch {
	case c.Unknown:
		says = "can't be told: " + c.Criterion
	case c.Matches:
		says = "matches"
		if c.Criterion != noField.criterion() {
			says += " by " + c.Criterion
		}
	}
	if c.Observed != "" {
		says += fmt.Sprintf(" (%s)", c.Observed)
	}
	return says
}
