// SPDX-License-Identifier: Apache-2.0

package canon_test

import (
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
)

func BenchmarkEncode(b *testing.B) {
	l := entry.Leaf{V: 1, Seq: 1 << 20, Kind: entry.KindRequest, KindVersion: 1, Engine: entry.Engine1, Writer: 1, Time: 1 << 60, Bodies: []entry.BodyRef{{Class: entry.Confidential, Len: 900}}}
	enc := canon.Encode(&l)
	for _, x := range []struct {
		name string
		do   func() error
	}{
		{"encode", func() error { canon.Encode(&l); return nil }},
		{"encode by the module", func() error { _, err := canon.OracleEncode(&l); return err }},
		{"decode", func() error { return canon.Decode(enc, new(entry.Leaf)) }},
		{"decode by the module", func() error { return canon.OracleDecode(enc, new(entry.Leaf)) }},
	} {
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := x.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
