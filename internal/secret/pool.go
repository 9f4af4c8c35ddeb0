// SPDX-License-Identifier: Apache-2.0

package secret

import "math/bits"

// The allocator of an arena: size classes of powers of two cut from blocks of 4 KiB, whole runs of blocks for what is larger. It knows
// offsets only and never touches the memory, so that its tables, which lie on the Go heap, say nothing about what is stored.

const (
	blockSize  = 4096
	classes    = 7  // 32, 64, 128, 256, 512, 1024, 2048
	minSlot    = 32 // the smallest slot: one scalar
	maxSlot    = minSlot << (classes - 1)
	maxPerSlab = blockSize / minSlot
)

// end says from which end of the arena a slot is taken. Pads that mask cached secrets come from the far end, so that one stretch of memory
// read by mistake doesn't hold both.
type end uint8

const (
	near end = iota
	far
	ends
)

// slot is a stretch of the arena handed out: size is what it occupies, which may be more than was asked for.
type slot struct{ off, size int }

type use uint8

const (
	unused use = iota // free block
	slab              // cut into slots of one class
	run               // first block of a run of whole blocks
	inRun             // a later one
)

// block is the record of one block. next and prev link slabs of one class and end that have a free slot; none ends the list.
type block struct {
	use        use
	class      uint8
	end        end
	count      int // slab: slots taken; run: blocks
	taken      [maxPerSlab / 64]uint64
	prev, next int32
}

const none = int32(-1)

type pool struct {
	blocks  []block
	partial [ends][classes]int32
	lowest  int // no free block lies below
	highest int // no free block lies above
	used    int // bytes
	live    int // slots
}

func newPool(size int) pool {
	p := pool{blocks: make([]block, size/blockSize)}
	p.highest = len(p.blocks) - 1
	for e := range p.partial {
		for c := range p.partial[e] {
			p.partial[e][c] = none
		}
	}
	return p
}

// take finds room for n bytes, n > 0.
func (p *pool) take(n int, e end) (slot, bool) {
	if n > maxSlot {
		return p.takeRun((n+blockSize-1)/blockSize, e)
	}
	class := 0
	for minSlot<<class < n {
		class++
	}
	at := p.partial[e][class]
	if at == none {
		i, ok := p.findRun(1, e)
		if !ok {
			return slot{}, false
		}
		at = int32(i)
		p.blocks[i] = block{use: slab, class: uint8(class), end: e}
		p.link(at)
	}
	b := &p.blocks[at]
	size := minSlot << class
	i := b.firstFree()
	b.taken[i/64] |= 1 << (i % 64)
	b.count++
	if b.count == blockSize/size {
		p.unlink(at)
	}
	p.used += size
	p.live++
	return slot{off: int(at)*blockSize + i*size, size: size}, true
}

func (p *pool) takeRun(count int, e end) (slot, bool) {
	first, ok := p.findRun(count, e)
	if !ok {
		return slot{}, false
	}
	for i := range count {
		p.blocks[first+i] = block{use: inRun}
	}
	p.blocks[first] = block{use: run, count: count}
	p.used += count * blockSize
	p.live++
	return slot{off: first * blockSize, size: count * blockSize}, true
}

// give takes back a slot that take handed out.
func (p *pool) give(s slot) {
	at := s.off / blockSize
	b := &p.blocks[at]
	p.used -= s.size
	p.live--
	if b.use == run {
		for i := range b.count {
			p.release(at + i)
		}
		return
	}
	i := s.off % blockSize / s.size
	full := b.count == blockSize/s.size
	b.taken[i/64] &^= 1 << (i % 64)
	b.count--
	switch {
	case b.count == 0:
		if !full {
			p.unlink(int32(at))
		}
		p.release(at)
	case full:
		p.link(int32(at))
	}
}

func (p *pool) release(at int) {
	p.blocks[at] = block{}
	p.lowest = min(p.lowest, at)
	p.highest = max(p.highest, at)
}

// findRun looks for count free blocks in a row, from the near or the far end, and tightens the bound on the side it searched.
func (p *pool) findRun(count int, e end) (int, bool) {
	found := 0
	if e == near {
		for p.lowest <= p.highest && p.blocks[p.lowest].use != unused {
			p.lowest++
		}
		for i := p.lowest; i <= p.highest; i++ {
			found = p.extend(found, i)
			if found == count {
				return i - count + 1, true
			}
		}
		return 0, false
	}
	for p.highest >= p.lowest && p.blocks[p.highest].use != unused {
		p.highest--
	}
	for i := p.highest; i >= p.lowest; i-- {
		found = p.extend(found, i)
		if found == count {
			return i, true
		}
	}
	return 0, false
}

func (p *pool) extend(found, at int) int {
	if p.blocks[at].use == unused {
		return found + 1
	}
	return 0
}

// firstFree returns the lowest free slot of a slab that has one.
func (b *block) firstFree() int {
	for w, word := range b.taken {
		if word != ^uint64(0) {
			return w*64 + bits.TrailingZeros64(^word)
		}
	}
	panic("secret: a full slab is listed as partial")
}

func (p *pool) link(at int32) {
	b := &p.blocks[at]
	head := &p.partial[b.end][b.class]
	b.prev, b.next = none, *head
	if *head != none {
		p.blocks[*head].prev = at
	}
	*head = at
}

func (p *pool) unlink(at int32) {
	b := &p.blocks[at]
	if b.prev == none {
		p.partial[b.end][b.class] = b.next
	} else {
		p.blocks[b.prev].next = b.next
	}
	if b.next != none {
		p.blocks[b.next].prev = b.prev
	}
}
