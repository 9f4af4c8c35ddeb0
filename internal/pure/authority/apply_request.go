// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

func (s *State) applyRequest(l entry.Leaf, leaf [32]byte, b *entry.Request) (func(), error) {
	r, err := b.Parse()
	if err != nil {
		return nil, err
	}
	id := r.Ident
	_, known := s.Known(id)
	switch {
	case r.Authority != s.Authority || r.Domain != s.Domain:
		return nil, errors.New("the request is for another domain")
	case known:
		return nil, fmt.Errorf("request %s exists", id)
	case b.Decision.Version != s.Doc.Version || b.Decision.Hash != s.Rules.Hash():
		return nil, errors.New("decided under another rule document than the current one")
	case b.Facts.Initiator != r.Initiator || b.Facts.Operation != r.Operation || b.Effects.Operation != r.Operation:
		return nil, errors.New("facts or effects are not the request's")
	case b.Bounds.NotAfter != r.NotAfter:
		return nil, errors.New("bounds end at another time than the request")
	}
	if err := s.authentic(r.Initiator, b.Evidence, b.Facts.Evidence); err != nil {
		return nil, err
	}
	if _, key, ok := s.Rules.Key(b.Evidence.Key); ok {
		if err := mayAsk(key, r.Operation); err != nil {
			return nil, err
		}
	}
	hash := r.Digest
	if b.Effects.BodyHash != hash {
		return nil, errors.New("effects bind another request")
	}
	if err := checkSimulation(b.Facts.Simulation, b.Facts, b.Effects); err != nil {
		return nil, err
	}
	if b.Decision.Outcome != policy.Allowed {
		return func() {
			s.finish(id, Outcome{BodyHash: hash, Seq: l.Seq, Own: []uint64{l.Seq}, End: EndRefused}, l.Time)
		}, nil
	}
	if err := s.RoomFor(r.Initiator, WaitSize(b.Request, b.Facts.Simulation, b.Effects.Screening)); err != nil {
		return nil, err
	}
	if err := s.checkCharges(b.Decision, nil, Moment{l.Time, l.Bound}); err != nil {
		return nil, err
	}
	p := &Pending{ID: id, Seq: l.Seq, BodyHash: hash, Request: b.Request, Evidence: b.Facts.Evidence, Effects: b.Effects,
		Bounds: b.Bounds, Decision: b.Decision, Initiator: r.Initiator, Leaf: leaf, Simulation: b.Facts.Simulation, parsed: r}
	if s.Rules.Delayed() {
		p.Accepted = &Moment{l.Time, l.Bound}
	}
	return func() {
		s.wait(p)
		s.expiry.push(deadline{at: r.NotAfter, seq: l.Seq, request: id})
	}, nil
}

// authentic says whether the initiator is active and the evidence is of a key or session of theirs. The signature itself is
// checked when the entry is made and in Audit.
func (s *State) authentic(by custody.PersonID, e request.Evidence, kind policy.EvidenceKind) error {
	if err := e.Check(); err != nil {
		return err
	}
	ref := e.Key
	if e.Key == "" {
		x, ok := s.sessions[[16]byte(e.Session)]
		if !ok || x.Service != by {
			return errors.New("the session is not open, or another's")
		}
		ref = x.Key
	}
	if kind != KindOf(e) {
		return errors.New("evidence is of another kind than the facts say")
	}
	return s.holds(by, ref)
}

// holds says whether a person is active and has a key.
func (s *State) holds(by custody.PersonID, ref request.KeyRef) error {
	p, _, ok := s.Rules.Key(ref)
	if !ok || p.ID != by || !p.Active {
		return fmt.Errorf("key %s is not an active key of %s", ref, by)
	}
	return nil
}

func (s *State) applyApproval(l entry.Leaf, b *entry.Approval) (func(), error) {
	a := b.Approval
	if err := a.Check(); err != nil {
		return nil, err
	}
	p, ok := s.pending[a.Request]
	if !ok {
		return nil, fmt.Errorf("request %s does not wait for approvals", a.Request)
	}
	if err := s.holds(a.Person, a.Key); err != nil {
		return nil, err
	}
	r, err := p.Parse()
	if err != nil {
		return nil, err
	}
	if _, done := s.approved(p, a.Person, Moment{l.Time, l.Bound}); done && a.Decision == request.Approve {
		return nil, fmt.Errorf("%s has approved already", a.Person)
	}
	switch a.Decision {
	case request.Cancel:
		if a.Person != r.Initiator {
			return nil, errors.New("only the initiator cancels")
		}
		return func() { s.end(p, l, EndCancelled) }, nil
	case request.Reject:
		if !s.hasSay(p, a, Moment{l.Time, l.Bound}) {
			return nil, fmt.Errorf("%s is no approver of this request", a.Person)
		}
		return func() { s.end(p, l, EndRejected) }, nil
	default:
		if a.Person == r.Initiator {
			return nil, errors.New("the initiator can't approve")
		}
		if !s.hasSay(p, a, Moment{l.Time, l.Bound}) {
			return nil, fmt.Errorf("%s is no approver of this request", a.Person)
		}
		return func() {
			p.Approvals = append(p.Approvals, Vote{Person: a.Person, Key: a.Key, Seq: l.Seq, Time: l.Time})
		}, nil
	}
}

func (s *State) applyRefusal(l entry.Leaf, b *entry.Refusal) (func(), error) {
	p, waits := s.pending[b.Request]
	g, signed := s.signed[b.Request]
	if !waits && !signed {
		return nil, fmt.Errorf("request %s is not open", b.Request)
	}
	act, most, err := refusalRoom(b.Act, b.Kind)
	if err != nil {
		return nil, err
	}
	count, trail := (*[3]uint8)(nil), (*[]uint64)(nil)
	if waits {
		count, trail = &p.Refused, &p.Trail
	} else {
		count, trail = &g.Refused, &g.Trail
	}
	switch {
	case b.Final && !waits:
		return nil, errors.New("a request with a permit does not end by refusal")
	case !b.Final && count[act] >= most:
		return nil, fmt.Errorf("request %s was refused too often: %s", b.Request, b.Act)
	}
	return func() {
		if b.Final {
			s.end(p, l, EndRefused)
			return
		}
		count[act]++
		*trail = append(*trail, l.Seq)
	}, nil
}

func (s *State) applySession(l entry.Leaf, b *entry.Session) (func(), error) {
	var o request.SessionOpening
	if err := canon.Decode(b.Opening, &o); err != nil {
		return nil, err
	}
	if o.V != 1 || o.Authority != s.Authority || o.Domain != s.Domain {
		return nil, errors.New("the opening is for another domain")
	}
	if len(b.Session) != 16 || len(b.Ephemeral) != 32 || len(o.Ephemeral) != 32 || len(b.Sig) != 64 {
		return nil, errors.New("session, keys or signature have wrong lengths")
	}
	if err := s.holds(o.Service, b.Key); err != nil {
		return nil, err
	}
	if p, ok := s.Rules.Principal(o.Service); !ok || p.Kind != policy.Service {
		return nil, errors.New("sessions are for services; people sign each request")
	}
	if at := l.Time / 1e9; o.NotAfter <= at || o.NotAfter > at+request.MaxSession+l.Bound/1e9+1 {
		return nil, errors.New("the session's end is past or too far ahead")
	}
	id := [16]byte(b.Session)
	if _, ok := s.sessions[id]; ok || len(s.sessions) >= MaxSessions {
		return nil, errors.New("the session exists, or too many are open")
	}
	return func() {
		s.sessions[id] = Session{Service: o.Service, Key: b.Key, NotAfter: o.NotAfter, Seq: l.Seq}
		s.expiry.push(deadline{at: o.NotAfter, seq: l.Seq, session: id})
	}, nil
}
