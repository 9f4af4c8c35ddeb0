// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"crypto/ed25519"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// hiding is a root whose files somebody moved away for a while: it lists nothing, and what was not destroyed in the token opens again when the
// files are back. It notes what is destroyed.
type hiding struct {
	hsm.Root
	mu   *sync.Mutex // guards gone
	gone map[string]bool
}

func (r hiding) Status(ctx context.Context) (hsm.Status, error) {
	s, err := r.Root.Status(ctx)
	s.Labels = nil
	return s, err
}

func (r hiding) Destroy(ctx context.Context, label string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone[label] = true
	return r.Root.Destroy(ctx, label)
}

// Roots list what they have a file of. Who moves the files away before a domain is zeroized, and puts them back later, must not have saved
// the keys: the log knows which there were.
func TestHiddenKeysAreDestroyed(t *testing.T) {
	t.Parallel()
	for name, destroy := range map[string]func(h *domaintest.Harness) error{
		"zeroize": func(h *domaintest.Harness) error { _, err := h.Zeroize(h.Bob); return err },
		"tamper":  func(h *domaintest.Harness) error { return h.D.Tamper("the lid was opened") },
	} {
		h := domaintest.New(t, domaintest.Options{Recovery: true})
		for range 5 { // epoch 1 was finalized, 2 is current, 3 is loaded
			if _, err := h.Step(); err != nil {
				t.Fatal(err)
			}
		}
		hidden := hiding{mu: &sync.Mutex{}, gone: map[string]bool{}}
		h.D.WrapRoot(func(r hsm.Root) hsm.Root { hidden.Root = r; return hidden })
		if err := destroy(h); err != nil {
			t.Fatal(err)
		}
		for _, label := range []string{"dwk-2", "dwk-3", "restored-2"} {
			if !hidden.gone[label] {
				t.Errorf("%s: %s is not destroyed in the root", name, label)
			}
		}
		if hidden.gone["identity"] {
			t.Errorf("%s: the identity is destroyed", name)
		}
	}
	h := domaintest.New(t, domaintest.Options{Recovery: true})
	for range 3 { // activated
		if _, err := h.Step(); err != nil {
			t.Fatal(err)
		}
	}
	hidden := hiding{mu: &sync.Mutex{}, gone: map[string]bool{}}
	h.D.WrapRoot(func(r hsm.Root) hsm.Root { hidden.Root = r; return hidden })
	mustStep(t, h, request.EpochFinalize)
	if !hidden.gone["dwk-1"] || hidden.gone["dwk-2"] {
		t.Errorf("finalize destroyed %v", hidden.gone)
	}
}

// A domain that is zeroized while a restore is under way keeps nothing of what was put back.
func TestZeroizedWhileRestored(t *testing.T) {
	t.Parallel()
	m := newLifeFactory(t).machine(t)
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	backup := m.Options.Memory.Blobs()
	if _, err := m.Zeroize(m.Bob); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Settled(); err != nil {
		t.Fatal(err)
	}
	if err := m.PutBack(1, backup); err != nil {
		t.Fatal(err)
	}
	wantLabels(t, m.Harness, "identity", "restored-1")
	reached, release := m.faults.Hold(domaintest.RootSeal, domaintest.Before) // the working key is about to be moved
	restored, zeroized := make(chan error, 1), make(chan error, 1)
	go func() { _, err := m.Restore(); restored <- err }()
	wait(t, "the move", reached)
	go func() { _, err := m.Zeroize(m.Carol); zeroized <- err }()
	for m.Life().Phase != "zeroized" {
		s := m.D.Status()
		if _, err := m.D.Feed(t.Context(), message.Feed{From: s.Size, Limit: 1, Wait: 200}); err != nil && problem.KindOf(err) != problem.Malformed {
			t.Fatal(err)
		}
	}
	release()
	if err := wait(t, "the restore", restored); err != nil {
		t.Log(err)
	}
	if err := wait(t, "the zeroize", zeroized); err != nil {
		t.Fatal(err)
	}
	wantLabels(t, m.Harness, "identity")
	if _, err := m.Settled(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Restore(); problem.KindOf(err) != problem.Locked {
		t.Errorf("restored without the custodians: %v", err)
	}
}

// An epoch whose working key the root can't give any more is not activated: the domain could not start again.
func TestLostKeyIsNotActivated(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"at once": false, "after a restart": true} {
		h := domaintest.New(t, domaintest.Options{Recovery: true})
		h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
		mustStep(t, h, request.EpochLoad)
		mustStep(t, h, request.EpochCommit)
		l, err := h.Settled()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(h.Dir, "root", "dwk-2.sealed")); err != nil {
			t.Fatal(err)
		}
		if restart {
			h.Reopen()
		}
		if _, err := h.Step(); problem.KindOf(err) != problem.Locked {
			t.Errorf("%s: activated without its key: %v", name, err)
		}
		if _, err := h.Govern(request.EpochCancel, request.EpochCancelBody{Counter: l.Counter + 1, Epoch: 2, Pattern: l.Next.Pattern}, h.Bob, h.Carol); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		h.Reopen()
		mustPay(t, h, "hot", 0)
		if got := labels(t, h); !slices.Contains(got, "dwk-1") {
			t.Errorf("%s: the root has %v", name, got)
		}
	}
}

// Who makes the clock uncertain doesn't keep an administrator from zeroizing. Everything else waits, and a request past its time is past it.
func TestZeroizeWithoutTime(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Recovery: true})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	old := h.Request(h.Bob, request.Zeroize, request.ZeroizeBody{Counter: h.Life().Counter + 1, Phrase: request.ZeroizePhrase(h.D.ID())})
	old.Key, old.NotAfter = "old", h.Clock.Wall.Load()/1e9-1
	h.Clock.Unsure.Store(true)
	if _, err := h.Step(); problem.KindOf(err) != problem.TimeUncertain {
		t.Errorf("a rotation without time: %v", err)
	}
	if _, err := h.Submit(h.Bob, old, nil); problem.KindOf(err) != problem.Expired {
		t.Errorf("an old request: %v", err)
	}
	if _, err := h.Zeroize(h.Bob); err != nil {
		t.Fatal(err)
	}
	wantLabels(t, h, "identity")
	h.Clock.Unsure.Store(false)
	h.Reopen()
	h.Check()
	if l := h.Life(); l.Phase != "zeroized" {
		t.Errorf("%+v", l)
	}
}

// What is recorded while the clock is uncertain doesn't carry its time: log time never runs back, and a clock that somebody has set ahead by
// years would stop the domain for as long, also after it is right again.
func TestWrongClockDoesNotStayInTheLog(t *testing.T) {
	t.Parallel()
	const years = 20 * 365 * 24 * time.Hour
	for name, act := range map[string]func(m *machine) error{
		"tamper": func(m *machine) error { return m.D.Tamper("cause") },
		"zeroize": func(m *machine) error {
			r := m.Request(m.Bob, request.Zeroize, request.ZeroizeBody{Counter: m.Life().Counter + 1, Phrase: request.ZeroizePhrase(m.D.ID())})
			r.NotAfter -= int64(years / time.Second) // by the right clock
			_, err := m.Submit(m.Bob, r, nil)
			return err
		},
		"erased": func(m *machine) error { _, err := m.Settled(); return err },
	} {
		m := newLifeFactory(t).machine(t)
		if err := m.open(); err != nil {
			t.Fatal(err)
		}
		if name == "erased" { // a rotation is cancelled; its blobs are about to be erased
			mustStep(t, m.Harness, request.EpochLoad)
			mustStep(t, m.Harness, request.EpochCommit)
			l, err := m.Settled()
			if err != nil {
				t.Fatal(err)
			}
			reached, release := m.faults.Hold(domaintest.BlobDelete, domaintest.Before)
			cancelled := make(chan error, 1)
			go func() {
				_, err := m.Govern(request.EpochCancel, request.EpochCancelBody{Counter: l.Counter + 1, Epoch: 2, Pattern: l.Next.Pattern}, m.Bob, m.Carol)
				cancelled <- err
			}()
			wait(t, "the erasing", reached)
			m.Clock.Unsure.Store(true)
			m.Clock.Wall.Add(int64(years))
			release()
			if err := wait(t, "the cancellation", cancelled); err != nil {
				t.Fatal(err)
			}
		} else {
			m.Clock.Unsure.Store(true)
			m.Clock.Wall.Add(int64(years))
		}
		if err := act(m); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		m.Clock.Wall.Add(-int64(years))
		m.Clock.Unsure.Store(false)
		_, err := m.Submit(m.Alice, pay(m.Harness, m.Alice, domaintest.Whitelisted, 1000), nil)
		if problem.KindOf(err) == problem.TimeUncertain {
			t.Errorf("%s: the clock is right again: %v", name, err)
		}
		m.Check()
	}
}

// Who keeps the log from being pinned, as serve can by dropping what goes to log witnesses, does not keep the working keys of a zeroized
// domain alive. When the pin comes the domain goes on as if nothing had been; after a crash the next start makes it good.
func TestZeroizeDoesNotWaitForThePin(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		m := newLifeFactory(t).machine(t)
		if err := m.open(); err != nil {
			t.Fatal(err)
		}
		backup := m.Options.Memory.Blobs()
		m.D.Hurry(time.Millisecond)
		reached, release := m.faults.Hold(domaintest.AnchorPin, domaintest.Before)
		zeroized := make(chan error, 1)
		go func() { _, err := m.Zeroize(m.Carol); zeroized <- err }()
		wait(t, "the pin", reached)
		gone := make(chan struct{})
		go func() {
			for slices.Contains(labels(t, m.Harness), "dwk-1") {
				runtime.Gosched()
			}
			close(gone)
		}()
		wait(t, "the end of the working key", gone)
		if crash {
			m.faults.Crash()
		}
		release()
		err := wait(t, "the zeroize", zeroized)
		if crash {
			m.crash()
			err = m.open()
		}
		if err != nil {
			t.Fatal(err)
		}
		wantLabels(t, m.Harness, "identity")
		if l, err := m.Settled(); err != nil || l.Phase != "zeroized" {
			t.Fatalf("%v, %+v", err, l)
		}
		if err := m.PutBack(1, backup); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Restore(); err != nil {
			t.Fatal(err)
		}
		m.Reopen() // nothing is left that would destroy it again
		mustPay(t, m.Harness, "hot", 0)
		m.Check()
	}
}

// An administrator who zeroizes out of malice is revoked while the domain is zeroized: else they could do so again after each restore.
func TestRevokedWhileZeroized(t *testing.T) {
	t.Parallel()
	memory := domaintest.NewMemory()
	h := domaintest.New(t, domaintest.Options{Memory: memory, Recovery: true})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	backup := memory.Blobs()
	dave := domaintest.NewPerson("dave")
	enrol := request.PersonEnrolBody{Person: dave.ID, Kind: "human", Key: dave.Pub, Groups: []custody.GroupID{"officers"}}
	enrol.Possession = ed25519.Sign(dave.Key, enrol.EnrolMessage(h.D.Authority()))
	if _, err := h.Govern(request.PersonEnrol, enrol, h.Bob, h.Carol); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Zeroize(dave); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Govern(request.PersonRevoke, request.PersonRevokeBody{Person: dave.ID}, h.Bob, h.Carol); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Settled(); err != nil {
		t.Fatal(err)
	}
	if err := h.PutBack(1, backup); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Restore(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Zeroize(dave); err == nil {
		t.Error("zeroized again")
	}
	mustPay(t, h, "hot", 0)
	h.Reopen()
	h.Check()
}

// What the epoch before is still needed for is not destroyed: as long as a blob that is in use is missing in the store, or another, its working
// key and blobs stay. They go once the blob is back.
func TestNothingIsFinalizedWhileABlobIsLost(t *testing.T) {
	t.Parallel()
	memory := domaintest.NewMemory()
	h := domaintest.New(t, domaintest.Options{Memory: memory, Recovery: true})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	h.Wallet("other", domaintest.Chain, request.SchemeEVM)
	before := memory.Blobs()
	for range 3 { // activated
		if _, err := h.Step(); err != nil {
			t.Fatal(err)
		}
	}
	tried := 0
	for ref, blob := range memory.Blobs() {
		if _, old := before[ref]; old {
			continue
		}
		tried++
		for name, spoiled := range map[string][]byte{"missing": nil, "damaged": append(slices.Clone(blob[:len(blob)-1]), blob[len(blob)-1]^1)} {
			memory.SetBlob(ref, spoiled)
			if _, err := h.Step(); problem.KindOf(err) != problem.Internal || !strings.Contains(err.Error(), "1 of 4 blobs") {
				t.Errorf("a blob of %s is %s: %v", ref.Key, name, err)
			}
			if l := h.Life(); l.Previous == nil {
				t.Fatalf("a blob of %s is %s: finalized", ref.Key, name)
			}
			wantLabels(t, h, "dwk-1", "dwk-2", "identity")
		}
		memory.SetBlob(ref, blob)
	}
	if tried != 3 { // the custodians stay, so the identity's sealed copy is the old one
		t.Errorf("tried %d blobs, want those of two keys and the working key's sealed copy", tried)
	}
	for ref := range before {
		if _, ok := memory.Blobs()[ref]; !ok {
			t.Errorf("a blob of %s of the epoch before is gone", ref.Key)
		}
	}
	mustStep(t, h, request.EpochFinalize)
	wantLabels(t, h, "dwk-2", "identity")
	h.Check()
}
