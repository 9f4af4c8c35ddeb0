// SPDX-License-Identifier: Apache-2.0

// Package group is the arithmetic of the prime-order curves that applications' keys lie on, beside ECDSA: key agreement (SEC 1 section 3.3.1),
// sums of keys (BIP-32, SLIP-10), and the scalars and points of Schnorr signatures. The curves are P-224, P-256, P-384, P-521 (FIPS 186-5, by
// filippo.io/nistec and filippo.io/bigmod, which are the code of Go's own cryptographic module) and secp256k1 (by libsecp256k1, package curve).
// docs/adr/0020-algorithms-for-applications.md says why these.
//
// It refuses scalars outside [1, n-1], points that are not uncompressed (04 || X || Y) or not on the curve, and infinity as an input or a result.
//
// Methods that take a secret run in constant time but for its length; those called public don't. Copies outside the arena: nistec and bigmod
// compute on the heap or the stack; integers are cleared, points of the last step are not, and lie there until the memory is used again.
package group

import (
	"errors"
	"fmt"

	"filippo.io/bigmod"
	"filippo.io/nistec"

	"strongroom/internal/core/internal/curve"
	"strongroom/internal/secret"
)

var (
	// ErrScalar says that a scalar is not in [1, n-1], has another length than the order, or that a result is 0 or infinity.
	ErrScalar = errors.New("group: scalar is out of range")
	// ErrPoint says that bytes are no uncompressed point of the curve.
	ErrPoint = errors.New("group: not a point of the curve")
)

// Group is one curve. It is immutable and safe for concurrent use.
type Group struct {
	name  string
	size  int // bytes of a coordinate and of a scalar: the same for all five
	bits  int // of the order
	order *bigmod.Modulus
	points
}

// points are the operations of one curve on points. Scalars are in range and points unchecked when they get here.
type points interface {
	multiplyBase(sk, out []byte) error          // out = point
	multiplyX(sk, point, out []byte) error      // out = x coordinate
	combine(s, r, point []byte) ([]byte, error) // public: s*G + r*P, r may be nil for 1
	onCurve(point []byte) error
}

// orders are the orders of the curves, SEC 2 and FIPS 186-5.
const (
	orderP224 = "ffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3d"
	orderP256 = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
	orderP384 = "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973"
	orderP521 = "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409"
	orderSecp = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
)

// P224 gives the curve P-224.
func P224() *Group {
	return newGroup("P-224", orderP224, 224, nist[*nistec.P224Point]{fresh: nistec.NewP224Point})
}

// P256 gives the curve P-256.
func P256() *Group {
	return newGroup("P-256", orderP256, 256, nist[*nistec.P256Point]{fresh: nistec.NewP256Point})
}

// P384 gives the curve P-384.
func P384() *Group {
	return newGroup("P-384", orderP384, 384, nist[*nistec.P384Point]{fresh: nistec.NewP384Point})
}

// P521 gives the curve P-521.
func P521() *Group {
	return newGroup("P-521", orderP521, 521, nist[*nistec.P521Point]{fresh: nistec.NewP521Point})
}

// Secp256k1 gives the curve secp256k1 on a backend.
func Secp256k1(b *curve.Backend) *Group { return newGroup("secp256k1", orderSecp, 256, secp{b}) }

func newGroup(name, order string, bits int, p points) *Group {
	m := mustOrder(order)
	return &Group{name: name, size: m.Size(), bits: bits, order: m, points: p}
}

// Name gives the usual name of the curve.
func (g *Group) Name() string { return g.name }

// Size is the length of a scalar and of a coordinate in bytes: 28, 32, 48 or 66.
func (g *Group) Size() int { return g.size }

// Bits is the size of the order in bits.
func (g *Group) Bits() int { return g.bits }

// PointSize is the length of an uncompressed point in bytes.
func (g *Group) PointSize() int { return 1 + 2*g.size }

// CheckScalar refuses what is no secret scalar.
func (g *Group) CheckScalar(sk []byte) (err error) {
	secret.Do(func() {
		var x *bigmod.Nat
		x, err = g.scalar(sk)
		forget(x)
	})
	return err
}

// scalar reads a scalar in [1, n-1]. The caller forgets it.
func (g *Group) scalar(b []byte) (*bigmod.Nat, error) {
	if len(b) != g.size {
		return nil, ErrScalar
	}
	x, err := bigmod.NewNat().SetBytes(b, g.order)
	if err != nil {
		return nil, ErrScalar
	}
	if x.IsZero() == 1 {
		return nil, ErrScalar
	}
	return x, nil
}

// forget clears an integer; nil is none.
func forget(x *bigmod.Nat) {
	if x != nil {
		clear(x.Bits())
	}
}

// CheckPoint refuses what is no uncompressed point of the curve.
func (g *Group) CheckPoint(point []byte) error {
	if len(point) != g.PointSize() || point[0] != 4 {
		return ErrPoint
	}
	return g.onCurve(point)
}

// Scalar fills out with a secret scalar in [1, n-1] from fill, which fills a slice with randomness (FIPS 186-5 A.2.2: draws out of range are
// thrown away).
func (g *Group) Scalar(fill func([]byte) error, out []byte) error {
	if len(out) != g.size {
		return ErrScalar
	}
	for range draws {
		if err := fill(out); err != nil {
			clear(out)
			return err
		}
		out[0] &= byte(0xff >> (8*g.size - g.bits))
		if g.CheckScalar(out) == nil {
			return nil
		}
	}
	clear(out)
	return fmt.Errorf("%w: %d draws; the source of randomness is broken", ErrScalar, draws)
}

// draws is how often a scalar is drawn: P-256's order leaves out one value in 2^32, so that a second draw out of range is a fault.
const draws = 8

// Public gives the public key of a secret scalar.
func (g *Group) Public(sk []byte) (point []byte, err error) {
	if err := g.CheckScalar(sk); err != nil {
		return nil, err
	}
	point = make([]byte, g.PointSize())
	secret.Do(func() { err = g.multiplyBase(sk, point) })
	return point, err
}

// Agree writes the x coordinate of sk times the peer's point to out, of Size bytes. The cofactor is 1, so that this is the agreement with
// cofactor too.
func (g *Group) Agree(sk, peer, out []byte) (err error) {
	if len(out) != g.size {
		return ErrScalar
	}
	if err := g.CheckPoint(peer); err != nil {
		return err
	}
	if err := g.CheckScalar(sk); err != nil {
		return err
	}
	secret.Do(func() { err = g.multiplyX(sk, peer, out) })
	return err
}

// Add writes sk + t mod n to out, which may be sk. t is a secret in [0, n-1] of Size bytes: else, or with a sum of 0, [ErrScalar].
func (g *Group) Add(sk, t, out []byte) (err error) {
	if len(t) != g.size || len(out) != g.size {
		return ErrScalar
	}
	secret.Do(func() {
		var x, y *bigmod.Nat
		defer func() { forget(x); forget(y) }()
		if x, err = g.scalar(sk); err != nil {
			return
		}
		if y, err = bigmod.NewNat().SetBytes(t, g.order); err != nil {
			err = ErrScalar
			return
		}
		err = g.put(x.Add(y, g.order), out)
	})
	return err
}

// MulAdd writes addend + factor*sk mod n to out, or addend - factor*sk: the last step of a Schnorr signature, with the secret nonce as addend.
// out is none of the others. A result of 0 is refused.
func (g *Group) MulAdd(sk, factor, addend []byte, subtract bool, out []byte) (err error) {
	if len(out) != g.size {
		return ErrScalar
	}
	if s, ok := g.points.(secp); ok {
		return s.refusal(s.b.MulAdd(sk, factor, addend, subtract, out))
	}
	secret.Do(func() {
		var x, f, k *bigmod.Nat
		defer func() { forget(x); forget(f); forget(k) }()
		if x, err = g.scalar(sk); err != nil {
			return
		}
		if f, err = g.scalar(factor); err != nil {
			return
		}
		if k, err = g.scalar(addend); err != nil {
			return
		}
		x.Mul(f, g.order)
		if subtract {
			k.Sub(x, g.order)
		} else {
			k.Add(x, g.order)
		}
		err = g.put(k, out)
	})
	return err
}

// put writes a result that is not 0.
func (g *Group) put(x *bigmod.Nat, out []byte) error {
	if x.IsZero() == 1 {
		clear(out)
		return ErrScalar
	}
	b := x.Bytes(g.order)
	copy(out, b)
	clear(b)
	return nil
}

// Reduce gives public bytes as an integer mod n. The result is not 0, or [ErrScalar].
func (g *Group) Reduce(public []byte) ([]byte, error) {
	m, err := bigmod.NewModulus(append([]byte{1}, make([]byte, max(len(public), g.size))...)) // a modulus above any value of that length
	if err != nil {
		return nil, ErrScalar
	}
	wide, err := bigmod.NewNat().SetBytes(public, m)
	if err != nil {
		return nil, ErrScalar
	}
	out := make([]byte, g.size)
	return out, g.put(bigmod.NewNat().Mod(wide, g.order), out)
}

// Negate gives n - x for a public scalar.
func (g *Group) Negate(x []byte) ([]byte, error) {
	v, err := g.scalar(x)
	if err != nil {
		return nil, err
	}
	out := make([]byte, g.size)
	return out, g.put(bigmod.NewNat().ExpandFor(g.order).Sub(v, g.order), out)
}

// Combine gives the public point s*G + r*P, or s*G + P when r is nil, in variable time. s and r are public scalars in [1, n-1], point is P.
// Infinity is [ErrScalar].
func (g *Group) Combine(s, r, point []byte) ([]byte, error) {
	if err := g.CheckPoint(point); err != nil {
		return nil, err
	}
	if err := g.CheckScalar(s); err != nil {
		return nil, err
	}
	if r != nil {
		if err := g.CheckScalar(r); err != nil {
			return nil, err
		}
	}
	return g.combine(s, r, point)
}

// Compress gives the compressed form (02 or 03 || X) of an uncompressed point.
func (g *Group) Compress(point []byte) ([]byte, error) {
	if len(point) != g.PointSize() || point[0] != 4 {
		return nil, ErrPoint
	}
	out := append([]byte(nil), point[:1+g.size]...)
	out[0] = 2 | point[len(point)-1]&1
	return out, nil
}
