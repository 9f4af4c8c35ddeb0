// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/svc/chain"
)

// follow looks at all attempts that have a permit, because any can be mined, and does what the newest needs.
func (s *steps) follow(ctx context.Context, c Chain) error {
	mined := false
	for i := range s.list {
		a := s.list[i]
		if !a.Permitted() || a.TxID == "" {
			continue
		}
		tx, err := c.Node.Transaction(ctx, a.TxID)
		if err != nil {
			return chain.Problem(err)
		}
		if next, changed := a.seen(tx, c.Confirmations, s.now()); changed {
			if a.State == Mined && next.State != Mined && !next.State.settled() {
				s.w.cfg.Log.WarnContext(ctx, "a re-org took a transaction out", slog.String("txid", string(a.TxID)), slog.String("state", string(next.State)))
			}
			if next.State.settled() {
				return s.settle(ctx, next)
			}
			if err := s.keep(ctx, next); err != nil {
				return err
			}
		}
		mined = mined || s.list[i].State == Mined
	}
	s.wait(c.Poll, "")
	if mined {
		s.t.Bump = 0
		return nil
	}
	a := s.standing()
	if a == nil {
		return fmt.Errorf("request %s has no attempt with a permit", s.t.Request)
	}
	if a.State == Signed || a.State == Dropped {
		if err := s.send(ctx, c, *a); err != nil {
			return err
		}
	}
	if a := s.standing(); a.State == InMempool && s.t.Bump == 0 {
		s.planBump(s.now())
	}
	return s.bump(ctx, c)
}

// standing gives the newest attempt that was signed.
func (s *steps) standing() *Attempt {
	for i := len(s.list) - 1; i >= 0; i-- {
		if s.list[i].Permitted() && s.list[i].State != Exported {
			return &s.list[i]
		}
	}
	return nil
}

// seen gives the attempt after a look at the chain, and whether that changed it.
func (a Attempt) seen(tx chain.Tx, need uint64, now time.Time) (Attempt, bool) {
	was := a
	switch tx.State {
	case chain.TxMined:
		a.State, a.Block, a.Confirmations, a.Reverted, a.Fee, a.Note = Mined, tx.Block, tx.Confirmations, tx.Reverted, tx.Fee, ""
		if tx.Confirmations >= need {
			a.State = Final
			if tx.Reverted {
				a.State = FailedOnchain
			}
		}
	case chain.TxPending:
		a.State, a.Block, a.Confirmations = InMempool, chain.Block{}, 0
	default:
		if a.State == InMempool || a.State == Mined {
			a.State, a.Block, a.Confirmations = Dropped, chain.Block{}, 0
		}
	}
	if a.Sent == 0 && a.State != Signed {
		a.Sent = now.UnixNano() // somebody else handed it in, or the answer was lost
	}
	same := a.State == was.State && a.Block == was.Block && a.Confirmations == was.Confirmations && a.Sent == was.Sent && a.Note == was.Note
	return a, !same
}

// settle records that an attempt is final and the others are not needed any more.
func (s *steps) settle(ctx context.Context, final Attempt) error {
	s.t.Settled, s.t.Note, s.t.Bump = true, "", 0
	all := []Attempt{final}
	for _, a := range s.list {
		if a.Number != final.Number && a.State != SignFailed {
			a.State = Replaced
			all = append(all, a)
		}
	}
	return s.keep(ctx, all...)
}

// send hands an attempt to the node. Its signed bytes are kept, and handing them in again does no harm.
func (s *steps) send(ctx context.Context, c Chain, a Attempt) error {
	if len(a.Signed) == 0 {
		x, err := gate.Call[message.Sign, message.Signed](ctx, s.w.cfg.Core, message.MethodSign, message.Sign{ID: s.t.Request})
		if err != nil {
			return err
		}
		if x.Permit != a.Permit { // replaced meanwhile by somebody else: the next look finds what is newest
			_, err := s.catchUp(ctx, a)
			return err
		}
		a.Signed, a.TxID = x.Bytes, chain.TxID(x.TxID)
	}
	id, err := c.Node.Send(ctx, a.Signed)
	switch chain.ReasonOf(err) {
	case "":
		if err != nil {
			return err
		}
		if id != a.TxID {
			return &chain.Refusal{Reason: chain.Contradiction, Act: "send", Text: "the node names another transaction"}
		}
		a.State, a.Note = InMempool, ""
		if a.Sent == 0 {
			a.Sent = s.now().UnixNano()
		}
		s.planBump(time.Unix(0, a.Sent))
		return s.keep(ctx, a)
	case chain.FeeTooLow:
		a.Note = err.Error()
		s.t.Bump = s.now().UnixNano() // only a higher fee helps
	case chain.NonceTooLow, chain.InputsSpent, chain.Underpriced:
		// Another transaction has the slot: an attempt of ours, which the next look finds, or one that somebody else had signed.
		a.Note = err.Error()
		if other, err := s.catchUp(ctx, a); err != nil || other {
			return err
		}
	default:
		return chain.Problem(err)
	}
	return s.keep(ctx, a)
}

// catchUp adopts all attempts from the core if its newest is another than a: somebody else had a replacement signed. It says whether it did.
func (s *steps) catchUp(ctx context.Context, a Attempt) (bool, error) {
	v, err := s.ask(ctx)
	if err != nil || v.Signed == nil || v.Signed.Permit == a.Permit {
		return false, err
	}
	s.w.cfg.Log.WarnContext(ctx, "somebody else had a replacement signed", slog.String("request", s.t.Request.String()),
		slog.Uint64("known", uint64(a.Number)), slog.Uint64("newest", uint64(v.Signed.Attempt)))
	return true, s.adopt(ctx, v)
}

// planBump plans when to raise the fee, counted from a time.
func (s *steps) planBump(from time.Time) {
	s.t.Bump = 0
	if c := s.w.cfg.Chains[s.t.Chain]; c.BumpAfter > 0 {
		s.t.Bump = from.Add(c.BumpAfter).UnixNano()
	}
}

// bump replaces the standing attempt by one with a higher fee, if it is time to.
func (s *steps) bump(ctx context.Context, c Chain) error {
	now := s.now()
	if s.t.Bump == 0 || s.t.Bump > now.UnixNano() || c.BumpAfter == 0 {
		return nil
	}
	a := s.standing()
	if newest := s.newest(); newest.State == Preparing || newest.State == Exported {
		return nil // a replacement is under way
	}
	v, err := s.ask(ctx)
	if err != nil {
		return err
	}
	s.planBump(now)
	if v.Signed != nil && v.Signed.Permit != a.Permit {
		return s.adopt(ctx, v) // somebody else had it replaced
	}
	if v.State != message.StateSigned || v.Signed == nil || now.Unix() >= v.Bounds.NotAfter {
		return nil // its time for replacements is over
	}
	o, err := s.order(v)
	if err != nil {
		return err
	}
	o.Nonce, o.Previous = a.Nonce, a.Payload
	next := Attempt{Request: a.Request, Number: a.Number + 1, State: Preparing, Account: a.Account, Nonce: a.Nonce}
	if next.Payload, err = c.Builder.BuildPayload(ctx, o); err != nil {
		// No room below the cap, or a child depends on it: the attempt stands as it is.
		s.t.Note = noteOf(chain.Problem(err))
		return nil
	}
	if err := s.keep(ctx, next); err != nil {
		return err
	}
	if signed, err := s.sign(ctx, next); err != nil || !signed {
		return err
	}
	if n := s.standing(); n.State == Signed {
		return s.send(ctx, c, *n)
	}
	return nil
}
