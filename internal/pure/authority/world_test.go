// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/share"
)

const (
	evm     custody.ChainID = "eip155:1337"
	regtest                 = custody.BitcoinRegtest
	known                   = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	bank                    = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
	start                   = int64(1_900_000_000) * 1e9
)

// tester is what helpers need of a test, or of a property.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// someone is a person or service of the tests.
type someone struct {
	id  custody.PersonID
	key ed25519.PrivateKey
	pub request.PublicKey
}

func person(name string) someone {
	h := sha256.Sum256([]byte("authority test " + name))
	key := ed25519.NewKeyFromSeed(h[:])
	id := []byte("p_")
	for _, b := range h[:16] {
		id = append(id, "abcdefghijklmnopqrstuvwxyz234567"[b&31])
	}
	return someone{custody.PersonID(id), key, request.PublicKey{Alg: request.Ed25519, Pub: key.Public().(ed25519.PublicKey)}}
}

func people() (all []someone) {
	for _, n := range []string{"alice", "bob", "carol", "dave", "service"} {
		all = append(all, person(n))
	}
	return all
}

func who(name string) someone { return person(name) }

func amount(v uint64) *custody.Uint256 { u := custody.U64(v); return &u }

// firstDocument: two of alice, bob and carol for transfers and changes, one for wallets; addresses, and transfers of the service up to
// 1000, are automatic.
func firstDocument() policy.Document {
	one := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 1}}}}}
	two := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 2}}}}}
	d := policy.Document{V: 1, Version: 1, ChangePlan: two,
		AddressBook: []policy.BookEntry{{ID: "bank", Chain: regtest, Address: bank}, {ID: "exchange", Chain: evm, Address: known}},
		Floor:       policy.Floor{MinDistinctUsers: 1, ForbidSelfApproval: true, RequestTTL: request.MaxLifetime, MaxApprovalAge: 7 * 24 * 3600},
		Groups:      []policy.Group{{ID: "officers", Members: []custody.PersonID{who("alice").id, who("bob").id, who("carol").id}}},
		Guards: []policy.Guard{{ID: "known-only", Effect: policy.Deny, Reason: "unknown",
			When: policy.Match{Operations: []request.Operation{request.Transfer}, DestNot: []policy.DestinationKind{policy.Whitelisted}}}},
		Routes: []policy.Route{
			{ID: "auto", Priority: 1, Auto: true, FeeCap: amount(500), When: policy.Match{Operations: []request.Operation{request.Transfer}, Initiators: []custody.PersonID{who("service").id}, AmountMax: amount(1000)}},
			{ID: "pay", Priority: 2, Plan: two, When: policy.Match{Operations: []request.Operation{request.Transfer}}},
			{ID: "wallets", Priority: 3, Plan: one, When: policy.Match{Operations: []request.Operation{request.WalletCreate}}},
			{ID: "addresses", Priority: 4, Auto: true, When: policy.Match{Operations: []request.Operation{request.AddressCreate}}},
			{ID: "warm", Priority: 5, Plan: two, When: policy.Match{Operations: []request.Operation{request.WalletMove, request.WalletTemperature, request.WarmOpen}}},
			{ID: "cool", Priority: 6, Auto: true, When: policy.Match{Operations: []request.Operation{request.WarmClose}}},
			{ID: "apps", Priority: 7, Plan: two, When: policy.Match{Operations: []request.Operation{request.AppGrant, request.AppKeyRevoke}}},
			{ID: "stop", Priority: 8, Auto: true, When: policy.Match{Operations: []request.Operation{request.AppRevoke}}},
			{ID: "calls", Priority: 9, Plan: one, When: policy.Match{Operations: []request.Operation{request.ContractCall, request.MessageSign}}},
		}}
	d.Contracts = callContracts()
	for _, p := range people() {
		kind := policy.Human
		if p.id == who("service").id {
			kind = policy.Service
		}
		d.Principals = append(d.Principals, policy.Principal{ID: p.id, Kind: kind, Keys: []request.PublicKey{p.pub}, Active: true})
	}
	slices.SortFunc(d.Principals, func(a, b policy.Principal) int { return cmp.Compare(a.ID, b.ID) })
	slices.Sort(d.Groups[0].Members)
	return d
}

// world is a state with what is needed to write its next entry.
type world struct {
	s     *State
	now   int64
	bound int64
	log   []logged
	n     int
}

type logged struct {
	leaf entry.Leaf
	hash [32]byte
	body any
}

// newWorld has two wallets: hot on Ethereum with three addresses, cold on Bitcoin.
func newWorld(t tester) *world {
	t.Helper()
	return furnished(t, emptyWorld(t))
}

// furnished makes the wallets.
func furnished(t tester, w *world) *world {
	t.Helper()
	for _, b := range []request.WalletCreateBody{{Wallet: "hot", Chain: evm, Scheme: request.SchemeEVM}, {Wallet: "cold", Chain: regtest, Scheme: request.SchemeP2WPKH}} {
		w.must(t, w.effect(t, w.approved(t, request.WalletCreate, b, "bob")))
	}
	w.must(t, w.effect(t, w.approved(t, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 2})))
	return w
}

func emptyWorld(t tester) *world {
	t.Helper()
	return worldOf(t, firstDocument())
}

// worldOf has no wallets, and rules of its own.
func worldOf(t tester, doc policy.Document) *world {
	t.Helper()
	w := &world{s: New(), now: start, bound: 1e8}
	g := &entry.Genesis{V: 1, Profile: custody.Evaluation, LogKey: make([]byte, 32), Identity: make([]byte, 32), Root: "soft", Anchor: "file", Epoch: 1,
		Pattern: make([]byte, 16), Document: doc.Encode(), Nonce: make([]byte, 16), Recovery: sharing(1, true)}
	for _, p := range firstDocument().Principals {
		for _, x := range people() {
			if x.id == p.ID {
				g.Signatures = append(g.Signatures, entry.GenesisSignature{Person: p.ID, Key: x.pub.Ref(), Sig: ed25519.Sign(x.key, GenesisMessage(*g))})
			}
		}
	}
	w.must(t, g)
	return w
}

// leaf is the header of the next entry.
func (w *world) leaf(body any) entry.Leaf {
	l := entry.Leaf{V: 1, Authority: w.s.Authority, Domain: w.s.Domain, Seq: w.s.Next, Prev: w.s.Last, Kind: kindOf(body), KindVersion: 1, Engine: entry.Engine1, Writer: w.s.Writer,
		Time: w.now, Bound: w.bound, Bodies: []entry.BodyRef{entry.Ref(entry.Confidential, [16]byte{}, canon.Encode(body))}}
	if l.Seq == 0 {
		l.Writer = 1
	}
	if x, ok := body.(*entry.Writer); ok {
		l.Writer = x.Epoch
	}
	if _, ok := body.(*entry.Reanchor); ok {
		l.Writer++
	}
	return l
}

func (w *world) at() Moment { return Moment{w.now, w.bound} }

// write appends an entry.
func (w *world) write(body any) error {
	l := w.leaf(body)
	hash := entry.Hash(l.Encode())
	if err := w.s.Apply(l, hash, body); err != nil {
		return err
	}
	w.log = append(w.log, logged{l, hash, body})
	return nil
}

func (w *world) must(t tester, body any) uint64 {
	t.Helper()
	if err := w.write(body); err != nil {
		t.Fatalf("%s: %v", kindOf(body), err)
	}
	return w.s.Next - 1
}

// refused requires that an entry is refused and leaves the state as it was.
func (w *world) refused(t tester, why string, body any) {
	t.Helper()
	before := w.s.StateRoot()
	if err := w.write(body); err == nil {
		t.Fatalf("%s: the entry was applied", why)
	}
	if w.s.StateRoot() != before {
		t.Fatalf("%s: the state changed although the entry was refused", why)
	}
}

func (w *world) request(by someone, op request.Operation, body any) request.Request {
	w.n++
	return request.Request{V: 1, Authority: w.s.Authority, Domain: w.s.Domain, Initiator: by.id, Key: fmt.Sprintf("k-%d", w.n), Operation: op, Body: canon.Encode(body), NotAfter: w.now/1e9 + 3600}
}

func evidence(by someone, r *request.Parsed) request.Evidence {
	return request.Evidence{Key: by.pub.Ref(), Sig: ed25519.Sign(by.key, r.Message())}
}

// asked decides on a request and gives its entry.
func (w *world) asked(t tester, by someone, r request.Request) *entry.Request {
	t.Helper()
	p, err := request.Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	e, err := w.s.DecideRequest(p, policy.BySignature, w.at(), Derive)
	if err != nil {
		t.Fatal(err)
	}
	e.Evidence = evidence(by, p)
	return e
}

// approved asks for something as alice and has it approved.
func (w *world) approved(t tester, op request.Operation, body any, by ...string) custody.RequestID {
	t.Helper()
	r := w.request(who("alice"), op, body)
	w.must(t, w.asked(t, who("alice"), r))
	for _, name := range by {
		w.must(t, w.approval(t, r.ID(), who(name), request.Approve))
	}
	return r.ID()
}

func (w *world) approval(t tester, id custody.RequestID, by someone, d request.Decision) *entry.Approval {
	t.Helper()
	a := request.Approval{Request: id, Person: by.id, Decision: d, Key: by.pub.Ref(), Sig: make([]byte, 64)}
	if p, ok := w.s.Pending(id); ok {
		a.Sig = ed25519.Sign(by.key, w.s.Statement(p, p.Initiator).By(by.id, d).Message())
	}
	return &entry.Approval{Approval: a}
}

// effect gives the effect of an approved request, with a wallet made up where one is asked for.
func (w *world) effect(t tester, id custody.RequestID) *entry.Effect {
	t.Helper()
	p, ok := w.s.Pending(id)
	if !ok {
		t.Fatalf("request %s does not wait", id)
	}
	e, body, err := w.s.DecideEffect(p, w.at(), Derive)
	if err != nil {
		t.Fatal(err)
	}
	if o, ok := body.(*request.WalletCreateBody); ok {
		madeUp(t, w.s, o, e)
	}
	w.made(body, e)
	return e
}

// madeUp adds a wallet whose account key is the generator point.
func madeUp(t tester, s *State, o *request.WalletCreateBody, e *entry.Effect) {
	pub, err := hex.DecodeString("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
	if err != nil {
		t.Fatal(err)
	}
	seed := o.Seed
	if seed == "" {
		h := sha256.Sum256([]byte("seed of " + o.Wallet))
		seed = custody.KeyID(hex.EncodeToString(h[:16]))
		e.Key = &entry.NewKey{ID: seed, Purpose: "custody", Kind: "hd-seed", Epoch: s.Epoch, Blob: h}
		if s.life.Next != nil && s.life.Next.Committed {
			next := sha256.Sum256([]byte("next blob of " + seed))
			e.Key.Next = next[:]
		}
	}
	e.Wallet = &entry.Wallet{ID: o.Wallet, Chain: o.Chain, Scheme: o.Scheme, Key: seed, Account: o.Account, Public: pub, ChainCode: sha256.Sum256([]byte(seed))}
	if o.Class == request.ClassToken {
		e.Wallet.Class, e.Wallet.ChainCode = o.Class, [32]byte{}
		e.Key.Kind = entry.KindTokenKey
	}
	e.Addresses = &entry.AddressBatch{Wallet: o.Wallet, Count: 1}
	if e.Addresses.Root, err = BatchRoot(*e.Wallet, *e.Addresses, Derive); err != nil {
		t.Fatal(err)
	}
}

// custodian is a custodian of a set, by share from 1.
func custodian(set, share int) someone {
	return person(fmt.Sprintf("custodian %d of set %d", share, set))
}

// sharing is the recovery record of a set of three custodians.
func sharing(set byte, sealed bool) *request.Recovery {
	r := &request.Recovery{Public: bytes.Repeat([]byte{set}, request.RecoveryKeySize), Threshold: 2, Shares: 3, Commitments: commitments(), Transcript: bytes.Repeat([]byte{set}, 32)}
	if sealed {
		r.WorkingKey, r.Identity = bytes.Repeat([]byte{set + 100}, 32), bytes.Repeat([]byte{set + 101}, 32)
	}
	for i := range 3 {
		r.Custodians = append(r.Custodians, custodian(int(set), i+1).pub)
	}
	return r
}

// commitments are two that a sharing could have.
func commitments() []byte {
	g := share.Generator().Encode()
	return append(g[:], g[:]...)
}

// receiptsOf gives those of all custodians of set 2.
func receiptsOf(r *request.Recovery) (out []request.ShareReceipt) {
	c, err := share.Parse(share.Scheme{Threshold: uint8(r.Threshold), Shares: uint8(r.Shares)}, r.Commitments)
	if err != nil {
		return nil
	}
	for i := range r.Custodians {
		x := share.NewReceipt(share.NewMeta([32]byte{7}, c, uint8(i+1), "custodian", sha256.Sum256(r.Public)), c, [32]byte{})
		out = append(out, request.ShareReceipt{Receipt: canon.Encode(x), Sig: custodian(2, i+1).sign(x.Message())})
	}
	return out
}

// made fills in what the core makes for an effect.
func (w *world) made(o request.Body, e *entry.Effect) {
	if e.Move != nil {
		w.madeMove(e)
	}
	if b, ok := o.(*request.EpochLoadBody); ok {
		mark := func(what string) []byte {
			h := sha256.Sum256(fmt.Appendf(nil, "%s of epoch %d, made at entry %d", what, b.Epoch, w.s.Next))
			return h[:]
		}
		e.Life.Pattern = mark("pattern")[:16]
		if w.s.life.Recovery != nil || b.Recovery != nil {
			e.Life.Sealed = mark("working key")
		}
		if b.Recovery != nil {
			e.Life.Identity = mark("identity")
		}
	}
}

func (w *world) advance(d time.Duration) { w.now += int64(d) }

func payEVM(v uint64) request.TransferBody {
	return request.TransferBody{Wallet: "hot", Asset: evm.Native(), Outputs: []request.Output{{Address: known, Amount: custody.U64(v)}}, FeeCap: custody.U64(1000)}
}

func payBTC(v uint64) request.TransferBody {
	return request.TransferBody{Wallet: "cold", Asset: regtest.Native(), Outputs: []request.Output{{Address: bank, Amount: custody.U64(v)}}, FeeCap: custody.U64(1000)}
}

// permit gives a permit as [State.DecidePermit] would for a payload that fits; Apply does not look into payloads.
func (w *world) permit(t tester, id custody.RequestID, payload string, slot entry.Slot, fee uint64) *entry.Permit {
	t.Helper()
	b := &entry.Permit{Request: id, Attempt: 1, Payload: []byte(payload), PayloadHash: canon.HashBytes(canon.TagPayload, []byte(payload)), Slot: slot, Fee: custody.U64(fee), Wallet: "hot", Keys: []entry.KeyPath{{}}}
	if e := w.entryOf(t, id); e.Effects.Wallet == "vault" || e.Effects.Message != nil {
		b.Wallet = e.Effects.Wallet
	}
	if len(slot.Inputs) > 0 {
		b.Wallet, b.Keys = "cold", make([]entry.KeyPath, len(slot.Inputs))
	}
	e := w.entryOf(t, id)
	r, err := e.Parse()
	if err != nil {
		t.Fatal(err)
	}
	x, err := w.s.describe(r, e.Facts.Evidence, e.Facts.Simulation, w.at(), Derive)
	if err != nil { // zeroized, or a control point is off: Apply is to refuse it
		x.facts = e.Facts
	}
	c := w.s.Rules.Case(x.facts)
	b.Decision = Judge(c, x.document)
	if g, ok := w.s.Signed(id); ok {
		more, _ := b.Fee.Sub(g.Fee)
		b.Decision = Charge(c, b.Decision, more, true)
		b.Attempt, b.Trail = g.Attempt+1, slices.Clone(g.Trail)
	} else if p, ok := w.s.Pending(id); ok {
		b.Decision = w.s.limited(c, Charge(c, b.Decision, b.Fee, false), p.reserved, w.at())
		b.Trail = slices.Clone(p.Trail)
		for _, v := range p.Approvals {
			b.Approvals = append(b.Approvals, v.Seq)
		}
	}
	return b
}

// entryOf finds the entry of a request.
func (w *world) entryOf(t tester, id custody.RequestID) *entry.Request {
	t.Helper()
	for _, x := range w.log {
		if b, ok := x.body.(*entry.Request); ok {
			if r, err := b.Parse(); err == nil && r.Ident == id {
				return b
			}
		}
	}
	t.Fatalf("request %s has no entry", id)
	return nil
}

func account0(nonce uint64) entry.Slot { return entry.Slot{Account: "0x", Nonce: nonce} }

func inputs(ns ...byte) (s entry.Slot) {
	for _, n := range ns {
		s.Inputs = append(s.Inputs, entry.Input{TxID: [32]byte{n}, Index: uint32(n)})
	}
	return s
}

func (w *world) result(id custody.RequestID) *entry.Result {
	g, ok := w.s.Signed(id)
	if !ok {
		return &entry.Result{Request: id, Signatures: [][]byte{{1}}, TxID: "x"}
	}
	return &entry.Result{Request: id, Permit: g.Permit, Signatures: [][]byte{{1}}, TxID: "x"}
}

func (p someone) sign(message []byte) []byte { return ed25519.Sign(p.key, message) }
