// SPDX-License-Identifier: Apache-2.0

package eth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Reasons why bytes are not the canonical RLP of what is expected; a [DecodeError] says which field it was.
var (
	ErrTruncated    = errors.New("input ends before the item does")
	ErrTrailing     = errors.New("bytes follow after the end")
	ErrNonCanonical = errors.New("item is not in its shortest form")
	ErrItemKind     = errors.New("item is a list where a string belongs, or the reverse")
	ErrItemSize     = errors.New("item has the wrong size")
)

// DecodeError names the field of a transaction that could not be decoded, and why.
type DecodeError struct {
	Field string
	Err   error
}

func (e *DecodeError) Error() string { return fmt.Sprintf("decode %s: %v", e.Field, e.Err) }

// Unwrap returns the reason.
func (e *DecodeError) Unwrap() error { return e.Err }

// First bytes of RLP items, Ethereum yellow paper appendix B.
const (
	rlpShortString = 0x80 // up to 55 bytes follow
	rlpLongString  = 0xb7 // + size of the size
	rlpShortList   = 0xc0
	rlpLongList    = 0xf7
	rlpMaxShort    = 55
)

// rlpReader reads items one after the other. The first failure stays: later reads return zero values, and err tells.
type rlpReader struct {
	rest []byte
	err  error
}

func (r *rlpReader) fail(field string, err error) {
	if r.err == nil {
		r.err = &DecodeError{Field: field, Err: err}
	}
}

// item takes the next item and returns its content.
func (r *rlpReader) item(field string, wantList bool) []byte {
	if r.err != nil {
		return nil
	}
	isList, header, size, err := rlpHeader(r.rest)
	if err != nil {
		r.fail(field, err)
		return nil
	}
	if isList != wantList {
		r.fail(field, ErrItemKind)
		return nil
	}
	content := r.rest[header : header+size]
	r.rest = r.rest[header+size:]
	return content
}

// rlpHeader reads the header of the first item in b and guarantees that header and content lie within b.
func rlpHeader(b []byte) (isList bool, header, size int, err error) {
	if len(b) == 0 {
		return false, 0, 0, ErrTruncated
	}
	first := b[0]
	if first < rlpShortString {
		return false, 0, 1, nil // the byte is its own content
	}
	isList = first >= rlpShortList
	short, long := byte(rlpShortString), byte(rlpLongString)
	if isList {
		short, long = rlpShortList, rlpLongList
	}
	header = 1
	if first <= long {
		size = int(first - short)
	} else {
		n := int(first - long) // 1 to 8 bytes of size
		if len(b) < 1+n {
			return false, 0, 0, ErrTruncated
		}
		var wide [8]byte
		copy(wide[8-n:], b[1:1+n])
		value := binary.BigEndian.Uint64(wide[:])
		if b[1] == 0 || value <= rlpMaxShort {
			return false, 0, 0, ErrNonCanonical
		}
		if value > uint64(len(b)) {
			return false, 0, 0, ErrTruncated
		}
		header, size = 1+n, int(value)
	}
	if len(b)-header < size {
		return false, 0, 0, ErrTruncated
	}
	if !isList && size == 1 && b[header] < rlpShortString {
		return false, 0, 0, ErrNonCanonical
	}
	return isList, header, size, nil
}

// bytes reads a string of at most limit bytes and copies it; an empty string is nil.
func (r *rlpReader) bytes(field string, limit int) []byte {
	return append([]byte(nil), r.view(field, limit)...)
}

// view reads a string of at most limit bytes, which it shares with the input.
func (r *rlpReader) view(field string, limit int) []byte {
	b := r.item(field, false)
	if len(b) > limit {
		r.fail(field, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrItemSize, len(b), limit))
		return nil
	}
	return b
}

// integer reads a big-endian integer of at most limit bytes without leading zeros; zero is the empty string.
func (r *rlpReader) integer(field string, limit int) Uint256 {
	b := r.item(field, false)
	switch {
	case len(b) > 0 && b[0] == 0:
		r.fail(field, fmt.Errorf("%w: leading zero", ErrNonCanonical))
	case len(b) > limit:
		r.fail(field, fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrItemSize, len(b), limit))
	default:
		var u Uint256
		copy(u[len(u)-len(b):], b)
		return u
	}
	return Uint256{}
}

func (r *rlpReader) uint256(field string) Uint256 { return r.integer(field, 32) }

func (r *rlpReader) uint64(field string) uint64 {
	u := r.integer(field, 8)
	return binary.BigEndian.Uint64(u[24:])
}

// list opens the next item, a list, and returns a reader of its content.
func (r *rlpReader) list(field string) *rlpReader {
	content := r.item(field, true)
	return &rlpReader{rest: content, err: r.err}
}

// end requires that everything was read, and returns the first failure.
func (r *rlpReader) end(field string) error {
	if len(r.rest) != 0 {
		r.fail(field, fmt.Errorf("%w: %d bytes", ErrTrailing, len(r.rest)))
	}
	return r.err
}

// appendHeader appends the shortest header of an item with size bytes of content; short is its base: string or list.
func appendHeader(dst []byte, short byte, size int) []byte {
	if size <= rlpMaxShort {
		return append(dst, short+byte(size))
	}
	n := (bits.Len(uint(size)) + 7) / 8
	var wide [8]byte
	binary.BigEndian.PutUint64(wide[:], uint64(size))
	return append(append(dst, short+rlpMaxShort+byte(n)), wide[8-n:]...)
}

// appendString appends b as an RLP string.
func appendString(dst, b []byte) []byte {
	if len(b) == 1 && b[0] < rlpShortString {
		return append(dst, b[0])
	}
	return append(appendHeader(dst, rlpShortString, len(b)), b...)
}

// appendInteger appends u as an RLP string without leading zeros.
func appendInteger(dst []byte, u Uint256) []byte {
	b := u[:]
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	return appendString(dst, b)
}

// appendUint64 appends v as an RLP string without leading zeros.
func appendUint64(dst []byte, v uint64) []byte { return appendInteger(dst, FromUint64(v)) }

// appendList appends a list whose items are already encoded in content.
func appendList(dst, content []byte) []byte {
	return append(appendHeader(dst, rlpShortList, len(content)), content...)
}
