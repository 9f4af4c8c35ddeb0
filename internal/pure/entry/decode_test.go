// SPDX-License-Identifier: Apache-2.0

package entry_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/entry"
)

func leaf() entry.Leaf {
	return entry.Leaf{V: 1, Seq: 7, Prev: [32]byte{1}, Kind: entry.KindRequest, KindVersion: 1, Engine: entry.Engine1, Writer: 1, Time: 5, Bound: 1,
		Bodies: []entry.BodyRef{entry.Ref(entry.Confidential, [16]byte{2}, []byte("body"))}}
}

func TestLeafRefused(t *testing.T) {
	t.Parallel()
	if l, err := entry.DecodeLeaf(leaf().Encode()); err != nil || !bytes.Equal(l.Encode(), leaf().Encode()) {
		t.Fatalf("%+v, %v", l, err)
	}
	for name, spoil := range map[string]func(*entry.Leaf){
		"version":        func(l *entry.Leaf) { l.V = 2 },
		"negative time":  func(l *entry.Leaf) { l.Time = -1 },
		"negative bound": func(l *entry.Leaf) { l.Bound = -1 },
		"no class":       func(l *entry.Leaf) { l.Bodies[0].Class = 0 },
		"unknown class":  func(l *entry.Leaf) { l.Bodies[0].Class = 4 },
		"large body":     func(l *entry.Leaf) { l.Bodies[0].Len = entry.MaxBody + 1 },
		"many bodies": func(l *entry.Leaf) {
			l.Bodies = append(make([]entry.BodyRef, 0), l.Bodies[0], l.Bodies[0], l.Bodies[0], l.Bodies[0], l.Bodies[0])
		},
		"large leaf": func(l *entry.Leaf) { l.Kind = entry.Kind(strings.Repeat("k", entry.MaxLeaf)) },
	} {
		l := leaf()
		spoil(&l)
		if _, err := entry.DecodeLeaf(l.Encode()); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A leaf names its body and nothing else: another byte, another salt, another length are found.
func TestBodyRef(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "body")
		salt := [16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "salt"))
		ref := entry.Ref(entry.Public, salt, body)
		if err := entry.CheckBody(ref, salt, body); err != nil {
			t.Fatal(err)
		}
		other := bytes.Clone(body)
		other[rapid.IntRange(0, len(body)-1).Draw(t, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		salty := salt
		salty[rapid.IntRange(0, 15).Draw(t, "salt at")] ^= 1
		longer := ref
		longer.Len++
		for name, err := range map[string]error{"body": entry.CheckBody(ref, salt, other), "salt": entry.CheckBody(ref, salty, body), "length": entry.CheckBody(longer, salt, body),
			"cut off": entry.CheckBody(ref, salt, body[:len(body)-1])} {
			if err == nil {
				t.Fatalf("another %s passes", name)
			}
		}
	})
}
