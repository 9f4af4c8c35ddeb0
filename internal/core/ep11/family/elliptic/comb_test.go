// SPDX-License-Identifier: Apache-2.0

package elliptic

import (
	"bytes"
	"context"
	"crypto/ed25519"
	nist "crypto/elliptic"
	"crypto/rand"
	"encoding/binary"
	"math/big"
	"slices"
	"testing"

	"filippo.io/edwards25519"
	"filippo.io/nistec"
	"pgregory.net/rapid"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/pure/ep11"
)

// scalars draws 32 bytes, often at an end of their range.
func scalars(t *rapid.T, name string) (out [32]byte) {
	switch rapid.IntRange(0, 3).Draw(t, name+" kind") {
	case 0:
		binary.BigEndian.PutUint64(out[24:], rapid.Uint64Range(0, 20).Draw(t, name))
	case 1:
		for i := range out {
			out[i] = 0xff
		}
		out[31] -= byte(rapid.IntRange(0, 20).Draw(t, name))
	default:
		copy(out[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, name))
	}
	return out
}

// TestCombs: what a comb gives is what the module's own multiplication gives, also for scalars beyond the order.
func TestCombs(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		by, of := scalars(t, "by"), scalars(t, "of")
		of[31] |= 1 // not the neutral point, or next to never
		little := by
		slices.Reverse(little[:])

		q, err := nistec.NewP256Point().ScalarBaseMult(of[:])
		if err != nil {
			t.Fatal(err)
		}
		want, err := nistec.NewP256Point().ScalarMult(q, by[:])
		if err != nil {
			t.Fatal(err)
		}
		got := sum(nistec.NewP256Point(), multiple[*nistec.P256Point]{newComb(nistec.NewP256Point, q), &little})
		if !bytes.Equal(got.Bytes(), want.Bytes()) {
			t.Fatal("P-256: another point")
		}

		wide := func(b [32]byte) *edwards25519.Scalar {
			s, err := edwards25519.NewScalar().SetUniformBytes(append(b[:], make([]byte, 32)...))
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		a := new(edwards25519.Point).ScalarBaseMult(wide(of))
		b := new(edwards25519.Point).ScalarMult(wide(of), a)
		two := new(edwards25519.Point).Add(new(edwards25519.Point).ScalarMult(wide(little), a), new(edwards25519.Point).ScalarMult(wide(of), b))
		mine := sum(edwards25519.NewIdentityPoint(), multiple[*edwards25519.Point]{newComb(edwards25519.NewIdentityPoint, a), &little},
			multiple[*edwards25519.Point]{newComb(edwards25519.NewIdentityPoint, b), &of})
		if mine.Equal(two) != 1 {
			t.Fatal("Ed25519: another point")
		}
	})
}

// signers gives the schemes that verify their own signatures with combs, each with a key.
func signers(t testing.TB) map[string]struct {
	pairs
	rechecked
	key family.Key
} {
	t.Helper()
	set, err := Set()
	if err != nil {
		t.Fatal(err)
	}
	tools := familytest.Tools(t)
	out := map[string]struct {
		pairs
		rechecked
		key family.Key
	}{}
	for name, oid := range map[string]string{"P-256": ep11.OIDP256, "Ed25519": ep11.OIDEd25519} {
		p := set.Keys[family.KeyType{Type: ep11.CKK_EC, Params: oid}].(pairs)
		k, err := p.Generate(context.Background(), tools, ep11.Mechanism{}, []byte(oid), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.Secret.Wipe)
		out[name] = struct {
			pairs
			rechecked
			key family.Key
		}{p, p.scheme.(rechecked), k}
	}
	return out
}

// TestRecheck: with a comb, exactly the signatures are good that the library finds good; without one, none is.
func TestRecheck(t *testing.T) {
	t.Parallel()
	for name, s := range signers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sign := func(data []byte) []byte {
				sig, err := s.Sign(context.Background(), family.Tools{}, ep11.Mechanism{}, s.key, data)
				if err != nil {
					t.Fatal(err)
				}
				return sig
			}
			if s.recheck(s.key.Public, []byte("x"), sign([]byte("x"))) { // the third use: it was tried when it was made
				t.Error("a key that was hardly used has a comb")
			}
			for _, n := range []int{1, 20, 31, 32, 33, 64, 1000} {
				data := make([]byte, n)
				rand.Read(data)
				sig := sign(data)
				sign(data)
				if !s.recheck(s.key.Public, data, sig) || !s.verify(s.key.Public, data, sig) {
					t.Fatalf("%d bytes: a good signature is none", n)
				}
				for i := range 8 * len(sig) {
					bad := bytes.Clone(sig)
					bad[i/8] ^= 1 << (i % 8)
					if s.recheck(s.key.Public, data, bad) {
						t.Fatalf("bit %d changed and still good", i)
					}
				}
				for _, bad := range [][]byte{nil, sig[:63], append(bytes.Clone(sig), 0), make([]byte, 64), append(bytes.Clone(sig[:32]), make([]byte, 32)...), append(make([]byte, 32), sig[32:]...),
					append(bytes.Clone(sig[:32]), bytes.Repeat([]byte{0xff}, 32)...), beyond(name, sig)} {
					if s.recheck(s.key.Public, data, bad) {
						t.Errorf("%x is good", bad)
					}
				}
				data[0] ^= 1
				if s.recheck(s.key.Public, data, sig) {
					t.Error("another message")
				}
			}
			for range combsAfter + 1 {
				if s.recheck(s.key.Public[1:], []byte("x"), sign([]byte("x"))) || s.recheck(bytes.Repeat([]byte{4}, len(s.key.Public)), []byte("x"), sign([]byte("x"))) {
					t.Error("good under what is no public key")
				}
			}
		})
	}
}

// beyond gives a signature with an s that is the order greater, which is the same signature to who does not look.
func beyond(curve string, sig []byte) []byte {
	out := bytes.Clone(sig)
	if curve == "Ed25519" {
		order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
		slices.Reverse(out[32:])
		order.Add(order, new(big.Int).SetBytes(out[32:])).FillBytes(out[32:])
		slices.Reverse(out[32:])
		return out
	}
	order, _ := new(big.Int).SetString("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551", 16)
	if order.Add(order, new(big.Int).SetBytes(out[32:])).BitLen() > 256 {
		return nil
	}
	order.FillBytes(out[32:])
	return out
}

// TestDamagedComb: a comb that is not the key's keeps no signature back, and lets no bad one out.
func TestDamagedComb(t *testing.T) {
	t.Parallel()
	for name, s := range signers(t) {
		for range combsAfter {
			if _, err := s.Sign(context.Background(), family.Tools{}, ep11.Mechanism{}, s.key, []byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		switch c := s.scheme.(type) {
		case edwards:
			c.combs.keys.by[string(s.key.Public)].comb = c.combs.base
		case nistCurve:
			c.combs.by[string(s.key.Public)].comb = newComb(nistec.NewP256Point, nistec.NewP256Point().SetGenerator())
		}
		sig, err := s.Sign(context.Background(), family.Tools{}, ep11.Mechanism{}, s.key, []byte("x"))
		if err != nil || !s.verify(s.key.Public, []byte("x"), sig) {
			t.Errorf("%s: %v", name, err)
		}
		if s.recheck(s.key.Public, []byte("x"), sig) {
			t.Errorf("%s: the comb was not changed", name)
		}
	}
}

// TestCombsAreFew: however many keys sign, so many are remembered.
func TestCombsAreFew(t *testing.T) {
	t.Parallel()
	var c combs[*edwards25519.Point]
	made := 0
	for i := range 3 * combsMost {
		key := binary.BigEndian.AppendUint64(nil, uint64(i))
		for n := range combsAfter + 2 {
			got := c.get(key, func() *comb[*edwards25519.Point] { made++; return &comb[*edwards25519.Point]{} })
			if (got != nil) != (n+1 >= combsAfter) {
				t.Fatalf("use %d: %v", n+1, got != nil)
			}
		}
	}
	if len(c.by) != combsMost || made != 3*combsMost {
		t.Errorf("%d keys, %d combs made", len(c.by), made)
	}
}

// BenchmarkVerifyOwn compares the library's verification with that by comb.
func BenchmarkVerifyOwn(b *testing.B) {
	for name, s := range signers(b) {
		data := make([]byte, ed25519.SeedSize)
		var sig []byte
		for range combsAfter {
			var err error
			if sig, err = s.Sign(context.Background(), family.Tools{}, ep11.Mechanism{}, s.key, data); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(name+"/library", func(b *testing.B) {
			for b.Loop() {
				s.verify(s.key.Public, data, sig)
			}
		})
		b.Run(name+"/comb", func(b *testing.B) {
			for b.Loop() {
				if !s.recheck(s.key.Public, data, sig) {
					b.Fatal("not good")
				}
			}
		})
		b.Run(name+"/sign", func(b *testing.B) {
			for b.Loop() {
				_ = s.key.Secret.Use(func(sk []byte) error { _, _, err := s.sign(sk, s.key.Public, data); return err })
			}
		})
	}
}

// TestRecheckRange: a signature with a small s has a second form, with the order added, that fits its bytes and that is none.
func TestRecheckRange(t *testing.T) {
	t.Parallel()
	s := signers(t)["P-256"]
	n := nist.P256().Params().N
	d := new(big.Int).SetBytes(familytest.Peek(t, s.key.Secret))
	nonce, small := big.NewInt(0x1234567890abcdef), big.NewInt(77)
	p, err := nistec.NewP256Point().ScalarBaseMult(nonce.FillBytes(make([]byte, 32)))
	if err != nil {
		t.Fatal(err)
	}
	x, err := p.BytesX()
	if err != nil {
		t.Fatal(err)
	}
	r := new(big.Int).SetBytes(x)
	r.Mod(r, n)
	e := new(big.Int).Mul(small, nonce) // of s = (e + rd)/k
	e.Mod(e.Sub(e, new(big.Int).Mul(r, d)), n)
	data, sig := e.FillBytes(make([]byte, 32)), make([]byte, 64)
	r.FillBytes(sig[:32])
	for _, c := range []struct {
		s    *big.Int
		want bool
	}{{small, true}, {new(big.Int).Add(small, n), false}} {
		c.s.FillBytes(sig[32:])
		for range combsAfter {
			s.recheck(s.key.Public, data, sig)
		}
		if got := s.recheck(s.key.Public, data, sig); got != c.want || s.verify(s.key.Public, data, sig) != c.want {
			t.Errorf("s of %d bits: %v, want %v", c.s.BitLen(), got, c.want)
		}
	}
}
