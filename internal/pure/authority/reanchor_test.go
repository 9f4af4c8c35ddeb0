// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"
	"time"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// gapped lets the time-lock pass and writes the gap.
func (w *world) gapped(t tester) *entry.Gap {
	t.Helper()
	w.advance(time.Duration(w.s.anchoring.Pending.Until-w.now) + time.Duration(w.bound))
	g := w.s.DueGap(w.at())
	if g == nil {
		t.Fatal("no gap is due")
	}
	w.must(t, g)
	return g
}

// Between a re-anchoring and its gap only what takes power away is taken; after it open requests are void, sessions are closed, slots are held.
func TestReanchorPhases(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, w.permit(t, w.approved(t, request.Transfer, payEVM(5), "bob", "carol"), "a", account0(0), 1))
	open := w.approved(t, request.Transfer, payEVM(6), "bob", "carol")
	opening := mustSession(w)
	w.must(t, opening)
	before := w.s.Writer
	at := w.must(t, w.reanchorDocument(func(b *entry.Reanchor) { b.Known = w.checkpointOf(1, b.Size+12, [32]byte{1}) }))
	if a := w.s.Anchoring(); a.Incarnation != 2 || a.Since != at || a.Pending.From != at || a.Pending.To != at+12 || w.s.Writer != before+1 {
		t.Fatalf("%+v", a)
	}
	for op, body := range map[request.Operation]any{request.Transfer: payEVM(7), request.WhitelistRemove: request.WhitelistRemoveBody{ID: "bank"}, request.AddressCreate: request.AddressCreateBody{Wallet: "hot", Count: 1},
		request.SlotReconcile: request.SlotReconcileBody{Wallet: "hot"}, request.WarmOpen: request.WarmOpenBody{Wallet: "hot", Asset: evm.Native(), Amount: custody.U64(1), NotAfter: w.now/1e9 + 60},
		request.PointsSet: request.PointsSetBody{Counter: 1, Allow: points.Make(points.AppKeys)}, request.Restore: request.RestoreBody{Counter: 1, Epoch: 1, Pattern: w.s.Pattern}} {
		wants(t, "while the time-lock runs: "+string(op), w.asks("alice", op, body), problem.Reanchoring)
	}
	wants(t, "an approval", w.s.CheckApproval(w.s.pending[open], w.approval(t, open, who("dave"), request.Approve).Approval, w.at()), problem.Reanchoring)
	w.refused(t, "a permit", w.permit(t, open, "b", account0(1), 1))
	w.refused(t, "a session", opening)
	for op, body := range map[request.Operation]any{request.PersonRevoke: request.PersonRevokeBody{Person: who("dave").id}, request.PointsSet: request.PointsSetBody{Counter: 1, Deny: points.Make(points.Derive)},
		request.Zeroize: request.ZeroizeBody{Counter: 1, Phrase: request.ZeroizePhrase(w.s.Domain)}, request.ReanchorCancel: request.ReanchorCancelBody{Counter: 1, Reanchor: at}} {
		if err := w.asks("alice", op, body); err != nil {
			t.Errorf("%s takes power away: %v", op, err)
		}
	}
	due := &entry.Gap{Reanchor: at, From: at, To: at + 12}
	w.advance(72*time.Hour - 1)
	w.refused(t, "a gap before the time-lock has passed", due)
	w.advance(time.Duration(w.bound) + 1)
	w.refused(t, "a gap before the time-lock has surely passed", due)
	w.gapped(t)
	if o, _ := w.s.Done(open); o.End != EndVoid || len(w.s.sessions) != 0 || w.s.Anchoring().GapAt != w.now+w.bound {
		t.Errorf("outcome %v, %d sessions, %+v", o, len(w.s.sessions), w.s.Anchoring())
	}
	w.refused(t, "a second gap", due)
}

func mustSession(w *world) *entry.Session {
	o := request.SessionOpening{V: 1, Authority: w.s.Authority, Domain: w.s.Domain, Service: who("service").id, Ephemeral: make([]byte, 32), NotAfter: w.now/1e9 + 60}
	return &entry.Session{Opening: canon.Encode(o), Key: who("service").pub.Ref(), Sig: make([]byte, 64), Session: make([]byte, 16), Ephemeral: make([]byte, 32)}
}

// A held wallet's slots are free again once the recovery plan has said what the chain shows, and never below what the log knows. A wallet of an old seed
// that is made afterwards is held too; one with a new seed is not.
func TestHeldSlots(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(t, w.permit(t, w.approved(t, request.Transfer, payEVM(5), "bob", "carol"), "a", account0(0), 1))
	w.must(t, w.reanchorDocument(nil))
	w.gapped(t)
	pay := w.approved(t, request.Transfer, payEVM(6), "bob", "carol")
	w.refused(t, "a permit of a held wallet", w.permit(t, pay, "b", account0(1), 1))
	p, _ := w.s.Pending(pay)
	asked, err := p.Asked()
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.s.DecidePermit(pay, asked, nil, w.at(), Derive)
	wants(t, "deciding on it", err, problem.Reanchoring)
	body := func(next uint64) request.SlotReconcileBody {
		return request.SlotReconcileBody{Wallet: "hot", Accounts: []request.WalletNonce{{Next: next}, {Index: 5, Next: 2}}}
	}
	wants(t, "by the service", w.asks("service", request.SlotReconcile, body(4)), problem.Forbidden)
	one := request.SlotReconcileBody{Wallet: "cold", Accounts: []request.WalletNonce{{Next: 3}}}
	wants(t, "accounts of a Bitcoin wallet", w.asks("alice", request.SlotReconcile, one), problem.Malformed)
	wants(t, "inputs of an Ethereum wallet", w.asks("alice", request.SlotReconcile, request.SlotReconcileBody{Wallet: "hot", Spent: []request.SpentInput{{TxID: make([]byte, 32)}}}), problem.Malformed)
	wants(t, "no such wallet", w.asks("alice", request.SlotReconcile, request.SlotReconcileBody{Wallet: "none"}), problem.NotFound)
	id := w.approved(t, request.SlotReconcile, body(4), "bob")
	wants(t, "one of two", w.ready(id), problem.QuorumNotMet)
	w.must(t, w.approval(t, id, who("carol"), request.Approve))
	e := w.effect(t, id)
	for why, spoil := range map[string]func(*entry.Effect){"no wallet": func(e *entry.Effect) { e.Slots = nil }, "another wallet": func(e *entry.Effect) { e.Slots = &entry.Slots{Wallet: "cold"} },
		"a document too": func(e *entry.Effect) { e.Document = []byte{1} }} {
		bad := *e
		spoil(&bad)
		w.refused(t, why, &bad)
	}
	w.must(t, e)
	if w.s.Held("hot") || !w.s.Held("cold") || w.s.NextNonce("hot", 0) != 4 || w.s.NextNonce("hot", 5) != 2 || w.s.HeldWallets() != 1 {
		t.Errorf("held %v %v, nonces %d %d, %d wallets", w.s.Held("hot"), w.s.Held("cold"), w.s.NextNonce("hot", 0), w.s.NextNonce("hot", 5), w.s.HeldWallets())
	}
	wants(t, "again", w.asks("alice", request.SlotReconcile, body(9)), problem.Conflict)
	w.refused(t, "a nonce that the chain shows as used", w.permit(t, pay, "b", account0(3), 1))
	w.must(t, w.permit(t, pay, "b", account0(4), 1))

	seed := w.s.Keys()[0].ID
	for _, b := range []request.WalletCreateBody{{Wallet: "old-seed", Chain: evm, Scheme: request.SchemeEVM, Seed: seed, Account: 7}, {Wallet: "new-seed", Chain: evm, Scheme: request.SchemeEVM}} {
		w.must(t, w.effect(t, w.approved(t, request.WalletCreate, b, "bob")))
	}
	if !w.s.Held("old-seed") || w.s.Held("new-seed") || w.s.Held("none") {
		t.Error("a wallet of an old seed is held, one of a new seed is not")
	}
	wants(t, "below what the log knows", reanchoredAgain(t, w).asks("alice", request.SlotReconcile, body(4)), problem.Conflict)
}

// What a gap closes is closed though its time is not over: sessions of services, and of warm wallets. The nonce that the log has already can be said again.
func TestGapCloses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plans, none := w.s.Doc.Plans(), int64(0)
	plans.ReanchorDelay = &none
	w.s.Doc.Domain = &plans
	w.must(t, w.effect(t, w.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "vault", Chain: evm, Scheme: request.SchemeEVM, Temperature: request.Warm}, "bob")))
	w.must(t, w.effect(t, w.approved(t, request.WarmOpen, request.WarmOpenBody{Wallet: "vault", Asset: evm.Native(), Amount: custody.U64(9), NotAfter: w.now/1e9 + 3600}, "bob", "carol")))
	w.must(t, mustSession(w))
	w.must(t, w.permit(t, w.approved(t, request.Transfer, payEVM(5), "bob", "carol"), "a", account0(0), 1))
	w.must(t, w.reanchorDocument(nil))
	w.gapped(t)
	if c := w.s.Counts(); c.Sessions != 0 || c.WarmSessions != 0 || c.Warm != 1 || c.Pending != 0 {
		t.Errorf("%+v", c)
	}
	w.must(t, w.effect(t, w.approved(t, request.SlotReconcile, request.SlotReconcileBody{Wallet: "hot", Accounts: []request.WalletNonce{{Next: 1}}}, "bob", "carol")))
	if w.s.NextNonce("hot", 0) != 1 {
		t.Error("the nonce that the log has was changed")
	}
}

func reanchoredAgain(t *testing.T, w *world) *world {
	t.Helper()
	w.must(t, w.reanchorDocument(nil))
	w.gapped(t)
	return w
}

// Where log witnesses have confirmed the head nothing is lost: requests stand, slots stay free.
func TestWholeReanchoring(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	open := w.approved(t, request.Transfer, payEVM(6), "bob", "carol")
	plans, none := w.s.Doc.Plans(), int64(0)
	plans.ReanchorDelay = &none
	w.s.Doc.Domain = &plans // no time-lock, so that the request is still in its time
	w.must(t, w.reanchorDocument(func(b *entry.Reanchor) { b.Known, b.Whole = w.checkpointOf(1, b.Size, b.Root), true }))
	g := w.gapped(t)
	if !g.Whole || g.From != g.To || w.s.HeldWallets() != 0 || w.s.Anchoring().GapAt != 0 {
		t.Errorf("%+v, %+v", g, w.s.Anchoring())
	}
	if _, ok := w.s.Pending(open); !ok {
		t.Error("a request did not survive")
	}
}

// A re-anchoring that was cancelled never takes effect; another one can follow, and what the first found lost still is.
func TestCancelledReanchoring(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	at := w.must(t, w.reanchorDocument(func(b *entry.Reanchor) { b.Known = w.checkpointOf(1, b.Size+12, [32]byte{1}) }))
	wants(t, "another entry", w.asks("alice", request.ReanchorCancel, request.ReanchorCancelBody{Counter: 1, Reanchor: at + 1}), problem.Conflict)
	w.does(t, request.ReanchorCancel, request.ReanchorCancelBody{Counter: 1, Reanchor: at})
	w.advance(30 * 24 * time.Hour)
	if w.s.DueGap(w.at()) != nil {
		t.Error("the gap of a cancelled re-anchoring is due")
	}
	w.refused(t, "its gap", &entry.Gap{Reanchor: at, From: at, To: at + 12})
	wants(t, "a transfer", w.asks("alice", request.Transfer, payEVM(7)), problem.Reanchoring)
	wants(t, "cancelling it again", w.asks("alice", request.ReanchorCancel, request.ReanchorCancelBody{Counter: 2, Reanchor: at}), problem.Conflict)
	w.must(t, w.reanchorDocument(func(b *entry.Reanchor) { b.Known, b.Whole = w.checkpointOf(2, b.Size, b.Root), true }))
	if g := w.gapped(t); g.From != at || g.To < at+12 || g.Whole {
		t.Errorf("the gap is %+v; entry %d on was lost", g, at)
	}
}

// The signatures count under the document in force at the head: each by an active person, with a key that is no passkey, of the recovery plan.
func TestReanchorSigners(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.reanchorDocument(nil)
	audit := func(b *entry.Reanchor) error {
		return w.s.Audit(w.leaf(b), b, Derive, func(seq uint64) (any, error) { return w.log[seq].body, nil })
	}
	if err := audit(b); err != nil {
		t.Fatal(err)
	}
	false1 := *b
	false1.Signatures = append([]entry.GenesisSignature(nil), b.Signatures...)
	false1.Signatures[1].Sig = b.Signatures[0].Sig
	if audit(&false1) == nil {
		t.Error("a false signature passes the audit")
	}
	if other := *b; audit(withReason(other, "another")) == nil {
		t.Error("signatures of another document pass the audit")
	}
	for why, x := range map[string]*entry.Reanchor{"one": w.signedBy(w.reanchorDocument(nil), "bob"), "nobody": w.signedBy(w.reanchorDocument(nil)), "one of no say": w.signedBy(w.reanchorDocument(nil), "bob", "dave"),
		"one twice": w.signedBy(w.reanchorDocument(nil), "bob", "bob")} {
		w.refused(t, why, x)
	}
	swapped := *b
	swapped.Signatures = []entry.GenesisSignature{b.Signatures[1], b.Signatures[0]}
	w.refused(t, "out of order", &swapped)
	w.must(t, w.effect(t, w.approved(t, request.PersonRevoke, request.PersonRevokeBody{Person: who("carol").id}, "bob", "carol")))
	w.refused(t, "somebody who was revoked", w.reanchorDocument(nil))
}

func withReason(b entry.Reanchor, reason string) *entry.Reanchor { b.Reason = reason; return &b }

// The checkpoint that a document shows must be the log's own, and where it says that nothing is lost, a quorum of the log witnesses must have cosigned it.
func TestReanchorEvidence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seed := sha256.Sum256([]byte("log key"))
	private := ed25519.NewKeyFromSeed(seed[:])
	logKey := [32]byte(private.Public().(ed25519.PublicKey))
	key, err := tlog.NewKey(entry.Origin(w.s.Domain, 1), logKey[:])
	if err != nil {
		t.Fatal(err)
	}
	set, keys := threeWitnesses(t)
	c := tlog.Checkpoint{Origin: key.Origin(), Size: w.s.Next, Root: [32]byte{7}}
	known := func(cosigned int, extensions ...string) []byte {
		signed, err := tlog.SignCheckpoint(c, key, func(m []byte) ([]byte, error) { return ed25519.Sign(private, m), nil }, extensions...)
		if err != nil {
			t.Fatal(err)
		}
		text := c.Text()
		for _, e := range extensions {
			text += e + "\n"
		}
		for i := range cosigned {
			line, err := tlog.Cosign(text, 1_900_000_000, set.All()[i].Key, func(m []byte) ([]byte, error) { return ed25519.Sign(keys[i], m), nil })
			if err != nil {
				t.Fatal(err)
			}
			signed = append(signed, line...)
		}
		return signed
	}
	for name, x := range map[string]struct {
		known []byte
		whole bool
		set   tlog.Witnesses
		ok    bool
	}{
		"by a quorum, freshly":        {known(2, "strongroom/start/v1 x"), true, set, true},
		"by a quorum":                 {known(2), true, set, true},
		"by one of three":             {known(1), true, set, false},
		"by nobody, not whole":        {known(0), false, set, true},
		"no witnesses to say so":      {known(3), true, tlog.Witnesses{}, false},
		"by somebody else's key":      {w.checkpointOf(1, 99, [32]byte{1}), false, set, false},
		"altered, with its signature": {append([]byte("x"), known(2)...), false, set, false},
	} {
		b := w.reanchorDocument(func(b *entry.Reanchor) { b.Known, b.Whole = x.known, x.whole })
		if err := AuditReanchor(w.s.Rules, logKey, x.set, b); (err == nil) != x.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func threeWitnesses(t *testing.T) (tlog.Witnesses, []ed25519.PrivateKey) {
	t.Helper()
	var list []tlog.Witness
	var keys []ed25519.PrivateKey
	for _, name := range []string{"w1", "w2", "w3"} {
		h := sha256.Sum256([]byte(name))
		private := ed25519.NewKeyFromSeed(h[:])
		k, err := tlog.NewWitnessKey("witness.example/"+name, private.Public().(ed25519.PublicKey))
		if err != nil {
			t.Fatal(err)
		}
		list, keys = append(list, tlog.Witness{Name: name, Key: k}), append(keys, private)
	}
	set, err := tlog.NewWitnesses(list, 2)
	if err != nil {
		t.Fatal(err)
	}
	return set, keys
}

// What a production domain's new anchor must be, and the rest of what a document can't say.
func TestReanchorDocumentRefused(t *testing.T) {
	t.Parallel()
	for why, spoil := range map[string]func(*entry.Reanchor, *world){
		"an older incarnation":           func(b *entry.Reanchor, _ *world) { b.Incarnation = 1 },
		"a longer log":                   func(b *entry.Reanchor, _ *world) { b.Size++ },
		"another log":                    func(b *entry.Reanchor, _ *world) { b.Last[0] ^= 1 },
		"another time-lock":              func(b *entry.Reanchor, _ *world) { b.Delay = 0 },
		"past its time":                  func(b *entry.Reanchor, w *world) { b.NotAfter = w.now / 1e9 },
		"for too long":                   func(b *entry.Reanchor, w *world) { b.NotAfter = w.now/1e9 + MaxReanchorAge + 1 },
		"witnesses that nobody uses":     func(b *entry.Reanchor, _ *world) { b.Witnesses = []entry.LogWitness{{Name: "w"}} },
		"no reason":                      func(b *entry.Reanchor, _ *world) { b.Reason = "" },
		"a checkpoint of another domain": func(b *entry.Reanchor, w *world) { b.Known = []byte(tlog.Checkpoint{Origin: "x"}.Text() + "\n") },
		"a checkpoint of the new one":    func(b *entry.Reanchor, w *world) { b.Known = w.checkpointOf(2, 99, [32]byte{}) },
		"whole without a checkpoint":     func(b *entry.Reanchor, _ *world) { b.Whole = true },
		"whole, and entries are lost":    func(b *entry.Reanchor, w *world) { b.Known, b.Whole = w.checkpointOf(1, b.Size+1, b.Root), true },
		"whole, of a fork":               func(b *entry.Reanchor, w *world) { b.Known, b.Whole = w.checkpointOf(1, b.Size, [32]byte{1}), true },
		"production with a file":         func(_ *entry.Reanchor, w *world) { w.s.Profile = custody.Production },
	} {
		w := newWorld(t)
		w.refused(t, why, w.reanchorDocument(func(b *entry.Reanchor) { spoil(b, w) }))
	}
	w := newWorld(t)
	l := w.leaf(w.reanchorDocument(nil))
	l.Writer = w.s.Writer
	if err := w.s.Apply(l, [32]byte{1}, w.reanchorDocument(nil)); err == nil {
		t.Error("a re-anchoring under the old writer's epoch was taken")
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	d := custody.DomainID{1, 2}
	for n, want := range map[uint64]string{0: "", 1: "", 2: "/2", 18446744073709551615: "/18446744073709551615"} {
		s := entry.Origin(d, n)
		if s != "strongroom/domain/"+d.String()+want {
			t.Errorf("incarnation %d has origin %s", n, s)
		}
		if got, k, err := entry.ParseOrigin(s); err != nil || got != d || k != max(n, 1) {
			t.Errorf("%s is read as %s, %d, %v", s, got, k, err)
		}
	}
	for _, s := range []string{"", d.String(), "strongroom/domain/" + d.String() + "/", "strongroom/domain/" + d.String() + "/1", "strongroom/domain/" + d.String() + "/02", "strongroom/domain/" + d.String() + "/0",
		"strongroom/domain/" + d.String() + "/+2", "strongroom/domain/" + d.String()[:62]} {
		if _, _, err := entry.ParseOrigin(s); err == nil {
			t.Errorf("%q is taken for an origin", s)
		}
	}
}
