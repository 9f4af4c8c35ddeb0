// SPDX-License-Identifier: Apache-2.0

package secp

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParsePath(t *testing.T) {
	t.Parallel()
	const h = HardenedBit
	for _, tc := range []struct {
		text string
		want Path
	}{
		{"m", Path{}},
		{"m/0", Path{0}},
		{"m/0'", Path{h}},
		{"m/84'/0'/0'/0/7", Path{84 | h, h, h, 0, 7}},
		{"m/2147483647'/2147483647", Path{0xffffffff, 0x7fffffff}},
		{"m" + strings.Repeat("/2147483647'", MaxDepth), slices.Repeat(Path{0xffffffff}, MaxDepth)},
	} {
		got, err := ParsePath(tc.text)
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: got %v, %v; want %v", tc.text, got, err, tc.want)
		}
		if back := got.String(); back != tc.text {
			t.Errorf("%s: writes %s", tc.text, back)
		}
	}
}

func TestParsePathRefusals(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty":             "",
		"relative":          "0/1",
		"slash only":        "/",
		"no m":              "/0",
		"capital m":         "M/0",
		"trailing slash":    "m/0/",
		"empty level":       "m//0",
		"h mark":            "m/84h",
		"H mark":            "m/84H",
		"two marks":         "m/84''",
		"mark only":         "m/'",
		"leading zero":      "m/00",
		"leading zero 2":    "m/07",
		"plus":              "m/+1",
		"minus":             "m/-1",
		"hex":               "m/0x1",
		"underscore":        "m/1_0",
		"space":             "m/ 1",
		"space after":       "m/1 ",
		"2^31":              "m/2147483648",
		"2^31 hardened":     "m/2147483648'",
		"2^64":              "m/18446744073709551616",
		"wildcard":          "m/*",
		"too many levels":   "m" + strings.Repeat("/0", MaxDepth+1),
		"too long":          "m/" + strings.Repeat("0", MaxPathChars),
		"arabic-indic zero": "m/٠",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if p, err := ParsePath(text); !errors.Is(err, ErrPath) || p != nil {
				t.Errorf("%q: got %v, %v", text, p, err)
			} else if len(text) > MaxPathChars && !strings.Contains(err.Error(), "characters") {
				t.Errorf("a long text was not refused for its length: %v", err)
			}
		})
	}
}

func TestPathRoundTrip(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := Path(rapid.SliceOfN(rapid.Uint32(), 0, MaxDepth).Draw(t, "path"))
		if back, err := ParsePath(p.String()); err != nil || !slices.Equal(back, p) {
			t.Fatalf("%s: got %v, %v", p, back, err)
		}
	})
}

// Law: a path that is accepted has one spelling.
func FuzzParsePath(f *testing.F) {
	f.Add("m/84'/0'/0'/0/7")
	f.Add("m")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePath(s)
		if err == nil && p.String() != s {
			t.Fatalf("%q was accepted and is written %q", s, p)
		}
	})
}
