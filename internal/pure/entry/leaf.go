// SPDX-License-Identifier: Apache-2.0

// Package entry has the entries of a domain's log: the leaf that is hashed into the chain and the tree, and the body of each
// kind. Kinds and versions are frozen: a change of meaning is a new version, and Apply for the old one stays for ever
// (docs/spec/log-entry.md).
package entry

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/tlog"
)

// MaxLeaf is the largest leaf, in bytes.
const MaxLeaf = 4096

// MaxBodies is how many bodies an entry may have.
const MaxBodies = 4

// MaxBody is the largest body, in bytes.
const MaxBody = 8 << 20

// SaltSize is the length of a body's salt, in bytes.
const SaltSize = 16

// Class says who may read a body. The fold and every decision read public and confidential bodies only.
type Class uint8

// The classes.
const (
	Public       Class = 1 // kept in clear
	Confidential Class = 2 // encrypted under the read key of the domain and period, which auditors are given
	Personal     Class = 3 // encrypted under a key of its subject, which can be destroyed
)

// Kind names what an entry records.
type Kind string

// The kinds. The first body of each is the type of the same name.
const (
	KindGenesis  Kind = "genesis"
	KindRequest  Kind = "request"
	KindApproval Kind = "approval"
	KindPermit   Kind = "permit"
	KindResult   Kind = "result"
	KindRefusal  Kind = "refusal"
	KindEffect   Kind = "effect"
	KindSession  Kind = "session"
	KindSnapshot Kind = "snapshot"
	KindWriter   Kind = "writer"

	KindReencipher Kind = "reencipher"
	KindErased     Kind = "erased"
	KindTamper     Kind = "tamper"

	KindReanchor Kind = "reanchor"
	KindGap      Kind = "gap"
	KindUses     Kind = "uses" // its second body is [UseRecords]
	KindOffline  Kind = "offline"
	KindQuotes   Kind = "quotes"
	KindVerdicts Kind = "verdicts"
)

// Engine1 is the id of the decision engine that this version writes: decoders, rule evaluation and bounds as in docs/spec.
// Audit re-decides with the engine named in the entry; old engines stay.
const Engine1 = "strongroom/1"

// BodyRef names a body that lies out of line.
type BodyRef struct {
	Class Class    `cbor:"1,keyasint"`
	Hash  [32]byte `cbor:"2,keyasint"` // [HashBody]
	Len   uint64   `cbor:"3,keyasint"` // length of the body in clear, bytes
}

// Leaf is the header of an entry: at most 4 KiB, and all that the tree, the tiles and witnesses carry.
type Leaf struct {
	V           uint                `cbor:"1,keyasint"` // 1
	Authority   custody.AuthorityID `cbor:"2,keyasint"` // zero in genesis
	Domain      custody.DomainID    `cbor:"3,keyasint"` // zero in genesis
	Seq         uint64              `cbor:"4,keyasint"`
	Prev        [32]byte            `cbor:"5,keyasint"` // RFC 6962 leaf hash of the entry before; zero in genesis
	Kind        Kind                `cbor:"6,keyasint"`
	KindVersion uint                `cbor:"7,keyasint"`
	Engine      string              `cbor:"8,keyasint"`
	Writer      uint64              `cbor:"9,keyasint"`  // writer epoch
	Time        int64               `cbor:"10,keyasint"` // Unix nanoseconds; never less than the entry before
	Bound       int64               `cbor:"11,keyasint"` // the true time is within Time ± Bound, nanoseconds
	Bodies      []BodyRef           `cbor:"12,keyasint"`
}

// Encode gives the canonical encoding.
func (l Leaf) Encode() []byte { return canon.Encode(&l) }

// Hash gives the RFC 6962 leaf hash of an encoded leaf.
func Hash(leaf []byte) [32]byte { return tlog.LeafHash(leaf) }

// DecodeLeaf reads a canonical leaf and checks its form.
func DecodeLeaf(b []byte) (Leaf, error) {
	var l Leaf
	if len(b) > MaxLeaf {
		return l, fmt.Errorf("leaf has %d bytes, more than %d", len(b), MaxLeaf)
	}
	if err := canon.Decode(b, &l); err != nil {
		return l, fmt.Errorf("leaf: %w", err)
	}
	if l.V != 1 {
		return l, fmt.Errorf("leaf: version %d is not known; this version reads 1", l.V)
	}
	if len(l.Bodies) > MaxBodies {
		return l, fmt.Errorf("leaf: %d bodies, more than %d", len(l.Bodies), MaxBodies)
	}
	if l.Time < 0 || l.Bound < 0 {
		return l, errors.New("leaf: time and bound must not be negative")
	}
	for i, r := range l.Bodies {
		if r.Class < Public || r.Class > Personal || r.Len > MaxBody {
			return l, fmt.Errorf("leaf: body %d has class %d and length %d, which are not allowed", i, r.Class, r.Len)
		}
	}
	return l, nil
}

// HashBody is how a leaf names a body: SHA-256 under [canon.TagBody] of salt and body.
func HashBody(salt [SaltSize]byte, body []byte) [32]byte {
	h := sha256.New()
	h.Write([]byte(canon.TagBody))
	h.Write([]byte{0})
	h.Write(salt[:])
	h.Write(body)
	var out [32]byte
	h.Sum(out[:0])
	return out
}

// Ref names a body for a leaf.
func Ref(c Class, salt [SaltSize]byte, body []byte) BodyRef {
	return BodyRef{Class: c, Hash: HashBody(salt, body), Len: uint64(len(body))}
}

// CheckBody says whether a body with its salt is the one that ref names.
func CheckBody(ref BodyRef, salt [SaltSize]byte, body []byte) error {
	if uint64(len(body)) != ref.Len || HashBody(salt, body) != ref.Hash {
		return errors.New("body is not the one that its leaf names")
	}
	return nil
}

// prevAt is where seq begins in an encoded leaf: behind the map's head, the version, two ids and the key 4.
const prevAt = 1 + 2 + (1 + 2 + 32) + (1 + 2 + 32) + 1

// PrevOf reads a leaf's prev without decoding the rest: what stands before it has fixed places in the canonical encoding but for the
// length of seq. Whether the leaf is well-formed is for [DecodeLeaf] to say.
func PrevOf(leaf []byte) (prev [32]byte, err error) {
	bad := errors.New("leaf: it does not begin as a leaf of version 1 does")
	if len(leaf) < prevAt+1 || leaf[0] != 0xac || leaf[1] != 1 || leaf[2] != 1 || leaf[3] != 2 || leaf[38] != 3 || leaf[73] != 4 {
		return prev, bad
	}
	at := prevAt + 1 // behind the first byte of seq
	switch head := leaf[prevAt]; {
	case head <= 0x17:
	case head >= 0x18 && head <= 0x1b:
		at += 1 << (head - 0x18)
	default:
		return prev, bad
	}
	if len(leaf) < at+3+32 || leaf[at] != 5 || leaf[at+1] != 0x58 || leaf[at+2] != 0x20 {
		return prev, bad
	}
	return [32]byte(leaf[at+3:]), nil
}
