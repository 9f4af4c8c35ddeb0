// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// ready is a new machine with a wallet and an approved transfer.
func ready(t *testing.T) (*machine, message.Request) {
	t.Helper()
	m := newFactory(t).machine(t)
	m.Options.SnapshotEvery = 0
	if err := m.Open(); err != nil {
		t.Fatal(err)
	}
	m.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	return m, approvedPayment(t, m.Harness)
}

func approvedPayment(t *testing.T, h *domaintest.Harness) message.Request {
	t.Helper()
	v, err := h.Submit(h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []domaintest.Person{h.Bob, h.Carol} {
		if _, err := h.Decide(p, v, request.Approve); err != nil {
			t.Fatal(err)
		}
	}
	return v
}

// answer is what a call in another goroutine gave.
type answer struct {
	out message.Signed
	err error
}

func signing(d *securedomain.Domain, id custody.RequestID, p []byte) <-chan answer {
	done := make(chan answer, 1)
	go func() {
		out, err := d.Sign(context.Background(), id, p)
		done <- answer{out, err}
	}()
	return done
}

func wait[T any](t *testing.T, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(time.Minute):
		t.Fatalf("%s does not come", what)
		panic("unreachable")
	}
}

// A process that was stopped between its permit and its signature for longer than its lease signs nothing: somebody may have taken
// over. Asked again, it gives the bytes of the permit.
func TestStoppedForLongerThanTheLease(t *testing.T) {
	t.Parallel()
	m, v := ready(t)
	reached, release := m.faults.Hold(domaintest.AnchorPin, domaintest.After)
	done := signing(m.D, v.ID, ethPayload(t, 1000, 0, 10))
	wait(t, "the pin", reached)
	m.Clock.Advance(securedomain.DefaultLease + time.Second)
	release()
	if a := wait(t, "the answer", done); problem.KindOf(a.err) != problem.Busy {
		t.Fatalf("after its lease: %v, %d signed bytes", a.err, len(a.out.Bytes))
	}
	first, err := m.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 10))
	if err != nil || first.Attempt != 1 {
		t.Fatalf("asked again: %v, attempt %d", err, first.Attempt)
	}
	m.Check()
}

// successor opens the domain of m as another process that takes over.
func (m *machine) successor(t *testing.T) *domaintest.Harness {
	t.Helper()
	o := m.Options
	o.TakeOver, o.Faults = true, nil
	s := m.Other(o)
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	return s
}

// A successor takes over while the first writer is stopped between append and pin: the entry was never acknowledged and is dropped; the
// first writer releases nothing and fails.
func TestTakeOverBeforeThePin(t *testing.T) {
	t.Parallel()
	m, v := ready(t)
	reached, release := m.faults.Hold(domaintest.AnchorPin, domaintest.Before)
	done := signing(m.D, v.ID, ethPayload(t, 1000, 0, 10))
	wait(t, "the pin", reached)
	s := m.successor(t)
	second, err := s.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 20))
	if err != nil || second.Attempt != 1 {
		t.Fatalf("the successor: %v, attempt %d", err, second.Attempt)
	}
	release()
	if a := wait(t, "the answer", done); problem.KindOf(a.err) != problem.Stopped {
		t.Fatalf("the first writer: %v, %d signed bytes", a.err, len(a.out.Bytes))
	}
	wait(t, "the failure of the first writer", m.D.Failed())
	if _, err := m.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 30)); err == nil {
		t.Fatal("the first writer signs a replacement")
	}
	s.Check()
	oneSlotOnePayload(t, scan(t, s))
}

// The first writer is stopped between pin and signature, and goes on within its lease: what it signs is what the successor signs.
func TestTakeOverAfterThePin(t *testing.T) {
	t.Parallel()
	m, v := ready(t)
	reached, release := m.faults.Hold(domaintest.AnchorPin, domaintest.After)
	done := signing(m.D, v.ID, ethPayload(t, 1000, 0, 10))
	wait(t, "the pin", reached)
	s := m.successor(t)
	if _, err := s.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 1, 20)); problem.KindOf(err) != problem.OutsideBounds {
		t.Fatalf("the successor in another slot: %v", err)
	}
	second, err := s.D.Sign(context.Background(), v.ID, nil)
	if err != nil {
		t.Fatal(err)
	}
	release()
	if a := wait(t, "the answer", done); a.err == nil && (a.out.Permit != second.Permit || !bytes.Equal(a.out.Bytes, second.Bytes)) {
		t.Fatalf("two signatures for one permit: %x and %x", a.out.Bytes, second.Bytes)
	}
	// Its next entry, the result at the latest, ends it.
	if _, err := m.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 30)); err == nil {
		t.Fatal("the first writer signs a replacement")
	}
	wait(t, "the failure of the first writer", m.D.Failed())
	s.Check()
	oneSlotOnePayload(t, scan(t, s))
}

// Nobody is told what the next start may drop: while an entry is not pinned, no reading method of the door speaks of it. An
// address that was shown gets paid.
func TestReadsWaitForThePin(t *testing.T) {
	t.Parallel()
	m, v := ready(t)
	mux := gate.NewMux()
	m.D.Serve(mux)
	reached, release := m.faults.Hold(domaintest.AnchorPin, domaintest.Before)
	var asking sync.WaitGroup
	defer func() { release(); asking.Wait() }()
	ask := func(r request.Request) {
		asking.Go(func() { _, _ = m.Submit(m.Alice, r, nil) })
	}
	other := pay(m.Harness, m.Alice, domaintest.Whitelisted, 5)
	ask(other)
	ask(m.Request(m.Alice, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 3}))
	wait(t, "the pin", reached)
	for range 1000 { // until the state has both
		if m.D.Status().Size >= 10 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	for method, in := range map[string]any{
		message.MethodRequest: message.ByID{ID: other.ID()}, message.MethodRequests: message.List{Limit: 10},
		message.MethodAddresses: message.Addresses{Wallet: "hot", Count: 10}, message.MethodWallet: message.WalletID{ID: "hot"},
		message.MethodWallets: message.List{Limit: 10}, message.MethodPolicy: message.Empty{}, message.MethodProof: message.ByID{ID: other.ID()},
		message.MethodExecute: message.Execute{ID: other.ID()},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		out, err := mux.Dispatch(ctx, gate.Caller{}, method, canon.Encode(in))
		cancel()
		if err == nil {
			t.Errorf("%s answers %d bytes before the pin", method, len(out))
		}
	}
	release()
	if _, err := m.D.Request(t.Context(), v.ID); err != nil {
		t.Error(err)
	}
}

// A permit without a result, because the process ended between the two, is settled by signing the same bytes, however late.
func TestPermitOutlivesItsRequest(t *testing.T) {
	t.Parallel()
	m, v := ready(t)
	m.faults.FailAt(domaintest.AnchorPin, 1, domaintest.After, true)
	if _, err := m.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 10)); err == nil {
		t.Fatal("signed after a crash")
	}
	m.crash()
	if err := m.Open(); err != nil {
		t.Fatal(err)
	}
	m.Clock.Advance(2 * time.Hour) // past the request's end
	m.Wallet("other", domaintest.Chain, request.SchemeEVM)
	first, err := m.D.Sign(context.Background(), v.ID, nil)
	if err != nil || len(first.Bytes) == 0 {
		t.Fatalf("the permit can't be settled: %v", err)
	}
	second, err := m.D.Sign(context.Background(), v.ID, ethPayload(t, 1000, 0, 10))
	if err != nil || !bytes.Equal(first.Bytes, second.Bytes) {
		t.Fatalf("with its payload: %v, %x, not %x", err, second.Bytes, first.Bytes)
	}
	for _, p := range [][]byte{ethPayload(t, 1000, 0, 20), ethPayload(t, 1000, 1, 10)} {
		if _, err := m.D.Sign(context.Background(), v.ID, p); err == nil {
			t.Fatal("another payload was signed after the request's end")
		}
	}
	m.Check()
}

// A retry gives the recorded outcome, though serve built it another payload meanwhile: it is no replacement, and no refusal.
func TestRetryWithAnotherPayload(t *testing.T) {
	t.Parallel()
	var m *machine
	var s *story
	var r request.Request
	submit := func(s *story, nonce, price uint64) (message.Request, error) {
		return s.h.D.Submit(context.Background(), message.Submit{Request: r.Encode(), Evidence: s.evidence(r), Payload: ethPayload(t, 7, nonce, price)})
	}
	for tries := 0; ; tries++ { // the pin that fails may be of what was recorded before, or of the request without its permit
		m, _ = ready(t)
		s = newStory(m.Harness, request.SchemeP2WPKH)
		if err := s.openSession(); err != nil {
			t.Fatal(err)
		}
		r = s.ask("auto", m.Service, request.Transfer, request.TransferBody{Wallet: "hot", Asset: domaintest.Chain.Native(),
			Outputs: []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(7)}}, FeeCap: custody.U64(21000 * 100)})
		m.faults.FailAt(domaintest.AnchorPin, 1, domaintest.After, true)
		if _, err := submit(s, 0, 10); err == nil {
			t.Fatal("answered after a crash")
		}
		v, err := m.clone(t).D.Request(context.Background(), r.ID())
		if err == nil && v.State == message.StateSigned {
			break
		}
		if tries == 20 || err != nil && problem.KindOf(err) != problem.NotFound {
			t.Fatalf("in the last of %d tries: %s, %v", tries+1, v.State, err)
		}
	}
	for _, retry := range [][2]uint64{{3, 10}, {0, 20}, {0, 5}} {
		c := m.clone(t)
		x := *s
		x.h = c.Harness
		if err := x.openSession(); err != nil {
			t.Fatal(err)
		}
		v, err := submit(&x, retry[0], retry[1])
		if err != nil || v.Signed == nil || v.Signed.Attempt != 1 || len(v.Signed.Bytes) == 0 {
			t.Fatalf("retry with nonce %d and price %d: %v, %+v", retry[0], retry[1], err, v.Signed)
		}
		if tx := unsigned(t, v.Signed.Bytes); !bytes.Equal(tx, ethPayload(t, 7, 0, 10)) {
			t.Errorf("retry with nonce %d and price %d: another payload was signed", retry[0], retry[1])
		}
		c.Check()
	}
}

// clone opens a copy of what a crash would leave.
func (m *machine) clone(t *testing.T) *machine {
	t.Helper()
	c := &machine{log: m.log.Clone(), anchor: m.anchor.Clone(), faults: &domaintest.Faults{}}
	o := m.Options
	o.TakeOver, o.Faults, o.Log, o.Anchor, o.Memory = false, c.faults, c.log, c.anchor, m.Options.Memory.Clone()
	c.Harness = m.Other(o)
	if err := c.Open(); err != nil {
		t.Fatal(err)
	}
	return c
}
