// SPDX-License-Identifier: Apache-2.0

package rulefile

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/pure/custody"
)

// Error says what is wrong with a rule file, where, and what to do.
type Error struct {
	Line, Column int    // from 1; 0 if it is not known
	Path         string // for instance "routes[2].when.amount.max"
	Detail       string
}

// Error gives place, path and detail.
func (e *Error) Error() string {
	s := "rule file: "
	if e.Line > 0 {
		s = fmt.Sprintf("rule file: line %d column %d: ", e.Line, max(e.Column, 1))
	}
	if e.Path != "" {
		s += e.Path + ": "
	}
	return s + e.Detail
}

// reader walks the nodes of a file and keeps the first error; after it, what it gives has no meaning.
type reader struct{ err *Error }

func (r *reader) fail(n *yaml.Node, path, format string, args ...any) {
	if r.err == nil {
		r.err = &Error{Line: n.Line, Column: n.Column, Path: path, Detail: fmt.Sprintf(format, args...)}
	}
}

// plain refuses what makes YAML more than data: anchors, aliases and explicit tags.
func (r *reader) plain(n *yaml.Node, path string) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.fail(n, path, "anchors and aliases are not allowed; write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		r.fail(n, path, "the tag %s is not allowed; take it out", n.Tag)
	default:
		return true
	}
	return false
}

// fields are the keys that a mapping may have, and what reads each.
type fields map[string]func(n *yaml.Node, path string)

// mapping reads a mapping: every key known and there once, every required key there.
func (r *reader) mapping(n *yaml.Node, path string, fs fields, required ...string) {
	if !r.plain(n, path) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.fail(n, path, "want keys and values (%s), got %s", strings.Join(keysOf(fs), ", "), describe(n))
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if !r.plain(k, path) {
			return
		}
		read, ok := fs[k.Value]
		switch {
		case k.Kind != yaml.ScalarNode || k.Tag != "!!str" || !ok:
			r.fail(k, path, "key %q is not known; the keys here are %s", k.Value, strings.Join(keysOf(fs), ", "))
			return
		case seen[k.Value]:
			r.fail(k, path, "key %q is there twice; take one out", k.Value)
			return
		}
		seen[k.Value] = true
		if read(v, join(path, k.Value)); r.err != nil {
			return
		}
	}
	for _, k := range required {
		if !seen[k] {
			r.fail(n, path, "key %q is missing", k)
			return
		}
	}
}

func keysOf(fs fields) []string {
	var ks []string
	for k := range fs {
		ks = append(ks, k)
	}
	slices.Sort(ks)
	return ks
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// sequence reads each item of a list.
func (r *reader) sequence(n *yaml.Node, path string, read func(n *yaml.Node, path string)) {
	if !r.plain(n, path) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.fail(n, path, "want a list, for instance [a, b], got %s", describe(n))
		return
	}
	for i, item := range n.Content {
		if read(item, fmt.Sprintf("%s[%d]", path, i)); r.err != nil {
			return
		}
	}
}

// scalar gives the text of a value that is a !!str, or of one of the other tags.
func (r *reader) scalar(n *yaml.Node, path, want string, tags ...string) (string, bool) {
	if !r.plain(n, path) {
		return "", false
	}
	if n.Kind != yaml.ScalarNode || !slices.Contains(tags, n.Tag) {
		r.fail(n, path, "want %s, got %s", want, describe(n))
		return "", false
	}
	return n.Value, true
}

func (r *reader) text(n *yaml.Node, path string) string {
	s, _ := r.scalar(n, path, "text (in quotes, if it looks like a number or true)", "!!str")
	return s
}

func (r *reader) boolean(n *yaml.Node, path string) bool {
	s, ok := r.scalar(n, path, "true or false", "!!bool")
	if ok && s != "true" && s != "false" {
		r.fail(n, path, "write true or false, not %s", s)
	}
	return s == "true"
}

var digits = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)

func (r *reader) number(n *yaml.Node, path string, bits int) uint64 {
	s, ok := r.scalar(n, path, "a whole number", "!!int")
	if !ok {
		return 0
	}
	v, err := strconv.ParseUint(s, 10, bits)
	if err != nil || !digits.MatchString(s) {
		r.fail(n, path, "%s: want a whole number in decimal digits, without sign, below 2^%d", s, bits)
	}
	return v
}

// amount reads base units, quoted or not. The digits are read as they stand: YAML's own reading would round or reinterpret.
func (r *reader) amount(n *yaml.Node, path string) *custody.Uint256 {
	s, ok := r.scalar(n, path, `an amount in base units, for instance "1000000"`, "!!str", "!!int", "!!float")
	if !ok {
		return nil
	}
	u, err := custody.ParseUint256(s)
	if err != nil {
		r.fail(n, path, "%v", err)
		return nil
	}
	return &u
}

// maxDuration is far beyond what a document may say, in seconds.
const maxDuration = 366 * 86400

var durationRE = regexp.MustCompile(`^(?:([1-9][0-9]{0,8})d)?(?:([1-9][0-9]{0,8})h)?(?:([1-9][0-9]{0,8})m)?(?:([1-9][0-9]{0,8})s)?$`)

// duration reads days, hours, minutes and seconds, for instance 24h or 1h30m, and gives seconds.
func (r *reader) duration(n *yaml.Node, path string) int64 {
	s, ok := r.scalar(n, path, "a duration, for instance 24h", "!!str")
	if !ok {
		return 0
	}
	m := durationRE.FindStringSubmatch(s)
	if s == "" || m == nil {
		r.fail(n, path, "%q: want days, hours, minutes and seconds in this order, for instance 24h, 1h30m or 7d", s)
		return 0
	}
	var total int64
	for i, unit := range []int64{86400, 3600, 60, 1} {
		if m[i+1] != "" {
			v, err := strconv.ParseInt(m[i+1], 10, 64)
			if err != nil {
				r.fail(n, path, "%q: %v", s, err)
				return 0
			}
			total += v * unit
		}
	}
	if total > maxDuration {
		r.fail(n, path, "%q is longer than 366 days", s)
	}
	return total
}

// set reads a list of texts and sorts it: in a rule file the order has no meaning. Empty or with an item twice it is refused.
func set[T ~string](r *reader, n *yaml.Node, path string) []T {
	vs := members[T](r, n, path)
	if r.err == nil && len(vs) == 0 {
		r.fail(n, path, "the list is empty; leave the key out to match anything")
	}
	return vs
}

// members is [set] for a list that may be empty.
func members[T ~string](r *reader, n *yaml.Node, path string) []T {
	var vs []T
	r.sequence(n, path, func(n *yaml.Node, path string) {
		v := T(r.text(n, path))
		if slices.Contains(vs, v) {
			r.fail(n, path, "%q is in the list twice", string(v))
		}
		vs = append(vs, v)
	})
	slices.Sort(vs)
	return vs
}

// describe says what a node is.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys and values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.Tag {
	case "!!null":
		return "nothing"
	case "!!bool":
		return "the truth value " + n.Value
	case "!!int", "!!float":
		return "the number " + n.Value
	case "!!timestamp":
		return "the date " + n.Value
	default:
		return fmt.Sprintf("the text %.40q", n.Value)
	}
}
