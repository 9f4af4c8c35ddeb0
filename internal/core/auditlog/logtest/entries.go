// SPDX-License-Identifier: Apache-2.0

// Package logtest has the conformance suites that every [auditlog.Store] and [auditlog.Anchor] passes, and simple entries to fill logs with.
// It is imported by tests only.
package logtest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/pure/tlog"
)

// A leaf here is: hash of the leaf before (32 bytes), sequence number (8, big-endian), SHA-256 of each body.
const leafHeader = tlog.HashSize + 8

// Entries reads the leaves that Record makes.
func Entries() auditlog.Entries {
	return auditlog.Entries{PrevOf: prevOf, CheckBodies: checkBodies}
}

func prevOf(leaf []byte) ([32]byte, error) {
	if len(leaf) < leafHeader {
		return [32]byte{}, errors.New("leaf is too short")
	}
	return [32]byte(leaf[:32]), nil
}

func checkBodies(leaf []byte, bodies [][]byte) error {
	want := leaf[leafHeader:]
	if len(want) != 32*len(bodies) {
		return fmt.Errorf("%d bodies, the leaf names %d", len(bodies), len(want)/32)
	}
	for i, b := range bodies {
		if h := sha256.Sum256(b); !bytes.Equal(h[:], want[32*i:32*i+32]) {
			return fmt.Errorf("body %d is another one", i)
		}
	}
	return nil
}

// Record makes entry seq after the entry with hash prev.
func Record(prev [32]byte, seq uint64, bodies ...[]byte) auditlog.Record {
	leaf := append([]byte(nil), prev[:]...)
	leaf = binary.BigEndian.AppendUint64(leaf, seq)
	for _, b := range bodies {
		h := sha256.Sum256(b)
		leaf = append(leaf, h[:]...)
	}
	return auditlog.Record{Leaf: leaf, Bodies: bodies}
}

// Chain makes n records from entry from on after the entry with hash prev, with zero to two bodies each.
func Chain(prev [32]byte, from uint64, n int) []auditlog.Record {
	recs := make([]auditlog.Record, n)
	for i := range recs {
		seq := from + uint64(i)
		var bodies [][]byte
		for b := range int(seq % 3) {
			bodies = append(bodies, fmt.Appendf(nil, "body %d of entry %d", b, seq))
		}
		recs[i] = Record(prev, seq, bodies...)
		prev = tlog.LeafHash(recs[i].Leaf)
	}
	return recs
}

// Equal says whether two records have the same leaf and bodies.
func Equal(a, b auditlog.Record) bool {
	if !bytes.Equal(a.Leaf, b.Leaf) || len(a.Bodies) != len(b.Bodies) {
		return false
	}
	for i := range a.Bodies {
		if !bytes.Equal(a.Bodies[i], b.Bodies[i]) {
			return false
		}
	}
	return true
}
