// SPDX-License-Identifier: Apache-2.0

package abi

import (
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"

	"strongroom/internal/pure/eth"
)

// ErrData is wrapped by every error about data that is not the one encoding of its values.
var ErrData = errors.New("call data")

// Value is a value of a type: a word as it is encoded, or bytes of [Bytes] and [String], or the values that it is made of.
type Value struct {
	Type  Type
	Word  [32]byte // numbers, addresses, bools, fixed bytes
	Bytes []byte   // Bytes and String
	Items []Value  // Array, Slice and Tuple
}

// Text writes a value that is not made of others: numbers in decimal digits, addresses as EIP-55, bytes as 0x and hex digits,
// strings as they are. Others give "".
func (v Value) Text() string {
	switch v.Type.Kind {
	case Uint:
		return eth.Uint256(v.Word).String()
	case Int:
		if v.Word[0] >= 0x80 {
			return "-" + eth.Uint256(negate(v.Word)).String()
		}
		return eth.Uint256(v.Word).String()
	case Address:
		return eth.Address(v.Word[12:]).String()
	case Bool:
		if v.Word[31] == 1 {
			return "true"
		}
		return "false"
	case FixedBytes:
		return "0x" + hex.EncodeToString(v.Word[:v.Type.Size])
	case Bytes:
		return "0x" + hex.EncodeToString(v.Bytes)
	case String:
		return string(v.Bytes)
	default:
		return ""
	}
}

// negate gives the two's complement.
func negate(w [32]byte) (out [32]byte) {
	carry := uint16(1)
	for i := 31; i >= 0; i-- {
		carry += uint16(^w[i])
		out[i] = byte(carry)
		carry >>= 8
	}
	return out
}

// checkWord says whether a word is how a value of the type is encoded.
func checkWord(t Type, w [32]byte) error {
	fill, from, to := byte(0), 0, 0
	switch t.Kind {
	case Uint:
		to = word - t.Size/8
	case Int:
		to = word - t.Size/8
		if w[to] >= 0x80 {
			fill = 0xff
		}
	case Address:
		to = word - eth.AddressSize
	case Bool:
		if to = word - 1; w[to] > 1 {
			return fmt.Errorf("%w: a bool is %d", ErrData, w[to])
		}
	case FixedBytes:
		from, to = t.Size, word
	}
	for _, b := range w[from:to] {
		if b != fill {
			return fmt.Errorf("%w: the padding of %s is not clean", ErrData, t)
		}
	}
	return nil
}

// Decode reads data that is exactly the encoding of values of some types. The result doesn't share memory with data.
func Decode(types []Type, data []byte) ([]Value, error) {
	if len(data) > eth.MaxDataSize {
		return nil, fmt.Errorf("%w: it has %d bytes, more than %d", ErrData, len(data), eth.MaxDataSize)
	}
	vs, n, err := decodeList(types, data)
	if err == nil && n != len(data) {
		err = fmt.Errorf("%w: %d bytes stand after its end", ErrData, len(data)-n)
	}
	return vs, err
}

var errShort = fmt.Errorf("%w: it ends too early", ErrData)

// decodeList reads a list from the front of data and says how long it is. Offsets must lead to the values in their order, without
// gaps, so that each byte is read once.
func decodeList(types []Type, data []byte) ([]Value, int, error) {
	end := heads(types)
	if end > len(data) {
		return nil, 0, errShort
	}
	out := make([]Value, 0, len(types))
	at := 0
	for _, t := range types {
		if !t.dynamic() {
			v, err := decodeStatic(t, data[at:])
			if err != nil {
				return nil, 0, err
			}
			out, at = append(out, v), at+t.head()
			continue
		}
		if offset, ok := eth.Uint256(data[at : at+word]).Uint64(); !ok || offset != uint64(end) {
			return nil, 0, fmt.Errorf("%w: an offset is not the one of its value's place, %d", ErrData, end)
		}
		v, n, err := decodeDynamic(t, data[end:])
		if err != nil {
			return nil, 0, err
		}
		out, at, end = append(out, v), at+word, end+n
	}
	return out, end, nil
}

// decodeStatic reads a value of fixed size; data has that many bytes.
func decodeStatic(t Type, data []byte) (Value, error) {
	v := Value{Type: t}
	parts := t.Fields
	if t.Kind == Array {
		parts = repeat(*t.Elem, t.Size)
	}
	if parts == nil {
		v.Word = [32]byte(data)
		return v, checkWord(t, v.Word)
	}
	var err error
	v.Items, _, err = decodeList(parts, data)
	return v, err
}

func repeat(t Type, n int) []Type {
	out := make([]Type, n)
	for i := range out {
		out[i] = t
	}
	return out
}

// decodeDynamic reads a value that stands behind an offset, and says how long it is.
func decodeDynamic(t Type, data []byte) (v Value, n int, err error) {
	v.Type = t
	switch t.Kind {
	case Tuple:
		v.Items, n, err = decodeList(t.Fields, data)
		return v, n, err
	case Array:
		if t.Size*t.Elem.head() > len(data) {
			return v, 0, errShort
		}
		v.Items, n, err = decodeList(repeat(*t.Elem, t.Size), data)
		return v, n, err
	}
	if len(data) < word {
		return v, 0, errShort
	}
	length, ok := eth.Uint256(data[:word]).Uint64()
	data = data[word:]
	if !ok || length > uint64(len(data)) {
		return v, 0, errShort
	}
	if t.Kind == Slice {
		if length*uint64(t.Elem.head()) > uint64(len(data)) {
			return v, 0, errShort
		}
		v.Items, n, err = decodeList(repeat(*t.Elem, int(length)), data)
		return v, word + n, err
	}
	padded := (int(length) + word - 1) / word * word
	if padded > len(data) {
		return v, 0, errShort
	}
	for _, b := range data[length:padded] {
		if b != 0 {
			return v, 0, fmt.Errorf("%w: the padding of %s is not clean", ErrData, t)
		}
	}
	v.Bytes = append([]byte{}, data[:length]...)
	if t.Kind == String && !utf8.Valid(v.Bytes) {
		return v, 0, fmt.Errorf("%w: a string is not UTF-8", ErrData)
	}
	return v, word + padded, nil
}

// Encode gives the one encoding of values, which [Decode] reads. The values must fit their types, as those that this package makes do.
func Encode(vs []Value) []byte {
	size := 0
	for _, v := range vs {
		size += v.Type.head()
	}
	var head, tail []byte
	for _, v := range vs {
		if !v.Type.dynamic() {
			head = append(head, v.encode()...)
			continue
		}
		head = appendNumber(head, size+len(tail))
		tail = append(tail, v.encode()...)
	}
	return append(head, tail...)
}

func (v Value) encode() []byte {
	switch v.Type.Kind {
	case Array, Tuple:
		return Encode(v.Items)
	case Slice:
		return append(appendNumber(nil, len(v.Items)), Encode(v.Items)...)
	case Bytes, String:
		out := append(appendNumber(nil, len(v.Bytes)), v.Bytes...)
		return append(out, make([]byte, (word-len(v.Bytes)%word)%word)...)
	default:
		return v.Word[:]
	}
}

func appendNumber(b []byte, n int) []byte {
	u := eth.FromUint64(uint64(n))
	return append(b, u[:]...)
}

// DecodeCall reads the call data of a function: its selector, and its arguments. It checks that they encode to the same bytes again.
func (f Function) DecodeCall(data []byte) ([]Value, error) {
	if len(data) < 4 || eth.Selector(data) != f.Selector() {
		return nil, fmt.Errorf("%w: it does not begin with the selector of %s", ErrData, f)
	}
	vs, err := Decode(f.Inputs, data[4:])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	if string(f.EncodeCall(vs)) != string(data) {
		return nil, fmt.Errorf("%s: %w: it does not encode to the same bytes again", f, ErrData)
	}
	return vs, nil
}

// EncodeCall gives the call data of a function with arguments of its types.
func (f Function) EncodeCall(args []Value) []byte {
	s := f.Selector()
	return append(s[:], Encode(args)...)
}
