// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

var (
	rawType         = reflect.TypeFor[json.RawMessage]()
	unmarshalerType = reflect.TypeFor[json.Unmarshaler]()
)

// value reads the next value into v.
func (d *decoder) value(v reflect.Value, depth int) error {
	if v.Type() == rawType {
		from := d.pos
		if err := d.skip(depth); err != nil {
			return err
		}
		v.SetBytes(append([]byte(nil), d.data[from:d.pos]...))
		return nil
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		return d.value(v.Elem(), depth)
	}
	if v.CanAddr() && v.Addr().Type().Implements(unmarshalerType) {
		return d.own(v.Addr().Interface().(json.Unmarshaler), depth)
	}
	switch c := d.peek(); {
	case c == '{':
		if v.Kind() != reflect.Struct {
			return d.form(d.pos, "must be %s, not an object", wanted(v))
		}
		return d.structure(v, depth)
	case c == '[':
		return d.slice(v, depth)
	case c == '"':
		return d.str(v)
	case c == '-' || c >= '0' && c <= '9':
		return d.integer(v)
	default:
		return d.boolean(v)
	}
}

// own lets a type read its value.
func (d *decoder) own(u json.Unmarshaler, depth int) error {
	from := d.pos
	if err := d.skip(depth); err != nil {
		return err
	}
	if err := u.UnmarshalJSON(d.data[from:d.pos]); err != nil {
		return d.fail(false, from, err)
	}
	return nil
}

// field is what a struct's field asks for.
type field struct {
	index    int
	name     string
	optional bool
}

func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		name, opts, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" || name == "-" {
			continue // only named members are wire format
		}
		out = append(out, field{i, name, strings.Contains(opts, "omitempty")})
	}
	return out
}

func (d *decoder) structure(v reflect.Value, depth int) error {
	from := d.pos
	fields, ok := d.shapes[v.Type()]
	if !ok {
		fields = fieldsOf(v.Type())
	}
	seen := make([]bool, len(fields))
	err := d.object(depth, func(name string, at int) error {
		for i, f := range fields {
			if f.name != name {
				continue
			}
			if seen[i] {
				return d.fail(true, at, errors.New("the member occurs twice"))
			}
			seen[i] = true
			if d.peek() == 'n' && f.optional {
				_, err := d.word()
				return err
			}
			return d.value(v.Field(f.index), depth+1)
		}
		return d.fail(false, at, fmt.Errorf("the member is not known; known are %s", strings.Join(names(fields), ", ")))
	})
	if err != nil {
		return err
	}
	for i, f := range fields {
		if !seen[i] && !f.optional {
			d.path = append(d.path, f.name)
			return d.form(from, "the member is missing")
		}
	}
	return nil
}

func names(fields []field) []string {
	out := make([]string, len(fields))
	for i, f := range fields {
		out[i] = f.name
	}
	return out
}

func (d *decoder) slice(v reflect.Value, depth int) error {
	if v.Kind() != reflect.Slice || v.Type().Elem().Kind() == reflect.Uint8 {
		return d.form(d.pos, "must be %s, not an array", wanted(v))
	}
	v.Set(reflect.MakeSlice(v.Type(), 0, 0))
	return d.array(depth, func(i int) error {
		v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		return d.value(v.Index(i), depth+1)
	})
}

func (d *decoder) str(v reflect.Value) error {
	from := d.pos
	s, err := d.text()
	if err != nil {
		return err
	}
	switch {
	case v.Kind() == reflect.String:
		v.SetString(s)
		return nil
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		if err != nil || strings.ContainsAny(s, "\r\n") {
			return d.form(from, "must be standard base64 with padding")
		}
		v.SetBytes(b)
		return nil
	default:
		return d.form(from, "must be %s, not a string", wanted(v))
	}
}

func (d *decoder) integer(v reflect.Value) error {
	from := d.pos
	s, err := d.number()
	if err != nil {
		return err
	}
	switch {
	case v.CanInt():
		n, err := strconv.ParseInt(s, 10, v.Type().Bits())
		if err != nil || s == "-0" {
			return d.form(from, "must be a whole number of %d bits, without fraction or exponent", v.Type().Bits())
		}
		v.SetInt(n)
		return nil
	case v.CanUint():
		n, err := strconv.ParseUint(s, 10, v.Type().Bits())
		if err != nil {
			return d.form(from, "must be a whole number from 0 to 2^%d-1, without sign, fraction or exponent", v.Type().Bits())
		}
		v.SetUint(n)
		return nil
	default:
		return d.form(from, "must be %s, not a number", wanted(v))
	}
}

func (d *decoder) boolean(v reflect.Value) error {
	from := d.pos
	w, err := d.word()
	switch {
	case err != nil:
		return err
	case w == "null":
		return d.form(from, "must be %s, not null", wanted(v))
	case v.Kind() != reflect.Bool:
		return d.form(from, "must be %s, not %s", wanted(v), w)
	}
	v.SetBool(w == "true")
	return nil
}

// wanted says what v takes, in JSON's words.
func wanted(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.Struct:
		return "an object"
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return "a base64 string"
	case v.Kind() == reflect.Slice:
		return "an array"
	case v.Kind() == reflect.String:
		return "a string"
	case v.Kind() == reflect.Bool:
		return "true or false"
	default:
		return "a whole number"
	}
}
