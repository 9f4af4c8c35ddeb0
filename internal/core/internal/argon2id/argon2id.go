// SPDX-License-Identifier: Apache-2.0

// Package argon2id is the password hash Argon2id, version 0x13 (RFC 9106), with nothing left behind of the password: why the core has its own is in
// docs/adr/0032-argon2id.md. It refuses nothing: callers have checked the cost.
//
// Copies outside the arena: none of the password. What follows from it lies in working memory on the Go heap, which is cleared before [Key] returns, and in blocks
// on the stacks of goroutines that have ended. A tag of another length than 32 or 64 bytes leaves the state of a hash behind that gives the tag.
package argon2id

import (
	"encoding/binary"
	"sync"

	"golang.org/x/crypto/blake2b"

	"strongroom/internal/secret"
)

const (
	version = 0x13
	variant = 2 // Argon2id
	slices  = 4 // of a pass, between which lanes wait for each other
	words   = 128
)

// block is 1,024 bytes of the memory.
type block [words]uint64

// run is one computation. The memory has lanes rows of length blocks.
type run struct {
	memory  []block
	passes  uint32
	lanes   uint32
	length  uint32
	segment uint32 // blocks of a lane in a slice
}

// Key derives n bytes from a password and a salt by so many passes over memory of so many KiB, in lanes that are computed side by side (RFC 9106 section 3).
// passes and lanes must be 1 at least, memory 8 times lanes. The password is copied into the arena for the time of one hash.
func Key(a *secret.Arena, password, salt []byte, passes, memory, lanes uint32, n int) ([]byte, error) {
	h0, err := first(a, password, salt, passes, memory, lanes, n)
	if err != nil {
		return nil, err
	}
	defer clear(h0[:])
	r := &run{passes: passes, lanes: lanes, segment: memory / (slices * lanes)}
	r.length = r.segment * slices
	r.memory = make([]block, r.length*lanes)
	defer clear(r.memory)
	r.begin(&h0)
	r.fill()
	return r.tag(n), nil
}

// first is H0: the hash of all parameters (section 3.2, step 1).
func first(a *secret.Arena, password, salt []byte, passes, memory, lanes uint32, n int) (h0 [blake2b.Size]byte, err error) {
	var head [24]byte
	for i, v := range []uint32{lanes, uint32(n), memory, passes, version, variant} {
		binary.LittleEndian.PutUint32(head[4*i:], v)
	}
	in, err := secret.New(a, len(head)+16+len(password)+len(salt), func(b []byte) error {
		at := copy(b, head[:])
		for _, part := range [][]byte{password, salt, nil, nil} { // no secret value, no associated data
			binary.LittleEndian.PutUint32(b[at:], uint32(len(part)))
			at += 4
			at += copy(b[at:], part)
		}
		return nil
	})
	if err != nil {
		return h0, err
	}
	defer in.Wipe()
	err = in.Use(func(b []byte) error {
		secret.Do(func() { h0 = blake2b.Sum512(b) }) // in one piece its state lies on the stack
		return nil
	})
	return h0, err
}

// begin makes the first two blocks of each lane (section 3.2, steps 3 and 4).
func (r *run) begin(h0 *[blake2b.Size]byte) {
	var in [blake2b.Size + 8]byte
	defer clear(in[:])
	copy(in[:], h0[:])
	var out [words * 8]byte
	defer clear(out[:])
	for lane := range r.lanes {
		binary.LittleEndian.PutUint32(in[blake2b.Size+4:], lane)
		for i := range uint32(2) {
			binary.LittleEndian.PutUint32(in[blake2b.Size:], i)
			long(out[:], in[:])
			b := &r.memory[lane*r.length+i]
			for w := range b {
				b[w] = binary.LittleEndian.Uint64(out[8*w:])
			}
		}
	}
}

// fill computes all other blocks, pass by pass and slice by slice.
func (r *run) fill() {
	for pass := range r.passes {
		for slice := range uint32(slices) {
			var wait sync.WaitGroup
			for lane := range r.lanes {
				wait.Go(func() { r.fillSegment(pass, slice, lane) })
			}
			wait.Wait()
		}
	}
}

// fillSegment computes the blocks of one lane in one slice (section 3.4). In the first half of the first pass the places of the blocks that are mixed in follow
// from counters, else from the blocks before.
func (r *run) fillSegment(pass, slice, lane uint32) {
	var addresses, input, zero block
	counted := pass == 0 && slice < slices/2
	if counted {
		input = block{uint64(pass), uint64(lane), uint64(slice), uint64(len(r.memory)), uint64(r.passes), variant}
	}
	next := func() {
		input[6]++
		mix(&addresses, &zero, &input, false)
		mix(&addresses, &zero, &addresses, false)
	}
	from := uint32(0)
	if pass == 0 && slice == 0 {
		if from = 2; counted { // two are there
			next()
		}
	}
	row := lane * r.length
	for i := from; i < r.segment; i++ {
		at := slice*r.segment + i
		before := &r.memory[row+(at+r.length-1)%r.length]
		random := before[0]
		if counted {
			if i%words == 0 {
				next()
			}
			random = addresses[i%words]
		}
		mix(&r.memory[row+at], before, &r.memory[r.reference(random, pass, slice, lane, i)], pass > 0)
	}
}

// reference gives the place of the block that is mixed in (sections 3.4.1.3 and 3.4.2).
func (r *run) reference(random uint64, pass, slice, lane, i uint32) uint32 {
	other := uint32(random>>32) % r.lanes
	if pass == 0 && slice == 0 {
		other = lane
	}
	size := slice * r.segment // of the blocks to choose from
	start := uint32(0)
	if pass > 0 {
		size = r.length - r.segment
		start = (slice + 1) % slices * r.segment
	}
	switch {
	case other == lane:
		size += i - 1
	case i == 0:
		size--
	}
	x := random & 0xffffffff
	x = x * x >> 32
	x = uint64(size) - 1 - uint64(size)*x>>32
	return other*r.length + (start+uint32(x))%r.length
}

// tag joins the last blocks of all lanes, and hashes them (section 3.2, steps 7 and 8).
func (r *run) tag(n int) []byte {
	last := r.memory[r.length-1]
	for lane := uint32(1); lane < r.lanes; lane++ {
		for w, v := range r.memory[lane*r.length+r.length-1] {
			last[w] ^= v
		}
	}
	var in [words * 8]byte
	for w, v := range last {
		binary.LittleEndian.PutUint64(in[8*w:], v)
	}
	clear(last[:])
	out := make([]byte, n)
	long(out, in[:])
	clear(in[:])
	return out
}
