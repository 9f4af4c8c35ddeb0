// SPDX-License-Identifier: Apache-2.0

package strictjson

import (
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

func itoa(i int) string { return strconv.Itoa(i) }

// text reads a string.
func (d *decoder) text() (string, error) {
	d.pos++ // "
	from := d.pos
	for d.pos < len(d.data) {
		switch c := d.data[d.pos]; {
		case c == '"':
			s := d.data[from:d.pos]
			if !utf8.Valid(s) {
				return "", d.syntax("a string is not valid UTF-8")
			}
			d.pos++
			return string(s), nil
		case c == '\\':
			return d.escaped(from)
		case c < ' ':
			return "", d.syntax("a control character in a string; write it as \\u%04x", c)
		default:
			d.pos++
		}
	}
	return "", d.syntax("a string does not end")
}

// escaped reads on, from the first backslash of a string that began at from.
func (d *decoder) escaped(from int) (string, error) {
	out := append([]byte(nil), d.data[from:d.pos]...)
	for d.pos < len(d.data) {
		c := d.data[d.pos]
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", d.syntax("a string is not valid UTF-8")
			}
			d.pos++
			return string(out), nil
		case c < ' ':
			return "", d.syntax("a control character in a string; write it as \\u%04x", c)
		case c != '\\':
			out = append(out, c)
			d.pos++
		default:
			r, err := d.escape()
			if err != nil {
				return "", err
			}
			out = utf8.AppendRune(out, r)
		}
	}
	return "", d.syntax("a string does not end")
}

// escape reads one escape sequence, or the two of a surrogate pair.
func (d *decoder) escape() (rune, error) {
	d.pos++ // \
	c := d.peek()
	d.pos = min(d.pos+1, len(d.data))
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		hi, err := d.hex4()
		if err != nil || !utf16.IsSurrogate(hi) {
			return hi, err
		}
		if d.pos+1 >= len(d.data) || d.data[d.pos] != '\\' || d.data[d.pos+1] != 'u' {
			return 0, d.syntax("half of a surrogate pair in a string")
		}
		d.pos += 2
		lo, err := d.hex4()
		if err != nil {
			return 0, err
		}
		if r := utf16.DecodeRune(hi, lo); r != utf8.RuneError {
			return r, nil
		}
		return 0, d.syntax("half of a surrogate pair in a string")
	default:
		return 0, d.syntax("not an escape sequence of JSON")
	}
}

func (d *decoder) hex4() (rune, error) {
	if d.pos+4 > len(d.data) {
		return 0, d.syntax("a string does not end")
	}
	n, err := strconv.ParseUint(string(d.data[d.pos:d.pos+4]), 16, 16)
	if err != nil {
		return 0, d.syntax("\\u takes four hex digits")
	}
	d.pos += 4
	return rune(n), nil
}
