// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"encoding/binary"
	"fmt"

	"strongroom/internal/pure/canon"
)

// chain is an append-only list of records whose hash costs no more than its last chunk: full chunks are hashed once and never
// change, so that a root over millions of records is cheap and a snapshot writes only what is new.
//
// Chunks may be dropped from the front, when all their records have expired; the count of dropped ones is part of the hash.
type chain struct {
	per     int // records a chunk
	dropped uint64
	full    []chunk
	tail    []byte // records of the open chunk, each with a 4-byte length before it
	inTail  int
}

// chunk is a full run of records.
type chunk struct {
	data []byte
	hash [32]byte
	last int64 // greatest expiry of its records, Unix nanoseconds
}

func newChain(per int) chain { return chain{per: per} }

// place is where a record stands in a chain.
type place struct {
	chunk  uint64 // counted from the chain's beginning, dropped ones too
	at, to uint32 // in the chunk's data
}

// at gives the record at a place. It stays the chain's.
func (c *chain) at(p place) []byte {
	if i := p.chunk - c.dropped; i < uint64(len(c.full)) {
		return c.full[i].data[p.at:p.to]
	}
	return c.tail[p.at:p.to]
}

// add appends a record; the caller gives the greatest expiry seen in the open chunk, which matters when it fills.
func (c *chain) add(record []byte, expires int64) place {
	p := place{chunk: c.dropped + uint64(len(c.full)), at: uint32(len(c.tail) + 4), to: uint32(len(c.tail) + 4 + len(record))}
	c.tail = binary.BigEndian.AppendUint32(c.tail, uint32(len(record)))
	c.tail = append(c.tail, record...)
	c.inTail++
	if c.inTail == c.per {
		c.full = append(c.full, chunk{data: c.tail, hash: canon.HashBytes(canon.TagChain, c.tail), last: expires})
		c.tail, c.inTail = nil, 0
	}
	return p
}

// dropFront removes the first chunk and gives its records.
func (c *chain) dropFront() []byte {
	d := c.full[0].data
	c.full[0].data = nil
	c.full = c.full[1:]
	c.dropped++
	return d
}

// chainState is the encoding of a chain without the data of its full chunks.
type chainState struct {
	Per     uint64     `cbor:"1,keyasint"`
	Dropped uint64     `cbor:"2,keyasint"`
	Full    []chunkRef `cbor:"3,keyasint"`
	Tail    []byte     `cbor:"4,keyasint"`
}

type chunkRef struct {
	Hash [32]byte `cbor:"1,keyasint"`
	Last int64    `cbor:"2,keyasint"`
}

func (c *chain) state() chainState {
	s := chainState{Per: uint64(c.per), Dropped: c.dropped, Full: make([]chunkRef, len(c.full)), Tail: c.tail}
	for i, f := range c.full {
		s.Full[i] = chunkRef{Hash: f.hash, Last: f.last}
	}
	return s
}

// restore rebuilds a chain; load gives a chunk's data by hash and is not trusted.
func (s chainState) restore(per int, load func([32]byte) ([]byte, error)) (chain, error) {
	c := chain{per: per, dropped: s.Dropped}
	if s.Per != uint64(per) {
		return c, fmt.Errorf("chain has %d records a chunk, want %d", s.Per, per)
	}
	for _, r := range s.Full {
		data, err := load(r.Hash)
		if err != nil {
			return c, err
		}
		if canon.HashBytes(canon.TagChain, data) != r.Hash {
			return c, fmt.Errorf("chunk %x is not what the state names", r.Hash[:8])
		}
		n := 0
		if err := records(data, func([]byte) error { n++; return nil }); err != nil || n != per {
			return c, fmt.Errorf("chunk %x has %d records, want %d: %v", r.Hash[:8], n, per, err)
		}
		c.full = append(c.full, chunk{data: data, hash: r.Hash, last: r.Last})
	}
	c.tail = append([]byte(nil), s.Tail...)
	err := records(c.tail, func([]byte) error { c.inTail++; return nil })
	if err == nil && c.inTail >= per {
		err = fmt.Errorf("open chunk has %d records, which is a full one", c.inTail)
	}
	return c, err
}

// each calls f with every record, in order.
func (c *chain) each(f func(record []byte) error) error {
	for _, k := range c.full {
		if err := records(k.data, f); err != nil {
			return err
		}
	}
	return records(c.tail, f)
}

// places calls f with every record and its place, in order.
func (c *chain) places(f func(p place, record []byte) error) error {
	for i := range len(c.full) + 1 {
		data := c.tail
		if i < len(c.full) {
			data = c.full[i].data
		}
		at := uint32(0)
		err := records(data, func(b []byte) error {
			p := place{chunk: c.dropped + uint64(i), at: at + 4, to: at + 4 + uint32(len(b))}
			at = p.to
			return f(p, b)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// records walks the records of a chunk.
func records(data []byte, f func(record []byte) error) error {
	for len(data) > 0 {
		if len(data) < 4 {
			return fmt.Errorf("chunk ends inside a length")
		}
		n := binary.BigEndian.Uint32(data)
		data = data[4:]
		if uint64(n) > uint64(len(data)) {
			return fmt.Errorf("chunk ends inside a record")
		}
		if err := f(data[:n:n]); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}
