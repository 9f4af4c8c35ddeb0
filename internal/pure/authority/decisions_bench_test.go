// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// withRules gives a document n rules: a route for each of as many wallets, a guard with an expression, five limits, an obligation, and in the end the
// route that takes what is asked for.
func withRules(n int) func(*policy.Document) {
	transfer := []request.Operation{request.Transfer}
	return func(d *policy.Document) {
		d.Limits = []policy.Limit{
			{ID: "day", When: policy.Match{Operations: transfer, Assets: []custody.AssetID{evm.Native()}}, Measure: policy.MeasureAmount, Max: overflow, Window: policy.Window{Rolling: day}, Exceeded: policy.Deny},
			{ID: "fees", When: policy.Match{Operations: transfer, Chains: []custody.ChainID{evm}}, Measure: policy.MeasureFee, Max: overflow, Window: policy.Window{Rolling: day}, Exceeded: policy.Deny},
			{ID: "payee", When: policy.Match{Operations: transfer, Assets: []custody.AssetID{evm.Native()}}, Measure: policy.MeasureAmount, Max: overflow, Window: policy.Window{Rolling: day},
				GroupBy: []policy.Aspect{policy.ByDestination}, Exceeded: policy.Deny},
			{ID: "times", When: policy.Match{Operations: transfer}, Measure: policy.MeasureCount, Max: overflow, Window: policy.Window{Rolling: day}, Exceeded: policy.Deny},
			{ID: "wallet", When: policy.Match{Operations: transfer, Assets: []custody.AssetID{evm.Native()}}, Measure: policy.MeasureAmount, Max: overflow, Window: policy.Window{Rolling: 7 * day},
				GroupBy: []policy.Aspect{policy.BySource}, Exceeded: policy.Deny},
		}
		d.Guards = append(d.Guards, policy.Guard{ID: "round", Effect: policy.Hold, When: policy.Match{Operations: transfer, Expr: `destinations.exists(d, d.amount > amount("1000000000000000000000"))`}})
		d.Obligations = []policy.Obligation{{ID: "many", When: policy.Match{Operations: transfer, AmountOver: amount(1 << 40)}, Add: policy.Addition{Delay: 60}}}
		d.Routes = d.Routes[1:4] // transfers, wallets, addresses
		for len(d.Routes)+len(d.Guards)+len(d.Limits)+len(d.Obligations) < n {
			i := len(d.Routes)
			d.Routes = append(d.Routes, policy.Route{ID: fmt.Sprintf("r%d", i), Priority: uint32(100 + i), Plan: d.ChangePlan,
				When: policy.Match{Operations: transfer, Wallets: []custody.WalletID{custody.WalletID(fmt.Sprintf("w%d", i))}, AmountMax: amount(5)}})
		}
		d.Routes[0].Priority = 1 << 20 // what takes the transfers comes last
		d.Routes = append(d.Routes[1:], d.Routes[0])
	}
}

// many counts n transfers without entries: it folds what their permits would use, in the same order, over so many payees and two days.
func (w *world) many(b *testing.B, n, payees int) {
	b.Helper()
	groups := make([][]policy.Charge, payees)
	for i := range groups {
		var a eth.Address
		a[0], a[1], a[2], a[19] = byte(i), byte(i>>8), byte(i>>16), 1
		f := policy.Facts{Operation: request.Transfer, Initiator: who("alice").id, Evidence: policy.BySignature, Wallet: "hot", Chain: evm, Asset: evm.Native(), Total: custody.U64(1), FeeCap: custody.U64(1),
			Destinations: []policy.Destination{{Address: a.String(), Amount: custody.U64(1), Kind: policy.OneTime}}}
		var err error
		if groups[i], err = w.s.Rules.Charges(f, custody.U64(1)); err != nil || len(groups[i]) != 5 {
			b.Fatal(err, groups[i])
		}
	}
	step := 2 * day * 1e9 / int64(n)
	for i := range n {
		w.now += step
		w.s.use(groups[i%payees], entry.Leaf{Time: w.now, Bound: w.bound})
	}
}

// BenchmarkDecisions measures whole decisions, as the core makes them when a request comes: what it does, guards, routes, obligations, what it takes from
// limits and whether they have that. It tells the memory of the state and how long a restore of its snapshot takes. scripts/bench --only decisions runs it.
func BenchmarkDecisions(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprintf("rules/%d", n), func(b *testing.B) { measured(b, ledgerWorld(b, withRules(n)), known) })
	}
	b.Run("ledger/100000", func(b *testing.B) {
		w := benchWorld(b, 100_000)
		measured(b, w, w.s.book.entries["entry-50"].Address)
	})
	for _, n := range []int{1_000_000, 10_000_000} {
		b.Run(fmt.Sprintf("events/%d", n), func(b *testing.B) {
			w := ledgerWorld(b, withRules(100))
			at := time.Now()
			w.many(b, n, 100_000)
			took := time.Since(at)
			b.Run("fold", func(b *testing.B) {
				b.ReportMetric(float64(took.Nanoseconds())/float64(n), "ns/event") // done before, once
				b.ReportMetric(float64(len(w.s.meters)), "meters")
			})
			measured(b, w, known)
		})
	}
}

// cpu reports the processor time of an operation, which others on the machine disturb less than the time on the clock.
func cpu(b *testing.B) func() {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	start := used()
	return func() { b.ReportMetric(float64(used()-start)/float64(b.N), "cpu-ns/op") }
}

// measured measures the decision on a transfer, what the rules alone take of it, and a restore.
func measured(b *testing.B, w *world, to string) {
	asked := w.request(who("alice"), request.Transfer, payTo(to, 1))
	p, err := request.Parse(asked.Encode())
	if err != nil {
		b.Fatal(err)
	}
	e, err := w.s.DecideRequest(p, policy.BySignature, w.at(), Derive)
	if err != nil || e.Decision.Outcome != policy.Allowed {
		b.Fatal(err, e)
	}
	paths := map[entry.KeyPath]Derived{}
	derive := func(x entry.Wallet, at entry.KeyPath) (Derived, error) { // as the core does, which keeps what it derived of the wallet
		if d, ok := paths[at]; ok {
			return d, nil
		}
		d, err := Derive(x, at)
		paths[at] = d
		return d, err
	}
	b.Run("whole", func(b *testing.B) {
		b.ReportAllocs()
		defer cpu(b)()
		for b.Loop() {
			if _, err := w.s.DecideRequest(p, policy.BySignature, w.at(), derive); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("rules-alone", func(b *testing.B) {
		b.ReportAllocs()
		defer cpu(b)()
		for b.Loop() {
			if d := w.s.Rules.Evaluate(e.Facts); d.Outcome != policy.Allowed {
				b.Fatal(d)
			}
		}
	})
	b.Run("rules-and-limits", func(b *testing.B) {
		b.ReportAllocs()
		defer cpu(b)()
		for b.Loop() {
			c := w.s.Rules.Case(e.Facts)
			if d := w.s.limited(c, Charge(c, Judge(c, nil), custody.U64(1000), false), nil, w.at()); d.Outcome != policy.Allowed {
				b.Fatal(d)
			}
		}
	})
	b.Run("restore", func(b *testing.B) {
		raw, _ := w.s.Image().Encode()
		chunks := w.s.Chunks()
		size := len(raw)
		for _, c := range chunks {
			size += len(c)
		}
		heap := func() float64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return float64(m.HeapAlloc)
		}
		before := heap()
		defer cpu(b)()
		var s *State
		for b.Loop() {
			var img Image
			if err := canon.DecodeLarge(raw, &img); err != nil {
				b.Fatal(err)
			}
			if s, err = Restore(img, func(h [32]byte) ([]byte, error) { return chunks[h], nil }); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(heap()-before, "heap-bytes")
		b.ReportMetric(float64(size), "snapshot-bytes")
		runtime.KeepAlive(s)
	})
}
