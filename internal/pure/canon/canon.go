// SPDX-License-Identifier: Apache-2.0

// Package canon is the one encoding of everything that is hashed, signed or kept: CBOR with core deterministic encoding
// (RFC 8949 section 4.2.1), strictly decoded.
//
// It refuses what has two readings: unknown or duplicate keys, indefinite lengths, floats, tags, non-minimal integers,
// keys out of order, invalid UTF-8 and bytes after the value. Decode(b) succeeds only if Encode of the result is b.
package canon

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"reflect"

	"github.com/fxamacker/cbor/v2"
)

// ErrNotCanonical says that bytes decode but are not the one encoding of what they decode to.
var ErrNotCanonical = errors.New("not the canonical encoding")

// MaxSize is the largest encoding that Decode reads, in bytes.
const MaxSize = 16 << 20

var encMode = mustEnc()

var decMode = mustDec()

func mustEnc() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.TagsMd = cbor.TagsForbidden
	o.NilContainers = cbor.NilContainerAsEmpty
	m, err := o.EncMode()
	if err != nil {
		panic(err) // constant options: a programming error
	}
	return m
}

func mustDec() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		IntDec:            cbor.IntDecConvertNone,
		MaxNestedLevels:   maxNested,
		MaxArrayElements:  maxElements,
		MaxMapPairs:       maxPairs,
	}.DecMode()
	if err != nil {
		panic(err) // constant options: a programming error
	}
	return m
}

// Encode gives the canonical encoding of v. It panics if v can't be encoded, which only a type that has no encoding does:
// every value of a type used with this package has one, and a test of that type shows it.
func Encode(v any) []byte {
	buf, b := encode(v)
	if len(b) > largeBuffer {
		return b
	}
	out := bytes.Clone(b)
	codecs.keep(buf, b)
	return out
}

// Append appends [Encode] of v.
func Append(to []byte, v any) []byte {
	b, err := codecs.append(to, reflect.ValueOf(v))
	if err != nil {
		panic(fmt.Sprintf("canon: %T has no encoding: %v", v, err))
	}
	return b
}

// encode is [Encode] into a buffer, which the caller gives back with what was made of it.
func encode(v any) (buf *[]byte, b []byte) {
	buf = codecs.buffers.Get().(*[]byte)
	return buf, Append((*buf)[:0], v)
}

// Decode reads the canonical encoding b into v, a pointer. An error names what is wrong; v is then undefined.
func Decode(b []byte, v any) error {
	if len(b) > MaxSize {
		return fmt.Errorf("encoding has %d bytes, more than %d", len(b), MaxSize)
	}
	return DecodeLarge(b, v)
}

// DecodeLarge is [Decode] without a limit of size, for files that this process wrote itself.
func DecodeLarge(b []byte, v any) error {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return fmt.Errorf("decode: into %T, which is no pointer or nil", v)
	}
	in := reader{b: b}
	if err := codecs.of(p.Type().Elem()).get(&in, p.Elem()); err != nil {
		return fmt.Errorf("decode: byte %d: %w", in.at, err)
	}
	if in.left() > 0 {
		return fmt.Errorf("decode: %d bytes after the value", in.left())
	}
	// Whatever was read, this alone makes it the canonical encoding.
	buf := codecs.buffers.Get().(*[]byte)
	again, err := codecs.append((*buf)[:0], p.Elem())
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	same := bytes.Equal(again, b)
	codecs.keep(buf, again)
	if !same {
		return ErrNotCanonical
	}
	return nil
}

// Message is what is signed or MACed for v under tag: the tag's text, a zero byte, the encoding. Tags hold no zero byte,
// so no two uses share a message.
func Message(tag Tag, v any) []byte { return TagBytes(tag, Encode(v)) }

// TagBytes is [Message] for bytes that are encoded already.
func TagBytes(tag Tag, encoded []byte) []byte {
	m := make([]byte, 0, len(tag)+1+len(encoded))
	m = append(m, tag...)
	m = append(m, 0)
	return append(m, encoded...)
}

// Hash is SHA-256 of [Message].
func Hash(tag Tag, v any) [32]byte {
	buf, b := encode(v)
	h := HashBytes(tag, b)
	codecs.keep(buf, b)
	return h
}

// HashBytes is SHA-256 of [TagBytes] of an encoding, which may come in pieces.
func HashBytes(tag Tag, encoded ...[]byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(tag))
	h.Write([]byte{0})
	for _, b := range encoded {
		h.Write(b)
	}
	var out [32]byte
	h.Sum(out[:0])
	return out
}

// Raw is an encoding that was made already, as a part of another. It must be one canonical value.
type Raw []byte

// AppendCBOR implements [Appender].
func (r *Raw) AppendCBOR(to []byte) []byte { return append(to, *r...) }

// MarshalCBOR gives the encoding itself.
func (r Raw) MarshalCBOR() ([]byte, error) { return r, nil }

// UnmarshalCBOR keeps a copy of the encoding.
func (r *Raw) UnmarshalCBOR(b []byte) error {
	*r = bytes.Clone(b)
	return nil
}
