// SPDX-License-Identifier: Apache-2.0

package group

import (
	"encoding/hex"
	"errors"

	"filippo.io/bigmod"

	"strongroom/internal/core/internal/curve"
)

// mustOrder makes the modulus of a constant. Those of this package are good.
func mustOrder(digits string) *bigmod.Modulus {
	raw, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	m, err := bigmod.NewModulus(raw)
	if err != nil {
		panic(err)
	}
	return m
}

// point is what the points of nistec's curves have in common.
type point[P any] interface {
	SetBytes(b []byte) (P, error)
	Bytes() []byte
	BytesX() ([]byte, error)
	Add(p, q P) P
	ScalarMult(q P, scalar []byte) (P, error)
	ScalarBaseMult(scalar []byte) (P, error)
}

// nist is a curve of nistec.
type nist[P point[P]] struct{ fresh func() P }

func (c nist[P]) multiplyBase(sk, out []byte) error {
	p, err := c.fresh().ScalarBaseMult(sk)
	if err != nil {
		return ErrScalar
	}
	if copy(out, p.Bytes()) != len(out) { // infinity is one byte
		return ErrScalar
	}
	return nil
}

func (c nist[P]) multiplyX(sk, point, out []byte) error {
	p, err := c.fresh().SetBytes(point)
	if err != nil {
		return ErrPoint
	}
	if p, err = c.fresh().ScalarMult(p, sk); err != nil {
		return ErrScalar
	}
	x, err := p.BytesX()
	if err != nil { // infinity
		return ErrScalar
	}
	copy(out, x)
	clear(x)
	return nil
}

func (c nist[P]) combine(s, r, point []byte) ([]byte, error) {
	p, err := c.fresh().SetBytes(point)
	if err != nil {
		return nil, ErrPoint
	}
	if r != nil {
		if p, err = c.fresh().ScalarMult(p, r); err != nil {
			return nil, ErrScalar
		}
	}
	q, err := c.fresh().ScalarBaseMult(s)
	if err != nil {
		return nil, ErrScalar
	}
	sum := c.fresh().Add(p, q).Bytes()
	if len(sum) != len(point) { // infinity
		return nil, ErrScalar
	}
	return sum, nil
}

func (c nist[P]) onCurve(point []byte) error {
	if _, err := c.fresh().SetBytes(point); err != nil {
		return ErrPoint
	}
	return nil
}

// secp is secp256k1 of libsecp256k1.
type secp struct{ b *curve.Backend }

func (c secp) refusal(err error) error {
	switch {
	case errors.Is(err, curve.ErrScalar):
		return ErrScalar
	case errors.Is(err, curve.ErrPublicKey):
		return ErrPoint
	}
	return err
}

func (c secp) multiplyBase(sk, out []byte) error {
	p, err := c.b.PublicKeyUncompressed(sk)
	copy(out, p[:])
	return c.refusal(err)
}

func (c secp) multiplyX(sk, point, out []byte) error { return c.refusal(c.b.Agree(sk, point, out)) }

func (c secp) combine(s, r, point []byte) ([]byte, error) {
	sum, err := c.b.Combine(s, r, point)
	if err != nil {
		return nil, c.refusal(err)
	}
	return sum, nil
}

func (c secp) onCurve(point []byte) error { return c.refusal(c.b.CheckPoint(point)) }
