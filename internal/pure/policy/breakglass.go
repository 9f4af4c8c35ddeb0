// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Bounds of a drain, in seconds.
const (
	MinDrain = 60
	MaxDrain = 30 * 24 * 3600
)

// BreakGlass is what people may do in a crisis: stop everything at once, and bring what the domain holds to destinations that were approved beforehand. It
// adds no destination, exports no key and changes no rule.
type BreakGlass struct {
	Who      Plan              `cbor:"1,keyasint"`           // approves a drain, and its transfers
	DrainTo  []string          `cbor:"2,keyasint,omitempty"` // address-book entries, sorted; none: the domain can't drain
	Duration int64             `cbor:"3,keyasint"`           // seconds that a drain lasts; then the domain is frozen
	Freeze   []custody.GroupID `cbor:"4,keyasint,omitempty"` // whose people may freeze alone, sorted; none: those of Who
	Resume   Plan              `cbor:"5,keyasint"`           // ends a freeze or a drain, beside the change plan
}

// Oversight says who may hold requests, and who releases them.
type Oversight struct {
	Release *Plan             `cbor:"1,keyasint,omitempty"` // nil: the change plan
	Hold    []custody.GroupID `cbor:"2,keyasint,omitempty"` // sorted; none: the second line, or the administrators where there are no lines
}

// overseen says whether the document uses anything of operational states, holds or lines.
func (d Document) overseen() bool { return d.BreakGlass != nil || d.Oversight != nil || d.lined() }

// oversightPlans lists the plans that stand in breakGlass and oversight.
func (d Document) oversightPlans() (out []reservedPlan) {
	if b := d.BreakGlass; b != nil {
		out = append(out, reservedPlan{RuleBreakGlass, "breakGlass.who", b.Who}, reservedPlan{RuleResume, "breakGlass.resume", b.Resume})
	}
	if o := d.Oversight; o != nil && o.Release != nil {
		out = append(out, reservedPlan{RuleRelease, "oversight.release", *o.Release})
	}
	return out
}

// oversightPlan gives the plan that is reserved for an operation of oversight that needs one.
func (d *Document) oversightPlan(o request.Operation) (rule string, p Plan) {
	switch {
	case o == request.Drain && d.BreakGlass != nil:
		return RuleBreakGlass, d.BreakGlass.Who
	case o == request.Resume && d.BreakGlass != nil:
		return RuleResume, d.BreakGlass.Resume
	case o == request.RequestRelease && d.Oversight != nil && d.Oversight.Release != nil:
		return RuleRelease, *d.Oversight.Release
	default:
		return RuleChangePlan, d.ChangePlan
	}
}

// oversightRule says whether an id is a name of what decides on operational states and holds. It is refused where the document uses any of that; a
// document that is older than these names keeps its rules.
func (d Document) oversightRule(id string) bool {
	switch id {
	case RuleRoles, RuleFrozen, RuleDraining, RuleHeld, RuleFreeze, RuleHold, RuleBreakGlass, RuleResume, RuleRelease:
		return d.overseen()
	case RuleReplay:
		return d.ReplayRequired
	default:
		return false
	}
}

// checkOversight checks breakGlass and oversight, but for their plans.
func (d Document) checkOversight() error {
	if b := d.BreakGlass; b != nil {
		if err := d.checkBreakGlass(b); err != nil {
			return fmt.Errorf("breakGlass.%w", err)
		}
	}
	if o := d.Oversight; o != nil {
		if o.Release == nil && len(o.Hold) == 0 {
			return errors.New("oversight says nothing; leave it out")
		}
		if err := list("hold", o.Hold, d.checkAlone(request.RequestHold)); err != nil {
			return fmt.Errorf("oversight.%w", err)
		}
	}
	return nil
}

func (d Document) checkBreakGlass(b *BreakGlass) error {
	if b.Duration < MinDrain || b.Duration > MaxDrain {
		return fmt.Errorf("duration is %d seconds; want %d to %d", b.Duration, MinDrain, MaxDrain)
	}
	if err := list("drainTo", b.DrainTo, func(id string) error {
		if _, ok := d.bookEntry(id); !ok {
			return fmt.Errorf("%q is not in the address book", id)
		}
		return nil
	}); err != nil {
		return err
	}
	return list("freeze", b.Freeze, d.checkAlone(request.Freeze))
}

// checkAlone says whether a group may take power away in one way, each member alone: it has people, nobody of the third line, which reads only, and nobody whose roles
// do not let them.
func (d Document) checkAlone(o request.Operation) func(custody.GroupID) error {
	return func(id custody.GroupID) error {
		g, ok := d.group(id)
		if !ok || len(g.Members) == 0 {
			return fmt.Errorf("group %s is not in the document, or has nobody", id)
		}
		for _, m := range g.Members {
			switch p, _ := d.principal(m); {
			case p.Kind != Human:
				return fmt.Errorf("member %s of group %s is a service; people do this", m, id)
			case p.Line == 3 || slices.Equal(p.EffectiveRoles(), []request.Role{request.Auditor}):
				return fmt.Errorf("member %s of group %s is of the third line, which reads only", m, id)
			case !p.MayAsk(o):
				return fmt.Errorf("member %s of group %s is %s, who may not ask for %s", m, id, p.described(), o)
			}
		}
		return nil
	}
}

// diffOversight tells how breakGlass and oversight change.
func diffOversight(old, next Document, say func(string, ...any)) {
	tell := func(what string, was, is string) {
		switch {
		case was == is:
		case was == "":
			say("%s is new: %s", what, is)
		case is == "":
			say("%s is removed; it was: %s", what, was)
		default:
			say("%s is now: %s; it was: %s", what, is, was)
		}
	}
	glass := func(b *BreakGlass) string {
		if b == nil {
			return ""
		}
		return b.String()
	}
	over := func(o *Oversight) string {
		if o == nil {
			return ""
		}
		return o.String()
	}
	tell("breakGlass", glass(old.BreakGlass), glass(next.BreakGlass))
	tell("oversight", over(old.Oversight), over(next.Oversight))
}

// String tells it in words.
func (b *BreakGlass) String() string {
	who := "people of the plan that drains"
	if len(b.Freeze) > 0 {
		who = "members of " + joined(b.Freeze, " or ")
	}
	to := "nothing of the address book"
	if len(b.DrainTo) > 0 {
		to = joined(b.DrainTo, " or ") + " of the address book"
	}
	return fmt.Sprintf("%s freeze the domain alone; draining it to %s needs %s and lasts %d seconds; ending either needs %s", who, to, b.Who, b.Duration, b.Resume)
}

// String tells it in words.
func (o *Oversight) String() string {
	s := "the second line, or administrators where there is none, hold requests"
	if len(o.Hold) > 0 {
		s = "members of " + joined(o.Hold, " or ") + " hold requests"
	}
	if o.Release != nil {
		return s + "; releasing one needs " + o.Release.String()
	}
	return s + "; releasing one needs the change plan"
}
