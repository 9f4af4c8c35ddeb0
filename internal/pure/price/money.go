// SPDX-License-Identifier: Apache-2.0

package price

import (
	"strings"

	"strongroom/internal/pure/custody"
)

// Money writes an amount of minor units of a currency as people do, in whole units: 1000000 of USD is "10000.00 USD". [Digits] says where the point is.
func Money(minor custody.Uint256, currency string) string {
	s, digits := minor.String(), int(Digits(currency))
	if digits == 0 {
		return s + " " + currency
	}
	if short := digits + 1 - len(s); short > 0 {
		s = strings.Repeat("0", short) + s
	}
	return s[:len(s)-digits] + "." + s[len(s)-digits:] + " " + currency
}
