// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/request"
)

// MessageKind is [request.MessageKind].
type MessageKind = request.MessageKind

// CallDepth says which calls a match looks at.
type CallDepth string

// The depths.
const (
	TopCall   CallDepth = "top"   // the call that was asked for
	AnyCall   CallDepth = "any"   // it or some call within it
	EveryCall CallDepth = "every" // it and all calls within it
)

// CallMatch is true of a contract call if every field that is present is. A call that is not decoded meets none of its fields but undecoded,
// contracts and functions; another is then neither met nor not: it can't be told.
type CallMatch struct {
	Contracts    []string  `cbor:"1,keyasint,omitempty" json:"contracts,omitempty"`    // ids of contracts of the document; sorted, distinct
	Functions    []string  `cbor:"2,keyasint,omitempty" json:"functions,omitempty"`    // canonical signatures, or selectors as 0x and 8 hex digits; sorted, distinct
	Args         []ArgTest `cbor:"3,keyasint,omitempty" json:"args,omitempty"`         // all must be true
	Depth        CallDepth `cbor:"4,keyasint,omitempty" json:"depth,omitempty"`        // of the calls that the fields above are about; empty: top
	DelegateCall *bool     `cbor:"5,keyasint,omitempty" json:"delegatecall,omitempty"` // some call within runs others' code with a contract's powers, or none does
	Undecoded    bool      `cbor:"6,keyasint,omitempty" json:"undecoded,omitempty"`    // the call can't be decoded
}

// ArgOp compares an argument.
type ArgOp string

// The comparisons. The last four are of numbers that are not negative.
const (
	OpEq ArgOp = "eq"
	OpIn ArgOp = "in"
	OpLe ArgOp = "le"
	OpLt ArgOp = "lt"
	OpGe ArgOp = "ge"
	OpGt ArgOp = "gt"
)

// ArgTest is true if the argument at a path compares with the value as it says.
type ArgTest struct {
	Path   string   `cbor:"1,keyasint" json:"path"` // as in [request.CallArg]
	Op     ArgOp    `cbor:"2,keyasint" json:"op"`
	Values []string `cbor:"3,keyasint" json:"values"` // as arguments are written; one, or more with in
}

// TypedMatch is true of typed data if every field that is present is.
type TypedMatch struct {
	Contracts    []string  `cbor:"1,keyasint,omitempty" json:"contracts,omitempty"`    // its verifying contract is one of these contracts of the document; sorted, distinct
	Names        []string  `cbor:"2,keyasint,omitempty" json:"names,omitempty"`        // the name of its domain is one of these; sorted, distinct
	PrimaryTypes []string  `cbor:"3,keyasint,omitempty" json:"primaryTypes,omitempty"` // sorted, distinct
	Fields       []ArgTest `cbor:"4,keyasint,omitempty" json:"fields,omitempty"`       // all must be true
}

// raw says whether a match is for calls that can't be decoded.
func (m Match) raw() bool { return m.Call != nil && m.Call.Undecoded }

// signing tries the fields about calls and messages. decided is noField if there is none, else the last that was tried.
func (m *Match) signing(a *activation) (v verdict) {
	f := a.facts
	try := func(x field, present bool, met func() (bool, error)) bool {
		if !present {
			return true
		}
		v.decided = x
		v.match, v.err = met()
		return v.match && v.err == nil
	}
	_ = try(fCall, m.Call != nil, func() (bool, error) {
		if !a.has.call || f.Call == nil {
			return false, nil
		}
		return m.Call.met(f.Call)
	}) && try(fTyped, m.Typed != nil, func() (bool, error) {
		if !a.has.message || f.Message == nil || f.Message.Kind != request.TypedMessage {
			return false, nil
		}
		return m.Typed.met(f.Message)
	}) && try(fMessage, len(m.Message) > 0, func() (bool, error) {
		return a.has.message && f.Message != nil && slices.Contains(m.Message, f.Message.Kind), nil
	})
	return v
}

func observedSigning(x field, f *Facts) string {
	switch {
	case x == fCall && f.Call != nil && len(f.Call.Calls) > 0:
		c := f.Call.Calls[0]
		return fmt.Sprintf("%s %s of %s %s, %d calls", c.Selector, c.Function, c.Contract, c.ID, len(f.Call.Calls))
	case x != fCall && f.Message != nil:
		return fmt.Sprintf("%s %s %s", f.Message.Kind, f.Message.Primary, f.Message.Contract)
	default:
		return string(f.Operation)
	}
}

// met says whether a call meets m. An error says that it can't be told.
func (m *CallMatch) met(c *request.CallEffects) (bool, error) {
	if c.Undecoded != "" {
		top := m.named(c.Calls[0])
		switch {
		case m.Undecoded && len(m.Args) == 0 && m.DelegateCall == nil && m.depth() == TopCall:
			return top, nil
		case m.depth() == TopCall && !top:
			return false, nil
		}
		return false, errors.New("the call can't be decoded")
	}
	if m.Undecoded {
		return false, nil
	}
	if m.DelegateCall != nil && *m.DelegateCall != slices.ContainsFunc(c.Calls, func(n request.CallNode) bool { return n.Delegate }) {
		return false, nil
	}
	if m.depth() == TopCall {
		return m.node(c.Calls[0])
	}
	var untold error
	for _, n := range c.Calls {
		is, err := m.node(n)
		if err != nil {
			untold = err
			continue
		}
		if is != (m.depth() == EveryCall) { // some is, or one of all is not
			return is, nil
		}
	}
	return m.depth() == EveryCall && untold == nil, untold
}

func (m *CallMatch) depth() CallDepth {
	if m.Depth == "" {
		return TopCall
	}
	return m.Depth
}

// named says whether a call is of one of the contracts and functions.
func (m *CallMatch) named(n request.CallNode) bool {
	if len(m.Contracts) > 0 && !slices.Contains(m.Contracts, n.ID) {
		return false
	}
	return len(m.Functions) == 0 || slices.ContainsFunc(m.Functions, func(s string) bool {
		if n.Function != "" && !strings.HasPrefix(s, "0x") {
			return s == n.Function
		}
		sel, ok := selectorOf(s)
		return ok && sel.String() == n.Selector
	})
}

func (m *CallMatch) node(n request.CallNode) (bool, error) {
	if !m.named(n) {
		return false, nil
	}
	return all(m.Args, n.Args)
}

// all says whether arguments pass all tests. An argument that is not there can't be told.
func all(tests []ArgTest, args []request.CallArg) (bool, error) {
	for _, t := range tests {
		i := slices.IndexFunc(args, func(a request.CallArg) bool { return a.Path == t.Path })
		if i < 0 {
			return false, fmt.Errorf("there is no argument %s", t.Path)
		}
		if is, err := t.test(args[i]); !is || err != nil {
			return false, err
		}
	}
	return true, nil
}

func (t ArgTest) test(a request.CallArg) (bool, error) {
	if t.Op == OpEq || t.Op == OpIn {
		return slices.Contains(t.Values, a.Value), nil
	}
	have, ok := numberOf(a.Value)
	want, good := numberOf(t.Values[0])
	if !ok || !good || !strings.HasPrefix(a.Type, "uint") {
		return false, fmt.Errorf("argument %s is no number that can be compared", t.Path)
	}
	c := have.Cmp(want)
	return t.Op == OpLe && c <= 0 || t.Op == OpLt && c < 0 || t.Op == OpGe && c >= 0 || t.Op == OpGt && c > 0, nil
}

// met says whether typed data meets m.
func (m *TypedMatch) met(e *request.MessageEffects) (bool, error) {
	if len(m.Contracts) > 0 && !slices.Contains(m.Contracts, e.ID) || len(m.Names) > 0 && !slices.Contains(m.Names, e.Name) ||
		len(m.PrimaryTypes) > 0 && !slices.Contains(m.PrimaryTypes, e.Primary) {
		return false, nil
	}
	return all(m.Fields, e.Fields)
}

// checkSigning checks the fields about calls and messages.
func (d Document) checkSigning(m Match) error {
	known := func(id string) error {
		if _, ok := d.contract(id); !ok {
			return fmt.Errorf("%q is not in the document", id)
		}
		return nil
	}
	if c := m.Call; c != nil {
		if err := list("call.contracts", c.Contracts, known); err != nil {
			return err
		}
		if err := c.check(); err != nil {
			return err
		}
	}
	if t := m.Typed; t != nil {
		plain := func(s string) error { return checkText("text", s, maxStringChars) }
		for _, err := range []error{list("typedData.contracts", t.Contracts, known), list("typedData.names", t.Names, plain),
			list("typedData.primaryTypes", t.PrimaryTypes, plain), checkTests("typedData.fields", t.Fields, nil)} {
			if err != nil {
				return err
			}
		}
		if len(t.Contracts)+len(t.Names)+len(t.PrimaryTypes)+len(t.Fields) == 0 {
			return errors.New("typedData is empty; leave the key out, or write message: [typed]")
		}
	}
	return list("message", m.Message, func(k MessageKind) error {
		return oneOf(k, []MessageKind{request.PersonalMessage, request.TypedMessage})
	})
}

func (m *CallMatch) check() error {
	var fs []abi.Function
	if err := list("call.functions", m.Functions, func(s string) error {
		if _, ok := selectorOf(s); !ok {
			return fmt.Errorf("%q is no canonical signature, and no selector of 0x and 8 hex digits", s)
		}
		if f, err := abi.ParseFunction(s); err == nil {
			fs = append(fs, f)
		}
		return nil
	}); err != nil {
		return err
	}
	switch {
	case m.Depth != "" && m.Depth != AnyCall && m.Depth != EveryCall:
		return fmt.Errorf("call.depth %q is neither %q nor %q; leave it out for the call itself", string(m.Depth), AnyCall, EveryCall)
	case m.Undecoded && (len(m.Args) > 0 || m.Depth != "" || m.DelegateCall != nil):
		return errors.New("call.undecoded: nothing is known of such a call but contract and selector; take the other fields out")
	case len(m.Args) > 0 && (len(fs) == 0 || len(fs) != len(m.Functions)):
		return errors.New("call.args needs call.functions as signatures: they say what the arguments are")
	case len(m.Contracts)+len(m.Functions)+len(m.Args) == 0 && m.DelegateCall == nil && !m.Undecoded:
		return errors.New("call is empty; leave the key out, or write operation: [contract_call]")
	}
	return checkTests("call.args", m.Args, fs)
}

// checkTests checks tests of arguments, those of functions against their types.
func checkTests(what string, tests []ArgTest, fs []abi.Function) error {
	if len(tests) > MaxArgTests {
		return fmt.Errorf("%s has %d tests, more than %d", what, len(tests), MaxArgTests)
	}
	for _, t := range tests {
		ordered := t.Op == OpLe || t.Op == OpLt || t.Op == OpGe || t.Op == OpGt
		switch {
		case !ordered && t.Op != OpEq && t.Op != OpIn:
			return fmt.Errorf("%s: op %q is none of eq, in, le, lt, ge, gt", what, string(t.Op))
		case len(t.Values) == 0 || len(t.Values) > MaxList || t.Op != OpIn && len(t.Values) != 1:
			return fmt.Errorf("%s: %s has %d values; want one, or with in 1 to %d", what, t.Path, len(t.Values), MaxList)
		case t.Path == "" || len(t.Path) > maxStringChars:
			return fmt.Errorf("%s: path must say which argument, for instance 0 or 1.2", what)
		}
		for _, v := range t.Values {
			if err := checkText(what+": value", v, maxStringChars); err != nil {
				return err
			}
			if _, ok := numberOf(v); ordered && !ok {
				return fmt.Errorf("%s: %s: %q is no number in decimal digits", what, t.Path, v)
			}
		}
		for _, f := range fs {
			if err := fits(t, f, ordered); err != nil {
				return fmt.Errorf("%s: %s of %s: %w", what, t.Path, f, err)
			}
		}
	}
	return nil
}

// fits says whether a test can be about an argument of a function.
func fits(t ArgTest, f abi.Function, ordered bool) error {
	at := abi.Type{Kind: abi.Tuple, Fields: f.Inputs}
	for _, s := range strings.Split(t.Path, ".") {
		n, err := strconv.Atoi(s)
		number := err == nil && n >= 0 && strconv.Itoa(n) == s
		switch {
		case at.Kind == abi.Slice && s == "length":
			at = abi.Type{Kind: abi.Uint, Size: 256}
		case at.Kind == abi.Tuple && number && n < len(at.Fields):
			at = at.Fields[n]
		case at.Kind == abi.Slice && number, at.Kind == abi.Array && number && n < at.Size:
			at = *at.Elem
		default:
			return errors.New("there is no such argument")
		}
	}
	if at.Kind == abi.Tuple || at.Kind == abi.Array || at.Kind == abi.Slice {
		return errors.New("it is made of parts; name one of them")
	}
	if ordered && at.Kind != abi.Uint {
		return fmt.Errorf("a %s can't be compared as a number; use eq or in", at)
	}
	for _, v := range t.Values {
		if strings.HasPrefix(v, "sha256:") {
			continue
		}
		if x, err := abi.FromText(at, v); err != nil || x.Text() != v {
			return fmt.Errorf("%q is not how a %s is written", v, at)
		}
	}
	return nil
}

// String tells a match of calls in words.
func (m *CallMatch) String() string {
	if m == nil {
		return ""
	}
	if m.Undecoded {
		return "the call can't be decoded" + m.about()
	}
	s := map[CallDepth]string{TopCall: "the call is", AnyCall: "some call is", EveryCall: "every call is"}[m.depth()] + " one" + m.about()
	for _, t := range m.Args {
		s += ", with " + t.String()
	}
	if m.DelegateCall != nil {
		s += map[bool]string{true: ", and some call is a delegatecall", false: ", and no call is a delegatecall"}[*m.DelegateCall]
	}
	return s
}

func (m *CallMatch) about() (s string) {
	if len(m.Functions) > 0 {
		s += " of " + joined(m.Functions, " or ")
	}
	if len(m.Contracts) > 0 {
		s += " on " + joined(m.Contracts, " or ")
	}
	return s
}

// String tells a test in words.
func (t ArgTest) String() string {
	words := map[ArgOp]string{OpEq: "equal to", OpIn: "one of", OpLe: "at most", OpLt: "less than", OpGe: "at least", OpGt: "more than"}
	return fmt.Sprintf("%s %s %s", t.Path, words[t.Op], strings.Join(t.Values, ", "))
}

// String tells a match of typed data in words.
func (m *TypedMatch) String() string {
	if m == nil {
		return ""
	}
	s := "the typed data is"
	if len(m.PrimaryTypes) > 0 {
		s += " a " + joined(m.PrimaryTypes, " or ")
	}
	if len(m.Contracts) > 0 {
		s += " for " + joined(m.Contracts, " or ")
	}
	if len(m.Names) > 0 {
		s += " of the domain " + joined(m.Names, " or ")
	}
	for _, t := range m.Fields {
		s += ", with " + t.String()
	}
	return s
}
