// SPDX-License-Identifier: Apache-2.0

// Package abi reads and writes the data of contract calls (Solidity ABI, version 2): canonical function signatures, types and
// values. The core decodes with it what a call does before anybody approves it (docs/spec/calls.md).
//
// It has one encoding of each list of values, the one that the specification's enc function gives, and refuses every other: dirty
// padding, offsets that are not those of values in their order, bytes after the end, strings that are no UTF-8. What it decodes
// encodes to the same bytes again. It refuses types that hold nothing, fixed-point numbers, function types, aliases such as uint, and
// whatever is nested or sized beyond [MaxDepth] and [MaxWords].
//
// Source: Solidity, "Contract ABI Specification".
package abi

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"strongroom/internal/pure/eth"
)

// Bounds on types. A value takes a word at least, so that the size of the data bounds everything else.
const (
	MaxDepth     = 8                      // types within types
	MaxWords     = eth.MaxDataSize / word // words of a type's static part
	MaxSignature = 512                    // bytes of a signature
	maxInputs    = 64                     // of a function, or fields of a tuple
	word         = 32
)

// ErrType is wrapped by every error about a type or signature.
var ErrType = errors.New("abi type")

// Kind says what sort of type a [Type] is.
type Kind uint8

// The kinds.
const (
	Uint       Kind = iota + 1 // uint8 to uint256
	Int                        // int8 to int256, two's complement
	Address                    // 20 bytes
	Bool                       // one word, 0 or 1
	FixedBytes                 // bytes1 to bytes32
	Bytes                      // any number
	String                     // UTF-8
	Array                      // of a fixed number of elements
	Slice                      // of any number of elements
	Tuple                      // of fields
)

// Type is a type of the ABI. Size is bits of a number, bytes of [FixedBytes], elements of an [Array].
type Type struct {
	Kind   Kind
	Size   int
	Elem   *Type  // of Array and Slice
	Fields []Type // of Tuple, at least one
}

// String writes the type in its canonical form, which [ParseType] reads.
func (t Type) String() string {
	switch t.Kind {
	case Uint:
		return "uint" + strconv.Itoa(t.Size)
	case Int:
		return "int" + strconv.Itoa(t.Size)
	case Address:
		return "address"
	case Bool:
		return "bool"
	case FixedBytes:
		return "bytes" + strconv.Itoa(t.Size)
	case Bytes:
		return "bytes"
	case String:
		return "string"
	case Array:
		return t.Elem.String() + "[" + strconv.Itoa(t.Size) + "]"
	case Slice:
		return t.Elem.String() + "[]"
	default:
		return list(t.Fields)
	}
}

func list(ts []Type) string {
	out := make([]string, len(ts))
	for i, t := range ts {
		out[i] = t.String()
	}
	return "(" + strings.Join(out, ",") + ")"
}

// dynamic says whether values have no fixed size: they stand behind an offset.
func (t Type) dynamic() bool {
	switch t.Kind {
	case Bytes, String, Slice:
		return true
	case Array:
		return t.Elem.dynamic()
	case Tuple:
		for _, f := range t.Fields {
			if f.dynamic() {
				return true
			}
		}
	}
	return false
}

// head is the size in bytes of what stands for a value in its list: the value, or its offset.
func (t Type) head() int {
	if t.dynamic() {
		return word
	}
	switch t.Kind {
	case Array:
		return t.Size * t.Elem.head()
	case Tuple:
		return heads(t.Fields)
	default:
		return word
	}
}

func heads(ts []Type) (n int) {
	for _, t := range ts {
		n += t.head()
	}
	return n
}

// ParseType reads a type in its canonical form: uint256 and not uint, no spaces, tuples as their fields in brackets.
func ParseType(s string) (Type, error) {
	p := parser{rest: s}
	t, err := p.typ(1)
	if err == nil && p.rest != "" {
		err = fmt.Errorf("%w: %.40q stands after its end", ErrType, p.rest)
	}
	if err != nil {
		return Type{}, fmt.Errorf("type %.80q: %w", s, err)
	}
	return t, nil
}

// Function is a function of a contract.
type Function struct {
	Name   string
	Inputs []Type
}

// ParseFunction reads a canonical signature, for instance "approve(address,uint256)".
func ParseFunction(s string) (Function, error) {
	if len(s) > MaxSignature {
		return Function{}, fmt.Errorf("%w: a signature has at most %d bytes", ErrType, MaxSignature)
	}
	name, _, ok := strings.Cut(s, "(")
	letter := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '$' }
	for i := range len(name) {
		ok = ok && (letter(name[i]) || i > 0 && name[i] >= '0' && name[i] <= '9')
	}
	if !ok || name == "" {
		return Function{}, fmt.Errorf("signature %.80q: %w: want a name and types in brackets, for instance approve(address,uint256)", s, ErrType)
	}
	f := Function{Name: name}
	p := parser{rest: s[len(name):]}
	var err error
	if p.rest == "()" {
		p.rest = ""
	} else {
		f.Inputs, err = p.fields(1)
	}
	if err == nil && p.rest != "" {
		err = fmt.Errorf("%w: %.40q stands after its end", ErrType, p.rest)
	}
	if err == nil && heads(f.Inputs) > MaxWords*word {
		err = fmt.Errorf("%w: it is larger than call data can be", ErrType)
	}
	if err != nil {
		return Function{}, fmt.Errorf("signature %.80q: %w", s, err)
	}
	return f, nil
}

// String writes the canonical signature, which [ParseFunction] reads.
func (f Function) String() string { return f.Name + list(f.Inputs) }

// Selector gives what call data of the function begins with.
func (f Function) Selector() eth.Selector {
	h := eth.Keccak256([]byte(f.String()))
	return eth.Selector(h[:4])
}

// parser reads types from the front of rest.
type parser struct{ rest string }

func (p *parser) typ(depth int) (t Type, err error) {
	if depth > MaxDepth {
		return t, fmt.Errorf("%w: it is nested more than %d deep", ErrType, MaxDepth)
	}
	if strings.HasPrefix(p.rest, "(") {
		t.Kind = Tuple
		t.Fields, err = p.fields(depth)
	} else {
		t, err = p.simple()
	}
	for err == nil && strings.HasPrefix(p.rest, "[") {
		if depth++; depth > MaxDepth {
			return t, fmt.Errorf("%w: it is nested more than %d deep", ErrType, MaxDepth)
		}
		size, after, ok := strings.Cut(p.rest[1:], "]")
		n, good := number(size)
		elem := t
		switch {
		case !ok || size != "" && (!good || n == 0):
			return t, fmt.Errorf("%w: want [] or [N], N at least 1, after %s", ErrType, elem)
		case size == "":
			t = Type{Kind: Slice, Elem: &elem}
		default:
			t = Type{Kind: Array, Size: n, Elem: &elem}
			if n > MaxWords || n*elem.head() > MaxWords*word {
				return t, fmt.Errorf("%w: %s is larger than call data can be", ErrType, t)
			}
		}
		p.rest = after
	}
	return t, err
}

// fields reads a list of at least one type in brackets.
func (p *parser) fields(depth int) (out []Type, err error) {
	for sep := "("; ; sep = "," {
		after, ok := strings.CutPrefix(p.rest, sep)
		if !ok {
			return nil, fmt.Errorf("%w: want %q before %.40q", ErrType, sep, p.rest)
		}
		p.rest = after
		t, err := p.typ(depth + 1)
		if err != nil {
			return nil, err
		}
		if out = append(out, t); len(out) > maxInputs || heads(out) > MaxWords*word {
			return nil, fmt.Errorf("%w: it has more than %d fields, or is larger than call data can be", ErrType, maxInputs)
		}
		if strings.HasPrefix(p.rest, ")") {
			p.rest = p.rest[1:]
			return out, nil
		}
	}
}

// simple reads a type that is made of no others.
func (p *parser) simple() (Type, error) {
	n := 0
	for n < len(p.rest) && (p.rest[n] >= 'a' && p.rest[n] <= 'z' || p.rest[n] >= '0' && p.rest[n] <= '9') {
		n++
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	switch s {
	case "address":
		return Type{Kind: Address}, nil
	case "bool":
		return Type{Kind: Bool}, nil
	case "bytes":
		return Type{Kind: Bytes}, nil
	case "string":
		return Type{Kind: String}, nil
	}
	for _, k := range []struct {
		kind       Kind
		name       string
		most, unit int
	}{{Uint, "uint", 256, 8}, {Int, "int", 256, 8}, {FixedBytes, "bytes", 32, 1}} {
		if text, ok := strings.CutPrefix(s, k.name); ok {
			if size, ok := number(text); ok && size >= k.unit && size <= k.most && size%k.unit == 0 {
				return Type{Kind: k.kind, Size: size}, nil
			}
		}
	}
	return Type{}, fmt.Errorf("%w: %.40q is none of uint8 to uint256, int8 to int256, address, bool, bytes1 to bytes32, bytes and string", ErrType, s)
}

// number reads digits without leading zero, at most 9999.
func number(s string) (int, bool) {
	if s == "" || len(s) > 4 || s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(s)
	return n, err == nil
}
