// SPDX-License-Identifier: Apache-2.0

package rulefile

import (
	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/rulefile/strictyaml"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// line reads a line of defence.
func (r *reader) line(n *yaml.Node, path string) uint8 {
	v := r.Number(n, path, 8)
	if r.Err == nil && (v < 1 || v > request.MaxLine) {
		r.Fail(n, path, "line %d is not known; want 1 (operates), 2 (watches over risk) or 3 (audits), or leave the key out", v)
	}
	return uint8(v)
}

// roles reads a list of roles.
func (r *reader) roles(n *yaml.Node, path string) []request.Role {
	return set[request.Role](r, n, path)
}

// breakGlass reads what people may do in a crisis.
func (r *reader) breakGlass(n *yaml.Node, path string) *policy.BreakGlass {
	var b policy.BreakGlass
	r.Mapping(n, path, strictyaml.Fields{
		"who":      func(n *yaml.Node, path string) { b.Who = r.plan(n, path) },
		"drainTo":  func(n *yaml.Node, path string) { b.DrainTo = set[string](r, n, path) },
		"duration": func(n *yaml.Node, path string) { b.Duration = r.duration(n, path) },
		"freeze":   func(n *yaml.Node, path string) { b.Freeze = set[custody.GroupID](r, n, path) },
		"resume":   func(n *yaml.Node, path string) { b.Resume = r.plan(n, path) },
	}, "who", "duration", "resume")
	return &b
}

// oversight reads who holds and releases requests.
func (r *reader) oversight(n *yaml.Node, path string) *policy.Oversight {
	var o policy.Oversight
	r.Mapping(n, path, strictyaml.Fields{
		"release": func(n *yaml.Node, path string) {
			p := r.plan(n, path)
			o.Release = &p
		},
		"hold": func(n *yaml.Node, path string) { o.Hold = set[custody.GroupID](r, n, path) },
	})
	if r.Err == nil && len(n.Content) == 0 {
		r.Fail(n, path, "is empty; leave the key out")
	}
	return &o
}

func breakGlassNode(b *policy.BreakGlass) *yaml.Node {
	return (&node{}).add("who", planNode(b.Who)).addIf(len(b.DrainTo) > 0, "drainTo", texts(b.DrainTo)).add("duration", duration(b.Duration)).
		addIf(len(b.Freeze) > 0, "freeze", texts(b.Freeze)).add("resume", planNode(b.Resume)).mapping()
}

func oversightNode(o *policy.Oversight) *yaml.Node {
	m := &node{}
	if o.Release != nil {
		m.add("release", planNode(*o.Release))
	}
	return m.addIf(len(o.Hold) > 0, "hold", texts(o.Hold)).mapping()
}
