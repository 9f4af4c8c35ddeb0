// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
)

// example is the content of docs/spec/backup.md.
func example() (Content, string) {
	return Content{
			Records: []Record{{Leaf: []byte{0xab}, Bodies: [][]byte{{}, {'c'}}}},
			Blobs:   []Blob{{Key: "00112233445566778899aabbccddeeff", Blob: []byte{0xde, 0xad}}},
		}, "0100000012" + "00000001" + "00000002" + "00000000" + "00000001" + "ab" + "63" +
			"0200000026" + "00000020" + hex.EncodeToString([]byte("00112233445566778899aabbccddeeff")) + "dead" +
			"0300000008" + "00000001" + "00000001"
}

func TestContentExample(t *testing.T) {
	t.Parallel()
	c, want := example()
	if got := hex.EncodeToString(c.Encode()); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got, err := DecodeContent(c.Encode())
	if err != nil || !reflect.DeepEqual(got, c) {
		t.Errorf("got %+v and error %v", got, err)
	}
}

// Whatever is taken away, added or changed in the frame of a content is refused, or read as what it says.
func TestContentRefusals(t *testing.T) {
	t.Parallel()
	c, _ := example()
	b := c.Encode()
	for n := range b {
		if _, err := DecodeContent(b[:n]); !errors.Is(err, ErrContent) {
			t.Errorf("the first %d bytes: got error %v", n, err)
		}
	}
	for name, b := range map[string][]byte{
		"more behind the end": append(bytes.Clone(b), 0),
		"a second end":        append(bytes.Clone(b), b[len(b)-13:]...),
		"an unknown item":     append([]byte{9, 0, 0, 0, 0}, b...),
		"a huge item":         append([]byte{1, 255, 255, 255, 255}, b...),
		"another count":       append(bytes.Clone(b[:len(b)-1]), 2),
		"a record after a blob": append(bytes.Clone(b[23:len(b)-13]),
			append(bytes.Clone(b[:23]), b[len(b)-13:]...)...),
		"nothing": nil,
	} {
		if _, err := DecodeContent(b); !errors.Is(err, ErrContent) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	bad := Content{Blobs: []Blob{{Key: "../../../etc/passwd"}}}
	if _, err := DecodeContent(bad.Encode()); !errors.Is(err, ErrContent) {
		t.Errorf("a key id that is a path: got error %v", err)
	}
}

func TestContentRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var c Content
		for range rapid.IntRange(0, 4).Draw(t, "records") {
			r := Record{Leaf: rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "leaf")}
			for range rapid.IntRange(0, 3).Draw(t, "bodies") {
				r.Bodies = append(r.Bodies, rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "body"))
			}
			c.Records = append(c.Records, r)
		}
		for range rapid.IntRange(0, 3).Draw(t, "blobs") {
			c.Blobs = append(c.Blobs, Blob{Key: custody.KeyID(hex.EncodeToString(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "key"))),
				Blob: rapid.SliceOfN(rapid.Byte(), 0, 9).Draw(t, "blob")})
		}
		got, err := DecodeContent(c.Encode())
		if err != nil || !bytes.Equal(got.Encode(), c.Encode()) || len(got.Records) != len(c.Records) || len(got.Blobs) != len(c.Blobs) {
			t.Fatalf("got %+v and error %v", got, err)
		}
	})
}

// FuzzDecodeContent: what is read has one encoding.
func FuzzDecodeContent(f *testing.F) {
	c, _ := example()
	f.Add(c.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeContent(b)
		if err == nil && !bytes.Equal(c.Encode(), b) {
			t.Fatal("two encodings")
		}
	})
}

// FuzzDecode: a manifest that is read is signed, and has one encoding.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{0xa0})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b)
		if err == nil && !bytes.Equal(m.Encode(), b) {
			t.Fatal("two encodings")
		}
	})
}

func TestNames(t *testing.T) {
	t.Parallel()
	p := Pack{First: 7, End: 1<<64 - 1}
	if got := p.Name(); got != "pack-00000000000000000007-18446744073709551615.srb" || !IsPackName(got) {
		t.Errorf("got %s", got)
	}
	if got := ManifestName(12); got != "manifest-00000000000000000012.srb" {
		t.Errorf("got %s", got)
	}
	if end, ok := ParseManifestName("manifest-00000000000000000012.srb"); !ok || end != 12 {
		t.Errorf("got %d, %v", end, ok)
	}
	for _, n := range []string{"", "manifest-12.srb", "manifest-00000000000000000012", "manifest-000000000000000000012.srb", "manifest-+0000000000000000012.srb",
		"manifest-99999999999999999999.srb", "pack-00000000000000000007.srb", "pack-7-8.srb", "../pack-00000000000000000007-00000000000000000008.srb",
		"pack-00000000000000000007-00000000000000000008.srb.new", ".new-0011"} {
		if _, ok := ParseManifestName(n); ok || IsPackName(n) {
			t.Errorf("%q is taken for ours", n)
		}
	}
}
