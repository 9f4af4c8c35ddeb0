// SPDX-License-Identifier: Apache-2.0

package rulefile

import (
	"cmp"
	"slices"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/rulefile/strictyaml"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/simulation"
)

// simulation reads {unexpected: true, outOver: [{asset: eip155:1/slip44:60, amount: 1000}]}: true if any of it is so. Outside of obligations it is refused where
// it stands.
func (r *reader) simulation(n *yaml.Node, path string) *policy.SimulationMatch {
	if !r.obliging {
		r.Fail(n, path, "what a simulation tells is the word of serve alone, so it may only add: it has its place in obligations and nowhere else")
		return nil
	}
	m := &policy.SimulationMatch{}
	is := func(b *bool) func(*yaml.Node, string) {
		return func(n *yaml.Node, path string) {
			if *b = r.Boolean(n, path); r.Err == nil && !*b {
				r.Fail(n, path, "is false; leave the key out")
			}
		}
	}
	r.Mapping(n, path, strictyaml.Fields{
		"outOver": func(n *yaml.Node, path string) {
			r.Sequence(n, path, func(n *yaml.Node, path string) { m.OutOver = append(m.OutOver, r.outgo(n, path)) })
			if r.Err == nil && len(m.OutOver) == 0 {
				r.Fail(n, path, "the list is empty; leave the key out")
			}
			slices.SortFunc(m.OutOver, func(a, b policy.Outgo) int { return cmp.Compare(a.Asset, b.Asset) })
		},
		"anyApproval": is(&m.AnyApproval),
		"reverted":    is(&m.Reverted),
		"unexpected":  is(&m.Unexpected),
		"unknown":     is(&m.Unknown),
	})
	return m
}

func (r *reader) outgo(n *yaml.Node, path string) (o policy.Outgo) {
	r.Mapping(n, path, strictyaml.Fields{
		"asset": func(n *yaml.Node, path string) { o.Asset = simulation.Asset(r.Text(n, path)) },
		"amount": func(n *yaml.Node, path string) {
			if u := r.amount(n, path); u != nil {
				o.Amount = *u
			}
		},
	}, "asset", "amount")
	return o
}

func simulationNode(m *policy.SimulationMatch) *yaml.Node {
	return (&node{}).addIf(len(m.OutOver) > 0, "outOver", each(m.OutOver, func(o policy.Outgo) *yaml.Node {
		return flow((&node{}).add("asset", text(string(o.Asset))).add("amount", amount(&o.Amount)))
	})).addIf(m.AnyApproval, "anyApproval", boolean(true)).addIf(m.Reverted, "reverted", boolean(true)).
		addIf(m.Unexpected, "unexpected", boolean(true)).addIf(m.Unknown, "unknown", boolean(true)).mapping()
}
