// SPDX-License-Identifier: Apache-2.0

package ceremony

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha512"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"filippo.io/edwards25519"
	"pgregory.net/rapid"

	"strongroom/internal/secret"
)

func testArena(t testing.TB) *secret.Arena {
	t.Helper()
	a, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func testTake(t testing.TB, a *secret.Arena, text string) secret.Bytes {
	t.Helper()
	s, err := secret.Take(a, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wipe)
	return s
}

// fixed gives the same bytes each time, from a seed.
type fixed struct {
	name string
	seed uint64
}

func (f fixed) Name() string { return f.name }

func (f fixed) Read(_ context.Context, b []byte) error {
	r := rand.New(rand.NewPCG(f.seed, 2))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return nil
}

func rolls(n int, seed uint64) string {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = '1' + byte(r.IntN(6))
	}
	return string(b)
}

func testConfig(a *secret.Arena) Config {
	return Config{Arena: a, Ceremony: [32]byte{1}, Sources: []Source{fixed{"system", 1}, fixed{"root", 2}}, Dice: []string{"ada", "ben"}}
}

// TestAsStrongAsTheBestSource: with everything else fixed, salts too, the result changes when any one source does, in what it gives, its
// name or its place; and with the transcript.
func TestAsStrongAsTheBestSource(t *testing.T) {
	t.Parallel()
	a := testArena(t)
	opening := func(text string) secret.Bytes { return testTake(t, a, strings.Repeat("s", SaltSize)+text) }
	base := func() []*part {
		return []*part{
			{name: "system", value: opening(strings.Repeat("\x00", DrawSize))}, {name: "root", value: opening(strings.Repeat("\x01", DrawSize))},
			{name: "ada", value: opening(strings.Repeat("1", 50))}, {name: "ben", value: opening(strings.Repeat("1", 51))},
		}
	}
	result := func(transcript byte, parts []*part) string {
		t.Helper()
		m, err := mix(a, [32]byte{transcript}, parts)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Wipe()
		master, seed, err := divide(a, m)
		if err != nil {
			t.Fatal(err)
		}
		defer master.Wipe()
		defer seed.Wipe()
		var out []byte
		_ = master.Use(func(x []byte) error { out = append(out, x...); return nil })
		return string(out)
	}
	seen := map[string]string{result(1, base()): "nothing changed"}
	if len(seen) != 1 || seen[result(1, base())] == "" {
		t.Fatal("the same sources gave two results")
	}
	for name, change := range map[string]func([]*part){
		"system": func(p []*part) { p[0].value = opening("\x02" + strings.Repeat("\x00", DrawSize-1)) },
		"root":   func(p []*part) { p[1].value = opening(strings.Repeat("\x01", DrawSize-1) + "\x03") },
		"ada":    func(p []*part) { p[2].value = opening(strings.Repeat("1", 49) + "2") },
		"ben":    func(p []*part) { p[3].value = opening("2" + strings.Repeat("1", 50)) },
		"a salt": func(p []*part) {
			p[3].value = testTake(t, a, "x"+strings.Repeat("s", SaltSize-1)+strings.Repeat("1", 51))
		},
		"name":  func(p []*part) { p[3].name = "bob" },
		"order": func(p []*part) { p[2], p[3] = p[3], p[2] },
		// A roll moves from one to the other: what is joined is the same without lengths.
		"a roll moved": func(p []*part) {
			p[2].value, p[3].value = opening(strings.Repeat("1", 51)), opening(strings.Repeat("1", 50))
		},
	} {
		p := base()
		change(p)
		r := result(1, p)
		if other, ok := seen[r]; ok {
			t.Errorf("%s: the result is that of %s", name, other)
		}
		seen[r] = name
	}
	if other, ok := seen[result(2, base())]; ok {
		t.Errorf("another transcript: the result is that of %s", other)
	}
}

// TestMixFollowsTheSpec computes docs/spec/share.md section 5 by hand.
func TestMixFollowsTheSpec(t *testing.T) {
	t.Parallel()
	a := testArena(t)
	salt := strings.Repeat("s", SaltSize)
	m, err := mix(a, [32]byte{5}, []*part{{name: "system", value: testTake(t, a, salt+"abc")}, {name: "ada", value: testTake(t, a, salt+"123456")}})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Wipe()
	master, seed, err := divide(a, m)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Wipe()
	defer seed.Wipe()
	transcript := [32]byte{5}
	ikm := "\x00\x06system\x00\x00\x00\x23" + salt + "abc" + "\x00\x03ada\x00\x00\x00\x26" + salt + "123456"
	okm, err := hkdf.Key(sha512.New, []byte(ikm), transcript[:], "strongroom/entropy-mix/v1", 128)
	if err != nil {
		t.Fatal(err)
	}
	want, err := new(edwards25519.Scalar).SetUniformBytes(okm[:64])
	if err != nil {
		t.Fatal(err)
	}
	_ = master.Use(func(b []byte) error {
		if !bytes.Equal(b, want.Bytes()) {
			t.Errorf("master secret %x, want %x", b, want.Bytes())
		}
		return nil
	})
	_ = seed.Use(func(b []byte) error {
		if !bytes.Equal(b, okm[64:]) {
			t.Errorf("seed %x, want %x", b, okm[64:])
		}
		return nil
	})
}

func TestCommitmentFollowsTheSpec(t *testing.T) {
	t.Parallel()
	a := testArena(t)
	opening, c, err := NewOpening(a, [32]byte{3}, "dice/ada", testTake(t, a, "123456"))
	if err != nil {
		t.Fatal(err)
	}
	defer opening.Wipe()
	id := [32]byte{3}
	_ = opening.Use(func(b []byte) error {
		if want := sha512.Sum512([]byte("strongroom/entropy-source/v1\x00" + string(id[:]) + "\x00\x08dice/ada" + string(b))); c.Hash != want || c.Source != "dice/ada" {
			t.Errorf("got %s %x, want %x", c.Source, c.Hash, want)
		}
		return nil
	})
}

func TestCommitThenReveal(t *testing.T) {
	t.Parallel()
	a := testArena(t)
	d, err := Begin(t.Context(), testConfig(a))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if list := d.Commitments(); len(list) != 2 || list[0].Source != "system" || list[1].Source != "root" || list[0].Hash == list[1].Hash {
		t.Errorf("commitments at the start: %v", list)
	}
	one, c1, err := NewOpening(a, [32]byte{1}, "ada", testTake(t, a, rolls(50, 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer one.Wipe()
	two, c2, err := NewOpening(a, [32]byte{1}, "ben", testTake(t, a, rolls(50, 2)))
	if err != nil {
		t.Fatal(err)
	}
	defer two.Wipe()
	same, cs, err := NewOpening(a, [32]byte{1}, "ben", testTake(t, a, rolls(50, 1)))
	if err != nil {
		t.Fatal(err)
	}
	defer same.Wipe()
	check := func(name string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got error %v, want %v", name, err, want)
		}
	}
	check("shown before it was promised", d.Reveal("ada", one), ErrOrder)
	check("promised", d.Promise(c1), nil)
	check("promised twice", d.Promise(c1), ErrOrder)
	check("shown before all had promised", d.Reveal("ada", one), ErrOrder)
	check("complete before all", d.Complete(), ErrOrder)
	check("promised by a stranger", d.Promise(Commitment{Source: "eve"}), ErrInput)
	check("promised by a machine", d.Promise(Commitment{Source: "root"}), ErrInput)
	check("promised", d.Promise(c2), nil)
	check("shown something else", d.Reveal("ada", two), ErrPromise)
	check("shown", d.Reveal("ada", one), nil)
	check("shown twice", d.Reveal("ada", one), ErrOrder)
	check("shown something else", d.Reveal("ben", same), ErrPromise)
	check("shown", d.Reveal("ben", two), nil)
	check("complete", d.Complete(), nil)
	_, err = d.Roll("ada", testTake(t, a, rolls(50, 3)))
	check("rolled after promising", err, ErrOrder)

	again, err := Begin(t.Context(), testConfig(a))
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	check("promised", again.Promise(cs), nil)
	_, err = again.Roll("ada", testTake(t, a, rolls(50, 1)))
	check("rolled", err, nil)
	check("the same as another", again.Reveal("ben", same), ErrDice)
	again.Close()
	check("after the end", again.Reveal("ben", same), ErrOrder)
	check("after the end", again.Complete(), ErrOrder)
}

func TestBeginRefuses(t *testing.T) {
	t.Parallel()
	a := testArena(t)
	broken := errors.New("the device is gone")
	for name, tt := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"no arena":                {func(c *Config) { c.Arena = nil }, ErrInput},
		"no ceremony":             {func(c *Config) { c.Ceremony = [32]byte{} }, ErrInput},
		"no source":               {func(c *Config) { c.Sources = nil }, ErrInput},
		"33 sources":              {func(c *Config) { c.Dice = make([]string, 31) }, ErrInput},
		"one name for two":        {func(c *Config) { c.Dice = []string{"root"} }, ErrInput},
		"nameless":                {func(c *Config) { c.Dice = []string{""} }, ErrInput},
		"dice of one, production": {func(c *Config) { c.Production, c.Dice = true, c.Dice[:1] }, ErrInput},
		"two sources are one":     {func(c *Config) { c.Sources = append(c.Sources, fixed{"hwrng", 2}) }, ErrSource},
		"a source fails":          {func(c *Config) { c.Sources = append(c.Sources, failing{broken}) }, broken},
		"a source gives zeros":    {func(c *Config) { c.Sources = append(c.Sources, failing{}) }, ErrSource},
		"a source repeats itself": {func(c *Config) { c.Sources = append(c.Sources, repeating{}) }, ErrSource},
	} {
		c := testConfig(a)
		tt.change(&c)
		if d, err := Begin(t.Context(), c); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, error %v, want %v", name, d, err, tt.want)
		}
	}
}

type failing struct{ err error }

func (failing) Name() string                             { return "failing" }
func (f failing) Read(_ context.Context, _ []byte) error { return f.err }

type repeating struct{}

func (repeating) Name() string { return "repeating" }

func (repeating) Read(_ context.Context, b []byte) error {
	for i := range b {
		b[i] = byte(i % 32)
	}
	return nil
}

func TestProductionWantsEnoughDice(t *testing.T) {
	t.Parallel()
	a := testArena(t)
	c := testConfig(a)
	c.Production = true
	d, err := Begin(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for i, name := range c.Dice {
		if _, err := d.Roll(name, testTake(t, a, rolls(49, uint64(i)))); !errors.Is(err, ErrDice) {
			t.Errorf("49 rolls: got error %v", err)
		}
		if err := d.Complete(); !errors.Is(err, ErrOrder) {
			t.Errorf("not all rolled: got error %v", err)
		}
		if _, err := d.Roll(name, testTake(t, a, rolls(50, uint64(i)))); err != nil {
			t.Error(err)
		}
	}
	if err := d.Complete(); err != nil {
		t.Errorf("100 rolls by two: %v", err)
	}
	d.parts[3].count = 49
	if err := d.Complete(); !errors.Is(err, ErrDice) {
		t.Errorf("99 rolls in all: got error %v", err)
	}
}

func TestDiceThatNobodyRolled(t *testing.T) {
	t.Parallel()
	good := rolls(60, 4)
	if err := CheckRolls([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ rolls, part string }{
		"too few":         {rolls(MinRolls-1, 1), "49 rolls"},
		"too many":        {rolls(MaxRolls+1, 1), "1001 rolls"},
		"a seven":         {good[:30] + "7" + good[31:], "place 31"},
		"a zero":          {"0" + good[1:], "place 1"},
		"a space":         {good[:59] + " ", "place 60"},
		"one number":      {strings.Repeat("4", 60), "in a row"},
		"eleven in a row": {good[:20] + strings.Repeat("3", 11) + good[31:], "in a row"},
		"no six":          {strings.NewReplacer("6", "1", "5", "1").Replace(rolls(200, 1)), "unevenly"},
		"1 to 6":          {strings.Repeat("123456", 10), "every 6 rolls"},
		"to and fro":      {strings.Repeat("1234565432", 6), "unevenly|every 10 rolls"},
		"pairs":           {strings.Repeat("112233445566", 5), "every 12 rolls"},
		"one row, thrice": {strings.Repeat("16253416354", 5), "every 11 rolls"},
	} {
		err := CheckRolls([]byte(tt.rolls))
		ok := false
		for part := range strings.SplitSeq(tt.part, "|") {
			ok = ok || err != nil && strings.Contains(err.Error(), part)
		}
		if !errors.Is(err, ErrDice) || !ok {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

// TestFairDicePass: of rows of fair rolls, none in ten thousand is refused.
func TestFairDicePass(t *testing.T) {
	t.Parallel()
	refused := 0
	for seed := range uint64(10_000) {
		if err := CheckRolls([]byte(rolls(50+int(seed%100), seed))); err != nil {
			refused++
			t.Logf("%d: %v", seed, err)
		}
	}
	if refused > 1 {
		t.Errorf("%d of 10,000 fair rows are refused", refused)
	}
}

// TestDrawIsWiped: whatever is done in whatever order, nothing is left after Close (the arena's own check), and nothing panics.
func TestDrawIsWiped(t *testing.T) {
	t.Parallel()
	a := testArena(t)
	rapid.Check(t, func(r *rapid.T) {
		d, err := Begin(t.Context(), testConfig(a))
		if err != nil {
			r.Fatal(err)
		}
		for range rapid.IntRange(0, 8).Draw(r, "steps") {
			name := rapid.SampledFrom([]string{"ada", "ben", "eve", "root"}).Draw(r, "name")
			s, err := secret.Take(a, []byte(rolls(rapid.IntRange(1, 60).Draw(r, "n"), rapid.Uint64Range(0, 3).Draw(r, "seed"))))
			if err != nil {
				r.Fatal(err)
			}
			switch rapid.IntRange(0, 3).Draw(r, "step") {
			case 0:
				_, _ = d.Roll(name, s)
			case 1:
				_ = d.Promise(Commitment{Source: name})
			case 2:
				_ = d.Reveal(name, s)
			case 3:
				d.Close()
			}
			s.Wipe()
		}
		d.Close()
		if u := a.Usage(); u.Live != 0 {
			r.Fatalf("%d secrets are left", u.Live)
		}
	})
}
