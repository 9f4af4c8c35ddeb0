// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"
	"errors"
	"slices"
	"time"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/feed"
)

// states are the values of the state parameter.
func states() []message.State {
	return []message.State{message.StatePending, message.StateReady, message.StateSigned, message.StateExported, message.StateExecuted, message.StateRefused,
		message.StateRejected, message.StateCancelled, message.StateExpired, message.StateVoid}
}

// listRequests is GET /v1/requests. The cache says which there are, the core how each stands.
func (s *Server) listRequests(c *call) error {
	q := feed.Query{Operation: request.Operation(c.arg("operation")), Wallet: custody.WalletID(c.arg("wallet"))}
	limit, err := c.number("limit", 50, 1, 200)
	if err != nil {
		return err
	}
	if q.From, err = c.after(listRequests); err != nil {
		return err
	}
	q.Limit = int(limit)
	want := message.State(c.arg("state"))
	known := want == ""
	for _, st := range states() {
		known = known || st == want
	}
	switch want {
	case message.StatePending, message.StateReady, message.StateExpired, message.StateVoid:
		q.Open = true // the cache does not tell these apart
	case message.StateExported:
		q.State = message.StateSigned // likewise
	default:
		q.State = want
	}
	if !known {
		return problem.New(problem.Malformed, "query parameter state must be one of %v", states())
	}
	if err := s.caughtUp(c.ctx()); err != nil {
		return err
	}
	found, err := s.cfg.Index.Find(c.ctx(), q)
	if err != nil {
		return err
	}
	out := apiv1.RequestList{Requests: []apiv1.RequestView{}}
	for _, f := range found {
		v, err := s.request(c.ctx(), f.ID)
		if problem.KindOf(err) == problem.NotFound {
			continue // ended more than 90 days ago: the proof and the feed still have it
		}
		if err != nil {
			return err
		}
		if v.Seq != f.Seq {
			continue // likewise, and its idempotency key was used again since
		}
		if (want == "" || v.State == string(want)) && c.mayReadOf(v.Initiator) == nil {
			out.Requests = append(out.Requests, v)
		}
	}
	if len(found) == q.Limit {
		out.Next = cursor(listRequests, found[len(found)-1].Seq+1)
	}
	return c.reply(out)
}

// How long a list waits for the cache to see what the log has when the list is asked for, and how often it looks.
const (
	behindMost = 5 * time.Second
	behindLook = 2 * time.Millisecond
)

// caughtUp waits until the cache has seen all that the log has now, so that who asked for something finds it in the list.
func (s *Server) caughtUp(ctx context.Context) error {
	st, err := coreStatus(ctx, s.cfg.Core)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, behindMost)
	defer cancel()
	look := time.NewTicker(behindLook)
	defer look.Stop()
	for {
		folded, err := s.cfg.Index.Folded(ctx)
		if err == nil && folded >= st.Pinned {
			return nil
		}
		if err == nil {
			select {
			case <-look.C:
				continue
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil {
			return problem.New(problem.Busy, "serve has read %d of %d entries of the log; try again when it has caught up ('strongroom status' shows it)", folded, st.Pinned)
		}
		return err
	}
}

// request reads a request from the core.
func (s *Server) request(ctx context.Context, id custody.RequestID) (apiv1.RequestView, error) {
	v, err := ask[message.Request](ctx, s.cfg.Core, message.MethodRequest, message.ByID{ID: id})
	if err != nil {
		return apiv1.RequestView{}, about(id, err)
	}
	return requestView(v)
}

// about says which request a failure is about.
func about(id custody.RequestID, err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	return &refusal{problem: p, request: id.String()}
}

func (s *Server) getRequest(c *call) error {
	id, err := c.requestID()
	if err != nil {
		return err
	}
	v, err := s.request(c.ctx(), id)
	if err != nil {
		return err
	}
	if err := c.mayReadOf(v.Initiator); err != nil {
		return err
	}
	if v.Operation.Pays() {
		if v.Attempts, err = s.cfg.Transfers.Attempts(c.ctx(), id); err != nil {
			return about(id, err)
		}
		if v.State == string(message.StateReady) || v.State == string(message.StateExported) || v.State == string(message.StateSigned) && len(v.Attempts) == 0 {
			if v.Note, err = s.cfg.Transfers.Note(c.ctx(), id, v.Effects.Chain); err != nil {
				return about(id, err)
			}
		}
	}
	return c.reply(v)
}

// getStatement is GET /v1/requests/{id}/statement. Who signs recomputes it from the request.
func (s *Server) getStatement(c *call) error {
	id, err := c.requestID()
	if err != nil {
		return err
	}
	who, d := custody.PersonID(c.arg("person")), request.Decision(c.arg("decision"))
	if who == "" {
		who = c.by
	}
	if d == "" {
		d = request.Approve
	}
	if err := who.Check(); err != nil {
		return problem.New(problem.Malformed, "query parameter person: %v", err)
	}
	if d != request.Approve && d != request.Reject && d != request.Cancel {
		return problem.New(problem.Malformed, "query parameter decision must be approve, reject or cancel")
	}
	v, err := s.owner(c, id)
	if err != nil {
		return err
	}
	r, err := initiated(v)
	if err != nil {
		return err
	}
	st := authority.StatementOf(r.Authority, r.Domain, id, r.Initiator, v.Effects, v.Bounds, v.Decision).By(who, d)
	h := st.Hash()
	return c.reply(apiv1.StatementView{Canonical: st.Encode(), Message: st.Message(), Hash: apiv1.Hex(h[:]), Statement: apiv1.Statement{
		Authority: st.Authority.String(), Domain: st.Domain.String(), Request: st.Request.String(), Initiator: st.Initiator, Effects: st.Effects,
		BodyHash: apiv1.Hex(st.Effects.BodyHash[:]), Bounds: st.Bounds, PolicyVersion: st.PolicyVersion, PolicyHash: apiv1.Hex(st.PolicyHash[:]),
		Approver: st.Approver, Decision: st.Decision}})
}

// decide is POST /v1/requests/{id}:approve, :reject and :cancel.
func (s *Server) decide(d request.Decision) func(*call) error {
	return func(c *call) error {
		id, err := c.requestID()
		if err != nil {
			return err
		}
		if err := s.own(c, id); err != nil {
			return err
		}
		var in apiv1.DecisionIn
		if err := c.read(&in); err != nil {
			return err
		}
		a := request.Approval{Request: id, Person: in.Person, Decision: d, Key: in.Key, Sig: in.Signature}
		v, err := ask[message.Request](c.ctx(), s.cfg.Core, message.MethodApprove, message.Approve{Approval: a})
		return s.acted(c, id, v, err)
	}
}

func (s *Server) execute(c *call) error {
	id, err := c.requestID()
	if err != nil {
		return err
	}
	if err := s.own(c, id); err != nil {
		return err
	}
	v, err := ask[message.Request](c.ctx(), s.cfg.Core, message.MethodExecute, message.Execute{ID: id})
	return s.acted(c, id, v, err)
}

// acted answers with what an act made of a request.
func (s *Server) acted(c *call, id custody.RequestID, v message.Request, err error) error {
	if err != nil {
		return about(id, err)
	}
	if v.State == message.StateExecuted {
		s.people.Forget()
	}
	view, err := requestView(v)
	if err != nil {
		return err
	}
	return c.reply(view)
}

// sign is POST /v1/requests/{id}:sign. serve builds the payload: approvals bind effects and bounds, so that who could bring one would choose
// the fee. Before there is a permit it is for the initiator and those who approved; after it, this only tells what was signed.
func (s *Server) sign(c *call) error {
	id, err := c.requestID()
	if err != nil {
		return err
	}
	v, err := s.owner(c, id)
	if err != nil {
		return err
	}
	r, err := initiated(v)
	if err != nil {
		return err
	}
	part := r.Initiator == c.by || slices.ContainsFunc(v.Approvals, func(a message.Vote) bool { return a.Person == c.by })
	if !part && v.Signed == nil {
		return about(id, problem.New(problem.Forbidden, "a transfer is signed when its initiator or a person who approved it asks; serve does it by itself soon"))
	}
	out, err := s.cfg.Transfers.Sign(c.ctx(), id)
	if err != nil {
		return about(id, err)
	}
	return c.reply(signedView(out))
}

func (s *Server) proof(c *call) error {
	id, err := c.requestID()
	if err != nil {
		return err
	}
	if err := s.own(c, id); err != nil {
		return err
	}
	p, err := ask[message.Proof](c.ctx(), s.cfg.Core, message.MethodProof, message.ByID{ID: id})
	if err != nil {
		return about(id, err)
	}
	return c.raw(p.File)
}

func (s *Server) walletProof(c *call) error {
	id, err := c.walletID()
	if err != nil {
		return err
	}
	p, err := ask[message.Proof](c.ctx(), s.cfg.Core, message.MethodWalletProof, message.WalletID{ID: id})
	if err != nil {
		return err
	}
	return c.raw(p.File)
}

// raw writes bytes of the operation's media type.
func (c *call) raw(b []byte) error {
	c.w.Header().Set("Content-Type", c.op.media)
	_, _ = c.w.Write(b) // the caller may be gone
	return nil
}
