// SPDX-License-Identifier: Apache-2.0

package rulefile_test

import (
	"bytes"
	"strings"
	"testing"

	"strongroom/internal/edge/rulefile"
)

// screened has everything about screening, lists out of order.
const screened = `
screeningSources:
- id: screen
  maxAge: 6h
  minSigners: 1
  signers:
  - {id: two, pub: b31b801f390ee5ffe2af7dd8782568d9c640d094586bea7d7bede29cf55f9c93}
  - {id: one, pub: 7f6f3a44d1ad8ee5a9924ae577008e4ca40e4cc45f30c3052e7d65bc9c55624f}
obligations:
- {id: second, when: {screening: {sources: [screen], riskOver: 40, categories: [sanctions, mixer], status: [reject, alert]}}, add: {delay: 60s}}
- {id: third, when: {screening: {riskMax: 0}}, add: {delay: 60s}}
- {id: unscreened, when: {screening: {missing: true}}, add: {delay: 60s}}
`

// TestScreeningInRuleFiles: what is read is rendered to a file that reads the same.
func TestScreeningInRuleFiles(t *testing.T) {
	t.Parallel()
	d := parse(t, append(example(t), screened...))
	if s := d.ScreeningSources; len(s) != 1 || s[0].Signers[0].ID != "one" || s[0].MaxAge != 6*3600 || s[0].MinSigners != 1 {
		t.Fatalf("%+v", s)
	}
	m := d.Obligations[0].When.Screening
	if m.Sources[0] != "screen" || *m.RiskOver != 40 || m.Categories[0] != "mixer" || m.Status[0] != "alert" || *d.Obligations[1].When.Screening.RiskMax != 0 || !d.Obligations[2].When.Screening.Missing {
		t.Fatalf("%+v", m)
	}
	b, err := rulefile.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	if again := parse(t, b); !bytes.Equal(again.Encode(), d.Encode()) {
		t.Errorf("read as another document:\n%s", b)
	}
}

// TestScreeningRefused: each fault is named by its place.
func TestScreeningRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, now, want string }{
		{"  minSigners: 1\n", "", `screeningSources[0]: key "minSigners" is missing`},
		{"maxAge: 6h", "maxAge: 6", "screeningSources[0].maxAge: want a duration"},
		{"id: two, pub", "id: one, pub", "another item has the same id"},
		{"riskOver: 40", "riskOver: high", "screening.riskOver: want a whole number"},
		{"riskOver: 40", "risk: 40", `key "risk" is not known`},
		{"missing: true", "missing: false", "screening.missing: is true or left out"},
		{"[reject, alert]", "[alert, alert]", "status"},
	} {
		if !strings.Contains(screened, c.old) {
			t.Fatalf("the file has no %q", c.old)
		}
		_, err := rulefile.Parse(append(example(t), strings.Replace(screened, c.old, c.now, 1)...))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
