// SPDX-License-Identifier: Apache-2.0

package rulefile_test

import (
	"strings"
	"testing"

	"strongroom/internal/edge/rulefile"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

const withLedger = `
counterparties:
  - {id: bourse, vaspStatus: licensed}
  - {id: acme, title: Acme AG, jurisdiction: CH}
whitelist:
  plan: {anyOf: [{steps: [{group: treasury, min: 2}]}]}
  proofs: [signed_msg, attested]
  coolOff: 24h
  ramp:
    - after: 7d
      unlimited: true
    - after: 24h
      caps: [{asset: "eip155:1/slip44:60", max: "1000"}]
  reviewAfter: 500d
blacklist:
  - {chain: "eip155:1", address: "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb", reason: sanctions}
limits:
  - id: strangers
    when: {operation: [transfer], destination: {kind: [cooling, one_time], firstUse: true, lookalike: true, youngerThan: 3d}}
    measure: newDestinations
    max: 5
    window: {rolling: 1d}
  - id: exposure
    when: {operation: [transfer], destination: {counterparties: [bourse, acme], minAge: 1d}}
    measure: amount
    max: 5
    window: {rolling: 1d}
    groupBy: [counterparty, asset]
`

func TestLedgerOfARuleFile(t *testing.T) {
	t.Parallel()
	file := string(example(t)) + withLedger
	d := parse(t, []byte(file))
	if err := d.Check(custody.Production); err != nil {
		t.Fatal(err)
	}
	w, l := d.Whitelist, d.Limits[1].When
	if w.CoolOff != 86400 || w.ReviewAfter != 500*86400 || len(w.Ramp) != 2 || len(w.Ramp[0].Caps) != 1 || w.Ramp[1].Caps != nil || len(w.Proofs) != 2 || d.Counterparties[0].Jurisdiction != "CH" ||
		d.Blacklist[0].Reason != "sanctions" || !l.FirstUse || !l.Lookalike || l.YoungerThan != 3*86400 || d.Limits[0].When.MinAge != 86400 || len(d.Limits[0].When.Counterparties) != 2 || d.Limits[1].Measure != policy.MeasureNew {
		t.Fatalf("%+v %+v", w, d.Limits)
	}
	d.AddressBook = []policy.BookEntry{{ID: "a", Chain: "eip155:1", Address: "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", Counterparty: "acme", Proof: "attested", Expires: 1_900_000_000, Suspended: true, Kind: "exchange", Tags: []string{"x", "y"}}}
	out, err := rulefile.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	if again := parse(t, out); again.Hash() != d.Hash() {
		t.Fatalf("rendered and read it is another document:\n%s", out)
	}
	for old, c := range map[string]struct{ is, want string }{
		"after: 7d":               {"after: later", "ramp[0].after"},
		"unlimited: true":         {"unlimited: false", "want true, or caps"},
		"firstUse: true":          {"firstUse: false", "leave the key out"},
		"coolOff: 24h":            {"coolof: 24h", "coolof"},
		"reviewAfter: 500d":       {"reviewAfter: -5d", "reviewAfter"},
		"max: \"1000\"}":          {"max: 1e3}", "max"},
		"jurisdiction: CH}":       {"country: CH}", "country"},
		"reason: sanctions}":      {"because: x}", "because"},
		"      unlimited: true\n": {"", "want caps, or unlimited: true"},
	} {
		_, err := rulefile.Parse([]byte(strings.Replace(file, old, c.is, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s: %v", c.is, err)
		}
	}
}
