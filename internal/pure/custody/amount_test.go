// SPDX-License-Identifier: Apache-2.0

package custody_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

var most = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))

func TestParseUint256(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"0", "1", "18446744073709551616", "100000000000000000000", most.String()} {
		u, err := custody.ParseUint256(s)
		if err != nil || u.String() != s {
			t.Errorf("%s: %v, %v", s, u, err)
		}
	}
	over := new(big.Int).Add(most, big.NewInt(1)).String()
	for name, s := range map[string]string{"empty": "", "leading zero": "01", "zeros": "00", "minus": "-1", "plus": "+1", "point": "1.0", "exponent": "1e3", "space before": " 1",
		"space after": "1 ", "underscore": "1_000", "comma": "1,000", "hex": "0x10", "letters": "ten", "other digits": "١", "one too large": over,
		"more digits": strings.Repeat("9", 79), "line end": "1\n", "zero byte": "1\x00"} {
		if u, err := custody.ParseUint256(s); !errors.Is(err, custody.ErrAmount) {
			t.Errorf("%s: %q gives %v, %v", name, s, u, err)
		}
	}
}

func drawAmount(t *rapid.T, name string) (custody.Uint256, *big.Int) {
	b := rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, name)
	var u custody.Uint256
	copy(u[32-len(b):], b)
	return u, new(big.Int).SetBytes(b)
}

func TestArithmetic(t *testing.T) {
	t.Parallel()
	same := func(t *rapid.T, what string, got custody.Uint256, ok bool, want *big.Int) {
		t.Helper()
		fits := want.Sign() >= 0 && want.Cmp(most) <= 0
		if ok != fits || fits && got.String() != want.String() {
			t.Fatalf("%s gives %v (%v), want %v", what, got, ok, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		u, a := drawAmount(t, "u")
		v, b := drawAmount(t, "v")
		m := rapid.Uint64().Draw(t, "m")
		sum, ok := u.Add(v)
		same(t, "add", sum, ok, new(big.Int).Add(a, b))
		diff, ok := u.Sub(v)
		same(t, "sub", diff, ok, new(big.Int).Sub(a, b))
		prod, ok := u.Mul64(m)
		same(t, "mul", prod, ok, new(big.Int).Mul(a, new(big.Int).SetUint64(m)))
		if u.Cmp(v) != a.Cmp(b) || u.IsZero() != (a.Sign() == 0) || u.String() != a.String() || (u == v) != (a.Cmp(b) == 0) {
			t.Fatal("comparison or text differs")
		}
		if x, ok := u.Uint64(); ok != a.IsUint64() || ok && x != a.Uint64() {
			t.Fatalf("uint64 of %v is %d, %v", a, x, ok)
		}
		if custody.U64(m).String() != new(big.Int).SetUint64(m).String() {
			t.Fatal("U64 differs")
		}
		if p, err := custody.ParseUint256(a.String()); err != nil || p != u {
			t.Fatalf("%v is read as %v, %v", a, p, err)
		}
	})
}

func TestAmountEncodings(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		u, a := drawAmount(t, "u")
		var again custody.Uint256
		enc := canon.Encode(u)
		if err := canon.Decode(enc, &again); err != nil || again != u {
			t.Fatalf("%x: %v, %v", enc, again, err)
		}
		if want := canon.Encode(a.Bytes()); string(want) != string(enc) {
			t.Fatalf("encoding is %x, want %x", enc, want)
		}
		j, err := json.Marshal(u)
		if err != nil || string(j) != `"`+a.String()+`"` {
			t.Fatalf("JSON is %s, %v", j, err)
		}
		if err := json.Unmarshal(j, &again); err != nil || again != u {
			t.Fatalf("%s: %v, %v", j, again, err)
		}
	})
	long := append([]byte{0x58, 33, 1}, make([]byte, 32)...)
	for name, b := range map[string][]byte{"leading zero": {0x42, 0, 1}, "zero byte": {0x41, 0}, "33 bytes": long, "integer": {1}, "text": {0x61, '1'}, "null": {0xf6}, "list": {0x81, 1}} {
		var u custody.Uint256
		if err := canon.Decode(b, &u); err == nil {
			t.Errorf("%s: %x gives %v", name, b, u)
		}
	}
	for _, j := range []string{"1", "1.5", "null", `"-1"`, `"0x1"`, `""`, `["1"]`, `"1e3"`} {
		u := custody.U64(5)
		if err := json.Unmarshal([]byte(j), &u); err == nil && j != "null" {
			t.Errorf("%s gives %v", j, u)
		}
	}
}

// Whatever text is accepted is the one spelling of its amount.
func FuzzParseUint256(f *testing.F) {
	f.Add("0")
	f.Add(most.String())
	f.Fuzz(func(t *testing.T, s string) {
		if u, err := custody.ParseUint256(s); err == nil && u.String() != s {
			t.Fatalf("%q was read as %s", s, u)
		}
	})
}
