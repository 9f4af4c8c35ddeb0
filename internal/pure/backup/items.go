// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom/internal/pure/custody"
)

// ErrContent says that the content of a pack is not well formed. It was sealed by the domain, so it is a fault of ours.
var ErrContent = errors.New("the content of a pack is not well formed")

// Limits of an item; those of a record are the log's.
const (
	maxBodies = 64
	maxRecord = 40 << 20
	maxBlob   = 128 << 10
)

// Kinds of item.
const (
	itemRecord byte = 1
	itemBlob   byte = 2
	itemEnd    byte = 3
)

// Record is an entry as the log's store has it.
type Record struct {
	Leaf   []byte
	Bodies [][]byte
}

// Blob is a sealed key under the hash that the log names.
type Blob struct {
	Key  custody.KeyID
	Blob []byte
}

// Content is what a pack has in clear.
type Content struct {
	Records []Record // of the entries from First on
	Blobs   []Blob   // in any order, no two alike
}

// Encode gives the bytes of a content. Integers are big-endian. An item is its kind (1 byte) and its length (4), then: of a record the length of
// the leaf (4), the number of bodies (4), the length of each (4), leaf and bodies; of a blob the length of the key id (4), id and blob; of the
// end the number of records (4) and of blobs (4).
func (c Content) Encode() []byte {
	var out []byte
	for _, r := range c.Records {
		size := 8 + len(r.Leaf)
		for _, b := range r.Bodies {
			size += 4 + len(b)
		}
		out = header(out, itemRecord, size)
		out = binary.BigEndian.AppendUint32(out, uint32(len(r.Leaf)))
		out = binary.BigEndian.AppendUint32(out, uint32(len(r.Bodies)))
		for _, b := range r.Bodies {
			out = binary.BigEndian.AppendUint32(out, uint32(len(b)))
		}
		out = append(out, r.Leaf...)
		for _, b := range r.Bodies {
			out = append(out, b...)
		}
	}
	for _, b := range c.Blobs {
		out = header(out, itemBlob, 4+len(b.Key)+len(b.Blob))
		out = binary.BigEndian.AppendUint32(out, uint32(len(b.Key)))
		out = append(out, b.Key...)
		out = append(out, b.Blob...)
	}
	out = header(out, itemEnd, 8)
	out = binary.BigEndian.AppendUint32(out, uint32(len(c.Records)))
	return binary.BigEndian.AppendUint32(out, uint32(len(c.Blobs)))
}

func header(out []byte, kind byte, size int) []byte {
	return binary.BigEndian.AppendUint32(append(out, kind), uint32(size))
}

// DecodeContent reads a content. The result shares the bytes.
func DecodeContent(b []byte) (Content, error) {
	var c Content
	in := reader{b: b}
	for {
		kind, item := in.byte(), in.take(in.length(maxRecord+maxBodies*4+8))
		if in.bad {
			return Content{}, fmt.Errorf("%w: it ends inside an item", ErrContent)
		}
		x := reader{b: item}
		switch {
		case kind == itemRecord && len(c.Blobs) == 0:
			c.Records = append(c.Records, x.record())
		case kind == itemBlob:
			id := custody.KeyID(x.take(x.length(maxBlob)))
			if id.Check() != nil || len(x.b) > maxBlob {
				return Content{}, fmt.Errorf("%w: blob %d", ErrContent, len(c.Blobs))
			}
			c.Blobs = append(c.Blobs, Blob{Key: id, Blob: x.take(len(x.b))})
		case kind == itemEnd:
			if x.length(1<<31) != len(c.Records) || x.length(1<<31) != len(c.Blobs) || x.bad || len(x.b) > 0 || len(in.b) > 0 {
				return Content{}, fmt.Errorf("%w: its end does not count what it has", ErrContent)
			}
			return c, nil
		default:
			return Content{}, fmt.Errorf("%w: an item of kind %d is not expected", ErrContent, kind)
		}
		if x.bad || len(x.b) > 0 {
			return Content{}, fmt.Errorf("%w: an item of kind %d has another length", ErrContent, kind)
		}
	}
}

// reader takes a beginning off its bytes, as long as there are enough.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) byte() byte {
	b := r.take(1)
	if r.bad {
		return 0
	}
	return b[0]
}

// length reads a length of at most a limit.
func (r *reader) length(most int) int {
	b := r.take(4)
	if r.bad {
		return 0
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(most) {
		r.bad = true
		return 0
	}
	return int(n)
}

func (r *reader) record() (out Record) {
	leaf, n := r.length(maxRecord), r.length(maxBodies)
	sizes := make([]int, n)
	for i := range sizes {
		sizes[i] = r.length(maxRecord)
	}
	out.Leaf = r.take(leaf)
	for _, size := range sizes {
		out.Bodies = append(out.Bodies, r.take(size))
	}
	return out
}
