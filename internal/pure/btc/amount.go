// SPDX-License-Identifier: Apache-2.0

package btc

import "fmt"

// Sat is an amount in satoshi, 10⁻⁸ bitcoin. Amounts that exist are at most [MaxSat].
type Sat uint64

// SatPerBitcoin is one bitcoin in satoshi.
const SatPerBitcoin Sat = 100_000_000

// Check refuses an amount above [MaxSat] with [ErrAmount].
func (s Sat) Check() error {
	if s > MaxSat {
		return fmt.Errorf("%w: %d satoshi", ErrAmount, uint64(s))
	}
	return nil
}

// CheckedAdd returns s + t. It refuses summands and sums above [MaxSat] with [ErrAmount], and so never wraps around.
func (s Sat) CheckedAdd(t Sat) (Sat, error) {
	if s > MaxSat || t > MaxSat || s+t > MaxSat {
		return 0, fmt.Errorf("%w: %d + %d satoshi", ErrAmount, uint64(s), uint64(t))
	}
	return s + t, nil
}

// sumOutputs adds up values with [Sat.CheckedAdd].
func sumOutputs(outs []TxOut) (Sat, error) {
	var sum Sat
	for i, o := range outs {
		var err error
		if sum, err = sum.CheckedAdd(o.Value); err != nil {
			return 0, fmt.Errorf("output %d: %w", i, err)
		}
	}
	return sum, nil
}
