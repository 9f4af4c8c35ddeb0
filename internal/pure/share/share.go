// SPDX-License-Identifier: Apache-2.0

// Package share is the public half of verifiable secret sharing: how many custodians there are, how many of them are needed, and the
// commitments against which each share can be checked without bringing shares together (docs/spec/share.md section 3).
//
// It is Feldman's scheme over ristretto255 in the hiding form that Pedersen gave it. Feldman commits to a coefficient a as a·G, which tells
// somebody with a quantum computer the coefficient, the master secret first of all. Pedersen commits as a·G + b·H with a random b, which
// tells nobody anything, ever; what a quantum computer could do is to make false shares fit, and that is caught by the recovery public key.
// docs/adr/0011-verifiable-shares.md has the argument.
//
// It refuses thresholds and numbers out of bounds, a threshold of 1 unless asked, a number of commitments other than the threshold, the
// identity as a commitment, and encodings that are not canonical. Splitting and combining handle secrets: internal/core/sharing.
//
// Specs: Feldman 1987; Pedersen 1991 ("Non-interactive and information-theoretic secure verifiable secret sharing"); RFC 9496.
package share

import (
	"crypto/sha512"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ristretto"
)

// MaxShares is the largest number of shares. Sixteen, because SLIP-39 has that limit for members of a group, because a restore is checked by
// people who can count, and because all commitments and receipts stand in one log entry of limited size.
const MaxShares = 16

// MinThreshold is the smallest threshold outside evaluation: with 1, each custodian has the master secret alone.
const MinThreshold = 2

var (
	// ErrScheme says that a threshold and a number of shares don't go together.
	ErrScheme = errors.New("share: threshold and number of shares don't fit")
	// ErrCommitments says that commitments are not what a split of this scheme makes.
	ErrCommitments = errors.New("share: not the commitments of a sharing")
	// ErrIndex says that a share's index is 0 or beyond the number of shares.
	ErrIndex = errors.New("share: there is no share of that index")
)

// Scheme says how many shares there are and how many of them are needed: m of n.
type Scheme struct {
	Threshold uint8 // m
	Shares    uint8 // n, the shares have the indices 1 to n
}

// Check refuses a scheme with a threshold of 0 or above the number of shares, and more than [MaxShares] shares. A threshold of 1 is refused
// unless oneUnsafe: it is for evaluation.
func (s Scheme) Check(oneUnsafe bool) error {
	switch {
	case s.Shares < 1 || s.Shares > MaxShares:
		return fmt.Errorf("%w: %d shares; use 1 to %d", ErrScheme, s.Shares, MaxShares)
	case s.Threshold < 1 || s.Threshold > s.Shares:
		return fmt.Errorf("%w: threshold %d of %d shares", ErrScheme, s.Threshold, s.Shares)
	case s.Threshold < MinThreshold && !oneUnsafe:
		return fmt.Errorf("%w: with a threshold of %d one custodian has everything; use %d or more", ErrScheme, s.Threshold, MinThreshold)
	}
	return nil
}

// CheckIndex refuses an index that no share of the scheme has.
func (s Scheme) CheckIndex(index uint8) error {
	if index < 1 || index > s.Shares {
		return fmt.Errorf("%w: %d, there are 1 to %d", ErrIndex, index, s.Shares)
	}
	return nil
}

// String gives "3 of 5".
func (s Scheme) String() string { return fmt.Sprintf("%d of %d", s.Threshold, s.Shares) }

// Generator returns H, the second generator of the commitments: the element that SHA-512("strongroom/share-generator/v1") maps to. Nobody
// knows its logarithm to the base of ristretto255's own generator G.
func Generator() ristretto.Element {
	h := sha512.Sum512([]byte(canon.TagGenerator))
	return ristretto.FromUniform(&h)
}

// Commitments are those of one sharing: A_0 to A_(m-1), one for each coefficient. A_0 is that to the master secret and stays the same when the
// custodians change. The zero Commitments are of no sharing.
type Commitments struct {
	scheme Scheme
	points []ristretto.Element
}

// record is what [Commitments.Hash] hashes.
type record struct {
	Threshold uint8  `cbor:"1,keyasint"`
	Shares    uint8  `cbor:"2,keyasint"`
	Points    []byte `cbor:"3,keyasint"`
}

// New takes commitments that were just made. It refuses what [Parse] refuses.
func New(scheme Scheme, points []ristretto.Element) (Commitments, error) {
	if err := scheme.Check(true); err != nil {
		return Commitments{}, err
	}
	if len(points) != int(scheme.Threshold) {
		return Commitments{}, fmt.Errorf("%w: %d commitments for a threshold of %d", ErrCommitments, len(points), scheme.Threshold)
	}
	for i, p := range points {
		if p.IsIdentity() {
			return Commitments{}, fmt.Errorf("%w: commitment %d is the identity", ErrCommitments, i)
		}
	}
	return Commitments{scheme: scheme, points: slices.Clone(points)}, nil
}

// Parse reads the commitments of a scheme, threshold × 32 bytes. It refuses a number of commitments other than the threshold (a longer
// polynomial would raise it unseen), the identity, and bytes that are no canonical encoding. A threshold of 1 is a matter of [Scheme.Check].
func Parse(scheme Scheme, encoded []byte) (Commitments, error) {
	if len(encoded) != int(scheme.Threshold)*ristretto.Size {
		return Commitments{}, fmt.Errorf("%w: %d bytes for a threshold of %d, not %d", ErrCommitments, len(encoded), scheme.Threshold, int(scheme.Threshold)*ristretto.Size)
	}
	points := make([]ristretto.Element, scheme.Threshold)
	for i := range points {
		p, err := ristretto.Decode(encoded[i*ristretto.Size : (i+1)*ristretto.Size])
		if err != nil {
			return Commitments{}, fmt.Errorf("%w: commitment %d: %w", ErrCommitments, i, err)
		}
		points[i] = p
	}
	return New(scheme, points)
}

// Scheme returns the scheme that the commitments are for.
func (c Commitments) Scheme() Scheme { return c.scheme }

// Encode returns the commitments, threshold × 32 bytes.
func (c Commitments) Encode() []byte {
	out := make([]byte, 0, len(c.points)*ristretto.Size)
	for _, p := range c.points {
		b := p.Encode()
		out = append(out, b[:]...)
	}
	return out
}

// Hash names a sharing: threshold, number of shares and commitments. Receipts and sealed shares bind it.
func (c Commitments) Hash() [32]byte {
	return canon.Hash(canon.TagCommitments, record{Threshold: c.scheme.Threshold, Shares: c.scheme.Shares, Points: c.Encode()})
}

// Secret returns A_0, the commitment to the master secret; the identity for the zero Commitments.
func (c Commitments) Secret() ristretto.Element {
	if len(c.points) == 0 {
		return ristretto.Element{}
	}
	return c.points[0]
}

// At returns the commitment to the share of an index: the sum of index^j · A_j. The share (s, t) fits if s·G + t·H equals it.
func (c Commitments) At(index uint8) (ristretto.Element, error) {
	if err := c.scheme.CheckIndex(index); err != nil {
		return ristretto.Element{}, err
	}
	x := Scalar(index)
	power := Scalar(1)
	powers := make([]*ristretto.Scalar, len(c.points))
	for j := range powers {
		powers[j] = new(ristretto.Scalar).Set(power)
		power.Multiply(power, x)
	}
	return ristretto.LinearVarTime(powers, c.points), nil
}

// Scalar returns a small number as a scalar.
func Scalar(n uint8) *ristretto.Scalar {
	s, err := new(ristretto.Scalar).SetCanonicalBytes(append([]byte{n}, make([]byte, ristretto.ScalarSize-1)...))
	if err != nil {
		panic(err) // 0 to 255 are below the order
	}
	return s
}

// Lagrange returns the coefficient with which the share of index at enters the value at 0 of the polynomial through the shares of these
// indices: the product of j / (j - at) over the others. Indices are public, so time may depend on them; they must be distinct and hold at.
func Lagrange(at uint8, indices []uint8) *ristretto.Scalar {
	num, den := Scalar(1), Scalar(1)
	for _, j := range indices {
		if j == at {
			continue
		}
		num.Multiply(num, Scalar(j))
		den.Multiply(den, new(ristretto.Scalar).Subtract(Scalar(j), Scalar(at)))
	}
	return num.Multiply(num, den.Invert(den))
}
