// SPDX-License-Identifier: Apache-2.0

package rulefile_test

import (
	"os"
	"strings"
	"testing"

	"strongroom/internal/edge/rulefile"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

// TestObligationsThatCantBeRead changes one place of a file and expects the error at its line and column.
func TestObligationsThatCantBeRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, now, want string }{
		{`from: "10:00"`, `from: "25:00"`, "line 17 column 30: calendars[0].weekly[0].from: \"25:00\": want hours and minutes"},
		{`from: "10:00"`, `from: 10`, "want a time of day in quotes"},
		{`days: [sun, sat]`, `days: [sunday]`, `"sunday": want some of [mon tue`},
		{`days: [sun, sat]`, `days: []`, "the list is empty"},
		{"2026-12-25", "2026-13-25", "want a date like"},
		{"2026-12-25", "christmas", `"christmas": want a date`},
		{"2026-12-25", "2026-12-24", "another item has the same id"},
		{"time: {outside: office}", "time: {}", "want one of {inside"},
		{"time: {outside: office}", "time: {inside: a, outside: b}", "want one of {inside"},
		{"fee: {over: 5}", "fee: {}", "is empty"},
		{"temperature: [warm, hot]", "temperature: []", "the list is empty"},
		{"veto: [ops, admins]", "veto: []", "the list is empty"},
		{"delay: 1h, expires", "delay: 1x, expires", "want days, hours"},
		{"- {id: also, when: {time: {inside: office}}, add: {delay: 60s}}", "- {id: also, when: {}}", `key "add" is missing`},
		{"minDistinctGroups: 2", "groups: 2", `key "groups" is not known; the keys here are delay, minDistinctGroups, plan`},
	} {
		if !strings.Contains(everything, c.old) {
			t.Fatalf("the file has no %q", c.old)
		}
		_, err := rulefile.Parse([]byte(strings.Replace(everything, c.old, c.now, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.now, err, c.want)
		}
	}
}

// TestLocate finds rules where they stand.
func TestLocate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		section, id string
		line        int
	}{{"obligations", "later", 23}, {"obligations", "also", 30}, {"guards", "a", 46}, {"guards", "later", 0}, {"plans", "x", 0}} {
		if line, column := rulefile.Locate([]byte(everything), c.section, c.id); line != c.line || (line > 0) != (column == 3) {
			t.Errorf("%s %s: line %d column %d, want line %d", c.section, c.id, line, column, c.line)
		}
	}
	if line, column := rulefile.Locate([]byte("guards: []\nbreakGlass:\n  duration: 1h\n"), "breakGlass", "break-glass"); line != 3 || column != 3 {
		t.Errorf("breakGlass: line %d column %d", line, column)
	}
	if line, _ := rulefile.Locate([]byte("]"), "routes", "x"); line != 0 {
		t.Error("found in what is no YAML")
	}
}

// TestExamplesDoWhatTheySay: each example can be used and has no rule that does nothing.
func TestExamplesDoWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"two-of-three.yaml", "applications.yaml", "contracts.yaml", "oversight.yaml", "treasury.yaml"} {
		b, err := os.ReadFile("../../../examples/rules/" + name)
		if err != nil {
			t.Fatal(err)
		}
		d := parse(t, b)
		if err := d.Check(custody.Evaluation); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		r, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range r.Findings() {
			t.Errorf("%s: %s: %s", name, f.ID, f.What)
		}
	}
}
