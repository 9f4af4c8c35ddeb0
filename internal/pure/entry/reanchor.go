// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"fmt"
	"strconv"
	"strings"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// originPrefix begins the origin of a domain's checkpoints.
const originPrefix = "strongroom/domain/"

// Origin gives the origin of a domain's checkpoints in an incarnation of its log: strongroom/domain/ID in the first, and from the second
// on with "/" and the incarnation's number behind it. 0 counts as 1.
func Origin(d custody.DomainID, incarnation uint64) string {
	s := originPrefix + d.String()
	if incarnation > 1 {
		s += "/" + strconv.FormatUint(incarnation, 10)
	}
	return s
}

// ParseOrigin reads an origin.
func ParseOrigin(s string) (d custody.DomainID, incarnation uint64, err error) {
	rest, ok := strings.CutPrefix(s, originPrefix)
	id, number, later := strings.Cut(rest, "/")
	incarnation = 1
	if ok {
		d, err = custody.ParseDomainID(id)
	}
	if later && err == nil {
		incarnation, err = strconv.ParseUint(number, 10, 64)
	}
	if !ok || err != nil || Origin(d, incarnation) != s {
		return custody.DomainID{}, 0, fmt.Errorf("%q is no origin of a domain's checkpoints", s)
	}
	return d, incarnation, nil
}

// Reanchor is a re-anchor document and, as a body of class public, the entry that it makes: the log goes on in a new incarnation, from the
// head that is there, because entries are lost or the anchor is gone. People who meet the recovery plan in force at that head sign it.
// docs/spec/reanchor.md.
type Reanchor struct {
	V           uint                `cbor:"1,keyasint"` // 1
	Authority   custody.AuthorityID `cbor:"2,keyasint"`
	Domain      custody.DomainID    `cbor:"3,keyasint"`
	Incarnation uint64              `cbor:"4,keyasint"`            // that begins: greater than every one that is known
	Before      uint64              `cbor:"5,keyasint"`            // incarnation of the head
	Since       uint64              `cbor:"6,keyasint"`            // entry that began that one; 0: genesis
	Size        uint64              `cbor:"7,keyasint"`            // entries of the head, all that are there
	Root        [32]byte            `cbor:"8,keyasint"`            // of their tree
	Last        [32]byte            `cbor:"9,keyasint"`            // leaf hash of the last one
	Known       []byte              `cbor:"10,keyasint,omitempty"` // largest signed checkpoint of the log that was found, with cosignatures
	Whole       bool                `cbor:"11,keyasint,omitempty"` // a quorum of the log witnesses so far has freshly confirmed the head: nothing is lost
	Reason      string              `cbor:"12,keyasint"`
	Anchor      string              `cbor:"13,keyasint"` // from now on, as in Genesis
	Witnesses   []LogWitness        `cbor:"14,keyasint,omitempty"`
	Quorum      uint64              `cbor:"15,keyasint,omitempty"`
	Delay       int64               `cbor:"16,keyasint"`           // seconds of the time-lock, as the rule document says
	NotAfter    int64               `cbor:"17,keyasint"`           // Unix seconds: it is not applied later
	Nonce       []byte              `cbor:"18,keyasint"`           // 16 random bytes
	Signatures  []GenesisSignature  `cbor:"19,keyasint,omitempty"` // by rising person
}

// Message is what people sign: the document without signatures.
func (r Reanchor) Message() []byte {
	r.Signatures = nil
	return canon.Message(canon.TagReanchor, r)
}

// Hash names the document, with or without its signatures.
func (r Reanchor) Hash() [32]byte {
	r.Signatures = nil
	return canon.Hash(canon.TagReanchor, r)
}

// CheckReason says whether a reason is fit to be read by people: 1 to [MaxCause] bytes of visible text.
func CheckReason(s string) error {
	if err := (Tamper{Cause: s}).Check(); err != nil {
		return fmt.Errorf("the reason: %w", err)
	}
	return nil
}

// Gap says that the time-lock of a re-anchoring has passed, and what the log lost: the entries [From, To) at least; none if the two are
// alike. Unless it is Whole, open requests end, sessions close, and the slots of every wallet are held until they are reconciled. Body
// class: public.
type Gap struct {
	Reanchor uint64 `cbor:"1,keyasint"` // its entry
	From     uint64 `cbor:"2,keyasint"`
	To       uint64 `cbor:"3,keyasint"`
	Whole    bool   `cbor:"4,keyasint,omitempty"`
}

// Slots says which wallet's slots are free again with an effect; what the chain shows of it, its request says.
type Slots struct {
	Wallet custody.WalletID `cbor:"1,keyasint"`
}
