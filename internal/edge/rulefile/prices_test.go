// SPDX-License-Identifier: Apache-2.0

package rulefile_test

import (
	"bytes"
	"strings"
	"testing"

	"strongroom/internal/edge/rulefile"
)

// inMoney has everything about prices, lists out of order.
const inMoney = `
priceSources:
- id: feed
  maxAge: 90s
  maxStep: 500
  minSigners: 2
  pairs: [{asset: "eip155:1/slip44:60", currency: USD}, {asset: "eip155:1/slip44:60", currency: CHF}]
  signers:
  - {id: two, pub: b31b801f390ee5ffe2af7dd8782568d9c640d094586bea7d7bede29cf55f9c93}
  - {id: one, pub: 7f6f3a44d1ad8ee5a9924ae577008e4ca40e4cc45f30c3052e7d65bc9c55624f}
limits:
- {id: money, when: {operation: [transfer]}, measure: fiat, currency: CHF, max: "5000000", window: {rolling: 24h}}
obligations:
- {id: dear, when: {amount: {fiatOver: {currency: USD, amount: 100000}, fiatMax: {currency: CHF, amount: "200000"}}}, add: {delay: 60s}}
`

// TestPricesInRuleFiles: what is read is rendered to a file that reads the same.
func TestPricesInRuleFiles(t *testing.T) {
	t.Parallel()
	d := parse(t, append(example(t), inMoney...))
	if s := d.PriceSources; len(s) != 1 || s[0].Pairs[0].Currency != "CHF" || s[0].Signers[0].ID != "one" || s[0].MaxAge != 90 || s[0].MaxStep != 500 || s[0].MinSigners != 2 {
		t.Fatalf("%+v", s)
	}
	m := d.Obligations[0].When
	if d.Limits[0].Currency != "CHF" || m.FiatOver.Currency != "USD" || m.FiatOver.Amount.String() != "100000" || m.FiatMax.Currency != "CHF" {
		t.Fatalf("%+v, %+v", d.Limits, m)
	}
	b, err := rulefile.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	if again := parse(t, b); !bytes.Equal(again.Encode(), d.Encode()) {
		t.Errorf("read as another document:\n%s", b)
	}
}

// TestPricesRefused: each fault is named by its place.
func TestPricesRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, now, want string }{
		{"  minSigners: 2\n", "", `priceSources[0]: key "minSigners" is missing`},
		{"maxAge: 90s", "maxAge: 90", "priceSources[0].maxAge: want a duration"},
		{"maxStep: 500", "maxStep: 5%", "priceSources[0].maxStep: want a whole number"},
		{"pub: b31b", "pub: B31B", "signers[0].pub: want the public key in lower-case hex"},
		{"id: two, pub", "id: one, pub", "another item has the same id"},
		{"currency: CHF}]", "currency: USD}]", "another item has the same id"},
		{"{currency: USD, amount: 100000}", "{amount: 100000}", `fiatOver: key "currency" is missing`},
		{"amount: 100000}", "amount: 1000.00}", `bad amount: "1000.00"`},
		{"fiatOver:", "fiatAbove:", `key "fiatAbove" is not known`},
	} {
		if !strings.Contains(inMoney, c.old) {
			t.Fatalf("the file has no %q", c.old)
		}
		_, err := rulefile.Parse(append(example(t), strings.Replace(inMoney, c.old, c.now, 1)...))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
