// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const maxUint256 = "115792089237316195423570985008687907853269984665640564039457584007913129639935"

// drawUint draws a number; short ones and ones near the top come often.
func drawUint(t *rapid.T, label string) Uint256 {
	b := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 0x7f, 0x80, 0xfe, 0xff, 0x5a}), 0, 32).Draw(t, label)
	u, err := FromBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func toBig(u Uint256) *big.Int { return new(big.Int).SetBytes(u[:]) }

func TestFromDecimal(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"0", "1", "9", "10", "999999999999999999", "1000000000000000000", "1000000000000000001",
		"18446744073709551615", "18446744073709551616", "100000000000000000000000000000000000000", maxUint256} {
		u, err := FromDecimal(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got := u.String(); got != text {
			t.Errorf("got %s, want %s", got, text)
		}
		if got := toBig(u).String(); got != text {
			t.Errorf("bytes are %s, want %s", got, text)
		}
	}
	for _, tc := range []struct {
		text string
		want error
	}{
		{"", ErrDecimal}, {"00", ErrDecimal}, {"01", ErrDecimal}, {"+1", ErrDecimal}, {"-1", ErrDecimal}, {"-0", ErrDecimal},
		{" 1", ErrDecimal}, {"1 ", ErrDecimal}, {"1.0", ErrDecimal}, {"1e3", ErrDecimal}, {"0x1", ErrDecimal}, {"1_000", ErrDecimal},
		{"1,000", ErrDecimal}, {"٣", ErrDecimal}, {"a", ErrDecimal}, {strings.Repeat("1", 1000) + "x", ErrDecimal},
		{"115792089237316195423570985008687907853269984665640564039457584007913129639936", ErrOverflow},
		{"999999999999999999999999999999999999999999999999999999999999999999999999999999", ErrOverflow},
		{"1" + strings.Repeat("0", 78), ErrOverflow},
	} {
		if u, err := FromDecimal(tc.text); !errors.Is(err, tc.want) || !u.IsZero() {
			t.Errorf("%q: got %s, %v; want %v", tc.text, u, err, tc.want)
		}
	}
}

func TestUint256AgreesWithBig(t *testing.T) {
	t.Parallel()
	limit := new(big.Int).Lsh(big.NewInt(1), 256)
	rapid.Check(t, func(t *rapid.T) {
		u, v, m := drawUint(t, "u"), drawUint(t, "v"), rapid.Uint64().Draw(t, "m")
		check := func(op string, got Uint256, err error, want *big.Int) {
			if want.Cmp(limit) >= 0 {
				if !errors.Is(err, ErrOverflow) || !got.IsZero() {
					t.Fatalf("%s: got %s, %v; want an overflow", op, got, err)
				}
			} else if err != nil || toBig(got).Cmp(want) != 0 {
				t.Fatalf("%s: got %s, %v; want %s", op, got, err, want)
			}
		}
		sum, err := u.Add(v)
		check("sum", sum, err, new(big.Int).Add(toBig(u), toBig(v)))
		product, err := u.Mul64(m)
		check("product", product, err, new(big.Int).Mul(toBig(u), new(big.Int).SetUint64(m)))
		if got, want := u.Cmp(v), toBig(u).Cmp(toBig(v)); got != want {
			t.Fatalf("compare: got %d, want %d", got, want)
		}
		if got, want := u.String(), toBig(u).String(); got != want {
			t.Fatalf("text: got %s, want %s", got, want)
		}
		if back, err := FromDecimal(u.String()); err != nil || back != u {
			t.Fatalf("round trip of %s: got %s, %v", u, back, err)
		}
		if got, ok := u.Uint64(); ok != toBig(u).IsUint64() || (ok && got != toBig(u).Uint64()) {
			t.Fatalf("64 bits of %s: got %d, %v", u, got, ok)
		}
		if got := FromUint64(m); toBig(got).Cmp(new(big.Int).SetUint64(m)) != 0 {
			t.Fatalf("from 64 bits: got %s, want %d", got, m)
		}
	})
}

// Each limb of the product carries into the next: low word, high word and the sum of both.
func TestMul64Carries(t *testing.T) {
	t.Parallel()
	m := uint64(math.MaxUint64)
	for _, limbs := range [][4]uint64{{m, m - 1, 0, 0}, {m, m - 1, m - 1, 0}, {0, m, m - 1, 0}, {m, m, m, 0}} {
		u := fromLimbs(limbs)
		got, err := u.Mul64(m)
		if want := new(big.Int).Mul(toBig(u), new(big.Int).SetUint64(m)); err != nil || toBig(got).Cmp(want) != 0 {
			t.Errorf("%s: got %s, %v; want %s", u, got, err, want)
		}
	}
}

func TestUint64(t *testing.T) {
	t.Parallel()
	for i := range 24 {
		u := FromUint64(5)
		u[i] = 1
		if v, ok := u.Uint64(); ok {
			t.Errorf("byte %d set: fits as %d", i, v)
		}
	}
	if v, ok := (Uint256{24: 1, 31: 5}).Uint64(); !ok || v != 1<<56+5 {
		t.Errorf("got %d, %v", v, ok)
	}
}

func TestFromBytes(t *testing.T) {
	t.Parallel()
	if u, err := FromBytes(nil); err != nil || !u.IsZero() {
		t.Errorf("no bytes: got %s, %v", u, err)
	}
	if u, err := FromBytes([]byte{0, 1, 0}); err != nil || u != FromUint64(256) {
		t.Errorf("leading zero: got %s, %v", u, err)
	}
	if u, err := FromBytes(make([]byte, 33)); !errors.Is(err, ErrOverflow) {
		t.Errorf("33 bytes: got %s, %v", u, err)
	}
}

// Law: what is accepted is what String writes, and what math/big reads.
func FuzzFromDecimal(f *testing.F) {
	f.Add("0")
	f.Add(maxUint256)
	f.Fuzz(func(t *testing.T, s string) {
		u, err := FromDecimal(s)
		if err != nil {
			return
		}
		want, ok := new(big.Int).SetString(s, 10)
		if !ok || u.String() != s || toBig(u).Cmp(want) != 0 {
			t.Fatalf("%q was read as %s", s, u)
		}
	})
}
