// SPDX-License-Identifier: Apache-2.0

package schnorr

import (
	"bytes"
	"context"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"math/big"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"pgregory.net/rapid"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/core/internal/curve"
	"strongroom/internal/pure/ep11"
)

// independent checks a signature by the equation, on big integers and another implementation of the curve.
func independent(c elliptic.Curve, which uint64, x, y *big.Int, message, sig []byte) bool {
	n := c.Params().N
	r, s := new(big.Int).SetBytes(sig[:32]), new(big.Int).SetBytes(sig[32:])
	if s.Sign() == 0 || s.Cmp(n) >= 0 {
		return false
	}
	e := new(big.Int).Mod(r, n)
	if which == ep11.CK_ECSG_S256 {
		e.Sub(n, e)
	}
	sx, sy := c.ScalarBaseMult(s.Bytes())   //nolint:staticcheck // the oracle
	rx, ry := c.ScalarMult(x, y, e.Bytes()) //nolint:staticcheck // the oracle
	qx, qy := c.Add(sx, sy, rx, ry)         //nolint:staticcheck // the oracle
	h := sha256.New()
	if which == ep11.CK_ECSG_S256 {
		h.Write(qx.FillBytes(make([]byte, 32)))
		h.Write(qy.FillBytes(make([]byte, 32)))
	} else {
		h.Write(elliptic.MarshalCompressed(c, qx, qy))
		h.Write(elliptic.MarshalCompressed(c, x, y))
	}
	h.Write(message)
	want := new(big.Int).SetBytes(h.Sum(nil))
	if which == ep11.CK_ECSG_COMPR_MULTI {
		want.Mod(want, n)
	}
	return want.Cmp(r) == 0
}

type fixture struct {
	tools  family.Tools
	curves map[string]elliptic.Curve
	set    family.Set
}

func newFixture(t testing.TB) fixture {
	t.Helper()
	b, err := curve.New()
	if err != nil {
		t.Fatal(err)
	}
	return fixture{familytest.Tools(t), map[string]elliptic.Curve{ep11.OIDP256: elliptic.P256(), ep11.OIDSecp256k1: secp256k1.S256()}, Set(b)}
}

func (f fixture) signer(t testing.TB, oid string) family.Signer {
	return familytest.Row(t, f.set, ep11.CKM_IBM_ECDSA_OTHER, family.KeyType{Type: ep11.CKK_EC, Params: oid}).Sign
}

// key makes the key of a scalar.
func (f fixture) key(t testing.TB, oid string, sk []byte) (family.Key, *big.Int, *big.Int) {
	c := f.curves[oid]
	x, y := c.ScalarBaseMult(sk) //nolint:staticcheck // the oracle
	public := append([]byte{4}, x.FillBytes(make([]byte, 32))...)
	public = append(public, y.FillBytes(make([]byte, 32))...)
	return family.Key{Type: ep11.CKK_EC, Params: []byte(oid), Secret: familytest.Secret(t, f.tools, sk), Public: public}, x, y
}

func mechanism(which uint64) ep11.Mechanism {
	return ep11.Mechanism{Type: ep11.CKM_IBM_ECDSA_OTHER, Sign: &ep11.ECSign{Type: which}}
}

// TestEquation: signatures fulfil the published equation, and nothing that was changed is accepted.
func TestEquation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for oid, c := range f.curves {
		signer := f.signer(t, oid)
		rapid.Check(t, func(r *rapid.T) {
			sk := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "sk"))
			sk.Add(sk.Mod(sk, new(big.Int).Sub(c.Params().N, big.NewInt(1))), big.NewInt(1))
			message := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(r, "message")
			which := rapid.SampledFrom([]uint64{ep11.CK_ECSG_S256, ep11.CK_ECSG_COMPR_MULTI}).Draw(r, "type")
			k, x, y := f.key(t, oid, sk.FillBytes(make([]byte, 32)))
			defer k.Secret.Wipe()
			sig, err := signer.Sign(t.Context(), f.tools, mechanism(which), k, message)
			if err != nil || len(sig) != 64 {
				r.Fatal(err)
			}
			if !independent(c, which, x, y, message, sig) {
				r.Fatal("the equation does not hold")
			}
			public := family.Key{Type: k.Type, Params: k.Params, Public: k.Public}
			verify := func(which uint64, message, sig []byte) error {
				return signer.Verify(t.Context(), family.Tools{}, mechanism(which), public, message, sig)
			}
			if err := verify(which, message, sig); err != nil {
				r.Fatal(err)
			}
			bit := rapid.IntRange(0, 511).Draw(r, "bit")
			bad := bytes.Clone(sig)
			bad[bit/8] ^= 1 << (bit % 8)
			familytest.Code(t, "a changed signature", verify(which, message, bad), ep11.CKR_SIGNATURE_INVALID)
			familytest.Code(t, "another message", verify(which, append(message, 0), sig), ep11.CKR_SIGNATURE_INVALID)
			familytest.Code(t, "the other type", verify(8-which, message, sig), ep11.CKR_SIGNATURE_INVALID)
			again, err := signer.Sign(t.Context(), f.tools, mechanism(which), k, message)
			if err != nil || bytes.Equal(again, sig) {
				r.Fatalf("a second signature has the same nonce (%v)", err)
			}
		})
	}
}

// TestOwnSignatures makes signatures by the equation elsewhere and has them verified here.
func TestOwnSignatures(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	message := []byte("message")
	for oid, c := range f.curves {
		n := c.Params().N
		d, k := big.NewInt(0x1234567), new(big.Int).Sub(n, big.NewInt(99))
		key, x, y := f.key(t, oid, d.FillBytes(make([]byte, 32)))
		qx, qy := c.ScalarBaseMult(k.Bytes()) //nolint:staticcheck // the oracle
		three := sha256.Sum256(bytes.Join([][]byte{qx.FillBytes(make([]byte, 32)), qy.FillBytes(make([]byte, 32)), message}, nil))
		r := new(big.Int).SetBytes(three[:])
		s := new(big.Int).Add(k, new(big.Int).Mul(r, d))
		sig := append(three[:], s.Mod(s, n).FillBytes(make([]byte, 32))...)
		if err := f.signer(t, oid).Verify(t.Context(), f.tools, mechanism(ep11.CK_ECSG_S256), key, message, sig); err != nil {
			t.Errorf("type 3: %v", err)
		}
		five := sha256.Sum256(bytes.Join([][]byte{elliptic.MarshalCompressed(c, qx, qy), elliptic.MarshalCompressed(c, x, y), message}, nil))
		r = new(big.Int).Mod(new(big.Int).SetBytes(five[:]), n)
		s = new(big.Int).Sub(k, new(big.Int).Mul(r, d))
		sig = append(r.FillBytes(make([]byte, 32)), s.Mod(s, n).FillBytes(make([]byte, 32))...)
		if err := f.signer(t, oid).Verify(t.Context(), f.tools, mechanism(ep11.CK_ECSG_COMPR_MULTI), key, message, sig); err != nil {
			t.Errorf("type 5: %v", err)
		}
		// r + n is the same residue: only one of the two is a signature. It fits 32 bytes where r is small.
		if r.Add(r, n).BitLen() <= 256 {
			copy(sig, r.FillBytes(make([]byte, 32)))
			familytest.Code(t, "r + n", f.signer(t, oid).Verify(t.Context(), f.tools, mechanism(ep11.CK_ECSG_COMPR_MULTI), key, message, sig), ep11.CKR_SIGNATURE_INVALID)
		}
	}
}

// TestNonces: with a source that always gives the same, the nonce depends on message, type and key; two signatures never share one.
func TestNonces(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.tools.Random = familytest.Fixed{7}
	seen := map[string]bool{}
	for _, oid := range []string{ep11.OIDP256, ep11.OIDSecp256k1} {
		s := f.signer(t, oid).(signer)
		for sk := range byte(3) {
			for _, message := range []string{"", "a", "b"} {
				for _, which := range []uint64{ep11.CK_ECSG_S256, ep11.CK_ECSG_COMPR_MULTI} {
					nonce, err := s.nonce(t.Context(), f.tools, which, append(make([]byte, 31), sk+1), []byte(message))
					if err != nil {
						t.Fatal(err)
					}
					got := string(familytest.Reveal(t, nonce)) + oid
					if seen[got] {
						t.Error("a nonce came twice")
					}
					seen[got] = true
				}
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for oid, c := range f.curves {
		s := f.signer(t, oid)
		k, _, _ := f.key(t, oid, append(make([]byte, 31), 5))
		order := c.Params().N.FillBytes(make([]byte, 32))
		one := append(make([]byte, 31), 1)
		for _, which := range []uint64{ep11.CK_ECSG_S256, ep11.CK_ECSG_COMPR_MULTI} {
			for name, sig := range map[string][]byte{
				"zeros": make([]byte, 64), "r zero": append(make([]byte, 32), one...), "s zero": append(bytes.Clone(one), make([]byte, 32)...),
				"r order": append(bytes.Clone(order), one...), "s order": append(bytes.Clone(one), order...), "ones": bytes.Repeat([]byte{0xff}, 64),
			} {
				familytest.Code(t, name, s.Verify(t.Context(), f.tools, mechanism(which), k, nil, sig), ep11.CKR_SIGNATURE_INVALID)
			}
			for _, n := range []int{0, 63, 65} {
				familytest.Code(t, "length", s.Verify(t.Context(), f.tools, mechanism(which), k, nil, make([]byte, n)), ep11.CKR_SIGNATURE_LEN_RANGE)
			}
			sig, err := s.Sign(t.Context(), f.tools, mechanism(which), k, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, public := range [][]byte{nil, {0}, make([]byte, 65), k.Public[:64]} {
				familytest.Code(t, "public key", s.Verify(t.Context(), f.tools, mechanism(which), family.Key{Public: public}, nil, sig), ep11.CKR_SIGNATURE_INVALID)
			}
		}
		for _, m := range []ep11.Mechanism{{}, mechanism(0), mechanism(4), mechanism(ep11.CK_ECSG_BLS), {Parameter: []byte{3}}} {
			_, err := s.Sign(t.Context(), f.tools, m, k, nil)
			familytest.Code(t, "sign", err, ep11.CKR_MECHANISM_PARAM_INVALID)
			familytest.Code(t, "verify", s.Verify(t.Context(), f.tools, m, k, nil, make([]byte, 64)), ep11.CKR_MECHANISM_PARAM_INVALID)
		}
		broken := f.tools
		broken.Random = familytest.Broken{}
		if _, err := s.Sign(t.Context(), broken, mechanism(3), k, nil); !errors.Is(err, familytest.ErrNoRandom) {
			t.Errorf("without randomness: %v", err)
		}
		zero := family.Key{Secret: familytest.Secret(t, f.tools, make([]byte, 32))}
		if _, err := s.Sign(t.Context(), f.tools, mechanism(3), zero, nil); err == nil {
			t.Error("a key of 0 signed")
		}
	}
}

// Law: the verdict on any bytes is that of the equation.
func FuzzVerify(f *testing.F) {
	fix := newFixture(f)
	keys := map[string]family.Key{}
	xs, ys := map[string]*big.Int{}, map[string]*big.Int{}
	for oid := range fix.curves {
		keys[oid], xs[oid], ys[oid] = fix.key(f, oid, append(make([]byte, 31), 5))
		for _, which := range []uint64{ep11.CK_ECSG_S256, ep11.CK_ECSG_COMPR_MULTI} {
			sig, err := fix.signer(f, oid).Sign(f.Context(), fix.tools, mechanism(which), keys[oid], []byte("m"))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(oid == ep11.OIDP256, which == 3, []byte("m"), sig)
		}
	}
	f.Fuzz(func(t *testing.T, nist, three bool, message, sig []byte) {
		oid, which := ep11.OIDSecp256k1, uint64(ep11.CK_ECSG_COMPR_MULTI)
		if nist {
			oid = ep11.OIDP256
		}
		if three {
			which = ep11.CK_ECSG_S256
		}
		err := fix.signer(t, oid).Verify(context.Background(), fix.tools, mechanism(which), keys[oid], message, sig)
		want := len(sig) == 64 && independent(fix.curves[oid], which, xs[oid], ys[oid], message, sig)
		if (err == nil) != want {
			t.Fatalf("got %v, want %v", err, want)
		}
	})
}
