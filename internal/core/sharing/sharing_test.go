// SPDX-License-Identifier: Apache-2.0

package sharing_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"
	"pgregory.net/rapid"

	"strongroom/internal/core/sharing"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// fataler is what a test and a property have in common.
type fataler interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func take(t fataler, a *secret.Arena, b []byte) secret.Bytes {
	t.Helper()
	s, err := secret.Take(a, bytes.Clone(b))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func content(t fataler, s secret.Bytes) (out []byte) {
	t.Helper()
	if err := s.Use(func(b []byte) error { out = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// master gives the canonical scalar that 64 bytes reduce to.
func master(t fataler, wide []byte) []byte {
	t.Helper()
	out := make([]byte, 32)
	if err := sharing.Reduce(out, wide); err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	wide = bytes.Repeat([]byte{5}, 64)
	seed = bytes.Repeat([]byte{9}, sharing.SeedSize)
)

// split makes shares of a master secret; the caller wipes them.
func split(t fataler, a *secret.Arena, m []byte, scheme share.Scheme) (share.Commitments, []sharing.Share) {
	t.Helper()
	ms, ss := take(t, a, m), take(t, a, seed)
	defer ms.Wipe()
	defer ss.Wipe()
	c, list, err := sharing.Split(a, ms, ss, scheme)
	if err != nil {
		t.Fatal(err)
	}
	return c, list
}

func encoded(t fataler, a *secret.Arena, s sharing.Share) []byte {
	t.Helper()
	e, err := s.Encode(a)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Wipe()
	return content(t, e)
}

func parse(t fataler, a *secret.Arena, b []byte) (sharing.Share, error) {
	t.Helper()
	e := take(t, a, b)
	defer e.Wipe()
	return sharing.Parse(a, e)
}

func combine(t fataler, a *secret.Arena, c share.Commitments, list []sharing.Share) []byte {
	t.Helper()
	m, err := sharing.Combine(a, c, list)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Wipe()
	return content(t, m)
}

func drawScheme(r *rapid.T, name string) share.Scheme {
	n := rapid.IntRange(1, share.MaxShares).Draw(r, name+" shares")
	return share.Scheme{Threshold: uint8(rapid.IntRange(1, n).Draw(r, name+" threshold")), Shares: uint8(n)}
}

// subset gives k of the shares, in any order.
func subset(r *rapid.T, list []sharing.Share, k int, name string) []sharing.Share {
	return rapid.Permutation(list).Draw(r, name)[:k]
}

// TestLaws: every m of n shares bring the secret back, m-1 don't, every share passes the public check, an encoded share is read as itself;
// after a refresh A_0 is the same, new shares bring the same secret back, and old and new don't mix.
func TestLaws(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	rapid.Check(t, func(r *rapid.T) {
		m := master(r, rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(r, "wide"))
		scheme := drawScheme(r, "first")
		c, list := split(r, a, m, scheme)
		defer sharing.WipeAll(list)
		if c.Scheme() != scheme || len(list) != int(scheme.Shares) {
			r.Fatalf("%d shares of %v", len(list), c.Scheme())
		}
		again, err := share.Parse(scheme, c.Encode())
		if err != nil || again.Hash() != c.Hash() {
			r.Fatalf("commitments are not read as themselves: %v", err)
		}
		for i, s := range list {
			if err := sharing.Check(again, s); err != nil || int(s.Index()) != i+1 {
				r.Fatalf("share %d: index %d, %v", i+1, s.Index(), err)
			}
			b := encoded(r, a, s)
			p, err := parse(r, a, b)
			if err != nil || !bytes.Equal(encoded(r, a, p), b) {
				r.Fatalf("share %d is not read as itself: %v", i+1, err)
			}
			p.Wipe()
		}
		k := rapid.IntRange(int(scheme.Threshold), int(scheme.Shares)).Draw(r, "k")
		if got := combine(r, a, c, subset(r, list, k, "enough")); !bytes.Equal(got, m) {
			r.Fatal("enough shares brought back another secret")
		}
		if _, err := sharing.Combine(a, c, subset(r, list, int(scheme.Threshold)-1, "too few")); !errors.Is(err, sharing.ErrTooFew) {
			r.Fatalf("too few: got error %v", err)
		}
		next := drawScheme(r, "next")
		ss := take(r, a, seed)
		defer ss.Wipe()
		c2, list2, err := sharing.Refresh(a, c, subset(r, list, int(scheme.Threshold), "for refresh"), ss, next)
		if err != nil {
			r.Fatal(err)
		}
		defer sharing.WipeAll(list2)
		if !c2.Secret().Equal(c.Secret()) || c2.Hash() == c.Hash() && next.Threshold > 1 {
			r.Fatal("a refresh changed A_0, or nothing")
		}
		if got := combine(r, a, c2, subset(r, list2, int(next.Threshold), "new")); !bytes.Equal(got, m) {
			r.Fatal("new shares brought back another secret")
		}
		if scheme.Threshold > 1 || next.Threshold > 1 {
			if _, err := sharing.Combine(a, c2, list); !errors.Is(err, sharing.ErrWrongShare) && !errors.Is(err, share.ErrIndex) {
				r.Fatalf("old shares under new commitments: got error %v", err)
			}
		}
	})
}

// TestSecondImplementation: another library brings the secret back from our shares, and computes the same commitment to each share.
func TestSecondImplementation(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	g := group.Ristretto255
	h := g.NewElement()
	gen := share.Generator().Encode()
	if err := h.UnmarshalBinary(gen[:]); err != nil {
		t.Fatal(err)
	}
	scalar := func(r *rapid.T, b []byte) group.Scalar {
		s := g.NewScalar()
		if err := s.UnmarshalBinary(b); err != nil {
			r.Fatal(err)
		}
		return s
	}
	rapid.Check(t, func(r *rapid.T) {
		m := master(r, rapid.SliceOfN(rapid.Byte(), 64, 64).Draw(r, "wide"))
		scheme := drawScheme(r, "scheme")
		c, list := split(r, a, m, scheme)
		defer sharing.WipeAll(list)
		points := make([]group.Element, scheme.Threshold)
		for j := range points {
			points[j] = g.NewElement()
			if err := points[j].UnmarshalBinary(c.Encode()[32*j : 32*j+32]); err != nil {
				r.Fatal(err)
			}
		}
		var values, blinds []secretsharing.Share
		for _, s := range list {
			b := encoded(r, a, s)
			id := g.NewScalar().SetUint64(uint64(b[0]))
			v, bl := scalar(r, b[1:33]), scalar(r, b[33:])
			values = append(values, secretsharing.Share{ID: id, Value: v})
			blinds = append(blinds, secretsharing.Share{ID: id, Value: bl})
			want := g.Identity()
			for j := len(points) - 1; j >= 0; j-- {
				want = g.NewElement().Add(g.NewElement().Mul(want, id), points[j])
			}
			left := g.NewElement().Add(g.NewElement().MulGen(v), g.NewElement().Mul(h, bl))
			if !left.IsEqual(want) {
				r.Fatalf("share %d does not fit the commitments", b[0])
			}
		}
		th := uint(scheme.Threshold) - 1
		s, err := secretsharing.Recover(th, values)
		if err != nil {
			r.Fatal(err)
		}
		if got, _ := s.MarshalBinary(); !bytes.Equal(got, m) {
			r.Fatal("the other library brings back another secret")
		}
		b, err := secretsharing.Recover(th, blinds)
		if err != nil {
			r.Fatal(err)
		}
		if !g.NewElement().Add(g.NewElement().MulGen(s), g.NewElement().Mul(h, b)).IsEqual(points[0]) {
			r.Fatal("secret and blinding don't open the first commitment")
		}
	})
}

// TestTheirShares: shares that another library made, with commitments computed by it, are read, checked and combined.
func TestTheirShares(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	g := group.Ristretto255
	h := g.NewElement()
	gen := share.Generator().Encode()
	if err := h.UnmarshalBinary(gen[:]); err != nil {
		t.Fatal(err)
	}
	// Linear polynomials: s + 7x and t + 11x, so that the commitments are known.
	s, b := g.RandomNonZeroScalar(nil), g.RandomScalar(nil)
	seven, eleven := g.NewScalar().SetUint64(7), g.NewScalar().SetUint64(11)
	var commitments []byte
	for _, p := range [][2]group.Scalar{{s, b}, {seven, eleven}} {
		e, err := g.NewElement().Add(g.NewElement().MulGen(p[0]), g.NewElement().Mul(h, p[1])).MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		commitments = append(commitments, e...)
	}
	c, err := share.Parse(share.Scheme{Threshold: 2, Shares: 3}, commitments)
	if err != nil {
		t.Fatal(err)
	}
	var list []sharing.Share
	for i := range uint64(3) {
		x := g.NewScalar().SetUint64(i + 1)
		v, _ := g.NewScalar().Add(s, g.NewScalar().Mul(seven, x)).MarshalBinary()
		w, _ := g.NewScalar().Add(b, g.NewScalar().Mul(eleven, x)).MarshalBinary()
		p, err := parse(t, a, slices.Concat([]byte{byte(i + 1)}, v, w))
		if err != nil {
			t.Fatal(err)
		}
		defer p.Wipe()
		if err := sharing.Check(c, p); err != nil {
			t.Error(err)
		}
		list = append(list, p)
	}
	want, _ := s.MarshalBinary()
	for _, pick := range [][]sharing.Share{{list[0], list[1]}, {list[2], list[0]}, {list[1], list[2]}, list} {
		if got := combine(t, a, c, pick); !bytes.Equal(got, want) {
			t.Error("another secret came back")
		}
	}
}

func TestSplitsDiffer(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	m := master(t, wide)
	c1, l1 := split(t, a, m, share.Scheme{Threshold: 2, Shares: 3})
	c2, l2 := split(t, a, m, share.Scheme{Threshold: 2, Shares: 3})
	defer sharing.WipeAll(l1)
	defer sharing.WipeAll(l2)
	if c1.Secret().Equal(c2.Secret()) || c1.Hash() == c2.Hash() || bytes.Equal(encoded(t, a, l1[0]), encoded(t, a, l2[0])) {
		t.Error("two splits of one secret from one seed are alike: the system's randomness is not in them")
	}
}

func TestCombineRefuses(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	scheme := share.Scheme{Threshold: 3, Shares: 5}
	c, list := split(t, a, master(t, wide), scheme)
	_, foreign := split(t, a, master(t, wide), scheme)
	defer sharing.WipeAll(list)
	defer sharing.WipeAll(foreign)
	altered := func(i, at int) sharing.Share {
		b := encoded(t, a, list[i])
		b[at] ^= 1
		s, err := parse(t, a, b)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Wipe)
		return s
	}
	wiped, err := parse(t, a, encoded(t, a, list[2]))
	if err != nil {
		t.Fatal(err)
	}
	wiped.Wipe()
	tests := []struct {
		name string
		list []sharing.Share
		want error
		text string
	}{
		{"none", nil, sharing.ErrTooFew, "0, 3 are needed"},
		{"m-1", list[:2], sharing.ErrTooFew, "2, 3 are needed"},
		{"duplicate", []sharing.Share{list[0], list[1], list[1]}, sharing.ErrDuplicate, "one index: 2"},
		{"duplicate beside enough", []sharing.Share{list[0], list[1], list[2], list[1]}, sharing.ErrDuplicate, "one index: 2"},
		{"value altered", []sharing.Share{list[0], altered(1, 1), list[2]}, sharing.ErrWrongShare, "share 2"},
		{"blinding altered", []sharing.Share{list[0], altered(1, 40), list[2]}, sharing.ErrWrongShare, "share 2"},
		{"index altered", []sharing.Share{altered(4, 0), list[0], list[1]}, sharing.ErrWrongShare, "share 4"},
		{"two altered", []sharing.Share{altered(0, 5), altered(1, 5), list[2]}, sharing.ErrWrongShare, "share 2"},
		{"one altered beyond enough", []sharing.Share{list[0], list[1], list[2], altered(4, 9)}, sharing.ErrWrongShare, "share 5"},
		{"of another ceremony", []sharing.Share{list[0], list[1], foreign[2]}, sharing.ErrWrongShare, "share 3"},
		{"all of another ceremony", foreign, sharing.ErrWrongShare, "share 1"},
		{"wiped", []sharing.Share{list[0], list[1], wiped}, secret.ErrWiped, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := sharing.Combine(a, c, tt.list); !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got error %v, want %v with %q", err, tt.want, tt.text)
			}
		})
	}
	if _, err := sharing.Combine(a, share.Commitments{}, list); !errors.Is(err, share.ErrIndex) {
		t.Errorf("no commitments: got error %v", err)
	}
	if _, err := sharing.Combine(a, share.Commitments{}, nil); !errors.Is(err, sharing.ErrTooFew) {
		t.Errorf("nothing at all: got error %v", err)
	}
}

func TestSplitRefuses(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	order, err := hex.DecodeString("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	if err != nil {
		t.Fatal(err)
	}
	ok := share.Scheme{Threshold: 2, Shares: 3}
	for _, tt := range []struct {
		name         string
		master, seed []byte
		scheme       share.Scheme
		want         error
	}{
		{"master of 0", make([]byte, 32), seed, ok, sharing.ErrMaster},
		{"master of the order", order, seed, ok, sharing.ErrMaster},
		{"short master", make([]byte, 31), seed, ok, sharing.ErrMaster},
		{"short seed", master(t, wide), seed[1:], ok, sharing.ErrMaster},
		{"no threshold", master(t, wide), seed, share.Scheme{Shares: 3}, share.ErrScheme},
		{"threshold above the shares", master(t, wide), seed, share.Scheme{Threshold: 4, Shares: 3}, share.ErrScheme},
		{"too many shares", master(t, wide), seed, share.Scheme{Threshold: 2, Shares: 17}, share.ErrScheme},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, s := take(t, a, tt.master), take(t, a, tt.seed)
			defer m.Wipe()
			defer s.Wipe()
			if _, _, err := sharing.Split(a, m, s, tt.scheme); !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	_, list := split(t, a, master(t, wide), share.Scheme{Threshold: 2, Shares: 2})
	defer sharing.WipeAll(list)
	good := encoded(t, a, list[0])
	high := bytes.Repeat([]byte{0xff}, 32)
	for name, b := range map[string][]byte{
		"short": good[:64], "long": append(bytes.Clone(good), 0), "index 0": append([]byte{0}, good[1:]...), "index 17": append([]byte{17}, good[1:]...),
		"value not below the order": slices.Concat(good[:1], high, good[33:]), "blinding not below the order": slices.Concat(good[:33], high),
	} {
		t.Run(name, func(t *testing.T) {
			if s, err := parse(t, a, b); !errors.Is(err, sharing.ErrShare) {
				s.Wipe()
				t.Errorf("got error %v", err)
			}
		})
	}
}

// FuzzParse: what is read as a share is encoded as it was read.
func FuzzParse(f *testing.F) {
	a := secrettest.Arena(f)
	_, list := split(f, a, master(f, wide), share.Scheme{Threshold: 2, Shares: 2})
	f.Add(encoded(f, a, list[1]))
	sharing.WipeAll(list)
	f.Add(make([]byte, sharing.ShareSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		s, err := parse(t, a, b)
		if err != nil {
			if !errors.Is(err, sharing.ErrShare) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		defer s.Wipe()
		if got := encoded(t, a, s); !bytes.Equal(got, b) {
			t.Fatalf("%x encoded again as %x", b, got)
		}
	})
}

func BenchmarkSplit3of5(b *testing.B) {
	a := secrettest.Arena(b)
	m, s := take(b, a, master(b, wide)), take(b, a, seed)
	defer m.Wipe()
	defer s.Wipe()
	for b.Loop() {
		_, list, err := sharing.Split(a, m, s, share.Scheme{Threshold: 3, Shares: 5})
		if err != nil {
			b.Fatal(err)
		}
		sharing.WipeAll(list)
	}
}

func BenchmarkCheck3of5(b *testing.B) {
	a := secrettest.Arena(b)
	c, list := split(b, a, master(b, wide), share.Scheme{Threshold: 3, Shares: 5})
	defer sharing.WipeAll(list)
	for b.Loop() {
		if err := sharing.Check(c, list[0]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCombine3of5(b *testing.B) {
	a := secrettest.Arena(b)
	c, list := split(b, a, master(b, wide), share.Scheme{Threshold: 3, Shares: 5})
	defer sharing.WipeAll(list)
	for b.Loop() {
		m, err := sharing.Combine(a, c, list[:3])
		if err != nil {
			b.Fatal(err)
		}
		m.Wipe()
	}
}
