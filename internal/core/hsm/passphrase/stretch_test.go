// SPDX-License-Identifier: Apache-2.0

package passphrase

import (
	"errors"
	"testing"
)

func TestCostBounds(t *testing.T) {
	t.Parallel()
	d := DefaultCost()
	for _, tt := range []struct {
		cost       Cost
		weak, fits bool
	}{
		{d, false, true},
		{Cost{16, 2 << 20, 16}, false, true},
		{Cost{17, d.Memory, d.Lanes}, true, false},
		{Cost{d.Time, 2<<20 + 1, d.Lanes}, true, false},
		{Cost{d.Time, d.Memory, 17}, true, false},
		{Cost{0, d.Memory, d.Lanes}, true, false},
		{Cost{d.Time, d.Memory, 0}, true, false},
		{Cost{d.Time, 31, 4}, true, false},
		{Cost{1, 32, 4}, true, true},
		{Cost{2, d.Memory, d.Lanes}, false, false},
		{Cost{d.Time, d.Memory - 1, d.Lanes}, false, false},
		{Cost{d.Time, d.Memory, 3}, false, false},
	} {
		if err := tt.cost.Check(tt.weak); (err == nil) != tt.fits || err != nil && !errors.Is(err, ErrCost) {
			t.Errorf("%+v weak=%v: got error %v", tt.cost, tt.weak, err)
		}
	}
}
