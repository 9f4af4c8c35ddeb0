// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

const (
	approveFn = "approve(address,uint256)"
	stakeFn   = "stake(uint256)"
)

// callDocument is the sample with two contracts and routes for calls and messages.
func callDocument() policy.Document {
	d := sample()
	d.Contracts = []policy.Contract{
		{ID: "usd", Chain: chain, Addresses: []string{vendor}, Kind: calls.Token},
		{ID: "vault", Chain: chain, Addresses: []string{thief}, Functions: []string{stakeFn}, Kind: calls.Safe},
	}
	d.Routes = append(d.Routes, policy.Route{ID: "calls", Priority: 40, Plan: plan("treasury", 2), When: policy.Match{Operations: []request.Operation{request.ContractCall, request.MessageSign}}})
	return d
}

func node(depth uint32, id, function string, args ...string) request.CallNode {
	n := request.CallNode{Depth: depth, Contract: vendor, ID: id, Function: function, Selector: "0x01020304"}
	for i, a := range args {
		n.Args = append(n.Args, request.CallArg{Path: fmt.Sprint(i), Type: "uint256", Value: a})
	}
	return n
}

// calling gives the facts of a call.
func calling(value string, e request.CallEffects) policy.Facts {
	f := to(facts(alice, "hot", value), vendor, policy.OneTime, "")
	f.Operation, f.Call = request.ContractCall, &e
	return f
}

func signingOf(m request.MessageEffects) policy.Facts {
	return policy.Facts{Operation: request.MessageSign, Initiator: alice, Evidence: policy.BySignature, Wallet: "hot", Chain: chain, Message: &m}
}

// TestCallDefaults: power without limit is refused by no rule but call-defaults, whatever the routes say, unless the entry of the contract that it
// is over allows that very thing.
func TestCallDefaults(t *testing.T) {
	t.Parallel()
	spender := request.TokenApproval{Contract: vendor, Spender: bank, ID: "usd"}
	unlimited, all, strange := spender, spender, spender
	unlimited.Unlimited, all.All, strange.Unlimited, strange.ID = true, true, true, ""
	approves := func(a request.TokenApproval) policy.Facts {
		return calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "usd", approveFn)}, Approvals: []request.TokenApproval{a}})
	}
	delegate := node(1, "usd", approveFn)
	delegate.Delegate = true
	delegated := calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "vault", stakeFn), delegate}})
	permit := func(a request.TokenApproval, deadline string) policy.Facts {
		return signingOf(request.MessageEffects{Kind: request.TypedMessage, Approvals: []request.TokenApproval{a}, Deadline: deadline})
	}
	for name, c := range map[string]struct {
		facts policy.Facts
		id    string // whose entry can allow it
		allow policy.Allowance
	}{
		"unlimited":           {approves(unlimited), "usd", policy.AllowUnlimited},
		"for all":             {approves(all), "usd", policy.AllowApprovalForAll},
		"delegatecall":        {delegated, "vault", policy.AllowDelegateCall},
		"unlimited, strange":  {approves(strange), "", ""},
		"permit, unlimited":   {permit(unlimited, "2000000000"), "usd", policy.AllowUnlimited},
		"permit for ever":     {permit(spender, ""), "", ""},
		"permit without end":  {permit(spender, "99999999999999999999"), "", ""},
		"delegatecall itself": {calling("0", request.CallEffects{Calls: []request.CallNode{func() request.CallNode { n := delegate; n.Depth = 0; return n }()}}), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := compile(t, callDocument()).Evaluate(c.facts); got.Outcome != policy.Denied || got.Rule != policy.RuleCallDefaults || len(got.Unmet) == 0 {
				t.Errorf("got %s", describe(got))
			}
			for _, allow := range []policy.Allowance{policy.AllowApprovalForAll, policy.AllowDelegateCall, policy.AllowUnlimited} {
				for i := range callDocument().Contracts {
					d := callDocument()
					d.Contracts[i].Allow = []policy.Allowance{allow}
					want := policy.Denied
					if d.Contracts[i].ID == c.id && allow == c.allow {
						want = policy.Allowed
					}
					if got := compile(t, d).Evaluate(c.facts); got.Outcome != want {
						t.Errorf("%s allows %s: got %s", d.Contracts[i].ID, allow, describe(got))
					}
				}
			}
		})
	}
	if got := compile(t, callDocument()).Evaluate(permit(spender, "2000000000")); got.Outcome != policy.Allowed {
		t.Errorf("a permit with an amount and an end: got %s", describe(got))
	}
}

// TestMovedIsTransferred: what a transfer may not do, a call that moves the same may not do either, and limits on transfers count it.
func TestMovedIsTransferred(t *testing.T) {
	t.Parallel()
	d := callDocument()
	token := custody.AssetID("eip155:1/erc20:" + vendor)
	d.Limits = []policy.Limit{
		{ID: "coins", When: policy.Match{Operations: []request.Operation{request.Transfer}}, Measure: policy.MeasureAmount, Max: *u("1000"), Window: policy.Window{Rolling: 3600}, GroupBy: []policy.Aspect{policy.ByAsset}, Exceeded: policy.Deny},
		{ID: "fees", When: policy.Match{Operations: []request.Operation{request.Transfer}}, Measure: policy.MeasureFee, Max: *u("1000"), Window: policy.Window{Rolling: 3600}, GroupBy: []policy.Aspect{policy.ByChain}, Exceeded: policy.Deny},
		{ID: "times", When: policy.Match{Operations: []request.Operation{request.ContractCall}}, Measure: policy.MeasureCount, Max: *u("3"), Window: policy.Window{Rolling: 3600}, Exceeded: policy.Deny},
	}
	r := compile(t, d)
	moves := func(to string, amounts ...string) policy.Facts {
		e := request.CallEffects{Calls: []request.CallNode{node(0, "vault", stakeFn)}}
		for _, a := range amounts {
			e.Movements = append(e.Movements, request.Movement{Asset: token, From: thief, To: to, Amount: *u(a)})
		}
		return calling("0", e)
	}
	if got := r.Evaluate(moves(broker, "5")); got.Outcome != policy.Allowed {
		t.Errorf("tokens to the broker: got %s", describe(got))
	}
	if got := r.Evaluate(moves(thief, "5")); got.Outcome != policy.Denied || got.Rule != "known-only" {
		t.Errorf("tokens to a stranger: got %s", describe(got))
	}
	if got := r.Evaluate(moves(thief)); got.Outcome != policy.Allowed {
		t.Errorf("nothing is moved: got %s", describe(got))
	}
	if got := r.Evaluate(calling("5", request.CallEffects{Calls: []request.CallNode{node(0, "usd", stakeFn)}})); got.Outcome != policy.Denied || got.Rule != "known-only" {
		t.Errorf("coins to a contract that is not in the address book: got %s", describe(got))
	}
	f := moves(broker, "5", "6")
	f.Total, f.Destinations = *u("7"), []policy.Destination{{Address: bank, Amount: *u("7"), Kind: policy.Whitelisted, Book: "bank"}}
	charges, err := r.Charges(f, *u("9"))
	if got := fmt.Sprint(charges); err != nil || got != fmt.Sprintf("[{coins [%s] 11 <nil>} {coins [%s] 7 <nil>} {fees [eip155:1] 9 <nil>} {times [] 1 <nil>}]", token, ether) {
		t.Errorf("it takes %s, %v", got, err)
	}
}

// TestUndecoded: a call that nobody can read takes a route that is for such calls, and no other; what such a route is for has people.
func TestUndecoded(t *testing.T) {
	t.Parallel()
	raw := calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "usd", "")}, Undecoded: "who knows"})
	if got := compile(t, callDocument()).Evaluate(raw); got.Outcome != policy.Denied || got.Rule != policy.RuleUndecodable || got.Unmet[0].Observed != "who knows" {
		t.Errorf("got %s", describe(got))
	}
	with := func(m policy.CallMatch) policy.Document {
		d := callDocument()
		d.Routes = append(d.Routes, policy.Route{ID: "raw", Priority: 50, Plan: plan("treasury", 2), When: policy.Match{Operations: []request.Operation{request.ContractCall}, Call: &m}})
		return d
	}
	for _, c := range []struct {
		match policy.CallMatch
		want  policy.Outcome
	}{
		{policy.CallMatch{Undecoded: true}, policy.Allowed},
		{policy.CallMatch{Undecoded: true, Contracts: []string{"usd"}}, policy.Allowed},
		{policy.CallMatch{Undecoded: true, Contracts: []string{"vault"}}, policy.Denied},
		{policy.CallMatch{Undecoded: true, Functions: []string{"0x01020304"}}, policy.Allowed},
		{policy.CallMatch{Undecoded: true, Functions: []string{"0x01020305"}}, policy.Denied},
		{policy.CallMatch{Contracts: []string{"usd"}}, policy.Denied},
	} {
		if got := compile(t, with(c.match)).Evaluate(raw); got.Outcome != c.want {
			t.Errorf("%+v: got %s", c.match, describe(got))
		}
	}
	d := with(policy.CallMatch{Undecoded: true})
	if got := compile(t, d).Evaluate(calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "usd", approveFn)}})); got.Rule != "calls" {
		t.Errorf("a call that can be read: got %s", describe(got))
	}
	auto := &d.Routes[len(d.Routes)-1]
	auto.Auto, auto.Plan = true, policy.Plan{}
	_, err := policy.Compile(d)
	mustContain(t, err, "nobody can read")
	// A guard about what such a call may do can't be told: it holds.
	d = with(policy.CallMatch{Undecoded: true})
	yes := true
	d.Guards = append(d.Guards, policy.Guard{ID: "no-delegatecall", Effect: policy.Deny, When: policy.Match{Call: &policy.CallMatch{DelegateCall: &yes}}})
	if got := compile(t, d).Evaluate(raw); got.Rule != "no-delegatecall" {
		t.Errorf("got %s", describe(got))
	}
}

// modelCall says by hand whether a call meets a match: 1 yes, 0 no, -1 it can't be told.
func modelCall(m policy.CallMatch, e request.CallEffects) int {
	delegates := slices.ContainsFunc(e.Calls, func(n request.CallNode) bool { return n.Delegate })
	if m.DelegateCall != nil && *m.DelegateCall != delegates {
		return 0
	}
	one := func(n request.CallNode) int {
		if len(m.Contracts) > 0 && !slices.Contains(m.Contracts, n.ID) || len(m.Functions) > 0 && !slices.Contains(m.Functions, n.Function) {
			return 0
		}
		for _, t := range m.Args {
			i := slices.IndexFunc(n.Args, func(a request.CallArg) bool { return a.Path == t.Path })
			if i < 0 {
				return -1
			}
			have, want := u(n.Args[i].Value).Cmp(*u(t.Values[0])), true
			switch t.Op {
			case policy.OpEq, policy.OpIn:
				want = slices.Contains(t.Values, n.Args[i].Value)
			case policy.OpLe:
				want = have <= 0
			case policy.OpLt:
				want = have < 0
			case policy.OpGe:
				want = have >= 0
			case policy.OpGt:
				want = have > 0
			}
			if !want {
				return 0
			}
		}
		return 1
	}
	var said []int
	for _, n := range e.Calls {
		said = append(said, one(n))
	}
	switch has := func(x int) bool { return slices.Contains(said, x) }; {
	case m.Depth == policy.AnyCall && has(1):
		return 1
	case m.Depth == policy.EveryCall && has(0):
		return 0
	case m.Depth != "" && has(-1):
		return -1
	case m.Depth == policy.EveryCall:
		return 1
	case m.Depth == policy.AnyCall:
		return 0
	}
	return said[0]
}

// TestCallMatchIsTheModel: matches of calls against a model; what can't be told is a match of a guard and none of a route, and ends the search.
func TestCallMatchIsTheModel(t *testing.T) {
	t.Parallel()
	seen := lawtest.Counts{}
	lawtest.Check(t, seen.Want(1, "-1", "0", "1"), func(rt *rapid.T) {
		m := policy.CallMatch{Contracts: rapid.SampledFrom([][]string{nil, nil, {"usd"}, {"usd", "vault"}}).Draw(rt, "contracts"), Functions: some(rt, "function", "list(uint256[])", stakeFn), Depth: rapid.SampledFrom([]policy.CallDepth{"", policy.AnyCall, policy.EveryCall}).Draw(rt, "depth")}
		if rapid.IntRange(0, 3).Draw(rt, "delegates") == 0 {
			yes := rapid.Bool().Draw(rt, "which")
			m.DelegateCall = &yes
		}
		if len(m.Functions) == 1 && rapid.IntRange(0, 3).Draw(rt, "args") > 0 {
			t := policy.ArgTest{Path: "0", Op: rapid.SampledFrom([]policy.ArgOp{policy.OpEq, policy.OpIn, policy.OpLe, policy.OpLt, policy.OpGe, policy.OpGt}).Draw(rt, "op"), Values: []string{rapid.SampledFrom([]string{"1", "2", "3"}).Draw(rt, "value")}}
			if t.Op == policy.OpIn {
				t.Values = append(t.Values, "9")
			}
			if m.Functions[0] != stakeFn {
				t.Path = "0.0"
			}
			m.Args = []policy.ArgTest{t}
		}
		if len(m.Contracts)+len(m.Functions) == 0 && m.DelegateCall == nil {
			m.Contracts = []string{"usd"}
		}
		var e request.CallEffects
		for i := range rapid.IntRange(1, 4).Draw(rt, "calls") {
			n := node(uint32(min(i, 1)), rapid.SampledFrom([]string{"", "usd", "vault"}).Draw(rt, "id"), rapid.SampledFrom([]string{"list(uint256[])", "list(uint256[])", stakeFn}).Draw(rt, "calls"))
			value := request.CallArg{Path: "0", Type: "uint256", Value: rapid.SampledFrom([]string{"1", "2", "3", "9"}).Draw(rt, "argument")}
			if n.Function != stakeFn {
				value.Path = "0.0"
			}
			if n.Function == stakeFn || rapid.IntRange(0, 2).Draw(rt, "element") == 2 {
				n.Args = []request.CallArg{value}
			}
			n.Delegate = i > 0 && rapid.Bool().Draw(rt, "delegate")
			e.Calls = append(e.Calls, n)
		}
		want := modelCall(m, e)
		seen[fmt.Sprint(want)]++
		d := callDocument()
		d.Contracts[1].Allow, d.Contracts[0].Allow = []policy.Allowance{policy.AllowDelegateCall}, []policy.Allowance{policy.AllowDelegateCall}
		d.Guards = append(d.Guards, policy.Guard{ID: "matched", Effect: policy.Hold, When: policy.Match{Call: &m}})
		got := compile(t, d).Evaluate(calling("0", e))
		if matched := len(got.Unmet) > 0 && got.Unmet[0].Rule == "matched"; got.Rule != policy.RuleCallDefaults && matched != (want != 0) {
			rt.Fatalf("%+v of %+v: the model says %d, the guard %s", m, e, want, describe(got))
		}
		d.Guards = d.Guards[:len(d.Guards)-1]
		d.Routes = slices.Insert(d.Routes, 0, policy.Route{ID: "matched", Priority: 1, Plan: plan("treasury", 2), When: policy.Match{Operations: []request.Operation{request.ContractCall}, Call: &m}})
		got = compile(t, d).Evaluate(calling("0", e))
		rule := map[int]string{1: "allow matched", 0: "allow calls", -1: "deny matched"}[want]
		if is := fmt.Sprintf("%s %s", got.Outcome, got.Rule); got.Rule != policy.RuleCallDefaults && is != rule {
			rt.Fatalf("%+v of %+v: the model says %s, the route %s", m, e, rule, is)
		}
	})
}

// An argument that is tested and not there can't be told: a guard matches, and a route ends the search.
func TestCallMatchCantTell(t *testing.T) {
	t.Parallel()
	m := policy.CallMatch{Functions: []string{"list(uint256[])"}, Args: []policy.ArgTest{{Path: "0.0", Op: policy.OpEq, Values: []string{"1"}}}}
	e := request.CallEffects{Calls: []request.CallNode{node(0, "usd", "list(uint256[])")}}
	if want := modelCall(m, e); want != -1 {
		t.Fatalf("the model says %d", want)
	}
	d := callDocument()
	d.Guards = append(d.Guards, policy.Guard{ID: "matched", Effect: policy.Hold, When: policy.Match{Call: &m}})
	if got := compile(t, d).Evaluate(calling("0", e)); len(got.Unmet) == 0 || got.Unmet[0].Rule != "matched" {
		t.Errorf("the guard: %s", describe(got))
	}
	d.Guards = d.Guards[:len(d.Guards)-1]
	d.Routes = slices.Insert(d.Routes, 0, policy.Route{ID: "matched", Priority: 1, Plan: plan("treasury", 2), When: policy.Match{Operations: []request.Operation{request.ContractCall}, Call: &m}})
	if got := compile(t, d).Evaluate(calling("0", e)); got.Outcome != policy.Denied || got.Rule != "matched" {
		t.Errorf("the route: %s", describe(got))
	}
}

// TestTypedMatch: matches of messages.
func TestTypedMatch(t *testing.T) {
	t.Parallel()
	m := request.MessageEffects{Kind: request.TypedMessage, Name: "Mail", Primary: "Letter", ID: "usd", Fields: []request.CallArg{{Path: "to.age", Type: "uint8", Value: "7"}}}
	field := func(path string, op policy.ArgOp, values ...string) *policy.TypedMatch {
		return &policy.TypedMatch{Fields: []policy.ArgTest{{Path: path, Op: op, Values: values}}}
	}
	for name, c := range map[string]struct {
		when    policy.Match
		matches bool
	}{
		"contract": {policy.Match{Typed: &policy.TypedMatch{Contracts: []string{"usd"}}}, true}, "other contract": {policy.Match{Typed: &policy.TypedMatch{Contracts: []string{"vault"}}}, false},
		"name": {policy.Match{Typed: &policy.TypedMatch{Names: []string{"Mail"}}}, true}, "other type": {policy.Match{Typed: &policy.TypedMatch{PrimaryTypes: []string{"Permit"}}}, false},
		"field": {policy.Match{Typed: field("to.age", policy.OpLe, "7")}, true}, "field that is more": {policy.Match{Typed: field("to.age", policy.OpLt, "7")}, false},
		"field that is not there": {policy.Match{Typed: field("from.age", policy.OpEq, "7")}, true}, "kind": {policy.Match{Message: []request.MessageKind{request.TypedMessage}}, true},
		"other kind": {policy.Match{Message: []request.MessageKind{request.PersonalMessage}}, false}, "a call": {policy.Match{Call: &policy.CallMatch{Contracts: []string{"usd"}}}, false},
		"expression": {policy.Match{Expr: `messageKind == "typed" && primaryType == "Letter"`}, true}, "a call's": {policy.Match{Operations: []request.Operation{request.MessageSign}, Expr: `callDepth == 0`}, true},
	} {
		d := callDocument()
		if len(c.when.Operations) == 0 {
			c.when.Operations = []request.Operation{request.ContractCall, request.MessageSign}
		}
		d.Guards = append(d.Guards, policy.Guard{ID: "matched", Effect: policy.Deny, When: c.when})
		if got := compile(t, d).Evaluate(signingOf(m)); (got.Rule == "matched") != c.matches {
			t.Errorf("%s: got %s", name, describe(got))
		}
	}
	d := callDocument()
	d.Guards = append(d.Guards, policy.Guard{ID: "matched", Effect: policy.Deny, When: policy.Match{Operations: []request.Operation{request.ContractCall},
		Expr: `callContract == "` + vendor + `" && callId == "usd" && callFunction == "` + approveFn + `" && callSelector == "0x01020304" && callDepth == 1`}})
	if got := compile(t, d).Evaluate(calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "usd", approveFn), node(1, "", stakeFn)}})); got.Rule != "matched" {
		t.Errorf("an expression about a call: got %s", describe(got))
	}
}

// TestCheckContracts: what a document may not say of contracts, calls and messages.
func TestCheckContracts(t *testing.T) {
	t.Parallel()
	call := func(m policy.CallMatch) func(*policy.Document) {
		return func(d *policy.Document) { d.Guards[0].When = policy.Match{Call: &m} }
	}
	arg := func(path string, op policy.ArgOp, values ...string) func(*policy.Document) {
		return call(policy.CallMatch{Functions: []string{approveFn}, Args: []policy.ArgTest{{Path: path, Op: op, Values: values}}})
	}
	yes := true
	for want, change := range map[string]func(*policy.Document){
		"sorted by id":             func(d *policy.Document) { slices.Reverse(d.Contracts) },
		"has no contracts":         func(d *policy.Document) { d.Contracts[0].Chain = custody.BitcoinMainnet },
		"kind:":                    func(d *policy.Document) { d.Contracts[0].Kind = "bank" },
		"is there already as usd":  func(d *policy.Document) { d.Contracts[1].Addresses = d.Contracts[0].Addresses },
		"checksum":                 func(d *policy.Document) { d.Contracts[0].Addresses = []string{strings.ToLower(vendor)} },
		"signature":                func(d *policy.Document) { d.Contracts[0].Functions = []string{"approve(address,uint)"} },
		"functions must be sorted": func(d *policy.Document) { d.Contracts[0].Functions = []string{"b()", "a()"} },
		"is for contracts with addr": func(d *policy.Document) {
			d.Contracts[0].Addresses, d.Contracts[0].Allow = nil, []policy.Allowance{policy.AllowUnlimited}
		},
		`"everything" is none`:         func(d *policy.Document) { d.Contracts[0].Allow = []policy.Allowance{"everything"} },
		`"euro" is not in`:             call(policy.CallMatch{Contracts: []string{"euro"}}),
		"call is empty":                call(policy.CallMatch{}),
		"call.depth":                   call(policy.CallMatch{Depth: "top", Contracts: []string{"usd"}}),
		"no canonical signature":       call(policy.CallMatch{Functions: []string{"approve"}}),
		"no canonical signature, and ": call(policy.CallMatch{Functions: []string{"0x0102030"}}),
		"take the other fields out":    call(policy.CallMatch{Undecoded: true, DelegateCall: &yes}),
		"as signatures":                call(policy.CallMatch{Functions: []string{"0x01020304"}, Args: []policy.ArgTest{{Path: "0", Op: policy.OpEq, Values: []string{"1"}}}}),
		"there is no such argument":    arg("2", policy.OpEq, "1"),
		"none of eq, in":               arg("1", "like", "1"),
		"has 2 values":                 arg("1", policy.OpEq, "1", "2"),
		"is no number":                 arg("1", policy.OpLe, "many"),
		"can't be compared":            arg("0", policy.OpLe, "1"),
		"is not how":                   arg("1", policy.OpEq, "0x1"),
		"typedData is empty":           func(d *policy.Document) { d.Guards[0].When = policy.Match{Typed: &policy.TypedMatch{}} },
		`"raw" is none`:                func(d *policy.Document) { d.Guards[0].When = policy.Match{Message: []request.MessageKind{"raw"}} },
		"is reserved":                  func(d *policy.Document) { d.Guards[0].ID = policy.RuleCallDefaults },
	} {
		d := callDocument()
		d.Guards[0].When.Operations = []request.Operation{request.Transfer}
		change(&d)
		err := d.Check(custody.Production)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", want, err)
		}
	}
	if err := callDocument().Check(custody.Production); err != nil {
		t.Error(err)
	}
	next := callDocument()
	next.Contracts[0].Allow = []policy.Allowance{policy.AllowUnlimited}
	if got := strings.Join(policy.Diff(callDocument(), next), "; "); !strings.Contains(got, "contract usd is now") || !strings.Contains(got, "unlimited-approval allowed") {
		t.Errorf("the difference is told as %q", got)
	}
}

// What a call moves may go where a transfer may, and nowhere else: not to the blacklist, and nobody on it gets power over tokens or is called.
func TestCallsAreBarred(t *testing.T) {
	t.Parallel()
	d := callDocument()
	d.Guards = nil
	d.Blacklist = []policy.Blocked{{Chain: "eip155:1", Address: thief}}
	r := compile(t, d)
	inner := request.CallNode{Contract: thief, Depth: 1, Function: stakeFn}
	for name, e := range map[string]request.CallEffects{
		"movement": {Calls: []request.CallNode{node(0, "usd", stakeFn)}, Movements: []request.Movement{{Asset: "eip155:1/erc20:0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", To: thief, Amount: *u("5")}}},
		"approval": {Calls: []request.CallNode{node(0, "usd", stakeFn)}, Approvals: []request.TokenApproval{{Contract: thief, Spender: thief, Amount: *u("5")}}},
		"call":     {Calls: []request.CallNode{node(0, "usd", stakeFn), inner}},
		"sweep":    {Calls: []request.CallNode{node(0, "usd", stakeFn), node(1, "usd", "SWEEP(address,address,uint256)", vendor, thief, "0")}},
		"NFT":      {Calls: []request.CallNode{node(0, "usd", stakeFn), node(1, "usd", "safeTransferFrom(address,address,uint256)", vendor, thief, "0")}},
	} {
		f := calling("0", e)
		f.Moves = make([]policy.Destination, len(e.Movements))
		for i, m := range e.Movements {
			f.Moves[i] = policy.Destination{Address: m.To, Amount: m.Amount, Kind: policy.OneTime}
		}
		if !d.Remembers() {
			f.Moves = nil
		}
		if got := r.Evaluate(f); got.Outcome != policy.Denied || got.Rule != policy.RuleBlacklist {
			t.Errorf("%s: %s", name, describe(got))
		}
	}
}

// Power over tokens can be taken back from an address on the blacklist, where zero surely means none.
func TestPowerIsTakenBack(t *testing.T) {
	t.Parallel()
	d := callDocument()
	d.Guards = nil
	d.Contracts = append([]policy.Contract{{ID: "any", Chain: chain, Kind: calls.Token}, {ID: "art", Chain: chain, Addresses: []string{broker}, Kind: calls.NFT}}, d.Contracts...)
	d.Blacklist = []policy.Blocked{{Chain: chain, Address: thief}}
	d.Contracts = slices.DeleteFunc(d.Contracts, func(c policy.Contract) bool { return c.ID == "vault" })
	r := compile(t, d)
	for name, c := range map[string]struct {
		approval request.TokenApproval
		want     policy.Outcome
	}{
		"zero":               {request.TokenApproval{Contract: vendor, Spender: thief, ID: "usd"}, policy.Allowed},
		"more":               {request.TokenApproval{Contract: vendor, Spender: thief, ID: "usd", Amount: *u("1")}, policy.Denied},
		"without limit":      {request.TokenApproval{Contract: vendor, Spender: thief, ID: "usd", Unlimited: true}, policy.Denied},
		"of any contract":    {request.TokenApproval{Contract: bank, Spender: thief, ID: "any"}, policy.Denied},
		"token number zero":  {request.TokenApproval{Contract: broker, Spender: thief, ID: "art"}, policy.Denied},
		"of an unknown one":  {request.TokenApproval{Contract: bank, Spender: thief}, policy.Denied},
		"all of a contract":  {request.TokenApproval{Contract: vendor, Spender: thief, ID: "usd", All: true}, policy.Denied},
		"of a blocked token": {request.TokenApproval{Contract: thief, Spender: bank, ID: "any"}, policy.Denied},
	} {
		f := calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "usd", approveFn)}, Approvals: []request.TokenApproval{c.approval}})
		if got := r.Evaluate(f); got.Outcome != c.want {
			t.Errorf("%s: %s", name, describe(got))
		}
	}
}

// Where a document remembers destinations, the facts say what each movement's is, and nothing else is believed.
func TestMovesAreKnown(t *testing.T) {
	t.Parallel()
	d := callDocument()
	d.Guards = []policy.Guard{{ID: "new", Effect: policy.Hold, When: policy.Match{Operations: []request.Operation{request.Transfer}, FirstUse: true}}}
	r := compile(t, d)
	f := calling("0", request.CallEffects{Calls: []request.CallNode{node(0, "usd", stakeFn)}, Movements: []request.Movement{{Asset: "eip155:1/erc20:0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", To: thief, Amount: *u("5")}}})
	known := policy.Destination{Address: thief, Amount: *u("5"), Kind: policy.OneTime}
	first := known
	first.First = true
	for name, c := range map[string]struct {
		moves []policy.Destination
		rule  string
	}{
		"not known": {nil, policy.RuleDefaultDeny}, "another amount": {[]policy.Destination{{Address: thief, Amount: *u("4"), Kind: policy.OneTime}}, policy.RuleDefaultDeny},
		"in a book": {[]policy.Destination{{Address: thief, Amount: *u("5"), Kind: policy.Whitelisted, Book: "bank"}}, policy.RuleDefaultDeny},
		"new":       {[]policy.Destination{first}, "new"}, "paid before": {[]policy.Destination{known}, "calls"},
	} {
		f.Moves = c.moves
		if got := r.Evaluate(f); got.Rule != c.rule {
			t.Errorf("%s: %s, want %s", name, describe(got), c.rule)
		}
	}
}
