// SPDX-License-Identifier: Apache-2.0

package rulefile

import (
	"cmp"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/rulefile/strictyaml"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/policy"
)

func byContract(a, b policy.Contract) int { return cmp.Compare(a.ID, b.ID) }

func (r *reader) contract(n *yaml.Node, path string) (c policy.Contract) {
	r.Mapping(n, path, strictyaml.Fields{
		"id":        func(n *yaml.Node, path string) { c.ID = r.Text(n, path) },
		"chain":     func(n *yaml.Node, path string) { c.Chain = custody.ChainID(r.Text(n, path)) },
		"addresses": func(n *yaml.Node, path string) { c.Addresses = set[string](r, n, path) },
		"functions": func(n *yaml.Node, path string) { c.Functions = set[string](r, n, path) },
		"kind":      func(n *yaml.Node, path string) { c.Kind = calls.Kind(r.Text(n, path)) },
		"allow":     func(n *yaml.Node, path string) { c.Allow = set[policy.Allowance](r, n, path) },
	}, "id", "chain", "kind")
	return c
}

func (r *reader) call(n *yaml.Node, path string) *policy.CallMatch {
	c := &policy.CallMatch{}
	r.Mapping(n, path, strictyaml.Fields{
		"contracts": func(n *yaml.Node, path string) { c.Contracts = set[string](r, n, path) },
		"functions": func(n *yaml.Node, path string) { c.Functions = set[string](r, n, path) },
		"args":      func(n *yaml.Node, path string) { c.Args = r.argTests(n, path) },
		"depth": func(n *yaml.Node, path string) {
			if c.Depth = policy.CallDepth(r.Text(n, path)); c.Depth == policy.TopCall {
				c.Depth = ""
			}
		},
		"delegatecall": func(n *yaml.Node, path string) { b := r.Boolean(n, path); c.DelegateCall = &b },
		"undecoded":    func(n *yaml.Node, path string) { c.Undecoded = r.Boolean(n, path) },
	})
	return c
}

func (r *reader) typed(n *yaml.Node, path string) *policy.TypedMatch {
	t := &policy.TypedMatch{}
	r.Mapping(n, path, strictyaml.Fields{
		"contracts":    func(n *yaml.Node, path string) { t.Contracts = set[string](r, n, path) },
		"names":        func(n *yaml.Node, path string) { t.Names = set[string](r, n, path) },
		"primaryTypes": func(n *yaml.Node, path string) { t.PrimaryTypes = set[string](r, n, path) },
		"fields":       func(n *yaml.Node, path string) { t.Fields = r.argTests(n, path) },
	})
	return t
}

// argTests reads tests in the order of the file: all must be true, so it has no meaning.
func (r *reader) argTests(n *yaml.Node, path string) (out []policy.ArgTest) {
	r.Sequence(n, path, func(n *yaml.Node, path string) { out = append(out, r.argTest(n, path)) })
	return out
}

// argTest reads {path: "1", op: le, value: "1000"}, or with op in a list of values.
func (r *reader) argTest(n *yaml.Node, path string) (t policy.ArgTest) {
	one := func(n *yaml.Node, path string) string {
		s, _ := r.Scalar(n, path, "a value as it is shown, for instance \"1000\"", "!!str", "!!int", "!!bool")
		return s
	}
	r.Mapping(n, path, strictyaml.Fields{
		"path": func(n *yaml.Node, path string) { t.Path = one(n, path) },
		"op":   func(n *yaml.Node, path string) { t.Op = policy.ArgOp(r.Text(n, path)) },
		"value": func(n *yaml.Node, path string) {
			if n.Kind != yaml.SequenceNode {
				t.Values = []string{one(n, path)}
				return
			}
			r.Sequence(n, path, func(n *yaml.Node, path string) { t.Values = append(t.Values, one(n, path)) })
		},
	}, "path", "op", "value")
	return t
}

func contractNode(c policy.Contract) *yaml.Node {
	return (&node{}).add("id", text(c.ID)).add("chain", text(string(c.Chain))).add("kind", text(string(c.Kind))).
		addIf(len(c.Addresses) > 0, "addresses", texts(c.Addresses)).addIf(len(c.Functions) > 0, "functions", texts(c.Functions)).
		addIf(len(c.Allow) > 0, "allow", texts(c.Allow)).mapping()
}

func callNode(c *policy.CallMatch) *yaml.Node {
	out := (&node{}).addIf(len(c.Contracts) > 0, "contracts", texts(c.Contracts)).addIf(len(c.Functions) > 0, "functions", texts(c.Functions)).
		addIf(len(c.Args) > 0, "args", each(c.Args, testNode)).addIf(c.Depth != "", "depth", text(string(c.Depth)))
	if c.DelegateCall != nil {
		out.add("delegatecall", boolean(*c.DelegateCall))
	}
	return out.addIf(c.Undecoded, "undecoded", boolean(true)).mapping()
}

func typedNode(t *policy.TypedMatch) *yaml.Node {
	return (&node{}).addIf(len(t.Contracts) > 0, "contracts", texts(t.Contracts)).addIf(len(t.Names) > 0, "names", texts(t.Names)).
		addIf(len(t.PrimaryTypes) > 0, "primaryTypes", texts(t.PrimaryTypes)).addIf(len(t.Fields) > 0, "fields", each(t.Fields, testNode)).mapping()
}

func testNode(t policy.ArgTest) *yaml.Node {
	out := (&node{}).add("path", text(t.Path)).add("op", text(string(t.Op)))
	if t.Op == policy.OpIn {
		return flow(out.add("value", texts(t.Values)))
	}
	return flow(out.add("value", text(t.Values[0])))
}
