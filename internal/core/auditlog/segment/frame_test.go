// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/core/auditlog"
)

// The example bytes of docs/spec/log-store.md, computed apart from this code: frozen.
func TestBytesAreAsSpecified(t *testing.T) {
	t.Parallel()
	if got, want := hex.EncodeToString(formatHeader(5)), "5354524753454731"+"0500000000000000"+"00000000"+"f9c25be4"; got != want {
		t.Errorf("file header %s, want %s", got, want)
	}
	rec := auditlog.Record{Leaf: []byte("ab"), Bodies: [][]byte{nil, []byte("c")}}
	want := "13000000" + "0500000000000000" + "329e4aa1" + "02000000" + "02000000" + "00000000" + "01000000" + "6162" + "63"
	if got := hex.EncodeToString(appendFrame(nil, 5, rec)); got != want {
		t.Errorf("frame %s, want %s", got, want)
	}
}

func TestFrameRefusals(t *testing.T) {
	t.Parallel()
	good := appendFrame(nil, 5, auditlog.Record{Leaf: []byte("leaf"), Bodies: [][]byte{[]byte("body"), nil}})
	if n, _, err := nextFrame(append(bytes.Clone(good), 1, 2, 3), 5); err != nil || n != len(good) {
		t.Fatalf("good frame: %d, %v", n, err)
	}
	for i := range good {
		for _, flip := range []byte{1, 0x80} {
			b := bytes.Clone(good)
			b[i] ^= flip
			if _, _, err := nextFrame(b, 5); err == nil {
				t.Errorf("byte %d altered: accepted", i)
			}
		}
		if _, need, err := nextFrame(good[:i], 5); !errors.Is(err, errShort) || need <= i || need > len(good) {
			t.Errorf("cut to %d: need %d, %v", i, need, err)
		}
	}
	if _, _, err := nextFrame(good, 6); err == nil || errors.Is(err, errEnd) {
		t.Errorf("frame of another entry: %v", err)
	}
	if _, _, err := nextFrame(make([]byte, 16), 5); !errors.Is(err, errEnd) {
		t.Errorf("zeros: %v", err)
	}
}

// Lengths inside a frame with a good checksum are not believed either.
func TestPayloadRefusals(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"short":            "00000000000000",
		"leaf too long":    "0500000000000000" + "61626364",
		"leaf over limit":  "0000010000000000",
		"too many bodies":  "0000000041000000",
		"huge body count":  "00000000ffffffff",
		"body too long":    "0000000001000000" + "05000000" + "61",
		"bytes left over":  "0100000000000000" + "6162",
		"lengths cut off":  "0000000002000000" + "00000000",
		"huge body length": "0000000001000000" + "ffffffff" + "61",
	} {
		p, err := hex.DecodeString(payload)
		if err != nil {
			t.Fatal(err)
		}
		if r, err := parseFrame(append(make([]byte, frameHeader), p...)); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}

func TestParseName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int64{
		"00000000000000000000.seg": 0, "00000000000000000042.seg": 42,
		"42.seg": -1, "00000000000000000042": -1, "0000000000000000004x.seg": -1, "+0000000000000000042.seg": -1, "segment.new": -1,
		"99999999999999999999.seg": -1, "00000000000000000042.seg.seg": -1,
	} {
		if first, ok := parseName(name); ok != (want >= 0) || ok && first != uint64(want) {
			t.Errorf("%s: %d, %v", name, first, ok)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(appendFrame(nil, 1, auditlog.Record{Leaf: []byte("leaf"), Bodies: [][]byte{nil, []byte("x")}}), uint64(1))
	f.Add(make([]byte, 20), uint64(0))
	// Law: what is accepted as the frame of a record is the frame of that record.
	f.Fuzz(func(t *testing.T, b []byte, seq uint64) {
		n, need, err := nextFrame(b, seq)
		if errors.Is(err, errShort) && need <= len(b) {
			t.Fatalf("asks for %d bytes of %d", need, len(b))
		}
		if err != nil {
			return
		}
		rec, err := parseFrame(b[:n])
		if err != nil {
			return
		}
		if again := appendFrame(nil, seq, rec); !bytes.Equal(again, b[:n]) {
			t.Fatalf("%x is written %x", b[:n], again)
		}
		if rec.Check() != nil && rec.Size() <= auditlog.MaxRecord {
			t.Fatal("a record over the limits was read")
		}
	})
}

// FuzzPayload reaches past the checksum.
func FuzzPayload(f *testing.F) {
	f.Add(appendFrame(nil, 1, auditlog.Record{Leaf: []byte("leaf"), Bodies: [][]byte{nil, []byte("x")}})[frameHeader:])
	f.Fuzz(func(t *testing.T, p []byte) {
		rec, err := parseFrame(append(make([]byte, frameHeader), p...))
		if err == nil && !bytes.Equal(appendFrame(nil, 1, rec)[frameHeader:], p) {
			t.Fatalf("%x is written otherwise", p)
		}
	})
}

func TestFrameRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rec := auditlog.Record{
			Leaf:   rapid.SliceOfN(rapid.Byte(), 0, 100).Draw(t, "leaf"),
			Bodies: rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 0, 100), 0, 5).Draw(t, "bodies"),
		}
		b := appendFrame(nil, 9, rec)
		if len(b) != frameSize(rec) {
			t.Fatalf("frame has %d bytes, foretold %d", len(b), frameSize(rec))
		}
		n, _, err := nextFrame(b, 9)
		if err != nil || n != len(b) {
			t.Fatal(n, err)
		}
		got, err := parseFrame(b)
		if err != nil || !bytes.Equal(got.Leaf, rec.Leaf) || len(got.Bodies) != len(rec.Bodies) {
			t.Fatal(got, err)
		}
		for i := range got.Bodies {
			if !bytes.Equal(got.Bodies[i], rec.Bodies[i]) {
				t.Fatalf("body %d", i)
			}
		}
	})
}
