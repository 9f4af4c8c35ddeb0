// SPDX-License-Identifier: Apache-2.0

package price_test

import (
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/price"
)

func TestMoney(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ minor, currency, want string }{
		{"0", "USD", "0.00 USD"},
		{"7", "USD", "0.07 USD"},
		{"42", "EUR", "0.42 EUR"},
		{"100", "USD", "1.00 USD"},
		{"1000000", "USD", "10000.00 USD"},
		{"1234", "JPY", "1234 JPY"},
		{"1234", "KWD", "1.234 KWD"},
		{"1", "CLF", "0.0001 CLF"},
	} {
		n, err := custody.ParseUint256(x.minor)
		if err != nil {
			t.Fatal(err)
		}
		if got := price.Money(n, x.currency); got != x.want {
			t.Errorf("%s of %s: got %q, want %q", x.minor, x.currency, got, x.want)
		}
	}
}
