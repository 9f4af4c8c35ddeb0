// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
)

// MethodStatusSigned answers [StatusAsk] with [SignedStatus].
const MethodStatusSigned = "status-signed"

// Life is where a domain stands in its life cycle. docs/spec/domain.md.
type Life struct {
	Phase          string             `cbor:"1,keyasint"` // "operational" or "zeroized"; [PhaseImprint] where there is no domain yet
	Counter        uint64             `cbor:"2,keyasint"` // the next operation names one more
	Allowed        points.Set         `cbor:"3,keyasint"` // control points that are on
	Frozen         points.Set         `cbor:"4,keyasint"` // and that never change again
	Epoch          uint64             `cbor:"5,keyasint"` // current
	Pattern        custody.HexBytes   `cbor:"6,keyasint"`
	Next           *Register          `cbor:"7,keyasint,omitempty"`
	Previous       *Register          `cbor:"8,keyasint,omitempty"`
	NextEpoch      uint64             `cbor:"9,keyasint"` // number that a load names
	Recovery       *Recovery          `cbor:"10,keyasint,omitempty"`
	Doomed         uint64             `cbor:"11,keyasint,omitempty"` // blobs that are being erased
	Fault          string             `cbor:"12,keyasint,omitempty"` // why enciphering or erasing stands still
	Since          uint64             `cbor:"13,keyasint,omitempty"` // entry that zeroized the domain
	Administrators []custody.PersonID `cbor:"14,keyasint"`
}

// PhaseImprint is the phase of a core without a log: docs/spec/domain.md, "States".
const PhaseImprint = "imprint"

// LifeOf tells it of a state, but for the fault, which is not in the log.
func LifeOf(s *authority.State) Life {
	l := s.Life()
	out := Life{Phase: l.Phase.String(), Counter: l.Counter, Allowed: l.Allowed, Frozen: l.Frozen, Epoch: s.Epoch, Pattern: s.Pattern, NextEpoch: l.Used + 1,
		Doomed: uint64(s.DoomedCount()), Administrators: s.Rules.Administrators()}
	if l.Phase == authority.Zeroized {
		out.Since = l.Since
	}
	if n := l.Next; n != nil {
		out.Next = &Register{Epoch: n.Epoch, Pattern: n.Pattern, Committed: n.Committed, NewShares: n.Recovery != nil}
		if n.Committed {
			out.Next.Lacking, out.Next.Keys = uint64(s.Lacking()), uint64(s.Counts().Keys)
		}
	}
	if p := l.Previous; p != nil {
		out.Previous = &Register{Epoch: p.Epoch, Pattern: p.Pattern}
	}
	if r := l.Recovery; r != nil {
		out.Recovery = &Recovery{Threshold: r.Threshold, Shares: r.Shares, Hash: r.Hash()}
	}
	return out
}

// Register is the next or the previous epoch.
type Register struct {
	Epoch     uint64           `cbor:"1,keyasint"`
	Pattern   custody.HexBytes `cbor:"2,keyasint"`
	Committed bool             `cbor:"3,keyasint,omitempty"`
	Lacking   uint64           `cbor:"4,keyasint,omitempty"` // keys that are not enciphered for it yet
	Keys      uint64           `cbor:"5,keyasint,omitempty"` // of so many
	NewShares bool             `cbor:"6,keyasint,omitempty"` // comes with new custodians
}

// Recovery says who can restore the domain.
type Recovery struct {
	Threshold uint32   `cbor:"1,keyasint"`
	Shares    uint32   `cbor:"2,keyasint"`
	Hash      [32]byte `cbor:"3,keyasint"` // of the recovery record
}

// StatusAsk asks for a signed status. The nonce, of 16 to 32 bytes, shows that it is fresh.
type StatusAsk struct {
	Nonce []byte `cbor:"1,keyasint"`
}

// StatusStatement is what the domain identity key signs.
type StatusStatement struct {
	Authority custody.AuthorityID `cbor:"1,keyasint"`
	Domain    custody.DomainID    `cbor:"2,keyasint"`
	Nonce     []byte              `cbor:"3,keyasint"`
	Status    Status              `cbor:"4,keyasint"`
}

// SignedStatus is a statement with the signature over its message.
type SignedStatus struct {
	Statement []byte `cbor:"1,keyasint"` // canonical [StatusStatement]
	Sig       []byte `cbor:"2,keyasint"` // Ed25519, over tag canon.TagStatus and Statement
}

// Message is what is signed.
func (s SignedStatus) Message() []byte { return canon.TagBytes(canon.TagStatus, s.Statement) }
