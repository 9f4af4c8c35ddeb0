// SPDX-License-Identifier: Apache-2.0

// Package strictyaml reads YAML that people write and that decides something: rule files, scripts of ceremonies.
//
// It refuses whatever has two readings: unknown or repeated keys, anchors, aliases, tags, more than one document, numbers with sign, exponent
// or fraction. An error names line and column.
package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// MaxSize is the largest file that is read, in bytes.
const MaxSize = 4 << 20

// Parse reads the one document of a file. what is the kind of file, as errors call it; example names a file to start from. Every error is an
// [*Error].
func Parse(what, example string, b []byte) (*yaml.Node, error) {
	if len(b) > MaxSize {
		return nil, &Error{What: what, Detail: fmt.Sprintf("has %d bytes, more than %d", len(b), MaxSize)}
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var root, more yaml.Node
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		return nil, &Error{What: what, Detail: "the file is empty; start from " + example}
	case err != nil:
		return nil, syntax(what, b, err)
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return nil, &Error{What: what, Line: more.Line, Column: more.Column, Detail: "a second document begins; a file has one"}
	case !errors.Is(err, io.EOF):
		return nil, syntax(what, b, err)
	}
	return root.Content[0], nil
}

var (
	lineRE   = regexp.MustCompile(`^yaml: line ([0-9]+): (.*)$`)
	anchorRE = regexp.MustCompile(`^yaml: unknown anchor '(.*)' referenced$`)
)

// syntax gives the parser's error its place. The parser names a line, but not where an unknown anchor is used.
func syntax(what string, b []byte, err error) *Error {
	msg := err.Error()
	if m := lineRE.FindStringSubmatch(msg); m != nil {
		if line, e := strconv.Atoi(m[1]); e == nil {
			return &Error{What: what, Line: line, Column: 1, Detail: "not YAML: " + m[2]}
		}
	}
	e := &Error{What: what, Detail: "not YAML: " + strings.TrimPrefix(msg, "yaml: ")}
	if m := anchorRE.FindStringSubmatch(msg); m != nil {
		if i := bytes.Index(b, []byte("*"+m[1])); i >= 0 {
			e.Line, e.Column = bytes.Count(b[:i], []byte("\n"))+1, i-bytes.LastIndexByte(b[:i], '\n')
		}
	}
	return e
}

// Error says what is wrong with a file, where, and what to do.
type Error struct {
	What         string // kind of file, for instance "rule file"
	Line, Column int    // from 1; 0 if it is not known
	Path         string // for instance "routes[2].when.amount.max"
	Detail       string
}

// Error gives place, path and detail.
func (e *Error) Error() string {
	s := e.What + ": "
	if e.Line > 0 {
		s += fmt.Sprintf("line %d column %d: ", e.Line, max(e.Column, 1))
	}
	if e.Path != "" {
		s += e.Path + ": "
	}
	return s + e.Detail
}

// Reader walks the nodes of a file and keeps the first error; after it, what it gives has no meaning.
type Reader struct {
	What string // kind of file
	Err  *Error
}

// Fail keeps an error at a node, unless there is one.
func (r *Reader) Fail(n *yaml.Node, path, format string, args ...any) {
	if r.Err == nil {
		r.Err = &Error{What: r.What, Line: n.Line, Column: n.Column, Path: path, Detail: fmt.Sprintf(format, args...)}
	}
}

// Plain refuses what makes YAML more than data: anchors, aliases and explicit tags.
func (r *Reader) Plain(n *yaml.Node, path string) bool {
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		r.Fail(n, path, "anchors and aliases are not allowed; write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		r.Fail(n, path, "the tag %s is not allowed; take it out", n.Tag)
	default:
		return true
	}
	return false
}

// Fields are the keys that a mapping may have, and what reads each.
type Fields map[string]func(n *yaml.Node, path string)

// Mapping reads a mapping: every key known and there once, every required key there.
func (r *Reader) Mapping(n *yaml.Node, path string, fs Fields, required ...string) {
	if !r.Plain(n, path) {
		return
	}
	if n.Kind != yaml.MappingNode {
		r.Fail(n, path, "want keys and values (%s), got %s", strings.Join(keysOf(fs), ", "), describe(n))
		return
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if !r.Plain(k, path) {
			return
		}
		read, ok := fs[k.Value]
		switch {
		case k.Kind != yaml.ScalarNode || k.Tag != "!!str" || !ok:
			r.Fail(k, path, "key %q is not known; the keys here are %s", k.Value, strings.Join(keysOf(fs), ", "))
			return
		case seen[k.Value]:
			r.Fail(k, path, "key %q is there twice; take one out", k.Value)
			return
		}
		seen[k.Value] = true
		if read(v, join(path, k.Value)); r.Err != nil {
			return
		}
	}
	for _, k := range required {
		if !seen[k] {
			r.Fail(n, path, "key %q is missing", k)
			return
		}
	}
}

func keysOf(fs Fields) []string {
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

// Sequence reads each item of a list.
func (r *Reader) Sequence(n *yaml.Node, path string, read func(n *yaml.Node, path string)) {
	if !r.Plain(n, path) {
		return
	}
	if n.Kind != yaml.SequenceNode {
		r.Fail(n, path, "want a list, for instance [a, b], got %s", describe(n))
		return
	}
	for i, item := range n.Content {
		if read(item, fmt.Sprintf("%s[%d]", path, i)); r.Err != nil {
			return
		}
	}
}

// Scalar gives the text of a value that is a !!str, or of one of the other tags.
func (r *Reader) Scalar(n *yaml.Node, path, want string, tags ...string) (string, bool) {
	if !r.Plain(n, path) {
		return "", false
	}
	if n.Kind != yaml.ScalarNode || !slices.Contains(tags, n.Tag) {
		r.Fail(n, path, "want %s, got %s", want, describe(n))
		return "", false
	}
	return n.Value, true
}

// Text reads text.
func (r *Reader) Text(n *yaml.Node, path string) string {
	s, _ := r.Scalar(n, path, "text (in quotes, if it looks like a number or true)", "!!str")
	return s
}

// Boolean reads true or false.
func (r *Reader) Boolean(n *yaml.Node, path string) bool {
	s, ok := r.Scalar(n, path, "true or false", "!!bool")
	if ok && s != "true" && s != "false" {
		r.Fail(n, path, "write true or false, not %s", s)
	}
	return s == "true"
}

var digits = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)

// Number reads a whole number of at most so many bits.
func (r *Reader) Number(n *yaml.Node, path string, bits int) uint64 {
	s, ok := r.Scalar(n, path, "a whole number", "!!int")
	if !ok {
		return 0
	}
	v, err := strconv.ParseUint(s, 10, bits)
	if err != nil || !digits.MatchString(s) {
		r.Fail(n, path, "%s: want a whole number in decimal digits, without sign, below 2^%d", s, bits)
	}
	return v
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
