// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/binary"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
)

// shape is which of its three forms a frame has. They differ in their keys, so the bytes say which it is.
type shape uint8

const (
	request shape = iota + 1 // {1: stream, 2: method, 3: body}
	reply                    // {1: stream, 3: body}
	failure                  // {1: stream, 4: fault}
)

// frame is one message on the wire. Its codec is written by hand, because every call passes it four times; tests and a fuzz target hold
// it to what package canon does with the structs of the specification.
type frame struct {
	shape  shape
	stream uint64 // from 1, counting; 0 only in a failure, for the whole connection
	method string // request
	body   []byte // request and reply
	fault  *fault // failure
}

// Initial bytes of CBOR items (RFC 8949 section 3.1): the major type in the upper three bits.
const (
	majorUint  = 0 << 5
	majorBytes = 2 << 5
	majorText  = 3 << 5
	majorMap   = 5 << 5
)

// Keys of the frame map.
const (
	keyStream = 1
	keyMethod = 2
	keyBody   = 3
	keyFault  = 4
)

// malformed is the problem of bytes that are no frame. It ends the connection: after it nobody knows where the next frame begins.
func malformed(format string, args ...any) *problem.Error {
	return problem.New(problem.Malformed, "frame: "+format, args...)
}

// appendHead appends the initial bytes of an item in their shortest form (RFC 8949 section 4.2.1).
func appendHead(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= 0xff:
		return append(dst, major|24, byte(n))
	case n <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n <= 0xffffffff:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, major|27), n)
	}
}

// takeHead reads the initial bytes of an item of a major type; ok is false unless they have their shortest form.
func takeHead(b []byte, major byte) (n uint64, rest []byte, ok bool) {
	if len(b) == 0 || b[0]&0xe0 != major {
		return 0, nil, false
	}
	info, b := b[0]&0x1f, b[1:]
	switch {
	case info < 24:
		return uint64(info), b, true
	case info == 24 && len(b) >= 1:
		return uint64(b[0]), b[1:], b[0] >= 24
	case info == 25 && len(b) >= 2:
		n = uint64(binary.BigEndian.Uint16(b))
		return n, b[2:], n > 0xff
	case info == 26 && len(b) >= 4:
		n = uint64(binary.BigEndian.Uint32(b))
		return n, b[4:], n > 0xffff
	case info == 27 && len(b) >= 8:
		n = binary.BigEndian.Uint64(b)
		return n, b[8:], n > 0xffffffff
	}
	return 0, nil, false
}

// takeKey reads one of the frame's keys, all of which are below 24 and so one byte.
func takeKey(b []byte, key byte) ([]byte, bool) {
	if len(b) == 0 || b[0] != majorUint|key {
		return nil, false
	}
	return b[1:], true
}

// takeString reads a text or byte string.
func takeString(b []byte, major byte) (s, rest []byte, ok bool) {
	n, b, ok := takeHead(b, major)
	if !ok || n > uint64(len(b)) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}

// appendHeader appends everything of f but the body's bytes, which come last.
func (f *frame) appendHeader(dst []byte) []byte {
	pairs := uint64(2)
	if f.shape == request {
		pairs = 3
	}
	dst = appendHead(dst, majorMap, pairs)
	dst = appendHead(append(dst, majorUint|keyStream), majorUint, f.stream)
	if f.shape == failure {
		return append(append(dst, majorUint|keyFault), canon.Encode(f.fault)...)
	}
	if f.shape == request {
		dst = appendHead(append(dst, majorUint|keyMethod), majorText, uint64(len(f.method)))
		dst = append(dst, f.method...)
	}
	return appendHead(append(dst, majorUint|keyBody), majorBytes, uint64(len(f.body)))
}

// append appends the whole encoding of f.
func (f *frame) append(dst []byte) []byte {
	return append(f.appendHeader(dst), f.body...)
}

// overhead is the most bytes that a request or reply has besides its body: map, three keys, stream, method, length of the body.
const overhead = 1 + 3 + 9 + 2 + MaxMethod + 9

// names gives the string of a method's name; a connection keeps the ones it saw, so that no call allocates one.
type names map[string]string

// maxNames bounds what names keeps: a core has far fewer methods, and a peer that invents some gains nothing.
const maxNames = 256

func (n names) of(b []byte) string {
	if s, ok := n[string(b)]; ok {
		return s
	}
	s := string(b)
	if n != nil && len(n) < maxNames {
		n[s] = s
	}
	return s
}

// parse reads one frame. It accepts exactly the canonical encodings of the three shapes; the body is a part of b.
func parse(b []byte, known names) (frame, error) {
	pairs, b, ok := takeHead(b, majorMap)
	if !ok || pairs < 2 || pairs > 3 {
		return frame{}, malformed("it starts with no map of 2 or 3 pairs")
	}
	b, ok = takeKey(b, keyStream)
	if !ok {
		return frame{}, malformed("the first key is not %d", keyStream)
	}
	f := frame{}
	if f.stream, b, ok = takeHead(b, majorUint); !ok {
		return frame{}, malformed("the stream is no number in its shortest form")
	}
	if len(b) == 0 {
		return frame{}, malformed("it ends after the stream")
	}
	switch {
	case pairs == 3 && b[0] == keyMethod:
		f.shape = request
		var name []byte
		if name, b, ok = takeString(b[1:], majorText); !ok {
			return frame{}, malformed("the method is no text")
		}
		if err := checkMethod(name); err != nil {
			return frame{}, malformed("%v", err)
		}
		f.method = known.of(name)
	case pairs == 2 && b[0] == keyBody:
		f.shape = reply
	case pairs == 2 && b[0] == keyFault:
		f.shape = failure
		f.fault = new(fault)
		if err := f.fault.decode(b[1:]); err != nil {
			return frame{}, malformed("fault: %v", err)
		}
		return f, nil
	default:
		return frame{}, malformed("%d pairs and a second key %#x are no request, reply or failure", pairs, b[0])
	}
	if f.stream == 0 {
		return frame{}, malformed("stream 0 is for failures of the connection")
	}
	if b, ok = takeKey(b, keyBody); !ok {
		return frame{}, malformed("the last key is not %d", keyBody)
	}
	if f.body, b, ok = takeString(b, majorBytes); !ok {
		return frame{}, malformed("the body is no byte string")
	}
	if len(b) != 0 {
		return frame{}, malformed("%d bytes come after it", len(b))
	}
	return f, nil
}

// checkMethod refuses what is no method's name: 1 to [MaxMethod] bytes of a-z, 0-9, '.' and '-'.
func checkMethod[S string | []byte](name S) error {
	if len(name) == 0 || len(name) > MaxMethod {
		return fmt.Errorf("a method's name has %d bytes; use 1 to %d", len(name), MaxMethod)
	}
	for i := range len(name) {
		c := name[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '-' {
			return fmt.Errorf("a method's name holds byte %#x; use a-z, 0-9, '.' and '-'", c)
		}
	}
	return nil
}
