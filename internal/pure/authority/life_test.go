// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// does has alice ask for an operation, all others approve it who may, and does it.
func (w *world) does(t tester, op request.Operation, body any) {
	t.Helper()
	id := w.approved(t, op, body)
	for _, name := range []string{"bob", "carol", "dave"} {
		if p, ok := w.s.Pending(id); ok && w.s.mayDecide(p, request.Approval{Person: who(name).id, Decision: request.Approve}, w.at()) == nil {
			w.must(t, w.approval(t, id, who(name), request.Approve))
		}
	}
	w.must(t, w.effect(t, id))
}

func (w *world) counter() uint64 { return w.s.life.Counter + 1 }

// enciphered gives every key a blob under the next epoch.
func (w *world) enciphered(t tester) {
	t.Helper()
	keys, _ := w.s.Unreenciphered(0, 1000)
	b := &entry.Reencipher{Epoch: w.s.life.Next.Epoch}
	for _, k := range keys {
		b.Blobs = append(b.Blobs, entry.Blob{Key: k.ID, Hash: sha256.Sum256(fmt.Appendf(nil, "%s under %d", k.ID, b.Epoch))})
	}
	w.must(t, b)
}

func (w *world) load(t tester) {
	t.Helper()
	w.does(t, request.EpochLoad, request.EpochLoadBody{Counter: w.counter(), Epoch: w.s.life.Used + 1})
}

func (w *world) commitNext(t tester) {
	t.Helper()
	n := w.s.life.Next
	w.does(t, request.EpochCommit, request.EpochCommitBody{Counter: w.counter(), Epoch: n.Epoch, Pattern: n.Pattern})
}

func (w *world) activateNext(t tester) {
	t.Helper()
	n := w.s.life.Next
	w.does(t, request.EpochActivate, request.EpochActivateBody{Counter: w.counter(), Epoch: n.Epoch, Pattern: n.Pattern})
}

func (w *world) erased(t tester) {
	t.Helper()
	w.must(t, &entry.Erased{Blobs: entry.ListOf(w.s.blobs.Doomed)})
}

// rotated goes through a rotation, a zeroize and a restore.
func rotated(t tester) *world {
	t.Helper()
	w := newWorld(t)
	w.load(t)
	w.commitNext(t)
	w.enciphered(t)
	w.activateNext(t)
	p := w.s.life.Previous
	w.does(t, request.EpochFinalize, request.EpochFinalizeBody{Counter: w.counter(), Epoch: p.Epoch, Pattern: p.Pattern})
	w.erased(t)
	w.load(t)
	w.does(t, request.EpochCancel, request.EpochCancelBody{Counter: w.counter(), Epoch: 3, Pattern: w.s.life.Next.Pattern})
	w.erased(t)
	w.does(t, request.PointsSet, request.PointsSetBody{Counter: w.counter(), Allow: points.Make(points.AppKeys), Freeze: points.Make(points.RawSign)})
	w.does(t, request.Zeroize, request.ZeroizeBody{Counter: w.counter(), Phrase: request.ZeroizePhrase(w.s.Domain)})
	w.erased(t)
	w.does(t, request.Restore, request.RestoreBody{Counter: w.counter(), Epoch: 2, Pattern: w.s.Pattern})
	w.must(t, &entry.Tamper{Cause: "the lid was opened"})
	return w
}

// Every entry of a rotation, a zeroize and a restore is decided again to the same, and a changed one isn't.
func TestAuditLifeCycle(t *testing.T) {
	t.Parallel()
	w := rotated(t)
	s := New()
	history := func(seq uint64) (any, error) { return w.log[seq].body, nil }
	for _, x := range w.log {
		if e, ok := x.body.(*entry.Effect); ok && e.Life != nil {
			other := *e
			life := *e.Life
			life.Destroyed = append(slices.Clone(life.Destroyed), 9)
			other.Life = &life
			if s.Audit(x.leaf, &other, Derive, history) == nil {
				t.Errorf("entry %d: another effect passes the audit", x.leaf.Seq)
			}
		}
		if err := s.Audit(x.leaf, x.body, Derive, history); err != nil && x.leaf.Kind != entry.KindResult {
			t.Fatal(err)
		}
		if err := s.Apply(x.leaf, x.hash, x.body); err != nil {
			t.Fatal(err)
		}
	}
	if s.life.Phase != Zeroized || s.Registers() != nil {
		t.Errorf("%+v", s.life)
	}
}

// wants requires a problem of a kind.
func wants(t *testing.T, what string, err error, kind problem.Kind) {
	t.Helper()
	if problem.KindOf(err) != kind {
		t.Errorf("%s: got %v, want %s", what, err, kind)
	}
}

// asks has somebody ask for something, and gives the failure.
func (w *world) asks(by string, op request.Operation, body any) error {
	p, err := request.Parse(w.request(who(by), op, body).Encode())
	if err != nil {
		return problem.New(problem.Malformed, "%v", err)
	}
	e, err := w.s.DecideRequest(p, policy.BySignature, w.at(), Derive)
	if err != nil {
		return err
	}
	return Refused(e.Decision)
}

// ready decides whether a request that waits may be done.
func (w *world) ready(id custody.RequestID) error {
	p, ok := w.s.Pending(id)
	if !ok {
		return fmt.Errorf("request %s does not wait", id)
	}
	return w.s.Ready(p, w.at(), Derive)
}

// Operations are taken in the order of their counters and once each: what was approved before another took its number has no effect any more,
// and can't be asked for again.
func TestLifeCounter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	set := func(n uint64, p points.Point) request.PointsSetBody {
		return request.PointsSetBody{Counter: n, Allow: points.Make(p)}
	}
	first := w.approved(t, request.PointsSet, set(1, points.AppKeys), "bob", "carol")
	second := w.approved(t, request.PointsSet, set(1, points.RawSign), "bob", "carol")
	for _, n := range []uint64{2, 3, 1 << 40} {
		wants(t, fmt.Sprintf("counter %d before 1", n), w.asks("alice", request.PointsSet, set(n, points.RawSign)), problem.Conflict)
	}
	overtaken := w.effect(t, second)
	w.must(t, w.effect(t, first))
	wants(t, "the second with the same number", w.ready(second), problem.Conflict)
	w.refused(t, "its effect", overtaken)
	wants(t, "the first number again", w.asks("alice", request.PointsSet, set(1, points.RawSign)), problem.Conflict)
	again := w.log[len(w.log)-1].body
	w.refused(t, "the same effect again", again)
	if w.s.life.Counter != 1 || w.s.life.Allowed.Has(points.RawSign) || !w.s.life.Allowed.Has(points.AppKeys) {
		t.Errorf("%+v", w.s.life)
	}
	w.must(t, &entry.Tamper{Cause: "x"})
	if w.s.life.Counter != 2 {
		t.Error("what was approved before a tamper could be done after the restore")
	}
}

// A quorum is as many different administrators as the plan says, who are administrators still: one less, one twice, one who was removed
// meanwhile don't make it.
func TestLifeQuorum(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	load := request.EpochLoadBody{Counter: 1, Epoch: 2}
	id := w.approved(t, request.EpochLoad, load, "bob")
	wants(t, "one of two", w.ready(id), problem.QuorumNotMet)
	wants(t, "bob again", w.s.CheckApproval(w.s.pending[id], w.approval(t, id, who("bob"), request.Approve).Approval, w.at()), problem.AlreadyDone)
	w.refused(t, "bob's second approval", w.approval(t, id, who("bob"), request.Approve))
	wants(t, "who asks", w.s.CheckApproval(w.s.pending[id], w.approval(t, id, who("alice"), request.Approve).Approval, w.at()), problem.Forbidden)
	wants(t, "no administrator", w.s.CheckApproval(w.s.pending[id], w.approval(t, id, who("dave"), request.Approve).Approval, w.at()), problem.Forbidden)
	wants(t, "somebody who is no administrator zeroizes", w.asks("dave", request.Zeroize, request.ZeroizeBody{Counter: 1, Phrase: request.ZeroizePhrase(w.s.Domain)}), problem.RefusedByRule)
	four := request.GroupSetBody{Group: "officers", Members: []custody.PersonID{who("alice").id, who("bob").id, who("carol").id, who("dave").id}}
	slices.Sort(four.Members)
	w.does(t, request.GroupSet, four)
	w.must(t, w.approval(t, id, who("carol"), request.Approve))
	done := w.effect(t, id)
	w.does(t, request.PersonRevoke, request.PersonRevokeBody{Person: who("bob").id})
	wants(t, "bob was revoked meanwhile", w.ready(id), problem.QuorumNotMet)
	w.refused(t, "the effect that was decided before", done)
	wants(t, "a service asks", w.asks("service", request.EpochLoad, load), problem.Forbidden)
	for name, kind := range map[string]problem.Kind{"service": problem.Forbidden, "bob": problem.RefusedByRule} {
		wants(t, name+" zeroizes", w.asks(name, request.Zeroize, request.ZeroizeBody{Counter: 1, Phrase: request.ZeroizePhrase(w.s.Domain)}), kind)
	}
	wants(t, "another domain's phrase", w.asks("carol", request.Zeroize, request.ZeroizeBody{Counter: 1, Phrase: request.ZeroizePhrase(custody.DomainID{1})}), problem.Malformed)
	if err := w.asks("carol", request.Zeroize, request.ZeroizeBody{Counter: 1, Phrase: request.ZeroizePhrase(w.s.Domain)}); err != nil {
		t.Errorf("an administrator can't zeroize: %v", err)
	}
}

// Each operation that has a control point is refused while it is off: when it is asked for, when it is decided, and by the fold. A point that is
// frozen stays as it is for ever.
func TestControlPoints(t *testing.T) {
	t.Parallel()
	pubkey := func(w *world) request.TransferBody {
		b := payBTC(5)
		b.Wallet = "root"
		return b
	}
	begun := func(w *world) {
		w.does(t, request.WalletCreate, request.WalletCreateBody{Wallet: "root", Chain: regtest, Scheme: request.SchemeP2TR})
	}
	loaded := func(w *world) { w.load(t) }
	committed := func(w *world) { w.load(t); w.commitNext(t); w.enciphered(t) }
	zeroized := func(w *world) {
		w.does(t, request.Zeroize, request.ZeroizeBody{Counter: w.counter(), Phrase: request.ZeroizePhrase(w.s.Domain)})
		w.erased(t)
	}
	for _, x := range []struct {
		point points.Point
		op    request.Operation
		body  func(w *world) any
		first func(w *world)
	}{
		{points.WalletCreate, request.WalletCreate, func(*world) any {
			return request.WalletCreateBody{Wallet: "new", Chain: evm, Scheme: request.SchemeEVM}
		}, nil},
		{points.Derive, request.WalletCreate, func(*world) any {
			return request.WalletCreateBody{Wallet: "new", Chain: evm, Scheme: request.SchemeEVM}
		}, nil},
		{points.Derive, request.WalletCreate, func(w *world) any {
			return request.WalletCreateBody{Wallet: "new", Chain: evm, Scheme: request.SchemeEVM, Seed: w.s.keys[0].ID, Account: 4}
		}, nil},
		{points.Derive, request.AddressCreate, func(*world) any { return request.AddressCreateBody{Wallet: "hot", Count: 1} }, nil},
		{points.SignECDSASecp256k1, request.Transfer, func(*world) any { return payEVM(5) }, nil},
		{points.SignECDSASecp256k1, request.Transfer, func(*world) any { return payBTC(5) }, nil},
		{points.SignBIP340, request.Transfer, func(w *world) any { return pubkey(w) }, begun},
		{points.ChangePoints, request.PointsSet, func(w *world) any {
			return request.PointsSetBody{Counter: w.counter(), Deny: points.Make(points.Backup)}
		}, nil},
		{points.AddPoints, request.PointsSet, func(w *world) any {
			return request.PointsSetBody{Counter: w.counter(), Allow: points.Make(points.RawSign)}
		}, nil},
		{points.RotateEpoch, request.EpochLoad, func(w *world) any { return request.EpochLoadBody{Counter: w.counter(), Epoch: 2} }, nil},
		{points.RotateEpoch, request.EpochCommit, func(w *world) any {
			return request.EpochCommitBody{Counter: w.counter(), Epoch: 2, Pattern: w.s.life.Next.Pattern}
		}, loaded},
		{points.RotateEpoch, request.EpochActivate, func(w *world) any {
			return request.EpochActivateBody{Counter: w.counter(), Epoch: 2, Pattern: w.s.life.Next.Pattern}
		}, committed},
		{points.Restore, request.Restore, func(w *world) any { return request.RestoreBody{Counter: w.counter(), Epoch: 1, Pattern: w.s.Pattern} }, zeroized},
	} {
		t.Run(fmt.Sprintf("%s %s", x.point, x.op), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if x.first != nil {
				x.first(w)
			}
			body := x.body(w)
			id := w.approved(t, x.op, body)
			for _, name := range []string{"bob", "carol"} {
				if p, ok := w.s.Pending(id); ok && !p.Decision.Auto {
					w.must(t, w.approval(t, id, who(name), request.Approve))
				}
			}
			var act any
			if x.op == request.Transfer {
				act = w.permit(t, id, "payload", map[custody.WalletID]entry.Slot{"hot": account0(0), "cold": inputs(1), "root": inputs(2)}[w.s.pending[id].Effects.Wallet], 1)
				act.(*entry.Permit).Wallet = w.s.pending[id].Effects.Wallet
			} else {
				act = w.effect(t, id)
			}
			w.s.life.Allowed = w.s.life.Allowed.Without(x.point) // whatever the way to it
			wants(t, "asked for", w.asks("alice", x.op, body), problem.Forbidden)
			wants(t, "decided", w.ready(id), problem.Forbidden)
			w.refused(t, "the act", act)
			w.s.life.Allowed = w.s.life.Allowed.With(x.point)
			w.must(t, act)
		})
	}
}

func TestFrozenPoints(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.does(t, request.PointsSet, request.PointsSetBody{Counter: 1, Allow: points.Make(points.AppKeys), Deny: points.Make(points.Backup), Freeze: points.Make(points.AppKeys, points.RawSign, points.Backup)})
	if l := w.s.life; !l.Allowed.Has(points.AppKeys) || l.Allowed.Has(points.Backup) || l.Frozen != points.Make(points.AppKeys, points.RawSign, points.Backup) {
		t.Fatalf("%+v", l)
	}
	for what, b := range map[string]request.PointsSetBody{"switched off": {Counter: 2, Deny: points.Make(points.AppKeys)}, "switched on": {Counter: 2, Allow: points.Make(points.RawSign)},
		"with another": {Counter: 2, Allow: points.Make(points.RawSign, points.MoveIn)}, "back on": {Counter: 2, Allow: points.Make(points.Backup)}} {
		wants(t, "a frozen point is "+what, w.asks("alice", request.PointsSet, b), problem.Forbidden)
	}
	for what, b := range map[string]request.PointsSetBody{"on already": {Counter: 2, Allow: points.Make(points.Derive)}, "off already": {Counter: 2, Deny: points.Make(points.MoveIn)},
		"frozen already": {Counter: 2, Freeze: points.Make(points.AppKeys)}} {
		wants(t, what, w.asks("alice", request.PointsSet, b), problem.Conflict)
	}
	// zeroize and restore don't thaw
	w.must(t, &entry.Tamper{Cause: "x"})
	w.erased(t)
	w.does(t, request.Restore, request.RestoreBody{Counter: w.counter(), Epoch: 1, Pattern: w.s.Pattern})
	wants(t, "after a restore", w.asks("alice", request.PointsSet, request.PointsSetBody{Counter: w.counter(), Deny: points.Make(points.AppKeys)}), problem.Forbidden)
	w.does(t, request.PointsSet, request.PointsSetBody{Counter: w.counter(), Deny: points.Make(points.ChangePoints)})
	wants(t, "once changes are off", w.asks("alice", request.PointsSet, request.PointsSetBody{Counter: w.counter(), Allow: points.Make(points.ChangePoints)}), problem.Forbidden)
}

// The steps of a rotation come in their order and name their key.
func TestRotationOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	refused := func(what string, kind problem.Kind, op request.Operation, body any) {
		t.Helper()
		wants(t, what, w.asks("alice", op, body), kind)
	}
	p := w.s.Pattern
	refused("commit of nothing", problem.Conflict, request.EpochCommit, request.EpochCommitBody{Counter: 1, Epoch: 2, Pattern: p})
	refused("activation of nothing", problem.Conflict, request.EpochActivate, request.EpochActivateBody{Counter: 1, Epoch: 2, Pattern: p})
	refused("finalize of nothing", problem.Conflict, request.EpochFinalize, request.EpochFinalizeBody{Counter: 1, Epoch: 1, Pattern: p})
	refused("cancel of nothing", problem.Conflict, request.EpochCancel, request.EpochCancelBody{Counter: 1, Epoch: 2, Pattern: p})
	refused("restore of an operational domain", problem.Conflict, request.Restore, request.RestoreBody{Counter: 1, Epoch: 1, Pattern: p})
	refused("another epoch", problem.Conflict, request.EpochLoad, request.EpochLoadBody{Counter: 1, Epoch: 3})
	w.load(t)
	n := w.s.life.Next
	refused("a second load", problem.Conflict, request.EpochLoad, request.EpochLoadBody{Counter: 2, Epoch: 3})
	refused("another pattern", problem.Conflict, request.EpochCommit, request.EpochCommitBody{Counter: 2, Epoch: 2, Pattern: p})
	refused("receipts that nobody asked for", problem.Malformed, request.EpochCommit, request.EpochCommitBody{Counter: 2, Epoch: 2, Pattern: n.Pattern, Receipts: []request.ShareReceipt{{Receipt: []byte{1}, Sig: make([]byte, 64)}}})
	refused("activation before commit", problem.Conflict, request.EpochActivate, request.EpochActivateBody{Counter: 2, Epoch: 2, Pattern: n.Pattern})
	w.refused(t, "enciphered before commit", &entry.Reencipher{Epoch: 2, Blobs: []entry.Blob{{Key: w.s.keys[0].ID, Hash: [32]byte{1}}}})
	w.commitNext(t)
	refused("a second commit", problem.Conflict, request.EpochCommit, request.EpochCommitBody{Counter: 3, Epoch: 2, Pattern: n.Pattern})
	refused("activation while keys lack a blob", problem.Conflict, request.EpochActivate, request.EpochActivateBody{Counter: 3, Epoch: 2, Pattern: n.Pattern})
	w.enciphered(t)
	w.activateNext(t)
	refused("cancel after activation", problem.Conflict, request.EpochCancel, request.EpochCancelBody{Counter: 4, Epoch: 2, Pattern: n.Pattern})
	refused("finalize of the current epoch", problem.Conflict, request.EpochFinalize, request.EpochFinalizeBody{Counter: 4, Epoch: 2, Pattern: n.Pattern})
	refused("a load before finalize", problem.Conflict, request.EpochLoad, request.EpochLoadBody{Counter: 4, Epoch: 3})
	w.does(t, request.EpochFinalize, request.EpochFinalizeBody{Counter: 4, Epoch: 1, Pattern: p})
	refused("a load before all is erased", problem.Conflict, request.EpochLoad, request.EpochLoadBody{Counter: 5, Epoch: 3})
	w.erased(t)
	w.load(t)
	for _, k := range w.s.keys {
		if k.Epoch != 2 {
			t.Errorf("key %s is of epoch %d", k.ID, k.Epoch)
		}
	}
}

// After zeroize nothing is taken but a restore, and what records what happened.
func TestZeroizedFold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pay := w.approved(t, request.Transfer, payEVM(5), "bob", "carol")
	permit := w.permit(t, pay, "payload", account0(0), 1)
	signed := w.approved(t, request.Transfer, payBTC(5), "bob", "carol")
	w.must(t, w.permit(t, signed, "payload", inputs(1), 1))
	result := w.result(signed)
	replaced := w.permit(t, signed, "other", inputs(1), 2)
	ask := w.asked(t, who("alice"), w.request(who("alice"), request.Transfer, payEVM(6)))
	make1 := w.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "new", Chain: evm, Scheme: request.SchemeEVM}, "bob")
	made := w.effect(t, make1)
	w.does(t, request.Zeroize, request.ZeroizeBody{Counter: 1, Phrase: request.ZeroizePhrase(w.s.Domain)})
	for what, body := range map[string]any{"permit": permit, "replacement": replaced, "request": ask, "effect": made, "approval": w.approval(t, pay, who("dave"), request.Approve),
		"refusal": &entry.Refusal{Request: pay, Act: "permit", Kind: problem.RefusedByRule}, "tamper": &entry.Tamper{Cause: "x"}, "reencipher": &entry.Reencipher{Epoch: 2},
		"session": &entry.Session{Opening: canon.Encode(request.SessionOpening{V: 1})}} {
		w.refused(t, what, body)
	}
	w.must(t, result)
	w.must(t, &entry.Writer{Epoch: 2})
	w.must(t, &entry.Snapshot{Root: w.s.StateRoot()})
	w.refused(t, "other blobs erased", &entry.Erased{Blobs: entry.BlobList{Count: 1}})
	wants(t, "restore before all is erased", w.asks("alice", request.Restore, request.RestoreBody{Counter: 2, Epoch: 1, Pattern: w.s.Pattern}), problem.Conflict)
	w.erased(t)
	wants(t, "restore of another key", w.asks("alice", request.Restore, request.RestoreBody{Counter: 2, Epoch: 1, Pattern: bytes.Repeat([]byte{1}, 16)}), problem.Conflict)
	w.does(t, request.Restore, request.RestoreBody{Counter: 2, Epoch: 1, Pattern: w.s.Pattern})
	w.must(t, permit)
}

// logWitness is a log witness with a key of its own.
func logWitness(t *testing.T, name string) entry.LogWitness {
	t.Helper()
	seed := sha256.Sum256([]byte(name))
	k, err := tlog.NewWitnessKey("witness.example/"+name, ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return entry.LogWitness{Name: name, Key: k.String()}
}

// What production asks of a genesis.
func TestGenesisOfProduction(t *testing.T) {
	t.Parallel()
	two := firstDocument()
	two.Floor.MinDistinctUsers = 2
	two.Groups[0].Members = append(two.Groups[0].Members, who("dave").id)
	slices.Sort(two.Groups[0].Members)
	two.Routes = slices.DeleteFunc(slices.Clone(two.Routes), func(r policy.Route) bool { return r.ID == "wallets" })
	set := points.Evaluation()
	good := func() *entry.Genesis {
		g := &entry.Genesis{V: 1, Profile: custody.Production, LogKey: make([]byte, 32), Identity: make([]byte, 32), Root: "pkcs11", Anchor: "witness+tpm", Epoch: 1,
			Pattern: make([]byte, 16), Document: two.Encode(), Nonce: make([]byte, 16), Points: &set, Recovery: sharing(1, true),
			Witnesses: []entry.LogWitness{logWitness(t, "one"), logWitness(t, "two"), logWitness(t, "three")}, Quorum: 2}
		for _, p := range two.Principals {
			g.Signatures = append(g.Signatures, entry.GenesisSignature{Person: p.ID})
		}
		return g
	}
	if err := New().applyGenesis(good(), [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	var again entry.Genesis
	if err := canon.Decode(canon.Encode(good()), &again); err != nil || !bytes.Equal(canon.Encode(&again), canon.Encode(good())) {
		t.Errorf("a genesis does not survive its encoding: %v", err)
	}
	for what, spoil := range map[string]func(*entry.Genesis){
		"soft root": func(g *entry.Genesis) { g.Root = "soft" }, "file anchor": func(g *entry.Genesis) { g.Anchor = "file" }, "witness alone": func(g *entry.Genesis) { g.Anchor = "witness" },
		"no points": func(g *entry.Genesis) { g.Points = nil }, "no recovery": func(g *entry.Genesis) { g.Recovery = nil }, "no witnesses": func(g *entry.Genesis) { g.Witnesses, g.Quorum = nil, 0 },
		"threshold 1":             func(g *entry.Genesis) { g.Recovery.Threshold, g.Recovery.Commitments = 1, make([]byte, 32) },
		"no sealed copy":          func(g *entry.Genesis) { g.Recovery.WorkingKey = nil },
		"no majority":             func(g *entry.Genesis) { g.Quorum = 1 },
		"too large":               func(g *entry.Genesis) { g.Quorum = 4 },
		"two witnesses":           func(g *entry.Genesis) { g.Witnesses = g.Witnesses[:2] },
		"a witness twice":         func(g *entry.Genesis) { g.Witnesses[1].Key = g.Witnesses[0].Key },
		"a name twice":            func(g *entry.Genesis) { g.Witnesses[1].Name = "one" },
		"no key":                  func(g *entry.Genesis) { g.Witnesses[1].Key = "" },
		"a long key":              func(g *entry.Genesis) { g.Witnesses[1].Key = strings.Repeat("k", 300) },
		"unknown points":          func(g *entry.Genesis) { s := points.Set{1}; g.Points = &s },
		"a custodian twice":       func(g *entry.Genesis) { g.Recovery.Custodians[1] = g.Recovery.Custodians[0] },
		"two custodians of three": func(g *entry.Genesis) { g.Recovery.Custodians = g.Recovery.Custodians[:2] },
	} {
		g := good()
		spoil(g)
		if New().applyGenesis(g, [32]byte{1}) == nil {
			t.Errorf("%s is accepted", what)
		}
	}
}
