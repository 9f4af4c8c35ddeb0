// SPDX-License-Identifier: Apache-2.0

package coretest

import (
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"errors"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

func macKey(shared, opening []byte, id [16]byte) []byte {
	salt := canon.HashBytes(canon.TagSession, opening)
	k, err := hkdf.Key(sha256.New, shared, salt[:], string(canon.TagBytes(canon.TagSessionKey, id[:])), 32)
	if err != nil {
		panic(err) // constant lengths
	}
	return k
}

func (c *Core) mux() *gate.Mux {
	m := gate.NewMux()
	handle(m, message.MethodPing, func(in message.Empty) (message.Empty, error) { return in, nil })
	handle(m, message.MethodStatus, func(message.Empty) (message.Status, error) { return c.status(), nil })
	handle(m, message.MethodStatusSigned, c.signedStatus)
	handle(m, message.MethodSubmit, c.submit)
	handle(m, message.MethodApprove, c.approve)
	handle(m, message.MethodExecute, func(in message.Execute) (message.Request, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if err := c.execute(in.ID); err != nil && problem.KindOf(err) != problem.Conflict {
			return message.Request{}, err
		}
		return c.view(in.ID)
	})
	handle(m, message.MethodSign, func(in message.Sign) (message.Signed, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.sign(in.ID, in.Payload)
	})
	handle(m, message.MethodRequest, func(in message.ByID) (message.Request, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.view(in.ID)
	})
	handle(m, message.MethodRequests, c.requests)
	handle(m, message.MethodWallet, func(in message.WalletID) (message.Wallet, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		w, next, ok := c.state.Wallet(in.ID)
		if !ok {
			return message.Wallet{}, problem.New(problem.NotFound, "wallet %q does not exist", in.ID)
		}
		return c.walletView(w, next)
	})
	handle(m, message.MethodWallets, c.wallets)
	handle(m, message.MethodApps, c.apps)
	handle(m, message.MethodBook, c.book)
	handle(m, message.MethodAddresses, c.addresses)
	handle(m, message.MethodPolicy, func(message.Empty) (message.Policy, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return message.Policy{Document: c.state.Doc.Encode(), Hash: c.state.Rules.Hash()}, nil
	})
	handle(m, message.MethodSession, c.openSession)
	gate.Handle(m, message.MethodFeed, func(ctx context.Context, _ gate.Caller, in message.Feed) (message.Entries, error) {
		return c.feed(ctx, in)
	})
	handle(m, message.MethodCheck, func(in message.CheckStart) (message.Check, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return message.Check{Checked: c.state.Next, Total: c.state.Next, Done: true}, nil
	})
	return m
}

func handle[Req, Rep any](m *gate.Mux, method string, f func(Req) (Rep, error)) {
	gate.Handle(m, method, func(_ context.Context, _ gate.Caller, in Req) (Rep, error) { return f(in) })
}

func (c *Core) submit(in message.Submit) (message.Request, error) {
	var none message.Request
	r, err := request.Parse(in.Request)
	if err != nil {
		return none, problem.New(problem.Malformed, "%v", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	kind, err := c.authenticate(r, in.Evidence)
	if err != nil {
		return none, err
	}
	id := r.Ident
	if known, ok := c.state.Known(id); ok {
		if known != r.Digest {
			return none, problem.New(problem.IdempotencyReuse, "idempotency key %q of %s was used for another request", r.Key, r.Initiator)
		}
		v, err := c.view(id)
		if err == nil && v.State == message.StateReady && len(in.Payload) > 0 {
			return c.signNow(r, in)
		}
		return c.receipted(v, v.Seq, r.Digest, in.Evidence), err
	}
	if err := authority.Fresh(in.Evidence, c.at()); err != nil {
		return none, err
	}
	e, err := c.state.DecideRequestWith(r, kind, authority.ReadSimulation(in.Simulation), c.at(), c.derive)
	if err != nil {
		return none, err
	}
	e.Evidence = in.Evidence
	if _, err := c.record(entry.KindRequest, entry.Confidential, e); err != nil {
		return none, err
	}
	auto := e.Decision.Outcome == policy.Allowed && e.Decision.Auto
	switch {
	case auto && r.Operation.Signs() && len(in.Payload) > 0:
		return c.signNow(r, in)
	case auto && !r.Operation.Signs():
		if err := c.execute(id); err != nil {
			return none, err
		}
	}
	v, err := c.view(id)
	return c.receipted(v, v.Seq, r.Digest, in.Evidence), err
}

func (c *Core) signNow(r *request.Parsed, in message.Submit) (message.Request, error) {
	if _, err := c.sign(r.Ident, in.Payload); err != nil {
		return message.Request{}, err
	}
	v, err := c.view(r.Ident)
	return c.receipted(v, v.Seq, r.Digest, in.Evidence), err
}

// receipted adds the receipt of an act that entry seq records; ev is nothing for decisions.
func (c *Core) receipted(v message.Request, seq uint64, act [32]byte, ev request.Evidence) message.Request {
	r := &message.Receipt{Authority: c.state.Authority, Domain: c.state.Domain, Request: v.ID, Seq: seq, State: v.State, Act: act}
	if seq < uint64(len(c.entries)) {
		r.Leaf = entry.Hash(c.entries[seq].Leaf)
	}
	if ev.Session == nil {
		r.Sig = ed25519.Sign(c.identity, r.Message())
	} else {
		mac := hmac.New(sha256.New, c.sessions[[16]byte(ev.Session)])
		mac.Write(r.Message())
		r.Sig = mac.Sum(nil)
	}
	v.Receipt = r
	return v
}

func (c *Core) authenticate(r *request.Parsed, e request.Evidence) (policy.EvidenceKind, error) {
	if err := e.Check(); err != nil {
		return "", problem.New(problem.Unauthenticated, "%v", err)
	}
	if e.Key != "" {
		return authority.KindOf(e), authority.CheckSignedEvidence(c.state.Rules, r, e)
	}
	key, ok := c.sessions[[16]byte(e.Session)]
	x, open := c.state.Session([16]byte(e.Session))
	if !ok || !open || x.Service != r.Initiator {
		return "", problem.New(problem.Unauthenticated, "the session is not open; open one and sign the request again")
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(r.Message())
	if !hmac.Equal(mac.Sum(nil), e.MAC) {
		return "", problem.New(problem.Unauthenticated, "the MAC does not verify over this request")
	}
	return policy.BySession, nil
}

func (c *Core) approve(in message.Approve) (message.Request, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.waiting(in.Approval.Request)
	if err == nil {
		err = c.state.CheckApproval(p, in.Approval, c.at())
	}
	var seq uint64
	if err == nil {
		seq, err = c.record(entry.KindApproval, entry.Confidential, &entry.Approval{Approval: in.Approval})
	}
	if err != nil {
		return message.Request{}, err
	}
	if p, ok := c.state.Pending(in.Approval.Request); ok && !p.Effects.Operation.Signs() && c.state.Ready(p, c.at(), c.derive) == nil {
		if err := c.execute(p.ID); err != nil {
			return message.Request{}, err
		}
	}
	v, err := c.view(in.Approval.Request)
	return c.receipted(v, seq, in.Approval.Hash(), request.Evidence{}), err
}

func (c *Core) waiting(id custody.RequestID) (*authority.Pending, error) {
	if p, ok := c.state.Pending(id); ok {
		return p, nil
	}
	if _, ok := c.state.Known(id); ok {
		return nil, problem.New(problem.Conflict, "request %s does not wait any more", id)
	}
	return nil, problem.New(problem.NotFound, "request %s does not exist", id)
}

func (c *Core) execute(id custody.RequestID) error {
	p, err := c.waiting(id)
	if err != nil {
		return err
	}
	e, body, err := c.state.DecideEffect(p, c.at(), c.derive)
	if err != nil {
		return err
	}
	if o, ok := body.(*request.WalletCreateBody); ok {
		if e.Wallet, e.Key, e.Addresses, err = c.newWallet(o); err != nil {
			return err
		}
	}
	_, err = c.record(entry.KindEffect, entry.Confidential, e)
	return err
}

// sign decides, records the permit, signs and records the result.
func (c *Core) sign(id custody.RequestID, payload []byte) (message.Signed, error) {
	if g, ok := c.state.Signed(id); ok && (len(payload) == 0 || g.Payload == canon.HashBytes(canon.TagPayload, payload)) {
		return c.release(g.Permit)
	}
	asked, err := c.asked(id)
	if err != nil {
		return message.Signed{}, err
	}
	p, err := c.state.DecidePermit(id, asked, payload, c.at(), c.derive)
	if err != nil {
		return message.Signed{}, c.refuse(id, payload, err)
	}
	seq, err := c.record(entry.KindPermit, entry.Confidential, p)
	if err != nil {
		return message.Signed{}, err
	}
	return c.release(seq)
}

func (c *Core) refuse(id custody.RequestID, payload []byte, cause error) error {
	var q *problem.Error
	if !errors.As(cause, &q) || q.Kind == problem.Conflict || q.Kind == problem.NotFound || q.Kind == problem.AlreadyDone {
		return cause
	}
	b := &entry.Refusal{Request: id, Act: "permit", Kind: q.Kind, Detail: q.Detail, Rule: q.Rule, Unmet: q.Unmet,
		Payload: canon.HashBytes(canon.TagPayload, payload)}
	_, err := c.record(entry.KindRefusal, entry.Confidential, b)
	return errors.Join(cause, err)
}

func (c *Core) asked(id custody.RequestID) (authority.Asked, error) {
	if g, ok := c.state.Signed(id); ok {
		return authority.AskedOf(c.bodies[g.Seq].(*entry.Request))
	}
	p, err := c.waiting(id)
	if err != nil {
		return authority.Asked{}, err
	}
	return p.Asked()
}

func (c *Core) release(permit uint64) (message.Signed, error) {
	if x, ok := c.released[permit]; ok {
		return x, nil
	}
	p := c.bodies[permit].(*entry.Permit)
	w, _, _ := c.state.Wallet(p.Wallet)
	sigs, err := c.signatures(w, p)
	if err != nil {
		return message.Signed{}, err
	}
	raw, txid, err := authority.Assemble(w, p, sigs, c.derive)
	if err != nil {
		return message.Signed{}, err
	}
	out := message.Signed{Attempt: p.Attempt, Permit: permit, TxID: txid, Bytes: raw}
	if g, ok := c.state.Signed(p.Request); ok && g.Permit == permit && g.Result == 0 {
		r := &entry.Result{Request: p.Request, Permit: permit, Signatures: sigs, TxID: txid, Signed: sha256.Sum256(raw)}
		if _, err := c.record(entry.KindResult, entry.Confidential, r); err != nil {
			return message.Signed{}, err
		}
	}
	c.released[permit] = out
	return out, nil
}
