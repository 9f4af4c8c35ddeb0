// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/secp"
	"strongroom/internal/pure/simulation"
)

// Moment is a reading of the clock: the true time is within Time ± Bound, Unix nanoseconds.
type Moment struct {
	Time  int64 `cbor:"1,keyasint"`
	Bound int64 `cbor:"2,keyasint"`
}

// DecideRequest says what the rules make of a new request: the entry to record, without its evidence. A failure means that the
// request is not recorded: it is malformed, expired, for another domain, or names what does not exist. A refusal by the rules
// is no failure: it is in the entry's decision.
func (s *State) DecideRequest(r *request.Parsed, kind policy.EvidenceKind, at Moment, derive Deriver) (*entry.Request, error) {
	return s.DecideRequestWith(r, kind, nil, at, derive)
}

// DecideRequestWith is [State.DecideRequest] of a request that came with the report of a simulation, or with none.
func (s *State) DecideRequestWith(r *request.Parsed, kind policy.EvidenceKind, told *simulation.Report, at Moment, derive Deriver) (*entry.Request, error) {
	if r.Authority != s.Authority || r.Domain != s.Domain {
		return nil, problem.New(problem.Forbidden, "the request is for domain %s; this is %s", r.Domain, s.Domain)
	}
	ttl := min(s.Doc.Floor.RequestTTL, request.MaxLifetime)
	if Expired(r.NotAfter, at.Time, at.Bound) {
		return nil, problem.New(problem.Expired, "the request's notAfter is past")
	}
	if r.NotAfter*1e9 > at.Time-at.Bound+ttl*1e9 {
		return nil, problem.New(problem.Malformed, "notAfter is more than %d seconds ahead, the longest that the rules allow", ttl)
	}
	if a := s.Anchoring(); r.NotAfter <= a.Fresh {
		return nil, problem.New(problem.Conflict, "entries of the log were lost, and this may have been asked before, and done: ask anew, with a notAfter after %d (Unix seconds)", a.Fresh)
	}
	x, err := s.describe(r, kind, told, at, derive)
	if err != nil {
		if k := problem.KindOf(err); k == problem.Zeroized || k == problem.Reanchoring {
			return nil, err
		}
		// Who has no power for it is told so, and not what there is.
		facts := policy.Facts{Operation: r.Operation, Initiator: r.Initiator, Evidence: kind, Context: s.View(at).context()}
		if d, no := s.Rules.Powerless(facts); no && d.Outcome != policy.Allowed {
			return nil, refusal(d)
		}
		return nil, err
	}
	out := entry.NewRequest(r)
	c := s.Rules.Case(x.facts)
	d := Judge(c, x.document)
	d = s.limited(c, Charge(c, d, FeeCap(x.bounds, d), false), nil, at)
	if r.NotAfter*1e9 <= at.Time+at.Bound+d.Delay*1e9 && d.Delay > 0 {
		return nil, problem.New(problem.Malformed, "the rules ask for a delay of %d seconds, and notAfter comes before its end", d.Delay)
	}
	out.Facts, out.Effects, out.Bounds, out.Decision = x.facts, x.effects, x.bounds, d
	return out, nil
}

// Judge evaluates rules for what a request does; next is the document that it makes, if it makes one: then it may need more plans than
// its own.
func Judge(c *policy.Case, next *policy.Document) policy.Decision {
	d := c.Decide()
	if next == nil || d.Outcome != policy.Allowed {
		return d
	}
	return c.Rules().Require(d, c.Facts().Initiator, policy.Requirements(c.Rules().Document(), *next))
}

// editDocument gives the document that a governance request makes of the current one.
func (s *State) editDocument(r *request.Parsed) (policy.Document, error) {
	if err := CheckPossession(s.Authority, r); err != nil {
		return policy.Document{}, err
	}
	if err := s.notBlocked(r.Decoded); err != nil {
		return policy.Document{}, err
	}
	if err := s.checkReplay(r.Decoded); err != nil {
		return policy.Document{}, err
	}
	doc, err := policy.Apply(s.Profile, s.Doc, r.Operation, r.Decoded)
	if err == nil {
		err = s.book.fits(doc)
	}
	if err != nil {
		return doc, problem.New(problem.Conflict, "the change can't be made to rule document version %d: %v", s.Doc.Version, err)
	}
	return doc, nil
}

// refusal turns a decision that does not allow into a problem.
func refusal(d policy.Decision) error {
	detail := fmt.Sprintf("rule %q of document version %d refuses", d.Rule, d.Version)
	if d.Outcome == policy.Held {
		detail = fmt.Sprintf("rule %q of document version %d holds this back for now", d.Rule, d.Version)
	}
	if d.Reason != "" {
		detail += ": " + d.Reason
	}
	if (d.Rule == policy.RuleFrozen || d.Rule == policy.RuleDraining) && len(d.Unmet) > 0 && d.Unmet[0].Criterion == policy.CriterionMode {
		return &problem.Error{Kind: problem.Frozen, Detail: d.Unmet[0].Observed, Rule: d.Rule, Unmet: d.Unmet}
	}
	kind := problem.RefusedByRule
	if d.Rule == policy.RuleUndecodable && len(d.Unmet) > 0 {
		kind, detail = problem.Undecodable, fmt.Sprintf("nobody can say what the call does: %s", d.Unmet[0].Observed)
	}
	lacks := func(is bool) func(problem.Unmet) bool {
		return func(u problem.Unmet) bool { return u.Rule == d.Rule && (u.Criterion == policy.CriterionPrice) == is }
	}
	if slices.ContainsFunc(d.Unmet, lacks(true)) && !slices.ContainsFunc(d.Unmet, lacks(false)) { // else it is refused for what is known
		kind = problem.NoPrice
	}
	if slices.ContainsFunc(d.Unmet, func(u problem.Unmet) bool { return u.Rule == d.Rule && u.Criterion == policy.CriterionScreening }) && d.Rule != "facts" {
		kind = problem.NoVerdict
	}
	return &problem.Error{Kind: kind, Detail: detail, Rule: d.Rule, Unmet: d.Unmet}
}

// Refused gives the problem that says why a recorded decision does not allow, or nil if it allows.
func Refused(d policy.Decision) error {
	if d.Outcome == policy.Allowed {
		return nil
	}
	return refusal(d)
}

// decideNow evaluates the rules again for a request that waits, and checks its approvals. fee is what its payload may cost; nil while there
// is none.
func (s *State) decideNow(p *Pending, r *request.Parsed, fee *custody.Uint256, at Moment, derive Deriver) (now, error) {
	if Expired(r.NotAfter, at.Time, at.Bound) {
		return now{}, problem.New(problem.Expired, "the request is past its notAfter")
	}
	x, err := s.describe(r, p.Evidence, p.Simulation, at, derive) // the address book may have changed
	if err != nil {
		return now{}, err
	}
	c := s.Rules.Case(x.facts)
	d := Judge(c, x.document)
	most := FeeCap(p.Bounds, p.Decision, d)
	if fee != nil {
		most = *fee
	}
	d = s.limited(c, Charge(c, d, most, false), p.reserved, at)
	if d.Outcome != policy.Allowed {
		return now{}, refusal(d)
	}
	if err := s.unheld(p.ID); err != nil {
		return now{}, err
	}
	if err := s.plansMet(p, d, at); err != nil {
		var q *QuorumError
		var wait *WaitError
		switch {
		case errors.As(err, &q):
			err = &problem.Error{Kind: problem.QuorumNotMet, Detail: q.Error(), Rule: q.Rule, Unmet: q.Unmet}
		case errors.As(err, &wait):
			err = &problem.Error{Kind: problem.NotYet, Detail: wait.Error(), Rule: wait.Rule}
		}
		return now{}, err
	}
	used := make([]uint64, 0, len(p.Approvals))
	for _, v := range p.Approvals {
		used = append(used, v.Seq)
	}
	return now{d, used, x}, nil
}

// now is a request that waits, decided again: it may be done.
type now struct {
	decision policy.Decision
	used     []uint64 // entries of its approvals
	is       described
}

// Ready says whether a request that waits has what it needs now: nil, or the problem that says what is missing.
func (s *State) Ready(p *Pending, at Moment, derive Deriver) error {
	r, err := p.Parse()
	if err != nil {
		return err
	}
	_, err = s.decideNow(p, r, nil, at, derive)
	return err
}

// DecideEffect says whether an approved request other than a transfer may take effect now: the entry to record, without the
// wallet and key that the core makes.
func (s *State) DecideEffect(p *Pending, at Moment, derive Deriver) (*entry.Effect, request.Body, error) {
	e, body, err := s.PlanEffect(p, at, derive)
	if err == nil && e.Addresses != nil {
		w, _, _ := s.Wallet(e.Addresses.Wallet)
		e.Addresses.Root, err = BatchRoot(w, *e.Addresses, derive)
	}
	return e, body, err
}

// PlanEffect is [DecideEffect] without the root of a batch of addresses, which takes long: the caller fills it in.
func (s *State) PlanEffect(p *Pending, at Moment, derive Deriver) (*entry.Effect, request.Body, error) {
	r, err := p.Parse()
	if err != nil {
		return nil, nil, err
	}
	body := r.Decoded
	if r.Operation.Signs() {
		return nil, nil, problem.New(problem.Conflict, "a %s is signed, not executed", r.Operation)
	}
	d, err := s.decideNow(p, r, nil, at, derive)
	if err != nil {
		return nil, nil, err
	}
	e := &entry.Effect{Request: p.ID, Decision: d.decision, Approvals: d.used, Trail: slices.Clone(p.Trail)}
	switch o := body.(type) {
	case *request.WalletCreateBody:
	case *request.AddressCreateBody:
		_, next, _ := s.Wallet(o.Wallet)
		b := entry.AddressBatch{Wallet: o.Wallet, From: next[0], Count: o.Count}
		if uint64(b.From)+uint64(b.Count) > uint64(secp.HardenedBit) {
			return nil, nil, problem.New(problem.TooLarge, "wallet %q has no %d addresses left", o.Wallet, o.Count)
		}
		e.Addresses = &b
	case request.WarmBody:
		e.Warm = &d.is.warm
	case request.AppBody:
		e.App = &d.is.app
	case *request.WalletMoveBody:
		e.Move = &d.is.move
	case request.LifeBody:
		e.Life = &d.is.life
	case *request.SlotReconcileBody:
		e.Slots = &d.is.slots
	case request.OversightBody:
		e.Oversight = &d.is.oversight
	default:
		if d.is.document != nil { // else the address ledger, whose change follows from the request
			e.Document = d.is.document.Encode()
		}
	}
	return e, body, nil
}

// Statement gives the approval statement of a request that waits; each approver signs their own copy ([request.Statement.By]).
func (s *State) Statement(p *Pending, initiator custody.PersonID) request.Statement {
	return StatementOf(s.Authority, s.Domain, p.ID, initiator, p.Effects, p.Bounds, p.Decision)
}

// StatementOf builds the statement from what the log records of a request.
func StatementOf(a custody.AuthorityID, d custody.DomainID, id custody.RequestID, by custody.PersonID, e request.Effects, b request.Bounds, dec policy.Decision) request.Statement {
	s := request.Statement{V: 1, Authority: a, Domain: d, Request: id, Initiator: by, Effects: e, Bounds: b, PolicyVersion: dec.Version, PolicyHash: dec.Hash}
	if e.Message != nil {
		s.Exact = e.Message.Exact
	}
	return s
}

// CheckApproval says whether a person's decision on a request that waits may be recorded: key, role, signature, time.
func (s *State) CheckApproval(p *Pending, a request.Approval, at Moment) error {
	if err := a.Check(); err != nil {
		return problem.New(problem.Malformed, "%v", err)
	}
	if err := s.alive(p.Effects.Operation); err != nil {
		return err
	}
	if a.Decision == request.Approve {
		if err := s.takes(p.Effects.Operation, at); err != nil {
			return err
		}
	}
	if Expired(p.Bounds.NotAfter, at.Time, at.Bound) {
		return problem.New(problem.Expired, "the request is past its notAfter")
	}
	who, key, ok := s.Rules.Key(a.Key)
	if !ok || who.ID != a.Person || !who.Active {
		return problem.New(problem.Unauthenticated, "key %s is not an active key of %s", a.Key, a.Person)
	}
	if !key.Verify(s.Statement(p, p.Initiator).By(a.Person, a.Decision).Message(), a.Sig) {
		return problem.New(problem.Unauthenticated, "the signature does not verify for this request, these effects and this decision")
	}
	return s.mayDecide(p, a, at)
}

func (s *State) mayDecide(p *Pending, a request.Approval, at Moment) error {
	if a.Decision == request.Cancel {
		if a.Person != p.Initiator {
			return problem.New(problem.Forbidden, "only the initiator cancels; an approver rejects")
		}
		return nil
	}
	if a.Person == p.Initiator {
		return problem.New(problem.Forbidden, "the initiator can't approve or reject their own request")
	}
	if !s.Rules.May(a.Person, policy.VerbApprove) {
		return &problem.Error{Kind: problem.Forbidden, Detail: fmt.Sprintf("%s has no role that approves or rejects", a.Person), Rule: policy.RuleRoles}
	}
	if !s.hasSay(p, a, at) {
		return problem.New(problem.Forbidden, "%s is in no group that the plan of rule %q names, nor a plan that the request needs as things are now", a.Person, p.Decision.Rule)
	}
	if a.Decision == request.Approve {
		if seq, done := s.approved(p, a.Person, at); done {
			return problem.New(problem.AlreadyDone, "%s approved this request already, in entry %d", a.Person, seq)
		}
	}
	return nil
}

// CheckSession says whether a session may be opened now: by an active service, with its signature, for a day at most.
func (s *State) CheckSession(o request.SessionOpening, b *entry.Session, at Moment) error {
	if err := s.alive(""); err != nil {
		return err
	}
	if err := s.takes(request.Transfer, at); err != nil {
		return err
	}
	switch {
	case o.V != 1 || o.Authority != s.Authority || o.Domain != s.Domain:
		return problem.New(problem.Forbidden, "the session opening is for another domain")
	case Expired(o.NotAfter, at.Time, at.Bound) || o.NotAfter > at.Time/1e9+request.MaxSession:
		return problem.New(problem.Malformed, "a session ends within %d seconds from now", request.MaxSession)
	case len(s.sessions) >= MaxSessions:
		return problem.New(problem.Busy, "%d sessions are open already", MaxSessions)
	}
	who, key, ok := s.Rules.Key(b.Key)
	if !ok || who.ID != o.Service || !who.Active || len(b.Sig) != 64 || !key.Verify(canon.TagBytes(canon.TagSession, b.Opening), b.Sig) {
		return problem.New(problem.Unauthenticated, "the opening is not signed by an active key of %s", o.Service)
	}
	if who.Kind != policy.Service {
		return problem.New(problem.Forbidden, "sessions are for services; people sign each request")
	}
	if !who.May(policy.VerbSession) {
		return &problem.Error{Kind: problem.Forbidden, Detail: fmt.Sprintf("%s has no role that opens sessions", o.Service), Rule: policy.RuleRoles}
	}
	open := 0
	for _, x := range s.sessions {
		if x.Service == o.Service {
			open++
		}
	}
	if open >= MaxOwnSessions {
		return problem.New(problem.Busy, "%d sessions of %s are open already", open, o.Service)
	}
	return nil
}
