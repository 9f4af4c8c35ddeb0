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
		MaxNestedLevels:   24,
		MaxArrayElements:  1 << 22,
		MaxMapPairs:       1 << 16,
	}.DecMode()
	if err != nil {
		panic(err) // constant options: a programming error
	}
	return m
}

// Encode gives the canonical encoding of v. It panics if v can't be encoded, which only a type that has no encoding does:
// every value of a type used with this package has one, and a test of that type shows it.
func Encode(v any) []byte {
	b, err := encMode.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("canon: %T has no encoding: %v", v, err))
	}
	return b
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
	if err := decMode.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	again, err := encMode.Marshal(v)
	if err != nil {
		return fmt.Errorf("decode: %w", err)
	}
	if !bytes.Equal(again, b) {
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
func Hash(tag Tag, v any) [32]byte { return HashBytes(tag, Encode(v)) }

// HashBytes is SHA-256 of [TagBytes].
func HashBytes(tag Tag, encoded []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(tag))
	h.Write([]byte{0})
	h.Write(encoded)
	var out [32]byte
	h.Sum(out[:0])
	return out
}
