// SPDX-License-Identifier: Apache-2.0

// Package sharing splits the master secret R among custodians so that any m of n of them can bring it back and fewer learn nothing, lets each
// check their share against public commitments without meeting the others, and makes new shares of the same R when custodians change
// (docs/spec/share.md section 3; internal/pure/share has the public half and says which scheme it is).
//
// It refuses shares that don't fit the commitments, and names them; fewer shares than the threshold; two of one index; and a master secret
// that is 0 or no canonical scalar.
//
// Copies outside the arena: shares, master secret and their encodings stay in the arena. Scalars in the form that the library computes with
// lie in variables of functions inside [secret.Do], on its stack, and are zeroed there; what coefficients are drawn from is cleared.
// Intermediate points that a quantum computer could take a logarithm of are garbage on the heap.
package sharing

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ristretto"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
)

// Sizes in bytes.
const (
	MasterSize = ristretto.ScalarSize       // of a master secret: a scalar, little-endian
	ShareSize  = 1 + 2*ristretto.ScalarSize // of an encoded share: index, value, blinding
	SeedSize   = 64                         // of the seed of a split
	pairSize   = 2 * ristretto.ScalarSize   // value and blinding
	wideSize   = 64                         // of what is reduced to a scalar
	freshSize  = 64                         // system randomness mixed into each split
)

var (
	// ErrShare says that bytes are no share: of another size, with index 0, or with a number that is not below the group's order.
	ErrShare = errors.New("sharing: not a share")
	// ErrWrongShare says that a share does not fit the commitments: it is of another ceremony, was voided by a change of custodians, or was
	// altered.
	ErrWrongShare = errors.New("sharing: the share does not fit the commitments")
	// ErrTooFew says that fewer shares than the threshold are there.
	ErrTooFew = errors.New("sharing: too few shares")
	// ErrDuplicate says that two shares have one index: one custodian counts once.
	ErrDuplicate = errors.New("sharing: two shares of one index")
	// ErrMaster says that a master secret is 0 or no canonical scalar, or a seed has another size.
	ErrMaster = errors.New("sharing: not a master secret or seed")
)

// Share is one custodian's share. It is a handle; copies share one content.
type Share struct {
	index uint8
	pair  secret.Bytes // value and blinding, 64 bytes
}

// Index returns the share's index, from 1.
func (s Share) Index() uint8 { return s.index }

// Wipe forgets the share.
func (s Share) Wipe() { s.pair.Wipe() }

// WipeAll wipes shares.
func WipeAll(list []Share) {
	for _, s := range list {
		s.Wipe()
	}
}

// Parse reads an encoded share of [ShareSize] bytes: index, value and blinding. The caller keeps and wipes encoded.
func Parse(a *secret.Arena, encoded secret.Bytes) (s Share, err error) {
	err = encoded.Use(func(b []byte) error {
		if len(b) != ShareSize {
			return fmt.Errorf("%w: %d bytes, not %d", ErrShare, len(b), ShareSize)
		}
		if b[0] < 1 || b[0] > share.MaxShares {
			return fmt.Errorf("%w: index %d", ErrShare, b[0])
		}
		s.index = b[0]
		secret.Do(func() {
			var v, t ristretto.Scalar
			defer func() { v, t = ristretto.Scalar{}, ristretto.Scalar{} }()
			err = setPair(&v, &t, b[1:])
		})
		if err != nil {
			return ErrShare
		}
		s.pair, err = secret.New(a, pairSize, func(out []byte) error { copy(out, b[1:]); return nil })
		return err
	})
	if err != nil {
		return Share{}, err
	}
	return s, nil
}

// Encode returns the encoded share, [ShareSize] bytes. The caller wipes it.
func (s Share) Encode(a *secret.Arena) (secret.Bytes, error) {
	return secret.New(a, ShareSize, func(out []byte) error {
		out[0] = s.index
		return s.pair.Use(func(b []byte) error { copy(out[1:], b); return nil })
	})
}

// setPair reads value and blinding; it refuses numbers that are not below the order.
func setPair(v, t *ristretto.Scalar, b []byte) error {
	if _, err := v.SetCanonicalBytes(b[:ristretto.ScalarSize]); err != nil {
		return err
	}
	_, err := t.SetCanonicalBytes(b[ristretto.ScalarSize:])
	return err
}

// putPair writes value and blinding.
func putPair(out []byte, v, t *ristretto.Scalar) {
	b := v.Bytes()
	copy(out, b)
	clear(b)
	b = t.Bytes()
	copy(out[ristretto.ScalarSize:], b)
	clear(b)
}

// commit returns v·G + t·H.
func commit(v, t *ristretto.Scalar) ristretto.Element {
	return ristretto.MulGenerator(v).Add(share.Generator().Mul(t))
}

// Check shows a custodian, without anybody else's share, that theirs and any others that pass bring back the committed secret. It returns
// [ErrWrongShare] when it does not fit.
func Check(c share.Commitments, s Share) error {
	want, err := c.At(s.index)
	if err != nil {
		return err
	}
	return s.pair.Use(func(b []byte) error {
		fits := false
		secret.Do(func() {
			var v, t ristretto.Scalar
			defer func() { v, t = ristretto.Scalar{}, ristretto.Scalar{} }()
			fits = setPair(&v, &t, b) == nil && commit(&v, &t).Equal(want)
		})
		if !fits {
			return fmt.Errorf("%w: share %d", ErrWrongShare, s.index)
		}
		return nil
	})
}

// Split makes the shares of a master secret: a canonical scalar other than 0, 32 bytes. The polynomials' other coefficients come from seed
// ([SeedSize] bytes) and from the system's randomness, both; whoever knows neither learns nothing from m-1 shares. The caller keeps and
// wipes master and seed, and wipes the shares.
func Split(a *secret.Arena, master, seed secret.Bytes, scheme share.Scheme) (share.Commitments, []Share, error) {
	opening, err := secret.New(a, pairSize, func(out []byte) error {
		return master.Use(func(m []byte) error {
			if err := checkMaster(m); err != nil {
				return err
			}
			copy(out, m)
			return draw(a, out[MasterSize:], seed, 1) // the blinding of A_0
		})
	})
	if err != nil {
		return share.Commitments{}, nil, fmt.Errorf("sharing: split: %w", err)
	}
	defer opening.Wipe()
	return split(a, opening, seed, scheme)
}

// checkMaster refuses what is not a canonical scalar other than 0.
func checkMaster(m []byte) (err error) {
	if len(m) != MasterSize {
		return fmt.Errorf("%w: %d bytes, not %d", ErrMaster, len(m), MasterSize)
	}
	secret.Do(func() {
		var v, zero ristretto.Scalar
		defer func() { v = zero }()
		if _, bad := v.SetCanonicalBytes(m); bad != nil || v.Equal(&zero) == 1 {
			err = ErrMaster
		}
	})
	return err
}

// draw writes a random scalar to out, as docs/spec/share.md has it: HKDF-SHA-512(key = seed || fresh, info = tag || 0x00 || u32 n), reduced.
func draw(a *secret.Arena, out []byte, seed secret.Bytes, n int) error {
	wide, err := secret.New(a, SeedSize+freshSize+wideSize, func(room []byte) error {
		return seed.Use(func(b []byte) error {
			if len(b) != SeedSize {
				return fmt.Errorf("%w: seed of %d bytes, not %d", ErrMaster, len(b), SeedSize)
			}
			key, wide := room[:SeedSize+freshSize], room[SeedSize+freshSize:]
			rand.Read(key[copy(key, b):]) // never fails: crypto/rand ends the process when the system has no randomness
			return kdf.HKDF(kdf.SHA512, wide, key, nil, canon.TagBytes(canon.TagSplit, binary.BigEndian.AppendUint32(nil, uint32(n))))
		})
	})
	if err != nil {
		return err
	}
	defer wide.Wipe()
	return wide.Use(func(room []byte) error { return Reduce(out, room[SeedSize+freshSize:]) })
}

// Reduce writes to out (32 bytes) the scalar that 64 uniform bytes reduce to.
func Reduce(out, wide []byte) (err error) {
	secret.Do(func() {
		var v ristretto.Scalar
		defer func() { v = ristretto.Scalar{} }()
		if _, err = v.SetUniformBytes(wide); err == nil {
			b := v.Bytes()
			copy(out, b)
			clear(b)
		}
	})
	return err
}

// split makes new polynomials whose values at 0 are the opening: master secret and blinding of A_0.
func split(a *secret.Arena, opening, seed secret.Bytes, scheme share.Scheme) (share.Commitments, []Share, error) {
	if err := scheme.Check(true); err != nil {
		return share.Commitments{}, nil, err
	}
	m := int(scheme.Threshold)
	coefficients, err := secret.New(a, m*pairSize, func(out []byte) error {
		for j := 1; j < m; j++ {
			for half := range 2 {
				at := out[j*pairSize+half*ristretto.ScalarSize:][:ristretto.ScalarSize]
				if err := draw(a, at, seed, 2*j+half); err != nil {
					return err
				}
			}
		}
		return opening.Use(func(o []byte) error { copy(out, o); return nil })
	})
	if err != nil {
		return share.Commitments{}, nil, fmt.Errorf("sharing: split: %w", err)
	}
	defer coefficients.Wipe()
	points, err := commitAll(coefficients, m)
	if err != nil {
		return share.Commitments{}, nil, err
	}
	c, err := share.New(scheme, points)
	if err != nil {
		return share.Commitments{}, nil, err
	}
	list := make([]Share, 0, scheme.Shares)
	for i := uint8(1); i <= scheme.Shares; i++ {
		s, err := evaluate(a, coefficients, i)
		if err == nil {
			list = append(list, s)
			err = Check(c, s) // also catches a machine that computes wrongly
		}
		if err != nil {
			WipeAll(list)
			return share.Commitments{}, nil, fmt.Errorf("sharing: split: %w", err)
		}
	}
	return c, list, nil
}

func commitAll(coefficients secret.Bytes, m int) (points []ristretto.Element, err error) {
	err = coefficients.Use(func(b []byte) error {
		var err error
		secret.Do(func() {
			var v, t ristretto.Scalar
			defer func() { v, t = ristretto.Scalar{}, ristretto.Scalar{} }()
			for j := range m {
				if err = setPair(&v, &t, b[j*pairSize:(j+1)*pairSize]); err != nil {
					return
				}
				points = append(points, commit(&v, &t))
			}
		})
		return err
	})
	return points, err
}

// evaluate computes both polynomials at an index, by Horner's rule.
func evaluate(a *secret.Arena, coefficients secret.Bytes, index uint8) (Share, error) {
	x := share.Scalar(index)
	pair, err := secret.New(a, pairSize, func(out []byte) error {
		return coefficients.Use(func(b []byte) (err error) {
			secret.Do(func() {
				var v, t, cv, ct ristretto.Scalar
				defer func() {
					v, t, cv, ct = ristretto.Scalar{}, ristretto.Scalar{}, ristretto.Scalar{}, ristretto.Scalar{}
				}()
				for at := len(b) - pairSize; at >= 0; at -= pairSize {
					if err = setPair(&cv, &ct, b[at:at+pairSize]); err != nil {
						return
					}
					v.MultiplyAdd(&v, x, &cv)
					t.MultiplyAdd(&t, x, &ct)
				}
				putPair(out, &v, &t)
			})
			return err
		})
	})
	return Share{index: index, pair: pair}, err
}
