// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// appFactory has a domain with a grant and a key under it, closed.
func appFactory(t *testing.T) (f *factory, key []byte) {
	t.Helper()
	f = &factory{log: disktest.New(), anchor: disktest.New(), memory: domaintest.NewMemory()}
	var g *gateway
	f.base, g = appDomain(t, &fakeEngine{}, domaintest.Options{Log: f.log, Anchor: f.anchor, Memory: f.memory})
	b := grantBody(f.base, "app")
	b.MaxUses = 1000
	govern(t, f.base, request.AppGrant, b)
	key = g.key(t, "app")
	f.base.Close()
	return f, key
}

func (f *factory) appMachine(t testing.TB) *machine {
	t.Helper()
	m := &machine{log: f.log.Clone(), anchor: f.anchor.Clone(), faults: &domaintest.Faults{}}
	m.Harness = f.base.Clone(t, domaintest.Options{SnapshotEvery: 6, TakeOver: true, Faults: m.faults, Log: m.log, Anchor: m.anchor, Memory: f.memory.Clone(), Engine: &fakeEngine{}})
	return m
}

// signMany has some callers sign at once, round after round, and gives the hashes of the calls that were answered.
func signMany(t *testing.T, h *domaintest.Harness, key []byte, name string) (out [][32]byte) {
	t.Helper()
	s := &service{h: h}
	if _, err := s.open(time.Hour); err != nil {
		return nil // the fault came first
	}
	g := &gateway{service: s}
	var mu sync.Mutex
	for round := range 4 {
		var wg sync.WaitGroup
		for i := range 3 {
			c := signCall(key, fmt.Sprint(name, round, i))
			wg.Go(func() {
				if _, err := g.do("app", c); err == nil {
					mu.Lock()
					defer mu.Unlock()
					out = append(out, sha256.Sum256(c.Encode()))
				}
			})
		}
		wg.Wait()
	}
	return out
}

// accounted lists the calls that the log accounts.
func accounted(t *testing.T, h *domaintest.Harness) (out [][32]byte) {
	t.Helper()
	for from := uint64(0); ; {
		f, err := h.D.Feed(context.Background(), message.Feed{From: from, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(f.Entries) == 0 {
			return out
		}
		for _, x := range f.Entries {
			if l, err := entry.DecodeLeaf(x.Leaf); err != nil || l.Kind != entry.KindUses {
				continue
			}
			var r entry.UseRecords
			if err := canon.Decode(x.Bodies[1].Body, &r); err != nil {
				t.Fatal(err)
			}
			for _, u := range r.Records {
				out = append(out, u.Call)
			}
		}
		from += uint64(len(f.Entries))
	}
}

// allAccounted requires that whatever was given out is in the log, once, and that state and log agree.
func allAccounted(t *testing.T, h *domaintest.Harness, given [][32]byte) {
	t.Helper()
	have := accounted(t, h)
	for _, c := range given {
		n := len(slices.DeleteFunc(slices.Clone(have), func(x [32]byte) bool { return x != c }))
		if n != 1 {
			t.Errorf("a call that was answered is accounted %d times", n)
		}
	}
	if used := theGrant(t, h, "app").Used; used != uint64(len(have)) {
		t.Errorf("the state has %d uses, the log %d", used, len(have))
	}
	h.Check()
}

// A use is never given out before its entry is durable and pinned: each call of log and anchor fails, before and after its effect, the process is
// killed there or learns of it, and after a restart all that was given out is accounted.
func TestAppUsesSurviveEveryFault(t *testing.T) {
	t.Parallel()
	f, key := appFactory(t)
	for _, op := range []domaintest.Op{domaintest.StoreAppend, domaintest.AnchorPin} {
		for _, when := range []domaintest.When{domaintest.Before, domaintest.After} {
			for _, crash := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s %s crash=%v", op, when, crash), func(t *testing.T) {
					t.Parallel()
					for n, struck := 1, true; struck; n++ {
						m := f.appMachine(t)
						m.faults.FailAt(op, n, when, crash)
						var given [][32]byte
						if err := m.Open(); err == nil {
							given = signMany(t, m.Harness, key, "first")
						}
						if struck = m.faults.Struck(); struck && m.D != nil && !crash {
							<-m.D.Failed()
						}
						m.faults.Disarm()
						m.crash()
						if err := m.Open(); err != nil {
							t.Fatal(err)
						}
						given = append(given, signMany(t, m.Harness, key, "second")...)
						if len(given) < 12 {
							t.Fatalf("%d calls were answered", len(given))
						}
						allAccounted(t, m.Harness, given)
						m.Close()
					}
				})
			}
		}
	}
}

// The same with the power cut at every change of the disk.
func TestAppUsesSurviveEveryPowerCut(t *testing.T) {
	t.Parallel()
	f, key := appFactory(t)
	for n, struck := 1, true; struck; n += stride() {
		m := f.appMachine(t)
		m.log.FailAt(n, []disktest.When{disktest.Before, disktest.After, disktest.Half}[n%3])
		var given [][32]byte
		if err := m.Open(); err == nil {
			given = signMany(t, m.Harness, key, "first")
		}
		struck, _ = m.log.Struck()
		m.Crash()
		r := rand.New(rand.NewPCG(uint64(n), 7))
		m.log, m.anchor = m.log.PowerCut(float64(n%2)/2, r), m.anchor.PowerCut(float64(n%2)/2, r)
		m.Options.Log, m.Options.Anchor = m.log, m.anchor
		if err := m.Open(); err != nil {
			t.Fatal(err)
		}
		allAccounted(t, m.Harness, append(given, signMany(t, m.Harness, key, "second")...))
		m.Close()
	}
}

// While a pin is under way nothing is given out, and what gathers meanwhile goes into one entry.
func TestAppUsesWaitForThePin(t *testing.T) {
	t.Parallel()
	faults := &domaintest.Faults{}
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{Faults: faults})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	key := g.key(t, "app")
	_, before := uses(t, h)
	reached, release := faults.Hold(domaintest.AnchorPin, domaintest.Before)
	began := e.done.Load()
	answers := make(chan error, 50)
	ask := func(i int) {
		_, err := g.do("app", signCall(key, fmt.Sprint(i)))
		answers <- err
	}
	go ask(0)
	<-reached
	for i := range 49 {
		go ask(i + 1)
	}
	for e.done.Load() < began+50 || h.D.QueuedUses() < 49 {
		time.Sleep(time.Millisecond)
	}
	select {
	case err := <-answers:
		t.Fatalf("a call was answered before its use was pinned: %v", err)
	default:
	}
	release()
	for range 50 {
		if err := <-answers; err != nil {
			t.Error(err)
		}
	}
	if _, after := uses(t, h); after != before+2 {
		t.Errorf("50 uses took %d entries, want the one that was held and one for the rest", after-before)
	}
	h.Check()
}

// Whoever gives up waiting is not answered, and the use stays accounted.
func TestAppCallIsGivenUp(t *testing.T) {
	t.Parallel()
	faults := &domaintest.Faults{}
	h, g := appDomain(t, &fakeEngine{}, domaintest.Options{Faults: faults})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	key := g.key(t, "app")
	reached, release := faults.Hold(domaintest.AnchorPin, domaintest.Before)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	a, err := h.D.EP11(ctx, g.sealed("app", signCall(key, "x")))
	release()
	if err != nil || a.Failure == nil || a.Failure.Code != ep11.CKR_IBM_TRANSPORT_LIMIT || len(a.Answer) > 0 {
		t.Errorf("%v, %+v", err, a)
	}
	if err := h.D.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	if used := theGrant(t, h, "app").Used; used != 2 {
		t.Errorf("%d uses", used)
	}
}

// RSA pairs are made beforehand once a grant is there that lets somebody make some, so many of each size; they are wiped with all unsealed keys.
func TestAppPairs(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{Pair: e.makePair, Pairs: 2})
	b := grantBody(h, "app")
	b.Mechanisms = b.Mechanisms[1:]
	govern(t, h, request.AppGrant, b)
	h.D.TendOnce()
	g.key(t, "app")
	if e.made.Load() != 0 {
		t.Error("pairs are made before anybody may have one")
	}
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	full := func(when string, made int64) {
		t.Helper()
		for range 10_000 {
			if h.D.Status().ReadyPairs == 6 && e.made.Load() >= made {
				return
			}
			time.Sleep(time.Millisecond)
		}
		t.Fatalf("%s: %d pairs are ready, %d were made", when, h.D.Status().ReadyPairs, e.made.Load())
	}
	full("at first", 6)
	if _, err := g.do("app", ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: &ep11.Mechanism{Type: ep11.CKM_RSA_PKCS_KEY_PAIR_GEN}}); err != nil || e.took.Load() != 1 {
		t.Errorf("%v, %d pairs were taken", err, e.took.Load())
	}
	full("after one was taken", 7)
	h.D.Forget()
	h.D.TendOnce()
	full("after they were wiped", 13)
	if _, err := h.Submit(h.Alice, h.Request(h.Alice, request.Zeroize, request.ZeroizeBody{Counter: h.D.Status().Life.Counter + 1, Phrase: request.ZeroizePhrase(h.D.ID())}), nil); err != nil {
		t.Fatal(err)
	}
	h.D.TendOnce()
	if n := h.D.Status().ReadyPairs; n != 0 {
		t.Errorf("%d pairs outlive the keys", n)
	}
}

// One that can't be made is tried again later, and keeps nobody from anything.
func TestAppPairsThatFail(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{pair: func(int) error { return errors.New("no primes today") }}
	h, g := appDomain(t, e, domaintest.Options{Pair: e.makePair, Pairs: 2})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	g.key(t, "app")
	if h.D.Status().ReadyPairs != 0 || h.D.Cause() != nil {
		t.Error(h.D.Cause())
	}
}
