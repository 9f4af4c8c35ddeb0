// SPDX-License-Identifier: Apache-2.0

package offline_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
)

// caughtUp is what a log says that took back its entries from one on.
func (w *world) caughtUp(from uint64) *offline.CaughtUp {
	sb := offline.SetBack{From: from, To: w.Next, Last: w.Last}
	c := offline.Confirmation{V: 1, Authority: authorityID, Domain: w.Domain, Bundle: [32]byte{9}, Permits: []offline.Confirmed{}, Time: second, SetBack: &sb}
	return &offline.CaughtUp{SetBack: sb, Bundle: [32]byte{9}, Number: w.Import.Number + 2, Size: w.Import.Size + 10, Statement: c.Encode(),
		Signatures: []offline.Signature{{Person: "p_aaaaaaaaaaaaaaaa"}, {Person: "p_bbbbbbbbbbbbbbbb"}}}
}

// restated changes what the operators have signed.
func restated(t testing.TB, b *offline.CaughtUp, change func(*offline.Confirmation)) {
	t.Helper()
	c, err := offline.DecodeConfirmation(b.Statement)
	if err != nil {
		t.Fatal(err)
	}
	change(&c)
	b.Statement = c.Encode()
}

func TestCaughtUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported()
	w.must(w.movedIn("cold", 4, key1, key2))
	for reason, spoil := range map[string]func(*offline.CaughtUp){
		"last entry that was given back": func(b *offline.CaughtUp) { b.SetBack.To-- },
		"stand behind the last entry":    func(b *offline.CaughtUp) { b.SetBack.Last[0] ^= 1 },
		"nothing was given back":         func(b *offline.CaughtUp) { b.SetBack.From = b.SetBack.To },
		"entries 0 to":                   func(b *offline.CaughtUp) { b.SetBack.From = 0 },
		"confirmed something else":       func(b *offline.CaughtUp) { b.SetBack.From = 2 },
		"something else": func(b *offline.CaughtUp) {
			restated(t, b, func(c *offline.Confirmation) { c.SetBack = nil; c.Permits = []offline.Confirmed{{Entry: 1}} })
		},
		"another bundle":              func(b *offline.CaughtUp) { b.Bundle[0] ^= 1 },
		"or another domain's":         func(b *offline.CaughtUp) { restated(t, b, func(c *offline.Confirmation) { c.Domain[0] ^= 1 }) },
		"after the entry was written": func(b *offline.CaughtUp) { restated(t, b, func(c *offline.Confirmation) { c.Time = 1 << 60 }) },
		"1 operators confirmed":       func(b *offline.CaughtUp) { b.Signatures = b.Signatures[:1] },
		"2 operators confirmed":       func(b *offline.CaughtUp) { b.Signatures[1] = b.Signatures[0] },
		"bundle 3 of":                 func(b *offline.CaughtUp) { b.Number = 3 },
		"of 49 entries":               func(b *offline.CaughtUp) { b.Size = 49 },
		"the import key stays":        func(b *offline.CaughtUp) { k := importKey(key2); b.Next = &k },
		"import key of 0 bytes":       func(b *offline.CaughtUp) { b.Next = &offline.ImportKey{ID: key1} },
		"does not belong here":        func(b *offline.CaughtUp) { b.Missing = []offline.Missing{{Wallet: "other", Key: seed}} },
		"said to be missing": func(b *offline.CaughtUp) {
			b.Missing = []offline.Missing{{Wallet: "cold", Key: seed, Blob: [32]byte{1}}}
		},
		"out of order": func(b *offline.CaughtUp) {
			b.Missing = slices.Repeat([]offline.Missing{{Wallet: "cold", Key: seed, Blob: [32]byte{8}}}, 2)
		},
		"or found": func(b *offline.CaughtUp) { b.Found = []offline.Missing{{Wallet: "cold", Key: seed, Blob: [32]byte{8}}} }, // the one that is named
		"missing, or found": func(b *offline.CaughtUp) {
			b.Found = slices.Repeat([]offline.Missing{{Wallet: "cold", Key: seed, Blob: [32]byte{1}}}, 2)
		},
		"wallet \"other\" is": func(b *offline.CaughtUp) { b.Found = []offline.Missing{{Wallet: "other", Key: seed}} },
		"confirmation":        func(b *offline.CaughtUp) { b.Statement = nil },
	} {
		b := w.caughtUp(1)
		spoil(b)
		w.refused(b, reason)
		if w.Gap() != nil || w.IsMissing("cold") || w.Key.ID != key2 {
			t.Fatalf("%s: what is refused changes the state", reason)
		}
	}
	slot := entry.Slot{Account: "0xa", Nonce: 7}
	closed := &offline.Closed{Slots: []offline.ClosedSlot{{Entry: 55, Request: custody.RequestID{5}, Attempt: 2, Slot: slot}}}
	w.refused(closed, "at no other time")
	w.must(&offline.Refusal{Kind: "conflict", Detail: "set back"})
	if w.Behind() == nil {
		t.Error("what the refusal of a bundle says is forgotten")
	}
	b := w.caughtUp(1)
	b.Missing = []offline.Missing{{Wallet: "cold", Key: seed, Blob: [32]byte{8}}}
	k := importKey("33333333333333333333333333333333")
	b.Next = &k
	w.must(b)
	if !w.IsMissing("cold") || w.IsMissing("other") || w.Key.ID != k.ID || w.Gap() == nil || w.Behind() != nil {
		t.Errorf("%+v", w.Gap())
	}
	for reason, x := range map[string]offline.ClosedSlot{
		"has no attempt": {Entry: 1, Slot: slot}, "came later": {Entry: 60, Attempt: 1, Slot: slot}, "a slot is": {Entry: 1, Attempt: 1},
	} {
		w.refused(&offline.Closed{Slots: []offline.ClosedSlot{x}}, reason)
	}
	w.refused(&offline.Closed{}, "0 slots")
	w.refused(&offline.Closed{Slots: slices.Repeat(closed.Slots, 2)}, "out of order")
	w.must(closed)
	w.must(&offline.Closed{Slots: []offline.ClosedSlot{{Entry: 56, Request: custody.RequestID{6}, Attempt: 1, Slot: entry.Slot{Inputs: []entry.Input{{Index: 1}, {Index: 2}}}}}})
	if len(w.Maybe()) != 2 {
		t.Errorf("%+v", w.Maybe())
	}
	for name, x := range map[string]struct {
		id      byte
		attempt uint32
		slot    entry.Slot
		ok      bool
	}{
		"its own":           {5, 2, slot, true},
		"a later one":       {5, 3, slot, true},
		"an earlier one":    {5, 1, slot, false},
		"another request":   {7, 2, slot, false},
		"one of its inputs": {7, 1, entry.Slot{Inputs: []entry.Input{{Index: 2}}}, false},
		"another slot":      {7, 1, entry.Slot{Account: "0xa", Nonce: 8}, true},
	} {
		if err := w.CheckSlot(custody.RequestID{x.id}, x.attempt, x.slot); (err == nil) != x.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.must(&offline.Import{Number: 6, Size: 61, Root: [32]byte{5}, Leaf: [32]byte{6}, Time: 1, Bundle: [32]byte{7}})
	w.refused(closed, "at no other time")
	w.must(w.permit(55, 2, custody.RequestID{5}, slot)) // it is signed after all
	if len(w.Maybe()) != 1 {
		t.Errorf("%+v", w.Maybe())
	}
	w.must(w.again(2, 54, 70)) // the other one is lost, and nothing replaces it
	if err := w.CheckSlot(custody.RequestID{6}, 2, entry.Slot{Inputs: []entry.Input{{Index: 1}}}); err == nil || len(w.Maybe()) > 0 {
		t.Errorf("%v, %+v", err, w.Maybe())
	}
}

// A seed that is found is named by its other blob from then on, and is not missing.
func TestCaughtUpFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported()
	w.must(w.movedIn("cold", 4, key1, key2))
	b := w.caughtUp(1)
	b.Found = []offline.Missing{{Wallet: "cold", Key: seed, Blob: [32]byte{1}}}
	w.must(b)
	if h, _ := w.Holds("cold"); h.Blob != [32]byte{1} || h.Key != seed || w.IsMissing("cold") {
		t.Errorf("%+v", h)
	}
}

// A zeroized domain catches up too, and stays zeroized.
func TestCaughtUpZeroized(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported()
	w.must(&offline.Zeroized{Cause: "test"})
	w.must(w.caughtUp(1))
	w.must(&offline.Closed{Slots: []offline.ClosedSlot{{Entry: 1, Attempt: 1, Slot: entry.Slot{Account: "0xa"}}}})
	if !w.Zeroized {
		t.Error("it is not zeroized any more")
	}
}

// What stands for a body is taken for the kinds that may be left out, and for no others.
func TestTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported()
	w.must(w.movedIn("cold", 4, key1, key2))
	w.must(&offline.Recovery{Public: [32]byte{1}})
	apply := func(real any, told *offline.Told) error {
		l, hash, _ := w.next(real, nil)
		return w.Apply(l, hash, told)
	}
	full := w.permit(10, 1, custody.RequestID{1}, entry.Slot{Account: "0xa", Nonce: 1})
	short := *full
	short.Statement, short.Signatures = nil, nil
	for name, x := range map[string]struct {
		real any
		told *offline.Told
	}{
		"another kind":     {full, &offline.Told{Kind: offline.KindRecovery}},
		"an import":        {&offline.Import{Number: 9, Size: 99}, &offline.Told{Kind: offline.KindImport}},
		"without a permit": {full, &offline.Told{Kind: offline.KindPermit}},
		"without a slot":   {full, &offline.Told{Kind: offline.KindPermit, Permit: &offline.Permit{Entry: 10, Attempt: 1}}},
		"no attempt":       {full, &offline.Told{Kind: offline.KindPermit, Permit: &offline.Permit{Entry: 10, Slot: short.Slot}}},
	} {
		if err := apply(x.real, x.told); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := apply(full, &offline.Told{Kind: offline.KindPermit, Permit: &short}); err != nil {
		t.Fatal(err)
	}
	if err := apply(full, &offline.Told{Kind: offline.KindPermit, Permit: &short}); err == nil {
		t.Error("twice")
	}
	if w.CheckSlot(custody.RequestID{2}, 1, short.Slot) == nil {
		t.Error("its slot is free")
	}
	w.must(&offline.Result{Entry: 10, Signatures: [][]byte{{1}}, TxID: "x"})
	if err := apply(&offline.Recovery{}, &offline.Told{Kind: offline.KindRecovery}); err != nil || w.Recovery != nil {
		t.Errorf("%v, %+v", err, w.Recovery)
	}
	w.must(w.caughtUp(1))
	if err := apply(&offline.Closed{}, &offline.Told{Kind: offline.KindClosed}); err != nil {
		t.Error(err)
	}
	if _, err := offline.DecodeBody(offline.KindPermit, 1, canon.Encode(offline.Told{Kind: offline.KindPermit, Permit: &short})); err == nil {
		t.Error("what stands for a body is read as one")
	}
}

// A confirmation is of permits, or of a domain that was set back, never both; one can't be taken for the other.
func TestConfirmationOfSetBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported()
	w.must(w.movedIn("cold", 4, key1, key2))
	p := w.permit(10, 1, custody.RequestID{1}, entry.Slot{Account: "0xa", Nonce: 1})
	c, err := offline.DecodeConfirmation(p.Statement)
	if err != nil {
		t.Fatal(err)
	}
	c.SetBack = &offline.SetBack{From: 1, To: 2}
	if _, err := offline.DecodeConfirmation(c.Encode()); err == nil {
		t.Error("of both")
	}
	c.Permits = []offline.Confirmed{}
	p.Statement = c.Encode()
	w.refused(p, "did not confirm this permit")
	plain := c
	plain.SetBack = nil
	if string(plain.Message()) == string(c.Message()) {
		t.Error("what operators sign leaves out that it was set back")
	}
	if _, err := offline.DecodeConfirmation(plain.Encode()); err == nil {
		t.Error("of nothing")
	}
}

// Whatever is closed, signed, lost and imported after a domain caught up: no slot that may be used is anybody else's.
func TestClosedSlotsStayClosed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t)
		w.imported()
		w.must(w.movedIn("cold", 4, key1, key2))
		w.must(w.caughtUp(1))
		owner, lost := map[uint64]byte{}, map[uint64]bool{}
		var slots []offline.ClosedSlot
		for i := range rapid.IntRange(1, 4).Draw(r, "slots") {
			n := uint64(i)
			owner[n] = byte(i + 1)
			slots = append(slots, offline.ClosedSlot{Entry: 51 + n, Request: custody.RequestID{byte(i + 1)}, Attempt: 1, Slot: entry.Slot{Account: "0xa", Nonce: n}})
		}
		w.must(&offline.Closed{Slots: slots})
		w.must(&offline.Import{Number: 6, Size: 80, Root: [32]byte{5}, Leaf: [32]byte{6}, Time: 1, Bundle: [32]byte{7}})
		at, incarnation := uint64(60), uint64(1)
		for range rapid.IntRange(1, 12).Draw(r, "steps") {
			if rapid.IntRange(0, 4).Draw(r, "lose") == 0 {
				incarnation++
				from := rapid.Uint64Range(50, w.Import.Size-1).Draw(r, "from")
				for _, x := range w.Maybe() {
					if x.Entry >= from {
						lost[x.Slot.Nonce] = true
					}
				}
				for _, p := range w.Permits() {
					if p.Entry >= from {
						lost[p.Slot.Nonce] = true
					}
				}
				w.must(w.again(incarnation, from, max(from+1, 80)))
				continue
			}
			n, who, attempt := uint64(rapid.IntRange(0, 4).Draw(r, "nonce")), byte(rapid.IntRange(1, 6).Draw(r, "who")), uint32(rapid.IntRange(1, 3).Draw(r, "attempt"))
			at++
			if at >= w.Import.Size {
				return
			}
			err := w.try(w.permit(at, attempt, custody.RequestID{who}, entry.Slot{Account: "0xa", Nonce: n}), nil)
			switch mine, taken := owner[n]; {
			case err == nil && lost[n]:
				r.Fatalf("nonce %d is of a permit that is lost, and was taken again", n)
			case err == nil && taken && mine != who:
				r.Fatalf("nonce %d is request %d's; request %d took it", n, mine, who)
			case err == nil:
				owner[n] = who
			}
		}
	})
}
