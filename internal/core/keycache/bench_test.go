// SPDX-License-Identifier: Apache-2.0

package keycache

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"strongroom/internal/secret/secrettest"
)

// BenchmarkGet is a hit and a use, with Zipf(1.0) access over as many keys as the cache keeps.
func BenchmarkGet(b *testing.B) {
	for _, n := range []int{10, 1_000, 100_000} {
		for _, mask := range []bool{false, true} {
			b.Run(fmt.Sprintf("keys=%d/mask=%v", n, mask), func(b *testing.B) {
				a := secrettest.ArenaOf(b, 1<<16+n*256)
				c := newCache(b, Config{Entries: n, Idle: time.Hour, Uses: 1 << 40, Mask: mask})
				for key := range n {
					mustGet(b, c, start, key, value(a, key)).Release()
				}
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.0001, 1, uint64(n-1))
					for pb.Next() {
						h, err := c.Get(b.Context(), start, int(z.Uint64()), noLoad)
						if err != nil {
							b.Error(err)
							return
						}
						if err := h.Use(func([]byte) error { return nil }); err != nil {
							b.Error(err)
						}
						h.Release()
					}
				})
			})
		}
	}
}
