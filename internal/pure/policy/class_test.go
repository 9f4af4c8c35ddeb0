// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// A rule on the class of a wallet's key: facts without one are of class core, and an unknown one is denied.
func TestClass(t *testing.T) {
	t.Parallel()
	token := func(f policy.Facts) policy.Facts { f.Class = request.ClassToken; return f }
	guard := func(m policy.Match) policy.Document {
		d := sample()
		d.Guards = append(d.Guards, policy.Guard{ID: "z-class", Effect: policy.Deny, When: m})
		return d
	}
	core, inToken := []request.Class{request.ClassCore}, []request.Class{request.ClassToken}
	create := policy.Facts{Operation: request.WalletCreate, Initiator: alice, Evidence: policy.BySignature, Wallet: "hot", Chain: chain}
	change := policy.Facts{Operation: request.PolicyChange, Initiator: alice, Evidence: policy.BySignature}
	expr := policy.Match{Operations: []request.Operation{request.Transfer}, Expr: `class == "token" && total > amount("500")`}
	for _, c := range []struct {
		name  string
		match policy.Match
		facts policy.Facts
		want  policy.Outcome
	}{
		{"token", policy.Match{Classes: inToken}, token(facts(alice, "hot", "1001")), policy.Denied},
		{"token on core", policy.Match{Classes: inToken}, facts(alice, "hot", "1001"), policy.Allowed},
		{"core", policy.Match{Classes: core}, facts(alice, "hot", "1001"), policy.Denied},
		{"core on token", policy.Match{Classes: core}, token(facts(alice, "hot", "1001")), policy.Allowed},
		{"either", policy.Match{Classes: []request.Class{request.ClassCore, request.ClassToken}}, facts(alice, "hot", "1001"), policy.Denied},
		{"a wallet that is asked for", policy.Match{Classes: inToken}, token(create), policy.Denied},
		{"another wallet that is asked for", policy.Match{Classes: inToken}, create, policy.Allowed},
		{"what has no wallet", policy.Match{Classes: core}, change, policy.Allowed},
		{"expression", expr, token(facts(alice, "hot", "1001")), policy.Denied},
		{"expression, small", expr, token(facts(alice, "hot", "500")), policy.Allowed},
		{"expression, core", expr, facts(alice, "hot", "1001"), policy.Allowed},
		{"unknown", policy.Match{Classes: inToken}, func() policy.Facts { f := facts(alice, "hot", "1001"); f.Class = "mpc"; return f }(), policy.Denied},
	} {
		d := compile(t, guard(c.match)).Evaluate(c.facts)
		if d.Outcome != c.want {
			t.Errorf("%s: %s by %s, want %s", c.name, d.Outcome, d.Rule, c.want)
		}
		if c.name == "unknown" && (len(d.Unmet) == 0 || d.Unmet[0].Criterion != "source.class") {
			t.Errorf("unknown: %+v", d.Unmet)
		}
	}
	bad := guard(policy.Match{Classes: []request.Class{"mpc"}})
	if err := bad.Check(custody.Production); err == nil || !strings.Contains(err.Error(), "source.class") {
		t.Errorf("a class that is not known: %v", err)
	}
	if s := (policy.Match{Classes: inToken}).String(); !strings.Contains(s, "class of the wallet's key is token") {
		t.Error(s)
	}
}
