// SPDX-License-Identifier: Apache-2.0

package rulefile_test

import (
	"os"
	"strings"
	"testing"

	"strongroom/internal/edge/rulefile"
)

// The time-lock of re-anchoring is a duration like the others, and may be nothing; what is written is read again.
func TestReanchorDelay(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../examples/rules/two-of-three.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const plan = "{ anyOf: [ { steps: [ { group: officers, min: 2 } ] } ] }"
	file := func(delay string) []byte {
		return []byte(string(b) + "\ndomain:\n  signature: " + plan + "\n  revocation: " + plan + "\n  recovery: " + plan + "\n" + delay)
	}
	for delay, want := range map[string]int64{"": 72 * 3600, "  reanchorDelay: 0s\n": 0, "  reanchorDelay: 90m\n": 5400, "  reanchorDelay: 7d\n": 7 * 86400} {
		d, err := rulefile.Parse(file(delay))
		if err != nil || d.ReanchorDelay() != want {
			t.Fatalf("%q: %d seconds, %v", delay, d.ReanchorDelay(), err)
		}
		out, err := rulefile.Render(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := rulefile.Parse(out)
		if err != nil || again.Hash() != d.Hash() {
			t.Errorf("%q: written and read again it is another document: %v", delay, err)
		}
	}
	for _, bad := range []string{"0", "-1h", "0d", "x"} {
		if _, err := rulefile.Parse(file("  reanchorDelay: " + bad + "\n")); err == nil {
			t.Errorf("%s is taken for a duration", strings.TrimSpace(bad))
		}
	}
}
