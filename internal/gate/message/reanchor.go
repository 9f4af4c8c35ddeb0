// SPDX-License-Identifier: Apache-2.0

package message

import "strongroom/internal/pure/authority"

// Reanchoring is a re-anchoring whose time-lock runs, or that was cancelled. docs/spec/reanchor.md.
type Reanchoring struct {
	Entry     uint64 `cbor:"1,keyasint"`
	Until     int64  `cbor:"2,keyasint"` // Unix nanoseconds
	From      uint64 `cbor:"3,keyasint"` // entries from here
	To        uint64 `cbor:"4,keyasint"` // to here, not included, are lost for certain
	Whole     bool   `cbor:"5,keyasint,omitempty"`
	Cancelled bool   `cbor:"6,keyasint,omitempty"`
}

// ReanchorOf gives what a status says of re-anchoring: incarnation of the log, the re-anchoring that is under way or nil, when the last gap in which entries
// may be lost was, and how many wallets are held.
func ReanchorOf(s *authority.State) (incarnation uint64, r *Reanchoring, gapAt int64, held uint64) {
	a := s.Anchoring()
	if p := a.Pending; p != nil {
		r = &Reanchoring{Entry: p.Entry, Until: p.Until, From: p.From, To: p.To, Whole: p.Whole, Cancelled: p.Cancelled}
	}
	return a.Incarnation, r, a.GapAt, uint64(s.HeldWallets())
}
