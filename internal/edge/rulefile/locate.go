// SPDX-License-Identifier: Apache-2.0

package rulefile

import (
	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/rulefile/strictyaml"
)

// Locate says where in a rule file the rule of a section with an id stands, from 1; zeros if it is not there. section is a key of the file with a
// list of items that have ids, for instance "routes", or with one thing, for instance "breakGlass": then it is found whatever the id is.
func Locate(b []byte, section, id string) (line, column int) {
	root, err := strictyaml.Parse(what, "examples/rules/two-of-three.yaml", b)
	if err != nil {
		return 0, 0
	}
	list := valueOf(root, section)
	switch {
	case list == nil:
		return 0, 0
	case list.Kind == yaml.MappingNode:
		return list.Line, list.Column
	}
	for _, item := range list.Content {
		if v := valueOf(item, "id"); v != nil && v.Value == id {
			return item.Line, item.Column
		}
	}
	return 0, 0
}

// valueOf gives the value of a key of a mapping, or nil.
func valueOf(n *yaml.Node, key string) *yaml.Node {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
