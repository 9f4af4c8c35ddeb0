// SPDX-License-Identifier: Apache-2.0

package slip39

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"pgregory.net/rapid"

	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
	"strongroom/internal/vectors"
)

// fataler is what a test and a property have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func take(t fataler, a *secret.Arena, b string) secret.Bytes {
	t.Helper()
	s, err := secret.Take(a, []byte(b))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func content(t fataler, s secret.Bytes) (out string) {
	t.Helper()
	if err := s.Use(func(b []byte) error { out = string(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// recombine brings a secret back from texts as strings.
func recombine(t fataler, a *secret.Arena, texts []string, passphrase string) ([]byte, error) {
	t.Helper()
	var list []secret.Bytes
	defer func() { wipeAll(list) }()
	for _, s := range texts {
		list = append(list, take(t, a, s))
	}
	var p secret.Bytes
	if passphrase != "" {
		p = take(t, a, passphrase)
		defer p.Wipe()
	}
	m, err := Combine(a, list, p)
	if err != nil {
		return nil, err
	}
	defer m.Wipe()
	return []byte(content(t, m)), nil
}

// vector is one of the published list: description, texts, secret or nothing, master key of BIP-32 or nothing.
type vector struct {
	name  string
	texts []string
	want  string
	xprv  string
}

func (v *vector) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&v.name, &v.texts, &v.want, &v.xprv})
}

// wants says how the invalid vectors must fail, by a part of their description.
var wants = []struct {
	part string
	want error
}{
	{"invalid checksum", ErrChecksum}, {"invalid padding", ErrPadding}, {"different identifiers", ErrMismatch},
	{"different iteration exponents", ErrMismatch}, {"mismatching group thresholds", ErrMismatch}, {"mismatching group counts", ErrMismatch},
	{"greater group threshold", ErrScheme}, {"duplicate member indices", ErrDuplicate}, {"mismatching member thresholds", ErrMismatch},
	{"invalid digest", ErrDigest}, {"Insufficient number of groups", ErrCount}, {"insufficient number of members", ErrCount},
	{"insufficient length", ErrLength}, {"invalid master secret length", ErrLength}, {"Basic sharing 2-of-3", ErrCount},
}

func TestPublishedVectors(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	for _, v := range vectors.Load[vector](t, "slip39/vectors.json", 45) {
		t.Run(v.name, func(t *testing.T) {
			got, err := recombine(t, a, v.texts, "TREZOR")
			if v.want == "" {
				for _, w := range wants {
					if strings.Contains(v.name, w.part) {
						if !errors.Is(err, w.want) {
							t.Errorf("got error %v, want %v", err, w.want)
						}
						return
					}
				}
				t.Fatal("nobody says how this one must fail")
			}
			if err != nil || hex.EncodeToString(got) != v.want {
				t.Fatalf("got %x, %v; want %s", got, err, v.want)
			}
			k, err := hdkeychain.NewMaster(got, &chaincfg.MainNetParams)
			if err != nil || k.String() != v.xprv {
				t.Errorf("the master key is %v, want %s (err %v)", k, v.xprv, err)
			}
		})
	}
}

func TestWordlist(t *testing.T) {
	t.Parallel()
	list := strings.Fields(wordlist)
	first := map[string]bool{}
	for i, w := range list {
		if len(w) < 4 || len(w) > maxWord || i > 0 && w <= list[i-1] || first[w[:4]] {
			t.Errorf("word %d, %q: length, order or first four letters", i, w)
		}
		first[w[:4]] = true
		if n, ok := numberOf(wordOf(uint16(i))); !ok || int(n) != i {
			t.Errorf("word %d: read as %d, %v", i, n, ok)
		}
	}
	dir := os.Getenv(vectors.Env)
	if dir == "" {
		return
	}
	published, err := os.ReadFile(filepath.Join(dir, "slip39", "wordlist.txt"))
	if err != nil || string(published) != wordlist {
		t.Errorf("the list is not the published one (err %v)", err)
	}
}

// TestField compares GF(256) with multiplication as polynomials, for all pairs.
func TestField(t *testing.T) {
	t.Parallel()
	slow := func(a, b int) (p int) {
		for i := range 8 {
			if b>>i&1 == 1 {
				p ^= a << i
			}
		}
		for i := 14; i >= 8; i-- {
			if p>>i&1 == 1 {
				p ^= 0x11b << (i - 8)
			}
		}
		return p
	}
	for a := range 256 {
		for b := range 256 {
			if got, want := mul(uint8(a), uint8(b)), slow(a, b); int(got) != want {
				t.Fatalf("%d × %d: got %d, want %d", a, b, got, want)
			}
		}
		if a > 0 && mul(uint8(a), inverse(uint8(a))) != 1 {
			t.Fatalf("1/%d is wrong", a)
		}
	}
}

func drawParams(r *rapid.T) Params {
	p := Params{ID: rapid.Uint16Range(0, 0x7fff).Draw(r, "id"), Extendable: rapid.Bool().Draw(r, "extendable")}
	for range rapid.IntRange(1, 3).Draw(r, "groups") {
		n := rapid.Uint8Range(1, 5).Draw(r, "members")
		m := uint8(1)
		if n > 1 {
			m = rapid.Uint8Range(2, n).Draw(r, "threshold")
		}
		p.Groups = append(p.Groups, Group{m, n})
	}
	p.GroupThreshold = rapid.Uint8Range(1, uint8(len(p.Groups))).Draw(r, "group threshold")
	return p
}

// TestLaws: any sufficient set of texts brings the secret back, one less is refused, the words say what they belong to, any case and white
// space is read, another passphrase gives another secret.
func TestLaws(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	rapid.Check(t, func(r *rapid.T) {
		n := 2 * rapid.IntRange(MinSecret/2, MaxSecret/2).Draw(r, "half")
		raw := rapid.SliceOfN(rapid.Byte(), n, n).Draw(r, "secret")
		pass := rapid.StringMatching(`[ -~]{0,20}`).Draw(r, "passphrase")
		p := drawParams(r)
		m := take(r, a, string(raw))
		defer m.Wipe()
		var ps secret.Bytes
		if pass != "" {
			ps = take(r, a, pass)
			defer ps.Wipe()
		}
		texts, err := Split(a, m, ps, p)
		if err != nil {
			r.Fatal(err)
		}
		var chosen []string
		order := rapid.Permutation(indices(len(texts))).Draw(r, "groups used")[:p.GroupThreshold]
		for i, group := range texts {
			defer wipeAll(group)
			for j, text := range group {
				h, err := Inspect(a, text)
				want := Header{p.ID, p.Extendable, 0, uint8(i), p.GroupThreshold, uint8(len(p.Groups)), uint8(j), p.Groups[i].Threshold}
				if err != nil || h != want {
					r.Fatalf("the words say %+v (err %v), want %+v", h, err, want)
				}
			}
		}
		for _, i := range order {
			for _, j := range rapid.Permutation(indices(len(texts[i]))).Draw(r, "members used")[:p.Groups[i].Threshold] {
				text := content(r, texts[i][j])
				if rapid.Bool().Draw(r, "typed") {
					text = " " + strings.ToUpper(strings.ReplaceAll(text, " ", "\r\n \t")) + "\n"
				}
				chosen = append(chosen, text)
			}
		}
		got, err := recombine(r, a, chosen, pass)
		if err != nil || !bytes.Equal(got, raw) {
			r.Fatalf("another secret came back (err %v)", err)
		}
		if got, err := recombine(r, a, chosen, pass+"x"); err != nil || bytes.Equal(got, raw) {
			r.Fatalf("another passphrase gave the secret (err %v)", err)
		}
		if _, err := recombine(r, a, chosen[1:], pass); !errors.Is(err, ErrCount) {
			r.Fatalf("one text less: got error %v", err)
		}
	})
}

func indices(n int) (out []int) {
	for i := range n {
		out = append(out, i)
	}
	return out
}

// example is 32 times 7 as one text.
func example(t fataler, a *secret.Arena) string {
	t.Helper()
	m := take(t, a, strings.Repeat("\x07", 32))
	defer m.Wipe()
	texts, err := Split(a, m, secret.Bytes{}, Single(0x1234))
	if err != nil {
		t.Fatal(err)
	}
	defer wipeAll(texts[0])
	return content(t, texts[0][0])
}

// TestMistypedWords: RS1024 finds any three wrong words; here each single one, and exchanges of neighbours.
func TestMistypedWords(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	good := strings.Fields(example(t, a))
	list := strings.Fields(wordlist)
	for i := range good {
		for _, w := range []string{list[0], list[511], list[1023]} {
			if good[i] == w {
				continue
			}
			bad := append([]string{}, good...)
			bad[i] = w
			if _, err := recombine(t, a, []string{strings.Join(bad, " ")}, ""); !errors.Is(err, ErrChecksum) {
				t.Errorf("word %d is %q: got error %v", i+1, w, err)
			}
		}
		if i > 0 && good[i] != good[i-1] {
			bad := append([]string{}, good...)
			bad[i], bad[i-1] = bad[i-1], bad[i]
			if _, err := recombine(t, a, []string{strings.Join(bad, " ")}, ""); !errors.Is(err, ErrChecksum) {
				t.Errorf("words %d and %d exchanged: got error %v", i, i+1, err)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	good := example(t, a)
	fields := strings.Fields(good)
	for name, tt := range map[string]struct {
		texts []string
		pass  string
		want  error
		part  string
	}{
		"none":                    {nil, "", ErrCount, "none"},
		"empty":                   {[]string{"  "}, "", ErrLength, "0"},
		"unknown word":            {[]string{strings.Replace(good, fields[2], "strongroom", 1)}, "", ErrWord, "text 1: slip39: not a word of the list: word 3"},
		"word cut":                {[]string{strings.Replace(good, fields[4], fields[4][:3], 1)}, "", ErrWord, "word 5"},
		"word with a letter more": {[]string{strings.Replace(good, fields[6], fields[6]+"x", 1)}, "", ErrWord, "word 7"},
		"a word less":             {[]string{strings.Join(fields[1:], " ")}, "", ErrLength, ""},
		"twice":                   {[]string{good, good}, "", ErrDuplicate, "text 2"},
		"too long":                {[]string{strings.Repeat(good+" ", 12)}, "", ErrLength, ""},
		"too many words":          {[]string{strings.Repeat("acid ", 120)}, "", ErrLength, "120"},
		"passphrase in Greek":     {[]string{good}, "κλειδί", ErrSecret, "ASCII"},
		"long passphrase":         {[]string{good}, strings.Repeat("a", MaxPassphrase+1), ErrSecret, "257"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := recombine(t, a, tt.texts, tt.pass)
			if !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(err), tt.part) {
				t.Errorf("got error %v, want %v with %q", err, tt.want, tt.part)
			}
			for _, w := range fields {
				if strings.Contains(strings.ReplaceAll(fmt.Sprint(err), "word", ""), w) {
					t.Errorf("the error says %q, a word of the secret", w)
				}
			}
		})
	}
}

func TestSplitRefuses(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	one := []Group{{1, 1}}
	for name, tt := range map[string]struct {
		size int
		p    Params
		want error
	}{
		"zero parameters":          {16, Params{}, ErrScheme},
		"short secret":             {14, Single(1), ErrSecret},
		"odd secret":               {17, Single(1), ErrSecret},
		"long secret":              {MaxSecret + 2, Single(1), ErrSecret},
		"id of 16 bits":            {16, Params{ID: 0x8000, GroupThreshold: 1, Groups: one}, ErrScheme},
		"exponent of 5 bits":       {16, Params{Exponent: 16, GroupThreshold: 1, Groups: one}, ErrScheme},
		"group threshold too high": {16, Params{GroupThreshold: 2, Groups: one}, ErrScheme},
		"1 of 2 members":           {16, Params{GroupThreshold: 1, Groups: []Group{{1, 2}}}, ErrScheme},
		"3 of 2 members":           {16, Params{GroupThreshold: 1, Groups: []Group{{3, 2}}}, ErrScheme},
		"17 members":               {16, Params{GroupThreshold: 1, Groups: []Group{{2, 17}}}, ErrScheme},
		"17 groups":                {16, Params{GroupThreshold: 1, Groups: make([]Group, 17)}, ErrScheme},
	} {
		t.Run(name, func(t *testing.T) {
			m := take(t, a, strings.Repeat("s", tt.size))
			defer m.Wipe()
			if _, err := Split(a, m, secret.Bytes{}, tt.p); !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := Split(a, secret.Bytes{}, secret.Bytes{}, Single(1)); !errors.Is(err, ErrSecret) {
		t.Errorf("wiped secret: got error %v", err)
	}
}

// TestLargest: the longest secret is read back, and its text is within MaxText.
func TestLargest(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	raw := strings.Repeat("\xff", MaxSecret)
	m := take(t, a, raw)
	defer m.Wipe()
	texts, err := Split(a, m, secret.Bytes{}, Single(7))
	if err != nil {
		t.Fatal(err)
	}
	defer wipeAll(texts[0])
	if got, err := recombine(t, a, []string{content(t, texts[0][0])}, ""); err != nil || string(got) != raw {
		t.Errorf("another secret came back (err %v)", err)
	}
}

// TestFullArena: where the arena has no room, nothing is left in it.
func TestFullArena(t *testing.T) {
	t.Parallel()
	a, err := secret.NewArena(secret.Config{Size: 4096})
	if err != nil {
		t.Fatal(err)
	}
	m := take(t, a, strings.Repeat("s", 64))
	p := Params{GroupThreshold: 3, Groups: []Group{{5, 9}, {9, 16}, {16, 16}}}
	if _, err := Split(a, m, secret.Bytes{}, p); !errors.Is(err, secret.ErrArenaFull) {
		t.Errorf("got error %v", err)
	}
	m.Wipe()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
}

// FuzzCombine: a text that is read gives a secret whose words, in the same frame, are the text.
func FuzzCombine(f *testing.F) {
	a := secrettest.Arena(f)
	f.Add(example(f, a))
	f.Add("")
	f.Add(strings.Repeat("academic ", 20))
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return
		}
		s := take(t, a, text)
		defer s.Wipe()
		m, err := readWords(a, s)
		if err != nil {
			return
		}
		defer m.value.Wipe()
		again, err := writeWords(a, m.Header, m.value)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Wipe()
		if got, want := content(t, again), strings.ToLower(strings.Join(strings.Fields(text), " ")); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}

func BenchmarkSingle66Bytes(b *testing.B) {
	a := secrettest.Arena(b)
	m := take(b, a, strings.Repeat("s", 66))
	defer m.Wipe()
	for b.Loop() {
		texts, err := Split(a, m, secret.Bytes{}, Single(7))
		if err != nil {
			b.Fatal(err)
		}
		wipeAll(texts[0])
	}
}
