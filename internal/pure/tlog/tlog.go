// SPDX-License-Identifier: Apache-2.0

// Package tlog is the transparency tree of a domain's log: RFC 6962 hashes, the compact frontier that a writer carries, signed
// checkpoints, inclusion and consistency proofs, and the tiles in which others read the tree. It follows RFC 6962 section 2.1 and
// C2SP signed-note, tlog-checkpoint and tlog-tiles; proofs and notes are those of golang.org/x/mod/sumdb.
//
// It refuses what has two readings: frontiers and checkpoints that are not the one encoding of what they say, checkpoints with
// extension lines, and checkpoints that no known key signed.
package tlog

import (
	"crypto/sha256"
	"errors"
)

// HashSize is the length of every hash of the tree, in bytes.
const HashSize = sha256.Size

// MaxSize is the largest number of leaves of a tree: the node numbering of sumdb/tlog fits 63 bits up to here.
const MaxSize = 1 << 61

// MaxLeaf is the longest leaf, in bytes: entry bundles have 16-bit lengths (C2SP tlog-tiles, "Log entries").
const MaxLeaf = 1<<16 - 1

// ErrSize says that a size or index lies outside the tree.
var ErrSize = errors.New("outside the tree")

// LeafHash is SHA-256(0x00 || leaf) (RFC 6962 section 2.1).
func LeafHash(leaf []byte) [32]byte {
	// One hash over one buffer: below this size a copy on the stack costs less than the hash object.
	var small [512]byte
	if len(leaf) < len(small) {
		n := copy(small[1:], leaf)
		return sha256.Sum256(small[:1+n])
	}
	h := sha256.New()
	h.Write([]byte{0})
	h.Write(leaf)
	var out [32]byte
	h.Sum(out[:0])
	return out
}

// NodeHash is SHA-256(0x01 || left || right) (RFC 6962 section 2.1).
func NodeHash(left, right [32]byte) [32]byte {
	var b [1 + 2*HashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+HashSize:], right[:])
	return sha256.Sum256(b[:])
}

// EmptyRoot is the root of a tree without leaves: SHA-256 of nothing (RFC 6962 section 2.1).
func EmptyRoot() [32]byte { return sha256.Sum256(nil) }
