// SPDX-License-Identifier: Apache-2.0

package canon

import (
	"bytes"
	"encoding"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// codec encodes and decodes values of one type. The values that it is given are addressable.
//
// The module that defines the encoding, fxamacker/cbor, takes a third of the CPU of a governed request besides the signature: it writes the
// bytes of a hash one by one through reflection, and reads everything twice. These codecs do the same for the kinds of types that our
// messages are made of, and hand every other type to it. The tests compare the two: on what they encode, accept and decode.
type codec struct {
	put   func(to []byte, v reflect.Value) ([]byte, error) // appends the encoding of v
	get   func(in *reader, v reflect.Value) error          // reads v
	empty func(v reflect.Value) bool                       // what omitempty leaves out; nil: nothing
}

// Appender is a type with an encoding of its own, which its MarshalCBOR and UnmarshalCBOR define. AppendCBOR appends what MarshalCBOR gives.
type Appender interface {
	cbor.Marshaler
	cbor.Unmarshaler
	AppendCBOR(to []byte) []byte
}

// table has the codec of each type that was used, because too many are to be written down, and buffers that are no longer used.
type table struct {
	codecs  sync.Map // reflect.Type to *codec
	buffers sync.Pool
}

// codecs is a table of what follows from types alone.
var codecs = newTable()

func newTable() *table {
	return &table{buffers: sync.Pool{New: func() any { return new([]byte) }}}
}

// largeBuffer is the capacity from which on a buffer is not kept, in bytes.
const largeBuffer = 64 << 10

// keep gives a buffer back.
func (t *table) keep(buf *[]byte, used []byte) {
	if cap(used) <= largeBuffer {
		*buf = used[:0]
		t.buffers.Put(buf)
	}
}

// of gives the codec of a type.
func (t *table) of(typ reflect.Type) *codec {
	if c, ok := t.codecs.Load(typ); ok {
		return c.(*codec)
	}
	c, _ := t.codecs.LoadOrStore(typ, newCodec(typ, map[reflect.Type]*codec{}))
	return c.(*codec)
}

// append appends the encoding of what v holds.
func (t *table) append(to []byte, v reflect.Value) ([]byte, error) {
	if !v.IsValid() {
		return append(to, simpleNull), nil
	}
	if !v.CanAddr() {
		if v.Kind() == reflect.Pointer && !v.IsNil() {
			return t.append(to, v.Elem())
		}
		p := reflect.New(v.Type()).Elem()
		p.Set(v)
		v = p
	}
	return t.of(v.Type()).put(to, v)
}

// newCodec makes the codec of a type. made has those that are being made, for types that contain themselves.
func newCodec(t reflect.Type, made map[reflect.Type]*codec) *codec {
	if c, ok := made[t]; ok {
		return c
	}
	c := new(codec)
	made[t] = c
	switch {
	case reflect.PointerTo(t).Implements(reflect.TypeFor[Appender]()) && t.Kind() != reflect.Pointer:
		*c = appenderCodec()
	case foreign(t):
		*c = otherCodec()
	default:
		*c = kindCodec(t, made)
	}
	return c
}

// foreign says whether a type has an encoding that its kind does not tell.
func foreign(t reflect.Type) bool {
	if t == reflect.TypeFor[time.Time]() || t == reflect.TypeFor[big.Int]() || strings.HasPrefix(t.PkgPath(), "github.com/fxamacker/cbor") {
		return true
	}
	for _, i := range []reflect.Type{reflect.TypeFor[cbor.Marshaler](), reflect.TypeFor[cbor.Unmarshaler](),
		reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler]()} {
		if t.Kind() != reflect.Pointer && t.Kind() != reflect.Interface && reflect.PointerTo(t).Implements(i) {
			return true
		}
	}
	return false
}

func kindCodec(t reflect.Type, made map[reflect.Type]*codec) codec {
	switch t.Kind() {
	case reflect.Bool:
		return codec{putBool, getBool, func(v reflect.Value) bool { return !v.Bool() }}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return codec{putInt, getInt, func(v reflect.Value) bool { return v.Int() == 0 }}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return codec{putUint, getUint, func(v reflect.Value) bool { return v.Uint() == 0 }}
	case reflect.String:
		return codec{putString, getString, hasNothing}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return codec{putBytes, getBytes, hasNothing}
		}
		e := newCodec(t.Elem(), made)
		return codec{putList(e), getSlice(e), hasNothing}
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return codec{putBytes, getByteArray, hasNothing}
		}
		e := newCodec(t.Elem(), made)
		return codec{putList(e), getArray(e), hasNothing}
	case reflect.Pointer:
		e := newCodec(t.Elem(), made)
		return codec{putPointer(e), getPointer(e), reflect.Value.IsNil}
	case reflect.Interface:
		return codec{putInterface, otherCodec().get, reflect.Value.IsNil}
	case reflect.Map:
		c := otherCodec()
		c.empty = hasNothing
		return c
	case reflect.Struct:
		if f, ok := fieldsOf(t, made); ok {
			return codec{putStruct(f), getStruct(f), nil}
		}
	}
	return otherCodec()
}

func hasNothing(v reflect.Value) bool { return v.Len() == 0 }

// field is a field of a struct with its key.
type field struct {
	key   []byte // encoded
	index int
	codec *codec
	omit  bool // left out when empty
}

// maxFields is the number of fields of the structs that have a codec: a bit each.
const maxFields = 64

// fieldsOf lists the fields of a struct in the order of their encoded keys. It is not ok if one is more than a number with or without
// omitempty says: another name, another option, an embedded struct.
func fieldsOf(t reflect.Type, made map[reflect.Type]*codec) (out []field, ok bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous || f.Name == "_" {
			return nil, false
		}
		if !f.IsExported() {
			continue
		}
		tag, omit := strings.CutSuffix(f.Tag.Get("cbor"), ",omitempty")
		number, plain := strings.CutSuffix(tag, ",keyasint")
		n, err := strconv.ParseUint(number, 10, 32)
		if !plain || err != nil || strconv.FormatUint(n, 10) != number {
			return nil, false
		}
		c := newCodec(f.Type, made)
		if omit && f.Type.Kind() == reflect.Struct {
			return nil, false // a struct is empty if all of it is
		}
		out = append(out, field{key: appendHead(nil, majorUint, n), index: i, codec: c, omit: omit})
	}
	slices.SortFunc(out, func(a, b field) int { return bytes.Compare(a.key, b.key) })
	for i := range out {
		if i > 0 && bytes.Equal(out[i].key, out[i-1].key) {
			return nil, false
		}
	}
	return out, len(out) > 0 && len(out) <= maxFields
}

// otherCodec leaves a type to the module.
func otherCodec() codec {
	return codec{
		put: func(to []byte, v reflect.Value) ([]byte, error) {
			b, err := encMode.Marshal(v.Interface())
			return append(to, b...), err
		},
		get: func(in *reader, v reflect.Value) error {
			item, err := in.item()
			if err != nil {
				return err
			}
			return decMode.Unmarshal(item, v.Addr().Interface())
		},
	}
}

func appenderCodec() codec {
	return codec{
		put: func(to []byte, v reflect.Value) ([]byte, error) {
			return v.Addr().Interface().(Appender).AppendCBOR(to), nil
		},
		get: func(in *reader, v reflect.Value) error {
			item, err := in.item()
			if err != nil {
				return err
			}
			return v.Addr().Interface().(Appender).UnmarshalCBOR(item)
		},
	}
}
