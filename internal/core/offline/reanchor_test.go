// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// The online log loses what was signed here, and is re-anchored. The operators are told and agree; what was signed stays signed, and nothing else is
// signed for its slots; then life goes on.
func TestReanchorLoses(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		t.Run(fmt.Sprint("full ", full), func(t *testing.T) {
			t.Parallel()
			h, base := lostCold(t)
			h.reconciled("savings", 1) // the people don't know better: nothing is on the chain
			again := h.transfer("savings", 77, 1)
			had := h.v.d.state.Import.Size
			p := h.knows()
			if full {
				p = h.parts(h.v.d, 0)
			}
			if p.head.From > base {
				t.Fatalf("the bundle begins with entry %d", p.head.From)
			}
			bundle := h.seal(p)
			h.ops.agrees = ErrUnattended
			h.refuses(bundle, "operators have to see that and agree")
			h.ops.agrees = errors.New("nobody told us")
			h.refuses(bundle, "nobody told us")
			h.ops.agrees, h.ops.told = nil, nil

			answer, r, err := h.v.work(bundle, h.ops)
			if err != nil {
				t.Fatal(err)
			}
			x := r.Reanchored
			if x == nil || len(h.ops.told) != 1 || x.Incarnation() != 2 || x.Had != had || x.Kept != base || len(x.Permits) != 2 || x.Entries[0].Reason == "" || len(x.Entries[0].By) != 2 || x.Entries[0].By[0].Removed || x.Gone {
				t.Fatalf("%+v", x)
			}
			for i, l := range x.Permits {
				tx, err := eth.DecodeSigned(l.Signed)
				if err != nil || l.Nonce != uint64(i+1) || l.TxID == "" || tx.Tx.Nonce != l.Nonce {
					t.Errorf("%+v: %v", l, err)
				}
			}
			if len(r.Signed) != 0 || len(r.Refused) != 1 || r.Refused[0].Entry != again || r.Refused[0].Kind != problem.Conflict || !strings.Contains(r.Refused[0].Detail, "nothing replaces it") {
				t.Errorf("%+v", r)
			}
			res := h.take(answer, p.head)
			lost := 0
			for _, a := range res.acts {
				if a.Lost && a.Result != nil {
					lost++
				}
			}
			if d, _ := h.s.OfflineDomain(h.v.d.ID()); d.Knows != p.head.Size || d.Size() != r.Size || lost == 0 {
				t.Errorf("the online domain knows %d of %d entries; %d lost results", d.Knows, p.head.Size, lost)
			}
			h.wait(time.Minute)
			next := h.transfer("savings", 78, 2) // lost too
			good := h.transfer("savings", 79, 3)
			_, r = h.carry()
			if len(r.Signed) != 1 || r.Signed[0].Entry != good || len(r.Refused) < 1 || r.Reanchored != nil {
				t.Errorf("%+v; want %d signed and %d refused", r, good, next)
			}
			oneSlot(t, h.v.d.state)
			h.v.reopen()
			st := h.v.d.Status(background)
			if st.Incarnation != 2 || len(st.Lost) != 2 || len(st.Lost[0].Signed) == 0 || st.Full {
				t.Errorf("%+v", st)
			}
			h.v.close()
			h.v.lose("authority")
			h.wait(time.Second)
			h.v.reopen()
			if _, r := h.takes(h.parts(h.v.d, 0)); r.Reanchored != nil {
				t.Errorf("a full bundle of the same log: %+v", r)
			}
			oneSlot(t, h.v.d.state)
		})
	}
}

// The entries that were imported are lost here too: the imports of the own log tell where the two agree.
func TestReanchorWithoutEntries(t *testing.T) {
	t.Parallel()
	h, base := lostCold(t)
	h.v.close()
	h.v.lose("authority")
	h.v.reopen()
	h.refuses(h.seal(h.knows()), "export with --full")
	h.reconciled("savings", 3)
	p := h.transfer("savings", 80, 3)
	parts := h.parts(h.v.d, 0)
	_, r := h.takes(parts)
	if x := r.Reanchored; x == nil || !x.Gone || x.Kept != base || len(x.Permits) != 2 || x.Permits[0].TxID == "" || len(r.Signed) != 1 || r.Signed[0].Entry != p {
		t.Fatalf("%+v", r)
	}
	oneSlot(t, h.v.d.state)
}

// Nothing that was imported is lost: the operators are told, and numbers go on.
func TestReanchorKeepsAll(t *testing.T) {
	t.Parallel()
	h, _ := ready(t)
	h.carry()
	h.v.close()
	size := h.s.Next
	h.reanchor(2)
	h.reconciled("savings", 1)
	h.transfer("savings", 5, 1)
	stale := h.knows()
	stale.head.Number = 1
	h.refusesAll(stale, "was taken before")
	_, r := h.takes(h.knows())
	if x := r.Reanchored; x == nil || x.Kept != x.Had || x.Had > size || len(x.Permits) > 0 || len(r.Signed) != 1 {
		t.Fatalf("%+v", r)
	}
}

// It happens again: to a log that the first re-anchoring is lost of, and to one that has it.
func TestReanchorAgain(t *testing.T) {
	t.Parallel()
	h, base := lostCold(t)
	h.takes(h.knows())
	h.loses(base, 3) // the entry that re-anchored is lost too
	if _, r := h.takes(h.knows()); r.Reanchored == nil || r.Reanchored.Kept != base || r.Reanchored.Incarnation() != 3 || len(r.Reanchored.Permits) != 0 {
		t.Fatalf("%+v", r)
	}
	h.reconciled("savings", 3)
	kept := h.s.Next
	h.transfer("savings", 90, 3)
	h.carry()
	h.loses(kept, 4)
	if _, r := h.takes(h.knows()); r.Reanchored == nil || r.Reanchored.Kept != kept || len(r.Reanchored.Permits) != 1 {
		t.Fatalf("%+v", r)
	}
	if n := len(h.v.d.Status(background).Lost); n != 3 {
		t.Errorf("%d permits are lost", n)
	}
	oneSlot(t, h.v.d.state)
}

// Whoever signed and was revoked in what is lost is named.
func TestReanchorTellsOfRevoked(t *testing.T) {
	t.Parallel()
	h, _ := ready(t, withDave)
	h.carry()
	base := h.s.Next
	h.do(request.PersonRevoke, request.PersonRevokeBody{Person: h.carol.ID})
	h.carry()
	h.loses(base, 2)
	_, r := h.takes(h.knows())
	for _, by := range r.Reanchored.Entries[0].By {
		if by.Removed != (by.Person == h.carol.ID) {
			t.Errorf("%+v", by)
		}
	}
}

func withDave(o *online) {
	dave := domaintest.NewPerson("dave")
	o.people = append(o.people, dave)
	o.document = func(d *policy.Document) {
		d.Principals = append(d.Principals, policy.Principal{ID: dave.ID, Kind: policy.Human, Keys: []request.PublicKey{dave.Pub}, Active: true})
		slices.SortFunc(d.Principals, func(a, b policy.Principal) int { return strings.Compare(string(a.ID), string(b.ID)) })
		d.Groups[0].Members = append(d.Groups[0].Members, dave.ID)
		slices.Sort(d.Groups[0].Members)
	}
}

// Every rule of re-anchoring refuses, and the operators are not even asked.
func TestReanchorRefused(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		make    func(h *house, base uint64) *parts
		reasons []string
	}{
		"another history, not re-anchored": {func(h *house, base uint64) *parts {
			h.back(base, h.v.d.ID())
			for range 40 {
				h.askTransfer(h.alice, "savings", 9)
			}
			h.number = h.v.d.state.Import.Number
			h.catchUp()
			return h.knows()
		}, []string{"another than the one that was imported", "EQUIVOCATION"}},
		"shorter, not re-anchored": {func(h *house, base uint64) *parts {
			h.back(base, h.v.d.ID())
			p := h.knows()
			p.head.Number = h.v.d.state.Import.Number + 1
			return p
		}, []string{"imported before"}},
		"not of the recovery quorum": {func(h *house, base uint64) *parts {
			return h.forged(base, func(b *entry.Reanchor) { b.Signatures = b.Signatures[:1] })
		}, []string{"recovery"}},
		"a false signature": {func(h *house, base uint64) *parts {
			return h.forged(base, func(b *entry.Reanchor) { b.Signatures[0].Sig = b.Signatures[1].Sig })
		}, []string{"does not verify"}},
		"signed by nobody": {func(h *house, base uint64) *parts {
			return h.forged(base, func(b *entry.Reanchor) { b.Signatures = nil })
		}, []string{"recovery"}},
		"of another tree": {func(h *house, base uint64) *parts {
			h.back(base, h.v.d.ID())
			b := h.reanchorDocument(2)
			b.Root[0] ^= 1
			h.must(domaintest.SignReanchor(b, h.bob, h.carol))
			h.gap()
			return h.knows()
		}, []string{"another tree"}},
		"the time-lock runs": {func(h *house, base uint64) *parts {
			h.back(base, h.v.d.ID())
			h.must(domaintest.SignReanchor(h.reanchorDocument(2), h.bob, h.carol))
			h.said = true
			return h.knows()
		}, []string{"time-lock has not passed"}},
		"a tail from behind the entry": {func(h *house, base uint64) *parts {
			h.loses(base, 2)
			p := h.parts(h.v.d, base+1)
			return p
		}, []string{"export with --full"}},
		"the checkpoint of the old incarnation": {func(h *house, base uint64) *parts {
			h.loses(base, 2)
			p := h.knows()
			p.head.Checkpoint = h.checkpointOf(1)
			p.head.Number += 100
			p.head.Size = p.head.From + uint64(len(p.recs))
			return p
		}, []string{""}},
		"an incarnation that it is not of": {func(h *house, base uint64) *parts {
			h.loses(base, 2)
			p := h.knows()
			p.head.Checkpoint = h.checkpointOf(3)
			return p
		}, []string{"checkpoint"}},
		"dated back": {func(h *house, base uint64) *parts {
			h.clock.Advance(-5 * 24 * time.Hour) // the log's last entry is from then
			h.back(base, h.v.d.ID())
			h.must(domaintest.SignReanchor(h.reanchorDocument(2), h.bob, h.carol))
			h.gap()
			h.clock.Advance(2*24*time.Hour - time.Minute)
			return h.knows()
		}, []string{"at a time before the last bundle"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := ready(t)
			h.carry()
			base := h.s.Next
			if name == "dated back" {
				h.wait(5 * 24 * time.Hour)
			}
			h.transfer("savings", 2000, 1)
			h.carry()
			h.v.reopen()
			h.refusesAll(x.make(h, base), x.reasons...)
		})
	}
}

// Two logs of one incarnation: the second is refused, and called what it is.
func TestReanchorEquivocation(t *testing.T) {
	t.Parallel()
	h, base := lostCold(t)
	h.takes(h.knows())
	h.ops.told = nil
	number := h.number
	h.back(base-1, h.v.d.ID())
	h.reanchor(2) // from another head
	h.number = number
	h.catchUp()
	h.refusesAll(h.knows(), "EQUIVOCATION", "as incarnation 2")
	h.reanchor(3) // and with that one before it
	h.refusesAll(h.knows(), "EQUIVOCATION", "as incarnation 3")
	h.v.close()
	h.v.lose("authority") // the imports tell, too
	h.v.reopen()
	h.refusesAll(h.parts(h.v.d, 0), "EQUIVOCATION: incarnation 2 of the log begins with entry")

	old, _ := ready(t)
	old.carry()
	mark := old.s.Next
	old.transfer("savings", 1, 1)
	late := old.knows() // of incarnation 1
	old.carry()
	old.loses(mark, 2)
	old.takes(old.knows())
	old.ops.told = nil
	late.head.Number += 100
	old.refusesAll(late, "it is of incarnation 1")
}

// Where only the own log's imports are left, a log that does not agree with them up to the entry that re-anchored it is refused.
func TestReanchorOtherPrefix(t *testing.T) {
	t.Parallel()
	h, _ := ready(t)
	h.v.reopen()
	early := h.s.Next - 1 // before what will be imported now
	h.carry()
	h.transfer("savings", 2000, 1)
	for range 30 {
		h.askTransfer(h.alice, "savings", 9)
	}
	h.carry()
	h.v.close()
	h.v.lose("authority")
	h.v.reopen()
	h.back(early, h.v.d.ID())
	for range 12 { // beyond the size of the import before the last
		h.askTransfer(h.alice, "savings", 10)
	}
	h.reanchor(2)
	h.refusesAll(h.parts(h.v.d, 0), "does not agree")
}

// A seed that came by a lost entry stays, and may come once more.
func TestReanchorSeedAgain(t *testing.T) {
	t.Parallel()
	h, _ := ready(t)
	h.carry()
	h.do(request.WalletCreate, walletBody("second"))
	base := h.s.Next
	h.moveOut("second", h.v.d.ID())
	if _, r := h.carry(); len(r.MovedIn) != 1 {
		t.Fatalf("%+v", r)
	}
	h.loses(base, 2)
	to := h.v.d.ID()
	asked, err := request.Parse(h.request(h.alice, request.WalletMove, request.WalletMoveBody{Wallet: "second", To: to[:], Temperature: request.Cold}).Encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.s.DecideRequest(asked, policy.BySignature, h.moment(), authority.Derive); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "import its next result first") {
		t.Fatalf("a seed would be sealed to a used key: %v", err)
	}
	_, r := h.takes(h.knows())
	if len(r.Reanchored.Came) != 1 || r.Reanchored.Came[0] != "second" {
		t.Fatalf("%+v", r.Reanchored)
	}
	h.moveOut("second", to)
	if _, r := h.carry(); len(r.MovedIn) != 1 {
		t.Fatalf("%+v", r)
	}
	h.reconciled("second", 0)
	p := h.transfer("second", 3, 0)
	if _, r := h.carry(); len(r.Signed) != 1 || r.Signed[0].Entry != p {
		t.Fatalf("%+v", r)
	}
}

// Killed at every call, also with a permit that was recorded and is lost before it is signed.
func TestCrashReanchor(t *testing.T) {
	t.Parallel()
	h, _ := ready(t)
	h.carry()
	base := h.s.Next
	lost := h.transfer("savings", 2000, 1)
	f := &domaintest.Faults{}
	h.v.reopen()
	b := h.seal(h.newParts())
	v := h.v.clone(t, f)
	f.FailAt(domaintest.StoreAppend, 4, domaintest.Before, true) // the authority's entries, import, permit; then the result
	if err := give(b, h)(v); err == nil {
		t.Fatal("nothing failed")
	}
	v.crash()
	v.faults = nil
	h.v = v
	h.v.reopen()
	if p, ok := h.v.d.state.Permitted(lost); !ok || p.Result != nil {
		t.Fatalf("the fault was elsewhere: %+v", p)
	}
	h.loses(base, 2)
	h.reconciled("savings", 2)
	h.transfer("savings", 3000, 2)
	b = h.seal(h.parts(h.v.d, 0))
	h.v.sweep(t, func(v *vault) error {
		err := give(b, h)(v)
		if err == nil {
			if l := v.d.state.Lost(); len(l) != 1 || l[0].Result == nil || len(v.d.state.Permits()) != 2 {
				t.Errorf("%d lost, %d permits", len(l), len(v.d.state.Permits()))
			}
			oneSlot(t, v.d.state)
		}
		return err
	})
}

// However losses, bundles, signatures and results follow each other, no slot is signed for by two requests, nor again once its permit is lost.
func TestReanchorHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			history(t, rand.New(rand.NewPCG(seed, 7)))
		})
	}
}

func history(t *testing.T, r *rand.Rand) {
	h, _ := ready(t)
	h.carry()
	heads := []uint64{h.s.Next}
	incarnation := uint64(1)
	signed, lost := 0, 0
	nonce := func() uint64 { return h.s.NextNonce("savings", 0) }
	for range 16 {
		h.wait(time.Minute)
		switch n := r.IntN(8); {
		case n < 3:
			if h.s.Held("savings") {
				h.reconciled("savings", nonce()+uint64(r.IntN(2)))
			}
			h.transfer("savings", uint64(1+r.IntN(1000)), nonce())
		case n < 4:
			heads = append(heads, h.s.Next)
		case n < 5 && incarnation < 4:
			incarnation++
			head := heads[r.IntN(len(heads))]
			h.loses(head, incarnation)
			for i, x := range heads {
				heads[i] = min(x, head)
			}
		default:
			p := h.knows()
			if r.IntN(3) == 0 {
				h.parts(h.v.d, 0)
				h.announce(h.v.d)
				p = h.parts(h.v.d, 0)
			}
			answer, report, err := h.v.work(h.seal(p), h.ops)
			if err != nil {
				t.Fatal(err)
			}
			signed += len(report.Signed)
			if r.IntN(3) > 0 { // else the result is lost on its way
				h.take(answer, p.head)
			}
		}
		if h.v.d == nil {
			h.v.reopen()
		}
		oneSlot(t, h.v.d.state)
		lost = len(h.v.d.state.Lost())
	}
	t.Logf("%d signed, %d lost", signed, lost)
}
