// SPDX-License-Identifier: Apache-2.0

// Package price has signed quotes of what an asset is worth, and exact arithmetic on them: no floats, no rounding but up, nothing that is not the one
// spelling of its value. It refuses quotes of no known form; who may sign them, and how old they may be, is for the rule document to say
// (docs/spec/prices.md).
package price

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"strongroom/internal/pure/custody"
)

// Bounds of a rate.
const (
	MaxScale    = 60  // digits after the point
	MaxMantissa = 128 // bits
)

// Rate is what one base unit of an asset is worth in minor units of a currency: Mantissa times ten to the power of minus Scale. A coin of 18 decimals that
// is worth 3000.00 USD has 300000 cents for 10^18 base units: mantissa 3, scale 13.
type Rate struct {
	Mantissa custody.Uint256 `cbor:"1,keyasint"`           // more than 0
	Scale    uint32          `cbor:"2,keyasint,omitempty"` // 0 if Mantissa is a multiple of 10
}

// Check says whether r is within bounds, and in its one spelling: with a scale, the mantissa is no multiple of ten.
func (r Rate) Check() error {
	m := integer(r.Mantissa)
	switch {
	case m.Sign() == 0:
		return errors.New("rate: is 0; what is worth nothing has no price")
	case m.BitLen() > MaxMantissa || r.Scale > MaxScale:
		return fmt.Errorf("rate: has more than %d bits or %d digits after the point", MaxMantissa, MaxScale)
	case r.Scale > 0 && new(big.Int).Rem(m, big.NewInt(10)).Sign() == 0:
		return errors.New("rate: ends in 0 after the point; leave that out")
	default:
		return nil
	}
}

// NewRate gives the rate of mantissa times ten to the power of exponent.
func NewRate(mantissa *big.Int, exponent int) (Rate, error) {
	m := new(big.Int).Set(mantissa)
	if m.Sign() < 0 || m.BitLen() > 512 || exponent < -256 || exponent > 256 {
		return Rate{}, errors.New("rate: is negative or out of range")
	}
	if exponent > 0 {
		m.Mul(m, pow10(uint32(exponent)))
		exponent = 0
	}
	for rest := new(big.Int); exponent < 0 && m.Sign() > 0; exponent++ {
		q, _ := new(big.Int).QuoRem(m, big.NewInt(10), rest)
		if rest.Sign() != 0 {
			break
		}
		m = q
	}
	if m.BitLen() > MaxMantissa {
		return Rate{}, fmt.Errorf("rate: has more than %d bits", MaxMantissa)
	}
	r := Rate{Scale: uint32(-exponent)}
	m.FillBytes(r.Mantissa[:])
	return r, r.Check()
}

// OfCoin gives the rate of a price as people say it: for one whole coin of so many decimals, in whole units of a currency that has so many digits after
// its point. price is decimal digits, with at most one point.
func OfCoin(price string, decimals, digits uint32) (Rate, error) {
	whole, fraction, point := strings.Cut(price, ".")
	text := whole + fraction
	onlyDigits := !strings.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	if whole == "" || point && fraction == "" || !onlyDigits || len(text) > 100 || decimals > 77 || digits > 18 {
		return Rate{}, fmt.Errorf("price %.80q: want decimal digits, with a point or without, for instance 60123.45", price)
	}
	m, _ := new(big.Int).SetString(text, 10)
	return NewRate(m, int(digits)-len(fraction)-int(decimals))
}

// Value gives what an amount of base units is worth, rounded up to whole minor units; false if it does not fit in 256 bits, or r is none: a file of somebody else may
// have any scale.
func (r Rate) Value(amount custody.Uint256) (v custody.Uint256, ok bool) {
	if r.Check() != nil {
		return v, false
	}
	n := new(big.Int).Mul(integer(amount), integer(r.Mantissa))
	d := pow10(r.Scale)
	n.Add(n, d).Sub(n, big.NewInt(1)).Quo(n, d)
	if n.BitLen() > 256 {
		return v, false
	}
	n.FillBytes(v[:])
	return v, true
}

// Cmp compares two rates: -1, 0 or 1.
func (r Rate) Cmp(o Rate) int {
	a, b := r.aligned(o)
	return a.Cmp(b)
}

// Within says whether r differs from base by so many basis points of base at most.
func (r Rate) Within(base Rate, points uint32) bool {
	a, b := r.aligned(base)
	diff := new(big.Int).Sub(a, b)
	diff.Abs(diff).Mul(diff, big.NewInt(10_000))
	return diff.Cmp(b.Mul(b, big.NewInt(int64(points)))) <= 0
}

// String writes r as a decimal: minor units for a base unit. One beyond bounds is written with its exponent.
func (r Rate) String() string {
	s := r.Mantissa.String()
	switch {
	case r.Scale == 0:
		return s
	case r.Scale > MaxScale:
		return fmt.Sprintf("%se-%d", s, r.Scale)
	}
	if n := int(r.Scale) + 1 - len(s); n > 0 {
		s = strings.Repeat("0", n) + s
	}
	at := len(s) - int(r.Scale)
	return s[:at] + "." + s[at:]
}

// Median gives the middle one of some rates; of an even number the higher of the two in the middle, because limits must not be passed. There must be one.
func Median(rates []Rate) Rate {
	sorted := slices.SortedFunc(slices.Values(rates), Rate.Cmp)
	return sorted[len(sorted)/2]
}

// aligned gives both mantissas at the same scale.
func (r Rate) aligned(o Rate) (a, b *big.Int) {
	most := max(r.Scale, o.Scale)
	return new(big.Int).Mul(integer(r.Mantissa), pow10(most-r.Scale)), new(big.Int).Mul(integer(o.Mantissa), pow10(most-o.Scale))
}

func integer(u custody.Uint256) *big.Int { return new(big.Int).SetBytes(u[:]) }

func pow10(n uint32) *big.Int { return new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(n)), nil) }
