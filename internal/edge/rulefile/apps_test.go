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

// The example for applications is a document, and says what its comments say.
func TestApplicationsExample(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../examples/rules/applications.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := rulefile.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Check(custody.Evaluation); err != nil {
		t.Fatal(err)
	}
	rules, err := policy.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	grant := policy.AppFacts{Grant: "app", Caller: "cert:" + request.AppCaller(strings.Repeat("0a", 32)), Gateway: "p_zzzzzzzzzzzzzzzz", Functions: []request.AppFunction{request.AppSign}, Mechanisms: []uint64{0x1041}, MaxUses: 100_000}
	for name, x := range map[string]struct {
		op     request.Operation
		by     custody.PersonID
		change func(*policy.AppFacts)
		want   string // rule that decides
		auto   bool
	}{
		"small":            {request.AppGrant, "p_aaaaaaaaaaaaaaaa", func(*policy.AppFacts) {}, "small-grants", false},
		"without a limit":  {request.AppGrant, "p_aaaaaaaaaaaaaaaa", func(f *policy.AppFacts) { f.MaxUses = 0 }, "grants", false},
		"other mechanisms": {request.AppGrant, "p_aaaaaaaaaaaaaaaa", func(f *policy.AppFacts) { f.Mechanisms = []uint64{1, 0x1041} }, "grants", false},
		"unwrapping":       {request.AppGrant, "p_aaaaaaaaaaaaaaaa", func(f *policy.AppFacts) { f.Functions = []request.AppFunction{request.AppUnwrap} }, "grants", false},
		"import":           {request.AppGrant, "p_aaaaaaaaaaaaaaaa", func(f *policy.AppFacts) { f.Import = true }, "no-foreign-keys", false},
		"compat":           {request.AppGrant, "p_aaaaaaaaaaaaaaaa", func(f *policy.AppFacts) { f.Compat = true }, "no-foreign-keys", false},
		"a token":          {request.AppGrant, "p_aaaaaaaaaaaaaaaa", func(f *policy.AppFacts) { f.Caller = "token:ci" }, "known-gateway", false},
		"another gateway":  {request.AppGrant, "p_aaaaaaaaaaaaaaaa", func(f *policy.AppFacts) { f.Gateway = "p_yyyyyyyyyyyyyyyy" }, "known-gateway", false},
		"stop":             {request.AppRevoke, "p_cccccccccccccccc", func(f *policy.AppFacts) { *f = policy.AppFacts{Grant: "app"} }, "stop", true},
		"stop, a service":  {request.AppRevoke, "p_zzzzzzzzzzzzzzzz", func(f *policy.AppFacts) { *f = policy.AppFacts{Grant: "app"} }, policy.RuleDefaultDeny, false},
	} {
		f := grant
		x.change(&f)
		got := rules.Evaluate(policy.Facts{Operation: x.op, Initiator: x.by, Evidence: policy.BySignature, App: &f})
		if got.Rule != x.want || got.Auto != x.auto {
			t.Errorf("%s: %s, automatic %v; want %s", name, got.Rule, got.Auto, x.want)
		}
	}
}
