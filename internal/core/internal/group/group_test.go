// SPDX-License-Identifier: Apache-2.0

package group

import (
	"bytes"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"math/big"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"pgregory.net/rapid"

	"strongroom/internal/core/internal/curve"
)

// pairing is a group and the second opinion on it.
type pairing struct {
	g      *Group
	oracle elliptic.Curve
}

func groups(t testing.TB) []pairing {
	t.Helper()
	b, err := curve.New()
	if err != nil {
		t.Fatal(err)
	}
	return []pairing{
		{P224(), elliptic.P224()}, {P256(), elliptic.P256()}, {P384(), elliptic.P384()}, {P521(), elliptic.P521()},
		{Secp256k1(b), secp256k1.S256()},
	}
}

// draw gives a scalar in [1, n-1].
func (p pairing) draw(t *rapid.T, label string) []byte {
	raw := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), p.g.Size(), p.g.Size()).Draw(t, label))
	n := p.oracle.Params().N
	raw.Mod(raw, new(big.Int).Sub(n, big.NewInt(1)))
	return raw.Add(raw, big.NewInt(1)).FillBytes(make([]byte, p.g.Size()))
}

// point writes a point as the groups have it, nil for infinity.
func (p pairing) point(x, y *big.Int) []byte {
	if x.Sign() == 0 && y.Sign() == 0 {
		return nil
	}
	out := append([]byte{4}, x.FillBytes(make([]byte, p.g.Size()))...)
	return append(out, y.FillBytes(make([]byte, p.g.Size()))...)
}

// TestAgainstOracle compares every operation with crypto/elliptic or decred, and with arithmetic on big integers.
func TestAgainstOracle(t *testing.T) {
	t.Parallel()
	for _, p := range groups(t) {
		t.Run(p.g.Name(), func(t *testing.T) {
			t.Parallel()
			c, n := p.oracle, p.oracle.Params().N
			rapid.Check(t, func(t *rapid.T) {
				d, e, k := p.draw(t, "d"), p.draw(t, "e"), p.draw(t, "k")
				dx, dy := c.ScalarBaseMult(d) //nolint:staticcheck // the oracle
				pub, err := p.g.Public(d)
				if err != nil || !bytes.Equal(pub, p.point(dx, dy)) || p.g.CheckPoint(pub) != nil {
					t.Fatalf("public key %x, %v", pub, err)
				}
				shared := make([]byte, p.g.Size())
				x, _ := c.ScalarMult(dx, dy, e) //nolint:staticcheck // the oracle
				if err := p.g.Agree(e, pub, shared); err != nil || !bytes.Equal(shared, x.FillBytes(make([]byte, p.g.Size()))) {
					t.Fatalf("agreed on %x, %v", shared, err)
				}
				p.scalars(t, d, e, k, n)
				ex, ey := c.ScalarBaseMult(e)     //nolint:staticcheck // the oracle
				rx, ry := c.ScalarMult(dx, dy, k) //nolint:staticcheck // the oracle
				sx, sy := c.Add(ex, ey, rx, ry)   //nolint:staticcheck // the oracle
				p.same(t, p.point(sx, sy))(p.g.Combine(e, k, pub))
				sx, sy = c.Add(ex, ey, dx, dy) //nolint:staticcheck // the oracle
				p.same(t, p.point(sx, sy))(p.g.Combine(e, nil, pub))
				compressed, err := p.g.Compress(pub)
				if want := elliptic.MarshalCompressed(c, dx, dy); err != nil || !bytes.Equal(compressed, want) {
					t.Fatalf("compressed to %x, want %x", compressed, want)
				}
			})
		})
	}
}

// same compares a point with the oracle's, nil being infinity.
func (p pairing) same(t *rapid.T, want []byte) func([]byte, error) {
	return func(got []byte, err error) {
		if want == nil {
			if !errors.Is(err, ErrScalar) {
				t.Fatalf("infinity gave %v", err)
			}
			return
		}
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %x and %v, want %x", got, err, want)
		}
	}
}

func (p pairing) scalars(t *rapid.T, d, e, k []byte, n *big.Int) {
	D, E, K := new(big.Int).SetBytes(d), new(big.Int).SetBytes(e), new(big.Int).SetBytes(k)
	sum := new(big.Int).Add(D, E)
	plus := new(big.Int).Mul(D, E)
	minus := new(big.Int).Sub(K, plus)
	plus.Add(plus, K)
	for _, tt := range []struct {
		want *big.Int
		do   func(out []byte) error
	}{
		{sum, func(out []byte) error { return p.g.Add(d, e, out) }},
		{plus, func(out []byte) error { return p.g.MulAdd(d, e, k, false, out) }},
		{minus, func(out []byte) error { return p.g.MulAdd(d, e, k, true, out) }},
	} {
		tt.want.Mod(tt.want, n)
		out := make([]byte, p.g.Size())
		err := tt.do(out)
		if tt.want.Sign() == 0 {
			if !errors.Is(err, ErrScalar) {
				t.Fatalf("0 gave %v", err)
			}
			continue
		}
		if err != nil || !bytes.Equal(out, tt.want.FillBytes(make([]byte, p.g.Size()))) {
			t.Fatalf("got %x and %v, want %x", out, err, tt.want)
		}
	}
	if got, err := p.g.Negate(d); err != nil || new(big.Int).SetBytes(got).Cmp(new(big.Int).Sub(n, D)) != 0 {
		t.Fatalf("-%x is %x with %v", d, got, err)
	}
	wide := append(bytes.Clone(d), e...)
	want := new(big.Int).Mod(new(big.Int).SetBytes(wide), n)
	if got, err := p.g.Reduce(wide); err != nil || new(big.Int).SetBytes(got).Cmp(want) != 0 {
		t.Fatalf("%x mod n is %x with %v, want %x", wide, got, err, want)
	}
}

// TestAgreeAgainstECDH is a third opinion for the curves that crypto/ecdh has, from both ends.
func TestAgreeAgainstECDH(t *testing.T) {
	t.Parallel()
	for g, c := range map[*Group]ecdh.Curve{P256(): ecdh.P256(), P384(): ecdh.P384(), P521(): ecdh.P521()} {
		for range 20 {
			a, err := c.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			b, err := c.GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			want, err := a.ECDH(b.PublicKey())
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, g.Size())
			if err := g.Agree(b.Bytes(), a.PublicKey().Bytes(), got); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: got %x and %v, want %x", g.Name(), got, err, want)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, p := range groups(t) {
		g, n := p.g, p.oracle.Params().N
		size := g.Size()
		one, zero, order := big.NewInt(1).FillBytes(make([]byte, size)), make([]byte, size), n.FillBytes(make([]byte, size))
		minusOne := new(big.Int).Sub(n, big.NewInt(1)).FillBytes(make([]byte, size))
		out := make([]byte, size)
		base, err := g.Public(one)
		if err != nil {
			t.Fatal(err)
		}
		off, hybrid := bytes.Clone(base), bytes.Clone(base)
		off[len(off)-1] ^= 1
		hybrid[0] = 6 | base[len(base)-1]&1
		combine := func(s, r, point []byte) error { _, err := g.Combine(s, r, point); return err }
		public := func(sk []byte) error { _, err := g.Public(sk); return err }
		reduce := func(b []byte) error { _, err := g.Reduce(b); return err }
		for _, tt := range []struct {
			name string
			err  error
			want error
		}{
			{"public, zero", public(zero), ErrScalar}, {"public, order", public(order), ErrScalar}, {"public, short", public(one[1:]), ErrScalar},
			{"public, none", public(nil), ErrScalar},
			{"agree, zero", g.Agree(zero, base, out), ErrScalar}, {"agree, order", g.Agree(order, base, out), ErrScalar},
			{"agree, off", g.Agree(one, off, out), ErrPoint}, {"agree, hybrid", g.Agree(one, hybrid, out), ErrPoint},
			{"agree, infinity", g.Agree(one, []byte{0}, out), ErrPoint}, {"agree, none", g.Agree(one, nil, out), ErrPoint},
			{"agree, short", g.Agree(one, base[:len(base)-1], out), ErrPoint}, {"agree, short output", g.Agree(one, base, out[1:]), ErrScalar},
			{"add, zero sum", g.Add(one, minusOne, out), ErrScalar}, {"add, order", g.Add(one, order, out), ErrScalar},
			{"add, short", g.Add(one, one[1:], out), ErrScalar}, {"add, zero key", g.Add(zero, one, out), ErrScalar},
			{"mul, zero", g.MulAdd(one, zero, one, false, out), ErrScalar}, {"mul, order", g.MulAdd(one, one, order, false, out), ErrScalar},
			{"mul, zero sum", g.MulAdd(one, one, one, true, out), ErrScalar}, {"mul, short", g.MulAdd(one, one, one, true, out[1:]), ErrScalar},
			{"combine, infinity", combine(minusOne, nil, base), ErrScalar}, {"combine, infinity of two", combine(minusOne, one, base), ErrScalar},
			{"combine, zero", combine(zero, one, base), ErrScalar}, {"combine, zero factor", combine(one, zero, base), ErrScalar},
			{"combine, off", combine(one, one, off), ErrPoint},
			{"reduce, zero", reduce(zero), ErrScalar}, {"reduce, order", reduce(order), ErrScalar}, {"reduce, none", reduce(nil), ErrScalar},
			{"negate, zero", func() error { _, err := g.Negate(zero); return err }(), ErrScalar},
			{"add, zero tweak", g.Add(one, zero, out), nil},
		} {
			if !errors.Is(tt.err, tt.want) {
				t.Errorf("%s: %s: got %v, want %v", g.Name(), tt.name, tt.err, tt.want)
			}
		}
	}
}

// TestScalarDraws takes draws below the order, masks what the order doesn't have, and stops with a source that gives none.
func TestScalarDraws(t *testing.T) {
	t.Parallel()
	for _, p := range groups(t) {
		out := make([]byte, p.g.Size())
		n := 0
		err := p.g.Scalar(func(b []byte) error {
			for i := range b {
				b[i] = 0xff
			}
			if n++; n == 3 {
				clear(b[1:])
				b[len(b)-1] = 7
			}
			return nil
		}, out)
		if err != nil || p.g.CheckScalar(out) != nil || n != 3 {
			t.Errorf("%s: %x after %d draws with %v", p.g.Name(), out, n, err)
		}
		if err := p.g.Scalar(func(b []byte) error { clear(b); return nil }, out); !errors.Is(err, ErrScalar) {
			t.Errorf("%s: a broken source gave %v", p.g.Name(), err)
		}
		bad := errors.New("no randomness")
		if err := p.g.Scalar(func([]byte) error { return bad }, out); !errors.Is(err, bad) {
			t.Errorf("%s: got %v", p.g.Name(), err)
		}
		if err := p.g.Scalar(nil, out[1:]); !errors.Is(err, ErrScalar) {
			t.Errorf("%s: got %v", p.g.Name(), err)
		}
	}
}
