// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Two wallets with the same keys would be two names of one slot, and of one purse under other rules.
func TestNoTwoWalletsOfTheSameKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seed := w.s.keys[0].ID
	alias := request.WalletCreateBody{Wallet: "alias", Chain: evm, Scheme: request.SchemeEVM, Seed: seed}
	r := w.request(who("alice"), request.WalletCreate, alias)
	p, err := request.Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.DecideRequest(p, policy.BySignature, w.at(), Derive); problem.KindOf(err) != problem.Conflict {
		t.Fatalf("an alias was accepted: %v", err)
	}
	for name, b := range map[string]request.WalletCreateBody{
		"another account": {Wallet: "second", Chain: evm, Scheme: request.SchemeEVM, Seed: seed, Account: 1},
		"another chain":   {Wallet: "third", Chain: "eip155:1", Scheme: request.SchemeEVM, Seed: seed},
		"another scheme":  {Wallet: "fourth", Chain: regtest, Scheme: request.SchemeP2TR, Seed: w.s.keys[1].ID},
	} {
		if err := w.write(w.effect(t, w.approved(t, request.WalletCreate, b, "bob"))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Both accepted while neither existed: the second one is refused when it is made.
	first := request.WalletCreateBody{Wallet: "fifth", Chain: evm, Scheme: request.SchemeEVM, Seed: seed, Account: 5}
	second := first
	second.Wallet = "sixth"
	a, b := w.approved(t, request.WalletCreate, first, "bob"), w.approved(t, request.WalletCreate, second, "bob")
	late := w.effect(t, b)
	w.must(t, w.effect(t, a))
	w.refused(t, "two wallets of the same keys", late)
}

// A nonce that is left out can't ever be used, so what comes after it would be stuck for ever.
func TestNoncesHaveNoGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.approved(t, request.Transfer, payEVM(5), "bob", "carol")
	for _, n := range []uint64{1, 5, 1<<64 - 1} {
		w.refused(t, "a gap", w.permit(t, id, "a", account0(n), 1))
	}
	w.must(t, w.permit(t, id, "a", account0(0), 1))
	id = w.approved(t, request.Transfer, payEVM(5), "bob", "carol")
	w.refused(t, "a used nonce", w.permit(t, id, "b", account0(0), 1))
	w.must(t, w.permit(t, id, "b", account0(1), 1))
	other := w.permit(t, w.approved(t, request.Transfer, payEVM(5), "bob", "carol"), "c", account0(0), 1)
	other.Keys[0].Index = 1
	w.must(t, other) // each account has its own
}

// An approval older than the floor allows does not count, and its person can approve again, and counts once.
func TestStaleApprovals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.request(who("alice"), request.Transfer, payEVM(5))
	r.NotAfter = w.now/1e9 + 20*24*3600
	w.must(t, w.asked(t, who("alice"), r))
	w.must(t, w.approval(t, r.ID(), who("bob"), request.Approve))
	w.refused(t, "the same person again", w.approval(t, r.ID(), who("bob"), request.Approve))
	w.advance(7*24*time.Hour - time.Duration(w.bound))
	w.must(t, w.approval(t, r.ID(), who("carol"), request.Approve))
	p, _ := w.s.Pending(r.ID())
	if err := w.s.Ready(p, w.at(), Derive); err != nil {
		t.Fatalf("approvals of the last week: %v", err)
	}
	w.now++
	if err := w.s.Ready(p, w.at(), Derive); problem.KindOf(err) != problem.QuorumNotMet {
		t.Fatalf("an approval too old by a nanosecond: %v", err)
	}
	w.refused(t, "a stale approval counts", w.permit(t, r.ID(), "a", account0(0), 1))
	w.must(t, w.approval(t, r.ID(), who("bob"), request.Approve))
	w.must(t, w.permit(t, r.ID(), "a", account0(0), 1))
}

// A permit without a result stays open beyond its request's end, because only its bytes may use the slot; with the result it ends.
func TestPermitWaitsForItsResult(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.approved(t, request.Transfer, payEVM(5), "bob", "carol")
	w.must(t, w.permit(t, id, "a", account0(0), 1))
	w.advance(40 * 24 * time.Hour)
	w.must(t, &entry.Snapshot{Root: w.s.StateRoot()})
	if _, ok := w.s.Signed(id); !ok {
		t.Fatal("the permit can't be settled any more")
	}
	w.refused(t, "a replacement after the end", w.permit(t, id, "b", account0(0), 2))
	restored := (&driver{world: w}).restored(t)
	w.must(t, w.result(id))
	if o, ok := w.s.Done(id); !ok || o.End != EndSigned || o.Seq != w.s.Next-1 {
		t.Fatalf("after the result: %v %+v", ok, o)
	}
	last := w.log[len(w.log)-1]
	if err := restored.Apply(last.leaf, last.hash, last.body); err != nil || restored.StateRoot() != w.s.StateRoot() {
		t.Fatalf("a state from a snapshot goes another way: %v", err)
	}
}

// The clock may be less sure when the result comes than when the deadline passed: the request ends all the same, and as in a state from a snapshot.
func TestPermitEndsWhenTheBoundGrows(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.approved(t, request.Transfer, payEVM(5), "bob", "carol")
	w.must(t, w.permit(t, id, "a", account0(0), 1))
	p, _ := w.s.Signed(id)
	w.now = p.NotAfter*1e9 + w.bound + 1e9
	w.must(t, &entry.Snapshot{Root: w.s.StateRoot()}) // past for certain
	restored := (&driver{world: w}).restored(t)
	small := w.bound
	w.bound = int64(time.Hour)
	w.must(t, w.result(id))
	if _, ok := w.s.Signed(id); !ok {
		t.Fatal("it ended while that was not certain")
	}
	w.bound = small
	w.must(t, &entry.Snapshot{Root: w.s.StateRoot()})
	if o, ok := w.s.Done(id); !ok || o.End != EndSigned {
		t.Fatalf("after the result: %v %+v", ok, o)
	}
	for _, x := range w.log[len(w.log)-2:] {
		if err := restored.Apply(x.leaf, x.hash, x.body); err != nil {
			t.Fatal(err)
		}
	}
	if restored.StateRoot() != w.s.StateRoot() {
		t.Error("a state from a snapshot goes another way")
	}
}

// The strictest cap holds: the request's, that of the route it was accepted on, and that of the route now.
func TestFeeCaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	change := func(limit *custody.Uint256) {
		doc := w.s.Doc
		doc.Version, doc.PrevHash = doc.Version+1, w.s.Doc.Hash()
		doc.Routes = append([]policy.Route(nil), doc.Routes...)
		doc.Routes[1].FeeCap = limit
		w.must(t, w.effect(t, w.approved(t, request.PolicyChange, request.PolicyChangeBody{Document: doc.Encode()}, "bob", "carol")))
	}
	change(amount(100))
	id := w.approved(t, request.Transfer, payEVM(5), "bob", "carol")
	change(nil)
	w.refused(t, "above the cap of acceptance", w.permit(t, id, "a", account0(0), 101))
	w.must(t, w.permit(t, id, "a", account0(0), 50))
	change(amount(60))
	w.refused(t, "above the cap now", w.permit(t, id, "b", account0(0), 61))
	w.must(t, w.permit(t, id, "b", account0(0), 60))
}

// Refusals of one act leave room for those of the others, forgeries for the rules' refusals, and all of them for replacements.
func TestTrailKeepsRoom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.approved(t, request.Transfer, payEVM(5), "bob", "carol")
	for act, most := range map[string]int{"approve": 16, "permit": 32, "execute": 16} {
		for range most / 2 {
			w.must(t, &entry.Refusal{Request: id, Act: act, Kind: problem.Unauthenticated})
		}
		w.refused(t, "one more forgery", &entry.Refusal{Request: id, Act: act, Kind: problem.Malformed})
		for range most / 2 {
			w.must(t, &entry.Refusal{Request: id, Act: act, Kind: problem.OutsideBounds})
		}
		w.refused(t, "one more refusal", &entry.Refusal{Request: id, Act: act, Kind: problem.RefusedByRule})
	}
	w.refused(t, "an unknown act", &entry.Refusal{Request: id, Act: "dance", Kind: problem.RefusedByRule})
	fee := uint64(0)
	for i := 0; ; i++ {
		fee++
		b := w.permit(t, id, strings.Repeat("x", i+1), account0(0), fee)
		if err := w.write(b); err != nil {
			if i < 30 {
				t.Fatalf("no room for attempt %d: %v", i+1, err)
			}
			break
		}
		w.must(t, w.result(id))
	}
	if g, _ := w.s.Signed(id); len(g.Trail) > MaxTrail {
		t.Fatalf("the trail has %d entries", len(g.Trail))
	}
}

// One initiator can't fill the room of all others.
func TestOneInitiatorsShare(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, x := range []load{{MaxWaiting, 0}, {1, MaxWaitBytes}} {
		w.s.waits[who("alice").id] = x
		w.refused(t, "too many", w.asked(t, who("alice"), w.request(who("alice"), request.Transfer, payEVM(1))))
		w.must(t, w.asked(t, who("bob"), w.request(who("bob"), request.Transfer, payEVM(1))))
	}
	delete(w.s.waits, who("alice").id)
	id := w.approved(t, request.Transfer, payEVM(1))
	if x := w.s.waits[who("alice").id]; x.requests != 1 || x.bytes == 0 {
		t.Fatalf("share of alice: %+v", x)
	}
	w.must(t, w.approval(t, id, who("alice"), request.Cancel))
	if x, ok := w.s.waits[who("alice").id]; ok {
		t.Fatalf("share of alice after the cancel: %+v", x)
	}
}

// Outcomes are forgotten a chunk at a time, 90 days after the last of the chunk, and never earlier.
func TestOutcomesAreKeptFor90Days(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.request(who("alice"), request.Transfer, payEVM(1))
	w.must(t, w.asked(t, who("alice"), first))
	w.must(t, w.approval(t, first.ID(), who("alice"), request.Cancel))
	for i := uint64(0); len(w.s.done.full) == 0; i++ {
		var id custody.RequestID
		binary.BigEndian.PutUint64(id[:], i)
		w.s.finish(id, Outcome{Own: []uint64{i}, End: EndRefused}, w.now)
	}
	have := len(w.s.doneIndex)
	w.advance(request.OutcomeKept*time.Second + time.Duration(w.bound))
	w.must(t, &entry.Snapshot{Root: w.s.StateRoot()})
	if _, ok := w.s.Known(first.ID()); !ok || len(w.s.doneIndex) != have {
		t.Fatal("an outcome was forgotten within 90 days")
	}
	w.now++
	w.must(t, &entry.Snapshot{Root: w.s.StateRoot()})
	if _, ok := w.s.Known(first.ID()); ok || len(w.s.doneIndex) != 0 || w.s.done.dropped != 1 {
		t.Fatalf("%d outcomes after 90 days", len(w.s.doneIndex))
	}
	if s := (&driver{world: w}).restored(t); len(s.doneIndex) != 0 {
		t.Fatal("a start from a snapshot brings outcomes back")
	}
}

// What a snapshot file holds is not trusted: a wrong one is refused, not a crash.
func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.approved(t, request.Transfer, payEVM(5), "bob", "carol")
	w.must(t, w.permit(t, id, "a", account0(0), 1))
	w.approved(t, request.Transfer, payEVM(5))
	for name, spoil := range map[string]func(*Image){
		"no document":        func(m *Image) { m.Document = nil },
		"pending missing":    func(m *Image) { m.Pending[0] = nil },
		"signed missing":     func(m *Image) { m.Signed[0] = nil },
		"a nonce too many":   func(m *Image) { m.Nonces = append(m.Nonces, 1) },
		"a wallet less":      func(m *Image) { m.Next = m.Next[1:] },
		"a document more":    func(m *Image) { m.Docs = append(m.Docs, 1) },
		"another chunk size": func(m *Image) { m.Spent.Per++ },
		"wallets cut off":    func(m *Image) { m.Wallets.Tail = m.Wallets.Tail[:len(m.Wallets.Tail)-1] },
		"outcomes cut off":   func(m *Image) { m.Done.Tail = m.Done.Tail[:5] },
		"an unknown chunk":   func(m *Image) { m.Spent.Full = append(m.Spent.Full, chunkRef{}) },
	} {
		var m Image
		if err := canon.Decode(canon.Encode(w.s.Image()), &m); err != nil {
			t.Fatal(err)
		}
		spoil(&m)
		if _, err := Restore(m, func([32]byte) ([]byte, error) { return []byte{1}, nil }); err == nil {
			t.Errorf("%s: restored", name)
		}
	}
}

// A kind and a body that disagree are refused, and so is a first entry that is no genesis.
func TestKindAndBody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	body := &entry.Snapshot{Root: w.s.StateRoot()}
	l := w.leaf(body)
	l.Kind = entry.KindResult
	if err := w.s.Apply(l, entry.Hash(l.Encode()), body); err == nil {
		t.Error("a snapshot was applied as a result")
	}
	g := w.log[0].body.(*entry.Genesis)
	w.refused(t, "a second genesis", g)
	s := New()
	l = w.log[1].leaf
	l.Seq, l.Prev, l.Writer = 0, [32]byte{}, 1
	l.Authority, l.Domain = custody.AuthorityID{}, custody.DomainID{}
	if err := s.Apply(l, [32]byte{1}, w.log[1].body); err == nil || !bytes.Equal(s.Last[:], make([]byte, 32)) {
		t.Errorf("an entry before genesis: %v", err)
	}
}
