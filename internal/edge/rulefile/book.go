// SPDX-License-Identifier: Apache-2.0

package rulefile

import (
	"cmp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/rulefile/strictyaml"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

func byParty(a, b policy.Counterparty) int { return cmp.Compare(a.ID, b.ID) }
func byAfter(a, b policy.RampStep) int     { return cmp.Compare(a.After, b.After) }
func byAsset(a, b policy.RampCap) int      { return cmp.Compare(a.Asset, b.Asset) }
func byAddress(a, b policy.Blocked) int {
	return cmp.Or(cmp.Compare(a.Chain, b.Chain), cmp.Compare(a.Address, b.Address))
}

func (r *reader) counterparty(n *yaml.Node, path string) (c policy.Counterparty) {
	r.Mapping(n, path, strictyaml.Fields{
		"id":           func(n *yaml.Node, path string) { c.ID = r.Text(n, path) },
		"title":        func(n *yaml.Node, path string) { c.Title = r.Text(n, path) },
		"jurisdiction": func(n *yaml.Node, path string) { c.Jurisdiction = r.Text(n, path) },
		"vaspStatus":   func(n *yaml.Node, path string) { c.VASP = r.Text(n, path) },
	}, "id")
	return c
}

func (r *reader) blocked(n *yaml.Node, path string) (b policy.Blocked) {
	r.Mapping(n, path, strictyaml.Fields{
		"chain":   func(n *yaml.Node, path string) { b.Chain = custody.ChainID(r.Text(n, path)) },
		"address": func(n *yaml.Node, path string) { b.Address = r.Text(n, path) },
		"reason":  func(n *yaml.Node, path string) { b.Reason = r.Text(n, path) },
	}, "chain", "address")
	return b
}

func (r *reader) whitelist(n *yaml.Node, path string) *policy.Whitelist {
	var w policy.Whitelist
	r.Mapping(n, path, strictyaml.Fields{
		"plan":        func(n *yaml.Node, path string) { w.Plan = r.plan(n, path) },
		"proofs":      func(n *yaml.Node, path string) { w.Proofs = set[request.ProofKind](r, n, path) },
		"coolOff":     func(n *yaml.Node, path string) { w.CoolOff = r.delay(n, path) },
		"ramp":        func(n *yaml.Node, path string) { w.Ramp = items(r, n, path, r.rampStep, byAfter) },
		"reviewAfter": func(n *yaml.Node, path string) { w.ReviewAfter = r.longDuration(n, path) },
	}, "plan")
	return &w
}

func (r *reader) rampStep(n *yaml.Node, path string) (s policy.RampStep) {
	unlimited := false
	r.Mapping(n, path, strictyaml.Fields{
		"after": func(n *yaml.Node, path string) { s.After = r.delay(n, path) },
		"caps":  func(n *yaml.Node, path string) { s.Caps = items(r, n, path, r.rampCap, byAsset) },
		"unlimited": func(n *yaml.Node, path string) {
			if unlimited = r.Boolean(n, path); !unlimited {
				r.Fail(n, path, "want true, or caps")
			}
		},
	}, "after")
	if r.Err == nil && unlimited == (len(s.Caps) > 0) {
		r.Fail(n, path, "want caps, or unlimited: true")
	}
	return s
}

func (r *reader) rampCap(n *yaml.Node, path string) (c policy.RampCap) {
	r.Mapping(n, path, strictyaml.Fields{
		"asset": func(n *yaml.Node, path string) { c.Asset = custody.AssetID(r.Text(n, path)) },
		"max": func(n *yaml.Node, path string) {
			if u := r.amount(n, path); u != nil {
				c.Max = *u
			}
		},
	}, "asset", "max")
	return c
}

// longDuration is a duration that may be years, in days: a review's.
func (r *reader) longDuration(n *yaml.Node, path string) int64 {
	if len(n.Value) > 1 && n.Value[len(n.Value)-1] == 'd' {
		if days, err := strconv.ParseInt(n.Value[:len(n.Value)-1], 10, 32); err == nil && days > 0 && n.Tag == "!!str" {
			return days * 86400
		}
	}
	return r.duration(n, path)
}

// moment reads a time and gives Unix seconds.
func (r *reader) moment(n *yaml.Node, path string) int64 {
	s, ok := r.Scalar(n, path, "a time, for instance 2027-03-29T01:00:00Z", "!!str", "!!timestamp")
	if !ok {
		return 0
	}
	at, err := time.Parse(time.RFC3339, s)
	if err != nil || at.Nanosecond() != 0 {
		r.Fail(n, path, "%q: want a time like 2027-03-29T01:00:00Z", s)
	}
	return at.Unix()
}

// flag reads a bool that is written only where it is true.
func (r *reader) flag(n *yaml.Node, path string) bool {
	is := r.Boolean(n, path)
	if r.Err == nil && !is {
		r.Fail(n, path, "want true; leave the key out to match anything")
	}
	return is
}

// entryFields adds what an entry of the address book has besides its address.
func (r *reader) entryFields(e *policy.BookEntry, f strictyaml.Fields) strictyaml.Fields {
	f["counterparty"] = func(n *yaml.Node, path string) { e.Counterparty = r.Text(n, path) }
	f["proof"] = func(n *yaml.Node, path string) { e.Proof = request.ProofKind(r.Text(n, path)) }
	f["expires"] = func(n *yaml.Node, path string) { e.Expires = r.moment(n, path) }
	f["suspended"] = func(n *yaml.Node, path string) { e.Suspended = r.Boolean(n, path) }
	f["kind"] = func(n *yaml.Node, path string) { e.Kind = request.EntryKind(r.Text(n, path)) }
	f["tags"] = func(n *yaml.Node, path string) { e.Tags = set[string](r, n, path) }
	return f
}

// destinationFields adds what a match asks of destinations besides their kind.
func (r *reader) destinationFields(m *policy.Match, f strictyaml.Fields) strictyaml.Fields {
	f["counterparties"] = func(n *yaml.Node, path string) { m.Counterparties = set[string](r, n, path) }
	f["minAge"] = func(n *yaml.Node, path string) { m.MinAge = r.duration(n, path) }
	f["youngerThan"] = func(n *yaml.Node, path string) { m.YoungerThan = r.duration(n, path) }
	f["firstUse"] = func(n *yaml.Node, path string) { m.FirstUse = r.flag(n, path) }
	f["lookalike"] = func(n *yaml.Node, path string) { m.Lookalike = r.flag(n, path) }
	return f
}

func entryNode(e policy.BookEntry) *yaml.Node {
	return flow((&node{}).add("id", text(e.ID)).add("chain", text(string(e.Chain))).add("address", text(e.Address)).
		addIf(e.Counterparty != "", "counterparty", text(e.Counterparty)).addIf(e.Proof != "", "proof", text(string(e.Proof))).
		addIf(e.Expires != 0, "expires", text(time.Unix(e.Expires, 0).UTC().Format(time.RFC3339))).
		addIf(e.Suspended, "suspended", boolean(true)).addIf(e.Kind != "", "kind", text(string(e.Kind))).addIf(len(e.Tags) > 0, "tags", texts(e.Tags)))
}

func counterpartyNode(c policy.Counterparty) *yaml.Node {
	return flow((&node{}).add("id", text(c.ID)).addIf(c.Title != "", "title", text(c.Title)).addIf(c.Jurisdiction != "", "jurisdiction", text(c.Jurisdiction)).
		addIf(c.VASP != "", "vaspStatus", text(c.VASP)))
}

func blockedNode(b policy.Blocked) *yaml.Node {
	return flow((&node{}).add("chain", text(string(b.Chain))).add("address", text(b.Address)).addIf(b.Reason != "", "reason", text(b.Reason)))
}

func whitelistNode(w *policy.Whitelist) *yaml.Node {
	step := func(s policy.RampStep) *yaml.Node {
		n := (&node{}).add("after", duration(s.After))
		if len(s.Caps) == 0 {
			return flow(n.add("unlimited", boolean(true)))
		}
		return n.add("caps", each(s.Caps, func(c policy.RampCap) *yaml.Node {
			return flow((&node{}).add("asset", text(string(c.Asset))).add("max", amount(&c.Max)))
		})).mapping()
	}
	out := (&node{}).add("plan", planNode(w.Plan)).addIf(len(w.Proofs) > 0, "proofs", texts(w.Proofs)).addIf(w.CoolOff > 0, "coolOff", duration(w.CoolOff)).
		addIf(len(w.Ramp) > 0, "ramp", each(w.Ramp, step))
	if n := w.ReviewAfter; n > 0 && n%86400 == 0 {
		out.add("reviewAfter", text(strconv.FormatInt(n/86400, 10)+"d"))
	} else if n > 0 {
		out.add("reviewAfter", duration(n))
	}
	return out.mapping()
}

// bookNodes adds counterparties, settings of the address ledger and the blacklist.
func bookNodes(root *node, d policy.Document) {
	root.addIf(len(d.Counterparties) > 0, "counterparties", each(d.Counterparties, counterpartyNode))
	if d.Whitelist != nil {
		root.add("whitelist", whitelistNode(d.Whitelist))
	}
	root.addIf(len(d.Blacklist) > 0, "blacklist", each(d.Blacklist, blockedNode))
}
