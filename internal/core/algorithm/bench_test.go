// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"testing"

	described "strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/secp"

	"strongroom/internal/secret/secrettest"
)

// BenchmarkUse runs each algorithm as it is used: signing and the check before release, sealing and opening, both ends of an agreement
// (which makes the other end's key too), deriving a child.
func BenchmarkUse(b *testing.B) {
	table, a := newTable(b), secrettest.Arena(b)
	for _, r := range table.described.Rows() {
		for _, kind := range r.Kinds {
			b.Run(string(r.Mechanism)+"/"+string(kind), func(b *testing.B) {
				key, row := generate(b, table, a, kind), table.rows[r.Mechanism]
				b.ReportAllocs()
				for b.Loop() {
					err := table.pair(a, key, row)
					if r.Use == described.Derive {
						err = wiped(table.Derive(a, key, r.Mechanism, secp.Path{secp.HardenedBit}))
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
