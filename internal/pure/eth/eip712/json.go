// SPDX-License-Identifier: Apache-2.0

package eip712

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"strongroom/internal/pure/request"
)

const (
	maxNesting = 16   // of JSON, of structs and lists in a message
	maxFields  = 1000 // values of a message
	maxTypes   = 100
)

// object is a JSON object, list a JSON array; other values are a string, a bool or a json.Number.
type (
	object = map[string]any
	list   = []any
)

// parse reads JSON without duplicate members, null, fractions and exponents.
func parse(text []byte) (any, error) {
	if len(text) > request.MaxTyped {
		return nil, fmt.Errorf("it has %d bytes, more than %d", len(text), request.MaxTyped)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := value(d, 1)
	if err != nil {
		return nil, fmt.Errorf("JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("JSON: something stands after its end")
	}
	return v, nil
}

func value(d *json.Decoder, depth int) (any, error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("nested more than %d deep", maxNesting)
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch x := t.(type) {
	case json.Delim:
		if x == '[' {
			return array(d, depth)
		}
		return members(d, depth)
	case json.Number:
		for i, c := range []byte(x) {
			if (c < '0' || c > '9') && (c != '-' || i > 0) {
				return nil, fmt.Errorf("%s is no whole number in decimal digits", x)
			}
		}
		return x, nil
	case string, bool:
		return x, nil
	default:
		return nil, errors.New("null stands for no value of any type")
	}
}

func array(d *json.Decoder, depth int) (any, error) {
	out := list{}
	for d.More() {
		v, err := value(d, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	_, err := d.Token()
	return out, err
}

func members(d *json.Decoder, depth int) (any, error) {
	out := object{}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, ok := t.(string)
		if _, twice := out[name]; !ok || twice {
			return nil, fmt.Errorf("member %q stands twice", name)
		}
		if out[name], err = value(d, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := d.Token()
	return out, err
}

// render writes JSON in its canonical form: members in order of their names, no spaces, characters as themselves where they can be.
func render(b *bytes.Buffer, v any) {
	switch x := v.(type) {
	case object:
		b.WriteByte('{')
		for i, name := range slices.Sorted(maps.Keys(x)) {
			if i > 0 {
				b.WriteByte(',')
			}
			render(b, name)
			b.WriteByte(':')
			render(b, x[name])
		}
		b.WriteByte('}')
	case list:
		b.WriteByte('[')
		for i, e := range x {
			if i > 0 {
				b.WriteByte(',')
			}
			render(b, e)
		}
		b.WriteByte(']')
	case string:
		e := json.NewEncoder(b)
		e.SetEscapeHTML(false)
		_ = e.Encode(x)         // of a string into memory
		b.Truncate(b.Len() - 1) // the new line
	default:
		fmt.Fprint(b, x)
	}
}
