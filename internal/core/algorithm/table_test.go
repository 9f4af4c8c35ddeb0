// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	described "strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/points"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

func newTable(t testing.TB) *Table {
	t.Helper()
	table, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func take(t testing.TB, a *secret.Arena, b []byte) secret.Bytes {
	t.Helper()
	s, err := secret.Take(a, bytes.Clone(b))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wipe)
	return s
}

func generate(t testing.TB, table *Table, a *secret.Arena, k Kind) Key {
	t.Helper()
	key, err := table.Generate(t.Context(), a, System{}, k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(key.Secret.Wipe)
	return key
}

// content copies a secret for a look.
func content(t testing.TB, s secret.Bytes) (out []byte) {
	t.Helper()
	if err := s.Use(func(b []byte) error { out = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEveryRowHasBoth: each row of the description has code, known answers and a named control point, and there is no code without a
// description.
func TestEveryRowHasBoth(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	var want []Mechanism
	for _, r := range described.All().Rows() {
		want = append(want, r.Mechanism)
		if code, ok := table.rows[r.Mechanism]; !ok || !code.complete() || code.Point != r.Point {
			t.Errorf("%s lacks code or a known answer", r.Mechanism)
		}
		if p, ok := points.Of(r.Mechanism); !ok || !p.Known() || uint8(p) != r.Point {
			t.Errorf("%s: control point %s", r.Mechanism, p)
		}
		if r.PKCS11 == "" || r.Source == "" || r.Strength < 112 {
			t.Errorf("%s: not described: %+v", r.Mechanism, r)
		}
	}
	if got := table.Mechanisms(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for m := range answers {
		if !slices.Contains(want, m) {
			t.Errorf("known answers for %s, which is not described", m)
		}
	}
	for _, k := range described.All().Kinds() {
		if code := table.kinds[k.Kind]; code.Public == nil || (code.Generate == nil) != (k.Kind == described.KindFROSTShare) {
			t.Errorf("kind %s lacks code", k.Kind)
		}
	}
	if len(table.kinds) != len(described.All().Kinds()) {
		t.Errorf("%d kinds have code", len(table.kinds))
	}
}

// TestTablesThatContradictThemselves are refused, and so are rows without code.
func TestTablesThatContradictThemselves(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	good := table.rows[described.EdDSA]
	good.Mechanism, good.Point = "ed25519-again", 250
	kind := table.kinds[described.KindEd25519]
	kind.Kind = "ed25519-again"
	if _, err := table.With([]Keys{kind}, []Row{good}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Keys, *Row){
		"name of another row":  func(_ *Keys, r *Row) { r.Mechanism = described.EdDSA },
		"point of another row": func(_ *Keys, r *Row) { r.Point = 69 },
		"no point":             func(_ *Keys, r *Row) { r.Point = 0 },
		"no name":              func(_ *Keys, r *Row) { r.Mechanism = "" },
		"a comma":              func(_ *Keys, r *Row) { r.Mechanism = "a,b" },
		"unknown use":          func(_ *Keys, r *Row) { r.Use = "guess" },
		"no kinds":             func(_ *Keys, r *Row) { r.Kinds = nil },
		"unknown kind":         func(_ *Keys, r *Row) { r.Via = []Kind{"rot13"} },
		"no code":              func(_ *Keys, r *Row) { r.Verify = nil },
		"no known answer":      func(_ *Keys, r *Row) { r.Answers = nil },
		"code of another use":  func(_ *Keys, r *Row) { r.Use = described.MAC },
		"kind twice":           func(k *Keys, _ *Row) { k.Kind = described.KindP256 },
		"kind without public":  func(k *Keys, _ *Row) { k.Public = nil },
		"kind not generated":   func(k *Keys, _ *Row) { k.Generate = nil },
		"kind of a wrong size": func(k *Keys, _ *Row) { k.Size = 31 },
		"kind without size":    func(k *Keys, _ *Row) { k.Min, k.Max = 0, 0 },
	} {
		k, r := kind, good
		change(&k, &r)
		if _, err := table.With([]Keys{k}, []Row{r}); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestKnownAnswers(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	for _, m := range table.Mechanisms() {
		t.Run(string(m), func(t *testing.T) {
			if err := table.Check(a, m, nil); err != nil {
				t.Fatal(err)
			}
			for bit := range 8 {
				if err := table.Check(a, m, func(b []byte) { b[len(b)/2] ^= 1 << bit }); !errors.Is(err, ErrAnswer) {
					t.Fatalf("damage to bit %d is not seen: %v", bit, err)
				}
			}
		})
	}
	if err := table.Check(a, "rot13", nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown mechanism: got %v", err)
	}
}

// TestKnownAnswersCount: each part of an answer matters; with one bit of it changed the check fails.
func TestKnownAnswersCount(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	for m, list := range answers {
		for _, k := range list {
			parts := map[string]func(*KnownAnswer) *[]byte{
				"output":     func(k *KnownAnswer) *[]byte { return &k.Output },
				"public":     func(k *KnownAnswer) *[]byte { return &k.Public },
				"input":      func(k *KnownAnswer) *[]byte { return &k.Input },
				"secret":     func(k *KnownAnswer) *[]byte { return &k.Secret },
				"additional": func(k *KnownAnswer) *[]byte { return &k.Additional },
			}
			for name, part := range parts {
				changed := k
				p := part(&changed)
				if len(*p) == 0 {
					continue
				}
				*p = bytes.Clone(*p)
				(*p)[0] ^= 8 // no bit that X25519 ignores, nor the half of an ML-KEM seed that only matters for refusals
				if err := table.checkAnswer(a, table.rows[m], changed, func([]byte) {}); err == nil {
					t.Errorf("%s, %s: another %s passes", m, k.Source, name)
				}
			}
		}
	}
}

// TestGenerate makes a key of each kind and uses it by every mechanism that takes it, in a table whose names say what is to be done.
func TestGenerate(t *testing.T) {
	t.Parallel()
	table := newTable(t)
	for _, k := range table.described.Kinds() {
		t.Run(string(k.Kind), func(t *testing.T) {
			t.Parallel()
			a := secrettest.Arena(t)
			if k.Kind == described.KindFROSTShare {
				if _, err := table.Generate(t.Context(), a, System{}, k.Kind); !errors.Is(err, ErrUnfit) {
					t.Errorf("got %v", err)
				}
				return
			}
			key := generate(t, table, a, k.Kind)
			if n := key.Secret.Len(); n < k.Min || n > k.Max || len(key.Public) != k.Public {
				t.Errorf("secret of %d and public key of %d bytes", n, len(key.Public))
			}
			if k.Kind == described.KindRSA3072 || k.Kind == described.KindRSA4096 {
				return // another takes seconds
			}
			other := generate(t, table, a, k.Kind)
			if key.Secret.Equal(other.Secret) {
				t.Error("two keys are the same")
			}
			if k.Public > 0 {
				mixed := Key{Kind: k.Kind, Secret: key.Secret, Public: other.Public}
				if err := table.CheckPair(a, mixed); !errors.Is(err, ErrFault) {
					t.Errorf("another key's public half: got %v", err)
				}
			}
		})
	}
	if _, err := table.Generate(t.Context(), secrettest.Arena(t), System{}, "rot13"); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown kind: got %v", err)
	}
}

// broken fails, or gives the same bytes for ever.
type broken struct {
	err  error
	fill byte
}

func (s broken) Fill(_ context.Context, b []byte) error {
	for i := range b {
		b[i] = s.fill
	}
	return s.err
}

// TestGenerateWithABrokenSource leaves nothing behind: the arena is checked at the end.
func TestGenerateWithABrokenSource(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	gone := errors.New("the source is gone")
	for _, k := range table.described.Kinds() {
		if table.kinds[k.Kind].Generate == nil || k.Max > 256 { // RSA has a source of its own
			continue
		}
		if _, err := table.Generate(t.Context(), a, broken{err: gone}, k.Kind); !errors.Is(err, gone) {
			t.Errorf("%s: got %v", k.Kind, err)
		}
	}
	for _, k := range []Kind{described.KindSecp256k1, described.KindP256, described.KindP384} {
		if _, err := table.Generate(t.Context(), a, broken{fill: 0xff}, k); !errors.Is(err, ErrFault) {
			t.Errorf("%s, never in range: got %v", k, err)
		}
		if _, err := table.Generate(t.Context(), a, broken{}, k); !errors.Is(err, ErrFault) {
			t.Errorf("%s, always zero: got %v", k, err)
		}
	}
}

// TestFaultsAreWithheld damages each algorithm's results behind the table's back: no signature comes out, and no key passes its pairwise test.
func TestFaultsAreWithheld(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	for _, m := range table.Mechanisms() {
		r := table.rows[m]
		kind := r.Kinds[0]
		damaged := damage(r)
		if damaged.Use == described.Derive || damaged.Use == described.MAC {
			continue // one result, nothing to hold it against
		}
		faulty := &Table{described: table.described, kinds: table.kinds, rows: map[Mechanism]Row{}}
		for name, row := range table.rows {
			faulty.rows[name] = row
		}
		faulty.rows[m] = damaged
		if _, err := faulty.Generate(t.Context(), a, System{}, kind); !errors.Is(err, ErrFault) {
			t.Errorf("%s: a key was made: %v", m, err)
		}
		if r.Use != described.Sign {
			continue
		}
		key := generate(t, table, a, kind)
		if sig, err := faulty.Sign(key, m, make([]byte, 32), nil); !errors.Is(err, ErrFault) || sig != nil {
			t.Errorf("%s: got %x, %v", m, sig, err)
		}
	}
}

// damage gives a row whose results have a bit changed. What checks itself, in libsecp256k1's wrapper, has its check taken away: its own tests
// damage what it makes.
func damage(r Row) Row {
	flip := func(b []byte, err error) ([]byte, error) {
		if err == nil {
			b[len(b)-1] ^= 1
		}
		return b, err
	}
	good := r
	switch r.Use {
	case described.Sign:
		r.Verified = false
		r.Sign = func(k Kind, sk, pub, msg []byte, aux *[32]byte) ([]byte, error) {
			return flip(good.Sign(k, sk, pub, msg, aux))
		}
	case described.Encrypt:
		r.Encrypt = func(sk, plain, more []byte) ([]byte, error) { return flip(good.Encrypt(sk, plain, more)) }
	case described.Wrap:
		r.Wrap = func(sk, plain []byte) ([]byte, error) { return flip(good.Wrap(sk, plain)) }
	case described.Decrypt:
		r.DecryptFrom = func(k Kind, sk, sealed []byte) ([]byte, error) { return flip(good.DecryptFrom(k, sk, sealed)) }
	case described.KEM:
		r.Decapsulate = func(sk, capsule, out []byte) error {
			_, err := flip(out, good.Decapsulate(sk, capsule, out))
			return err
		}
	case described.Agree:
		first := true
		r.Agree = func(sk, peer, out []byte) error {
			err := good.Agree(sk, peer, out)
			if first && err == nil {
				out[0] ^= 1
			}
			first = false
			return err
		}
	}
	return r
}

// TestRepeatable: with an auxiliary value the same arguments give the same signature, or none; another value or none gives another one where
// there is a nonce.
func TestRepeatable(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	msg := bytes.Repeat([]byte{7}, 32)
	constant := map[Mechanism]bool{described.EdDSA: true, described.BLS: true, described.RSAPKCS1: true}
	for _, r := range table.described.Rows() {
		if r.Use != described.Sign {
			continue
		}
		key := generate(t, table, a, r.Kinds[0])
		one, err := table.Sign(key, r.Mechanism, msg, &[32]byte{1})
		if r.Mechanism == described.RSAPSS {
			if !errors.Is(err, ErrNotRepeatable) {
				t.Errorf("%s: got %v", r.Mechanism, err)
			}
			continue
		}
		two, again := table.Sign(key, r.Mechanism, msg, &[32]byte{1})
		if err != nil || again != nil || !bytes.Equal(one, two) {
			t.Errorf("%s: got %x and %x, %v, %v", r.Mechanism, one, two, err, again)
		}
		if r.Makes != 0 && len(one) != r.Makes {
			t.Errorf("%s: a signature of %d bytes, described with %d", r.Mechanism, len(one), r.Makes)
		}
		fresh, err := table.Sign(key, r.Mechanism, msg, nil)
		if err != nil || bytes.Equal(fresh, one) != constant[r.Mechanism] {
			t.Errorf("%s without an auxiliary value: got %x after %x, %v", r.Mechanism, fresh, one, err)
		}
	}
}
