// SPDX-License-Identifier: Apache-2.0

package abi

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"strongroom/internal/pure/eth"
)

// ErrText is wrapped by every error about a value that people wrote.
var ErrText = errors.New("value")

// FromJSON reads values that people wrote as a JSON array, one for each type: numbers in decimal digits, with or without quotes; addresses
// with their EIP-55 checksum; bytes as 0x and hex digits; lists and tuples as arrays.
func FromJSON(types []Type, text []byte) ([]Value, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var in []any
	if err := d.Decode(&in); err != nil {
		return nil, fmt.Errorf("%w: want a JSON array of arguments: %w", ErrText, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: something stands after the array", ErrText)
	}
	return fromList(types, in)
}

func fromList(types []Type, in []any) ([]Value, error) {
	if len(in) != len(types) {
		return nil, fmt.Errorf("%w: %d were given and %s has %d", ErrText, len(in), list(types), len(types))
	}
	out := make([]Value, len(in))
	for i, t := range types {
		v, err := fromAny(t, in[i])
		if err != nil {
			return nil, fmt.Errorf("number %d: %w", i, err)
		}
		out[i] = v
	}
	return out, nil
}

func fromAny(t Type, in any) (v Value, err error) {
	v.Type = t
	switch x := in.(type) {
	case []any:
		switch t.Kind {
		case Tuple:
			v.Items, err = fromList(t.Fields, x)
		case Array:
			if len(x) != t.Size {
				return v, fmt.Errorf("%w: %d elements for %s", ErrText, len(x), t)
			}
			v.Items, err = fromList(repeat(*t.Elem, t.Size), x)
		case Slice:
			v.Items, err = fromList(repeat(*t.Elem, len(x)), x)
		default:
			err = fmt.Errorf("%w: an array was given for %s", ErrText, t)
		}
		return v, err
	case bool:
		if t.Kind == Bool {
			if x {
				v.Word[31] = 1
			}
			return v, nil
		}
	case json.Number:
		if t.Kind == Uint || t.Kind == Int {
			return FromText(t, x.String())
		}
	case string:
		return FromText(t, x)
	}
	return v, fmt.Errorf("%w: %.40v is no %s", ErrText, in, t)
}

// FromText reads a value that is not made of others, as [Value.Text] writes it.
func FromText(t Type, s string) (v Value, err error) {
	v.Type = t
	bad := func(want string) (Value, error) {
		return Value{}, fmt.Errorf("%w: %.80q is no %s; want %s", ErrText, s, t, want)
	}
	switch t.Kind {
	case Uint, Int:
		digits, minus := strings.CutPrefix(s, "-")
		u, err := eth.FromDecimal(digits)
		if err != nil || minus && (t.Kind == Uint || u.IsZero()) {
			return bad("decimal digits")
		}
		v.Word = u
		if minus {
			v.Word = negate(v.Word)
		}
		if checkWord(t, v.Word) != nil || t.Kind == Int && !u.IsZero() && (v.Word[0] >= 0x80) != minus {
			return bad("a number that fits")
		}
	case Address:
		a, err := eth.ParseAddress(s)
		if err != nil {
			return Value{}, fmt.Errorf("%w: %w", ErrText, err)
		}
		copy(v.Word[12:], a[:])
	case Bool:
		if s != "true" && s != "false" {
			return bad("true or false")
		}
		if s == "true" {
			v.Word[31] = 1
		}
	case FixedBytes, Bytes:
		b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
		if err != nil || !strings.HasPrefix(s, "0x") || t.Kind == FixedBytes && len(b) != t.Size {
			return bad("0x and hex digits of its length")
		}
		if v.Bytes = b; t.Kind == FixedBytes {
			v.Bytes = nil
			copy(v.Word[:], b)
		}
	case String:
		if !utf8.ValidString(s) {
			return bad("UTF-8")
		}
		v.Bytes = []byte(s)
	default:
		return bad("a JSON array")
	}
	return v, nil
}
