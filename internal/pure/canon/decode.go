// SPDX-License-Identifier: Apache-2.0

package canon

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"
)

// What a reader refuses.
var (
	errShort   = errors.New("the encoding ends early")
	errType    = errors.New("a value of another type")
	errRange   = errors.New("a number out of range")
	errText    = errors.New("text that is not UTF-8")
	errUnknown = errors.New("an unknown key, or one out of order")
	errDeep    = errors.New("lists and maps that are nested too deeply")
	errLong    = errors.New("a list or map with too many elements")
)

// Limits of what is read. The module has the same, for what is left to it.
const (
	maxNested   = 24
	maxElements = 1 << 22
	maxPairs    = 1 << 16
)

// reader reads an encoding. It takes lengths and numbers in their shortest form only; the rest of what canonical means is for
// [DecodeLarge] to check.
type reader struct {
	b     []byte
	at    int
	depth int // lists and maps that are open
}

// left gives the number of bytes that were not read.
func (r *reader) left() int { return len(r.b) - r.at }

// head reads a head: the major type and its argument. For simple values that is the value.
func (r *reader) head() (major byte, n uint64, err error) {
	if r.left() < 1 {
		return 0, 0, errShort
	}
	first := r.b[r.at]
	r.at++
	major, n = first&0xe0, uint64(first&0x1f)
	if n < 24 {
		return major, n, nil
	}
	if n > 27 || major == majorSimple {
		return 0, 0, fmt.Errorf("%w: head %#x", ErrNotCanonical, first) // indefinite, reserved, a float or a simple value in two bytes
	}
	size := 1 << (n - 24)
	if r.left() < size {
		return 0, 0, errShort
	}
	switch p := r.b[r.at:]; size {
	case 1:
		n = uint64(p[0])
	case 2:
		n = uint64(binary.BigEndian.Uint16(p))
	case 4:
		n = uint64(binary.BigEndian.Uint32(p))
	default:
		n = binary.BigEndian.Uint64(p)
	}
	r.at += size
	if least := [...]uint64{1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[size]; n < least {
		return 0, 0, fmt.Errorf("%w: a number that is longer than need be", ErrNotCanonical)
	}
	return major, n, nil
}

// want reads a head of a major type.
func (r *reader) want(major byte) (uint64, error) {
	m, n, err := r.head()
	if err == nil && m != major {
		err = errType
	}
	return n, err
}

// text reads a string of bytes or text; what it gives is part of the encoding.
func (r *reader) text(major byte) ([]byte, error) {
	n, err := r.want(major)
	if err != nil {
		return nil, err
	}
	return r.take(n)
}

func (r *reader) take(n uint64) ([]byte, error) {
	if n > uint64(r.left()) {
		return nil, errShort
	}
	b := r.b[r.at:][:n:n]
	r.at += int(n)
	return b, nil
}

// open reads the head of a list or map, which close ends.
func (r *reader) open(major byte) (int, error) {
	n, err := r.want(major)
	if err != nil {
		return 0, err
	}
	return int(n), r.enter(major, n)
}

// enter counts a list or map of n elements or pairs as open.
func (r *reader) enter(major byte, n uint64) error {
	switch {
	case major == majorArray && n > maxElements || major == majorMap && n > maxPairs:
		return errLong
	case n > uint64(r.left()): // each takes a byte at least
		return errShort
	}
	if r.depth++; r.depth > maxNested {
		return errDeep
	}
	return nil
}

func (r *reader) close() { r.depth-- }

// item reads a value of any type and gives its encoding.
func (r *reader) item() ([]byte, error) {
	from := r.at
	err := r.skip()
	return r.b[from:r.at:r.at], err
}

// skip reads a value of any type. What is in it is for whoever is given it to check.
func (r *reader) skip() error {
	major, n, err := r.head()
	if err != nil {
		return err
	}
	switch major {
	case majorBytes, majorText:
		_, err = r.take(n)
		return err
	case majorArray, majorMap:
		if err := r.enter(major, n); err != nil {
			return err
		}
		defer r.close()
		if major == majorMap {
			n *= 2
		}
		for range n {
			if err := r.skip(); err != nil {
				return err
			}
		}
	case majorTag:
		return fmt.Errorf("%w: a tag", ErrNotCanonical)
	}
	return nil
}

func getBool(in *reader, v reflect.Value) error {
	n, err := in.want(majorSimple)
	if err == nil && n != uint64(simpleFalse&^majorSimple) && n != uint64(simpleTrue&^majorSimple) {
		err = errType
	}
	v.SetBool(n == uint64(simpleTrue&^majorSimple))
	return err
}

func getUint(in *reader, v reflect.Value) error {
	n, err := in.want(majorUint)
	if err == nil && v.OverflowUint(n) {
		err = errRange
	}
	v.SetUint(n)
	return err
}

func getInt(in *reader, v reflect.Value) error {
	major, n, err := in.head()
	switch {
	case err != nil:
		return err
	case major != majorUint && major != majorNegInt:
		return errType
	case n > 1<<63-1:
		return errRange
	}
	i := int64(n)
	if major == majorNegInt {
		i = -1 - i
	}
	if v.OverflowInt(i) {
		return errRange
	}
	v.SetInt(i)
	return nil
}

func getString(in *reader, v reflect.Value) error {
	b, err := in.text(majorText)
	if err == nil && !utf8.Valid(b) {
		err = errText
	}
	if err == nil {
		v.SetString(string(b))
	}
	return err
}

func getBytes(in *reader, v reflect.Value) error {
	b, err := in.text(majorBytes)
	if err == nil {
		v.SetBytes(append(make([]byte, 0, len(b)), b...)) // never nil
	}
	return err
}

func getByteArray(in *reader, v reflect.Value) error {
	b, err := in.text(majorBytes)
	if err == nil && len(b) != v.Len() {
		err = errType
	}
	if err == nil {
		copy(v.Bytes(), b)
	}
	return err
}

// firstElements is how many elements of a list get room before the first is read: what a list says of its length may be a lie.
const firstElements = 64

func getSlice(e *codec) func(in *reader, v reflect.Value) error {
	return func(in *reader, v reflect.Value) error {
		n, err := in.open(majorArray)
		if err != nil {
			return err
		}
		if v.IsNil() || v.Cap() < n || n == 0 {
			most := min(n, firstElements)
			v.Set(reflect.MakeSlice(v.Type(), most, most))
		}
		v.SetLen(min(n, v.Cap()))
		for i := range n {
			if i == v.Len() {
				v.Grow(1)
				v.SetLen(min(n, v.Cap()))
			}
			if err := e.get(in, v.Index(i)); err != nil {
				return err
			}
		}
		in.close()
		return nil
	}
}

func getArray(e *codec) func(in *reader, v reflect.Value) error {
	return func(in *reader, v reflect.Value) error {
		n, err := in.open(majorArray)
		if err == nil && n != v.Len() {
			err = errType
		}
		for i := 0; i < n && err == nil; i++ {
			err = e.get(in, v.Index(i))
		}
		in.close()
		return err
	}
}

func getPointer(e *codec) func(in *reader, v reflect.Value) error {
	return func(in *reader, v reflect.Value) error {
		if in.left() > 0 && in.b[in.at] == simpleNull {
			in.at++
			v.SetZero()
			return nil
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return e.get(in, v.Elem())
	}
}

// getStruct reads the fields that are there, which stand in the order of their keys. That none is missing shows when they are encoded again.
func getStruct(fields []field) func(in *reader, v reflect.Value) error {
	return func(in *reader, v reflect.Value) error {
		n, err := in.open(majorMap)
		if err != nil {
			return err
		}
		rest := fields
		for range n {
			for len(rest) > 0 && !bytes.HasPrefix(in.b[in.at:], rest[0].key) {
				rest = rest[1:]
			}
			if len(rest) == 0 {
				return errUnknown
			}
			f := &rest[0]
			in.at += len(f.key)
			if err := f.codec.get(in, v.Field(f.index)); err != nil {
				return fmt.Errorf("key %d: %w", f.number(), err)
			}
			rest = rest[1:]
		}
		in.close()
		return nil
	}
}

// number is the field's key.
func (f *field) number() uint64 {
	_, n, _ := (&reader{b: f.key}).head() // our own encoding
	return n
}
