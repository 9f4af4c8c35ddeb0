// SPDX-License-Identifier: Apache-2.0

package canon_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
)

type inner struct {
	A uint64 `cbor:"1,keyasint"`
}

type thing struct {
	N    uint64            `cbor:"1,keyasint"`
	S    string            `cbor:"2,keyasint"`
	B    []byte            `cbor:"3,keyasint"`
	L    []inner           `cbor:"4,keyasint"`
	P    *inner            `cbor:"5,keyasint,omitempty"`
	I    int64             `cbor:"6,keyasint"`
	H    [2]byte           `cbor:"7,keyasint"`
	Flag bool              `cbor:"8,keyasint,omitempty"`
	M    map[string]uint64 `cbor:"9,keyasint,omitempty"`
}

// base is a thing, and the encoding that RFC 8949 section 4.2.1 gives it, written by hand.
var base = thing{N: 1, S: "a", B: []byte{7}, L: []inner{{2}}, I: -1, H: [2]byte{8, 9}}

const baseHex = "a7" + "0101" + "026161" + "034107" + "0481a10102" + "0620" + "07420809"

func TestOneEncoding(t *testing.T) {
	t.Parallel()
	want := strings.Replace(baseHex, "a7", "a6", 1)
	if got := hex.EncodeToString(canon.Encode(base)); got != want {
		t.Fatalf("encoding is %s, want %s", got, want)
	}
	none, empty := canon.Encode(thing{}), canon.Encode(thing{B: []byte{}, L: []inner{}})
	if !bytes.Equal(none, empty) {
		t.Fatalf("nil and empty lists differ: %x and %x", none, empty)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"empty":                      "",
		"cut off":                    "a6" + "0101026161034107048" + "1a10102" + "0620" + "0742",
		"trailing byte":              "a6" + "0101" + "026161" + "034107" + "0481a10102" + "0620" + "07420809" + "00",
		"duplicate key":              "a7" + "0101" + "0101" + "026161" + "034107" + "0481a10102" + "0620" + "07420809",
		"duplicate key of a map":     "a7" + "0101" + "026161" + "034107" + "0481a10102" + "0620" + "07420809" + "09a2616101616101",
		"unknown key":                "a7" + "0101" + "026161" + "034107" + "0481a10102" + "0620" + "07420809" + "1818f6",
		"unknown text key":           "a7" + "0101" + "026161" + "034107" + "0481a10102" + "0620" + "07420809" + "61786161",
		"key missing":                "a5" + "0101" + "026161" + "034107" + "0481a10102" + "0620",
		"keys out of order":          "a6" + "026161" + "0101" + "034107" + "0481a10102" + "0620" + "07420809",
		"indefinite map":             "bf" + "0101" + "026161" + "034107" + "0481a10102" + "0620" + "07420809" + "ff",
		"indefinite list":            "a6" + "0101" + "026161" + "034107" + "049fa10102ff" + "0620" + "07420809",
		"indefinite bytes":           "a6" + "0101" + "026161" + "035f4107ff" + "0481a10102" + "0620" + "07420809",
		"indefinite text":            "a6" + "0101" + "027f6161ff" + "034107" + "0481a10102" + "0620" + "07420809",
		"longer integer":             "a6" + "011801" + "026161" + "034107" + "0481a10102" + "0620" + "07420809",
		"longer length":              "a6" + "0101" + "02780161" + "034107" + "0481a10102" + "0620" + "07420809",
		"longer key":                 "a6" + "180101" + "026161" + "034107" + "0481a10102" + "0620" + "07420809",
		"float":                      "a6" + "01f93c00" + "026161" + "034107" + "0481a10102" + "0620" + "07420809",
		"tag":                        "a6" + "01c101" + "026161" + "034107" + "0481a10102" + "0620" + "07420809",
		"big integer":                "a6" + "01c24101" + "026161" + "034107" + "0481a10102" + "0620" + "07420809",
		"negative for unsigned":      "a6" + "0120" + "026161" + "034107" + "0481a10102" + "0620" + "07420809",
		"text for bytes":             "a6" + "0101" + "026161" + "036107" + "0481a10102" + "0620" + "07420809",
		"bytes for text":             "a6" + "0101" + "024161" + "034107" + "0481a10102" + "0620" + "07420809",
		"list for bytes":             "a6" + "0101" + "026161" + "038107" + "0481a10102" + "0620" + "07420809",
		"null for bytes":             "a6" + "0101" + "026161" + "03f6" + "0481a10102" + "0620" + "07420809",
		"null for a list":            "a6" + "0101" + "026161" + "034107" + "04f6" + "0620" + "07420809",
		"null for what is left out":  "a7" + "0101" + "026161" + "034107" + "0481a10102" + "05f6" + "0620" + "07420809",
		"undefined":                  "a6" + "01f7" + "026161" + "034107" + "0481a10102" + "0620" + "07420809",
		"false for what is left out": "a7" + "0101" + "026161" + "034107" + "0481a10102" + "0620" + "07420809" + "08f4",
		"invalid UTF-8":              "a6" + "0101" + "0261ff" + "034107" + "0481a10102" + "0620" + "07420809",
		"short array":                "a6" + "0101" + "026161" + "034107" + "0481a10102" + "0620" + "074108",
		"long array":                 "a6" + "0101" + "026161" + "034107" + "0481a10102" + "0620" + "0743080901",
		"not a map":                  "8101",
		"map keys out of order":      "a7" + "0101" + "026161" + "034107" + "0481a10102" + "0620" + "07420809" + "09a2616201616101",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := hex.DecodeString(in)
			if err != nil {
				t.Fatal(err)
			}
			var v thing
			if err := canon.Decode(b, &v); err == nil {
				t.Fatalf("decoded to %+v", v)
			}
		})
	}
}

func TestTooLarge(t *testing.T) {
	t.Parallel()
	var b []byte
	big := canon.Encode(make([]byte, canon.MaxSize))
	if err := canon.Decode(big, &b); err == nil {
		t.Fatal("an encoding above the limit was decoded")
	}
	if err := canon.DecodeLarge(big, &b); err != nil || len(b) != canon.MaxSize {
		t.Fatalf("large: %v", err)
	}
}

func drawThing(t *rapid.T) thing {
	v := thing{N: rapid.Uint64().Draw(t, "n"), S: rapid.String().Draw(t, "s"), B: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "b"), I: rapid.Int64().Draw(t, "i"),
		L: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) inner { return inner{rapid.Uint64().Draw(t, "a")} }), 0, 30).Draw(t, "l"), Flag: rapid.Bool().Draw(t, "flag"),
		M: rapid.MapOfN(rapid.StringMatching("[a-z]{0,4}"), rapid.Uint64(), 0, 5).Draw(t, "m")}
	if rapid.Bool().Draw(t, "p") {
		v.P = &inner{rapid.Uint64().Draw(t, "a")}
	}
	return v
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		b := canon.Encode(drawThing(t))
		var again thing
		if err := canon.Decode(b, &again); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(canon.Encode(again), b) {
			t.Fatal("decoding and encoding gives other bytes")
		}
	})
}

// What is accepted is the encoding of what it decodes to: no two inputs mean the same.
func FuzzDecode(f *testing.F) {
	f.Add(canon.Encode(base))
	f.Add(canon.Encode(thing{P: &inner{}, M: map[string]uint64{"b": 1, "a": 2}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var v thing
		if canon.Decode(b, &v) == nil && !bytes.Equal(canon.Encode(v), b) {
			t.Fatalf("%x was accepted and encodes to %x", b, canon.Encode(v))
		}
	})
}

func TestMessages(t *testing.T) {
	t.Parallel()
	enc := canon.Encode(base)
	want := append([]byte(string(canon.TagRequest)+"\x00"), enc...)
	if got := canon.Message(canon.TagRequest, base); !bytes.Equal(got, want) || !bytes.Equal(canon.TagBytes(canon.TagRequest, enc), want) {
		t.Fatalf("message is %x", got)
	}
	if canon.Hash(canon.TagRequest, base) != sha256.Sum256(want) || canon.HashBytes(canon.TagRequest, enc) != sha256.Sum256(want) {
		t.Fatal("the hash is not that of the message")
	}
}
