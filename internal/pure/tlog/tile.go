// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// TileHeight is how many levels of the tree a tile spans, and TileWidth how many hashes a full one has (C2SP tlog-tiles).
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight
)

// ErrTile is wrapped by every error about a tile or bundle that can't be read.
var ErrTile = errors.New("malformed tile")

// Tile names a hash tile: Width hashes of complete subtrees of 256^Level leaves, from subtree Index·256 on.
type Tile struct {
	Level uint8
	Index uint64
	Width int // 1 to TileWidth; less than TileWidth is a partial tile
}

// Path is where the tile lies below a log's prefix, with slashes: tile/<L>/<N>[.p/<W>].
func (t Tile) Path() string {
	return "tile/" + strconv.Itoa(int(t.Level)) + "/" + tileNumber(t.Index) + tileSuffix(t.Width)
}

// BundlePath is where the entry bundle of the leaves from index·256 on lies below a log's prefix: tile/entries/<N>[.p/<W>].
func BundlePath(index uint64, width int) string {
	return "tile/entries/" + tileNumber(index) + tileSuffix(width)
}

// PartialDir is the folder that holds the partial forms of the thing at path, a full tile's or bundle's.
func PartialDir(path string) string { return path + ".p" }

// tileNumber writes n in groups of three digits, all but the last behind an x.
func tileNumber(n uint64) string {
	s := fmt.Sprintf("%03d", n%1000)
	for n /= 1000; n > 0; n /= 1000 {
		s = fmt.Sprintf("x%03d/", n%1000) + s
	}
	return s
}

func tileSuffix(width int) string {
	if width == TileWidth {
		return ""
	}
	return ".p/" + strconv.Itoa(width)
}

// TilesOf counts the full tiles at a level of a tree of size leaves, and the hashes in the partial one after them.
func TilesOf(size uint64, level uint8) (full uint64, partial int) {
	if level > 7 { // 256^8 does not fit 64 bits, and no tree is that large
		return 0, 0
	}
	n := size >> (TileHeight * level)
	return n / TileWidth, int(n % TileWidth)
}

// EncodeTile joins the hashes of a tile.
func EncodeTile(hashes [][32]byte) []byte {
	b := make([]byte, 0, len(hashes)*HashSize)
	for _, h := range hashes {
		b = append(b, h[:]...)
	}
	return b
}

// DecodeTile splits a tile of width hashes.
func DecodeTile(b []byte, width int) ([][32]byte, error) {
	if width < 1 || width > TileWidth || len(b) != width*HashSize {
		return nil, fmt.Errorf("%w: %d bytes for a width of %d", ErrTile, len(b), width)
	}
	out := make([][32]byte, width)
	for i := range out {
		copy(out[i][:], b[i*HashSize:])
	}
	return out, nil
}

// SubtreeRoot is the root over 2^k adjacent hashes of complete subtrees of equal size. Other counts are a programming error: it panics.
func SubtreeRoot(hashes [][32]byte) [32]byte {
	n := len(hashes)
	if n == 0 || n&(n-1) != 0 {
		panic("tlog: subtree of " + strconv.Itoa(n) + " hashes")
	}
	if n == 1 {
		return hashes[0]
	}
	return NodeHash(SubtreeRoot(hashes[:n/2]), SubtreeRoot(hashes[n/2:]))
}

// AppendBundle adds a leaf to an entry bundle: a big-endian 16-bit length, and the leaf.
func AppendBundle(bundle, leaf []byte) ([]byte, error) {
	if len(leaf) > MaxLeaf {
		return nil, fmt.Errorf("%w: a leaf of %d bytes does not fit an entry bundle", ErrTile, len(leaf))
	}
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
	return append(bundle, leaf...), nil
}

// ParseBundle splits an entry bundle into at most TileWidth leaves, which alias b.
func ParseBundle(b []byte) ([][]byte, error) {
	var out [][]byte
	for len(b) > 0 {
		if len(b) < 2 {
			return nil, fmt.Errorf("%w: bundle ends inside a length", ErrTile)
		}
		n := int(binary.BigEndian.Uint16(b))
		if len(b) < 2+n {
			return nil, fmt.Errorf("%w: bundle ends inside a leaf", ErrTile)
		}
		if len(out) == TileWidth {
			return nil, fmt.Errorf("%w: bundle has more than %d leaves", ErrTile, TileWidth)
		}
		out = append(out, b[2:2+n:2+n])
		b = b[2+n:]
	}
	return out, nil
}
