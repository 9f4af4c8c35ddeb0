// SPDX-License-Identifier: Apache-2.0

package rulefile_test

import (
	"strings"
	"testing"

	"strongroom/internal/edge/rulefile"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

const lookOld = "- {id: also, when: {time: {inside: office}}, add: {delay: 60s}}"

const look = `- id: also
  when:
    simulation:
      unexpected: true
      anyApproval: true
      reverted: true
      unknown: true
      outOver:
      - {asset: "eip155:1/slip44:60", amount: 5}
      - {asset: "eip155:1/erc721:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", amount: "0"}
  add: {delay: 60s}`

// TestSimulationInRuleFiles: what an obligation looks for in simulations is read, sorted, written and read again as the same.
func TestSimulationInRuleFiles(t *testing.T) {
	t.Parallel()
	d := parse(t, []byte(strings.Replace(everything, lookOld, look, 1)))
	m := d.Obligations[0].When.Simulation
	if m == nil || !m.Unexpected || !m.AnyApproval || !m.Reverted || !m.Unknown || len(m.OutOver) != 2 ||
		m.OutOver[0] != (policy.Outgo{Asset: "eip155:1/erc721:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}) || m.OutOver[1] != (policy.Outgo{Asset: "eip155:1/slip44:60", Amount: custody.U64(5)}) {
		t.Fatalf("%+v", m)
	}
	written, err := rulefile.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	if again := parse(t, written); again.Hash() != d.Hash() {
		t.Errorf("another document after writing:\n%s", written)
	}
}

// TestSimulationThatCantBeRead: the error names line and column, above all where a simulation has no place.
func TestSimulationThatCantBeRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, now, want string }{
		{"    operation: [transfer, address_create]\n", "    simulation: {unknown: true}\n", "line 47 column 17: guards[0].when.simulation: what a simulation tells is the word of serve alone"},
		{"{id: most, when: {}", "{id: most, when: {simulation: {unknown: true}}", "limits[0].when.simulation: what a simulation tells"},
		{"unexpected: true", "unexpected: false", "unexpected: is false; leave the key out"},
		{"unknown: true", "unknown: maybe", "unknown"},
		{"anyApproval: true", "approval: true", `key "approval" is not known; the keys here are anyApproval, outOver, reverted, unexpected, unknown`},
		{`amount: 5}`, `}`, `key "amount" is missing`},
		{`amount: 5}`, `amount: -5}`, "amount"},
	} {
		file := strings.Replace(everything, lookOld, look, 1)
		if !strings.Contains(file, c.old) {
			t.Fatalf("the file has no %q", c.old)
		}
		_, err := rulefile.Parse([]byte(strings.Replace(file, c.old, c.now, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.now, err, c.want)
		}
	}
	empty := strings.Replace(everything, lookOld, "- {id: also, when: {simulation: {outOver: []}}, add: {delay: 60s}}", 1)
	if _, err := rulefile.Parse([]byte(empty)); err == nil || !strings.Contains(err.Error(), "the list is empty") {
		t.Errorf("an empty list: %v", err)
	}
}
