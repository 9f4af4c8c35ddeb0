// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"errors"
	"sync"

	"strongroom/internal/pure/tlog"
)

// windowLeaves is how many leaf hashes a window keeps at least, once it was given so many. It is 32 bytes each.
const windowLeaves = 1 << 13

// errOutside says that a window does not reach back to a node.
var errOutside = errors.New("before the window")

// window holds the newest leaf hashes of a tree and the frontier before them, so that what happened a moment ago can be proved without the
// disk. Its methods are safe for concurrent use.
type window struct {
	mu     sync.Mutex // guards the rest
	base   tlog.Frontier
	leaves [][32]byte             // from base on
	nodes  map[tlog.Node][32]byte // roots of complete subtrees of leaves, from level knownFrom on, as far as they were asked for
}

// knownFrom is the lowest level whose nodes are remembered: below it hashing is cheaper than remembering. Without remembering, each proof to
// each log witness would hash the whole window.
const knownFrom = 4

// start begins anew. The caller holds mu.
func (w *window) start(at tlog.Frontier, leaves [][32]byte) {
	w.base, w.leaves, w.nodes = at, leaves, map[tlog.Node][32]byte{}
}

// reset begins anew behind a tree.
func (w *window) reset(at tlog.Frontier) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start(at, nil)
}

// add appends leaf hashes, the first of which is leaf number first. It begins anew where they don't follow, which an anchor then pays for with
// reads.
func (w *window) add(before tlog.Frontier, hashes [][32]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.base.Size()+uint64(len(w.leaves)) != before.Size() {
		w.start(before, nil)
	}
	w.leaves = append(w.leaves, hashes...)
	if over := len(w.leaves) - 2*windowLeaves; over > 0 {
		for _, h := range w.leaves[:over+windowLeaves] {
			w.base.Append(h)
		}
		w.start(w.base, append([][32]byte(nil), w.leaves[over+windowLeaves:]...))
	}
}

// reader gives nodes of the tree as it is now; errOutside for those that lie before the window and are no peak of its base.
func (w *window) reader() tlog.HashReader {
	return func(nodes []tlog.Node) ([][32]byte, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		out := make([][32]byte, len(nodes))
		for i, n := range nodes {
			h, ok := w.node(n)
			if !ok {
				return nil, errOutside
			}
			out[i] = h
		}
		return out, nil
	}
}

// node gives the root of a complete subtree. The caller holds mu.
func (w *window) node(n tlog.Node) ([32]byte, bool) {
	base := w.base.Size()
	first := n.Index << n.Level
	end := first + 1<<n.Level
	switch {
	case first >= base:
		if end-base > uint64(len(w.leaves)) {
			return [32]byte{}, false
		}
		if n.Level < knownFrom {
			return tlog.SubtreeRoot(w.leaves[first-base : end-base]), true
		}
		if h, ok := w.nodes[n]; ok {
			return h, true
		}
	case end <= base:
		return w.base.Peak(n)
	}
	left, ok := w.node(tlog.Node{Level: n.Level - 1, Index: 2 * n.Index})
	if !ok {
		return left, false
	}
	right, ok := w.node(tlog.Node{Level: n.Level - 1, Index: 2*n.Index + 1})
	h := tlog.NodeHash(left, right)
	if ok && first >= base {
		w.nodes[n] = h
	}
	return h, ok
}
