// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"testing"

	circl "github.com/cloudflare/circl/ecc/bls12381"
	"github.com/cloudflare/circl/sign/mldsa/mldsa44"
	"github.com/cloudflare/circl/sign/mldsa/mldsa65"
	"github.com/cloudflare/circl/sign/mldsa/mldsa87"
	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	blst "github.com/supranational/blst/bindings/go"

	described "strongroom/internal/pure/algorithm"

	"strongroom/internal/secret/secrettest"
)

func drawn(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// TestSecpAnswerBySecondImplementation makes the known answer of ECDSA over secp256k1 again: decred's nonce with the additional data, and its
// arithmetic.
func TestSecpAnswerBySecondImplementation(t *testing.T) {
	t.Parallel()
	k := answers[described.ECDSASecp256k1][0]
	nonce := secp256k1.NonceRFC6979(k.Secret, k.Input, make([]byte, 32), nil, 0)
	var point secp256k1.JacobianPoint
	secp256k1.ScalarBaseMultNonConst(nonce, &point)
	point.ToAffine()
	var r, s, d, e secp256k1.ModNScalar
	r.SetBytes(point.X.Bytes())
	d.SetByteSlice(k.Secret)
	e.SetByteSlice(k.Input)
	s.InverseValNonConst(nonce).Mul(e.Add(d.Mul(&r)))
	if s.IsOverHalfOrder() {
		s.Negate()
	}
	rb, sb := r.Bytes(), s.Bytes()
	if got := append(rb[:], sb[:]...); !bytes.Equal(got, k.Output) {
		t.Errorf("got %x, want %x", got, k.Output)
	}
}

// TestBLSAgainstCircl makes public keys and signatures with circl's groups and wants the same bytes, and verifies ours by its pairing.
func TestBLSAgainstCircl(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	for range 20 {
		key, msg := generate(t, table, a, described.KindBLS), drawn(33)
		var scalar circl.Scalar
		if err := scalar.UnmarshalBinary(content(t, key.Secret)); err != nil {
			t.Fatal(err)
		}
		var pub circl.G1
		var sig circl.G2
		pub.ScalarMult(&scalar, circl.G1Generator())
		sig.Hash(msg, []byte(blsTag))
		hashed := sig
		sig.ScalarMult(&scalar, &sig)
		got, err := table.Sign(key, described.BLS, msg, nil)
		if err != nil || !bytes.Equal(got, sig.BytesCompressed()) || !bytes.Equal(key.Public, pub.BytesCompressed()) {
			t.Fatalf("public key %x, signature %x, %v; circl has %x, %x", key.Public, got, err, pub.BytesCompressed(), sig.BytesCompressed())
		}
		if !circl.ProdPairFrac([]*circl.G1{&pub, circl.G1Generator()}, []*circl.G2{&hashed, &sig}, []int{1, -1}).IsIdentity() {
			t.Fatal("circl's pairing does not verify")
		}
	}
}

// blsOrder is the order of the groups, little-endian.
func blsOrder() []byte {
	order := unhex("73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001")
	slices.Reverse(order)
	return order
}

// TestBLSOutsideTheGroups: a pairing doesn't see what a public key has outside its group, so that without a check one outside would verify the
// empty signature of every message. A signature with a part outside is refused too, by the check and by the pairing.
func TestBLSOutsideTheGroups(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	msg := drawn(32)
	infinity := append([]byte{0xc0}, make([]byte, 95)...)
	outside := blsOutsideG1(t)
	if p := new(blst.P1Affine).Uncompress(outside); p == nil || p.KeyValidate() {
		t.Fatal("the point is in the group")
	}
	for name, pub := range map[string][]byte{"outside": outside, "infinity": infinity[:48]} {
		if table.Verify(described.KindBLS, described.BLS, pub, msg, infinity) {
			t.Errorf("public key %s: the empty signature verifies", name)
		}
	}

	key := generate(t, table, a, described.KindBLS)
	sig, err := table.Sign(key, described.BLS, msg, nil)
	if err != nil {
		t.Fatal(err)
	}
	twice := blsSecond(t, sig)
	if bytes.Equal(twice, sig) || !table.Verify(described.KindBLS, described.BLS, key.Public, msg, sig) {
		t.Fatal("the test adds nothing")
	}
	if table.Verify(described.KindBLS, described.BLS, key.Public, msg, twice) {
		t.Error("a second signature of the same message verifies")
	}
}

// blsOutsideG1 gives a point of the curve whose order divides the cofactor.
func blsOutsideG1(t *testing.T) []byte {
	for x := byte(1); x < 100; x++ {
		encoded := append([]byte{0x80}, make([]byte, 47)...)
		encoded[47] = x
		if point := new(blst.P1Affine).Uncompress(encoded); point != nil {
			var p blst.P1
			p.FromAffine(point)
			if out := p.MultAssign(blsOrder(), 255).ToAffine().Compress(); out[0] != 0xc0 {
				return out
			}
		}
	}
	t.Fatal("no point found")
	return nil
}

// blsSecond adds a point of G2's curve whose order divides the cofactor to a signature.
func blsSecond(t *testing.T, sig []byte) []byte {
	for x := byte(1); x < 100; x++ {
		encoded := append([]byte{0x80}, make([]byte, 95)...)
		encoded[95] = x
		if point := new(blst.P2Affine).Uncompress(encoded); point != nil {
			var small, sum blst.P2
			small.FromAffine(point)
			sum.FromAffine(new(blst.P2Affine).Uncompress(sig))
			return sum.Add(small.MultAssign(blsOrder(), 255)).ToAffine().Compress()
		}
	}
	t.Fatal("no point found")
	return nil
}

// TestMLDSAAgainstCircl: keys from the same seed are the same, and each verifies the other's signatures.
func TestMLDSAAgainstCircl(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	type other struct {
		public []byte
		sign   func(msg []byte) []byte
		verify func(msg, sig []byte) bool
	}
	for m, from := range map[Mechanism]func(seed [32]byte) other{
		described.MLDSA44: func(seed [32]byte) other {
			pub, sk := mldsa44.NewKeyFromSeed(&seed)
			return other{pub.Bytes(), func(msg []byte) []byte {
				out := make([]byte, mldsa44.SignatureSize)
				if err := mldsa44.SignTo(sk, msg, nil, true, out); err != nil {
					t.Fatal(err)
				}
				return out
			}, func(msg, sig []byte) bool { return mldsa44.Verify(pub, msg, nil, sig) }}
		},
		described.MLDSA65: func(seed [32]byte) other {
			pub, sk := mldsa65.NewKeyFromSeed(&seed)
			return other{pub.Bytes(), func(msg []byte) []byte {
				out := make([]byte, mldsa65.SignatureSize)
				if err := mldsa65.SignTo(sk, msg, nil, true, out); err != nil {
					t.Fatal(err)
				}
				return out
			}, func(msg, sig []byte) bool { return mldsa65.Verify(pub, msg, nil, sig) }}
		},
		described.MLDSA87: func(seed [32]byte) other {
			pub, sk := mldsa87.NewKeyFromSeed(&seed)
			return other{pub.Bytes(), func(msg []byte) []byte {
				out := make([]byte, mldsa87.SignatureSize)
				if err := mldsa87.SignTo(sk, msg, nil, true, out); err != nil {
					t.Fatal(err)
				}
				return out
			}, func(msg, sig []byte) bool { return mldsa87.Verify(pub, msg, nil, sig) }}
		},
	} {
		for range 10 {
			key, msg := generate(t, table, a, Kind(m)), drawn(100)
			o := from([32]byte(content(t, key.Secret)))
			if !bytes.Equal(o.public, key.Public) {
				t.Fatalf("%s: public keys differ", m)
			}
			sig, err := table.Sign(key, m, msg, nil)
			if err != nil || !o.verify(msg, sig) {
				t.Errorf("%s: circl refuses our signature, %v", m, err)
			}
			if theirs := o.sign(msg); !table.Verify(key.Kind, m, key.Public, msg, theirs) {
				t.Errorf("%s: we refuse circl's signature", m)
			}
		}
	}
}

// TestTheUsedHashOfRSAKeys: what RSA signs is SHA-256 of the message, so a signature over it as a digest is none.
func TestTheUsedHashOfRSAKeys(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	key := generate(t, table, a, described.KindRSA2048)
	msg := drawn(32)
	sum := sha256.Sum256(msg)
	for _, m := range []Mechanism{described.RSAPKCS1, described.RSAPSS} {
		sig, err := table.Sign(key, m, msg, nil)
		if err != nil || table.Verify(key.Kind, m, key.Public, sum[:], sig) || !table.Verify(key.Kind, m, key.Public, msg, sig) {
			t.Errorf("%s: %v", m, err)
		}
	}
}
