// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/keyfile"
	"strongroom/internal/edge/rulefile"
	"strongroom/internal/pure/policy"
)

// member is somebody whom a draft of a rule file may call by a label.
type member struct {
	label string
	kind  policy.PrincipalKind
	keyfile.Public
}

// people are the flags that name them.
type people struct {
	Person  []string `placeholder:"[LABEL=]FILE" sep:"none" help:"Public file of a first person; the rule file may call them by the label, which is the file's name if left out. May be given more than once."`
	Service []string `placeholder:"[LABEL=]FILE" sep:"none" help:"The same for a service."`
}

func (p people) read() ([]member, error) {
	var out []member
	add := func(kind policy.PrincipalKind, specs []string) error {
		for _, s := range specs {
			label, path, ok := strings.Cut(s, "=")
			if !ok {
				path = s
				label, _, _ = strings.Cut(filepath.Base(s), ".")
			}
			pub, err := readPublic(path)
			if err != nil {
				return err
			}
			if slices.ContainsFunc(out, func(m member) bool { return m.label == label || m.Person == pub.Person }) {
				return usage("label %q or person %s is there twice", label, pub.Person)
			}
			out = append(out, member{label: label, kind: kind, Public: pub})
		}
		return nil
	}
	return out, errors.Join(add(policy.Human, p.Person), add(policy.Service, p.Service))
}

// readRules reads a rule file in which people may stand by label. Where it lists no principals, the people become them.
func readRules(path string, who []member) (policy.Document, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return policy.Document{}, err
	}
	if b, err = fill(b, who); err != nil {
		return policy.Document{}, fmt.Errorf("%s: %w", path, err)
	}
	d, err := rulefile.Parse(b)
	if bad := (*rulefile.Error)(nil); len(who) == 0 && errors.As(err, &bad) && bad.Path == "" && strings.Contains(bad.Detail, `"principals" is missing`) {
		return d, hint(fmt.Errorf("%s: %w", path, err), "a file that calls people by label is read with --person FILE for each of them, as 'strongroom person new' wrote it; others list their principals")
	}
	if err != nil {
		return d, fmt.Errorf("%s: %w", path, err)
	}
	for _, m := range who {
		if !slices.ContainsFunc(d.Principals, func(p policy.Principal) bool { return p.ID == m.Person }) {
			return d, usage("%s lists its principals itself, and %s (%s) is not among them: put them there, or leave the principals out of the file", path, m.Person, m.label)
		}
	}
	return d, nil
}

// placed says where in a rule file the item stands that its check refused.
func placed(path string, err error) error {
	item := (*policy.ItemError)(nil)
	if !errors.As(err, &item) {
		return err
	}
	b, unread := os.ReadFile(path)
	if unread != nil {
		return err
	}
	line, column := rulefile.Locate(b, item.Section, item.ID)
	if line == 0 {
		return err
	}
	return fmt.Errorf("%s: line %d column %d: %w", path, line, column, err)
}

// fill puts ids in the place of labels, keeping every line where it is, so that errors name lines of the file as it was written. It looks
// at the members of groups and the initiators of rules, and adds the principals at the end if there are none. What it can't read it leaves
// for the reader of rule files to refuse.
func fill(b []byte, who []member) ([]byte, error) {
	var root yaml.Node
	if len(who) == 0 || yaml.Unmarshal(b, &root) != nil || len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return b, nil
	}
	doc := root.Content[0]
	lines := bytes.SplitAfter(b, []byte("\n"))
	var places []*yaml.Node
	collect := func(list *yaml.Node) {
		if list != nil && list.Kind == yaml.SequenceNode {
			places = append(places, list.Content...)
		}
	}
	for _, g := range each(child(doc, "groups")) {
		collect(child(g, "members"))
	}
	for _, key := range []string{"guards", "routes"} {
		for _, r := range each(child(doc, key)) {
			collect(child(child(child(r, "when"), "initiator"), "principals"))
		}
	}
	// From the end, so that columns before a place stay true.
	slices.SortFunc(places, func(x, y *yaml.Node) int {
		if x.Line != y.Line {
			return y.Line - x.Line
		}
		return y.Column - x.Column
	})
	for _, n := range places {
		i := slices.IndexFunc(who, func(m member) bool { return m.label == n.Value })
		if i < 0 || n.Kind != yaml.ScalarNode || n.Line < 1 || n.Line > len(lines) {
			continue
		}
		line, at := lines[n.Line-1], n.Column-1
		if at < 0 || !bytes.HasPrefix(line[min(at, len(line)):], []byte(n.Value)) {
			return nil, fmt.Errorf("line %d: write the label %q without quotes", n.Line, n.Value)
		}
		lines[n.Line-1] = slices.Concat(line[:at], []byte(who[i].Person), line[at+len(n.Value):])
	}
	out := bytes.Join(lines, nil)
	if child(doc, "principals") == nil {
		out = append(out, principals(who)...)
	}
	return out, nil
}

func principals(who []member) []byte {
	var b bytes.Buffer
	b.WriteString("\nprincipals:\n")
	for _, m := range who {
		fmt.Fprintf(&b, "  - { id: %s, kind: %s, keys: [ { alg: %s, pub: %q } ] } # %s\n", m.Person, m.kind, m.Alg, hex.EncodeToString(m.Pub), m.label)
	}
	return b.Bytes()
}

// child gives the value of a key of a mapping, or nil.
func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// each gives the items of a list, none if it is no list.
func each(n *yaml.Node) []*yaml.Node {
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	return n.Content
}
