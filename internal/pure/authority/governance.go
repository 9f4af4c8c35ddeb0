// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// MaxHeld is how many requests are held at a time. Each is one that waits.
const MaxHeld = 10_000

// ModeState is an operational state other than the normal one. docs/spec/operational-state.md.
type ModeState struct {
	Mode   policy.Mode      `cbor:"1,keyasint"`           // frozen or draining
	Since  uint64           `cbor:"2,keyasint"`           // entry
	By     custody.PersonID `cbor:"3,keyasint,omitempty"` // who asked for it; nobody after a gap
	Reason string           `cbor:"4,keyasint,omitempty"`
	Until  int64            `cbor:"5,keyasint,omitempty"` // end of a drain, Unix seconds; the domain is frozen then
}

// Hold is what keeps a request from its permit and effect.
type Hold struct {
	Request custody.RequestID `cbor:"1,keyasint"`
	Seq     uint64            `cbor:"2,keyasint"` // entry that holds it
	By      custody.PersonID  `cbor:"3,keyasint"`
	Reason  string            `cbor:"4,keyasint"`
}

// governance is what people decided of the domain beside its rules.
type governance struct {
	mode *ModeState                 // nil: normal. Who gets it must not change what it points to
	held map[custody.RequestID]Hold // of requests that wait

	prices   prices
	verdicts verdicts
}

// governanceSection is section 23: what people decided of the domain beside its rules, and what rules look at besides wallets and limits. Each part is left out
// while it is empty, and so is the whole.
type governanceSection struct {
	Mode *ModeState `cbor:"1,keyasint,omitempty"`
	Held []Hold     `cbor:"2,keyasint,omitempty"` // by entry

	Book *chainState `cbor:"3,keyasint,omitempty"` // address ledger, with the ages of the document's own entries
	Paid *chainState `cbor:"4,keyasint,omitempty"` // destinations paid, while the document asks for them

	Prices *priceSection `cbor:"5,keyasint,omitempty"` // quotes, and the values accepted

	Verdicts *verdictSection `cbor:"6,keyasint,omitempty"` // verdicts of screening
}

// Mode gives the operational state at a moment. A drain that may be past its time is a freeze.
func (s *State) Mode(at Moment) policy.Mode {
	m := s.gov.mode
	switch {
	case m == nil:
		return policy.Normal
	case m.Mode == policy.Draining && !Expired(m.Until, at.Time, at.Bound):
		return policy.Draining
	default:
		return policy.Frozen
	}
}

// ModeState gives what the operational state rests on; nil while it is normal. The caller must not change it.
func (s *State) ModeState() *ModeState { return s.gov.mode }

// HoldOf gives what holds a request.
func (s *State) HoldOf(id custody.RequestID) (Hold, bool) { h, ok := s.gov.held[id]; return h, ok }

// OnHold counts the requests that are held.
func (s *State) OnHold() int { return len(s.gov.held) }

// since is the entry of the operational state; 0 while it is normal.
func (g *governance) since() uint64 {
	if g.mode == nil {
		return 0
	}
	return g.mode.Since
}

// frozenProblem says that the operational state does not take something.
func frozenProblem(m policy.Mode, since uint64, what string) error {
	rule := policy.RuleFrozen
	if m == policy.Draining {
		rule = policy.RuleDraining
	}
	return &problem.Error{Kind: problem.Frozen, Rule: rule, Detail: fmt.Sprintf("the domain is %s since entry %d: %s", m, since, what),
		Unmet: []problem.Unmet{{Rule: rule, Criterion: policy.CriterionMode, Observed: string(m)}}}
}

// takes says whether the operational state takes an operation at a moment.
func (s *State) takes(o request.Operation, at Moment) error {
	if s.gov.mode == nil || policy.TakenIn(s.Mode(at), o) {
		return nil
	}
	return frozenProblem(s.Mode(at), s.gov.since(), fmt.Sprintf("it takes no %s", o))
}

// takesOutputs says whether the operational state takes a transfer's destinations.
func (s *State) takesOutputs(e *request.Effects, at Moment) error {
	if s.gov.mode == nil || s.Mode(at) != policy.Draining {
		return nil
	}
	for _, o := range e.Outputs {
		if !s.Rules.Drains(e.Chain, o.Address) {
			return frozenProblem(policy.Draining, s.gov.since(), "it pays the destinations of breakGlass.drainTo only")
		}
	}
	return nil
}

// TakesApps says whether applications may use keys at a moment.
func (s *State) TakesApps(at Moment) error {
	if m := s.Mode(at); m != policy.Normal {
		return frozenProblem(m, s.gov.since(), "applications use no keys")
	}
	return nil
}

// TakesBundles says whether anything goes to offline domains, or comes back, at a moment.
func (s *State) TakesBundles(at Moment) error {
	if m := s.Mode(at); m != policy.Normal {
		return frozenProblem(m, s.gov.since(), "nothing goes to an offline domain or comes back")
	}
	return nil
}

// takesEntry says whether the operational state takes an entry. What records what happened is always taken, and so are rejections.
func (s *State) takesEntry(body any, at Moment) error {
	if s.gov.mode == nil {
		return nil
	}
	operation := func(id custody.RequestID) error {
		if p, ok := s.pending[id]; ok {
			return s.takes(p.Effects.Operation, at)
		}
		if g, ok := s.signed[id]; ok && g.Operation != "" {
			return s.takes(g.Operation, at)
		}
		return s.takes(request.Transfer, at)
	}
	switch b := body.(type) {
	case *entry.Request:
		if b.Decision.Outcome != policy.Allowed {
			return nil
		}
		return errors.Join(s.takes(b.Effects.Operation, at), s.takesOutputs(&b.Effects, at))
	case *entry.Approval:
		if b.Approval.Decision != request.Approve {
			return nil
		}
		return operation(b.Approval.Request)
	case *entry.Permit:
		if p, ok := s.pending[b.Request]; ok {
			return errors.Join(operation(b.Request), s.takesOutputs(&p.Effects, at))
		}
		return operation(b.Request)
	case *entry.Effect:
		return operation(b.Request)
	case *entry.Session:
		return s.takes(request.Transfer, at)
	case *entry.Uses:
		if b.Number > 0 || len(b.Logins) > 0 {
			return s.TakesApps(at)
		}
	}
	return nil
}

// unheld says whether nobody holds a request that waits.
func (s *State) unheld(id custody.RequestID) error {
	h, ok := s.gov.held[id]
	if !ok {
		return nil
	}
	observed := fmt.Sprintf("%s holds it since entry %d: %s", h.By, h.Seq, h.Reason)
	return &problem.Error{Kind: problem.RefusedByRule, Rule: policy.RuleHeld, Detail: "the request is held: " + observed,
		Unmet: []problem.Unmet{{Rule: policy.RuleHeld, Criterion: "hold", Observed: observed}}}
}

// overseeing is what an operation of oversight does.
type overseeing struct {
	effect entry.Oversight
	commit func(seq uint64)
}

// changeOversight says what an operation does in the state as it is, or the problem that says why it can't be done now. Decisions and the fold both ask here.
func (s *State) changeOversight(r *request.Parsed, at Moment) (c overseeing, err error) {
	switch o := r.Decoded.(type) {
	case *request.FreezeBody:
		if m := s.gov.mode; m != nil && m.Mode == policy.Frozen {
			return c, problem.New(problem.Conflict, "the domain is frozen already, since entry %d", m.Since)
		}
		return s.enter(policy.Frozen, 0, r.Initiator, o.Reason), nil
	case *request.UnfreezeBody:
		if m := s.Mode(at); m != policy.Frozen || o.Since != s.gov.since() {
			return c, s.otherMode(m, o.Since)
		}
		return s.leave(), nil
	case *request.ResumeBody:
		if m := s.Mode(at); m == policy.Normal || o.Since != s.gov.since() {
			return c, s.otherMode(m, o.Since)
		}
		return s.leave(), nil
	case *request.DrainBody:
		if m := s.Mode(at); m == policy.Draining || o.Since != s.gov.since() {
			return c, s.otherMode(m, o.Since)
		}
		if s.Doc.BreakGlass == nil {
			return c, problem.New(problem.Conflict, "the rule document has no breakGlass, so that the domain can't drain")
		}
		return s.enter(policy.Draining, (at.Time-at.Bound)/1e9+s.Doc.BreakGlass.Duration, r.Initiator, o.Reason), nil
	case *request.RequestHoldBody:
		return s.hold(r.Initiator, o)
	case *request.RequestReleaseBody:
		return s.letGo(o)
	default:
		return c, fmt.Errorf("body of type %T is no operation of oversight", o)
	}
}

func (s *State) otherMode(m policy.Mode, named uint64) error {
	if m == policy.Normal {
		return problem.New(problem.Conflict, "the domain is in its normal state; the request names entry %d", named)
	}
	return problem.New(problem.Conflict, "the domain is %s since entry %d; the request is not for that, but names entry %d: ask again", m, s.gov.since(), named)
}

// enter freezes or begins to drain: sessions of services and of warm wallets end with it, and are opened anew after it.
func (s *State) enter(m policy.Mode, until int64, by custody.PersonID, reason string) overseeing {
	return overseeing{effect: entry.Oversight{Mode: m, Until: until}, commit: func(seq uint64) {
		s.gov.mode = &ModeState{Mode: m, Since: seq, By: by, Reason: reason, Until: until}
		clear(s.sessions)
		for n := range s.warm {
			s.setSessions(n, nil)
		}
	}}
}

func (s *State) leave() overseeing {
	return overseeing{effect: entry.Oversight{Mode: policy.Normal}, commit: func(uint64) { s.gov.mode = nil }}
}

func (s *State) hold(by custody.PersonID, o *request.RequestHoldBody) (c overseeing, err error) {
	id := custody.RequestID(o.Request)
	p, ok := s.pending[id]
	switch h, held := s.gov.held[id]; {
	case !ok:
		return c, problem.New(problem.Conflict, "request %s does not wait: it is signed, has ended, or does not exist", id)
	case held:
		return c, problem.New(problem.Conflict, "%s holds the request already, since entry %d", h.By, h.Seq)
	case p.Effects.Operation.Oversight():
		return c, problem.New(problem.Forbidden, "a %s can't be held: nobody could undo that", p.Effects.Operation)
	case takesPower(p) == by:
		return c, problem.New(problem.Forbidden, "the request takes power from %s, who can't hold it", by)
	case len(s.gov.held) >= MaxHeld:
		return c, problem.New(problem.Busy, "%d requests are held already", MaxHeld)
	}
	c.effect.Held = o.Request
	c.commit = func(seq uint64) {
		s.gov.held[id] = Hold{Request: id, Seq: seq, By: by, Reason: o.Reason}
	}
	return c, nil
}

// takesPower names whom a request revokes, or takes a key from; nobody if it does neither.
func takesPower(p *Pending) custody.PersonID {
	r, err := p.Parse()
	if err != nil {
		return ""
	}
	switch b := r.Decoded.(type) {
	case *request.PersonRevokeBody:
		return b.Person
	case *request.PersonKeyRemoveBody:
		return b.Person
	default:
		return ""
	}
}

func (s *State) letGo(o *request.RequestReleaseBody) (c overseeing, err error) {
	id := custody.RequestID(o.Request)
	h, ok := s.gov.held[id]
	switch {
	case !ok:
		return c, problem.New(problem.Conflict, "request %s is not held", id)
	case h.Seq != o.Hold:
		return c, problem.New(problem.Conflict, "request %s is held since entry %d, not %d: ask again", id, h.Seq, o.Hold)
	}
	c.effect.Released = o.Request
	c.commit = func(uint64) { delete(s.gov.held, id) }
	return c, nil
}

// applyOversight takes the effect of an operation of oversight.
func (s *State) applyOversight(l entry.Leaf, r *request.Parsed, b *entry.Effect) (func(), error) {
	if b.Oversight == nil || b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil {
		return nil, errors.New("the effect must hold what becomes of the operational state or of a request, and nothing else")
	}
	c, err := s.changeOversight(r, Moment{l.Time, l.Bound})
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(canon.Encode(&c.effect), canon.Encode(b.Oversight)) {
		return nil, errors.New("the recorded effect is not what the request does")
	}
	return func() { c.commit(l.Seq) }, nil
}

// freezeAfterGap freezes a domain whose log lost entries, where its rule document knows of operational states at all: among what is lost may be a freeze.
func (s *State) freezeAfterGap(l entry.Leaf) {
	if s.Doc.BreakGlass != nil || s.Doc.Oversight != nil {
		s.gov.mode = &ModeState{Mode: policy.Frozen, Since: l.Seq, Reason: "entries of the log were lost"}
	}
}

// governanceImage gives section 23; nil while it says nothing.
func (s *State) governanceImage() *governanceSection {
	g := governanceSection{Mode: s.gov.mode, Held: slices.SortedFunc(maps.Values(s.gov.held), func(a, b Hold) int { return cmp.Compare(a.Seq, b.Seq) })}
	if s.book.ledger.length() > 0 {
		x := s.book.ledger.state()
		g.Book = &x
	}
	if s.paid.chain.length() > 0 {
		x := s.paid.chain.state()
		g.Paid = &x
	}
	g.Prices, g.Verdicts = s.gov.prices.image(), s.gov.verdicts.image(&s.Doc)
	if g.Mode == nil && len(g.Held) == 0 && g.Book == nil && g.Paid == nil && g.Prices == nil && g.Verdicts == nil {
		return nil
	}
	return &g
}

// restoreGovernance takes operational state and holds. Pending requests are there already.
func (s *State) restoreGovernance(g *governanceSection) error {
	if g == nil {
		return nil
	}
	if m := g.Mode; m != nil && (m.Mode != policy.Frozen && m.Mode != policy.Draining || m.Since >= s.Next) {
		return fmt.Errorf("operational state %q since entry %d can't be", m.Mode, m.Since)
	}
	s.gov.mode = g.Mode
	for i, h := range g.Held {
		if _, ok := s.pending[h.Request]; !ok || i > 0 && g.Held[i-1].Seq >= h.Seq {
			return fmt.Errorf("hold %d is out of order, or of a request that does not wait", i)
		}
		s.gov.held[h.Request] = h
	}
	if err := s.restorePrices(g.Prices); err != nil {
		return err
	}
	return s.restoreVerdicts(g.Verdicts)
}

// restoreBook takes the address ledger and the destinations paid. The document is there already, and reservations come after.
func (s *State) restoreBook(g *governanceSection, load func([32]byte) ([]byte, error)) (err error) {
	if g == nil {
		g = &governanceSection{}
	}
	if g.Book != nil {
		if s.book.ledger, err = g.Book.restore(ledgerChunk, load); err != nil {
			return err
		}
	}
	if g.Paid != nil {
		if s.paid.chain, err = g.Paid.restore(paidChunk, load); err != nil {
			return err
		}
	}
	if err := s.book.replay(s.Doc); err != nil {
		return err
	}
	return s.paid.replay()
}

// length is how many records a chain has, dropped ones apart.
func (c *chain) length() int { return len(c.full)*c.per + c.inTail }
