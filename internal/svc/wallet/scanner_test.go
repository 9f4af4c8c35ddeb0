// SPDX-License-Identifier: Apache-2.0

package wallet_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/payload/payloadtest"
	"strongroom/internal/svc/wallet"
	"strongroom/internal/svc/wallet/wallettest"
)

// bench is a scanner over a chain and a store that the test holds.
type bench struct {
	blocks  *wallettest.Blocks
	store   wallet.Store
	scanner *wallet.Scanner
	core    *payloadtest.Core
	w       entry.Wallet
	txs     int
}

func newBench(t testing.TB, scheme request.Scheme) *bench {
	t.Helper()
	return newBenchWith(t, scheme, payloadtest.Cached())
}

func newBenchWith(t testing.TB, scheme request.Scheme, derive authority.Deriver) *bench {
	t.Helper()
	b := &bench{blocks: wallettest.NewBlocks(), store: wallettest.NewMemory(), core: payloadtest.NewWith(t, derive)}
	b.w = b.core.AddWallet(t, "treasury", custody.BitcoinRegtest, scheme)
	b.open(t)
	return b
}

// open makes a new scanner over the same store, as after a restart.
func (b *bench) open(t testing.TB) {
	t.Helper()
	var err error
	b.scanner, err = wallet.New(wallet.Config{
		Chain: custody.BitcoinRegtest, Source: b.blocks, Store: b.store, Start: 1, Gap: wallet.DefaultGap, Derive: b.core.Derive,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.watch(t, b.w, [2]uint32{1, 0}, 1)
}

func (b *bench) watch(t testing.TB, w entry.Wallet, next [2]uint32, born uint64) {
	t.Helper()
	if err := b.scanner.Watch(t.Context(), w, next, born); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) sync(t testing.TB) wallet.Progress {
	t.Helper()
	p, err := b.scanner.Sync(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !p.Done() {
		t.Fatalf("not done: %+v", p)
	}
	return p
}

// pay makes a transaction that pays an address of a wallet.
func (b *bench) pay(t testing.TB, w entry.Wallet, branch, index uint32, value btc.Sat, spend ...btc.OutPoint) chain.BitcoinTx {
	t.Helper()
	d, err := b.core.Derive(w, entry.KeyPath{Branch: branch, Index: index})
	if err != nil {
		t.Fatal(err)
	}
	b.txs++
	return wallettest.Pay(b.txs, []btc.TxOut{{Value: value, Script: d.Script}}, spend...)
}

func (b *bench) values(t testing.TB, w custody.WalletID) []btc.Sat {
	t.Helper()
	coins, err := b.store.Coins(t.Context(), w)
	if err != nil {
		t.Fatal(err)
	}
	var out []btc.Sat
	for _, c := range coins {
		out = append(out, c.Output.Value)
	}
	return out
}

func (b *bench) wantValues(t testing.TB, want ...btc.Sat) {
	t.Helper()
	got := b.values(t, b.w.ID)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Fatalf("got coins of %v, want %v", got, want)
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	for _, scheme := range []request.Scheme{request.SchemeP2WPKH, request.SchemeP2TR} {
		t.Run(string(scheme), func(t *testing.T) {
			t.Parallel()
			b := newBench(t, scheme)
			first := b.pay(t, b.w, 0, 0, 1000)
			b.blocks.Add(first)
			b.blocks.Add(b.pay(t, b.w, 1, 19, 2000)) // last change address in the gap
			b.blocks.Add(b.pay(t, b.w, 1, 45, 9999)) // beyond it
			b.sync(t)
			b.wantValues(t, 1000, 2000)
			coins, err := b.store.Coins(t.Context(), b.w.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got := coins[1]; got.Key != (entry.KeyPath{Branch: 1, Index: 19}) || got.Height != 2 || (got.PrevTx != nil) != (scheme == request.SchemeP2WPKH) {
				t.Errorf("got %+v", got)
			}
			// Paid addresses move the gap, also within one block.
			b.blocks.Add(b.pay(t, b.w, 1, 58, 4000), b.pay(t, b.w, 1, 39, 3000), b.pay(t, b.w, 0, 0, 5, btc.OutPoint{TxID: first.ID}))
			b.sync(t)
			got := map[btc.Sat]bool{}
			for _, v := range b.values(t, b.w.ID) {
				got[v] = true
			}
			if len(got) != 4 || !got[2000] || !got[4000] || !got[3000] || !got[5] {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestScanFollowsTurns(t *testing.T) {
	t.Parallel()
	b := newBench(t, request.SchemeP2TR)
	kept := b.pay(t, b.w, 0, 0, 1000)
	b.blocks.Add(kept)
	moved, lost := b.pay(t, b.w, 0, 1, 2000), b.pay(t, b.w, 0, 2, 3000)
	b.blocks.Add(moved, lost)
	b.blocks.Add(b.pay(t, b.w, 1, 0, 900, btc.OutPoint{TxID: kept.ID}))
	b.sync(t)
	b.wantValues(t, 2000, 3000, 900)
	b.blocks.Drop(2)
	b.sync(t) // shorter than before: what was above is taken back at once
	b.wantValues(t, 1000)
	b.blocks.Add()
	b.blocks.Add(moved)
	b.blocks.Add()
	p := b.sync(t)
	b.wantValues(t, 1000, 2000)
	if p.Scanned.Height != 4 {
		t.Errorf("got %+v", p)
	}
	b.blocks.Drop(4)
	b.blocks.Add()
	b.sync(t)
	b.wantValues(t)
}

func TestScanStopsAtDeepTurn(t *testing.T) {
	t.Parallel()
	b := newBench(t, request.SchemeP2TR)
	for range wallet.KeepBlocks + 3 {
		b.blocks.Add()
	}
	b.sync(t)
	b.blocks.Drop(wallet.KeepBlocks + 1)
	for range wallet.KeepBlocks + 5 {
		b.blocks.Add(b.pay(t, b.w, 0, 0, 1000))
	}
	if _, err := b.scanner.Sync(t.Context()); !errors.Is(err, wallet.ErrDeepReorg) {
		t.Fatalf("got %v, want ErrDeepReorg", err)
	}
	// That a new wallet or many new addresses send the scan back is no leave to go on.
	late := b.core.AddWallet(t, "late", custody.BitcoinRegtest, request.SchemeP2TR)
	b.watch(t, late, [2]uint32{1, 0}, 2)
	b.watch(t, b.w, [2]uint32{50, 0}, 1)
	if _, err := b.scanner.Sync(t.Context()); !errors.Is(err, wallet.ErrDeepReorg) {
		t.Fatalf("got %v, want ErrDeepReorg", err)
	}
	b.wantValues(t)
	b.scanner.Rescan(1)
	b.sync(t)
	if got := len(b.values(t, b.w.ID)); got != wallet.KeepBlocks+5 {
		t.Errorf("got %d coins after the rescan", got)
	}
}

// A turn deeper than everything that was scanned needs no human: it starts again where it started.
func TestScanBeginsAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t, request.SchemeP2TR)
	b.blocks.Add(b.pay(t, b.w, 0, 0, 1000))
	b.sync(t)
	b.blocks.Drop(1)
	b.blocks.Add(b.pay(t, b.w, 0, 0, 2000))
	b.blocks.Add()
	b.sync(t)
	b.wantValues(t, 2000)
}

func TestWatchLater(t *testing.T) {
	t.Parallel()
	b := newBench(t, request.SchemeP2TR)
	late := b.core.AddWallet(t, "late", custody.BitcoinRegtest, request.SchemeP2WPKH)
	b.blocks.Add(b.pay(t, b.w, 0, 0, 1000))
	b.blocks.Add(b.pay(t, late, 0, 0, 2000))
	b.blocks.Add(b.pay(t, b.w, 0, 0, 3000))
	b.sync(t)
	b.watch(t, late, [2]uint32{1, 0}, 2)
	b.sync(t)
	if got := b.values(t, late.ID); len(got) != 1 || got[0] != 2000 {
		t.Errorf("got %v", got)
	}
	b.wantValues(t, 1000, 3000)
	// After a restart the store knows it: nothing is read again.
	b.open(t)
	b.watch(t, late, [2]uint32{1, 0}, 2)
	b.blocks.FailWith(func(call string, height uint64) error {
		if call == "block" {
			t.Errorf("block %d is read again", height)
		}
		return nil
	})
	b.sync(t)
}

// Many addresses are made at once, and one beyond the gap is paid before the scanner hears of it.
func TestWatchManyAddresses(t *testing.T) {
	t.Parallel()
	b := newBench(t, request.SchemeP2TR)
	b.blocks.Add()
	b.blocks.Add(b.pay(t, b.w, 0, 900, 1000))
	b.blocks.Add(b.pay(t, b.w, 0, 0, 2000))
	b.sync(t)
	b.wantValues(t, 2000)
	b.watch(t, b.w, [2]uint32{1000, 0}, 1)
	b.sync(t)
	b.wantValues(t, 1000, 2000)
	// One more within the gap costs nothing.
	b.watch(t, b.w, [2]uint32{1001, 1}, 1)
	b.blocks.FailWith(func(call string, height uint64) error {
		if call == "block" {
			t.Errorf("block %d is read again", height)
		}
		return nil
	})
	b.sync(t)
}

// faultyStore fails before an effect or, with the answer lost, after it.
type faultyStore struct {
	wallet.Store
	fail func(string, uint64) error
}

func (s *faultyStore) Apply(ctx context.Context, c custody.ChainID, x wallet.Scanned) error {
	if s.fail == nil {
		return s.Store.Apply(ctx, c, x)
	}
	if err := s.fail("before", x.Block.Height); err != nil {
		return err
	}
	if err := s.Store.Apply(ctx, c, x); err != nil {
		return err
	}
	return s.fail("after", x.Block.Height)
}

func TestScanGoesOn(t *testing.T) {
	t.Parallel()
	down := &chain.Refusal{Reason: chain.Unavailable, Node: "test", Act: "block", Text: "no answer in time"}
	derive := payloadtest.Cached()
	rapid.Check(t, func(r *rapid.T) {
		b := newBenchWith(t, request.SchemeP2TR, derive)
		faulty := &faultyStore{Store: b.store}
		b.store = faulty
		b.open(t)
		naive := map[btc.OutPoint]bool{}
		for range rapid.IntRange(1, 6).Draw(r, "rounds") {
			if n := rapid.IntRange(0, 3).Draw(r, "drop"); n > 0 && b.height(t) > n {
				b.blocks.Drop(n)
			}
			for range rapid.IntRange(0, 5).Draw(r, "blocks") {
				var txs []chain.BitcoinTx
				for range rapid.IntRange(0, 2).Draw(r, "txs") {
					var spend []btc.OutPoint
					for o := range naive {
						if rapid.Bool().Draw(r, "spend") {
							spend = append(spend, o)
						}
						break
					}
					txs = append(txs, b.pay(t, b.w, rapid.Uint32Range(0, 1).Draw(r, "branch"), rapid.Uint32Range(0, 15).Draw(r, "index"), 1000, spend...))
				}
				b.blocks.Add(txs...)
				naive = b.naive(t)
			}
			naive = b.naive(t)
			// Source or store fail now and then, the store before or after its effect; the process ends and comes back.
			for at := rapid.IntRange(0, 8).Draw(r, "fail at"); ; at += 3 {
				calls := 0
				fail := func(string, uint64) error {
					if calls++; calls == at {
						return down
					}
					return nil
				}
				b.blocks.FailWith(fail)
				faulty.fail = fail
				_, err := b.scanner.Sync(t.Context())
				b.blocks.FailWith(nil)
				faulty.fail = nil
				if err == nil {
					break
				}
				if !errors.Is(err, down) {
					r.Fatal(err)
				}
				b.open(t)
			}
			coins, err := b.store.Coins(t.Context(), b.w.ID)
			if err != nil || len(coins) != len(naive) {
				r.Fatalf("got %d coins, want %d (%v)", len(coins), len(naive), err)
			}
			for _, c := range coins {
				if !naive[c.OutPoint] {
					r.Fatalf("coin %s is not there", c.OutPoint)
				}
			}
		}
	})
}

func (b *bench) height(t testing.TB) int {
	h, err := b.blocks.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return int(h.Height)
}

// naive finds the coins by reading the whole chain.
func (b *bench) naive(t testing.TB) map[btc.OutPoint]bool {
	t.Helper()
	coins := map[btc.OutPoint]bool{}
	for h := 1; h <= b.height(t); h++ {
		n, err := b.blocks.Block(t.Context(), uint64(h))
		if err != nil {
			t.Fatal(err)
		}
		for _, tx := range n.Txs {
			for i := range tx.Outputs {
				coins[btc.OutPoint{TxID: tx.ID, Index: uint32(i)}] = true
			}
			for _, in := range tx.Inputs {
				delete(coins, in)
			}
		}
	}
	return coins
}

// The chain turns between the calls of one Sync.
func TestScanOfRestlessChain(t *testing.T) {
	t.Parallel()
	b := newBench(t, request.SchemeP2TR)
	b.blocks.Add()
	b.blocks.Add()
	turns := 3
	b.blocks.FailWith(func(call string, height uint64) error {
		if call == "block" && height == 2 && turns > 0 {
			turns--
			b.blocks.Drop(2)
			b.blocks.Add()
			b.blocks.Add(b.pay(t, b.w, 0, 0, 700))
		}
		return nil
	})
	b.sync(t)
	b.wantValues(t, 700)
	turns = 1000
	b.blocks.Drop(1)
	b.blocks.Add()
	if _, err := b.scanner.Sync(t.Context()); !errors.Is(err, wallet.ErrRestless) {
		t.Errorf("got %v, want ErrRestless", err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := wallet.Config{
		Chain: custody.BitcoinRegtest, Source: wallettest.NewBlocks(), Store: wallettest.NewMemory(), Start: 1, Gap: 20, Derive: authority.Derive,
	}
	if _, err := wallet.New(good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*wallet.Config){
		"is not Bitcoin":      func(c *wallet.Config) { c.Chain = "eip155:1" },
		"must be given":       func(c *wallet.Config) { c.Store = nil },
		"start must be":       func(c *wallet.Config) { c.Start = 0 },
		"gap 19 is not":       func(c *wallet.Config) { c.Gap = 19 },
		"gap 20000 is not":    func(c *wallet.Config) { c.Gap = 20000 },
		"source, store and d": func(c *wallet.Config) { c.Source = nil },
	} {
		c := good
		change(&c)
		if _, err := wallet.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", want, err)
		}
	}
	b := newBench(t, request.SchemeP2TR)
	evm := b.core.AddWallet(t, "evm", "eip155:1", request.SchemeEVM)
	if err := b.scanner.Watch(t.Context(), evm, [2]uint32{}, 1); err == nil || !strings.Contains(err.Error(), "this scanner on") {
		t.Errorf("got %v", err)
	}
	wrong := b.w
	wrong.Scheme = "p2sh"
	if err := b.scanner.Watch(t.Context(), wrong, [2]uint32{}, 1); err == nil || !strings.Contains(err.Error(), "not one of Bitcoin") {
		t.Errorf("got %v", err)
	}
}
