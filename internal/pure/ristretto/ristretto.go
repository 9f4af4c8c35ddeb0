// SPDX-License-Identifier: Apache-2.0

// Package ristretto is the group ristretto255 of RFC 9496: prime order, one encoding an element, no cofactor to think of. It is a layer over
// filippo.io/edwards25519, which does all arithmetic; docs/adr/0011-verifiable-shares.md says why.
//
// It refuses encodings that are not canonical. Everything is constant time but [LinearVarTime], which is for public values only.
package ristretto

import (
	"encoding/hex"
	"errors"

	"filippo.io/edwards25519"
	"filippo.io/edwards25519/field"
)

// Sizes in bytes.
const (
	Size       = 32 // of an encoded element
	ScalarSize = 32 // of an encoded scalar, little-endian
)

// ErrEncoding says that bytes are not the encoding of an element.
var ErrEncoding = errors.New("ristretto: not the canonical encoding of an element")

// Scalar is an integer modulo the group's order, 2^252 + 27742317777372353535851937790883648493. To forget one, assign the zero Scalar to it.
type Scalar = edwards25519.Scalar

// Element is an element of the group. Elements are values and are never changed; the zero Element is the identity.
type Element struct{ p *edwards25519.Point } // one of the eight points that stand for the element; nil for the identity

// Constants of RFC 9496 section 4.1, little-endian.
var (
	d               = constant("a3785913ca4deb75abd841414d0a700098e879777940c78c73fe6f2bee6c0352")
	sqrtM1          = constant("b0a00e4a271beec478e42fad0618432fa7d7fb3d99004d2b0bdfc14f8024832b")
	sqrtADMinusOne  = constant("1b2e7b49a0f6977ebd54781b0c8e9daffdd1f531c9fc3c0fac48832bbf316937")
	invSqrtAMinusD  = constant("ea405d80aafdc899be72415a17162f9d40d801fe917bc216a2fcafcf05896c78")
	oneMinusDSquare = constant("76c15f94c1097ce20f355ecd38a1812ce4df70beddab9499d7e0b3b2a8729002")
	dMinusOneSquare = constant("204ded44aa5aad3199191eb02c4a9ed2eb4e9b522fd3dc4c41226cf67ab36859")
	one             = constant("0100000000000000000000000000000000000000000000000000000000000000")
)

func constant(text string) field.Element {
	b, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	var e field.Element
	if _, err := e.SetBytes(b); err != nil {
		panic(err)
	}
	return e
}

func (e Element) point() *edwards25519.Point {
	if e.p == nil {
		return edwards25519.NewIdentityPoint()
	}
	return e.p
}

// Generator returns the generator, which RFC 9496 calls the canonical one.
func Generator() Element { return Element{edwards25519.NewGeneratorPoint()} }

// Add returns e + other.
func (e Element) Add(other Element) Element {
	return Element{new(edwards25519.Point).Add(e.point(), other.point())}
}

// Mul returns s·e.
func (e Element) Mul(s *Scalar) Element {
	return Element{new(edwards25519.Point).ScalarMult(s, e.point())}
}

// MulGenerator returns s·[Generator].
func MulGenerator(s *Scalar) Element {
	return Element{new(edwards25519.Point).ScalarBaseMult(s)}
}

// LinearVarTime returns the sum of s[i]·e[i], in time that depends on the scalars: they must be public. It panics if the lengths differ.
func LinearVarTime(s []*Scalar, e []Element) Element {
	points := make([]*edwards25519.Point, len(e))
	for i := range e {
		points[i] = e[i].point()
	}
	return Element{new(edwards25519.Point).VarTimeMultiScalarMult(s, points)}
}

// IsIdentity reports whether e is the identity.
func (e Element) IsIdentity() bool { return e.Equal(Element{}) }

// Equal reports whether two elements are the same (RFC 9496 section 4.3.3).
func (e Element) Equal(other Element) bool {
	x1, y1, _, _ := e.point().ExtendedCoordinates()
	x2, y2, _, _ := other.point().ExtendedCoordinates()
	var a, b field.Element
	same := a.Multiply(x1, y2).Equal(b.Multiply(y1, x2))
	same |= a.Multiply(y1, y2).Equal(b.Multiply(x1, x2))
	return same == 1
}

// Decode reads an element (RFC 9496 section 4.3.1), or returns [ErrEncoding].
func Decode(b []byte) (Element, error) {
	var s field.Element
	if len(b) != Size {
		return Element{}, ErrEncoding
	}
	if _, err := s.SetBytes(b); err != nil {
		return Element{}, ErrEncoding
	}
	if [Size]byte(s.Bytes()) != [Size]byte(b) || s.IsNegative() == 1 {
		return Element{}, ErrEncoding
	}
	var ss, u1, u2, u2Square, v, inv, denX, denY, x, y, t field.Element
	ss.Square(&s)
	u1.Subtract(&one, &ss)
	u2.Add(&one, &ss)
	u2Square.Square(&u2)
	v.Multiply(&d, v.Square(&u1))
	v.Subtract(v.Negate(&v), &u2Square)
	_, square := inv.SqrtRatio(&one, product(&v, &u2Square))
	denX.Multiply(&inv, &u2)
	denY.Multiply(denY.Multiply(&inv, &denX), &v)
	x.Absolute(x.Multiply(x.Add(&s, &s), &denX))
	y.Multiply(&u1, &denY)
	t.Multiply(&x, &y)
	if square == 0 || t.IsNegative() == 1 || y.Equal(new(field.Element).Zero()) == 1 {
		return Element{}, ErrEncoding
	}
	p, err := new(edwards25519.Point).SetExtendedCoordinates(&x, &y, &one, &t)
	if err != nil {
		return Element{}, ErrEncoding
	}
	return Element{p}, nil
}

func product(a, b *field.Element) *field.Element { return new(field.Element).Multiply(a, b) }

// Encode returns the encoding of an element (RFC 9496 section 4.3.2).
func (e Element) Encode() [Size]byte {
	x0, y0, z0, t0 := e.point().ExtendedCoordinates()
	var u1, u2, inv, den1, den2, zInv, ix0, iy0, enchanted, a, x, y, denInv, s field.Element
	u1.Multiply(u1.Add(z0, y0), a.Subtract(z0, y0))
	u2.Multiply(x0, y0)
	inv.SqrtRatio(&one, product(&u1, a.Square(&u2))) // a square always
	den1.Multiply(&inv, &u1)
	den2.Multiply(&inv, &u2)
	zInv.Multiply(zInv.Multiply(&den1, &den2), t0)
	ix0.Multiply(x0, &sqrtM1)
	iy0.Multiply(y0, &sqrtM1)
	enchanted.Multiply(&den1, &invSqrtAMinusD)
	rotate := a.Multiply(t0, &zInv).IsNegative()
	x.Select(&iy0, x0, rotate)
	y.Select(&ix0, y0, rotate)
	denInv.Select(&enchanted, &den2, rotate)
	y.Select(new(field.Element).Negate(&y), &y, a.Multiply(&x, &zInv).IsNegative())
	s.Absolute(s.Multiply(&denInv, s.Subtract(z0, &y)))
	return [Size]byte(s.Bytes())
}

// FromUniform returns the element that 64 uniform bytes stand for (RFC 9496 section 4.3.4): nobody knows its discrete logarithm when the
// bytes are a hash.
func FromUniform(b *[64]byte) Element {
	return lift(b[:32]).Add(lift(b[32:]))
}

// lift is the function MAP of RFC 9496 section 4.3.4, with its reduction of 32 bytes.
func lift(b []byte) Element {
	var t, r, u, v, s, sPrime, c, n, w0, w1, w2, w3, a field.Element
	if _, err := t.SetBytes(b); err != nil { // ignores the highest bit and reduces, as the RFC asks
		panic(err) // 32 bytes never fail
	}
	minusOne := new(field.Element).Negate(&one)
	r.Multiply(&sqrtM1, r.Square(&t))
	u.Multiply(u.Add(&r, &one), &oneMinusDSquare)
	v.Multiply(v.Subtract(minusOne, v.Multiply(&r, &d)), a.Add(&r, &d))
	_, square := s.SqrtRatio(&u, &v)
	sPrime.Negate(sPrime.Absolute(sPrime.Multiply(&s, &t)))
	s.Select(&s, &sPrime, square)
	c.Select(minusOne, &r, square)
	n.Multiply(n.Multiply(&c, n.Subtract(&r, &one)), &dMinusOneSquare)
	n.Subtract(&n, &v)
	w0.Multiply(w0.Add(&s, &s), &v)
	w1.Multiply(&n, &sqrtADMinusOne)
	a.Square(&s)
	w2.Subtract(&one, &a)
	w3.Add(&one, &a)
	p, err := new(edwards25519.Point).SetExtendedCoordinates(product(&w0, &w3), product(&w2, &w1), product(&w1, &w3), product(&w0, &w2))
	if err != nil {
		panic(err) // the map's image lies on the curve
	}
	return Element{p}
}
