// SPDX-License-Identifier: Apache-2.0

package share_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/ristretto"
	"strongroom/internal/pure/share"
)

// points gives n commitments of known elements: 1·G, 2·G, …
func points(n int) (out []ristretto.Element) {
	for i := range n {
		out = append(out, ristretto.MulGenerator(share.Scalar(uint8(i+1))))
	}
	return out
}

func encode(list []ristretto.Element) (out []byte) {
	for _, p := range list {
		b := p.Encode()
		out = append(out, b[:]...)
	}
	return out
}

func TestSchemes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		m, n        uint8
		strict, one bool
	}{
		{2, 3, true, true}, {3, 5, true, true}, {16, 16, true, true}, {2, 2, true, true}, {1, 1, false, true}, {1, 5, false, true},
		{0, 0, false, false}, {0, 3, false, false}, {4, 3, false, false}, {2, 17, false, false}, {17, 17, false, false}, {255, 255, false, false},
	} {
		s := share.Scheme{Threshold: tt.m, Shares: tt.n}
		for oneUnsafe, want := range map[bool]bool{false: tt.strict, true: tt.one} {
			if err := s.Check(oneUnsafe); (err == nil) != want || err != nil && !errors.Is(err, share.ErrScheme) {
				t.Errorf("%v, threshold 1 allowed %v: got error %v", s, oneUnsafe, err)
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	good := encode(points(3))
	scheme := share.Scheme{Threshold: 3, Shares: 5}
	if _, err := share.Parse(scheme, good); err != nil {
		t.Fatal(err)
	}
	zero := make([]byte, 32)
	negative := slices.Concat([]byte{1}, zero[1:])
	for name, b := range map[string][]byte{
		"none": nil, "one too few": good[:64], "one too many": encode(points(4)), "a byte more": append(bytes.Clone(good), 0),
		"first is the identity": slices.Concat(zero, good[32:]), "last is the identity": slices.Concat(good[:64], zero),
		"not canonical": slices.Concat(good[:64], bytes.Repeat([]byte{0xff}, 32)), "negative": slices.Concat(good[:32], negative, good[64:]),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := share.Parse(scheme, b); !errors.Is(err, share.ErrCommitments) {
				t.Errorf("got error %v", err)
			}
		})
	}
	if _, err := share.Parse(share.Scheme{Threshold: 3, Shares: 2}, good); !errors.Is(err, share.ErrScheme) {
		t.Errorf("threshold above the shares: got error %v", err)
	}
	if _, err := share.New(scheme, points(2)); !errors.Is(err, share.ErrCommitments) {
		t.Errorf("two points: got error %v", err)
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	seen := map[[32]byte]string{}
	for name, c := range map[string]func() (share.Commitments, error){
		"3 of 5": func() (share.Commitments, error) { return share.New(share.Scheme{Threshold: 3, Shares: 5}, points(3)) },
		"3 of 6": func() (share.Commitments, error) { return share.New(share.Scheme{Threshold: 3, Shares: 6}, points(3)) },
		"2 of 5": func() (share.Commitments, error) { return share.New(share.Scheme{Threshold: 2, Shares: 5}, points(2)) },
		"other points": func() (share.Commitments, error) {
			p := points(3)
			slices.Reverse(p)
			return share.New(share.Scheme{Threshold: 3, Shares: 5}, p)
		},
	} {
		v, err := c()
		if err != nil {
			t.Fatal(err)
		}
		if other, ok := seen[v.Hash()]; ok {
			t.Errorf("%s and %s have one hash", name, other)
		}
		seen[v.Hash()] = name
	}
	// The example of docs/spec/share.md.
	c, err := share.New(share.Scheme{Threshold: 3, Shares: 5}, points(3))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%x", c.Hash()), "fc85f6d51abc09a1102f34e303aa040bd5fde059ceace958657e927df1902242"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestGenerator: H is as docs/spec/share.md has it.
func TestGenerator(t *testing.T) {
	t.Parallel()
	h := share.Generator().Encode()
	if got, want := hex.EncodeToString(h[:]), "7240d28e5f8e1eb114d927e7999a1a701b282ad6add7df33549c3a6a155b063e"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestAt: with commitments a·G the commitment to share i is the polynomial's value at i, times G.
func TestAt(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, share.MaxShares).Draw(r, "n")
		m := rapid.IntRange(1, n).Draw(r, "m")
		var list []ristretto.Element
		a := make([]uint8, m)
		for j := range a {
			a[j] = rapid.Uint8Range(1, 255).Draw(r, "coefficient")
			list = append(list, ristretto.MulGenerator(share.Scalar(a[j])))
		}
		c, err := share.New(share.Scheme{Threshold: uint8(m), Shares: uint8(n)}, list)
		if err != nil {
			r.Fatal(err)
		}
		i := rapid.Uint8Range(1, uint8(n)).Draw(r, "index")
		value := share.Scalar(0)
		for j := m - 1; j >= 0; j-- {
			value.MultiplyAdd(value, share.Scalar(i), share.Scalar(a[j]))
		}
		if got, err := c.At(i); err != nil || !got.Equal(ristretto.MulGenerator(value)) {
			r.Fatalf("another element (err %v)", err)
		}
		for _, bad := range []uint8{0, uint8(n) + 1, 255} {
			if _, err := c.At(bad); !errors.Is(err, share.ErrIndex) {
				r.Fatalf("index %d: got error %v", bad, err)
			}
		}
		// The value at 0 of the polynomial through any m of its values is its constant term.
		var all []uint8
		for x := range n {
			all = append(all, uint8(x+1))
		}
		some := rapid.Permutation(all).Draw(r, "indices")[:m]
		sum := share.Scalar(0)
		for _, x := range some {
			v := share.Scalar(0)
			for j := m - 1; j >= 0; j-- {
				v.MultiplyAdd(v, share.Scalar(x), share.Scalar(a[j]))
			}
			sum.MultiplyAdd(v, share.Lagrange(x, some), sum)
		}
		if sum.Equal(share.Scalar(a[0])) != 1 {
			r.Fatal("interpolation gives another constant term")
		}
	})
}

// FuzzParse: what is read is encoded as it was read.
func FuzzParse(f *testing.F) {
	f.Add(uint8(3), uint8(5), encode(points(3)))
	f.Add(uint8(1), uint8(1), make([]byte, 32))
	f.Fuzz(func(t *testing.T, m, n uint8, b []byte) {
		c, err := share.Parse(share.Scheme{Threshold: m, Shares: n}, b)
		if err == nil && !bytes.Equal(c.Encode(), b) {
			t.Fatalf("%x encoded again as %x", b, c.Encode())
		}
		if err != nil && !errors.Is(err, share.ErrCommitments) && !errors.Is(err, share.ErrScheme) {
			t.Fatalf("unnamed error %v", err)
		}
	})
}
