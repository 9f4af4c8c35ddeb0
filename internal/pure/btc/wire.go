// SPDX-License-Identifier: Apache-2.0

package btc

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// reader reads Bitcoin's serialization: integers little-endian, lengths as compact sizes. The first refusal stays in err
// and makes all later reads return zero, so that callers check once at the end of a structure.
type reader struct {
	b   []byte // what is left
	n   int    // length of the whole, to say where something went wrong
	err error
}

func newReader(b []byte) *reader { return &reader{b: b, n: len(b)} }

// fail records the first refusal.
func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %w", r.n-len(r.b), err)
		r.b = nil
	}
}

// take returns the next n bytes, which alias the input.
func (r *reader) take(n int) []byte {
	if r.err == nil && n > len(r.b) {
		r.fail(ErrTruncated)
	}
	if r.err != nil {
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) u8() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// varInt reads a compact size and refuses all but its shortest form.
func (r *reader) varInt() uint64 {
	var v, least uint64
	switch first := r.u8(); first {
	case 0xfd:
		if b := r.take(2); b != nil {
			v, least = uint64(binary.LittleEndian.Uint16(b)), 0xfd
		}
	case 0xfe:
		v, least = uint64(r.u32()), 1<<16
	case 0xff:
		v, least = r.u64(), 1<<32
	default:
		v = uint64(first)
	}
	if r.err == nil && v < least {
		r.fail(ErrVarInt)
	}
	if r.err != nil {
		return 0
	}
	return v
}

// count reads how many things follow: at most limit, and, as each takes at least size bytes, no more than there can be.
func (r *reader) count(limit, size int) int {
	v := r.varInt()
	if v > uint64(limit) {
		r.fail(fmt.Errorf("%w: %d entries, at most %d", ErrTooLarge, v, limit))
	}
	if r.err == nil && v > uint64(len(r.b)/size) {
		r.fail(ErrTruncated)
	}
	if r.err != nil {
		return 0
	}
	return int(v)
}

// varBytes reads a length, at most limit, and that many bytes, which alias the input.
func (r *reader) varBytes(limit int) []byte {
	v := r.varInt()
	if v > uint64(limit) {
		r.fail(fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, v, limit))
	}
	if r.err != nil {
		return nil
	}
	return r.take(int(v))
}

// outPoint reads an outpoint.
func (r *reader) outPoint() OutPoint {
	var o OutPoint
	copy(o.TxID[:], r.take(len(o.TxID)))
	o.Index = r.u32()
	return o
}

// txOut reads an output; its script is a copy.
func (r *reader) txOut() TxOut {
	v := Sat(r.u64())
	if err := v.Check(); err != nil {
		r.fail(err)
	}
	return TxOut{Value: v, Script: slices.Clone(Script(r.varBytes(MaxScriptBytes)))}
}

// end refuses what is left over and returns the first refusal.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail(ErrTrailing)
	}
	return r.err
}

// appendVarInt appends a compact size in its shortest form.
func appendVarInt(b []byte, v uint64) []byte {
	switch {
	case v < 0xfd:
		return append(b, byte(v))
	case v < 1<<16:
		return binary.LittleEndian.AppendUint16(append(b, 0xfd), uint16(v))
	case v < 1<<32:
		return binary.LittleEndian.AppendUint32(append(b, 0xfe), uint32(v))
	default:
		return binary.LittleEndian.AppendUint64(append(b, 0xff), v)
	}
}

// appendVarBytes appends a length and the bytes.
func appendVarBytes(b, v []byte) []byte { return append(appendVarInt(b, uint64(len(v))), v...) }

// varIntSize is how many bytes appendVarInt takes for a length.
func varIntSize(v int) int { return len(appendVarInt(nil, uint64(v))) }
