// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"errors"
	"fmt"

	sumdb "golang.org/x/mod/sumdb/tlog"
)

// ErrProof says that a proof does not show what it should.
var ErrProof = errors.New("proof does not verify")

// Node names a complete subtree: the leaves from Index·2^Level up to (Index+1)·2^Level.
type Node struct {
	Level uint8
	Index uint64
}

// HashReader gives the hashes of complete subtrees, in the order asked. It is called with all nodes that a proof needs at once.
type HashReader func(nodes []Node) ([][32]byte, error)

// stored lets sumdb read through r: it numbers nodes by their place in its own storage order.
func (r HashReader) stored() sumdb.HashReader {
	return sumdb.HashReaderFunc(func(indexes []int64) ([]sumdb.Hash, error) {
		nodes := make([]Node, len(indexes))
		for i, x := range indexes {
			level, n := sumdb.SplitStoredHashIndex(x)
			nodes[i] = Node{Level: uint8(level), Index: uint64(n)}
		}
		hashes, err := r(nodes)
		if err != nil {
			return nil, err
		}
		if len(hashes) != len(nodes) {
			return nil, fmt.Errorf("hash reader gave %d hashes of %d", len(hashes), len(nodes))
		}
		out := make([]sumdb.Hash, len(hashes))
		for i, h := range hashes {
			out[i] = sumdb.Hash(h)
		}
		return out, nil
	})
}

// RootAt computes the root of the first size leaves.
func RootAt(r HashReader, size uint64) ([32]byte, error) {
	if size == 0 {
		return EmptyRoot(), nil
	}
	if size > MaxSize {
		return [32]byte{}, fmt.Errorf("root at %d: %w", size, ErrSize)
	}
	h, err := sumdb.TreeHash(int64(size), r.stored())
	if err != nil {
		return [32]byte{}, fmt.Errorf("root at %d: %w", size, err)
	}
	return h, nil
}

// ProveInclusion gives the path (RFC 6962 section 2.1.1) from leaf index to the root of the tree of size leaves.
func ProveInclusion(r HashReader, index, size uint64) ([][32]byte, error) {
	if index >= size || size > MaxSize {
		return nil, fmt.Errorf("prove leaf %d in tree of %d: %w", index, size, ErrSize)
	}
	p, err := sumdb.ProveRecord(int64(size), int64(index), r.stored())
	if err != nil {
		return nil, fmt.Errorf("prove leaf %d in tree of %d: %w", index, size, err)
	}
	return fromSumdb(p), nil
}

// VerifyInclusion checks that the leaf with this hash is leaf index of the tree of size leaves with this root.
func VerifyInclusion(proof [][32]byte, index, size uint64, leafHash, root [32]byte) error {
	if index >= size || size > MaxSize {
		return fmt.Errorf("verify leaf %d in tree of %d: %w", index, size, ErrSize)
	}
	if err := sumdb.CheckRecord(toSumdb(proof), int64(size), sumdb.Hash(root), int64(index), sumdb.Hash(leafHash)); err != nil {
		return fmt.Errorf("leaf %d in tree of %d: %w: %w", index, size, ErrProof, err)
	}
	return nil
}

// ProveConsistency gives the proof (RFC 6962 section 2.1.2) that the tree of size leaves extends the tree of its first old leaves.
// old is at least 1: every tree extends the empty one, and there is nothing to prove.
func ProveConsistency(r HashReader, old, size uint64) ([][32]byte, error) {
	if old == 0 || old > size || size > MaxSize {
		return nil, fmt.Errorf("prove that tree of %d extends tree of %d: %w", size, old, ErrSize)
	}
	p, err := sumdb.ProveTree(int64(size), int64(old), r.stored())
	if err != nil {
		return nil, fmt.Errorf("prove that tree of %d extends tree of %d: %w", size, old, err)
	}
	return fromSumdb(p), nil
}

// VerifyConsistency checks that the tree of size leaves with root extends the tree of old leaves with oldRoot.
func VerifyConsistency(proof [][32]byte, old, size uint64, oldRoot, root [32]byte) error {
	if old == 0 || old > size || size > MaxSize {
		return fmt.Errorf("verify that tree of %d extends tree of %d: %w", size, old, ErrSize)
	}
	if err := sumdb.CheckTree(toSumdb(proof), int64(size), sumdb.Hash(root), int64(old), sumdb.Hash(oldRoot)); err != nil {
		return fmt.Errorf("tree of %d after tree of %d: %w: %w", size, old, ErrProof, err)
	}
	return nil
}

func fromSumdb(p []sumdb.Hash) [][32]byte {
	out := make([][32]byte, len(p))
	for i, h := range p {
		out[i] = h
	}
	return out
}

func toSumdb(p [][32]byte) []sumdb.Hash {
	out := make([]sumdb.Hash, len(p))
	for i, h := range p {
		out[i] = h
	}
	return out
}
