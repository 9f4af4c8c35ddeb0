// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/pure/custody"
)

// What a check of the whole document refuses is told with its place in the file, as what can't be read is.
func TestRefusedItemsArePlaced(t *testing.T) {
	t.Parallel()
	good, err := os.ReadFile("../../../examples/rules/contracts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct{ old, bad, want string }{
		"limit without a price": {"obligations:", "limits:\n  - { id: day, when: { operation: [transfer] }, measure: fiat, currency: EUR, max: \"1\", window: { rolling: 24h } }\nobligations:",
			"column 5: rule document: limit day: currency: no source of priceSources has a pair in EUR"},
		"plan that nobody can meet": {"message: [personal] }, plan: { anyOf: [ { steps: [ { group: treasury, min: 2", "message: [personal] }, plan: { anyOf: [ { steps: [ { group: treasury, min: 9",
			"column 5: rule document: route texts: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(string(good), x.old, x.bad, 1)
			if text == string(good) {
				t.Fatal("the example has changed")
			}
			path := filepath.Join(t.TempDir(), "rules.yaml")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			d, err := readRules(path, nil)
			if err != nil {
				t.Fatal(err)
			}
			got := placed(path, d.Check(custody.Evaluation)).Error()
			if !strings.HasPrefix(got, path+": line ") || !strings.Contains(got, x.want) {
				t.Errorf("got %q, want a line and %q", got, x.want)
			}
		})
	}
}
