// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"bytes"
	"testing"

	"strongroom/internal/pure/tlog"
)

// Law: what parses is the one form of what it says.
func FuzzParseCheckpoint(f *testing.F) {
	f.Add("example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n")
	f.Add("o\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := tlog.ParseCheckpoint(text)
		if err != nil {
			return
		}
		if c.Text() != text {
			t.Fatalf("%q reads as %+v, which is written %q", text, c, c.Text())
		}
		if again, err := tlog.ParseCheckpoint(c.Text()); err != nil || again != c {
			t.Fatalf("round trip of %+v: %+v, %v", c, again, err)
		}
	})
}

// Law: nothing is accepted but what the key signed, whatever lines surround it.
func FuzzOpenCheckpoint(f *testing.F) {
	key, sign := newKey(f, origin, 1)
	c := tlog.Checkpoint{Origin: origin, Size: 0, Root: tlog.EmptyRoot()}
	signed, err := tlog.SignCheckpoint(c, key, sign)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte("o\n\n— o AAAAAAAA\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, err := tlog.OpenCheckpoint(b, key); err == nil && got != c {
			t.Fatalf("forged %+v", got)
		}
	})
}

// Law: what decodes encodes to the same bytes, and behaves as a frontier of its size.
func FuzzUnmarshalFrontier(f *testing.F) {
	for _, n := range []int{0, 1, 5, 8} {
		fr := grow(n).frontier()
		f.Add(fr.Marshal())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		fr, err := tlog.UnmarshalFrontier(b)
		if err != nil {
			return
		}
		if !bytes.Equal(fr.Marshal(), b) {
			t.Fatalf("%x encodes to %x", b, fr.Marshal())
		}
		fr.Root()
		if size := fr.Size(); size < tlog.MaxSize {
			fr.Append(tlog.EmptyRoot())
			if fr.Size() != size+1 {
				t.Fatal("append did not grow the tree by one")
			}
		}
	})
}

// Law: what parses is rebuilt by AppendBundle.
func FuzzParseBundle(f *testing.F) {
	f.Add([]byte{0, 1, 7, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		leaves, err := tlog.ParseBundle(b)
		if err != nil {
			return
		}
		var again []byte
		for _, l := range leaves {
			if again, err = tlog.AppendBundle(again, l); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(again, b) || len(leaves) > tlog.TileWidth {
			t.Fatalf("%x rebuilt as %x", b, again)
		}
	})
}
