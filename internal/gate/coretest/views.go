// SPDX-License-Identifier: Apache-2.0

package coretest

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"time"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// derive is authority.Derive with a memory.
func (c *Core) derive(w entry.Wallet, p entry.KeyPath) (authority.Derived, error) {
	k := derivedKey{w.Key, w.ChainCode, w.Chain, p}
	c.derivedMu.Lock()
	defer c.derivedMu.Unlock()
	if d, ok := c.derived[k]; ok {
		return d, nil
	}
	d, err := authority.Derive(w, p)
	if err == nil {
		c.derived[k] = d
	}
	return d, err
}

type derivedKey struct {
	seed  custody.KeyID
	code  [32]byte
	chain custody.ChainID
	path  entry.KeyPath
}

func publicOf(raw [32]byte) []byte {
	return secp256k1.PrivKeyFromBytes(raw[:]).PubKey().SerializeCompressed()
}

// childKey is CKDpriv of BIP-32 for normal children.
func childKey(k secp256k1.ModNScalar, code [32]byte, i uint32) (secp256k1.ModNScalar, [32]byte) {
	m := hmac.New(sha512.New, code[:])
	m.Write(secp256k1.NewPrivateKey(&k).PubKey().SerializeCompressed())
	_ = binary.Write(m, binary.BigEndian, i)
	sum := m.Sum(nil)
	var il secp256k1.ModNScalar
	il.SetByteSlice(sum[:32])
	return *il.Add(&k), [32]byte(sum[32:])
}

func (c *Core) privateKey(w entry.Wallet, p entry.KeyPath) *secp256k1.PrivateKey {
	var k secp256k1.ModNScalar
	raw := c.seeds[w.Key]
	k.SetBytes(&raw)
	k, code := childKey(k, w.ChainCode, p.Branch)
	k, _ = childKey(k, code, p.Index)
	return secp256k1.NewPrivateKey(&k)
}

// signatures signs a permit, deterministically (RFC 6979).
func (c *Core) signatures(w entry.Wallet, p *entry.Permit) ([][]byte, error) {
	if w.Scheme == request.SchemeEVM {
		tx, err := eth.DecodeUnsigned(p.Payload)
		if err != nil {
			return nil, err
		}
		digest, err := tx.SigningHash()
		if err != nil {
			return nil, err
		}
		sig := ecdsa.SignCompact(c.privateKey(w, p.Keys[0]), digest[:], false)
		return [][]byte{append(sig[1:65:65], sig[0]-27)}, nil
	}
	if w.Scheme != request.SchemeP2WPKH {
		return nil, errors.New("coretest signs for Ethereum and P2WPKH only")
	}
	psbt, err := btc.DecodePSBT(p.Payload)
	if err != nil {
		return nil, err
	}
	h, err := btc.NewSighasher(psbt.Tx, psbt.Prevouts())
	if err != nil {
		return nil, err
	}
	var out [][]byte
	for i, k := range p.Keys {
		digest, err := h.Hash(i)
		if err != nil {
			return nil, err
		}
		out = append(out, append(ecdsa.Sign(c.privateKey(w, k), digest[:]).Serialize(), btc.SighashAll))
	}
	return out, nil
}

func (c *Core) status() message.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, n := c.state, c.state.Counts()
	return message.Status{Profile: s.Profile, Authority: s.Authority, Domain: s.Domain, Origin: "strongroom/domain/" + s.Domain.String(),
		LogKey: s.LogKey[:], Identity: s.Identity[:], Size: s.Next, Pinned: s.Next, Writer: s.Writer, Root: s.Root, Anchor: s.Anchor,
		MemoryLocked: true, Wallets: uint64(n.Wallets), Pending: uint64(n.Pending), Signed: uint64(n.Signed), Sessions: uint64(n.Sessions),
		Policy: s.Doc.Version, PolicyHash: s.Rules.Hash(), Time: c.at().Time, Bound: c.at().Bound, TimeCertain: true, Life: message.LifeOf(s)}
}

// signedStatus signs it as a core does.
func (c *Core) signedStatus(in message.StatusAsk) (message.SignedStatus, error) {
	if n := len(in.Nonce); n < 16 || n > 32 {
		return message.SignedStatus{}, problem.New(problem.Malformed, "the nonce must have 16 to 32 bytes, not %d", n)
	}
	st := c.status()
	out := message.SignedStatus{Statement: canon.Encode(message.StatusStatement{Authority: st.Authority, Domain: st.Domain, Nonce: in.Nonce, Status: st})}
	out.Sig = ed25519.Sign(c.identity, out.Message())
	return out, nil
}

func lackOf(err error) *message.Problem {
	var q *problem.Error
	if !errors.As(err, &q) {
		return nil
	}
	return &message.Problem{Kind: q.Kind, Detail: q.Detail, Rule: q.Rule, Unmet: q.Unmet}
}

// view tells of a request. The caller holds mu.
func (c *Core) view(id custody.RequestID) (message.Request, error) {
	if p, ok := c.state.Pending(id); ok {
		return c.pendingView(p), nil
	}
	of := func(seq, last uint64, s message.State) message.Request {
		e := c.bodies[seq].(*entry.Request)
		return message.Request{ID: id, State: s, Simulation: e.Facts.Simulation, Request: e.Request, Effects: e.Effects, Bounds: e.Bounds, Decision: e.Decision, Seq: seq, Last: last}
	}
	if g, ok := c.state.Signed(id); ok {
		v := of(g.Seq, max(g.Permit, g.Result), message.StateSigned)
		x, err := c.release(g.Permit)
		v.Signed = &x
		return v, err
	}
	o, ok := c.state.Done(id)
	if !ok {
		return message.Request{}, problem.New(problem.NotFound, "request %s does not exist, or ended more than 90 days ago", id)
	}
	v := of(o.Request(), o.Seq, message.State(o.End.String()))
	if o.End == authority.EndRefused {
		v.Missing = lackOf(authority.Refused(v.Decision))
	}
	return v, nil
}

func (c *Core) pendingView(p *authority.Pending) message.Request {
	v := message.Request{ID: p.ID, State: message.StatePending, Simulation: p.Simulation, Request: p.Request, Effects: p.Effects, Bounds: p.Bounds, Decision: p.Decision, Seq: p.Seq, Last: p.Seq}
	for _, x := range p.Approvals {
		v.Approvals = append(v.Approvals, message.Vote(x))
		v.Last = x.Seq
	}
	if h, held := c.state.HoldOf(p.ID); held {
		v.Hold = &h
	}
	if err := c.state.Ready(p, c.at(), c.derive); err != nil {
		v.Missing = lackOf(err)
	} else if p.Effects.Operation.Signs() {
		v.State = message.StateReady
	}
	return v
}

func (c *Core) requests(in message.List) (message.Requests, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out message.Requests
	for _, p := range c.state.PendingList() {
		if p.Seq >= in.From && uint64(len(out.Requests)) < min(max(in.Limit, 1), 500) {
			out.Requests = append(out.Requests, c.pendingView(p))
		}
	}
	return out, nil
}

func (c *Core) walletView(w entry.Wallet, next [2]uint32) (message.Wallet, error) {
	first, err := c.derive(w, entry.KeyPath{})
	return message.Wallet{Wallet: w, NextReceive: next[0], NextChange: next[1], Address: first.Address}, err
}

func (c *Core) wallets(in message.List) (message.Wallets, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := message.Wallets{Total: uint64(c.state.Counts().Wallets)}
	for _, w := range c.state.Wallets(int(in.From), int(min(max(in.Limit, 1), 500))) {
		_, next, _ := c.state.Wallet(w.ID)
		v, err := c.walletView(w, next)
		if err != nil {
			return out, err
		}
		out.Wallets = append(out.Wallets, v)
	}
	return out, nil
}

func (c *Core) book(in message.List) (message.Book, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	list, total := c.state.Book(in.From, int(min(max(in.Limit, 1), 1000)), c.at())
	out := message.Book{Total: total, Ledger: c.state.Doc.Whitelist != nil}
	for _, x := range list {
		out.Entries = append(out.Entries, message.BookEntry{Entry: x.BookEntry, Standing: x.Standing, Age: x.Age, Reviewed: x.Reviewed, Seq: x.Seq, Own: x.Own, Position: x.Position, Old: x.Old})
	}
	return out, nil
}

func (c *Core) apps(in message.List) (message.Apps, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.state.Counts()
	out := message.Apps{Total: uint64(n.Grants), Revoked: uint64(n.RevokedKeys)}
	for _, g := range c.state.Grants(int(in.From), int(min(max(in.Limit, 1), 500))) {
		out.Grants = append(out.Grants, message.AppGrant{Seq: g.Seq, Grant: g.Body, Used: g.Used, Request: g.Request, Logins: uint64(len(g.Logins)), Ended: c.state.InForce(&g, c.at()) != nil})
	}
	return out, nil
}

func (c *Core) addresses(in message.Addresses) (message.AddressList, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out message.AddressList
	w, next, ok := c.state.Wallet(in.Wallet)
	if !ok {
		return out, problem.New(problem.NotFound, "wallet %q does not exist", in.Wallet)
	}
	if in.Branch > 1 {
		return out, problem.New(problem.Malformed, "branch is 0 (receiving) or 1 (change)")
	}
	for i := in.From; i < next[in.Branch] && i-in.From < in.Count; i++ {
		a, err := c.derive(w, entry.KeyPath{Branch: in.Branch, Index: i})
		if err != nil {
			return out, err
		}
		pub := a.Public.Compressed()
		out.Addresses = append(out.Addresses, message.Address{Index: i, Address: a.Address, Public: pub[:], Nonce: c.state.NextNonce(w.ID, i)})
	}
	return out, nil
}

func (c *Core) feed(ctx context.Context, in message.Feed) (message.Entries, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(min(in.Wait, message.MaxWait))*time.Millisecond)
	defer cancel()
	for {
		c.mu.Lock()
		n := uint64(len(c.entries))
		grown := c.grown
		if in.Wait > 0 && in.From > n {
			c.mu.Unlock()
			return message.Entries{}, problem.New(problem.Malformed, "entry %d can't be waited for: the next entry is %d", in.From, n)
		}
		if in.From < n || in.Wait == 0 || ctx.Err() != nil {
			out := message.Entries{Pinned: n}
			if in.From < n {
				out.Entries = append(out.Entries, c.entries[in.From:min(n, in.From+min(max(in.Limit, 1), 1000))]...)
			}
			c.mu.Unlock()
			return out, nil
		}
		c.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
		}
	}
}
