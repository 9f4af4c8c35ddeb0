// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
)

// steps is one run over a transfer.
type steps struct {
	w    *Worker
	t    *Transfer
	list []Attempt // as kept, by Number
}

func (s *steps) now() time.Time { return s.w.cfg.Now() }

// wait plans the next look.
func (s *steps) wait(d time.Duration, note string) {
	s.t.Next, s.t.Note = s.now().Add(d).UnixNano(), note
}

// keep saves attempts before whatever comes next, and puts them into the list.
func (s *steps) keep(ctx context.Context, attempts ...Attempt) error {
	if err := s.w.cfg.Store.Save(ctx, *s.t, attempts...); err != nil {
		return storeError{err}
	}
	for _, a := range attempts {
		i := int(a.Number) - 1
		if i == len(s.list) {
			s.list = append(s.list, a)
		} else {
			s.list[i] = a
		}
	}
	return nil
}

// newest gives the last attempt, nil if there is none.
func (s *steps) newest() *Attempt {
	if len(s.list) == 0 {
		return nil
	}
	return &s.list[len(s.list)-1]
}

func (s *steps) run(ctx context.Context) error {
	c, ok := s.w.cfg.Chains[s.t.Chain]
	if !ok {
		return problem.New(problem.NodeUnavailable, "no node is configured for chain %s", s.t.Chain)
	}
	var err error
	if s.list, err = s.w.cfg.Store.Attempts(ctx, s.t.Request); err != nil {
		return storeError{err}
	}
	for i, a := range s.list {
		if a.Number != uint32(i)+1 {
			s.list = nil // kept in part: read it back from the core
			break
		}
	}
	if a := s.newest(); a != nil && a.State == Exported {
		return s.collect(ctx, c, *a)
	}
	if a := s.newest(); a == nil || !a.Permitted() {
		signed, err := s.first(ctx, c)
		if err != nil && s.standing() != nil {
			return errors.Join(err, s.follow(ctx, c)) // a replacement can't be signed now; the attempt before it is still watched
		}
		if err != nil || !signed {
			return err
		}
	}
	return s.follow(ctx, c)
}

// first gets an attempt with a permit, the first one or a replacement that was begun. It says whether there is one now.
func (s *steps) first(ctx context.Context, c Chain) (bool, error) {
	if a := s.newest(); a != nil && a.State == Preparing {
		// The core may have been asked. The same payload again gives the same bytes, or is refused for good.
		return s.sign(ctx, *a)
	}
	if a := s.newest(); a != nil && a.Number > 1 {
		return true, nil // a replacement was refused; the attempt before it stands
	}
	v, err := s.ask(ctx)
	if err != nil {
		return false, err
	}
	switch v.State {
	case message.StateSigned, message.StateExported:
		return s.adopted(ctx, v)
	case message.StatePending:
		note := "waits for approvals"
		if v.Missing != nil {
			note = v.Missing.Detail
		}
		s.wait(pendingPoll, note)
		return false, nil
	case message.StateReady:
	default:
		s.t.Settled, s.t.Note = true, "the request has ended: "+string(v.State)
		return false, nil
	}
	o, err := s.order(v)
	if err != nil {
		return false, err
	}
	a := Attempt{Request: s.t.Request, Number: 1, State: Preparing, Account: v.Effects.Source}
	if c.Nonces != nil {
		if o.Nonce, err = s.nonce(ctx, c, o); err != nil {
			return false, err
		}
		a.Nonce = o.Nonce
	}
	if a.Payload, err = c.Builder.BuildPayload(ctx, o); err != nil {
		return false, chain.Problem(err)
	}
	if err := s.keep(ctx, a); err != nil {
		return false, err
	}
	return s.sign(ctx, a)
}

// ask reads the request from the core.
func (s *steps) ask(ctx context.Context) (message.Request, error) {
	return gate.Call[message.ByID, message.Request](ctx, s.w.cfg.Core, message.MethodRequest, message.ByID{ID: s.t.Request})
}

// order gives what a builder needs.
func (s *steps) order(v message.Request) (Order, error) {
	r, err := request.Decode(v.Request)
	if err != nil {
		return Order{}, err
	}
	body, err := r.DecodeBody()
	if err != nil {
		return Order{}, err
	}
	o := Order{Request: s.t.Request, Effects: v.Effects, Bounds: v.Bounds, Decision: v.Decision}
	switch b := body.(type) {
	case *request.TransferBody:
		o.Wallet, o.Source = b.Wallet, b.Source
	case *request.ContractCallBody:
		o.Wallet, o.Source, o.Call = b.Wallet, b.Source, b
	default:
		return Order{}, problem.New(problem.Conflict, "request %s is no transfer or call", s.t.Request)
	}
	return o, nil
}

// sign has the core sign a kept payload.
func (s *steps) sign(ctx context.Context, a Attempt) (bool, error) {
	x, err := gate.Call[message.Sign, message.Signed](ctx, s.w.cfg.Core, message.MethodSign, message.Sign{ID: s.t.Request, Payload: a.Payload})
	var p *problem.Error
	if err != nil && (!errors.As(err, &p) || !refused(p.Kind)) {
		return false, err // unknown whether it was signed: the same payload again
	}
	if err != nil {
		// Another worker may have been quicker, with another payload for the slot: what the core signed counts.
		v, again := s.ask(ctx)
		if again != nil {
			return false, again
		}
		a.State, a.Note = SignFailed, p.Error()
		if err := s.keep(ctx, a); err != nil {
			return false, err
		}
		if v.State == message.StateSigned || v.State == message.StateExported {
			if v.Signed != nil && v.Signed.Attempt >= a.Number {
				return s.adopted(ctx, v)
			}
			s.planBump(s.now()) // the replacement was refused; the attempt before it stands
			return a.Number > 1, nil
		}
		return false, err
	}
	if x.Attempt != a.Number { // numbered otherwise than expected: take all from the core
		v, err := s.ask(ctx)
		if err != nil {
			return false, err
		}
		return s.adopted(ctx, v)
	}
	if x.Exported {
		a.State, a.Permit, a.Note = Exported, x.Permit, ""
		s.wait(pendingPoll, waitsOffline)
		return false, s.keep(ctx, a)
	}
	a.State, a.Permit, a.TxID, a.Signed, a.Note = Signed, x.Permit, chain.TxID(x.TxID), x.Bytes, ""
	return true, s.keep(ctx, a)
}

// waitsOffline is why an exported attempt does not go on.
const waitsOffline = "waits for the offline core: export a bundle, and import its result"

// collect asks for what an offline domain may have signed meanwhile. Earlier attempts are watched all the time.
func (s *steps) collect(ctx context.Context, c Chain, a Attempt) error {
	x, err := gate.Call[message.Sign, message.Signed](ctx, s.w.cfg.Core, message.MethodSign, message.Sign{ID: s.t.Request})
	if err != nil {
		return err
	}
	if x.Permit != a.Permit { // replaced meanwhile by somebody else
		if _, err := s.catchUp(ctx, a); err != nil {
			return err
		}
	} else if !x.Exported {
		a.State, a.TxID, a.Signed = Signed, chain.TxID(x.TxID), x.Bytes
		if err := s.keep(ctx, a); err != nil {
			return err
		}
	}
	if s.standing() != nil {
		err = s.follow(ctx, c)
	}
	if a := s.newest(); err == nil && a.State == Exported && !s.t.Settled {
		s.wait(pendingPoll, waitsOffline)
	}
	return err
}

// adopted is adopt, and says whether there is an attempt that was signed.
func (s *steps) adopted(ctx context.Context, v message.Request) (bool, error) {
	if err := s.adopt(ctx, v); err != nil {
		return false, err
	}
	if s.standing() == nil {
		s.wait(pendingPoll, waitsOffline)
		return false, nil
	}
	return true, nil
}

// refused says whether a problem of this kind is the core's final word on a payload.
func refused(k problem.Kind) bool {
	switch k {
	case problem.RefusedByRule, problem.QuorumNotMet, problem.OutsideBounds, problem.WrongNetwork, problem.Malformed, problem.Expired,
		problem.Conflict, problem.Forbidden, problem.TooLarge, problem.Unsupported, problem.NotFound, problem.AlreadyDone:
		return true
	default:
		return false
	}
}

// adopt reads all attempts of a signed request back from the core's log.
func (s *steps) adopt(ctx context.Context, v message.Request) error {
	if v.Signed == nil {
		return problem.New(problem.Internal, "request %s is signed and has no attempt", s.t.Request)
	}
	last, err := s.entry(ctx, v.Signed.Permit)
	if err != nil {
		return err
	}
	permit, ok := last.(*entry.Permit)
	if !ok {
		return problem.New(problem.Internal, "entry %d is not a permit", v.Signed.Permit)
	}
	found := map[uint64]*Attempt{}
	var list []Attempt
	add := func(seq uint64, p *entry.Permit) {
		list = append(list, Attempt{Request: s.t.Request, Number: p.Attempt, State: Signed, Payload: p.Payload, Account: p.Slot.Account, Nonce: p.Slot.Nonce, Permit: seq})
	}
	results := map[uint64]chain.TxID{}
	for _, seq := range permit.Trail {
		body, err := s.entry(ctx, seq)
		if err != nil {
			return err
		}
		switch b := body.(type) {
		case *entry.Permit:
			add(seq, b)
		case *entry.Result:
			results[b.Permit] = chain.TxID(b.TxID)
		}
	}
	add(v.Signed.Permit, permit)
	for i := range list {
		list[i].TxID = results[list[i].Permit]
		found[list[i].Permit] = &list[i]
	}
	a := found[v.Signed.Permit]
	a.TxID, a.Signed = chain.TxID(v.Signed.TxID), v.Signed.Bytes
	if len(a.Signed) == 0 { // a permit without a result: the same bytes are signed again
		x, err := gate.Call[message.Sign, message.Signed](ctx, s.w.cfg.Core, message.MethodSign, message.Sign{ID: s.t.Request})
		if err != nil {
			return err
		}
		a.TxID, a.Signed = chain.TxID(x.TxID), x.Bytes
		for i := range list {
			if x.Exported && list[i].TxID == "" { // nor was an earlier one, which this replaces
				list[i].State = Exported
			}
		}
	}
	for i := range list { // what was known of the same permits stays known
		if i < len(s.list) && s.list[i].Permit == list[i].Permit && s.list[i].Permitted() {
			list[i] = s.list[i]
		}
	}
	s.list = nil
	return s.keep(ctx, list...)
}

// entry reads an entry's body from the core.
func (s *steps) entry(ctx context.Context, seq uint64) (any, error) {
	m, err := gate.Call[message.Feed, message.Entries](ctx, s.w.cfg.Core, message.MethodFeed, message.Feed{From: seq, Limit: 1})
	if err != nil {
		return nil, err
	}
	if len(m.Entries) != 1 || len(m.Entries[0].Bodies) == 0 {
		return nil, fmt.Errorf("the core did not give entry %d", seq)
	}
	l, err := entry.DecodeLeaf(m.Entries[0].Leaf)
	if err != nil || l.Seq != seq {
		return nil, fmt.Errorf("the core gave another entry than %d: %w", seq, err)
	}
	return authority.DecodeBody(l.Kind, l.KindVersion, m.Entries[0].Bodies[0].Body)
}

// nonce gives the nonce for a first attempt: the least that no permit has used, the only one that the core signs. It must be
// the chain's too, once what is under way is mined. A nonce below it that has a permit and no known transaction would hold up
// everything after it, so that is told and nothing is built; so is an account that somebody used past the core.
func (s *steps) nonce(ctx context.Context, c Chain, o Order) (uint64, error) {
	latest, pending, err := c.Nonces.Nonces(ctx, o.Effects.Source) // before the core is asked, whose number only grows
	if err != nil {
		return 0, chain.Problem(err)
	}
	m, err := gate.Call[message.Addresses, message.AddressList](ctx, s.w.cfg.Core, message.MethodAddresses,
		message.Addresses{Wallet: o.Wallet, From: o.Source, Count: 1})
	if err != nil {
		return 0, err
	}
	if len(m.Addresses) != 1 || m.Addresses[0].Address != o.Effects.Source {
		return 0, problem.New(problem.Internal, "the core derives another paying address than it recorded")
	}
	core := m.Addresses[0].Nonce
	next := max(latest, pending)
	if next > core {
		return 0, problem.New(problem.Conflict, "account %s was used past this domain: the chain expects nonce %d and the core's log has %d", o.Effects.Source, next, core)
	}
	live, err := s.w.cfg.Store.Live(ctx, s.t.Wallet)
	if err != nil {
		return 0, storeError{err}
	}
	have := map[uint64]bool{}
	for _, a := range live {
		if a.Account == o.Effects.Source && a.Permitted() {
			have[a.Nonce] = true
		}
	}
	for n := next; n < core; n++ {
		if !have[n] {
			s.w.cfg.Log.WarnContext(ctx, "nonce gap", slog.String("account", o.Effects.Source), slog.Uint64("nonce", n), slog.Uint64("next", core))
			return 0, problem.New(problem.Conflict, "nonce %d of account %s has a permit and no transaction is known for it: what comes after it can't be mined. "+
				"While the cache catches up with the log this passes; else find the request of that nonce and its transaction", n, o.Effects.Source)
		}
	}
	return core, nil
}
