// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/hd"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/parcel"
	"strongroom/internal/core/recovery"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/core/signer"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// online is the online side of the tests: a log that is written by the rules, whose keys the test has, so that it can lie too.
type online struct {
	t        testing.TB
	arena    *secret.Arena
	clock    *domaintest.Clock
	alice    domaintest.Person
	bob      domaintest.Person
	carol    domaintest.Person
	people   []domaintest.Person
	logKey   ed25519.PrivateKey
	identity ed25519.PrivateKey
	reply    *recovery.Key
	hd       *hd.Deriver
	seeds    map[custody.WalletID]secret.Bytes

	s        *authority.State
	tail     pure.Tail
	recs     []pure.Record
	bodies   []any
	at       map[custody.RequestID]uint64 // entry of each request
	copies   [][]byte
	n        int
	number   uint64 // of the last bundle
	said     bool   // the next bundle has its number already
	witness  []domaintest.Person
	quorum   uint64
	custody  bool                // has a recovery record
	resealed func(*entry.Effect) // changes the effect of the next move that goes out
	document func(*policy.Document)
	slim     bool // results are recorded without the bodies that may be left out
}

func keyOf(name string) ed25519.PrivateKey {
	h := sha256.Sum256([]byte("offline test " + name))
	return ed25519.NewKeyFromSeed(h[:])
}

func (o *online) secret(name string) secret.Bytes {
	o.t.Helper()
	h := sha256.Sum256([]byte("offline test secret " + name))
	b, err := secret.Take(o.arena, h[:])
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(b.Wipe)
	return b
}

func (o *online) kem(name string) *recovery.Key {
	o.t.Helper()
	k, err := recovery.Derive(o.arena, o.secret(name))
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(k.Wipe)
	return k
}

// onlineOption changes an online side before its genesis.
type onlineOption func(*online)

func newOnline(t testing.TB, arena *secret.Arena, clock *domaintest.Clock, options ...onlineOption) *online {
	t.Helper()
	o := &online{t: t, arena: arena, clock: clock, alice: domaintest.NewPerson("alice"), bob: domaintest.NewPerson("bob"), carol: domaintest.NewPerson("carol"),
		logKey: keyOf("log"), identity: keyOf("identity"), s: authority.New(), seeds: map[custody.WalletID]secret.Bytes{}, at: map[custody.RequestID]uint64{}}
	o.people = []domaintest.Person{o.alice, o.bob, o.carol, domaintest.NewPerson("service")}
	for _, f := range options {
		f(o)
	}
	o.reply = o.kem("reply")
	c, err := curve.New()
	if err != nil {
		t.Fatal(err)
	}
	if o.hd, err = hd.New(hd.Config{Arena: arena, Curve: c}); err != nil {
		t.Fatal(err)
	}
	o.must(o.genesis())
	return o
}

func (o *online) genesis() *entry.Genesis {
	doc := (&domaintest.Harness{Alice: o.alice, Bob: o.bob, Carol: o.carol, Service: o.people[3]}).Document()
	two := doc.ChangePlan
	doc.Routes = append(doc.Routes, policy.Route{ID: "moves", Priority: 50, Plan: two, When: policy.Match{Operations: []request.Operation{request.WalletMove}}})
	if o.document != nil {
		o.document(&doc)
	}
	on := points.Evaluation().Or(points.Make(points.MoveIn, points.MoveOut, points.ExportCold))
	g := &entry.Genesis{V: 1, Profile: custody.Evaluation, LogKey: o.logKey.Public().(ed25519.PublicKey), Identity: o.identity.Public().(ed25519.PublicKey), Root: "soft",
		Anchor: "file", Epoch: 1, Pattern: make([]byte, 16), Document: doc.Encode(), Nonce: make([]byte, 16), Points: &on}
	if len(o.witness) > 0 {
		g.Anchor, g.Quorum = "witness", o.quorum
		for i, w := range o.witness {
			g.Witnesses = append(g.Witnesses, entry.LogWitness{Name: fmt.Sprint("w", i), Key: o.witnessKey(w).String()})
		}
	}
	if o.custody {
		h := &domaintest.Harness{T: o.t}
		r := h.NewRecovery(o.arena, 1)
		r.WorkingKey, r.Identity = bytes.Repeat([]byte{1}, 32), bytes.Repeat([]byte{2}, 32)
		g.Recovery = r
	}
	for _, p := range doc.Principals {
		i := slices.IndexFunc(o.people, func(x domaintest.Person) bool { return x.ID == p.ID })
		who := o.people[i]
		g.Signatures = append(g.Signatures, entry.GenesisSignature{Person: p.ID, Key: who.Pub.Ref(), Sig: ed25519.Sign(who.Key, authority.GenesisMessage(*g))})
	}
	return g
}

func (o *online) witnessKey(p domaintest.Person) tlog.WitnessKey {
	k, err := tlog.NewWitnessKey("witness.test/"+string(p.ID), p.Key.Public().(ed25519.PublicKey))
	if err != nil {
		o.t.Fatal(err)
	}
	return k
}

func (o *online) moment() authority.Moment {
	return authority.Moment{Time: max(o.clock.Wall.Load(), o.s.Time), Bound: 1e8}
}

var kinds = map[string]entry.Kind{"*entry.Genesis": entry.KindGenesis, "*entry.Request": entry.KindRequest, "*entry.Approval": entry.KindApproval, "*entry.Permit": entry.KindPermit,
	"*entry.Result": entry.KindResult, "*entry.Effect": entry.KindEffect, "*entry.Erased": entry.KindErased, "*entry.Offline": entry.KindOffline, "*entry.Writer": entry.KindWriter, "*entry.Session": entry.KindSession,
	"*entry.Reanchor": entry.KindReanchor, "*entry.Gap": entry.KindGap}

// must writes an entry.
func (o *online) must(body any) uint64 {
	o.t.Helper()
	enc := canon.Encode(body)
	at := o.moment()
	l := entry.Leaf{V: 1, Authority: o.s.Authority, Domain: o.s.Domain, Seq: o.s.Next, Prev: o.s.Last, Kind: kinds[fmt.Sprintf("%T", body)], KindVersion: 1, Engine: entry.Engine1,
		Writer: max(o.s.Writer, 1), Time: at.Time, Bound: at.Bound}
	class := entry.Confidential
	switch body.(type) {
	case *entry.Reanchor:
		l.Writer++
		class = entry.Public
	case *entry.Genesis, *entry.Gap:
		class = entry.Public
	}
	salt := [16]byte{byte(l.Seq), 7}
	l.Bodies = []entry.BodyRef{entry.Ref(class, salt, enc)}
	r := pure.Record{Leaf: l.Encode(), Salt: salt[:], Body: enc}
	b, err := authority.DecodeBody(l.Kind, 1, enc)
	if err == nil {
		err = o.s.Apply(l, entry.Hash(r.Leaf), b)
	}
	if err != nil {
		o.t.Fatalf("%T: %v", body, err)
	}
	if _, _, err := o.tail.Next(r); err != nil {
		o.t.Fatal(err)
	}
	o.recs, o.bodies = append(o.recs, r), append(o.bodies, b)
	return l.Seq
}

func (o *online) request(by domaintest.Person, op request.Operation, body any) request.Request {
	o.n++
	return request.Request{V: 1, Authority: o.s.Authority, Domain: o.s.Domain, Initiator: by.ID, Key: fmt.Sprintf("k-%d", o.n), Operation: op, Body: canon.Encode(body),
		NotAfter: o.clock.Wall.Load()/1e9 + 7*24*3600}
}

// transferRequest asks to pay the chain's coin to the destination that is in the address book.
func (o *online) transferRequest(by domaintest.Person, w custody.WalletID, amount uint64) request.Request {
	return o.request(by, request.Transfer, request.TransferBody{Wallet: w, Asset: domaintest.Chain.Native(),
		Outputs: []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(amount)}}, FeeCap: custody.U64(21000 * 1000)})
}

// ask writes a request.
func (o *online) ask(by domaintest.Person, op request.Operation, body any) custody.RequestID {
	o.t.Helper()
	r := o.request(by, op, body)
	p, err := request.Parse(r.Encode())
	if err != nil {
		o.t.Fatal(err)
	}
	e, err := o.s.DecideRequest(p, policy.BySignature, o.moment(), authority.Derive)
	if err != nil {
		o.t.Fatalf("%s: %v", op, err)
	}
	e.Evidence = by.Sign(r)
	o.at[p.Ident] = o.must(e)
	return p.Ident
}

func (o *online) approve(id custody.RequestID, by ...domaintest.Person) {
	o.t.Helper()
	for _, p := range by {
		w, ok := o.s.Pending(id)
		if !ok {
			o.t.Fatal("does not wait")
		}
		st := o.s.Statement(w, w.Initiator).By(p.ID, request.Approve)
		o.must(&entry.Approval{Approval: request.Approval{Request: id, Person: p.ID, Decision: request.Approve, Key: p.Pub.Ref(), Sig: ed25519.Sign(p.Key, st.Message())}})
	}
}

// do asks as alice, has bob and carol approve, and writes the effect.
func (o *online) do(op request.Operation, body any) *entry.Effect {
	o.t.Helper()
	id := o.ask(o.alice, op, body)
	o.approve(id, o.bob, o.carol)
	p, ok := o.s.Pending(id)
	if !ok {
		o.t.Fatalf("%s ended early", op)
	}
	e, b, err := o.s.DecideEffect(p, o.moment(), authority.Derive)
	if err != nil {
		o.t.Fatalf("%s: %v", op, err)
	}
	switch x := b.(type) {
	case *request.WalletCreateBody:
		o.fillWallet(x, e)
	case *request.WalletMoveBody:
		o.fillMove(e)
	}
	o.must(e)
	return e
}

func (o *online) fillWallet(b *request.WalletCreateBody, e *entry.Effect) {
	seed := o.secret("seed of " + string(b.Wallet))
	o.seeds[b.Wallet] = seed
	h := sha256.Sum256([]byte(b.Wallet))
	id := custody.KeyID(fmt.Sprintf("%x", h[:16]))
	e.Key = &entry.NewKey{ID: id, Purpose: entry.PurposeCustody, Kind: entry.KindSeed, Epoch: 1, Blob: h}
	e.Wallet = &entry.Wallet{ID: b.Wallet, Chain: b.Chain, Scheme: b.Scheme, Key: id, Account: b.Account}
	if err := signer.FillAccount(o.hd, e.Wallet, seed); err != nil {
		o.t.Fatal(err)
	}
	e.Addresses = &entry.AddressBatch{Wallet: b.Wallet, Count: 1}
	var err error
	if e.Addresses.Root, err = authority.BatchRoot(*e.Wallet, *e.Addresses, authority.Derive); err != nil {
		o.t.Fatal(err)
	}
}

// fillMove does what the online core does for a move: seals the seed, or makes an import key.
func (o *online) fillMove(e *entry.Effect) {
	w, _, _ := o.s.Wallet(e.Move.Wallet)
	if e.Move.To == o.s.Domain {
		k := o.kem(fmt.Sprint("import ", o.s.Next))
		h := sha256.Sum256(k.Public())
		e.Key = &entry.NewKey{ID: custody.KeyID(fmt.Sprintf("%x", h[:16])), Purpose: entry.PurposeImport, Kind: entry.KindImportKey, Epoch: 1, Blob: h}
		e.Move.Import, e.Move.Public = e.Key.ID, k.Public()
		return
	}
	d, ok := o.s.OfflineDomain(e.Move.To)
	if !ok {
		o.t.Fatal("no such offline domain")
	}
	label := pure.Move{Authority: o.s.Authority, From: o.s.Domain, To: d.ID, Wallet: w.ID, Key: w.Key, Import: e.Move.Import}.SealLabel()
	sealed, err := recovery.Seal(d.Import.Public, d.Identity, label, o.seeds[w.ID])
	if err != nil {
		o.t.Fatal(err)
	}
	h := keystore.Hash(sealed)
	e.Move.Copy = h[:]
	o.copies = append(o.copies, sealed)
	if o.resealed != nil {
		o.resealed(e)
	}
}

// erase says that all doomed blobs are erased.
func (o *online) erase() { o.must(&entry.Erased{Blobs: entry.ListOf(o.s.Doomed())}) }

func (o *online) add(g pure.Record, name string) {
	o.t.Helper()
	o.do(request.OfflineAdd, request.OfflineAddBody{Counter: o.s.Life().Counter + 1, Name: name, Leaf: g.Leaf, Salt: g.Salt, Body: g.Body})
}

func (o *online) moveOut(w custody.WalletID, to custody.DomainID) {
	o.t.Helper()
	o.do(request.WalletMove, request.WalletMoveBody{Wallet: w, To: to[:], Temperature: request.Cold})
	o.erase()
}

// transfer asks for a transfer, has it approved, and permits it: it then waits for the offline domain.
func (o *online) transfer(w custody.WalletID, amount, nonce uint64) uint64 {
	o.t.Helper()
	id := o.askTransfer(o.alice, w, amount)
	o.approve(id, o.bob, o.carol)
	return o.permit(id, amount, nonce, 10)
}

func (o *online) askTransfer(by domaintest.Person, w custody.WalletID, amount uint64) custody.RequestID {
	o.t.Helper()
	return o.ask(by, request.Transfer, request.TransferBody{Wallet: w, Asset: domaintest.Chain.Native(),
		Outputs: []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(amount)}}, FeeCap: custody.U64(21000 * 1000)})
}

// permit writes a permit for a request.
func (o *online) permit(id custody.RequestID, amount, nonce, gasPrice uint64) uint64 {
	o.t.Helper()
	to, err := eth.ParseAddress(domaintest.Whitelisted)
	if err != nil {
		o.t.Fatal(err)
	}
	payload, err := eth.Tx1559{ChainID: 1337, Nonce: nonce, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(gasPrice), GasLimit: 21000, To: to,
		Value: eth.FromUint64(amount)}.Encode()
	if err != nil {
		o.t.Fatal(err)
	}
	asked, err := authority.AskedOf(o.bodies[o.at[id]].(*entry.Request))
	if err != nil {
		o.t.Fatal(err)
	}
	p, err := o.s.DecidePermit(id, asked, payload, o.moment(), authority.Derive)
	if err != nil {
		o.t.Fatal(err)
	}
	return o.must(p)
}

// checkpoint signs the log as it is, with cosignatures of some witnesses.
func (o *online) checkpoint(witnesses int) []byte {
	return o.checkpointOf(o.s.Anchoring().Incarnation, o.witness[:witnesses]...)
}

// checkpointOf signs the log as if it were of an incarnation.
func (o *online) checkpointOf(incarnation uint64, witnesses ...domaintest.Person) []byte {
	o.t.Helper()
	key, err := tlog.NewKey(entry.Origin(o.s.Domain, incarnation), o.logKey.Public().(ed25519.PublicKey))
	if err != nil {
		o.t.Fatal(err)
	}
	c := tlog.Checkpoint{Origin: key.Origin(), Size: o.tail.Frontier.Size(), Root: o.tail.Frontier.Root()}
	out, err := tlog.SignCheckpoint(c, key, func(m []byte) ([]byte, error) { return ed25519.Sign(o.logKey, m), nil })
	if err != nil {
		o.t.Fatal(err)
	}
	for _, w := range witnesses {
		line, err := tlog.Cosign(c.Text(), uint64(o.clock.Wall.Load()/1e9), o.witnessKey(w), func(m []byte) ([]byte, error) { return ed25519.Sign(w.Key, m), nil })
		if err != nil {
			o.t.Fatal(err)
		}
		out = append(out, line...)
	}
	return out
}

// parts is a bundle that a test may spoil before it is signed and sealed.
type parts struct {
	head   pure.Bundle
	recs   []pure.Record
	copies [][]byte
	signer ed25519.PrivateKey
	to     []byte   // transport key
	whom   [32]byte // identity
	label  string
}

// announce gives the next bundle its number, in the log.
func (o *online) announce(d *Domain) {
	o.t.Helper()
	o.number, o.said = o.number+1, true
	if _, ok := o.s.OfflineDomain(d.ID()); ok {
		o.must(&entry.Offline{Domain: d.ID(), Number: o.number})
	}
}

// parts prepares a bundle with the entries from one on.
func (o *online) parts(d *Domain, from uint64) *parts {
	o.t.Helper()
	if !o.said {
		o.announce(d)
	}
	o.said = false
	known, last := uint64(1), [32]byte{}
	if x, ok := o.s.OfflineDomain(d.ID()); ok {
		known, last = x.Size(), x.Last
	}
	at := o.s.Time / 1e9
	if len(o.witness) > 0 {
		at = o.clock.Wall.Load() / 1e9
	}
	return &parts{head: pure.Bundle{V: 1, Authority: o.s.Authority, Online: o.s.Domain, Offline: d.ID(), Number: o.number, From: from, Size: o.s.Next,
		Checkpoint: o.checkpoint(len(o.witness)), NotAfter: at + pure.MaxAge, Reply: o.reply.Public(), Known: known, KnownLast: last},
		recs: slices.Clone(o.recs[from:]), copies: o.copies, signer: o.identity, to: d.state.Transport, whom: d.state.Identity, label: pure.BundleLabel(d.ID())}
}

// seal signs and seals it.
func (o *online) seal(p *parts) []byte {
	o.t.Helper()
	p.head.Signature = ed25519.Sign(p.signer, p.head.Message())
	var out bytes.Buffer
	w, err := parcel.NewWriter(o.arena, &out, p.to, p.whom, p.label)
	if err != nil {
		o.t.Fatal(err)
	}
	items, err := pure.NewWriter(w, p.head.Encode())
	for _, r := range p.recs {
		err = errors.Join(err, items.Record(r))
	}
	for _, c := range p.copies {
		err = errors.Join(err, items.Copy(c))
	}
	if err = errors.Join(err, items.End(), w.Close()); err != nil {
		o.t.Fatal(err)
	}
	return out.Bytes()
}

// export gives a bundle.
func (o *online) export(d *Domain, from uint64) []byte { return o.seal(o.parts(d, from)) }

// result is an answer, opened and verified as the online domain does.
type result struct {
	head   pure.Answer
	acts   []authority.OfflineAct
	recs   []pure.Record
	copies map[[32]byte][]byte
}

// open opens an answer.
func (o *online) open(sealed []byte, b pure.Bundle) (*result, error) {
	r, err := parcel.Open(o.arena, bytes.NewReader(sealed), o.reply, o.s.Identity, pure.ResultLabel(b.Offline, b.Number))
	if err != nil {
		return nil, err
	}
	in, err := pure.NewReader(r)
	if err != nil {
		return nil, err
	}
	out := &result{copies: map[[32]byte][]byte{}}
	if out.head, err = pure.DecodeAnswer(in.Head); err != nil {
		return nil, err
	}
	d, _ := o.s.OfflineDomain(out.head.Offline)
	key, err := tlog.NewKey(entry.Origin(d.ID, 1), d.LogKey[:])
	if err != nil {
		return nil, err
	}
	if _, err := out.head.Verify(d.Identity, key); err != nil {
		return nil, err
	}
	for {
		rec, c, err := in.Next()
		switch {
		case err != nil:
			return nil, err
		case rec != nil:
			out.recs = append(out.recs, *rec)
		case c != nil:
			out.copies[pure.CopyHash(c)] = c
		default:
			return out, nil
		}
	}
}

// take records an answer: results, and what the offline domain did.
func (o *online) take(sealed []byte, b pure.Bundle) *result {
	o.t.Helper()
	r, err := o.open(sealed, b)
	if err != nil {
		o.t.Fatal(err)
	}
	body := &entry.Offline{Domain: r.head.Offline, Checkpoint: r.head.Checkpoint}
	for _, x := range r.recs {
		if l, err := entry.DecodeLeaf(x.Leaf); o.slim && err == nil && authority.OfflineUnread(l.Kind) {
			x.Salt, x.Body = nil, nil
		}
		body.Records = append(body.Records, entry.OfflineRecord(x))
	}
	acts, _, err := o.s.ReadOffline(r.head.Offline, body.Records)
	if err != nil {
		o.t.Fatal(err)
	}
	r.acts = acts
	for _, x := range o.s.Unsigned(acts) {
		p := o.bodies[x.Permit].(*entry.Permit)
		w, _, _ := o.s.Wallet(p.Wallet)
		if err := authority.CheckResult(w, p, &x, authority.Derive); err != nil {
			o.t.Fatalf("a result does not verify: %v", err)
		}
		o.must(&x)
	}
	for _, a := range acts {
		if a.MovedOut != nil && !a.Lost {
			body.Taken = append(body.Taken, entry.TakenKey{Key: a.MovedOut.Key, Epoch: 1, Blob: sha256.Sum256([]byte(fmt.Sprint("again ", o.s.Next)))})
		}
	}
	o.must(body)
	return r
}

// wait moves the clock.
func (o *online) wait(d time.Duration) { o.clock.Advance(d) }

var background = context.Background()

// opens requires that what came back is the seed that the wallet has always had.
func (o *online) opens(e *entry.Effect, r *result) {
	o.t.Helper()
	var at uint64
	for i, b := range o.bodies {
		if x, ok := b.(*entry.Effect); ok && x.Move != nil && x.Move.Import == e.Move.Import {
			at = uint64(i)
		}
	}
	k := o.kem(fmt.Sprint("import ", at))
	w, _, _ := o.s.Wallet(e.Move.Wallet)
	label := pure.Move{Authority: o.s.Authority, From: r.head.Offline, To: o.s.Domain, Wallet: w.ID, Key: w.Key, Import: e.Move.Import}.SealLabel()
	for _, c := range r.copies {
		seed, err := k.Open(o.arena, o.s.Identity, label, c)
		if err != nil {
			o.t.Fatal(err)
		}
		if !seed.Equal(o.seeds[w.ID]) {
			o.t.Error("another seed came back")
		}
		seed.Wipe()
		return
	}
	o.t.Error("nothing came back")
}
