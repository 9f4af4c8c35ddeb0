// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/tlog"
)

// A window proves what the whole tree proves, as far back as it reaches, and never anything else.
func TestWindowProves(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var w window
		var all [][32]byte
		var f tlog.Frontier
		grow := func(n int) {
			before := f
			var batch [][32]byte
			for range n {
				h := tlog.LeafHash(fmt.Append(nil, len(all)))
				all, batch = append(all, h), append(batch, h)
				f.Append(h)
			}
			w.add(before, batch)
		}
		for range rapid.IntRange(0, 300).Draw(t, "before") {
			h := tlog.LeafHash(fmt.Append(nil, len(all)))
			all = append(all, h)
			f.Append(h)
		}
		base := len(all)
		w.reset(f)
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			grow(rapid.IntRange(1, 40).Draw(t, "batch"))
			if len(all) > base { // what it remembers of the tree as it was does not change
				_, _ = proofOf(w.reader(), uint64(rapid.IntRange(1, len(all)).Draw(t, "asked")), f.Size(), f.Root())
			}
		}
		whole := func(nodes []tlog.Node) ([][32]byte, error) {
			out := make([][32]byte, len(nodes))
			for i, n := range nodes {
				out[i] = tlog.SubtreeRoot(all[n.Index<<n.Level : (n.Index+1)<<n.Level])
			}
			return out, nil
		}
		old := uint64(rapid.IntRange(1, len(all)).Draw(t, "old"))
		size := f.Size()
		want, err := tlog.ProveConsistency(whole, old, size)
		if err != nil {
			t.Fatal(err)
		}
		got, err := proofOf(w.reader(), old, size, f.Root())
		switch {
		case err == nil && fmt.Sprint(got) != fmt.Sprint(want):
			t.Fatalf("from %d to %d (window from %d): %x, want %x", old, size, base, got, want)
		case err != nil && (!errors.Is(err, errOutside) || old >= uint64(base) && base > 0):
			t.Fatalf("from %d to %d (window from %d): %v", old, size, base, err)
		}
		if _, err := proofOf(w.reader(), old, size, [32]byte{1}); err == nil {
			t.Fatal("a proof to another root")
		}
	})
}

// It forgets, from the oldest on, and begins anew where leaves don't follow.
func TestWindowForgets(t *testing.T) {
	t.Parallel()
	var w window
	var f tlog.Frontier
	w.reset(f)
	for range 5 * windowLeaves / 100 {
		before := f
		batch := make([][32]byte, 100)
		for i := range batch {
			batch[i] = [32]byte{byte(i)}
			f.Append(batch[i])
		}
		w.add(before, batch)
	}
	if n := len(w.leaves); n < windowLeaves || n > 2*windowLeaves {
		t.Fatalf("%d leaves", n)
	}
	if w.base.Size()+uint64(len(w.leaves)) != f.Size() {
		t.Fatal("leaves are lost")
	}
	if _, err := proofOf(w.reader(), f.Size()-windowLeaves+1, f.Size(), f.Root()); err != nil {
		t.Fatal(err)
	}
	if _, err := proofOf(w.reader(), 5, f.Size(), f.Root()); !errors.Is(err, errOutside) {
		t.Fatal(err)
	}
	f.Append([32]byte{9})
	w.add(f, [][32]byte{{1}})
	if w.base.Size() != f.Size() || len(w.leaves) != 1 {
		t.Fatal("it did not begin anew")
	}
}

// What a window remembers of one tree is not given for another, nor kept once its leaves are gone; and a proof costs far less than the window.
func TestWindowRemembers(t *testing.T) {
	t.Parallel()
	var w window
	var f tlog.Frontier
	w.reset(f)
	grow := func(n int, kind byte) {
		before := f
		batch := make([][32]byte, n)
		for i := range batch {
			batch[i] = [32]byte{kind, byte(i), byte(i >> 8)}
			f.Append(batch[i])
		}
		w.add(before, batch)
	}
	prove := func(old uint64) {
		t.Helper()
		if _, err := proofOf(w.reader(), old, f.Size(), f.Root()); err != nil {
			t.Fatal(err)
		}
	}
	grow(windowLeaves, 1)
	prove(windowLeaves - 3)
	known := len(w.nodes)
	if known == 0 || known > windowLeaves>>knownFrom*2 {
		t.Fatalf("it remembers %d nodes of %d leaves", known, windowLeaves)
	}
	grow(16, 1)
	prove(windowLeaves)
	if n := len(w.nodes); n > known+20 {
		t.Errorf("a proof a little later made it remember %d nodes more", n-known)
	}
	for range 3 { // it forgets
		grow(windowLeaves, 2)
		prove(f.Size() - 5)
		if n := len(w.nodes); n > 2*windowLeaves>>knownFrom*2 {
			t.Fatalf("it remembers %d nodes", n)
		}
	}
	f = tlog.Frontier{} // another tree
	w.reset(f)
	grow(windowLeaves, 3)
	prove(windowLeaves - 100)
}
