// SPDX-License-Identifier: Apache-2.0

package entry_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
)

func drawLeaf(t *rapid.T) entry.Leaf {
	hash := func(name string) [32]byte { return [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name)) }
	l := entry.Leaf{V: 1, Authority: custody.AuthorityID(hash("authority")), Domain: custody.DomainID(hash("domain")), Seq: rapid.Uint64().Draw(t, "seq"),
		Prev: hash("prev"), Kind: entry.Kind(rapid.StringN(0, 20, 40).Draw(t, "kind")), KindVersion: 1, Engine: entry.Engine1,
		Writer: rapid.Uint64().Draw(t, "writer"), Time: rapid.Int64Min(0).Draw(t, "time"), Bound: rapid.Int64Min(0).Draw(t, "bound"), Bodies: []entry.BodyRef{}}
	for range rapid.IntRange(0, entry.MaxBodies).Draw(t, "bodies") {
		l.Bodies = append(l.Bodies, entry.BodyRef{Class: entry.Public, Hash: hash("body"), Len: 3})
	}
	return l
}

func TestLeafRoundTripAndPrev(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		l := drawLeaf(t)
		b := l.Encode()
		got, err := entry.DecodeLeaf(b)
		if err != nil || !bytes.Equal(got.Encode(), b) {
			t.Fatalf("round trip: %v", err)
		}
		if prev, err := entry.PrevOf(b); err != nil || prev != l.Prev {
			t.Fatalf("PrevOf gives %x, %v; want %x", prev, err, l.Prev)
		}
	})
}

func FuzzDecodeLeaf(f *testing.F) {
	f.Add(entry.Leaf{V: 1, Kind: entry.KindGenesis, KindVersion: 1, Engine: entry.Engine1, Writer: 1, Bodies: []entry.BodyRef{}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		prev, perr := entry.PrevOf(b)
		l, err := entry.DecodeLeaf(b)
		if err != nil {
			return
		}
		if !bytes.Equal(l.Encode(), b) {
			t.Fatal("an accepted leaf has another encoding")
		}
		if perr != nil || prev != l.Prev {
			t.Fatalf("PrevOf gives %x, %v; the leaf has %x", prev, perr, l.Prev)
		}
	})
}
