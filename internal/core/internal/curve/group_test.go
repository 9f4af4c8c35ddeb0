// SPDX-License-Identifier: Apache-2.0

package curve

import (
	"bytes"
	"errors"
	"math/big"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"pgregory.net/rapid"
)

// basePoint is the base point, uncompressed.
func basePoint(t testing.TB) []byte {
	t.Helper()
	return unhex(t, "0479be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"+
		"483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8")
}

// drawScalar draws 32 bytes in [1, n-1].
func drawScalar(t *rapid.T, label string) []byte {
	raw := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, label))
	n := new(big.Int).Sub(secp256k1.Params().N, big.NewInt(1))
	return raw.Add(raw.Mod(raw, n), big.NewInt(1)).FillBytes(make([]byte, 32))
}

// TestAgreeWithDecred requires decred's shared x coordinate, from both ends.
func TestAgreeWithDecred(t *testing.T) {
	t.Parallel()
	b := newBackend(t)
	rapid.Check(t, func(t *rapid.T) {
		x, y := drawScalar(t, "x"), drawScalar(t, "y")
		a, c := secp256k1.PrivKeyFromBytes(x), secp256k1.PrivKeyFromBytes(y)
		want := secp256k1.GenerateSharedSecret(a, c.PubKey())
		whole, err := b.PublicKeyUncompressed(x)
		if err != nil || !bytes.Equal(whole[:], a.PubKey().SerializeUncompressed()) || b.CheckPoint(whole[:]) != nil {
			t.Fatalf("public key %x with %v", whole, err)
		}
		got, back := make([]byte, 32), make([]byte, 32)
		if err := errors.Join(b.Agree(x, c.PubKey().SerializeUncompressed(), got), b.Agree(y, a.PubKey().SerializeUncompressed(), back)); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) || !bytes.Equal(back, want) {
			t.Fatalf("got %x and %x, want %x", got, back, want)
		}
	})
}

// TestMulAddAgainstBig compares with arithmetic on big integers, and the public side: (k ± r·d)·G = k·G ± r·(d·G).
func TestMulAddAgainstBig(t *testing.T) {
	t.Parallel()
	b, n := newBackend(t), secp256k1.Params().N
	rapid.Check(t, func(t *rapid.T) {
		d, r, k := drawScalar(t, "d"), drawScalar(t, "r"), drawScalar(t, "k")
		for _, subtract := range []bool{false, true} {
			product := new(big.Int).Mul(new(big.Int).SetBytes(d), new(big.Int).SetBytes(r))
			want := new(big.Int).Add(new(big.Int).SetBytes(k), product)
			if subtract {
				want.Sub(new(big.Int).SetBytes(k), product)
			}
			want.Mod(want, n)
			got := make([]byte, 32)
			err := b.MulAdd(d, r, k, subtract, got)
			if want.Sign() == 0 {
				if !errors.Is(err, ErrScalar) {
					t.Fatalf("a sum of 0 gave %v", err)
				}
				continue
			}
			if err != nil || !bytes.Equal(got, want.FillBytes(make([]byte, 32))) {
				t.Fatalf("got %x and %v, want %x", got, err, want)
			}
			if subtract {
				nonce, err := b.Combine(got, r, secp256k1.PrivKeyFromBytes(d).PubKey().SerializeUncompressed())
				if err != nil || !bytes.Equal(nonce, secp256k1.PrivKeyFromBytes(k).PubKey().SerializeUncompressed()) {
					t.Fatalf("s·G + r·P is %x with %v, not k·G", nonce, err)
				}
			}
		}
		sum, err := b.Combine(k, nil, secp256k1.PrivKeyFromBytes(d).PubKey().SerializeUncompressed())
		var s secp256k1.ModNScalar
		s.SetByteSlice(k)
		var e secp256k1.ModNScalar
		e.SetByteSlice(d)
		if s.Add(&e).IsZero() {
			return
		}
		if want := secp256k1.NewPrivateKey(&s).PubKey().SerializeUncompressed(); err != nil || !bytes.Equal(sum, want) {
			t.Fatalf("k·G + P is %x with %v, want %x", sum, err, want)
		}
	})
}

func TestGroupRefusals(t *testing.T) {
	t.Parallel()
	b, g := newBackend(t), basePoint(t)
	one := append(make([]byte, 31), 1)
	minusOne := new(big.Int).Sub(secp256k1.Params().N, big.NewInt(1)).FillBytes(make([]byte, 32))
	order := secp256k1.Params().N.FillBytes(make([]byte, 32))
	zero, out := make([]byte, 32), make([]byte, 32)
	off := bytes.Clone(g)
	off[64] ^= 1
	hybrid := bytes.Clone(g)
	hybrid[0] = 6
	combine := func(s, r, p []byte) error { _, err := b.Combine(s, r, p); return err }
	for _, tt := range []struct {
		name string
		err  error
		want error
	}{
		{"agree, zero", b.Agree(zero, g, out), ErrScalar},
		{"agree, order", b.Agree(order, g, out), ErrScalar},
		{"agree, short scalar", b.Agree(one[1:], g, out), ErrScalar},
		{"agree, short output", b.Agree(one, g, out[1:]), ErrScalar},
		{"agree, point off the curve", b.Agree(one, off, out), ErrPublicKey},
		{"agree, hybrid", b.Agree(one, hybrid, out), ErrPublicKey},
		{"agree, short point", b.Agree(one, g[:33], out), ErrPublicKey},
		{"agree, no point", b.Agree(one, nil, out), ErrPublicKey},
		{"add, zero key", b.MulAdd(zero, one, one, false, out), ErrScalar},
		{"add, zero factor", b.MulAdd(one, zero, one, false, out), ErrScalar},
		{"add, order as factor", b.MulAdd(one, order, one, false, out), ErrScalar},
		{"add, order as addend", b.MulAdd(one, one, order, false, out), ErrScalar},
		{"add, sum of zero", b.MulAdd(one, one, minusOne, false, out), ErrScalar},
		{"add, difference of zero", b.MulAdd(one, one, one, true, out), ErrScalar},
		{"add, short factor", b.MulAdd(one, one[1:], one, true, out), ErrScalar},
		{"check, point off the curve", b.CheckPoint(off), ErrPublicKey},
		{"check, hybrid", b.CheckPoint(hybrid), ErrPublicKey},
		{"check, short", b.CheckPoint(g[:33]), ErrPublicKey},
		{"combine, infinity", combine(minusOne, nil, g), ErrScalar},
		{"combine, zero factor", combine(one, zero, g), ErrScalar},
		{"combine, order", combine(order, one, g), ErrScalar},
		{"combine, short scalar", combine(one[1:], one, g), ErrScalar},
		{"combine, short factor", combine(one, one[1:], g), ErrScalar},
		{"combine, point off the curve", combine(one, one, off), ErrPublicKey},
		{"combine, hybrid", combine(one, one, hybrid), ErrPublicKey},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, tt.err, tt.want)
		}
	}
	if !bytes.Equal(out, zero) {
		t.Error("a refusal left something in the output")
	}
}
