// SPDX-License-Identifier: Apache-2.0

package canon

import (
	"encoding/binary"
	"reflect"
)

// Major types (RFC 8949 section 3.1), in the high three bits of a head, and simple values (section 3.3).
const (
	majorUint   byte = 0 << 5
	majorNegInt byte = 1 << 5
	majorBytes  byte = 2 << 5
	majorText   byte = 3 << 5
	majorArray  byte = 4 << 5
	majorMap    byte = 5 << 5
	majorTag    byte = 6 << 5
	majorSimple byte = 7 << 5

	simpleFalse = majorSimple | 20
	simpleTrue  = majorSimple | 21
	simpleNull  = majorSimple | 22
)

// appendHead appends a head with the shortest form of its argument (section 4.2.1).
func appendHead(to []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(to, major|byte(n))
	case n < 1<<8:
		return append(to, major|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(to, major|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(to, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(to, major|27), n)
	}
}

func putBool(to []byte, v reflect.Value) ([]byte, error) {
	if v.Bool() {
		return append(to, simpleTrue), nil
	}
	return append(to, simpleFalse), nil
}

func putUint(to []byte, v reflect.Value) ([]byte, error) {
	return appendHead(to, majorUint, v.Uint()), nil
}

func putInt(to []byte, v reflect.Value) ([]byte, error) {
	if n := v.Int(); n < 0 {
		return appendHead(to, majorNegInt, uint64(-(n + 1))), nil
	}
	return appendHead(to, majorUint, uint64(v.Int())), nil
}

func putString(to []byte, v reflect.Value) ([]byte, error) {
	s := v.String()
	return append(appendHead(to, majorText, uint64(len(s))), s...), nil
}

// putBytes appends slices and arrays of bytes; nil is the empty string.
func putBytes(to []byte, v reflect.Value) ([]byte, error) {
	b := v.Bytes()
	return append(appendHead(to, majorBytes, uint64(len(b))), b...), nil
}

// putList appends slices and arrays of anything else; nil is the empty list.
func putList(e *codec) func(to []byte, v reflect.Value) ([]byte, error) {
	return func(to []byte, v reflect.Value) ([]byte, error) {
		n := v.Len()
		to = appendHead(to, majorArray, uint64(n))
		var err error
		for i := range n {
			if to, err = e.put(to, v.Index(i)); err != nil {
				return to, err
			}
		}
		return to, nil
	}
}

func putPointer(e *codec) func(to []byte, v reflect.Value) ([]byte, error) {
	return func(to []byte, v reflect.Value) ([]byte, error) {
		if v.IsNil() {
			return append(to, simpleNull), nil
		}
		return e.put(to, v.Elem())
	}
}

func putInterface(to []byte, v reflect.Value) ([]byte, error) { return codecs.append(to, v.Elem()) }

// putStruct appends a map of the fields that are not left out.
func putStruct(fields []field) func(to []byte, v reflect.Value) ([]byte, error) {
	return func(to []byte, v reflect.Value) ([]byte, error) {
		n, out := len(fields), uint64(0) // a bit for each field that is left out
		for i := range fields {
			if f := &fields[i]; f.omit && f.codec.empty != nil && f.codec.empty(v.Field(f.index)) {
				out |= 1 << i
				n--
			}
		}
		to = appendHead(to, majorMap, uint64(n))
		var err error
		for i := range fields {
			if out&(1<<i) != 0 {
				continue
			}
			f := &fields[i]
			if to, err = f.codec.put(append(to, f.key...), v.Field(f.index)); err != nil {
				return to, err
			}
		}
		return to, nil
	}
}
