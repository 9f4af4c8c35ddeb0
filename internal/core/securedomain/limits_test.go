// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/verify"
)

// limited lets a limit bound what the service pays in an hour, and what it may cost in fees.
func limited(d *policy.Document) {
	transfers := policy.Match{Operations: []request.Operation{request.Transfer}, Assets: []custody.AssetID{domaintest.Chain.Native()}}
	hour := policy.Window{Rolling: 3600}
	d.Limits = []policy.Limit{
		{ID: "an-hour", When: transfers, Measure: policy.MeasureAmount, Max: custody.U64(5000), Window: hour, Exceeded: policy.Deny},
		{ID: "fees", When: transfers, Measure: policy.MeasureFee, Max: custody.U64(1 << 60), Window: hour, Exceeded: policy.Hold},
	}
}

// TestLimitsInADomain: a limit holds across a restart and a lost snapshot, its refusals prove, and so do permits and replacements that take
// from it.
func TestLimitsInADomain(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: limited, SnapshotEvery: 8})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	proves := func(v message.Request) verify.Report {
		t.Helper()
		file, err := h.D.Proof(t.Context(), v.ID)
		if err != nil {
			t.Fatal(err)
		}
		r, err := verify.Proof(file, h.Genesis.LogKey)
		if err != nil {
			t.Fatal(err)
		}
		return *r
	}
	nonce := uint64(0)
	pays := func(amount uint64) message.Request {
		t.Helper()
		v, err := h.Submit(h.Service, pay(h, h.Service, domaintest.Whitelisted, amount), payload(t, domaintest.Whitelisted, amount, nonce, 10))
		if err != nil {
			t.Fatal(err)
		}
		nonce++
		return v
	}
	refused := func(amount uint64) {
		t.Helper()
		v, err := h.Submit(h.Service, pay(h, h.Service, domaintest.Whitelisted, amount), nil)
		if err != nil || v.State != "refused" || v.Decision.Unmet[0].Criterion != "limit" {
			t.Fatalf("got %+v, %v", v, err)
		}
		if r := proves(v); len(r.Notes) == 0 {
			t.Fatalf("%+v", r)
		}
	}
	v := pays(3000)
	if _, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 3000, 0, 20)); err != nil {
		t.Fatal(err)
	}
	if r := proves(v); len(r.Attempts) != 2 {
		t.Fatalf("%+v", r)
	}
	refused(2001)
	pays(2000)
	h.Reopen()
	refused(1)
	h.Clock.Advance(62 * time.Minute)
	proves(pays(5000))
	h.Check()
}

// TestLimitUnderManyCallers: however many ask at once, a limit is not passed, and what it has is given.
func TestLimitUnderManyCallers(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: limited})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 64 {
		r := pay(h, h.Service, domaintest.Whitelisted, 100)
		all.Go(func() {
			v, err := h.Submit(h.Service, r, nil)
			if err != nil {
				t.Error(err)
			}
			if v.State != "refused" {
				taken.Add(1)
			}
		})
	}
	all.Wait()
	if taken.Load() != 50 {
		t.Fatalf("%d of 64 were taken, 50 fit", taken.Load())
	}
	h.Check()
}
