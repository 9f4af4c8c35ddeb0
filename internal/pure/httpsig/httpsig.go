// SPDX-License-Identifier: Apache-2.0

// Package httpsig has HTTP message signatures (RFC 9421) with content digests (RFC 9530), as calls of the REST API carry them: the signature base is
// built, read and checked, without the message it was taken from. What checks the signature itself is request.PublicKey: its two algorithms sign a
// message as sections 3.3.4 (ecdsa-p256-sha256) and 3.3.6 (ed25519) say.
//
// It reads a part of the RFC and refuses the rest, so that a base has one reading: one signature a message, components without parameters and none
// twice, values of one line of printable ASCII, no parameters but the six of section 2.3, and no escapes in strings. docs/spec/request.md says which
// components a call signs.
package httpsig

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Limits.
const (
	MaxBase       = 8 << 10 // bytes of a signature base
	MaxComponents = 16
	MaxString     = 128 // bytes of a string among the parameters
)

// paramsLine is how the last line of a base begins (section 2.3).
const paramsLine = `"@signature-params": `

// Component is a part of a message that is signed: a derived one ("@method") or a field, in lower case, with its value.
type Component struct{ Name, Value string }

// Params are the parameters of a signature (section 2.3). Times are Unix seconds; zero and empty ones are absent.
type Params struct {
	Created, Expires       int64
	Nonce, KeyID, Alg, Tag string
}

// Input is one signature's part of the field Signature-Input: which components it covers, in order, and its parameters.
type Input struct {
	Names  []string
	Params Params
	raw    string // as it was read; it is what is signed
}

// String gives the input as it stands in the field.
func (i Input) String() string { return i.raw }

// NewInput makes an input. Parameters stand in the order created, expires, nonce, keyid, alg, tag; those that are zero are left out.
func NewInput(names []string, p Params) (Input, error) {
	var b strings.Builder
	b.WriteByte('(')
	for i, n := range names {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(`"` + n + `"`)
	}
	b.WriteByte(')')
	for _, x := range []struct {
		name string
		n    int64
	}{{"created", p.Created}, {"expires", p.Expires}} {
		if x.n != 0 {
			fmt.Fprintf(&b, ";%s=%d", x.name, x.n)
		}
	}
	for _, x := range []struct{ name, s string }{{"nonce", p.Nonce}, {"keyid", p.KeyID}, {"alg", p.Alg}, {"tag", p.Tag}} {
		if x.s != "" {
			fmt.Fprintf(&b, ";%s=%q", x.name, x.s)
		}
	}
	return ParseInput(b.String())
}

// ParseInput reads an input: an inner list of strings with parameters (RFC 9651, section 3.1.1), in the form that serializing gives.
func ParseInput(s string) (Input, error) {
	in := Input{raw: s}
	inner, params, ok := strings.Cut(strings.TrimPrefix(s, "("), ")")
	if !strings.HasPrefix(s, "(") || !ok || len(s) > MaxBase {
		return in, errors.New(`signature input: it must be ("component" …) and its parameters`)
	}
	if inner != "" {
		for quoted := range strings.SplitSeq(inner, " ") {
			name, err := unquote(quoted)
			if err != nil || !isName(name) {
				return in, fmt.Errorf("signature input: %.40q is no component; they are quoted, in lower case and without parameters, one space apart", quoted)
			}
			if slices.Contains(in.Names, name) {
				return in, fmt.Errorf("signature input: component %q occurs twice", name)
			}
			in.Names = append(in.Names, name)
		}
	}
	if len(in.Names) > MaxComponents {
		return in, fmt.Errorf("signature input: it has more than %d components", MaxComponents)
	}
	return in, in.Params.parse(params)
}

// parse reads ;name=value one after the other.
func (p *Params) parse(s string) error {
	var seen []string
	for s != "" {
		var param string
		if s[0] != ';' {
			return fmt.Errorf("signature input: a parameter begins with a semicolon, not with %.20q", s)
		}
		if param, s = s[1:], ""; strings.ContainsRune(param, ';') {
			param, s = cutParam(param)
		}
		name, value, _ := strings.Cut(param, "=")
		if slices.Contains(seen, name) {
			return fmt.Errorf("signature input: parameter %.20q occurs twice", name)
		}
		seen = append(seen, name)
		if err := p.set(name, value); err != nil {
			return fmt.Errorf("signature input: parameter %.20q: %w", name, err)
		}
	}
	return nil
}

// cutParam ends a parameter before the next semicolon outside of quotes.
func cutParam(s string) (param, rest string) {
	quoted := false
	for i := range len(s) {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			return s[:i], s[i:]
		}
	}
	return s, ""
}

func (p *Params) set(name, value string) (err error) {
	switch name {
	case "created":
		p.Created, err = number(value)
	case "expires":
		p.Expires, err = number(value)
	case "nonce":
		p.Nonce, err = unquote(value)
	case "keyid":
		p.KeyID, err = unquote(value)
	case "alg":
		p.Alg, err = unquote(value)
	case "tag":
		p.Tag, err = unquote(value)
	default:
		err = errors.New("it is none of created, expires, nonce, keyid, alg and tag")
	}
	return err
}

// number reads a time: an integer of RFC 9651 above zero, at most 15 digits.
func number(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || len(s) > 15 || s != strconv.FormatInt(n, 10) {
		return 0, errors.New("it must be a time in Unix seconds")
	}
	return n, nil
}

// unquote reads a string of RFC 9651 without escapes.
func unquote(s string) (string, error) {
	if len(s) < 3 || len(s) > MaxString+2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", fmt.Errorf("it must be a string in quotes, of 1 to %d characters", MaxString)
	}
	s = s[1 : len(s)-1]
	if !printable(s) || strings.ContainsAny(s, `"\`) {
		return "", errors.New("it must be printable ASCII without quotes and backslashes")
	}
	return s, nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}

// isName says whether s names a component: a field (RFC 9110, section 5.6.2, in lower case), or a derived component behind an @.
func isName(s string) bool {
	s = strings.TrimPrefix(s, "@")
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && s != "signature-params"
}

// Base gives the signature base of an input (section 2.5): a line a component, in the input's order, and the line of its parameters.
func (i Input) Base(value func(name string) (string, bool)) ([]byte, error) {
	var b []byte
	for _, name := range i.Names {
		v, ok := value(name)
		if !ok {
			return nil, fmt.Errorf("component %q is not in the message, or not known", name)
		}
		if !printable(v) || strings.TrimSpace(v) != v {
			return nil, fmt.Errorf("component %q: its value must be one line of printable ASCII", name)
		}
		b = append(b, `"`+name+`": `+v+"\n"...)
	}
	if b = append(b, paramsLine+i.raw...); len(b) > MaxBase {
		return nil, fmt.Errorf("the signature base has more than %d bytes", MaxBase)
	}
	return b, nil
}

// Signed is what a signature base says.
type Signed struct {
	Input
	Components []Component // in order
}

// Value gives a component's value.
func (s Signed) Value(name string) (string, bool) {
	for _, c := range s.Components {
		if c.Name == name {
			return c.Value, true
		}
	}
	return "", false
}

// ParseBase reads a signature base. What it accepts, [Input.Base] gives again byte for byte.
func ParseBase(b []byte) (s Signed, err error) {
	if len(b) > MaxBase {
		return s, fmt.Errorf("the signature base has more than %d bytes", MaxBase)
	}
	lines := strings.Split(string(b), "\n")
	last, ok := strings.CutPrefix(lines[len(lines)-1], paramsLine)
	if !ok {
		return s, errors.New("the signature base does not end with its parameters")
	}
	if s.Input, err = ParseInput(last); err != nil {
		return s, err
	}
	if len(lines)-1 != len(s.Names) {
		return s, fmt.Errorf("the signature base has %d components, its parameters name %d", len(lines)-1, len(s.Names))
	}
	for i, name := range s.Names {
		v, ok := strings.CutPrefix(lines[i], `"`+name+`": `)
		if !ok || !printable(v) || strings.TrimSpace(v) != v {
			return s, fmt.Errorf("line %d of the signature base is not component %q with one line of printable ASCII", i+1, name)
		}
		s.Components = append(s.Components, Component{name, v})
	}
	return s, nil
}

// ParseFields reads the fields Signature-Input and Signature of a message that has one signature: each is a dictionary of one member (sections 4.1
// and 4.2), of the same name.
func ParseFields(input, signature string) (Input, []byte, error) {
	label, list, ok := strings.Cut(input, "=")
	if !ok || !isLabel(label) {
		return Input{}, nil, errors.New("Signature-Input: it must be label=(\"component\" …) and parameters")
	}
	in, err := ParseInput(list)
	if err != nil {
		return in, nil, err
	}
	text, ok := strings.CutPrefix(signature, label+"=:")
	text, end := strings.CutSuffix(text, ":")
	if !ok || !end {
		return in, nil, fmt.Errorf("header Signature: it must be %s=:…:, one signature of the name that Signature-Input has", label)
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || strings.ContainsAny(text, "\r\n") {
		return in, nil, errors.New("header Signature: it must be standard base64 between colons")
	}
	return in, sig, nil
}

// Fields gives the values of Signature-Input and Signature, under a label of lower-case letters.
func Fields(label string, in Input, sig []byte) (input, signature string) {
	return label + "=" + in.raw, label + "=:" + base64.StdEncoding.EncodeToString(sig) + ":"
}

// isLabel says whether s is a key of a dictionary (RFC 9651, section 3.1.2).
func isLabel(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c == '*'
		if !letter && (i == 0 || (c < '0' || c > '9') && c != '_' && c != '-' && c != '.') {
			return false
		}
	}
	return s != "" && len(s) <= MaxString
}
