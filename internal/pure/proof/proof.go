// SPDX-License-Identifier: Apache-2.0

// Package proof has the proof file: what a domain's log says of one request, with what an outsider needs to check it who has
// nothing but the domain's public log key. docs/spec/proof-file.md describes it. The check itself is the public package verify.
package proof

import (
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// MaxFile is the largest proof file, in bytes.
const MaxFile = 16 << 20

// File is a proof file; its encoding is canonical, so that changing any byte breaks it.
type File struct {
	V          uint              `cbor:"1,keyasint"` // 1
	Request    custody.RequestID `cbor:"2,keyasint"`
	Checkpoint []byte            `cbor:"3,keyasint"` // C2SP signed checkpoint over all of Entries
	Entries    []Entry           `cbor:"4,keyasint"` // ascending and distinct: genesis; the entries that made the rule documents, the
	// wallet and the session in question; and every entry of the request
	Word Word `cbor:"5,keyasint"`
}

// Word is the domain's word that no entry which the proof should have is left out.
type Word struct {
	Size  uint64 `cbor:"1,keyasint"` // entries of the log when it was given; at most those that the checkpoint commits
	State string `cbor:"2,keyasint"` // of the request then: pending, signed, or how it ended
	Sig   []byte `cbor:"3,keyasint"` // by the domain identity key (Ed25519) over the message of [Claim]
}

// Claim is what a [Word] says: of the first Size entries of the log, these and no others concern the request, and so it stands.
type Claim struct {
	Authority custody.AuthorityID `cbor:"1,keyasint"`
	Domain    custody.DomainID    `cbor:"2,keyasint"`
	Request   custody.RequestID   `cbor:"3,keyasint"`
	Size      uint64              `cbor:"4,keyasint"`
	State     string              `cbor:"5,keyasint"`
	Entries   []uint64            `cbor:"6,keyasint"` // all entries of the file, by number, ascending
}

// Message is what the domain identity key signs.
func (c Claim) Message() []byte { return canon.Message(canon.TagProof, c) }

// Entry is one entry of the log with its place in the tree.
type Entry struct {
	Leaf   []byte     `cbor:"1,keyasint"`
	Bodies []Body     `cbor:"2,keyasint"` // one a body of the leaf; a personal one is left out
	Path   [][32]byte `cbor:"3,keyasint"` // RFC 6962 inclusion proof in the tree of Checkpoint
}

// Body is a body in clear with its salt, or left out.
type Body struct {
	Salt    []byte `cbor:"1,keyasint"` // 16 bytes
	Body    []byte `cbor:"2,keyasint"`
	LeftOut bool   `cbor:"3,keyasint,omitempty"`
}

// Encode gives the file.
func (f File) Encode() []byte { return canon.Encode(f) }

// Looks says whether b begins as a proof file of any version does: with a map of as many members, of which the first is the version. What does
// not was mistaken for a proof; what does may still be anything.
func Looks(b []byte) bool {
	want := File{V: 1}.Encode()
	return len(b) > 2 && b[0] == want[0] && b[1] == want[1] && b[2] < 0x18 // RFC 8949 section 3: a small unsigned integer
}

// Decode reads a file, strictly.
func Decode(b []byte) (File, error) {
	var f File
	if len(b) > MaxFile {
		return f, fmt.Errorf("proof file has %d bytes, more than %d", len(b), MaxFile)
	}
	if err := canon.Decode(b, &f); err != nil {
		return f, fmt.Errorf("proof file: %w", err)
	}
	if f.V != 1 {
		return f, fmt.Errorf("proof file: version %d is not known; this version reads 1", f.V)
	}
	return f, nil
}
