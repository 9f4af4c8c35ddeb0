// SPDX-License-Identifier: Apache-2.0

package wallettest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/wallet"
)

const (
	onChain = custody.BitcoinRegtest
	another = custody.BitcoinSignet
)

// Run checks that stores do what [wallet.Store] says. open gives an empty store each time; reopen closes a store and opens it
// again with what it kept, as after a restart, or is nil for stores that keep nothing.
func Run(t *testing.T, open func(testing.TB) wallet.Store, reopen func(testing.TB, wallet.Store) wallet.Store) {
	if reopen == nil {
		reopen = func(_ testing.TB, s wallet.Store) wallet.Store { return s }
	}
	for name, test := range map[string]func(*testing.T, wallet.Store, func(testing.TB, wallet.Store) wallet.Store){
		"empty": empty, "made and spent": madeAndSpent, "turned": turned, "applied again": again, "kept blocks": keptBlocks,
		"hole": hole, "chains apart": chainsApart, "watched": watched, "whole coins": wholeCoins, "own slices": ownSlices,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t), reopen) })
	}
	t.Run("like the model", func(t *testing.T) {
		rapid.Check(t, func(r *rapid.T) { likeModel(t, r, open(t), reopen) })
	})
}

// block names a block; branches of one height differ.
func block(height uint64, branch byte) chain.Block {
	return chain.Block{Height: height, Hash: chain.BlockHash(fmt.Sprintf("%062x%02x", height, branch))}
}

// coin makes a coin that n names.
func coin(w custody.WalletID, n uint32, height uint64) wallet.Coin {
	c := wallet.Coin{
		Wallet: w, Height: height, Output: btc.TxOut{Value: btc.Sat(1000 + n), Script: btc.Script{0, 20, byte(n)}},
		Key: entry.KeyPath{Branch: n % 2, Index: n},
	}
	binary.BigEndian.PutUint32(c.OutPoint.TxID[:], n/3)
	c.OutPoint.Index = n % 3
	return c
}

func apply(t testing.TB, s wallet.Store, c custody.ChainID, x wallet.Scanned) {
	t.Helper()
	if err := s.Apply(t.Context(), c, x); err != nil {
		t.Fatalf("apply %+v: %v", x.Block, err)
	}
}

func wantCoins(t testing.TB, s wallet.Store, w custody.WalletID, want ...wallet.Coin) {
	t.Helper()
	got, err := s.Coins(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("coins of %s: got %+v, want %+v", w, got, want)
	}
}

func wantBlocks(t testing.TB, s wallet.Store, c custody.ChainID, want ...chain.Block) {
	t.Helper()
	got, err := s.Blocks(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
		t.Errorf("blocks of %s: got %v, want %v", c, got, want)
	}
}

func empty(t *testing.T, s wallet.Store, _ func(testing.TB, wallet.Store) wallet.Store) {
	wantBlocks(t, s, onChain)
	wantCoins(t, s, "a")
	if known, err := s.Watched(t.Context(), "a"); err != nil || known {
		t.Errorf("got %v, %v", known, err)
	}
}

func madeAndSpent(t *testing.T, s wallet.Store, reopen func(testing.TB, wallet.Store) wallet.Store) {
	a, b, both := coin("a", 1, 10), coin("b", 2, 10), coin("a", 3, 11)
	apply(t, s, onChain, wallet.Scanned{Block: block(10, 0), Made: []wallet.Coin{b, a}})
	wantCoins(t, s, "a", a)
	apply(t, s, onChain, wallet.Scanned{
		Block: block(11, 0), Made: []wallet.Coin{both},
		Spent: []wallet.Spend{{Coin: a.OutPoint, By: btc.TxID{9}}, {Coin: both.OutPoint, By: btc.TxID{9}}, {Coin: btc.OutPoint{Index: 77}}},
	})
	s = reopen(t, s)
	wantCoins(t, s, "a")
	wantCoins(t, s, "b", b)
	wantBlocks(t, s, onChain, block(10, 0), block(11, 0))
}

func turned(t *testing.T, s wallet.Store, reopen func(testing.TB, wallet.Store) wallet.Store) {
	old, lost, moved := coin("a", 1, 10), coin("a", 2, 11), coin("a", 3, 11)
	apply(t, s, onChain, wallet.Scanned{Block: block(10, 0), Made: []wallet.Coin{old}})
	apply(t, s, onChain, wallet.Scanned{Block: block(11, 0), Made: []wallet.Coin{lost, moved}})
	apply(t, s, onChain, wallet.Scanned{Block: block(12, 0), Spent: []wallet.Spend{{Coin: old.OutPoint}, {Coin: lost.OutPoint}}})
	wantCoins(t, s, "a", moved)
	apply(t, s, onChain, wallet.Scanned{Block: block(11, 1)})
	wantCoins(t, s, "a", old)
	wantBlocks(t, s, onChain, block(10, 0), block(11, 1))
	moved.Height = 12
	apply(t, s, onChain, wallet.Scanned{Block: block(12, 1), Made: []wallet.Coin{moved}})
	s = reopen(t, s)
	wantCoins(t, s, "a", old, moved)
	apply(t, s, onChain, wallet.Scanned{Block: block(10, 1)})
	wantCoins(t, s, "a")
	wantBlocks(t, s, onChain, block(10, 1))
}

func again(t *testing.T, s wallet.Store, _ func(testing.TB, wallet.Store) wallet.Store) {
	made := coin("a", 1, 10)
	first := wallet.Scanned{Block: block(10, 0), Made: []wallet.Coin{made}}
	second := wallet.Scanned{Block: block(11, 0), Spent: []wallet.Spend{{Coin: made.OutPoint}}}
	for range 2 {
		apply(t, s, onChain, first)
		wantCoins(t, s, "a", made)
		apply(t, s, onChain, second)
		apply(t, s, onChain, second)
		wantCoins(t, s, "a")
	}
	wantBlocks(t, s, onChain, block(10, 0), block(11, 0))
}

func keptBlocks(t *testing.T, s wallet.Store, reopen func(testing.TB, wallet.Store) wallet.Store) {
	const more = 5
	made := coin("a", 1, 1)
	apply(t, s, onChain, wallet.Scanned{Block: block(1, 0), Made: []wallet.Coin{made}})
	var want []chain.Block
	for h := uint64(2); h <= wallet.KeepBlocks+more; h++ {
		apply(t, s, onChain, wallet.Scanned{Block: block(h, 0)})
		if h > more {
			want = append(want, block(h, 0))
		}
	}
	s = reopen(t, s)
	wantBlocks(t, s, onChain, want...)
	wantCoins(t, s, "a", made)
}

func hole(t *testing.T, s wallet.Store, _ func(testing.TB, wallet.Store) wallet.Store) {
	low := coin("a", 1, 10)
	apply(t, s, onChain, wallet.Scanned{Block: block(10, 0), Made: []wallet.Coin{low}})
	apply(t, s, onChain, wallet.Scanned{Block: block(20, 0)})
	wantBlocks(t, s, onChain, block(20, 0))
	wantCoins(t, s, "a", low)
	apply(t, s, onChain, wallet.Scanned{Block: block(5, 0)})
	wantBlocks(t, s, onChain, block(5, 0))
	wantCoins(t, s, "a")
}

func chainsApart(t *testing.T, s wallet.Store, _ func(testing.TB, wallet.Store) wallet.Store) {
	here, there := coin("a", 1, 10), coin("b", 1, 10)
	apply(t, s, onChain, wallet.Scanned{Block: block(10, 0), Made: []wallet.Coin{here}})
	apply(t, s, another, wallet.Scanned{Block: block(10, 7), Made: []wallet.Coin{there}})
	apply(t, s, another, wallet.Scanned{Block: block(11, 7), Spent: []wallet.Spend{{Coin: there.OutPoint}}})
	wantCoins(t, s, "a", here)
	wantCoins(t, s, "b")
	apply(t, s, another, wallet.Scanned{Block: block(1, 7)})
	wantCoins(t, s, "a", here)
	wantBlocks(t, s, onChain, block(10, 0))
	wantBlocks(t, s, another, block(1, 7))
}

func watched(t *testing.T, s wallet.Store, reopen func(testing.TB, wallet.Store) wallet.Store) {
	apply(t, s, onChain, wallet.Scanned{Block: block(10, 0), Watched: []custody.WalletID{"a", "b"}})
	apply(t, s, onChain, wallet.Scanned{Block: block(10, 1), Watched: []custody.WalletID{"b"}})
	s = reopen(t, s)
	for w, want := range map[custody.WalletID]bool{"a": true, "b": true, "c": false} {
		if got, err := s.Watched(t.Context(), w); err != nil || got != want {
			t.Errorf("%s: got %v (%v), want %v", w, got, err, want)
		}
	}
}

func wholeCoins(t *testing.T, s wallet.Store, reopen func(testing.TB, wallet.Store) wallet.Store) {
	c := coin("a", 1, 10)
	c.Coinbase, c.PrevTx, c.Output.Value = true, []byte{1, 2, 3}, btc.MaxSat
	c.OutPoint.Index, c.Key.Index = 1<<32-1, 1<<31-1
	apply(t, s, onChain, wallet.Scanned{Block: block(10, 0), Made: []wallet.Coin{c}})
	wantCoins(t, reopen(t, s), "a", c)
}

// ownSlices: what a caller does to its slices later is nothing to the store.
func ownSlices(t *testing.T, s wallet.Store, _ func(testing.TB, wallet.Store) wallet.Store) {
	apply(t, s, onChain, wallet.Scanned{Block: block(10, 0)})
	got, err := s.Blocks(t.Context(), onChain)
	if err != nil {
		t.Fatal(err)
	}
	got[0].Height = 99
	wantBlocks(t, s, onChain, block(10, 0))
}

// likeModel does random things to a store and to [Memory] and compares.
func likeModel(t testing.TB, r *rapid.T, s wallet.Store, reopen func(testing.TB, wallet.Store) wallet.Store) {
	model := NewMemory()
	next := uint64(3)
	for step := range rapid.IntRange(1, 25).Draw(r, "steps") {
		height := next
		if rapid.IntRange(0, 4).Draw(r, "turn") == 0 {
			height = rapid.Uint64Range(1, next+2).Draw(r, "height")
		}
		next = height + 1
		x := wallet.Scanned{Block: block(height, byte(step))}
		for _, n := range rapid.SliceOfNDistinct(rapid.Uint32Range(0, 8), 0, 4, rapid.ID).Draw(r, "made") {
			x.Made = append(x.Made, coin(custody.WalletID([]string{"a", "b"}[n%2]), uint32(step)*9+n, height))
		}
		for _, n := range rapid.SliceOfN(rapid.Uint32Range(0, uint32(step)*9+8), 0, 6).Draw(r, "spent") {
			x.Spent = append(x.Spent, wallet.Spend{Coin: coin("a", n, 0).OutPoint, By: btc.TxID{byte(step)}})
		}
		if err := errors.Join(s.Apply(t.Context(), onChain, x), model.Apply(t.Context(), onChain, x)); err != nil {
			r.Fatal(err)
		}
		if rapid.IntRange(0, 9).Draw(r, "reopen") == 0 {
			s = reopen(t, s)
		}
		for _, w := range []custody.WalletID{"a", "b"} {
			got, err1 := s.Coins(t.Context(), w)
			want, err2 := model.Coins(t.Context(), w)
			if err := errors.Join(err1, err2); err != nil || (len(got)+len(want) > 0 && !reflect.DeepEqual(got, want)) {
				r.Fatalf("step %d, wallet %s: got %+v, want %+v (%v)", step, w, got, want, err)
			}
		}
		got, err1 := s.Blocks(t.Context(), onChain)
		want, err2 := model.Blocks(t.Context(), onChain)
		if err := errors.Join(err1, err2); err != nil || !reflect.DeepEqual(got, want) {
			r.Fatalf("step %d: got blocks %v, want %v (%v)", step, got, want, err)
		}
	}
}
