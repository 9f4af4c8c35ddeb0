// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// The feed says the same from memory as from the store, where it is read after a restart.
func TestFeedIsWhatTheStoreHas(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	before, err := h.D.Feed(t.Context(), message.Feed{Limit: 1000})
	if err != nil || len(before.Entries) == 0 {
		t.Fatal(err)
	}
	h.Reopen()
	after, err := h.D.Feed(t.Context(), message.Feed{Limit: uint64(len(before.Entries))})
	if err != nil || string(canon.Encode(before.Entries)) != string(canon.Encode(after.Entries)) {
		t.Errorf("%d and %d entries, %v", len(before.Entries), len(after.Entries), err)
	}
}

// The feed gives pinned entries in runs, and waits for the next one.
func TestFeed(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	size := h.D.Status().Size
	for from, limit := range map[uint64]uint64{0: 2, 1: 1000, size - 1: 5} {
		f, err := h.D.Feed(context.Background(), message.Feed{From: from, Limit: limit})
		if err != nil || uint64(len(f.Entries)) != min(limit, f.Pinned-from) {
			t.Errorf("from %d: %d entries, %v", from, len(f.Entries), err)
			continue
		}
		for i, e := range f.Entries {
			l, err := entry.DecodeLeaf(e.Leaf)
			if err != nil || l.Seq != from+uint64(i) || entry.CheckBody(l.Bodies[0], [entry.SaltSize]byte(e.Bodies[0].Salt), e.Bodies[0].Body) != nil {
				t.Errorf("entry %d: %v", from+uint64(i), err)
			}
		}
	}
	if f, err := h.D.Feed(context.Background(), message.Feed{From: size + 5, Limit: 1}); err != nil || len(f.Entries) != 0 {
		t.Errorf("beyond the end: %v, %d entries", err, len(f.Entries))
	}
	for _, from := range []uint64{size + 1, 1 << 62, 1<<64 - 1} { // nothing says that these will ever be
		if _, err := h.D.Feed(context.Background(), message.Feed{From: from, Limit: 1, Wait: message.MaxWait}); problem.KindOf(err) != problem.Malformed {
			t.Errorf("waiting for entry %d: %v", from, err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	got := make(chan error, 2)
	ask := func(ctx context.Context, wait uint64, want int) {
		f, err := h.D.Feed(ctx, message.Feed{From: size, Limit: 1, Wait: wait})
		if err == nil && len(f.Entries) != want {
			err = fmt.Errorf("%d entries, want %d", len(f.Entries), want)
		}
		got <- err
	}
	go ask(ctx, 1<<63, 0)
	cancel()
	if err := <-got; err != nil {
		t.Errorf("given up: %v", err)
	}
	go ask(context.Background(), 1, 0)
	if err := <-got; err != nil {
		t.Errorf("after its time: %v", err)
	}
	go ask(context.Background(), message.MaxWait, 1)
	submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1))
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// So many callers wait and no more; the place of one who has gone is free again.
func TestWaitersAreBounded(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	next := message.Feed{From: h.D.Status().Size, Limit: 1, Wait: message.MaxWait}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range securedomain.MaxWaiters {
		wg.Go(func() {
			if _, err := h.D.Feed(ctx, next); err != nil {
				t.Errorf("a waiter: %v", err)
			}
		})
	}
	h.D.AwaitWaiters(securedomain.MaxWaiters)
	if _, err := h.D.Feed(context.Background(), next); problem.KindOf(err) != problem.Busy {
		t.Errorf("one more: %v", err)
	}
	if _, err := h.D.Feed(context.Background(), message.Feed{Limit: 1}); err != nil {
		t.Errorf("without waiting: %v", err)
	}
	cancel()
	wg.Wait()
	next.Wait = 1
	if _, err := h.D.Feed(context.Background(), next); err != nil {
		t.Errorf("after they left: %v", err)
	}
}

// However often the core starts, from whatever snapshot, its state is the fold of the log.
func TestManyRestarts(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{SnapshotEvery: 4, TakeOver: true})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	rng := rand.New(rand.NewPCG(1, 2))
	var open []message.Request
	nonce := uint64(0)
	for i := range 80 {
		switch n := rng.IntN(6); {
		case n == 0:
			h.Clock.Advance(time.Duration(rng.IntN(10)) * time.Minute)
		case n == 1 || len(open) == 0:
			open = append(open, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, uint64(i+1))))
		case n == 2:
			if v, err := h.Submit(h.Alice, h.Request(h.Alice, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 1}), nil); err != nil || v.State != message.StateExecuted {
				t.Fatalf("%v, %+v", err, v)
			}
		case n < 5:
			d := []request.Decision{request.Approve, request.Approve, request.Approve, request.Reject}[rng.IntN(4)]
			v := open[len(open)-1-rng.IntN(min(2, len(open)))]
			for _, by := range []domaintest.Person{h.Bob, h.Carol} {
				_, _ = h.Decide(by, v, d)
			}
		default:
			v := open[len(open)-1-rng.IntN(min(2, len(open)))]
			r, err := request.Parse(v.Request)
			if err != nil {
				t.Fatal(err)
			}
			amount, _ := r.Decoded.(*request.TransferBody).Outputs[0].Amount.Uint64()
			if x, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, amount, nonce, 10)); err == nil && x.Attempt == 1 {
				list, err := h.D.Addresses(message.Addresses{Wallet: "hot", Count: 1})
				if err != nil {
					t.Fatal(err)
				}
				nonce = list.Addresses[0].Nonce
			}
		}
		if i%4 == 0 {
			h.Reopen()
		}
		if i%10 == 0 {
			h.Check() // compares the state in use with the fold
		}
	}
	h.Check()
	if nonce == 0 {
		t.Error("nothing was signed")
	}
	s := authority.New()
	for _, x := range scan(t, h) {
		if err := s.Apply(x.leaf, x.hash, x.body); err != nil {
			t.Fatal(err)
		}
	}
}

// Many callers at a time: everything that is answered stands in the log, once, and no nonce is used twice.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{SnapshotEvery: 16})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	s := opened(t, h)
	var mu sync.Mutex // guards requests: the harness counts
	var wg sync.WaitGroup
	seen := map[uint64]custody.RequestID{}
	for range 8 {
		wg.Go(func() {
			for range 6 {
				mu.Lock()
				r := pay(h, h.Service, domaintest.Whitelisted, 3)
				mu.Unlock()
				for {
					list, err := h.D.Addresses(message.Addresses{Wallet: "hot", Count: 1})
					if err != nil {
						t.Error(err)
						return
					}
					n := list.Addresses[0].Nonce
					v, err := s.submit(r, payload(t, domaintest.Whitelisted, 3, n, 10))
					if problem.KindOf(err) == problem.OutsideBounds {
						continue // another caller took the nonce
					}
					if err != nil || v.Signed == nil {
						t.Errorf("%v, %+v", err, v)
						return
					}
					mu.Lock()
					if was, ok := seen[n]; ok && was != v.ID {
						t.Errorf("nonce %d was used for %s and %s", n, was, v.ID)
					}
					seen[n] = v.ID
					mu.Unlock()
					break
				}
				h.D.Requests(message.List{Limit: 10})
				h.D.Status()
			}
		})
	}
	wg.Wait()
	if len(seen) != 48 {
		t.Errorf("%d nonces for 48 payments", len(seen))
	}
	h.Check()
	oneSlotOnePayload(t, scan(t, h))
}

// A caller that still waits when the domain closes gets an answer, and nothing crashes.
func TestCallsDuringClose(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	var wg sync.WaitGroup
	d := h.D
	for i := range 8 {
		r := pay(h, h.Alice, domaintest.Whitelisted, uint64(i+1))
		wg.Go(func() {
			_, err := d.Submit(context.Background(), message.Submit{Request: r.Encode(), Evidence: h.Alice.Sign(r)})
			var p *problem.Error
			if err != nil && !errors.As(err, &p) {
				t.Errorf("%v", err)
			}
		})
	}
	h.Close()
	wg.Wait()
}
