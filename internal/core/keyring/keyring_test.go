// SPDX-License-Identifier: Apache-2.0

package keyring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"

	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/hd"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

var start = time.Unix(1_800_000_000, 0)

// house is a ring with wallets, whose seeds are derived from their number; when the test ends nothing may be left in its arena.
type house struct {
	*Ring
	t     testing.TB
	arena *secret.Arena
	hd    *hd.Deriver
	curve *curve.Backend

	mu       sync.Mutex // guards the following
	unsealed int
}

func newHouse(t testing.TB, entries int) *house {
	t.Helper()
	a, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	c, err := curve.New()
	if err != nil {
		t.Fatal(err)
	}
	d, err := hd.New(hd.Config{Arena: a, Curve: c})
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(Config{HD: d, Entries: entries, Idle: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.Forget()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return &house{Ring: r, t: t, arena: a, hd: d, curve: c}
}

func seedOf(wallet int) []byte { return bytes.Repeat([]byte{byte(wallet + 1)}, 32) }

// unseal is the costly way to a wallet's seed.
func (h *house) unseal(wallet int) func() (Seed, error) {
	return func() (Seed, error) {
		h.mu.Lock()
		h.unsealed++
		h.mu.Unlock()
		seed, err := secret.Take(h.arena, seedOf(wallet))
		return Seed{Key: seed, Keep: true}, err
	}
}

const hardened = secp.HardenedBit

// oracle derives with btcutil: the account's and the branch's public keys, and the address's scalar.
func oracle(t testing.TB, wallet int, p entry.KeyPath) (a Address, want []byte) {
	t.Helper()
	k, err := hdkeychain.NewMaster(seedOf(wallet), &chaincfg.MainNetParams)
	if err != nil {
		t.Fatal(err)
	}
	public := func() (out [33]byte) {
		pub, err := k.ECPubKey()
		if err != nil {
			t.Fatal(err)
		}
		return [33]byte(pub.SerializeCompressed())
	}
	a = Address{Wallet: custody.WalletID(fmt.Sprint("w", wallet)), Path: p, Account: secp.Path{84 | hardened, hardened, hardened}}
	for i, index := range append(a.Account, p.Branch, p.Index) {
		if i == 3 {
			a.Public = public()
		} else if i == 4 {
			a.Branch = public()
		}
		if k, err = k.Derive(index); err != nil {
			t.Fatal(err)
		}
	}
	sk, err := k.ECPrivKey()
	if err != nil {
		t.Fatal(err)
	}
	return a, sk.Serialize()
}

// use takes a key and requires that it is the right one, after so many unsealings in all.
func (h *house) use(wallet int, branch, index uint32, at time.Duration, unsealed int) {
	h.t.Helper()
	a, want := oracle(h.t, wallet, entry.KeyPath{Branch: branch, Index: index})
	err := h.Use(context.Background(), start.Add(at), a, h.unseal(wallet), func(sk []byte) error {
		if !bytes.Equal(sk, want) {
			return errors.New("another key than the oracle's")
		}
		return nil
	})
	if err != nil {
		h.t.Errorf("wallet %d, %d/%d: %v", wallet, branch, index, err)
	}
	if h.unsealed != unsealed {
		h.t.Errorf("wallet %d, %d/%d: %d unsealings, want %d", wallet, branch, index, h.unsealed, unsealed)
	}
}

// wantLive requires so many addresses and accounts, each with its pad, and no seed.
func (h *house) wantLive(addresses, accounts int) {
	h.t.Helper()
	s := h.Stats()
	if s.Addresses.Entries != addresses || s.Accounts.Entries != accounts || h.Len() != addresses+accounts {
		h.t.Errorf("%d addresses and %d accounts are kept, want %d and %d", s.Addresses.Entries, s.Accounts.Entries, addresses, accounts)
	}
	if got, want := h.arena.Usage(), 2*(addresses+accounts); got.Live != want || got.Used != 2*(addresses*32+accounts*64) {
		h.t.Errorf("%+v in the arena, want %d secrets", got, want)
	}
}

// One unsealing serves all addresses of a wallet; each is derived once.
func TestOneUnsealing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 10)
	for range 2 {
		for i := range uint32(3) {
			h.use(0, 0, i, 0, 1)
			h.use(0, 1, i, 0, 1)
		}
	}
	h.wantLive(6, 1)
	if s := h.Stats(); s.Addresses.Hits != 6 || s.Addresses.Loads != 6 || s.Accounts.Hits != 5 || s.Accounts.Loads != 1 {
		t.Errorf("%+v", s)
	}
	h.use(1, 0, 0, 0, 2)
	h.wantLive(7, 2)
}

func TestBounds(t *testing.T) {
	t.Parallel()
	t.Run("count", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, 2)
		for i := range uint32(3) {
			h.use(0, 0, i, 0, 1)
		}
		h.wantLive(2, 1)
		h.use(0, 0, 0, 0, 1) // evicted: derived again, from the account
		h.use(1, 0, 0, 0, 2)
		h.use(2, 0, 0, 0, 3)
		h.wantLive(2, 2)
		h.use(0, 0, 9, 0, 4) // the account went
	})
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, 10)
		h.use(0, 0, 0, 0, 1)
		h.use(0, 0, 1, 40*time.Second, 1) // which uses the account
		h.Sweep(start.Add(70 * time.Second))
		h.wantLive(1, 1)
		h.use(0, 0, 0, 70*time.Second, 1)
		h.Sweep(start.Add(time.Hour))
		h.wantLive(0, 0)
		h.use(0, 0, 0, time.Hour, 2)
	})
}

func TestForget(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 10)
	h.use(0, 0, 0, 0, 1)
	h.use(0, 0, 1, 0, 1)
	if n := h.Forget(); n != 3 {
		t.Errorf("%d keys were kept, want 3", n)
	}
	h.wantLive(0, 0)
	if n := h.Forget(); n != 0 {
		t.Errorf("%d keys were kept, want none", n)
	}
	h.use(0, 0, 0, 0, 2)
}

// A key that is being unsealed or used while all are forgotten is good for that one use, and not kept.
func TestForgetMeanwhile(t *testing.T) {
	t.Parallel()
	for name, during := range map[string]bool{"unsealed": true, "used": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, 10)
			a, _ := oracle(t, 0, entry.KeyPath{})
			synctest.Test(t, func(t *testing.T) {
				gate := make(chan struct{})
				var wg sync.WaitGroup
				wg.Go(func() {
					unseal := func() (Seed, error) {
						if during {
							<-gate
						}
						return h.unseal(0)()
					}
					err := h.Use(context.Background(), start, a, unseal, func([]byte) error {
						if !during {
							<-gate
						}
						return nil
					})
					if err != nil {
						t.Error(err)
					}
				})
				synctest.Wait()
				h.Forget()
				close(gate)
				wg.Wait()
			})
			h.wantLive(0, 0)
		})
	}
}

// What unseal refuses is not opened, and nothing is left of it; an open account spares asking.
func TestRefusedUnsealing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 10)
	no := errors.New("no")
	refuse := func() (Seed, error) { return Seed{}, no }
	a, _ := oracle(t, 0, entry.KeyPath{})
	f := func([]byte) error { return nil }
	if err := h.Use(context.Background(), start, a, refuse, f); !errors.Is(err, no) {
		t.Errorf("got %v", err)
	}
	h.wantLive(0, 0)
	h.use(0, 0, 7, 0, 1)
	if err := h.Use(context.Background(), start, a, refuse, f); err != nil {
		t.Errorf("with its account open: %v", err)
	}
	h.Forget()
	bad := a
	bad.Account = secp.Path{0}
	if err := h.Use(context.Background(), start, bad, h.unseal(0), f); !errors.Is(err, hd.ErrNormal) {
		t.Errorf("an account that is not hardened: %v", err)
	}
	short := func() (Seed, error) {
		seed, err := secret.Take(h.arena, []byte{1})
		return Seed{Key: seed, Keep: true}, err
	}
	if err := h.Use(context.Background(), start, a, short, f); !errors.Is(err, hd.ErrSeed) {
		t.Errorf("a seed of one byte: %v", err)
	}
	h.wantLive(0, 0)
}

// Of a seed that may not be kept nothing is: each use unseals it anew, for as many as use it at a time, and wipes it. Other wallets stay open.
func TestWhatIsNotCacheableIsNotKept(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 10)
	h.use(1, 0, 0, 0, 1)
	a, want := oracle(t, 0, entry.KeyPath{Index: 3})
	unseal := func() (Seed, error) {
		s, err := h.unseal(0)()
		s.Keep = false
		return s, err
	}
	use := func(f func(sk []byte) error) error { return h.Use(context.Background(), start, a, unseal, f) }
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 3 {
				err := use(func(sk []byte) error {
					if !bytes.Equal(sk, want) {
						return errors.New("another key")
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if s := h.Stats(); s.Addresses.Entries != 1 || s.Accounts.Entries != 1 {
		t.Errorf("kept: %+v", s)
	}
	if h.unsealed < 1+24 {
		t.Errorf("unsealed %d times for 25 uses", h.unsealed)
	}
	no := errors.New("no")
	if err := use(func([]byte) error { return no }); !errors.Is(err, no) {
		t.Errorf("the use's own error: %v", err)
	}
	h.Confine(a.Wallet)
	if err := use(func([]byte) error { return nil }); !errors.Is(err, ErrConfined) {
		t.Errorf("confined: %v", err)
	}
	h.Forget()
	h.wantLive(0, 0)
}

// At rest neither scalar nor node nor seed lies in the arena in clear. The wallet is one that no other test has.
func TestMaskedAtRest(t *testing.T) {
	t.Parallel()
	const wallet = 200
	h := newHouse(t, 10)
	h.use(wallet, 0, 0, 0, 1)
	a, sk := oracle(t, wallet, entry.KeyPath{})
	for n, plain := range map[string][]byte{"scalar": sk, "seed": seedOf(wallet)} {
		if inArenas(t, plain) {
			t.Errorf("the %s lies in the arena", n)
		}
	}
	err := h.Use(context.Background(), start, a, h.unseal(wallet), func([]byte) error {
		if !inArenas(t, sk) {
			t.Error("the scalar is not found while it is used: the search shows nothing")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// inArenas says whether some bytes lie in an arena of this process: in a mapping that is wiped on fork (proc_pid_smaps(5)).
func inArenas(t *testing.T, plain []byte) bool {
	t.Helper()
	smaps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	var low, high int64
	arenas, found := 0, false
	for line := range strings.Lines(string(smaps)) {
		var l, h int64
		if n, _ := fmt.Sscanf(line, "%x-%x ", &l, &h); n == 2 {
			low, high = l, h
			continue
		}
		if !strings.HasPrefix(line, "VmFlags:") || !strings.Contains(line, " wf") {
			continue
		}
		arenas++
		b := make([]byte, high-low)
		if _, err := mem.ReadAt(b, low); err != nil {
			continue // another test's, unmapped meanwhile
		}
		found = found || bytes.Contains(b, plain)
	}
	if arenas == 0 {
		t.Fatal("no arena is mapped")
	}
	return found
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	for name, cfg := range map[string]Config{"zero": {}, "no deriver": {Entries: 1, Idle: 1}, "no entries": {HD: h.hd, Idle: 1}, "no idle time": {HD: h.hd, Entries: 1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// BenchmarkSign is a signature with its check: bare, with the address's key open, with its account's, and with neither (a seed that only
// has to be copied: what unsealing costs besides is in package keystore).
func BenchmarkSign(b *testing.B) {
	h := newHouse(b, 1)
	_, sk := oracle(b, 0, entry.KeyPath{})
	pub, err := h.curve.PublicKey(sk)
	if err != nil {
		b.Fatal(err)
	}
	sign := func(sk []byte, pub [33]byte) error {
		_, _, err := h.curve.SignECDSA(sk, pub, [32]byte{1}, [32]byte{2})
		return err
	}
	b.Run("bare", func(b *testing.B) {
		for b.Loop() {
			if err := sign(sk, pub); err != nil {
				b.Fatal(err)
			}
		}
	})
	type one struct {
		a   Address
		pub [33]byte
	}
	key := func(wallet int, index uint32) one {
		a, sk := oracle(b, wallet, entry.KeyPath{Index: index})
		pub, err := h.curve.PublicKey(sk)
		if err != nil {
			b.Fatal(err)
		}
		return one{a, pub}
	}
	for _, c := range []struct {
		name string
		keys [2]one
		from [2]int
	}{
		{"address open", [2]one{key(0, 0), key(0, 0)}, [2]int{0, 0}},
		{"account open", [2]one{key(0, 0), key(0, 1)}, [2]int{0, 0}}, // the ring keeps one address
		{"cold", [2]one{key(0, 0), key(1, 0)}, [2]int{0, 1}},         // and one account
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				k := c.keys[i%2]
				if err := h.Use(context.Background(), start, k.a, h.unseal(c.from[i%2]), func(sk []byte) error { return sign(sk, k.pub) }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
