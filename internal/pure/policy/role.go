// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// RuleRoles decides where who asks has no role for it.
const RuleRoles = "roles"

// Verb is something that a principal does which is no operation. Roles say who may.
type Verb string

// The verbs.
const (
	VerbApprove  Verb = "approve"  // approve or reject where a plan counts them
	VerbSession  Verb = "session"  // open a session, as a service
	VerbExecute  Verb = "execute"  // have approved requests executed or signed where that did not happen by itself
	VerbCarry    Verb = "carry"    // carry bundles and results of offline domains
	VerbRequests Verb = "requests" // read the requests of others, and their proofs
	VerbLog      Verb = "log"      // read and export the log in clear
	VerbCheck    Verb = "check"    // have the log checked again
	VerbOwn      Verb = "own"      // read and cancel what one asked for oneself, and read status, wallets and rules
)

// Verbs lists them.
func Verbs() []Verb {
	return []Verb{VerbOwn, VerbApprove, VerbSession, VerbExecute, VerbCarry, VerbRequests, VerbLog, VerbCheck}
}

// EffectiveRoles gives the roles of a principal, sorted: those that the document names, else those of the line. None means that the document
// says nothing of the principal, who then may do all that the other rules allow. docs/spec/roles.md.
func (p Principal) EffectiveRoles() []request.Role {
	switch {
	case len(p.Roles) > 0 || p.Line == 0:
		return p.Roles
	case p.Kind == Service:
		return []request.Role{request.Requester}
	default:
		return rolesOf(p.Line)
	}
}

// rolesOf gives the roles of a line, sorted: what its people have where nothing else is said, and the most that they can have.
func rolesOf(line uint8) []request.Role {
	switch line {
	case 1:
		return []request.Role{request.Administrator, request.Approver, request.Requester, request.Whitelister}
	case 2:
		return []request.Role{request.Approver, request.Risk}
	default:
		return []request.Role{request.Auditor}
	}
}

// has says whether a principal has a role, or may do anything.
func (p Principal) has(of ...request.Role) bool {
	have := p.EffectiveRoles()
	return len(have) == 0 || slices.ContainsFunc(have, func(r request.Role) bool { return slices.Contains(of, r) })
}

// hasNamed says whether a role is one that the document gives a principal.
func (p Principal) hasNamed(r request.Role) bool { return slices.Contains(p.EffectiveRoles(), r) }

// MayAsk says whether a principal's roles let them ask for an operation. Whether it is granted is for the other rules to say.
func (p Principal) MayAsk(o request.Operation) bool {
	switch o {
	case request.PersonKeyAdd: // a further key of one's own
		return true
	case request.Transfer, request.ContractCall, request.MessageSign, request.WalletCreate, request.AddressCreate, request.WalletTemperature, request.WarmOpen, request.WalletMove, request.AppGrant:
		return p.has(request.Requester)
	case request.WarmClose, request.AppRevoke, request.AppKeyRevoke:
		return p.has(request.Requester, request.Administrator, request.Risk)
	case request.WhitelistAdd, request.WhitelistReview, request.BlacklistRemove:
		return p.has(request.Whitelister)
	case request.WhitelistSuspend:
		return p.has(request.Whitelister, request.Risk)
	case request.WhitelistRemove, request.BlacklistAdd:
		return p.has(request.Whitelister, request.Administrator, request.Risk)
	case request.PersonRevoke, request.PersonKeyRemove, request.Unfreeze, request.Drain, request.Resume, request.RequestRelease:
		return p.has(request.Administrator, request.Risk)
	case request.Freeze:
		return p.has(request.Requester, request.Approver, request.Whitelister, request.Administrator, request.Risk)
	case request.RequestHold:
		return p.has(request.Risk)
	default: // people, groups, rules, and the life of the domain
		return p.has(request.Administrator)
	}
}

// May says whether a principal's roles let them do something that is no operation.
func (p Principal) May(v Verb) bool {
	switch v {
	case VerbOwn:
		return true
	case VerbApprove:
		return p.has(request.Approver)
	case VerbSession:
		return p.has(request.Requester)
	case VerbCarry:
		return p.has(request.Requester, request.Administrator)
	case VerbExecute:
		return p.has(request.Requester, request.Approver, request.Administrator, request.Risk)
	case VerbRequests:
		return p.has(request.Approver, request.Administrator, request.Risk, request.Auditor)
	case VerbLog, VerbCheck:
		return p.has(request.Administrator, request.Risk, request.Auditor)
	default:
		return false
	}
}

// May says whether an active principal's roles let them do something that is no operation.
func (r *Rules) May(id custody.PersonID, v Verb) bool {
	p, ok := r.persons[id]
	return ok && p.Active && p.May(v)
}

// role denies what who asks has no role for.
func (r *Rules) role(d Decision, f *Facts, who *person) (Decision, bool) {
	if who.MayAsk(f.Operation) {
		return d, false
	}
	d.Rule = RuleRoles
	d.Unmet = []problem.Unmet{{Rule: RuleRoles, Criterion: "initiator.roles", Observed: clip(fmt.Sprintf("%s is %s, who may not ask for %s", f.Initiator, who.described(), f.Operation))}}
	return d, true
}

// described names line and roles.
func (p Principal) described() string {
	if p.Line == 0 {
		return "with the roles " + joined(p.EffectiveRoles(), ", ")
	}
	return fmt.Sprintf("of line %d with the roles %s", p.Line, joined(p.EffectiveRoles(), ", "))
}

// lined says whether the document gives anybody a line or roles.
func (d Document) lined() bool {
	return slices.ContainsFunc(d.Principals, func(p Principal) bool { return p.Line > 0 || len(p.Roles) > 0 })
}

// checkLines checks lines and roles of principals and groups.
func (d Document) checkLines() error {
	for _, p := range d.Principals {
		if err := p.CheckRoles(); err != nil {
			return inItem("principals", "principal", p.ID, err)
		}
	}
	for _, g := range d.Groups {
		if g.Line > request.MaxLine {
			return fmt.Errorf("group %s: line is %d; want 1, 2 or 3", g.ID, g.Line)
		}
		for _, m := range g.Members {
			if p, _ := d.principal(m); g.Line > 0 && p.Line != g.Line {
				return fmt.Errorf("group %s is of line %d, and its member %s is not", g.ID, g.Line, m)
			}
		}
	}
	return nil
}

// CheckRoles says whether kind, line and roles fit each other (docs/spec/roles.md).
func (p Principal) CheckRoles() error {
	if p.Line > request.MaxLine {
		return fmt.Errorf("line is %d; want 1, 2 or 3", p.Line)
	}
	if err := list("roles", p.Roles, func(r request.Role) error { return oneOf(r, request.Roles()) }); err != nil {
		return err
	}
	if p.Kind == Service && p.Line > 1 {
		return fmt.Errorf("a service can't be of line %d: people watch and audit", p.Line)
	}
	for _, r := range p.EffectiveRoles() {
		switch {
		case p.Kind == Service && r != request.Requester && r != request.Pricer:
			return fmt.Errorf("a service can't have the role %q; it is for people", r)
		case p.Line > 0 && r != request.Pricer && !slices.Contains(rolesOf(p.Line), r):
			return fmt.Errorf("role %q is not for line %d, whose people may be %s", r, p.Line, joined(rolesOf(p.Line), ", "))
		}
	}
	return nil
}

// checkApprovers says whether everybody whom a step counts has the role for it: a person of the second line approves in groups of that line only.
func (d Document) checkApprovers(g Group) error {
	for _, m := range g.Members {
		p, _ := d.principal(m)
		switch {
		case !p.May(VerbApprove):
			return fmt.Errorf("member %s is %s, who may not approve", m, p.described())
		case p.Line == 2 && g.Line != 2:
			return fmt.Errorf("member %s is of line 2, whose people approve in groups with line: 2 only", m)
		}
	}
	return nil
}

// checkFirstLine says whether each branch of a route's plan has a step that is not the second line's: who watches does not operate.
func (d Document) checkFirstLine(p Plan) error {
	for i, b := range p.AnyOf {
		if !slices.ContainsFunc(b.Steps, func(s Step) bool { g, _ := d.group(s.Group); return g.Line != 2 }) {
			return fmt.Errorf("branch %d has groups of line 2 only; somebody of the first line must approve too", i+1)
		}
	}
	return nil
}

// ofLine names the line of a group, if it has one.
func ofLine(g Group) string {
	if g.Line == 0 {
		return ""
	}
	return fmt.Sprintf(", of line %d", g.Line)
}

// diffLine tells how line and roles of a principal change.
func diffLine(a, b Principal, say func(string, ...any)) {
	if a.Line == b.Line && slices.Equal(a.Roles, b.Roles) {
		return
	}
	tell := func(p Principal) string {
		if len(p.EffectiveRoles()) == 0 {
			return "without line and roles, and may do all that the other rules allow"
		}
		return p.described()
	}
	way := "other powers"
	was, is := b.within(a), a.within(b)
	switch {
	case was && !is:
		way = "TIGHTER, less"
	case is && !was:
		way = "LOOSER, more"
	case was && is:
		way = "the same powers"
	}
	say("%s is now %s; was %s (%s)", a.ID, tell(b), tell(a), way)
}

// within says whether everything that a may do, b may do too.
func (p Principal) within(b Principal) bool {
	for _, o := range request.Operations() {
		if p.MayAsk(o) && !b.MayAsk(o) {
			return false
		}
	}
	for _, v := range Verbs() {
		if p.May(v) && !b.May(v) {
			return false
		}
	}
	return true
}
