// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
)

// Every length has one form, which btcsuite writes too; the longer forms of the same number are refused.
func TestVarInt(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		value  uint64
		longer []string
	}{
		{0, []string{"fd0000", "fe00000000", "ff0000000000000000"}},
		{0xfc, []string{"fdfc00", "fefc000000", "fffc00000000000000"}},
		{0xfd, []string{"fefd000000", "fffd00000000000000"}},
		{0xffff, []string{"feffff0000", "ffffff000000000000"}},
		{0x10000, []string{"ff0000010000000000"}},
		{math.MaxUint32, []string{"ffffffffff00000000"}},
		{math.MaxUint32 + 1, nil},
		{math.MaxUint64, nil},
	} {
		b := appendVarInt(nil, v.value)
		var want bytes.Buffer
		if err := wire.WriteVarInt(&want, 0, v.value); err != nil || !bytes.Equal(b, want.Bytes()) {
			t.Errorf("%d: got %x, oracle %x, %v", v.value, b, want.Bytes(), err)
		}
		r := newReader(b)
		if got := r.varInt(); got != v.value || r.end() != nil {
			t.Errorf("%x: got %d, %v, want %d", b, got, r.end(), v.value)
		}
		for n := range b {
			r := newReader(b[:n])
			if got := r.varInt(); got != 0 || !errors.Is(r.end(), ErrTruncated) {
				t.Errorf("%x: got %d, %v, want %v", b[:n], got, r.end(), ErrTruncated)
			}
		}
		for _, s := range v.longer {
			r := newReader(unhex(t, s))
			if got := r.varInt(); got != 0 || !errors.Is(r.end(), ErrVarInt) {
				t.Errorf("%s: got %d, %v, want %v", s, got, r.end(), ErrVarInt)
			}
		}
	}
}

// The first refusal stays, and nothing is read after it.
func TestReaderKeepsTheFirstRefusal(t *testing.T) {
	t.Parallel()
	r := newReader(unhex(t, "fd0100"+"01020304050607080910"))
	r.varInt()
	if r.u8() != 0 || r.u32() != 0 || r.u64() != 0 || r.varInt() != 0 || r.take(1) != nil || r.varBytes(9) != nil || r.count(9, 1) != 0 {
		t.Fatal("read on after a refusal")
	}
	if err := r.end(); !errors.Is(err, ErrVarInt) || err.Error() != "at byte 3: "+ErrVarInt.Error() {
		t.Fatalf("got %v, want %v at byte 3", err, ErrVarInt)
	}
}
