// SPDX-License-Identifier: Apache-2.0

package rulefile

import (
	"cmp"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/rulefile/strictyaml"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/verdict"
)

func byScreeningSource(a, b policy.ScreeningSource) int { return cmp.Compare(a.ID, b.ID) }

// screeningSource reads who tells how risky it is to pay somebody.
func (r *reader) screeningSource(n *yaml.Node, path string) (s policy.ScreeningSource) {
	r.Mapping(n, path, strictyaml.Fields{
		"id":         func(n *yaml.Node, path string) { s.ID = r.Text(n, path) },
		"signers":    func(n *yaml.Node, path string) { s.Signers = items(r, n, path, r.feedSigner, byFeedSigner) },
		"minSigners": func(n *yaml.Node, path string) { s.MinSigners = uint32(r.Number(n, path, 32)) },
		"maxAge":     func(n *yaml.Node, path string) { s.MaxAge = r.duration(n, path) },
	}, "id", "signers", "minSigners", "maxAge")
	return s
}

// screening reads what a match looks at of verdicts.
func (r *reader) screening(n *yaml.Node, path string) *policy.ScreeningMatch {
	var m policy.ScreeningMatch
	risk := func(to **uint32) func(*yaml.Node, string) {
		return func(n *yaml.Node, path string) {
			v := uint32(r.Number(n, path, 32))
			*to = &v
		}
	}
	r.Mapping(n, path, strictyaml.Fields{
		"sources":    func(n *yaml.Node, path string) { m.Sources = set[string](r, n, path) },
		"riskOver":   risk(&m.RiskOver),
		"riskMax":    risk(&m.RiskMax),
		"categories": func(n *yaml.Node, path string) { m.Categories = set[string](r, n, path) },
		"status":     func(n *yaml.Node, path string) { m.Status = set[verdict.Status](r, n, path) },
		"missing": func(n *yaml.Node, path string) {
			if m.Missing = r.Boolean(n, path); r.Err == nil && !m.Missing {
				r.Fail(n, path, "is true or left out")
			}
		},
	})
	return &m
}

func screeningNode(m *policy.ScreeningMatch) *yaml.Node {
	out := (&node{}).addIf(len(m.Sources) > 0, "sources", texts(m.Sources))
	for _, x := range []struct {
		key  string
		risk *uint32
	}{{"riskOver", m.RiskOver}, {"riskMax", m.RiskMax}} {
		if x.risk != nil {
			out.add(x.key, number(uint64(*x.risk)))
		}
	}
	return flow(out.addIf(len(m.Categories) > 0, "categories", texts(m.Categories)).addIf(len(m.Status) > 0, "status", texts(m.Status)).addIf(m.Missing, "missing", boolean(true)))
}

func screeningSourceNode(s policy.ScreeningSource) *yaml.Node {
	return (&node{}).add("id", text(s.ID)).add("signers", each(s.Signers, feedSignerNode)).add("minSigners", number(uint64(s.MinSigners))).add("maxAge", duration(s.MaxAge)).mapping()
}
