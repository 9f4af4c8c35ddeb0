// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"errors"
	"math"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// problemOf gives an error as data, or nil.
func problemOf(err error) *message.Problem {
	if err == nil {
		return nil
	}
	var q *problem.Error
	if !errors.As(err, &q) {
		return &message.Problem{Kind: problem.Internal, Detail: "the core could not decide; see its log"}
	}
	return &message.Problem{Kind: q.Kind, Detail: q.Detail, Rule: q.Rule, Unmet: q.Unmet}
}

// Request tells all that the log says of a request.
func (d *Domain) Request(ctx context.Context, id custody.RequestID) (message.Request, error) {
	d.mu.Lock()
	if p, ok := d.state.Pending(id); ok {
		v := d.pendingView(p)
		d.mu.Unlock()
		return v, nil
	}
	if g, ok := d.state.Signed(id); ok {
		x := *g
		d.mu.Unlock()
		return d.signedView(ctx, x)
	}
	o, ok := d.state.Done(id)
	d.mu.Unlock()
	if !ok {
		return message.Request{}, problem.New(problem.NotFound, "request %s does not exist, or ended more than 90 days ago", id)
	}
	return d.doneView(ctx, id, o)
}

// pendingView tells of a request that waits, and for what. The caller holds mu.
func (d *Domain) pendingView(p *authority.Pending) message.Request {
	v := message.Request{ID: p.ID, State: message.StatePending, Simulation: p.Simulation, Request: p.Request, Effects: p.Effects, Bounds: p.Bounds, Decision: p.Decision,
		Seq: p.Seq, Last: p.Seq}
	for _, x := range p.Approvals {
		v.Approvals = append(v.Approvals, message.Vote(x))
		v.Last = x.Seq
	}
	if h, held := d.state.HoldOf(p.ID); held {
		v.Hold = &h
	}
	r := d.cfg.Clock.Now()
	if err := d.ready(p, d.moment(r)); err != nil {
		v.Missing = problemOf(err)
	} else if p.Effects.Operation.Signs() {
		if err := d.inSession(p, d.moment(r)); err != nil {
			v.Missing = problemOf(err)
		} else {
			v.State = message.StateReady
		}
	}
	return v
}

// entryOf reads a request's entry.
func (d *Domain) entryOf(ctx context.Context, seq uint64) (*entry.Request, error) {
	_, body, err := d.readEntry(ctx, seq)
	if err != nil {
		return nil, readProblem(err, seq)
	}
	e, ok := body.(*entry.Request)
	if !ok {
		return nil, problem.New(problem.Internal, "entry %d is not a request", seq)
	}
	return e, nil
}

func (d *Domain) signedView(ctx context.Context, g authority.Signed) (message.Request, error) {
	if err := d.waitFor(ctx, max(g.Permit, g.Result)); err != nil {
		return message.Request{}, err
	}
	e, err := d.entryOf(ctx, g.Seq)
	if err != nil {
		return message.Request{}, err
	}
	v := message.Request{ID: g.ID, State: message.StateSigned, Simulation: e.Facts.Simulation, Request: e.Request, Effects: e.Effects, Bounds: e.Bounds, Decision: e.Decision,
		Seq: g.Seq, Last: max(g.Permit, g.Result)}
	if err := d.votes(ctx, &v, g.Approvals); err != nil {
		return v, err
	}
	_, v.Signed, err = d.released(ctx, g.Permit, g.Result)
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, waits := d.state.Exported(g.ID); waits && g.Result == 0 && err == nil {
		v.State, v.Signed.Exported = message.StateExported, true
	}
	return v, err
}

// votes reads who decided from the entries of a request that does not wait any more. Entries of other kinds are passed over.
func (d *Domain) votes(ctx context.Context, v *message.Request, own []uint64) error {
	for _, seq := range own {
		l, body, err := d.readEntry(ctx, seq)
		if err != nil {
			return readProblem(err, seq)
		}
		e, ok := body.(*entry.Approval)
		if !ok {
			continue
		}
		a := e.Approval
		vote := message.Vote{Person: a.Person, Key: a.Key, Seq: seq, Time: l.Time}
		if a.Decision == request.Approve {
			v.Approvals = append(v.Approvals, vote)
		} else {
			v.EndedBy = &vote
		}
	}
	return nil
}

// released rebuilds what a permit released, from its result, which is 0 if there is none yet.
func (d *Domain) released(ctx context.Context, permit, result uint64) (*entry.Permit, *message.Signed, error) {
	_, pb, err := d.readEntry(ctx, permit)
	if err != nil {
		return nil, nil, readProblem(err, permit)
	}
	p, ok := pb.(*entry.Permit)
	if !ok {
		return nil, nil, problem.New(problem.Internal, "entry %d is not a permit", permit)
	}
	if result == 0 {
		return p, &message.Signed{Attempt: p.Attempt, Permit: permit}, nil
	}
	_, rb, err := d.readEntry(ctx, result)
	if err != nil {
		return nil, nil, readProblem(err, result)
	}
	r, ok := rb.(*entry.Result)
	if !ok {
		return nil, nil, problem.New(problem.Internal, "entry %d is not a result", result)
	}
	d.mu.Lock()
	w, _, _ := d.state.Wallet(p.Wallet)
	d.mu.Unlock()
	raw, txid, err := authority.Assemble(w, p, r.Signatures, d.derive)
	if err != nil {
		return nil, nil, problem.Wrap(problem.Internal, err, "assemble the transaction of entry %d", result)
	}
	return p, &message.Signed{Attempt: p.Attempt, Permit: permit, TxID: txid, Bytes: raw}, nil
}

func (d *Domain) doneView(ctx context.Context, id custody.RequestID, o authority.Outcome) (message.Request, error) {
	if err := d.waitFor(ctx, o.Seq); err != nil {
		return message.Request{}, err
	}
	e, err := d.entryOf(ctx, o.Request())
	if err != nil {
		return message.Request{}, err
	}
	v := message.Request{ID: id, State: message.State(o.End.String()), Simulation: e.Facts.Simulation, Request: e.Request, Effects: e.Effects, Bounds: e.Bounds, Decision: e.Decision,
		Seq: o.Request(), Last: o.Seq}
	if err := d.votes(ctx, &v, o.Own[1:]); err != nil {
		return v, err
	}
	_, body, err := d.readEntry(ctx, o.Seq)
	if err != nil {
		return v, readProblem(err, o.Seq)
	}
	switch b := body.(type) {
	case *entry.Request:
		v.Missing = problemOf(authority.Refused(b.Decision))
	case *entry.Refusal:
		v.Missing = &message.Problem{Kind: b.Kind, Detail: b.Detail, Rule: b.Rule, Unmet: b.Unmet}
	case *entry.Result:
		_, v.Signed, err = d.released(ctx, b.Permit, o.Seq)
	}
	return v, err
}

// listBytes is about how long an answer that lists requests may be: half of a frame, so that the last one fits too (an entry is shorter than the other half).
const listBytes = gate.MaxFrame / 2

// Requests lists requests that wait, oldest first, from an entry on: as many as are asked for, or as an answer has room for, and one at least if there is one.
func (d *Domain) Requests(in message.List) message.Requests {
	limit := int(min(max(in.Limit, 1), 500))
	d.mu.Lock()
	list := d.state.PendingList()
	d.mu.Unlock()
	var out message.Requests
	size := 0
	for _, p := range list {
		if len(out.Requests) == limit || size >= listBytes {
			break
		}
		if p.Seq < in.From {
			continue
		}
		// One at a time: telling what a change of the rules lacks takes long, and nothing else is decided meanwhile.
		d.mu.Lock()
		p, ok := d.state.Pending(p.ID)
		var v message.Request
		if ok {
			v = d.pendingView(p)
		}
		d.mu.Unlock()
		if ok {
			size += len(canon.Encode(&v))
			out.Requests = append(out.Requests, v)
		}
	}
	return out
}

// Wallet tells of one wallet.
func (d *Domain) Wallet(id custody.WalletID) (message.Wallet, error) {
	d.mu.Lock()
	v, ok := d.walletView(id)
	d.mu.Unlock()
	if !ok {
		return message.Wallet{}, problem.New(problem.NotFound, "wallet %q does not exist", id)
	}
	return v, d.withAddress(&v)
}

// walletView tells of a wallet, but for its address. The caller holds mu.
func (d *Domain) walletView(id custody.WalletID) (message.Wallet, bool) {
	w, next, ok := d.state.Wallet(id)
	v := message.Wallet{Wallet: w, NextReceive: next[0], NextChange: next[1], Temperature: d.state.Temperature(id)}
	if a, away := d.state.Away(id); away {
		at := d.state.AwayAt(a)
		v.Away = &message.Away{Domain: at.ID, Name: at.Name, Way: a.Way.String(), Move: a.Move}
	}
	at := d.moment(d.cfg.Clock.Now())
	for _, x := range d.state.WarmSessions(id) {
		v.Sessions = append(v.Sessions, message.WarmSession{Asset: x.Asset, Amount: x.Amount, Remaining: x.Remaining, NotAfter: x.NotAfter, Seq: x.Seq,
			Ended: authority.Expired(x.NotAfter, at.Time, at.Bound)})
	}
	return v, ok
}

func (d *Domain) withAddress(v *message.Wallet) error {
	first, err := d.derive(v.Wallet, entry.KeyPath{})
	if err != nil {
		return problem.Wrap(problem.Internal, err, "derive an address")
	}
	v.Address = first.Address
	return nil
}

// Wallets lists wallets in order of birth.
func (d *Domain) Wallets(in message.List) (message.Wallets, error) {
	limit := int(min(max(in.Limit, 1), 500))
	d.mu.Lock()
	list := d.state.Wallets(int(min(in.From, authority.MaxWallets)), limit)
	out := message.Wallets{Total: uint64(d.state.Counts().Wallets)}
	for _, w := range list {
		v, _ := d.walletView(w.ID)
		out.Wallets = append(out.Wallets, v)
	}
	d.mu.Unlock()
	for i := range out.Wallets {
		if err := d.withAddress(&out.Wallets[i]); err != nil {
			return out, err
		}
	}
	return out, nil
}

// MaxAddresses is how many addresses one call gives.
const MaxAddresses = 10_000

// Addresses derives a run of a wallet's addresses: receiving ones that were created, change ones up to the gap.
func (d *Domain) Addresses(in message.Addresses) (message.AddressList, error) {
	var out message.AddressList
	d.mu.Lock()
	w, next, ok := d.state.Wallet(in.Wallet)
	d.mu.Unlock()
	if !ok {
		return out, problem.New(problem.NotFound, "wallet %q does not exist", in.Wallet)
	}
	if in.Branch > 1 || in.Count > MaxAddresses {
		return out, problem.New(problem.Malformed, "branch is 0 (receiving) or 1 (change), and a call gives at most %d addresses", MaxAddresses)
	}
	end := next[in.Branch]
	if in.Branch == 1 && w.Scheme != request.SchemeEVM {
		end += authority.ChangeGap
	}
	for i := in.From; i < end && i-in.From < in.Count; i++ {
		a, err := d.derive(w, entry.KeyPath{Branch: in.Branch, Index: i})
		if err != nil {
			return out, problem.Wrap(problem.Internal, err, "derive address %d", i)
		}
		pub := a.Public.Compressed()
		x := message.Address{Index: i, Address: a.Address, Public: pub[:]}
		if w.Scheme == request.SchemeEVM {
			d.mu.Lock()
			x.Nonce = d.state.NextNonce(w.ID, i)
			d.mu.Unlock()
		}
		out.Addresses = append(out.Addresses, x)
	}
	return out, nil
}

// Policy gives the current rule document.
func (d *Domain) Policy() message.Policy {
	d.mu.Lock()
	defer d.mu.Unlock()
	return message.Policy{Document: d.state.Doc.Encode(), Hash: d.state.Rules.Hash()}
}

// Apps gives the grants to applications, oldest first.
func (d *Domain) Apps(in message.List) message.Apps {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.guess()
	c := d.state.Counts()
	out := message.Apps{Total: uint64(c.Grants), Revoked: uint64(c.RevokedKeys)}
	for _, g := range d.state.Grants(int(min(in.From, math.MaxInt32)), int(min(in.Limit, maxApps))) {
		out.Grants = append(out.Grants, message.AppGrant{Seq: g.Seq, Grant: g.Body, Used: g.Used, Request: g.Request, Logins: uint64(len(g.Logins)), Ended: d.state.InForce(&g, at) != nil})
	}
	return out
}

// maxApps is how many grants one answer lists.
const maxApps = 1000

// Feed gives entries below the pin, in clear.
func (d *Domain) Feed(ctx context.Context, in message.Feed) (message.Entries, error) {
	limit := int(min(max(in.Limit, 1), 1000))
	if in.Wait > 0 {
		if err := d.awaitEntry(ctx, in.From, in.Wait); err != nil {
			return message.Entries{}, err
		}
	}
	pinned := d.log.Head().Size
	out := message.Entries{Pinned: pinned}
	if in.From >= pinned {
		return out, nil
	}
	most := int(min(uint64(limit), pinned-in.From))
	if out.Entries = d.recent.from(in.From, most); len(out.Entries) > 0 {
		return out, nil
	}
	list, err := d.clear(ctx, in.From, most)
	if err != nil {
		return out, problem.Wrap(problem.Internal, err, "read entries from %d", in.From)
	}
	for _, o := range list {
		e := message.Entry{Leaf: o.raw}
		for _, b := range o.bodies {
			e.Bodies = append(e.Bodies, message.Body{Salt: b.Salt[:], Body: b.Body})
		}
		out.Entries = append(out.Entries, e)
	}
	return out, nil
}
