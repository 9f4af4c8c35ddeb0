// SPDX-License-Identifier: Apache-2.0

// Package strictjson reads JSON (RFC 8259) that other people wrote, and refuses whatever two programs could read in two ways:
// unknown members, a member twice, a member in another case, bytes after the value, invalid UTF-8 and lone surrogates,
// fractions and exponents where a whole number is asked for, values of the wrong type. null stands for nothing but an absent
// optional member. Errors name the place as a JSON pointer (RFC 6901).
//
// Go types say what is asked for, by their json tags: a member without "omitempty" must be present. Byte slices are standard
// base64 with padding. Types that implement json.Unmarshaler read their own value, after it was checked to be JSON.
package strictjson

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
)

// MaxDepth is how deep arrays and objects may nest.
const MaxDepth = 32

// Error says what is wrong and where.
type Error struct {
	Pointer string // RFC 6901; "" is the whole document
	Offset  int    // bytes before the place
	Syntax  bool   // true: not JSON, or JSON that has two readings; false: JSON of another form than asked for
	Err     error  // what is wrong, fit for the caller
}

// Error names the place and what is wrong there.
func (e *Error) Error() string {
	if e.Pointer == "" {
		return e.Err.Error()
	}
	return e.Pointer + ": " + e.Err.Error()
}

// Unwrap gives what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// Decode reads data, one JSON value and nothing after it, into v, a non-nil pointer. Every error is an [*Error]; v is then
// undefined.
func Decode(data []byte, v any) error { return Shapes{}.Decode(data, v) }

// Shapes are struct types whose tags were read beforehand, for programs that read the same types again and again. It is not
// changed after [Learn].
type Shapes map[reflect.Type][]field

// Learn reads the tags of the types of some values, and of all that they hold.
func Learn(values ...any) Shapes {
	s := Shapes{}
	for _, v := range values {
		s.learn(reflect.TypeOf(v))
	}
	return s
}

func (s Shapes) learn(t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		s.learn(t.Elem())
	case reflect.Struct:
		if _, ok := s[t]; ok {
			return
		}
		s[t] = fieldsOf(t)
		for _, f := range s[t] {
			s.learn(t.Field(f.index).Type)
		}
	}
}

// Decode is the package's Decode, quicker for types that were learnt.
func (s Shapes) Decode(data []byte, v any) error {
	rv := reflect.ValueOf(v)
	if rv.Kind() != reflect.Pointer || rv.IsNil() {
		return &Error{Err: errors.New("strictjson: decode into a non-nil pointer")}
	}
	d := &decoder{data: data, shapes: s}
	d.space()
	if d.pos == len(d.data) {
		return d.syntax("the body is empty; send a JSON value")
	}
	if err := d.value(rv.Elem(), 0); err != nil {
		return err
	}
	d.space()
	if d.pos != len(d.data) {
		return d.syntax("there is something after the JSON value")
	}
	return nil
}

// decoder is where reading stands.
type decoder struct {
	data   []byte
	pos    int
	path   []string // reference tokens, not escaped
	shapes Shapes
}

func (d *decoder) fail(syntax bool, at int, err error) error {
	var b strings.Builder
	for _, t := range d.path {
		b.WriteByte('/')
		b.WriteString(strings.ReplaceAll(strings.ReplaceAll(t, "~", "~0"), "/", "~1"))
	}
	return &Error{Pointer: b.String(), Offset: at, Syntax: syntax, Err: err}
}

func (d *decoder) syntax(format string, args ...any) error {
	return d.fail(true, d.pos, fmt.Errorf(format, args...))
}

func (d *decoder) form(at int, format string, args ...any) error {
	return d.fail(false, at, fmt.Errorf(format, args...))
}

func (d *decoder) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

// peek gives the next byte, 0 at the end.
func (d *decoder) peek() byte {
	if d.pos == len(d.data) {
		return 0
	}
	return d.data[d.pos]
}

// object reads an object, calling member with each name when the value comes next.
func (d *decoder) object(depth int, member func(name string, at int) error) error {
	if depth >= MaxDepth {
		return d.syntax("nested deeper than %d", MaxDepth)
	}
	d.pos++ // {
	for first := true; ; first = false {
		d.space()
		if d.peek() == '}' && first {
			d.pos++
			return nil
		}
		if d.peek() != '"' {
			return d.syntax("expected a member name in double quotes")
		}
		at := d.pos
		name, err := d.text()
		if err != nil {
			return err
		}
		d.space()
		if d.peek() != ':' {
			return d.syntax("expected ':' after a member name")
		}
		d.pos++
		d.space()
		d.path = append(d.path, name)
		if err := member(name, at); err != nil {
			return err
		}
		d.path = d.path[:len(d.path)-1]
		d.space()
		switch d.peek() {
		case ',':
			d.pos++
		case '}':
			d.pos++
			return nil
		default:
			return d.syntax("expected ',' or '}'")
		}
	}
}

// array reads an array, calling element when each comes next.
func (d *decoder) array(depth int, element func(i int) error) error {
	if depth >= MaxDepth {
		return d.syntax("nested deeper than %d", MaxDepth)
	}
	d.pos++ // [
	for i := 0; ; i++ {
		d.space()
		if d.peek() == ']' && i == 0 {
			d.pos++
			return nil
		}
		d.path = append(d.path, itoa(i))
		if err := element(i); err != nil {
			return err
		}
		d.path = d.path[:len(d.path)-1]
		d.space()
		switch d.peek() {
		case ',':
			d.pos++
		case ']':
			d.pos++
			return nil
		default:
			return d.syntax("expected ',' or ']'")
		}
	}
}

// skip checks that a value of any form comes next and passes over it. Members are checked for repetition all the same.
func (d *decoder) skip(depth int) error {
	switch c := d.peek(); {
	case c == '{':
		seen := map[string]bool{}
		return d.object(depth, func(name string, at int) error {
			if seen[name] {
				return d.fail(true, at, errors.New("the member occurs twice"))
			}
			seen[name] = true
			return d.skip(depth + 1)
		})
	case c == '[':
		return d.array(depth, func(int) error { return d.skip(depth + 1) })
	case c == '"':
		_, err := d.text()
		return err
	case c == '-' || c >= '0' && c <= '9':
		_, err := d.number()
		return err
	default:
		_, err := d.word()
		return err
	}
}

// word reads true, false or null.
func (d *decoder) word() (string, error) {
	for _, w := range []string{"true", "false", "null"} {
		if strings.HasPrefix(string(d.data[d.pos:min(len(d.data), d.pos+len(w))]), w) {
			d.pos += len(w)
			return w, nil
		}
	}
	if d.pos == len(d.data) {
		return "", d.syntax("the JSON value ends too early")
	}
	return "", d.syntax("not a JSON value")
}

// number reads a number and gives its text.
func (d *decoder) number() (string, error) {
	from := d.pos
	digits := func() bool {
		n := d.pos
		for c := d.peek(); c >= '0' && c <= '9'; c = d.peek() {
			d.pos++
		}
		return d.pos > n
	}
	if d.peek() == '-' {
		d.pos++
	}
	ok := true
	if d.peek() == '0' {
		d.pos++
	} else {
		ok = digits()
	}
	if ok && d.peek() == '.' {
		d.pos++
		ok = digits()
	}
	if c := d.peek(); ok && (c == 'e' || c == 'E') {
		d.pos++
		if c := d.peek(); c == '+' || c == '-' {
			d.pos++
		}
		ok = digits()
	}
	if c := d.peek(); !ok || c >= '0' && c <= '9' {
		return "", d.syntax("not a JSON number")
	}
	return string(d.data[from:d.pos]), nil
}
