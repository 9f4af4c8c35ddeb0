// SPDX-License-Identifier: Apache-2.0

package watchapp

import (
	"context"
	"fmt"
	"math/bits"

	"strongroom/internal/pure/tlog"
)

// edge gives the frontier of the first size entries of a tree of at least so many, from its tiles. Nobody believes it: what is appended to it must
// lead to the root of a signed checkpoint, which it does only if it is right.
func edge(ctx context.Context, src Source, size, tree uint64) (f tlog.Frontier, err error) {
	for level := 63 - bits.LeadingZeros64(size|1); level >= 0; level-- {
		if size>>level&1 == 0 {
			continue
		}
		root, err := subtree(ctx, src, uint8(level), f.Size()>>level, tree)
		if err == nil {
			err = f.AppendSubtree(uint8(level), root)
		}
		if err != nil {
			return f, fmt.Errorf("tree of the first %d entries: %w", size, err)
		}
	}
	return f, nil
}

// subtree gives the root of the complete subtree of 2^level leaves with a number.
func subtree(ctx context.Context, src Source, level uint8, index, tree uint64) (root [32]byte, err error) {
	up := level % tlog.TileHeight
	n := 1 << up // hashes of the tile's level below the root
	t := tlog.Tile{Level: level / tlog.TileHeight, Index: index << up / tlog.TileWidth, Width: tlog.TileWidth}
	full, partial := tlog.TilesOf(tree, t.Level)
	if t.Index >= full {
		t.Width = partial
	}
	at := int(index << up % tlog.TileWidth)
	if t.Index > full || at+n > t.Width {
		return root, fmt.Errorf("a tree of %d entries has no such part", tree)
	}
	b, err := src.Tile(ctx, t.Path()[len("tile/"):])
	if err != nil {
		return root, err
	}
	hashes, err := tlog.DecodeTile(b, t.Width)
	if err != nil {
		return root, &Alarm{fmt.Errorf("tile %s: %w", t.Path(), err)}
	}
	return tlog.SubtreeRoot(hashes[at : at+n]), nil
}
