// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// benchWorld has a ledger of n entries.
func benchWorld(b *testing.B, n int) *world {
	b.Helper()
	w := ledgerWorld(b, nil)
	for i := range n {
		var a eth.Address
		a[0], a[1], a[2], a[18], a[19] = byte(i), byte(i>>8), byte(i>>16), byte(i>>4), byte(i>>12)
		r := record(listed, fmt.Sprintf("entry-%d", i), w.at(), w.s.Next)
		r.Entry = &policy.BookEntry{ID: r.ID, Chain: evm, Address: a.String(), Counterparty: "acme", Proof: request.SignedMessage, Kind: "customer", Tags: []string{"eu"}}
		w.s.book.write(w.s.Doc, []ledgerRecord{r})
	}
	w.advance(2 * time.Hour)
	return w
}

// BenchmarkLedger measures a decision on a transfer, and what a snapshot and a start cost, with so many entries.
func BenchmarkLedger(b *testing.B) {
	for _, n := range []int{100, 100_000} {
		w := benchWorld(b, n)
		x := w.s.book.entries["entry-50"]
		r := w.request(who("alice"), request.Transfer, payTo(x.Address, 1))
		p, err := request.Parse(r.Encode())
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("decide/%d", n), func(b *testing.B) {
			for b.Loop() {
				if e, err := w.s.DecideRequest(p, policy.BySignature, w.at(), Derive); err != nil || e.Facts.Destinations[0].Kind != policy.Whitelisted {
					b.Fatal(err, e)
				}
			}
		})
		b.Run(fmt.Sprintf("root/%d", n), func(b *testing.B) {
			for b.Loop() {
				_ = w.s.StateRoot()
			}
		})
		b.Run(fmt.Sprintf("restore/%d", n), func(b *testing.B) {
			raw, _ := w.s.Image().Encode()
			chunks := w.s.Chunks()
			size := len(raw)
			for _, c := range chunks {
				size += len(c)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
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
			runtime.GC()
			runtime.ReadMemStats(&after)
			b.ReportMetric(float64(size), "snapshot-bytes")
			b.ReportMetric(float64(after.HeapAlloc)-float64(before.HeapAlloc), "heap-bytes")
			runtime.KeepAlive(s)
		})
	}
}
