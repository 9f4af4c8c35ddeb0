// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"strings"
	"testing"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// withExpr gives the sample with one hold guard on transfers that has only an expression.
func withExpr(expr string) policy.Document {
	d := sample()
	d.Guards = []policy.Guard{{ID: "g", Effect: policy.Hold, When: policy.Match{Operations: []request.Operation{request.Transfer}, Expr: expr}}}
	return d
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	f := facts(alice, "hot", "1000000000000000000000000") // a million ether in wei, far beyond 64 bits
	f.Destinations = append(f.Destinations, policy.Destination{Address: thief, Amount: *u("1"), Kind: policy.OneTime})
	f.Total = *u("1000000000000000000000001")
	for expr, want := range map[string]bool{
		`true`:                    true,
		`operation == "transfer"`: true,
		`initiator == "p_aaaaaaaaaaaaaaaa" && initiatorKind == "human"`: true,
		`"treasury" in initiatorGroups && size(initiatorGroups) == 1`:   true,
		`initiatorGroups.exists(g, g.startsWith("treas"))`:              true,
		`evidence == "session"`:                                                                            false,
		`wallet == "hot" ? chain == "eip155:1" : false`:                                                    true,
		`asset.endsWith("slip44:60") && asset.contains("/")`:                                               true,
		`total > amount("1000000000000000000000000")`:                                                      true,
		`total >= amount("1000000000000000000000001")`:                                                     true,
		`total < amount("1000000000000000000000001")`:                                                      false,
		`total <= amount("1000000000000000000000001")`:                                                     true,
		`total == amount("1000000000000000000000001")`:                                                     true,
		`total != amount("0")`:                                                                             true,
		`amount("115792089237316195423570985008687907853269984665640564039457584007913129639935") > total`: true,
		`feeCap in [amount("9"), amount("10")]`:                                                            true,
		`destinations.exists(d, d.kind == "one_time")`:                                                     true,
		`destinations.all(d, d.book != "")`:                                                                false,
		`destinations.exists_one(d, d.address == "` + bank + `")`:                                          true,
		`size(destinations.filter(d, d.amount > amount("1"))) == 1`:                                        true,
		`destinations[0].book == "bank"`:                                                                   true,
		`destinations[0] == destinations[1]`:                                                               false,
		`!(1 < 2 && 3 >= 3 && 4 > 3 && 1 <= 1)`:                                                            false,
		`true || count > 5`:                                                                                true, // CEL: true whatever the other side is
	} {
		r, err := policy.Compile(withExpr(expr))
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		got := r.Evaluate(f)
		if want := map[bool]string{true: "hold g: g expr", false: "allow large"}[want]; describe(got) != want {
			t.Errorf("%s: got %s, want %s", expr, describe(got), want)
		}
	}
}

// TestExpressionErrors: what can't be evaluated holds or denies on a guard, and on a route lets nothing through, not even by
// a later route.
func TestExpressionErrors(t *testing.T) {
	t.Parallel()
	f := facts(alice, "hot", "5")
	for _, expr := range []string{
		`count > 5`,                               // a transfer has no count
		`destinations[7].book == "bank"`,          // out of range
		`count + 9223372036854775807 > 0`,         // overflow, or missing
		`destinations.all(d, count > 5)`,          // inside a macro
		`false || count > 5`, `count > 5 && true`, // not absorbed
	} {
		got := compile(t, withExpr(expr)).Evaluate(f)
		if describe(got) != "hold g: g expr" || !strings.Contains(got.Unmet[0].Observed, "can't be evaluated") {
			t.Errorf("guard %s: got %+v", expr, got)
		}
		d := sample()
		d.Routes[0] = policy.Route{ID: "first", Priority: 1, Plan: plan("treasury", 2), When: policy.Match{Expr: expr}}
		got = compile(t, d).Evaluate(f)
		if describe(got) != "deny first: first expr" {
			t.Errorf("route %s: got %s", expr, describe(got))
		}
	}
}

// TestExpressionsSeeTheOperationOnly: an attribute that the operation has not is missing even if the facts hold a value.
func TestExpressionsSeeTheOperationOnly(t *testing.T) {
	t.Parallel()
	f := facts(alice, "hot", "5")
	f.Operation, f.Count = request.PersonRevoke, 7
	for _, expr := range []string{`wallet == "hot"`, `chain != ""`, `asset != ""`, `size(destinations) == 1`, `total == amount("5")`, `feeCap > amount("1")`, `count == 7`} {
		d := withExpr(expr)
		d.Guards[0].When.Operations = []request.Operation{request.PersonRevoke}
		if got := compile(t, d).Evaluate(f); describe(got) != "hold g: g expr" || !strings.Contains(got.Unmet[0].Observed, "no such attribute") {
			t.Errorf("%s: got %+v", expr, got)
		}
	}
}

func TestExpressionsRefused(t *testing.T) {
	t.Parallel()
	for expr, want := range map[string]string{
		`total`:                                "must give a bool",
		`[true]`:                               "must give a bool",
		`wallet == `:                           "column",
		`walet == "hot"`:                       "line 1 column 1: undeclared reference to 'walet'",
		"wallet ==\n\t5":                       "line 1 column 8",
		`destinations.all(d, d.addres == "x")`: "undefined field 'addres'",
		`total > 5`:                            "no matching overload",
		`total + total > amount("5")`:          "no matching overload",
		`total > amount("1e18")`:               "bad amount",
		`total > amount("-1")`:                 "bad amount",
		`total > amount("1.0")`:                "bad amount",
		`total > amount("007")`:                "bad amount",
		`total > amount(wallet)`:               "amount() takes a literal",
		`destinations.all(d, d.kind == "internal_wallet")`:                  `"internal_wallet" is reserved`,
		`destinations.exists(d, d.kind in ["one_time", "internal_wallet"])`: `"internal_wallet" is reserved`,
		`total == null`:        "literal of type null_type",
		`count > 1.5`:          "no matching overload",
		`1.5 == 1.5`:           "literal of type double",
		`1u == 1u`:             "literal of type uint",
		`b"a" == b"a"`:         "literal of type bytes",
		`{"a": 1} == {"a": 1}`: "makes a map",
		`strongroom.Destination{} == destinations[0]`:                            "makes a map or a message",
		`wallet.matches("(a+)+")`:                                                "undeclared reference to 'matches'",
		`timestamp("2020-01-01T00:00:00Z") == timestamp("2020-01-01T00:00:00Z")`: "undeclared reference",
		`string(count) == "5"`:                                                   "undeclared reference",
		`dyn(count) == 5`:                                                        "undeclared reference",
		`type(count) == int`:                                                     "undeclared reference",
		`has(destinations[0].book)`:                                              "undeclared reference",
		`destinations.map(d, d.book) == ["a"]`:                                   "undeclared reference",
		`wallet + "x" == "y"`:                                                    "no matching overload",
		`wallet < "x"`:                                                           "no matching overload",
		`count * 2 > 5`:                                                          "undeclared reference",
		`count in [1, "a"]`:                                                      "expected type 'int' but found 'string'",
		`destinations.all(d, destinations.all(e, d.amount == e.amount))`:      "may cost",
		`destinations.all(a, destinations.all(b, destinations.all(c, true)))`: "nesting",
		strings.Repeat("(", 40) + "true" + strings.Repeat(")", 40):            "recursion",
		strings.Repeat("!", 999) + "true":                                     "",
		`size([` + strings.Repeat("1,", 420) + `1]) > 0`:                      "",
	} {
		err := withExpr(expr).Check(custody.Evaluation)
		if err == nil {
			t.Errorf("%.50s: accepted", expr)
			continue
		}
		mustContain(t, err, want)
		if strings.ContainsAny(err.Error(), "\n\t") {
			t.Errorf("error has more than one line: %q", err)
		}
	}
}

// TestCostIsBounded: the dearest expression that is accepted, over the most destinations, stays cheap.
func TestCostIsBounded(t *testing.T) {
	t.Parallel()
	f := facts(alice, "hot", "1")
	one := f.Destinations[0]
	for range request.MaxOutputs - 1 {
		f.Destinations = append(f.Destinations, one)
	}
	f.Total = *u("500")
	expr := `destinations.all(d, d.kind == "whitelisted" && d.amount < amount("5"))`
	for {
		longer := expr + ` && destinations.all(d, d.kind == "whitelisted" && d.amount < amount("5"))`
		if withExpr(longer).Check(custody.Evaluation) != nil {
			break
		}
		expr = longer
	}
	r := compile(t, withExpr(expr))
	start := time.Now()
	if got := r.Evaluate(f); describe(got) != "hold g: g expr" || got.Unmet[0].Observed != "true" {
		t.Errorf("got %+v", got)
	}
	if d := time.Since(start); d > 10*time.Second { // it takes some 20 ms
		t.Errorf("one evaluation took %v", d)
	}
}

// FuzzExpr: no text makes compilation or evaluation panic, and what is accepted gives a decision, soon.
func FuzzExpr(f *testing.F) {
	for _, s := range []string{`total > amount("5")`, `destinations.all(d, d.kind == "whitelisted" && d.book in ["a", "bank"])`,
		`destinations.exists_one(d, d.amount >= amount("10"))`, `size(destinations.filter(d, d.address.startsWith("0x"))) + 1 > 2`,
		`wallet == "hot" ? count > 5 : !("ops" in initiatorGroups)`, `destinations[0].amount != feeCap`, `[1, 2][count] == 1`, `((((true))))`} {
		f.Add(s)
	}
	fs := []policy.Facts{facts(alice, "hot", "5"), {Operation: request.AddressCreate, Initiator: bob, Evidence: policy.BySignature, Wallet: "hot", Chain: chain, Count: 7},
		{Operation: request.PersonRevoke, Initiator: carol, Evidence: policy.BySignature}}
	f.Fuzz(func(t *testing.T, expr string) {
		d := withExpr(expr)
		r, err := policy.Compile(d)
		if err != nil {
			return
		}
		start := time.Now()
		for _, x := range fs {
			got := r.Evaluate(x)
			if got.Outcome == policy.Allowed && got.Rule == "" {
				t.Errorf("%s: allowed by no rule", expr)
			}
			if again := r.Evaluate(x); describe(again) != describe(got) {
				t.Errorf("%s: got %s, then %s", expr, describe(got), describe(again))
			}
		}
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("%s: took %v", expr, took)
		}
	})
}
