// SPDX-License-Identifier: Apache-2.0

// Package coretest is a core for tests of what lies outside the door: the real decisions and the real fold of package
// authority over a log in memory, keys that protect nothing, and no disk. It answers every method of the door but proof and
// can be made to fail before an act (nothing happened) and after it (the answer is lost).
package coretest

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"sync"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/secp"
)

// ErrLost is what a call gets that was made to fail, without a kind, as a broken connection has none.
var ErrLost = &gate.ClosedError{Sent: true, Cause: errors.New("connection lost by the test")}

// Fault says when a call fails.
type Fault uint8

// The faults.
const (
	Before Fault = 1 // nothing happens
	After  Fault = 2 // it happens, the answer is lost
)

// Core is a domain in memory. Its methods are safe for concurrent use.
type Core struct {
	identity ed25519.PrivateKey
	now      func() time.Time

	mu       sync.Mutex // guards all below
	state    *authority.State
	entries  []message.Entry
	bodies   []any
	seeds    map[custody.KeyID][32]byte // private account scalar by seed
	sessions map[[16]byte][]byte
	faults   map[string][]Fault
	calls    map[string]int
	released map[uint64]message.Signed // by entry of the permit
	grown    chan struct{}             // closed when an entry is added

	derivedMu sync.Mutex // guards derived
	derived   map[derivedKey]authority.Derived
}

// Person is somebody of the test's domain.
type Person struct {
	ID  custody.PersonID
	Key ed25519.PrivateKey
}

// Public gives the approval key.
func (p Person) Public() request.PublicKey {
	return request.PublicKey{Alg: request.Ed25519, Pub: p.Key.Public().(ed25519.PublicKey)}
}

// NewPerson gives person number i, the same each time; ids sort as numbers do up to 25.
func NewPerson(i int) Person {
	seed := make([]byte, ed25519.SeedSize)
	binary.BigEndian.PutUint32(seed, uint32(i)+1)
	return Person{custody.PersonID("p_" + string(bytes.Repeat([]byte{byte('a' + i)}, 16))), ed25519.NewKeyFromSeed(seed)}
}

// The people of [Document]: three who approve for each other, and a service.
var (
	Anna   = NewPerson(0)
	Bruno  = NewPerson(1)
	Chiara = NewPerson(2)
	Payout = NewPerson(25)
)

// Chains, and a destination in the address book of each.
const (
	Ethereum    = custody.ChainID("eip155:1337")
	Ether       = custody.AssetID("eip155:1337/slip44:60")
	EthereumTo  = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	EthereumOut = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359" // in nobody's book
	Bitcoin     = custody.BitcoinRegtest
)

// Document is the rules: the service pays out up to 1000 to the address book, else two of three approve; one of three for
// wallets and addresses.
func Document() policy.Document {
	u := custody.U64(1000)
	plan := func(n uint32) policy.Plan {
		return policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "treasury", Min: n}}}}}
	}
	human := func(p Person) policy.Principal {
		return policy.Principal{ID: p.ID, Kind: policy.Human, Keys: []request.PublicKey{p.Public()}, Active: true}
	}
	return policy.Document{V: 1, Version: 1,
		Principals: []policy.Principal{human(Anna), human(Bruno), human(Chiara),
			{ID: Payout.ID, Kind: policy.Service, Keys: []request.PublicKey{Payout.Public()}, Active: true}},
		Groups: []policy.Group{{ID: "payout", Members: []custody.PersonID{Payout.ID}},
			{ID: "treasury", Members: []custody.PersonID{Anna.ID, Bruno.ID, Chiara.ID}}},
		AddressBook: []policy.BookEntry{{ID: "bank", Chain: Ethereum, Address: EthereumTo}},
		Floor:       policy.Floor{MinDistinctUsers: 1, ForbidSelfApproval: true, RequestTTL: 86400, MaxApprovalAge: 86400},
		Guards: []policy.Guard{{ID: "known", Effect: policy.Deny, Reason: "destination-not-whitelisted",
			When: policy.Match{Operations: []request.Operation{request.Transfer}, DestNot: []policy.DestinationKind{policy.Whitelisted}}}},
		Routes: []policy.Route{
			{ID: "small", Priority: 10, Auto: true, When: policy.Match{Operations: []request.Operation{request.Transfer},
				InitiatorIn: []custody.GroupID{"payout"}, AmountMax: &u}},
			{ID: "large", Priority: 20, Plan: plan(2), When: policy.Match{Operations: []request.Operation{request.Transfer}}},
			{ID: "wallets", Priority: 30, Plan: plan(1), When: policy.Match{Operations: []request.Operation{request.AddressCreate, request.WalletCreate, request.WalletTemperature, request.WarmClose, request.WarmOpen}}},
		},
		ChangePlan: plan(2)}
}

// New makes a domain with the rules of [Document]. now is its clock.
func New(t testing.TB, now func() time.Time) *Core {
	t.Helper()
	_, identity, _ := ed25519.GenerateKey(rand.Reader)
	c := &Core{identity: identity, now: now, state: authority.New(), seeds: map[custody.KeyID][32]byte{}, sessions: map[[16]byte][]byte{},
		faults: map[string][]Fault{}, calls: map[string]int{}, grown: make(chan struct{}),
		released: map[uint64]message.Signed{}, derived: map[derivedKey]authority.Derived{}}
	g := &entry.Genesis{V: 1, Profile: custody.Evaluation, LogKey: make([]byte, 32), Identity: identity.Public().(ed25519.PublicKey), Root: "soft",
		Anchor: "file", Epoch: 1, Pattern: make([]byte, 16), Document: Document().Encode(), Nonce: make([]byte, 16)}
	rand.Read(g.Nonce)
	m := authority.GenesisMessage(*g)
	for _, p := range []Person{Anna, Bruno, Chiara, Payout} {
		g.Signatures = append(g.Signatures, entry.GenesisSignature{Person: p.ID, Key: p.Public().Ref(), Sig: ed25519.Sign(p.Key, m)})
	}
	if err := authority.AuditGenesis(g); err != nil {
		t.Fatalf("genesis of the test's domain: %v", err)
	}
	if _, err := c.record(entry.KindGenesis, entry.Public, g); err != nil {
		t.Fatalf("genesis of the test's domain: %v", err)
	}
	return c
}

// Authority gives the domain's and authority's id.
func (c *Core) Authority() custody.AuthorityID { return c.state.Authority }

// Fail makes the next calls of a method fail, one a fault.
func (c *Core) Fail(method string, faults ...Fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults[method] = append(c.faults[method], faults...)
}

// Calls says how often a method was called.
func (c *Core) Calls(method string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[method]
}

// State runs f on the state, which f must not keep.
func (c *Core) State(f func(*authority.State)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.state)
}

// Bodies gives the first bodies of all entries.
func (c *Core) Bodies() []any {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]any(nil), c.bodies...)
}

// Call answers as the core's door does.
func (c *Core) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	c.calls[method]++
	var f Fault
	if q := c.faults[method]; len(q) > 0 {
		f, c.faults[method] = q[0], q[1:]
	}
	c.mu.Unlock()
	if f == Before {
		return nil, ErrLost
	}
	b, err := c.mux().Dispatch(ctx, gate.Caller{}, method, body)
	if f == After {
		return nil, ErrLost
	}
	var p *problem.Error
	if errors.As(err, &p) {
		p = &problem.Error{Kind: p.Kind, Detail: p.Detail, Rule: p.Rule, Unmet: p.Unmet} // causes do not cross the door
		return nil, p
	}
	return b, err
}

func (c *Core) at() authority.Moment {
	return authority.Moment{Time: c.now().UnixNano(), Bound: int64(time.Millisecond)}
}

// record adds an entry. The caller holds mu or is the only one.
func (c *Core) record(kind entry.Kind, class entry.Class, body any) (uint64, error) {
	s, at := c.state, c.at()
	enc := canon.Encode(body)
	var salt [entry.SaltSize]byte
	rand.Read(salt[:])
	l := entry.Leaf{V: 1, Authority: s.Authority, Domain: s.Domain, Seq: s.Next, Prev: s.Last, Kind: kind, KindVersion: 1, Engine: entry.Engine1,
		Writer: max(s.Writer, 1), Time: max(at.Time, s.Time), Bound: at.Bound, Bodies: []entry.BodyRef{entry.Ref(class, salt, enc)}}
	leaf := l.Encode()
	if err := s.Apply(l, entry.Hash(leaf), body); err != nil {
		return 0, problem.Wrap(problem.Internal, err, "the entry does not fit the state: %v", err)
	}
	c.entries = append(c.entries, message.Entry{Leaf: leaf, Bodies: []message.Body{{Salt: salt[:], Body: enc}}})
	c.bodies = append(c.bodies, body)
	close(c.grown)
	c.grown = make(chan struct{})
	return l.Seq, nil
}

// AddWallet makes a wallet with count receiving addresses, past the rules, as if it had been approved.
func (c *Core) AddWallet(t testing.TB, id custody.WalletID, chain custody.ChainID, scheme request.Scheme, count uint32) entry.Wallet {
	t.Helper()
	c.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: id, Chain: chain, Scheme: scheme}, "wallet-"+string(id))
	if count > 1 {
		c.approved(t, request.AddressCreate, request.AddressCreateBody{Wallet: id, Count: count - 1}, "addresses-"+string(id))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w, _, ok := c.state.Wallet(id)
	if !ok {
		t.Fatalf("wallet %s was not made", id)
	}
	return w
}

// approved asks by Anna and approves by Bruno.
func (c *Core) approved(t testing.TB, op request.Operation, body any, key string) {
	t.Helper()
	r := request.Request{V: 1, Authority: c.Authority(), Domain: custody.DomainID(c.Authority()), Initiator: Anna.ID, Key: key, Operation: op,
		Body: canon.Encode(body), NotAfter: c.now().Unix() + 3600}
	v, err := gate.Call[message.Submit, message.Request](t.Context(), c, message.MethodSubmit, Signed(r, Anna))
	if err == nil {
		v, err = gate.Call[message.Approve, message.Request](t.Context(), c, message.MethodApprove, Approval(v, request.Approve, Bruno))
	}
	if err != nil || v.State != message.StateExecuted {
		t.Fatalf("%s: state %s: %v", op, v.State, err)
	}
}

// Signed gives a submission with a person's signature.
func Signed(r request.Request, by Person) message.Submit {
	return message.Submit{Request: r.Encode(), Evidence: request.Evidence{Key: by.Public().Ref(), Sig: ed25519.Sign(by.Key, canon.Message(canon.TagRequest, r))}}
}

// Approval gives a person's signed decision on a request as the core tells it.
func Approval(v message.Request, d request.Decision, by Person) message.Approve {
	r, _ := request.Decode(v.Request)
	s := authority.StatementOf(r.Authority, r.Domain, v.ID, r.Initiator, v.Effects, v.Bounds, v.Decision).By(by.ID, d)
	return message.Approve{Approval: request.Approval{Request: v.ID, Person: by.ID, Decision: d, Key: by.Public().Ref(), Sig: ed25519.Sign(by.Key, s.Message())}}
}

// newWallet draws an account key; seeds of real wallets never look like this.
func (c *Core) newWallet(o *request.WalletCreateBody) (*entry.Wallet, *entry.NewKey, *entry.AddressBatch, error) {
	var raw [32]byte
	rand.Read(raw[:])
	raw[0] &= 0x7f
	var id [16]byte
	rand.Read(id[:])
	pub, err := secp.ParsePublicKey(publicOf(raw))
	if err != nil {
		return nil, nil, nil, err
	}
	k := &entry.NewKey{ID: custody.KeyID(hex.EncodeToString(id[:])), Purpose: "custody", Kind: "hd-seed", Epoch: 1, Blob: [32]byte{1}}
	w := &entry.Wallet{ID: o.Wallet, Chain: o.Chain, Scheme: o.Scheme, Key: k.ID, Account: o.Account, Master: [4]byte(id[:4]), Parent: [4]byte(id[4:8])}
	rand.Read(w.ChainCode[:])
	p := pub.Compressed()
	w.Public = p[:]
	b := &entry.AddressBatch{Wallet: w.ID, Count: 1}
	b.Root, err = authority.BatchRoot(*w, *b, c.derive)
	c.seeds[k.ID] = raw
	return w, k, b, err
}

// openSession agrees on a MAC key.
func (c *Core) openSession(in message.OpenSession) (request.SessionGrant, error) {
	var o request.SessionOpening
	if err := canon.Decode(in.Opening, &o); err != nil {
		return request.SessionGrant{}, problem.New(problem.Malformed, "session opening: %v", err)
	}
	peer, err := ecdh.X25519().NewPublicKey(o.Ephemeral)
	if err != nil {
		return request.SessionGrant{}, problem.New(problem.Malformed, "session opening: %v", err)
	}
	own, _ := ecdh.X25519().GenerateKey(rand.Reader)
	shared, err := own.ECDH(peer)
	if err != nil {
		return request.SessionGrant{}, problem.New(problem.Malformed, "session opening: %v", err)
	}
	var id [16]byte
	rand.Read(id[:])
	b := &entry.Session{Opening: in.Opening, Key: in.Key, Sig: in.Sig, Session: id[:], Ephemeral: own.PublicKey().Bytes()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.state.CheckSession(o, b, c.at()); err != nil {
		return request.SessionGrant{}, err
	}
	seq, err := c.record(entry.KindSession, entry.Confidential, b)
	if err != nil {
		return request.SessionGrant{}, err
	}
	c.sessions[id] = macKey(shared, in.Opening, id)
	g := request.SessionGrant{Session: id[:], Ephemeral: b.Ephemeral, Seq: seq}
	g.Sig = ed25519.Sign(c.identity, canon.Message(canon.TagReply, g))
	return g, nil
}
