// SPDX-License-Identifier: Apache-2.0

package rulefile

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

// Render writes a document as a rule file. [Parse] of it gives the document again. Comments of a file that the document came
// from are not part of it and are lost.
func Render(d policy.Document) ([]byte, error) {
	root := &node{}
	root.add("schema", number(uint64(d.V)))
	root.add("version", number(d.Version))
	if d.PrevHash != [32]byte{} {
		root.add("prevHash", text(hex.EncodeToString(d.PrevHash[:])))
	}
	root.add("principals", each(d.Principals, principalNode))
	root.addIf(len(d.Groups) > 0, "groups", each(d.Groups, func(g policy.Group) *yaml.Node {
		return flow((&node{}).add("id", text(string(g.ID))).add("members", texts(g.Members)).addIf(g.Line > 0, "line", number(uint64(g.Line))))
	}))
	root.addIf(len(d.AddressBook) > 0, "addressBook", each(d.AddressBook, entryNode))
	root.add("floor", (&node{}).
		add("minDistinctUsers", number(uint64(d.Floor.MinDistinctUsers))).
		add("forbidSelfApproval", boolean(d.Floor.ForbidSelfApproval)).
		add("requestTTL", duration(d.Floor.RequestTTL)).
		add("maxApprovalAge", duration(d.Floor.MaxApprovalAge)).
		addIf(d.Floor.MinDistinctGroups > 0, "minDistinctGroups", number(uint64(d.Floor.MinDistinctGroups))).mapping())
	root.addIf(len(d.Guards) > 0, "guards", each(d.Guards, guardNode))
	root.addIf(len(d.Routes) > 0, "routes", each(d.Routes, routeNode))
	root.addIf(len(d.Calendars) > 0, "calendars", each(d.Calendars, calendarNode))
	root.addIf(len(d.Limits) > 0, "limits", each(d.Limits, limitNode))
	root.addIf(len(d.Obligations) > 0, "obligations", each(d.Obligations, obligationNode))
	bookNodes(root, d)
	root.addIf(len(d.Contracts) > 0, "contracts", each(d.Contracts, contractNode))
	root.add("changePlan", planNode(d.ChangePlan))
	if p := d.Domain; p != nil {
		plans := (&node{}).add("signature", planNode(p.Signature)).add("revocation", planNode(p.Revocation)).add("recovery", planNode(p.Recovery))
		if p.ReanchorDelay != nil {
			plans.add("reanchorDelay", duration(*p.ReanchorDelay))
		}
		root.add("domain", plans.mapping())
	}
	if d.BreakGlass != nil {
		root.add("breakGlass", breakGlassNode(d.BreakGlass))
	}
	if d.Oversight != nil {
		root.add("oversight", oversightNode(d.Oversight))
	}
	root.addIf(len(d.PriceSources) > 0, "priceSources", each(d.PriceSources, priceSourceNode))
	root.addIf(len(d.ScreeningSources) > 0, "screeningSources", each(d.ScreeningSources, screeningSourceNode))
	root.addIf(d.ReplayRequired, "replayRequired", boolean(d.ReplayRequired))

	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	if err := enc.Encode(root.mapping()); err != nil {
		return nil, fmt.Errorf("render rule file: %w", err)
	}
	if err := enc.Close(); err != nil {
		return nil, fmt.Errorf("render rule file: %w", err)
	}
	return b.Bytes(), nil
}

// node collects keys and values in order.
type node struct{ content []*yaml.Node }

func (m *node) add(key string, v *yaml.Node) *node {
	m.content = append(m.content, text(key), v)
	return m
}

func (m *node) addIf(ok bool, key string, v *yaml.Node) *node {
	if ok {
		m.add(key, v)
	}
	return m
}

func (m *node) mapping() *yaml.Node { return &yaml.Node{Kind: yaml.MappingNode, Content: m.content} }

func flow(m *node) *yaml.Node {
	n := m.mapping()
	n.Style = yaml.FlowStyle
	return n
}

func each[T any](vs []T, f func(T) *yaml.Node) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for _, v := range vs {
		n.Content = append(n.Content, f(v))
	}
	return n
}

func texts[T ~string](vs []T) *yaml.Node {
	n := each(vs, func(v T) *yaml.Node { return text(string(v)) })
	n.Style = yaml.FlowStyle
	return n
}

func text(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if strings.ContainsAny(s, "\n\t") {
		n.Style = yaml.DoubleQuotedStyle // a block would lose trailing blanks
	}
	return n
}

func number(v uint64) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.FormatUint(v, 10)}
}

func boolean(v bool) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: strconv.FormatBool(v)}
}

func amount(u *custody.Uint256) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: u.String(), Style: yaml.DoubleQuotedStyle}
}

// duration writes seconds in the largest unit up to the hour that they are a multiple of.
func duration(s int64) *yaml.Node {
	switch {
	case s%3600 == 0:
		return text(fmt.Sprintf("%dh", s/3600))
	case s%60 == 0:
		return text(fmt.Sprintf("%dm", s/60))
	default:
		return text(fmt.Sprintf("%ds", s))
	}
}

func principalNode(p policy.Principal) *yaml.Node {
	keys := &yaml.Node{Kind: yaml.SequenceNode}
	for _, k := range p.Keys {
		keys.Content = append(keys.Content, flow((&node{}).add("alg", text(string(k.Alg))).add("pub", text(hex.EncodeToString(k.Pub))).
			addIf(k.RP != "", "rp", text(k.RP)).addIf(k.Origin != "", "origin", text(k.Origin))))
	}
	return (&node{}).add("id", text(string(p.ID))).add("kind", text(string(p.Kind))).
		addIf(!p.Active, "active", boolean(false)).addIf(p.Line > 0, "line", number(uint64(p.Line))).addIf(len(p.Roles) > 0, "roles", texts(p.Roles)).add("keys", keys).mapping()
}

func guardNode(g policy.Guard) *yaml.Node {
	return (&node{}).add("id", text(g.ID)).addIf(g.Title != "", "title", text(g.Title)).add("when", matchNode(g.When)).
		add("effect", text(string(g.Effect))).addIf(g.Reason != "", "reasonCode", text(g.Reason)).mapping()
}

func routeNode(r policy.Route) *yaml.Node {
	m := (&node{}).add("id", text(r.ID)).add("priority", number(uint64(r.Priority))).add("when", matchNode(r.When)).
		addIf(r.Auto, "auto", boolean(true))
	if len(r.Plan.AnyOf) > 0 {
		m.add("plan", planNode(r.Plan))
	}
	if r.FeeCap != nil {
		m.add("feeCap", amount(r.FeeCap))
	}
	return m.mapping()
}

func planNode(p policy.Plan) *yaml.Node {
	return (&node{}).add("anyOf", each(p.AnyOf, func(b policy.Branch) *yaml.Node {
		return (&node{}).add("steps", each(b.Steps, stepNode)).addIf(b.Delay > 0, "delay", duration(b.Delay)).
			addIf(b.ExpiresAfter > 0, "expiresAfter", duration(b.ExpiresAfter)).addIf(b.Deadline > 0, "deadline", duration(b.Deadline)).mapping()
	})).mapping()
}

func matchNode(m policy.Match) *yaml.Node {
	out := &node{}
	group := func(key string, fill func(*node)) {
		in := &node{}
		fill(in)
		out.addIf(len(in.content) > 0, key, flow(in))
	}
	out.addIf(len(m.Operations) > 0, "operation", texts(m.Operations))
	group("initiator", func(n *node) {
		n.addIf(len(m.Initiators) > 0, "principals", texts(m.Initiators)).addIf(len(m.InitiatorIn) > 0, "groups", texts(m.InitiatorIn)).
			addIf(len(m.InitiatorKind) > 0, "kind", texts(m.InitiatorKind)).addIf(len(m.InitiatorRoles) > 0, "roles", texts(m.InitiatorRoles))
	})
	group("source", func(n *node) {
		n.addIf(len(m.Wallets) > 0, "wallets", texts(m.Wallets)).addIf(len(m.Chains) > 0, "chains", texts(m.Chains)).
			addIf(len(m.Temperatures) > 0, "temperature", texts(m.Temperatures))
		n.addIf(len(m.Classes) > 0, "class", texts(m.Classes))
	})
	group("destination", func(n *node) {
		n.addIf(len(m.Destination) > 0, "kind", texts(m.Destination)).addIf(len(m.DestNot) > 0, "not", texts(m.DestNot)).
			addIf(len(m.Books) > 0, "ids", texts(m.Books)).addIf(len(m.Counterparties) > 0, "counterparties", texts(m.Counterparties)).
			addIf(m.MinAge > 0, "minAge", duration(m.MinAge)).addIf(m.YoungerThan > 0, "youngerThan", duration(m.YoungerThan)).
			addIf(m.FirstUse, "firstUse", boolean(true)).addIf(m.Lookalike, "lookalike", boolean(true))
	})
	group("asset", func(n *node) { n.addIf(len(m.Assets) > 0, "ids", texts(m.Assets)) })
	group("amount", func(n *node) {
		if m.AmountMax != nil {
			n.add("max", amount(m.AmountMax))
		}
		if m.AmountOver != nil {
			n.add("over", amount(m.AmountOver))
		}
		fiatNodes(n, m)
	})
	out.addIf(m.Expr != "", "expr", text(m.Expr))
	if t := m.Time; t != nil {
		out.add("time", flow((&node{}).addIf(t.Inside != "", "inside", text(t.Inside)).addIf(t.Outside != "", "outside", text(t.Outside))))
	}
	if m.FeeOver != nil {
		out.add("fee", flow((&node{}).add("over", amount(m.FeeOver))))
	}
	if m.Call != nil {
		out.add("call", callNode(m.Call))
	}
	if m.Typed != nil {
		out.add("typedData", typedNode(m.Typed))
	}
	out.addIf(len(m.Message) > 0, "message", texts(m.Message))
	if m.Simulation != nil {
		out.add("simulation", simulationNode(m.Simulation))
	}
	if m.Screening != nil {
		out.add("screening", screeningNode(m.Screening))
	}
	n := out.mapping()
	if len(n.Content) == 0 {
		n.Style = yaml.FlowStyle // {}: matches anything
	}
	return n
}
