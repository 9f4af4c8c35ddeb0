// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"fmt"
	"math/bits"

	"strongroom/internal/pure/canon"
)

// Frontier is the right edge of a tree: what is needed to append leaves and to know the root, without the leaves themselves. It
// holds the roots of the complete subtrees that the tree decomposes into, one for each bit set in its size (a compact range from 0).
// The zero Frontier is the empty tree. Assigning a Frontier copies it whole (2 KiB); two frontiers are == if they are of equal trees.
type Frontier struct {
	size  uint64
	peaks [62][32]byte // peaks[l] is the root of a complete subtree of 2^l leaves if bit l of size is set, else zero
}

// frontierWire is the encoding: see docs/spec/log-store.md, "Frontier". Numbers are never reused.
type frontierWire struct {
	Size  uint64     `cbor:"1,keyasint"`
	Peaks [][32]byte `cbor:"2,keyasint"` // left to right: largest subtree first
}

// Size is the number of leaves.
func (f *Frontier) Size() uint64 { return f.size }

// Append adds a leaf by its [LeafHash]. It panics at MaxSize, which no log reaches.
func (f *Frontier) Append(leafHash [32]byte) { f.push(0, leafHash) }

// AppendSubtree adds a complete subtree of 2^level leaves by its root. The size must be a multiple of 2^level, else the subtree has
// no place here: ErrSize.
func (f *Frontier) AppendSubtree(level uint8, root [32]byte) error {
	if level > 60 || f.size&(1<<level-1) != 0 || f.size > MaxSize-1<<level {
		return fmt.Errorf("append a subtree of 2^%d leaves to a tree of %d: %w", level, f.size, ErrSize)
	}
	f.push(level, root)
	return nil
}

func (f *Frontier) push(level uint8, h [32]byte) {
	if f.size >= MaxSize {
		panic("tlog: tree is full")
	}
	l := level
	for ; f.size>>l&1 == 1; l++ {
		h = NodeHash(f.peaks[l], h)
		f.peaks[l] = [32]byte{}
	}
	f.peaks[l] = h
	f.size += 1 << level
}

// Root is the Merkle tree hash (RFC 6962 section 2.1).
func (f *Frontier) Root() [32]byte {
	if f.size == 0 {
		return EmptyRoot()
	}
	l := bits.TrailingZeros64(f.size)
	h := f.peaks[l]
	for l++; f.size>>l != 0; l++ {
		if f.size>>l&1 == 1 {
			h = NodeHash(f.peaks[l], h)
		}
	}
	return h
}

// Peak gives the root of a complete subtree that is one of those into which the tree falls apart; others a frontier does not know.
func (f *Frontier) Peak(n Node) (root [32]byte, known bool) {
	if n.Level > 61 || f.size>>n.Level&1 == 0 || n.Index != f.size>>n.Level-1 {
		return [32]byte{}, false
	}
	return f.peaks[n.Level], true
}

// LastLeaf gives the hash of the last leaf, which a frontier knows at odd sizes only.
func (f *Frontier) LastLeaf() (hash [32]byte, known bool) {
	return f.peaks[0], f.size&1 == 1
}

// Marshal gives the canonical encoding.
func (f *Frontier) Marshal() []byte {
	w := frontierWire{Size: f.size, Peaks: make([][32]byte, 0, bits.OnesCount64(f.size))}
	for l := bits.Len64(f.size) - 1; l >= 0; l-- {
		if f.size>>l&1 == 1 {
			w.Peaks = append(w.Peaks, f.peaks[l])
		}
	}
	return canon.Encode(w)
}

// UnmarshalFrontier reads the canonical encoding. It can't know whether the peaks are those of any tree: compare Root with a
// checkpoint.
func UnmarshalFrontier(b []byte) (Frontier, error) {
	var w frontierWire
	var f Frontier
	if err := canon.Decode(b, &w); err != nil {
		return f, fmt.Errorf("frontier: %w", err)
	}
	if w.Size > MaxSize {
		return f, fmt.Errorf("frontier of %d leaves: %w", w.Size, ErrSize)
	}
	if len(w.Peaks) != bits.OnesCount64(w.Size) {
		return f, fmt.Errorf("frontier of %d leaves has %d peaks, not %d", w.Size, len(w.Peaks), bits.OnesCount64(w.Size))
	}
	f.size = w.Size
	for l := bits.Len64(w.Size) - 1; l >= 0; l-- {
		if w.Size>>l&1 == 1 {
			f.peaks[l] = w.Peaks[0]
			w.Peaks = w.Peaks[1:]
		}
	}
	return f, nil
}
