// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

func TestReplayRequiredInWords(t *testing.T) {
	t.Parallel()
	with, without := sample(), sample()
	with.ReplayRequired = true
	for _, x := range []struct {
		old, next policy.Document
		want      string
	}{{without, with, "needs a replay of the log from now on"}, {with, without, "needs no replay of the log any more"}, {with, with, ""}} {
		lines := strings.Join(policy.Diff(x.old, x.next), "\n")
		if x.want == "" && lines != "" || !strings.Contains(lines, x.want) {
			t.Errorf("%q, want %q", lines, x.want)
		}
	}
	// An older document with a rule of that name stays one.
	for required, ok := range map[bool]bool{false: true, true: false} {
		d := sample()
		d.ReplayRequired = required
		d.Guards = []policy.Guard{{ID: policy.RuleReplay, Effect: policy.Deny, When: policy.Match{Operations: []request.Operation{request.WarmOpen}}}}
		if _, err := policy.Compile(d); (err == nil) != ok {
			t.Errorf("required %t, with a guard of that name: %v", required, err)
		}
	}
}

// TestConsider: a rule that can't be told is no match and says so; an initiator whom the document does not know is seen by no rule.
func TestConsider(t *testing.T) {
	t.Parallel()
	d := sample()
	d.Guards = []policy.Guard{{ID: "broken", Effect: policy.Hold, Reason: "because", When: policy.Match{Operations: []request.Operation{request.WalletCreate}, Expr: "count > 1"}}}
	d.Limits, d.Obligations = nil, nil
	r := compile(t, d)
	f := policy.Facts{Operation: request.WalletCreate, Initiator: d.Principals[0].ID, Evidence: policy.BySignature}
	seen := r.Case(f).Consider()
	if len(seen) != 1+len(d.Routes) || !seen[0].Unknown || seen[0].Matches || seen[0].Criterion != "expr" || seen[0].Effect != policy.Hold || seen[0].Reason != "because" ||
		!strings.Contains(seen[0].String(), "can't be told: expr") {
		t.Errorf("%+v", seen)
	}
	f.Operation = request.PersonRevoke
	if seen = r.Case(f).Consider(); slices.ContainsFunc(seen[1:], func(c policy.Considered) bool { return c.Section != "routes" || !c.Reserved || c.Priority == 0 }) {
		t.Errorf("no route is asked about a plan that is reserved: %+v", seen)
	}
	f.Initiator = "p_nobody"
	if seen = r.Case(f).Consider(); seen != nil {
		t.Errorf("%+v", seen)
	}
}
