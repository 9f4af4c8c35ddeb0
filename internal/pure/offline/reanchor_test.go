// SPDX-License-Identifier: Apache-2.0

package offline_test

import (
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
)

// again is an import after the authority's log was re-anchored in an entry.
func (w *world) again(incarnation, at, size uint64) *offline.Import {
	return &offline.Import{Number: 1, Size: size, Root: [32]byte{byte(incarnation)}, Leaf: [32]byte{byte(incarnation)}, Time: 1, Bundle: [32]byte{byte(incarnation)},
		Again: &offline.Reanchored{Kept: min(at, w.Import.Size), Entries: []offline.Anchored{{Incarnation: incarnation, Entry: at, Leaf: [32]byte{byte(incarnation)}}}}}
}

// A re-anchored log may be shorter and have numbers of its own; its incarnation rises, and what it says to have kept follows from where it goes on.
func TestReanchor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported() // 50 entries
	w.must(w.movedIn("cold", 4, key1, key2))
	slot := entry.Slot{Account: "0xa", Nonce: 1}
	w.must(w.permit(10, 1, custody.RequestID{1}, entry.Slot{Account: "0xa"}))
	w.must(w.permit(40, 1, custody.RequestID{2}, slot))
	w.must(&offline.Result{Entry: 40, Signatures: [][]byte{{1}}, TxID: "x"})
	for reason, spoil := range map[string]func(*offline.Import){
		"came after incarnation 1":   func(i *offline.Import) { i.Again.Entries[0].Incarnation = 1 },
		"still has":                  func(i *offline.Import) { i.Again.Kept-- },
		"re-anchored in entry 0":     func(i *offline.Import) { i.Again.Entries[0].Entry, i.Again.Kept = 0, 0 },
		"0 entries re-anchor":        func(i *offline.Import) { i.Again.Entries = nil },
		"beyond its end":             func(i *offline.Import) { i.Size = 30 },
		"bundle 0 came after":        func(i *offline.Import) { i.Number = 0 },
		"clock was behind":           func(i *offline.Import) { i.Time = 1 << 40 },
		"out of order":               func(i *offline.Import) { i.Again.Entries = append(i.Again.Entries, i.Again.Entries[0]) },
		"101 entries re-anchor":      func(i *offline.Import) { i.Again.Entries = make([]offline.Anchored, 101) },
		"bundle 1 came after bundle": func(i *offline.Import) { i.Again = nil },
	} {
		x := w.again(2, 30, 35)
		spoil(x)
		w.refused(x, reason)
	}
	x := w.again(2, 30, 35)
	w.must(x)
	if _, live := w.Permitted(40); live || len(w.Lost()) != 1 || w.Lost()[0].Result == nil || w.Incarnation() != 2 || w.Import.Size != 35 || w.Import.Again != nil {
		t.Errorf("%+v, %+v", w.Lost(), w.Import)
	}
	if _, kept := w.Permitted(10); !kept {
		t.Error("a permit that is not lost is gone")
	}
	if _, ok := w.Imported(50); ok {
		t.Error("an import that is lost counts")
	}
	if a, ok := w.Anchored(2); !ok || a.Entry != 30 {
		t.Errorf("%+v", a)
	}
	w.refused(w.permit(32, 1, custody.RequestID{3}, slot), "nothing replaces it")
	w.refused(w.permit(32, 2, custody.RequestID{2}, slot), "nothing replaces it")
	w.must(w.permit(32, 2, custody.RequestID{1}, entry.Slot{Account: "0xa"})) // of one that is not lost
	w.refused(w.again(2, 31, 40), "came after incarnation 2")
}

// A result names its permit, where it does, and no other.
func TestResultNamesPermit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported()
	w.must(w.movedIn("cold", 4, key1, key2))
	p := w.permit(10, 1, custody.RequestID{1}, entry.Slot{Account: "0xa"})
	p.Leaf = [32]byte{9}
	w.must(p)
	r := &offline.Result{Entry: 10, Signatures: [][]byte{{1}}, TxID: "x", Leaf: make([]byte, 32)}
	w.refused(r, "is another one")
	r.Leaf = p.Leaf[:]
	w.must(r)
}

// A seed that came by a lost entry may come once more, by another one; the blob before is given up.
func TestSeedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.imported()
	key3 := custody.KeyID("33333333333333333333333333333333")
	w.must(w.movedIn("cold", 40, key1, key2))
	w.refused(w.movedIn("cold", 41, key2, key3), "is here already")
	w.must(w.again(2, 30, 45))
	w.refused(w.movedIn("cold", 41, key2, key3), "is here already") // the same blob
	in := w.movedIn("cold", 40, key2, key3)
	in.Blob = [32]byte{77}
	w.must(in)
	if h, _ := w.Holds("cold"); h.Blob != in.Blob || h.Lost || len(w.Doomed()) != 3 {
		t.Errorf("%+v, %d doomed", h, len(w.Doomed()))
	}
	in.Blob, in.Entry, in.Used, in.Next = [32]byte{78}, 42, key3, importKey(key1)
	w.refused(in, "is here already")
}

// Whatever order losses, imports, permits and results come in: a slot is one request's, in rising attempts, and nobody's any more once a permit for it
// is lost.
func TestSlotsAcrossLosses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		w.imported()
		w.must(w.movedIn("cold", 0, key1, key2))
		type use struct {
			request custody.RequestID
			attempt uint32
		}
		nonces := map[uint64]uint64{} // by entry of a permit that is not lost
		used, lost := map[uint64]use{}, map[uint64]bool{}
		incarnation, next := uint64(1), uint64(50)
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 5).Draw(rt, "step") {
			case 0:
				size := w.Import.Size + rapid.Uint64Range(1, 9).Draw(rt, "more")
				w.must(&offline.Import{Number: w.Import.Number + 1, Size: size, Time: 1, Leaf: [32]byte{byte(next)}, Bundle: [32]byte{byte(next)}})
				next++
			case 1:
				incarnation++
				at := rapid.Uint64Range(1, w.Import.Size+2).Draw(rt, "re-anchored in")
				x := w.again(incarnation, at, at+rapid.Uint64Range(1, 9).Draw(rt, "entries"))
				if x.Again.Kept == w.Import.Size {
					x.Number = w.Import.Number + 1
				}
				w.must(x)
				for e, n := range nonces {
					if e >= x.Again.Kept {
						lost[n] = true
						delete(nonces, e)
					}
				}
			default:
				e := rapid.Uint64Range(0, w.Import.Size-1).Draw(rt, "entry")
				r := custody.RequestID{byte(rapid.IntRange(1, 3).Draw(rt, "request"))}
				attempt, n := uint32(rapid.IntRange(1, 3).Draw(rt, "attempt")), rapid.Uint64Range(0, 3).Draw(rt, "nonce")
				was, taken := used[n]
				_, recorded := w.Permitted(e)
				want := !recorded && (!taken || !lost[n] && was.request == r && was.attempt < attempt)
				if err := w.try(w.permit(e, attempt, r, entry.Slot{Account: "0xa", Nonce: n}), nil); (err == nil) != want {
					rt.Fatalf("permit %d for nonce %d: %v; want it taken: %v", e, n, err, want)
				} else if err == nil {
					used[n], nonces[e] = use{r, attempt}, n
					if rapid.Bool().Draw(rt, "signed") {
						w.must(&offline.Result{Entry: e, Signatures: [][]byte{{1}}, TxID: "x"})
					}
				}
			}
		}
	})
}
