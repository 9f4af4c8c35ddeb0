// SPDX-License-Identifier: Apache-2.0

// Package eip712 reads the messages that wallets sign: typed data (EIP-712), strictly, and plain text (EIP-191 version 0x45). It says what
// a message says, for the rules and for people, and gives the exact bytes whose Keccak-256 is signed. docs/spec/calls.md.
//
// Typed data comes as JSON in one canonical form ([Canonical] makes it): types, primaryType, domain and message, and nothing else. It refuses
// values that don't fit their types, members that a type has not, missing ones, domains without a chain id, and everything that has two
// readings. Which signatures give power over tokens (ERC-2612 and DAI permits, Permit2) is said too; what calls itself a permit and is
// none of them counts as one without limit.
package eip712

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/request"
)

const domainType = "EIP712Domain"

// domainFields are the fields that a domain may have, in their order.
var domainFields = []member{{"name", "string"}, {"version", "string"}, {"chainId", "uint256"}, {"verifyingContract", "address"}, {"salt", "bytes32"}}

// member is a field of a struct type.
type member struct{ name, typ string }

// TypedData is typed data that was read.
type TypedData struct {
	types   map[string][]member
	Primary string
	domain  object
	message object
}

// Parse reads typed data in its canonical form. That values fit their types is said where they are hashed: by [Exact] and [Describe].
func Parse(text []byte) (*TypedData, error) {
	v, err := parse(text)
	if err != nil {
		return nil, err
	}
	var again bytes.Buffer
	if render(&again, v); !bytes.Equal(again.Bytes(), text) {
		return nil, errors.New("it is not in canonical form: members in order, no spaces, characters as themselves; 'strongroom message sign' writes it so")
	}
	return read(v)
}

// read takes typed data from JSON.
func read(v any) (*TypedData, error) {
	top, ok := v.(object)
	if !ok || !slices.Equal(slices.Sorted(maps.Keys(top)), []string{"domain", "message", "primaryType", "types"}) {
		return nil, errors.New("typed data has exactly the members types, primaryType, domain and message")
	}
	t := &TypedData{types: map[string][]member{}}
	types, isTypes := top["types"].(object)
	primary, isText := top["primaryType"].(string)
	domain, isDomain := top["domain"].(object)
	message, isMessage := top["message"].(object)
	if !isTypes || !isText || !isDomain || !isMessage || len(types) > maxTypes {
		return nil, fmt.Errorf("types, domain and message are objects, primaryType is a text, and there are at most %d types", maxTypes)
	}
	t.Primary, t.domain, t.message = primary, domain, message
	for name, list := range types {
		if err := t.addType(name, list); err != nil {
			return nil, fmt.Errorf("type %q: %w", name, err)
		}
	}
	for name, fields := range t.types {
		for _, f := range fields {
			if _, err := t.typeOf(f.typ); err != nil {
				return nil, fmt.Errorf("type %s, field %s: %w", name, f.name, err)
			}
		}
	}
	if _, ok := t.types[primary]; !ok || primary == domainType {
		return nil, fmt.Errorf("primaryType %q is none of the types", primary)
	}
	return t, t.checkDomain()
}

func identifier(s string) bool {
	for i, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || i > 0 && c >= '0' && c <= '9') {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

func (t *TypedData) addType(name string, v any) error {
	fields, ok := v.([]any)
	if _, atomic := atom(name); !ok || !identifier(name) || atomic || name == "tuple" || name == "function" || name == "uint" || name == "int" {
		return errors.New("a type has a name that is no other type's, and a list of fields")
	}
	out := []member{}
	for _, f := range fields {
		m, ok := f.(object)
		field, isName := m["name"].(string)
		typ, isType := m["type"].(string)
		if !ok || len(m) != 2 || !isName || !isType || !identifier(field) || slices.ContainsFunc(out, func(o member) bool { return o.name == field }) {
			return errors.New("a field has exactly a name, which no other has, and a type")
		}
		out = append(out, member{field, typ})
	}
	t.types[name] = out
	return nil
}

// atom reads a type that is no struct and no list.
func atom(s string) (abi.Type, bool) {
	if strings.ContainsAny(s, "([") {
		return abi.Type{}, false
	}
	a, err := abi.ParseType(s)
	return a, err == nil
}

// fieldType is a type of a field: a list of elem, a struct, or an atom.
type fieldType struct {
	elem string // of a list
	size int    // of a list; -1: any
	name string // of a struct
	atom abi.Type
}

func (t *TypedData) typeOf(s string) (fieldType, error) {
	if strings.HasSuffix(s, "]") {
		i := strings.LastIndexByte(s, '[')
		if i < 0 || strings.Count(s, "[") > maxNesting {
			return fieldType{}, fmt.Errorf("type %.60q is malformed", s)
		}
		size := -1
		if digits := s[i+1 : len(s)-1]; digits != "" {
			n, err := strconv.Atoi(digits)
			if err != nil || n < 1 || n > maxFields || strconv.Itoa(n) != digits {
				return fieldType{}, fmt.Errorf("type %.60q: want [] or [N], N at most %d", s, maxFields)
			}
			size = n
		}
		_, err := t.typeOf(s[:i])
		return fieldType{elem: s[:i], size: size}, err
	}
	if _, ok := t.types[s]; ok && s != domainType {
		return fieldType{name: s}, nil
	}
	if a, ok := atom(s); ok {
		return fieldType{atom: a}, nil
	}
	return fieldType{}, fmt.Errorf("type %.60q is none of the types, nor one of the ABI in full (uint256, not uint)", s)
}

// checkDomain says whether the domain has standard fields only, in their order, and a chain id.
func (t *TypedData) checkDomain() error {
	at, chain := 0, false
	for _, f := range t.types[domainType] {
		i := slices.Index(domainFields[at:], f)
		if i < 0 {
			return fmt.Errorf("field %s %s of %s is not standard, or out of order (EIP-712)", f.typ, f.name, domainType)
		}
		if t.domain[f.name] == "" {
			return fmt.Errorf("the domain's %s is empty; leave it out of %s", f.name, domainType)
		}
		at, chain = at+i+1, chain || f.name == "chainId"
	}
	if !chain {
		return errors.New("its domain has no chainId: it would be good on every chain")
	}
	return nil
}

// encodeType gives encodeType of EIP-712: the struct, then those that it refers to, by name.
func (t *TypedData) encodeType(name string) string {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		for _, f := range t.types[name] {
			base, _, _ := strings.Cut(f.typ, "[")
			if _, ok := t.types[base]; ok {
				visit(base)
			}
		}
	}
	visit(name)
	delete(seen, name)
	var out strings.Builder
	for _, n := range append([]string{name}, slices.Sorted(maps.Keys(seen))...) {
		fields := make([]string, len(t.types[n]))
		for i, f := range t.types[n] {
			fields[i] = f.typ + " " + f.name
		}
		out.WriteString(n + "(" + strings.Join(fields, ",") + ")")
	}
	return out.String()
}

// hasher computes hashStruct, and tells each value on its way.
type hasher struct {
	t      *TypedData
	tell   func(path, typ, text string, raw []byte)
	values int
}

func (h *hasher) structure(name, path string, v any, depth int) (out [32]byte, err error) {
	in, ok := v.(object)
	fields := h.t.types[name]
	if !ok || len(in) != len(fields) {
		return out, fmt.Errorf("%s must be an object with exactly the %d fields of %s", place(path), len(fields), name)
	}
	typeHash := eth.Keccak256([]byte(h.t.encodeType(name)))
	data := typeHash[:]
	for _, f := range fields {
		x, ok := in[f.name]
		if !ok {
			return out, fmt.Errorf("%s has no member %s", place(path), f.name)
		}
		w, err := h.field(f.typ, under(path, f.name), x, depth+1)
		if err != nil {
			return out, err
		}
		data = append(data, w[:]...)
	}
	return eth.Keccak256(data), nil
}

func place(path string) string {
	if path == "" {
		return "the message"
	}
	return path
}

func under(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// field gives the word that stands for a value in encodeData.
func (h *hasher) field(typ, path string, v any, depth int) (out [32]byte, err error) {
	if h.values++; h.values > maxFields || depth > maxNesting {
		return out, fmt.Errorf("it has more than %d values, or is nested more than %d deep", maxFields, maxNesting)
	}
	t, err := h.t.typeOf(typ)
	switch {
	case err != nil:
		return out, err
	case t.name != "":
		return h.structure(t.name, path, v, depth)
	case t.elem == "":
		return h.atom(t.atom, path, v)
	}
	items, ok := v.(list)
	if !ok || t.size >= 0 && len(items) != t.size {
		return out, fmt.Errorf("%s must be a list for %s", path, typ)
	}
	if t.size < 0 {
		h.tell(path+".length", "uint256", strconv.Itoa(len(items)), nil)
	}
	var data []byte
	for i, x := range items {
		w, err := h.field(t.elem, path+"."+strconv.Itoa(i), x, depth+1)
		if err != nil {
			return out, err
		}
		data = append(data, w[:]...)
	}
	return eth.Keccak256(data), nil
}

func (h *hasher) atom(t abi.Type, path string, v any) (out [32]byte, err error) {
	var a abi.Value
	switch x := v.(type) {
	case bool:
		if t.Kind != abi.Bool {
			return out, fmt.Errorf("%s is no %s", path, t)
		}
		a, err = abi.FromText(t, strconv.FormatBool(x))
	case json.Number:
		return out, fmt.Errorf("%s: in canonical form numbers stand in quotes", path)
	case string:
		if t.Kind == abi.Bool {
			return out, fmt.Errorf("%s is no bool", path)
		}
		a, err = abi.FromText(t, x)
	default:
		err = fmt.Errorf("it is no %s", t)
	}
	if err != nil {
		return out, fmt.Errorf("%s: %w", path, err)
	}
	h.tell(path, t.String(), a.Text(), a.Bytes)
	if t.Kind == abi.Bytes || t.Kind == abi.String {
		return eth.Keccak256(a.Bytes), nil
	}
	return a.Word, nil
}

// hashes gives the domain separator and hashStruct of the message, and tells the values of both.
func (t *TypedData) hashes(tellDomain, tell func(path, typ, text string, raw []byte)) (domain, message [32]byte, err error) {
	d := hasher{t: t, tell: tellDomain}
	if domain, err = d.structure(domainType, "", t.domain, 0); err != nil {
		return domain, message, fmt.Errorf("domain: %w", err)
	}
	m := hasher{t: t, tell: tell}
	message, err = m.structure(t.Primary, "", t.message, 0)
	return domain, message, err
}

// Exact gives the bytes whose Keccak-256 is signed for a message.
func Exact(o *request.MessageSignBody) ([]byte, error) {
	if o.Kind == request.PersonalMessage {
		return eth.PersonalMessage(o.Content), nil
	}
	t, err := Parse([]byte(o.Content))
	if err != nil {
		return nil, err
	}
	silent := func(_, _, _ string, _ []byte) {}
	domain, message, err := t.hashes(silent, silent)
	if err != nil {
		return nil, err
	}
	return eth.TypedMessage(domain, message), nil
}
