// SPDX-License-Identifier: Apache-2.0

package points

import (
	"encoding/hex"
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/canon"
)

func drawSet(t *rapid.T, name string) Set {
	return Set(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name))
}

// TestLaws compares the set with a map of numbers.
func TestLaws(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawSet(t, "a"), drawSet(t, "b")
		p := Point(rapid.Byte().Draw(t, "p"))
		for n := range 256 {
			q := Point(n)
			x, y := a.Has(q), b.Has(q)
			if a.Or(b).Has(q) != (x || y) || a.And(b).Has(q) != (x && y) || a.Minus(b).Has(q) != (x && !y) {
				t.Fatalf("point %d: %v and %v", n, x, y)
			}
			if a.With(p).Has(q) != (x || q == p) || a.Without(p).Has(q) != (x && q != p) {
				t.Fatalf("with or without %d, point %d", p, n)
			}
		}
		list := a.Points()
		if Make(list...) != a || len(list) != a.Len() || !slices.IsSorted(list) {
			t.Fatalf("got %v of %x", list, a)
		}
		if a.HasAll(b) != (a.Or(b) == a) || (a.Len() == 0) != a.IsZero() {
			t.Fatal("subset or empty set")
		}
		if known := a.And(Known()); (a.Check() == nil) != (known == a) || known.Check() != nil {
			t.Fatalf("check: %v", a.Check())
		} else if back, err := ParseSet(known.String()); err != nil || back != known {
			t.Fatalf("%s: got %s, %v", known, back, err)
		} else if back, err = ParseNames(known.Names()); err != nil || back != known {
			t.Fatalf("%s: got %s, %v", known, back, err)
		}
	})
}

// TestEncoding: 32 bytes, bit n of byte n/8, the least significant first.
func TestEncoding(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		set  Set
		want string
	}{
		{Set{}, "5820" + strings.Repeat("00", 32)},
		{Make(1), "582002" + strings.Repeat("00", 31)},
		{Make(8, 255), "582000" + "01" + strings.Repeat("00", 29) + "80"},
		{Make(SignECDSASecp256k1, SignBIP340), "5820" + strings.Repeat("00", 8) + "03" + strings.Repeat("00", 23)},
	} {
		b := canon.Encode(tt.set)
		var back Set
		if err := canon.Decode(b, &back); hex.EncodeToString(b) != tt.want || err != nil || back != tt.set {
			t.Errorf("%s: got %x, %s, %v; want %s", tt.set, b, back, err, tt.want)
		}
		for _, n := range []int{31, 33} {
			if err := canon.Decode(canon.Encode(make([]byte, n)), &back); err == nil {
				t.Errorf("%d bytes were taken for a set", n)
			}
		}
	}
}

// TestFrozen: every number and name that was ever given out is as it was, and each of today's is in the file.
func TestFrozen(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("testdata/frozen/points.txt")
	if err != nil {
		t.Fatal(err)
	}
	var seen Set
	for line := range strings.Lines(string(b)) {
		number, name, ok := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseUint(number, 10, 8)
		if !ok || err != nil {
			t.Fatalf("line %q", line)
		}
		if got := Point(n).String(); got != name {
			t.Errorf("point %d is %s, was %s", n, got, name)
		}
		if p, err := Parse(name); err != nil || p != Point(n) {
			t.Errorf("%s: got %d, %v, want %d", name, p, err, n)
		}
		seen = seen.With(Point(n))
	}
	if left := Known().Minus(seen); !left.IsZero() {
		t.Errorf("not in the file of frozen points: %s", left)
	}
}

// TestTable: number 0 is no point, names are distinct, and each point says what it is for.
func TestTable(t *testing.T) {
	t.Parallel()
	if Point(0).Known() {
		t.Error("0 is a point: a row that forgot its number would have one")
	}
	byName := map[string]Point{}
	for _, p := range Known().Points() {
		if other, again := byName[p.String()]; again || p.Meaning() == "" {
			t.Errorf("point %d: name %s is that of %d, or no meaning: %q", p, p, other, p.Meaning())
		}
		byName[p.String()] = p
	}
	for _, a := range acts {
		if a.point >= firstAlgorithm {
			t.Errorf("%s: an act has number %d", a.name, a.point)
		}
	}
	for _, r := range algorithm.All().Rows() {
		p, ok := Of(r.Mechanism)
		if !ok || !p.Known() || uint8(p) != r.Point || p >= firstAlgorithm && p.String() != r.PointName() {
			t.Errorf("%s: point %d, %v", r.Mechanism, p, ok)
		}
	}
	for m, want := range map[algorithm.Mechanism]Point{algorithm.BIP32: Derive, algorithm.ECDSASecp256k1: SignECDSASecp256k1, algorithm.BIP340: SignBIP340} {
		if p, ok := Of(m); !ok || p != want {
			t.Errorf("%s: got %s", m, p)
		}
	}
	if _, ok := Of("rot13"); ok {
		t.Error("an unknown algorithm has a point")
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", ",", "derive,", "Derive", "sign", "unknown-point-200", "derive,none", "64"} {
		if s, err := ParseSet(text); !errors.Is(err, ErrPoint) || !s.IsZero() {
			t.Errorf("%q: got %s, %v", text, s, err)
		}
	}
	if _, err := ParseSet("derive,derive"); err == nil {
		t.Error("a name twice was taken")
	}
	if s, err := ParseSet(" backup , derive "); err != nil || s != Make(Backup, Derive) {
		t.Errorf("got %s, %v", s, err)
	}
	if s, err := ParseSet("none"); err != nil || !s.IsZero() {
		t.Errorf("got %s, %v", s, err)
	}
	if got := Make(200, Derive).String(); got != "derive,unknown-point-200" {
		t.Errorf("got %s", got)
	}
	if err := Make(200).Check(); !errors.Is(err, ErrPoint) {
		t.Errorf("unknown point: got %v", err)
	}
}

// TestEvaluation: a new domain has nothing switched on that this list doesn't name.
func TestEvaluation(t *testing.T) {
	t.Parallel()
	const want = "change-points,add-points,wallet-create,derive,rotate-epoch,backup,restore,export-cold,modify-keys,destroy-keys," +
		"sign-ecdsa-secp256k1,sign-bip340"
	if got := Evaluation().String(); got != want {
		t.Errorf("got %s", got)
	}
	if err := Evaluation().Check(); err != nil {
		t.Error(err)
	}
}

func FuzzParseSet(f *testing.F) {
	f.Add("none")
	f.Add(Evaluation().String())
	f.Add("derive, backup,")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSet(text)
		if err != nil {
			return
		}
		if back, err := ParseSet(s.String()); err != nil || back != s || s.Check() != nil {
			t.Errorf("%q: got %s, then %s, %v", text, s, back, err)
		}
	})
}
