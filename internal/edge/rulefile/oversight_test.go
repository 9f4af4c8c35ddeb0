// SPDX-License-Identifier: Apache-2.0

package rulefile_test

import (
	"os"
	"strings"
	"testing"

	"strongroom/internal/edge/rulefile"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// overseen is the example with a break-glass plan, oversight, lines and roles.
func overseen(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../../examples/rules/two-of-three.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := rulefile.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	s := string(b)
	group := string(d.ChangePlan.AnyOf[0].Steps[0].Group)
	plan := "{ anyOf: [ { steps: [ { group: " + group + ", min: 2 } ] } ] }"
	return s + "\nbreakGlass:\n  who: " + plan + "\n  drainTo: [" + d.AddressBook[0].ID + "]\n  duration: 4h\n  freeze: [" + group + "]\n  resume: " + plan + "\noversight:\n  release: " + plan + "\n  hold: [" + group + "]\n"
}

// TestOversightBothWays: a file with all of it is read, may be used, and is written back without loss.
func TestOversightBothWays(t *testing.T) {
	t.Parallel()
	d, err := rulefile.Parse([]byte(overseen(t)))
	if err != nil {
		t.Fatal(err)
	}
	if d.BreakGlass == nil || d.BreakGlass.Duration != 4*3600 || len(d.BreakGlass.DrainTo) != 1 || len(d.BreakGlass.Freeze) != 1 || d.Oversight == nil || d.Oversight.Release == nil || len(d.Oversight.Hold) != 1 {
		t.Fatalf("%+v, %+v", d.BreakGlass, d.Oversight)
	}
	if err := d.Check(custody.Evaluation); err != nil {
		t.Error(err)
	}
	for i := range d.Principals {
		if d.Principals[i].Kind == policy.Human {
			d.Principals[i].Line, d.Principals[i].Roles = 1, []request.Role{"administrator", "approver", "requester"}
		}
	}
	d.Groups[0].Line = 1
	d.Guards[0].When.InitiatorRoles = []request.Role{"requester"}
	b, err := rulefile.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	again, err := rulefile.Parse(b)
	if err != nil || string(again.Encode()) != string(d.Encode()) {
		t.Errorf("%v\n%s", err, b)
	}
}

func TestOversightRefused(t *testing.T) {
	t.Parallel()
	for _, x := range []struct{ old, new, want string }{
		{"  duration: 4h\n", "", "duration"},
		{"  duration: 4h\n", "  duration: 4 hours\n", "want days, hours"},
		{"  duration: 4h\n", "  duration: 4h\n  export: all\n", "export"},
		{"  drainTo: [", "  drainTo: []\n  drain: [", "empty"},
		{"oversight:\n", "oversight: {}\nmore:\n", "is empty; leave the key out"},
		{"kind: human", "kind: human\n    line: 9", "line 9 is not known"},
		{"kind: human", "kind: human\n    roles: []", "empty"},
	} {
		s := overseen(t)
		bad := strings.Replace(s, x.old, x.new, 1)
		if bad == s {
			t.Fatalf("%q is not in the example", x.old)
		}
		if _, err := rulefile.Parse([]byte(bad)); err == nil || !strings.Contains(err.Error(), x.want) || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: %v, want %q", x.new, err, x.want)
		}
	}
}

// TestReplayRequiredBothWays: it is read, and written back only where it says something.
func TestReplayRequiredBothWays(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"\nreplayRequired: true\n": true, "\nreplayRequired: false\n": false, "": false} {
		d, err := rulefile.Parse([]byte(overseen(t) + text))
		if err != nil || d.ReplayRequired != want {
			t.Fatalf("%q: %t, %v", text, d.ReplayRequired, err)
		}
		b, err := rulefile.Render(d)
		if err != nil || strings.Contains(string(b), "replayRequired") != want {
			t.Errorf("%q: %v\n%s", text, err, b)
		}
	}
	if _, err := rulefile.Parse([]byte(overseen(t) + "\nreplayRequired: perhaps\n")); err == nil {
		t.Error("a word was taken for true or false")
	}
}
