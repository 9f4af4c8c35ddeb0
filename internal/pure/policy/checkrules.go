// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

func compare[T ~string](a, b T) int { return cmp.Compare(a, b) }

func (d Document) checkRules() error {
	if len(d.Guards) > MaxGuards || len(d.Routes) > MaxRoutes {
		return fmt.Errorf("has %d guards and %d routes; want at most %d and %d", len(d.Guards), len(d.Routes), MaxGuards, MaxRoutes)
	}
	ids := make(map[string]bool, len(d.Guards)+len(d.Routes)+len(d.Limits))
	fresh := func(what, id string) error {
		if err := custody.CheckSlug(what, id); err != nil {
			return err
		}
		switch id {
		case RuleChangePlan, RuleSignaturePlan, RuleRevocationPlan, RuleRecoveryPlan, RuleZeroize, RuleFloor, RuleDefaultDeny, RuleWhitelistPlan, RuleRamp, RuleBlacklist, RuleSuspended, RuleLookalike, RuleCallDefaults, RuleUndecodable, "facts", "limits", "obligations", "plan", "principals":
			return fmt.Errorf("%s: the id %q is reserved", what, id)
		}
		if d.oversightRule(id) {
			return fmt.Errorf("%s: the id %q is reserved", what, id)
		}
		if ids[id] {
			return fmt.Errorf("%s %s: another rule has this id", what, id)
		}
		ids[id] = true
		return nil
	}
	for i, g := range d.Guards {
		if err := fresh("guard", g.ID); err != nil {
			return err
		}
		if i > 0 && d.Guards[i-1].ID >= g.ID {
			return fmt.Errorf("guards must be sorted by id: %s comes after %s", g.ID, d.Guards[i-1].ID)
		}
		if err := d.checkGuard(g); err != nil {
			return inItem("guards", "guard", g.ID, err)
		}
	}
	for i, r := range d.Routes {
		if err := fresh("route", r.ID); err != nil {
			return err
		}
		if i > 0 && d.Routes[i-1].Priority >= r.Priority {
			return fmt.Errorf("routes must be sorted by priority and no two may share one: %s (%d) comes after %s (%d)",
				r.ID, r.Priority, d.Routes[i-1].ID, d.Routes[i-1].Priority)
		}
		if err := d.checkRoute(r); err != nil {
			return inItem("routes", "route", r.ID, err)
		}
	}
	for _, l := range d.Limits {
		if err := fresh("limit", l.ID); err != nil {
			return err
		}
	}
	for _, o := range d.Obligations {
		if err := fresh("obligation", o.ID); err != nil {
			return err
		}
	}
	return nil
}

func (d Document) checkGuard(g Guard) error {
	if err := checkText("title", g.Title, MaxTitle); err != nil {
		return err
	}
	if g.Reason != "" {
		if err := custody.CheckSlug("reason code", g.Reason); err != nil {
			return err
		}
	}
	if g.Effect != Deny && g.Effect != Hold {
		return fmt.Errorf("effect %q is neither %q nor %q", string(g.Effect), Deny, Hold)
	}
	return cmp.Or(g.When.noSimulation(), d.checkMatch(g.When))
}

func (d Document) checkRoute(r Route) error {
	for _, o := range r.When.Operations {
		if o.Governance() {
			return fmt.Errorf("operation %s always takes the plan that is reserved for it; take it out of the route", o)
		}
		if r.Auto && o.NeverAutomatic() {
			return fmt.Errorf("operation %s can't be automatic: people must approve it; give the route a plan", o)
		}
	}
	switch {
	case r.Auto && len(r.Plan.AnyOf) > 0:
		return errors.New("an automatic route has no plan; take one of the two out")
	case r.Auto && r.When.raw():
		return errors.New("a route for calls that nobody can read has a plan: people must answer for them")
	case r.Auto && len(r.When.Operations) == 0:
		return errors.New("an automatic route must name its operations")
	case !r.Auto && len(r.Plan.AnyOf) == 0:
		return errors.New("needs a plan, or auto: true")
	}
	return cmp.Or(r.When.noSimulation(), d.checkMatch(r.When))
}

func (d Document) checkMatch(m Match) error {
	known := func(s string, ok bool) error {
		if ok {
			return nil
		}
		return fmt.Errorf("%q is not in the document", s)
	}
	if err := cmp.Or(
		list("operation", m.Operations, func(o request.Operation) error { return oneOf(o, request.Operations()) }),
		list("initiator.principals", m.Initiators, func(p custody.PersonID) error { _, ok := d.principal(p); return known(string(p), ok) }),
		list("initiator.groups", m.InitiatorIn, func(g custody.GroupID) error { _, ok := d.group(g); return known(string(g), ok) }),
		list("initiator.kind", m.InitiatorKind, func(k PrincipalKind) error { return oneOf(k, []PrincipalKind{Human, Service}) }),
		list("source.wallets", m.Wallets, custody.WalletID.Check),
		list("source.chains", m.Chains, custody.ChainID.Check),
		list("asset.ids", m.Assets, custody.AssetID.Check),
		list("destination.kind", m.Destination, checkKind),
		list("destination.not", m.DestNot, checkKind),
		list("destination.ids", m.Books, func(id string) error { _, ok := d.bookEntry(id); return known(id, ok) }),
		checkText("expr", m.Expr, MaxExpr),
		list("source.class", m.Classes, request.Class.Check),
		d.checkAround(m),
		list("initiator.roles", m.InitiatorRoles, func(r request.Role) error { return oneOf(r, request.Roles()) }),
		d.checkDestinations(m),
		d.checkSigning(m),
		d.checkFiat(m),
		m.Simulation.check(),
		d.checkScreened(m),
	); err != nil {
		return fmt.Errorf("when.%w", err)
	}
	if m.AmountMax != nil && m.AmountOver != nil && m.AmountOver.Cmp(*m.AmountMax) >= 0 {
		return fmt.Errorf("when.amount: over %s is not less than max %s, so nothing matches", m.AmountOver, m.AmountMax)
	}
	return nil
}

// errInternalWallet says why the reserved kind is refused and what to write instead.
var errInternalWallet = fmt.Errorf("%q is reserved: this version doesn't tell own addresses from others; put own addresses that pay each other into the address book, they are then %q",
	string(InternalWallet), string(Whitelisted))

func checkKind(k DestinationKind) error {
	if k == InternalWallet {
		return errInternalWallet
	}
	return oneOf(k, []DestinationKind{Whitelisted, OneTime, Cooling, Expired, Suspended})
}

func oneOf[T ~string](v T, of []T) error {
	if slices.Contains(of, v) {
		return nil
	}
	return fmt.Errorf("%q is none of %v", string(v), of)
}

// list checks one field of a match: sorted, distinct, not too long, each value fit.
func list[T ~string](what string, vs []T, check func(T) error) error {
	if len(vs) > MaxList {
		return fmt.Errorf("%s has %d values, more than %d", what, len(vs), MaxList)
	}
	if !sortedDistinct(vs) {
		return fmt.Errorf("%s must be sorted and distinct", what)
	}
	for _, v := range vs {
		if err := check(v); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
	}
	return nil
}

func (d Document) checkPlans() error {
	for _, p := range d.reserved() {
		if len(p.plan.AnyOf) == 0 {
			return fmt.Errorf("%s: needs a branch; without one it could never be met", p.place)
		}
		for i, b := range p.plan.AnyOf {
			for _, s := range b.Steps {
				if len(s.Differ) > 0 {
					return fmt.Errorf("%s: branch %d (group %s): mustDifferFrom has no place in a reserved plan; make a group without those people", p.place, i+1, s.Group)
				}
			}
		}
	}
	for _, b := range d.Plans().Recovery.AnyOf { // it also signs outside of the log (docs/spec/reanchor.md)
		if slices.ContainsFunc(b.Steps, func(s Step) bool { return s.Ordered || s.Hardware }) {
			return errors.New("the plan of recovery signs a re-anchoring with key files, in no order: no ordered, no hardwareOnly; give the domain a recovery plan of its own")
		}
	}
	for _, p := range d.plans() {
		if err := d.checkPlan(p.plan); err != nil {
			if word, plan, ok := strings.Cut(p.place, " "+p.rule+": "); ok { // of a route, an obligation or a limit
				return inItem(word+"s", word, p.rule, fmt.Errorf("%s: %w", plan, err))
			}
			return fmt.Errorf("%s: %w", p.place, err)
		}
	}
	for _, r := range d.Routes {
		if err := d.checkFirstLine(r.Plan); err != nil {
			return inItem("routes", "route", r.ID, fmt.Errorf("plan: %w", err))
		}
	}
	return nil
}

func (d Document) checkPlan(p Plan) error {
	if len(p.AnyOf) > MaxBranches {
		return fmt.Errorf("has %d branches, more than %d", len(p.AnyOf), MaxBranches)
	}
	for i, b := range p.AnyOf {
		if len(b.Steps) == 0 || len(b.Steps) > MaxSteps {
			return fmt.Errorf("branch %d has %d steps; want 1 to %d", i+1, len(b.Steps), MaxSteps)
		}
		if err := d.checkTimes(b); err != nil {
			return fmt.Errorf("branch %d: %w", i+1, err)
		}
		for j, s := range b.Steps {
			if err := d.checkStep(b, j); err != nil {
				return fmt.Errorf("branch %d step %d (group %s): %w", i+1, j+1, s.Group, err)
			}
		}
	}
	return nil
}

// checkTimes checks the times of a branch, and that it has steps of as many groups as the floor asks: each of its steps is of another group, and each
// person counts for one.
func (d Document) checkTimes(b Branch) error {
	f := d.Floor
	switch {
	case b.Delay < 0 || b.Delay >= f.RequestTTL:
		return fmt.Errorf("delay is %d seconds; a request lives %d, so that the branch could never be met", b.Delay, f.RequestTTL)
	case b.ExpiresAfter < 0 || b.ExpiresAfter > 0 && b.ExpiresAfter < MinTTL || b.ExpiresAfter > f.MaxApprovalAge:
		return fmt.Errorf("expiresAfter is %d seconds; want %d to floor.maxApprovalAge, %d", b.ExpiresAfter, MinTTL, f.MaxApprovalAge)
	case b.Deadline < 0 || b.Deadline > 0 && b.Deadline < max(MinTTL, b.Delay+1) || b.Deadline > f.RequestTTL:
		return fmt.Errorf("deadline is %d seconds; want %d at least, more than the delay, and floor.requestTTL (%d) at most", b.Deadline, MinTTL, f.RequestTTL)
	case len(b.Steps) < int(f.MinDistinctGroups):
		return fmt.Errorf("has steps of %d groups; floor.minDistinctGroups is %d", len(b.Steps), f.MinDistinctGroups)
	default:
		return nil
	}
}

func (d Document) checkStep(b Branch, j int) error {
	s := b.Steps[j]
	if slices.ContainsFunc(b.Steps[:j], func(o Step) bool { return o.Group == s.Group }) {
		return errors.New("an earlier step names the same group; add the two numbers up")
	}
	if s.Min < 1 || s.Min > MaxStepMin {
		return fmt.Errorf("min is %d; want 1 to %d", s.Min, MaxStepMin)
	}
	if s.Ordered && j == 0 {
		return errors.New("ordered: there is no step before the first")
	}
	known := func(g custody.GroupID) error {
		if _, ok := d.group(g); !ok {
			return fmt.Errorf("%q is not in the document", string(g))
		}
		return nil
	}
	if err := cmp.Or(list("mustDifferFrom", s.Differ, known), list("veto", s.Veto, known)); err != nil {
		return err
	}
	g, ok := d.group(s.Group)
	if !ok {
		return errors.New("the group is not in the document")
	}
	for _, m := range g.Members {
		if p, _ := d.principal(m); p.Kind != Human {
			return fmt.Errorf("member %s is a service; a group that approves has people only", m)
		}
	}
	if err := d.checkApprovers(g); err != nil {
		return err
	}
	if int(s.Min) > len(g.Members) {
		return fmt.Errorf("asks for %d approvals, but the group has %d active people", s.Min, len(g.Members))
	}
	return nil
}

// seats is how many people a branch asks for.
func (b Branch) seats() (n int) {
	for _, s := range b.Steps {
		n += int(s.Min)
	}
	return n
}

// satisfiable says whether each branch of each plan can be met when somebody else asks, and whether some active principal can
// still have the rules changed. With lone, a first document with one active principal is let through.
func (r *Rules) satisfiable(lone bool) error {
	active := 0
	for _, p := range r.persons {
		if p.Active {
			active++
		}
	}
	if lone && r.doc.Version == 1 && active == 1 {
		return nil
	}
	for _, p := range r.doc.plans() {
		if err := r.satisfiablePlan(p.plan, active); err != nil {
			return r.doc.bad("%s %w", p.place, err)
		}
	}
	guard, obligation, found := r.changeable()
	if found {
		return nil
	}
	if guard != "" {
		return r.doc.bad("guard %s would refuse every change of the rules, its own removal too; limit it with operation, for instance [transfer]", guard)
	}
	if obligation != "" {
		return r.doc.bad("obligation %s asks for more than can be met of every change of the rules, its own removal too; limit it with operation", obligation)
	}
	return r.doc.bad("nobody could ask for a change of the rules that others could then approve; see changePlan")
}

// changeable says whether somebody could ask, at some time, for a change of the rules that guards let through and others could approve; if not,
// which guard or obligation stands in the way.
func (r *Rules) changeable() (guard, obligation string, found bool) {
	tries := 0
	for _, p := range r.doc.Principals { // in order, so that the same document gives the same error
		for _, at := range r.instants() {
			d := r.Evaluate(Facts{Operation: request.PolicyChange, Initiator: p.ID, Evidence: BySignature, Around: at})
			if d.Outcome == Allowed {
				return "", "", true
			}
			if tries++; !p.Active || tries > maxTries {
				break
			}
			if d.Rule != RuleFloor && d.Rule != RuleRoles && guard == "" {
				guard = d.Rule
			}
			if d.Rule == RuleFloor && len(d.Unmet) > 0 && r.isObligation(d.Unmet[0].Rule) {
				obligation = d.Unmet[0].Rule
			}
		}
	}
	return guard, obligation, false
}

func (r *Rules) isObligation(id string) bool {
	return slices.ContainsFunc(r.doc.Obligations, func(o Obligation) bool { return o.ID == id })
}

func (r *Rules) satisfiablePlan(p Plan, active int) error {
	for i, b := range p.AnyOf {
		people := make(map[custody.PersonID]bool)
		for _, s := range b.Steps {
			for _, m := range r.groups[s.Group] {
				people[m] = true
			}
		}
		have := len(people)
		if active == have { // whoever asks is one of them
			have--
		}
		need := max(b.seats(), int(r.doc.Floor.MinDistinctUsers))
		if need > have {
			return fmt.Errorf("branch %d needs %d different people beside the one who asks, and its groups have %d", i+1, need, have)
		}
		if lacks := r.lacks(b, r.everybody("")); len(lacks) > 0 {
			return fmt.Errorf("branch %d can't be met, because each person counts for one step only, if at all: %s", i+1, lacks[0].Criterion)
		}
	}
	return nil
}
