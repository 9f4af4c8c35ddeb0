// SPDX-License-Identifier: Apache-2.0

// Package payloadtest is a core for tests: the real fold and the real decisions (pure/authority) over a log that is not kept,
// with a rule document that asks for one approval, which it gives itself, and keys in the clear that btcsuite's and go-ethereum's
// code makes and uses. What it signs, the real core would sign; what it refuses, the real core refuses.
package payloadtest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/payload"
)

// Two persons: the first asks for everything.
const (
	asker custody.PersonID = "p_aaaaaaaaaaaaaaaa"
	other custody.PersonID = "p_bbbbbbbbbbbbbbbb"
)

// Core is a domain's state and keys. Not safe for concurrent use.
type Core struct {
	State    *authority.State
	Derive   authority.Deriver
	keys     [2]request.PublicKey                         // of asker and other
	accounts map[custody.WalletID]*hdkeychain.ExtendedKey // private
	asked    map[custody.RequestID]authority.Asked
	count    int
}

// Cached gives a deriver that derives each address once. Safe for concurrent use.
func Cached() authority.Deriver {
	type key struct {
		scheme request.Scheme
		chain  custody.ChainID
		public string
		path   entry.KeyPath
	}
	var known sync.Map
	return func(w entry.Wallet, p entry.KeyPath) (authority.Derived, error) {
		k := key{w.Scheme, w.Chain, string(w.Public), p}
		if d, ok := known.Load(k); ok {
			return d.(authority.Derived), nil
		}
		d, err := authority.Derive(w, p)
		if err == nil {
			known.Store(k, d)
		}
		return d, err
	}
}

// New makes a domain without wallets.
func New(t testing.TB) *Core { return NewWith(t, Cached()) }

// NewWith makes a domain without wallets that derives with derive; tests that make many share a [Cached] one.
func NewWith(t testing.TB, derive authority.Deriver) *Core {
	t.Helper()
	c := &Core{
		State: authority.New(), Derive: derive, accounts: map[custody.WalletID]*hdkeychain.ExtendedKey{},
		asked: map[custody.RequestID]authority.Asked{},
	}
	key := func(b byte) request.PublicKey {
		seed := [ed25519.SeedSize]byte{b}
		return request.PublicKey{Alg: request.Ed25519, Pub: ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)}
	}
	c.keys = [2]request.PublicKey{key(1), key(2)}
	approvers := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "all", Min: 1}}}}}
	doc := policy.Document{
		V: 1, Version: 1,
		Principals: []policy.Principal{
			{ID: asker, Kind: policy.Human, Keys: []request.PublicKey{c.keys[0]}, Active: true},
			{ID: other, Kind: policy.Human, Keys: []request.PublicKey{c.keys[1]}, Active: true},
		},
		Groups:     []policy.Group{{ID: "all", Members: []custody.PersonID{asker, other}}},
		Floor:      policy.Floor{MinDistinctUsers: 1, ForbidSelfApproval: true, RequestTTL: 24 * 3600, MaxApprovalAge: 24 * 3600},
		Routes:     []policy.Route{{ID: "anything", Priority: 1, Plan: approvers}},
		ChangePlan: approvers,
	}
	c.apply(t, entry.KindGenesis, &entry.Genesis{
		V: 1, Profile: custody.Evaluation, LogKey: make([]byte, 32), Identity: make([]byte, 32), Root: "soft", Anchor: "file",
		Epoch: 1, Pattern: make([]byte, 16), Document: doc.Encode(), Nonce: make([]byte, 16),
		Signatures: []entry.GenesisSignature{{Person: asker}, {Person: other}},
	})
	return c
}

// apply appends an entry.
func (c *Core) apply(t testing.TB, kind entry.Kind, body any) {
	t.Helper()
	l := entry.Leaf{
		V: 1, Authority: c.State.Authority, Domain: c.State.Domain, Seq: c.State.Next, Prev: c.State.Last, Kind: kind, KindVersion: 1,
		Engine: entry.Engine1, Writer: 1, Time: max(time.Now().UnixNano(), c.State.Time), Bodies: []entry.BodyRef{{Class: entry.Confidential}},
	}
	if err := c.State.Apply(l, sha256.Sum256(canon.Encode(l)), body); err != nil {
		t.Fatalf("the test core's log: %v", err)
	}
}

func (c *Core) now() authority.Moment {
	return authority.Moment{Time: max(time.Now().UnixNano(), c.State.Time)}
}

// Request makes a request for a body.
func (c *Core) Request(op request.Operation, body any) request.Request {
	c.count++
	return request.Request{
		V: 1, Authority: c.State.Authority, Domain: c.State.Domain, Initiator: asker, Key: fmt.Sprintf("test-%d", c.count),
		Operation: op, Body: canon.Encode(body), NotAfter: time.Now().Add(time.Hour).Unix(),
	}
}

// Try asks for something; the error is the decision's.
func (c *Core) Try(t testing.TB, op request.Operation, body any) (custody.RequestID, payload.Asked, error) {
	t.Helper()
	r, err := request.Parse(c.Request(op, body).Encode())
	if err != nil {
		return custody.RequestID{}, payload.Asked{}, err
	}
	e, err := c.State.DecideRequest(r, policy.BySignature, c.now(), c.Derive)
	if err != nil {
		return custody.RequestID{}, payload.Asked{}, err
	}
	if err := authority.Refused(e.Decision); err != nil {
		return custody.RequestID{}, payload.Asked{}, err
	}
	e.Evidence = request.Evidence{Key: c.keys[0].Ref(), Sig: make([]byte, 64)}
	c.apply(t, entry.KindRequest, e)
	c.apply(t, entry.KindApproval, &entry.Approval{Approval: request.Approval{
		Request: r.Ident, Person: other, Decision: request.Approve, Key: c.keys[1].Ref(), Sig: make([]byte, 64),
	}})
	c.asked[r.Ident] = authority.Asked{Request: r, Effects: e.Effects, Bounds: e.Bounds, Kind: policy.BySignature}
	return r.Ident, payload.Asked{Effects: e.Effects, Bounds: e.Bounds, Decision: e.Decision}, nil
}

// Ask is Try for what has to be accepted.
func (c *Core) Ask(t testing.TB, op request.Operation, body any) (custody.RequestID, payload.Asked) {
	t.Helper()
	id, asked, err := c.Try(t, op, body)
	if err != nil {
		t.Fatalf("the test core refuses %s: %v", op, err)
	}
	return id, asked
}

// Transfer asks for a transfer.
func (c *Core) Transfer(t testing.TB, b request.TransferBody) (custody.RequestID, payload.Asked) {
	t.Helper()
	return c.Ask(t, request.Transfer, &b)
}

// execute does what was asked for and needs no payload.
func (c *Core) execute(t testing.TB, id custody.RequestID, fill func(*entry.Effect)) {
	t.Helper()
	p, ok := c.State.Pending(id)
	if !ok {
		t.Fatalf("request %s does not wait", id)
	}
	e, _, err := c.State.DecideEffect(p, c.now(), c.Derive)
	if err != nil {
		t.Fatal(err)
	}
	if fill != nil {
		fill(e)
	}
	c.apply(t, entry.KindEffect, e)
}

// AddWallet makes a wallet whose keys follow from its id.
func (c *Core) AddWallet(t testing.TB, id custody.WalletID, chain custody.ChainID, scheme request.Scheme) entry.Wallet {
	t.Helper()
	req, _ := c.Ask(t, request.WalletCreate, &request.WalletCreateBody{Wallet: id, Chain: chain, Scheme: scheme})
	seed := sha256.Sum256([]byte("seed of test wallet " + id))
	master, err := hdkeychain.NewMaster(seed[:], &chaincfg.RegressionNetParams)
	if err != nil {
		t.Fatal(err)
	}
	w := entry.Wallet{ID: id, Chain: chain, Scheme: scheme, Key: custody.KeyID(fmt.Sprintf("%x", seed[:16]))}
	pub, err := master.ECPubKey()
	if err != nil {
		t.Fatal(err)
	}
	copy(w.Master[:], address.Hash160(pub.SerializeCompressed()))
	path, err := authority.AccountPath(w)
	if err != nil {
		t.Fatal(err)
	}
	account := master
	for _, i := range path {
		if account, err = account.Derive(i); err != nil {
			t.Fatal(err)
		}
	}
	if pub, err = account.ECPubKey(); err != nil {
		t.Fatal(err)
	}
	w.Public = pub.SerializeCompressed()
	copy(w.ChainCode[:], account.ChainCode())
	fp := account.ParentFingerprint()
	w.Parent = [4]byte{byte(fp >> 24), byte(fp >> 16), byte(fp >> 8), byte(fp)}
	c.accounts[id] = account
	c.execute(t, req, func(e *entry.Effect) {
		e.Wallet = &w
		e.Key = &entry.NewKey{ID: w.Key, Purpose: "custody", Kind: "hd-seed", Epoch: 1, Blob: [32]byte{1}}
		b := entry.AddressBatch{Wallet: id, Count: 1}
		if b.Root, err = authority.BatchRoot(w, b, c.Derive); err != nil {
			t.Fatal(err)
		}
		e.Addresses = &b
	})
	return w
}

// AddAddresses makes the wallet's next receiving addresses.
func (c *Core) AddAddresses(t testing.TB, id custody.WalletID, count uint32) {
	t.Helper()
	req, _ := c.Ask(t, request.AddressCreate, &request.AddressCreateBody{Wallet: id, Count: count})
	c.execute(t, req, nil)
}

// Next gives a wallet's next receiving and change index.
func (c *Core) Next(t testing.TB, id custody.WalletID) [2]uint32 {
	t.Helper()
	_, next, ok := c.State.Wallet(id)
	if !ok {
		t.Fatalf("there is no wallet %s", id)
	}
	return next
}

// Address gives an address of a wallet.
func Address(t testing.TB, w entry.Wallet, branch, index uint32) string {
	t.Helper()
	d, err := authority.Derive(w, entry.KeyPath{Branch: branch, Index: index})
	if err != nil {
		t.Fatal(err)
	}
	return d.Address
}

// Statement gives the approval statement and the canonical request of something that was asked for.
func (c *Core) Statement(t testing.TB, id custody.RequestID, a payload.Asked) (request.Statement, []byte) {
	t.Helper()
	r := c.asked[id].Request
	s := authority.StatementOf(c.State.Authority, c.State.Domain, id, r.Initiator, a.Effects, a.Bounds, a.Decision)
	return s.By(other, request.Approve), r.Encode()
}
