// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

// Pending is a request that has not ended and of which nothing was signed.
type Pending struct {
	ID        custody.RequestID   `cbor:"1,keyasint"`
	Seq       uint64              `cbor:"2,keyasint"` // its entry
	BodyHash  [32]byte            `cbor:"3,keyasint"` // request.Request.Hash
	Request   []byte              `cbor:"4,keyasint"` // canonical request
	Evidence  policy.EvidenceKind `cbor:"5,keyasint"`
	Effects   request.Effects     `cbor:"6,keyasint"`
	Bounds    request.Bounds      `cbor:"7,keyasint"`
	Decision  policy.Decision     `cbor:"8,keyasint"` // on acceptance
	Approvals []Vote              `cbor:"9,keyasint"`
	Trail     []uint64            `cbor:"10,keyasint"` // refusals so far
	Initiator custody.PersonID    `cbor:"11,keyasint"`
	Leaf      [32]byte            `cbor:"12,keyasint"` // leaf hash of its entry
	Refused   [3]uint8            `cbor:"13,keyasint"` // refusals so far, by act: approve, permit, execute

	Accepted *Moment       `cbor:"14,keyasint,omitempty"` // since when delays count, where the document has some: its entry's, or the document's
	Floor    *policy.Floor `cbor:"15,keyasint,omitempty"` // on acceptance, once the document has another one

	Simulation *simulation.Report `cbor:"16,keyasint,omitempty"` // that it came with: the same for every decision about it

	parsed   *request.Parsed // of Request, once needed
	reserved []reservation   // of the limits that Decision names, as far as the document has them
}

// Parse gives the request, parsed once. Its caller owns the state.
func (p *Pending) Parse() (*request.Parsed, error) {
	if p.parsed == nil {
		r, err := request.Parse(p.Request)
		if err != nil {
			return nil, err
		}
		p.parsed = r
	}
	return p.parsed, nil
}

// Vote is an approval that stands.
type Vote struct {
	Person custody.PersonID `cbor:"1,keyasint"`
	Key    request.KeyRef   `cbor:"2,keyasint"`
	Seq    uint64           `cbor:"3,keyasint"`
	Time   int64            `cbor:"4,keyasint"` // of its entry
}

// Signed is a request with a permit. It can be replaced in its slot until it expires. While the latest permit has no result it stays
// beyond that, because its slot is taken for ever: the same bytes may be signed at any time.
type Signed struct {
	ID       custody.RequestID `cbor:"1,keyasint"`
	Seq      uint64            `cbor:"2,keyasint"` // entry of the request
	BodyHash [32]byte          `cbor:"3,keyasint"`
	Permit   uint64            `cbor:"4,keyasint"` // entry of the latest permit
	Result   uint64            `cbor:"5,keyasint"` // entry of its result, or 0
	Attempt  uint32            `cbor:"6,keyasint"`
	Payload  [32]byte          `cbor:"7,keyasint"` // hash of the latest payload
	Slot     [32]byte          `cbor:"8,keyasint"` // SlotHash
	Fee      custody.Uint256   `cbor:"9,keyasint"` // of the latest payload
	NotAfter int64             `cbor:"10,keyasint"`
	FeeCap   custody.Uint256   `cbor:"11,keyasint"` // no replacement pays more
	Trail    []uint64          `cbor:"12,keyasint"` // refusals, permits and results so far

	// What is signed again or replaced is read back from the log's store, which nobody trusts: these say that it is the same.
	Leaf       [32]byte `cbor:"13,keyasint"` // leaf hash of Seq
	PermitLeaf [32]byte `cbor:"14,keyasint"` // leaf hash of Permit

	Approvals []uint64 `cbor:"15,keyasint"` // that the first permit consumed
	Refused   [3]uint8 `cbor:"16,keyasint"` // refusals so far, by act

	Asset custody.AssetID `cbor:"17,keyasint"` // that it pays

	Operation request.Operation `cbor:"18,keyasint,omitempty"` // that it is; empty: a transfer

	wallet custody.WalletID // that pays; empty after a restore, when only the permit's entry tells it
}

// Wallet gives the wallet that pays; false if only the permit's entry tells it, because the state was restored since.
func (g *Signed) Wallet() (custody.WalletID, bool) { return g.wallet, g.wallet != "" }

// Own lists the entries of the request so far, ascending; its own entry is the first.
func (p *Pending) Own() []uint64 {
	out := append([]uint64{p.Seq}, p.Trail...)
	for _, v := range p.Approvals {
		out = append(out, v.Seq)
	}
	slices.Sort(out)
	return out
}

// Own lists the entries of the request so far, ascending; its own entry is the first.
func (g *Signed) Own() []uint64 {
	out := slices.Concat([]uint64{g.Seq}, g.Trail, g.Approvals)
	slices.Sort(out)
	return out
}

// End says how a request ended.
type End uint8

// The ways to end. They are wire format.
const (
	EndExecuted  End = 1 // the effect is in the log
	EndSigned    End = 2 // signed, and now past its time
	EndRefused   End = 3 // by the rules
	EndRejected  End = 4 // by a person
	EndCancelled End = 5 // by its initiator
	EndExpired   End = 6 // unsigned past its time
	EndVoid      End = 7 // by a gap: the log lost entries while it was open
)

// String gives the word that the API shows.
func (e End) String() string {
	switch e {
	case EndExecuted:
		return "executed"
	case EndSigned:
		return "signed"
	case EndRefused:
		return "refused"
	case EndRejected:
		return "rejected"
	case EndCancelled:
		return "cancelled"
	case EndExpired:
		return "expired"
	case EndVoid:
		return "void"
	default:
		return fmt.Sprintf("end-%d", uint8(e))
	}
}

// Outcome is what is kept of a request that ended, for retries, for 90 days.
type Outcome struct {
	BodyHash [32]byte `cbor:"1,keyasint"`
	Seq      uint64   `cbor:"2,keyasint"` // entry that decided: result, effect, approval, refusal, or the request itself
	Own      []uint64 `cbor:"3,keyasint"` // all entries of the request, ascending; its own entry is the first
	End      End      `cbor:"4,keyasint"`
}

// Request is the request's own entry.
func (o Outcome) Request() uint64 { return o.Own[0] }

// refusalRoom says where an act's refusals are counted, and how many are recorded: each act has room of its own, so that one can't hide
// another's, and what anybody can send takes at most half of it. Together they leave half of a trail to attempts.
func refusalRoom(act string, kind problem.Kind) (place int, most uint8, err error) {
	switch act {
	case "approve":
		place, most = 0, 16
	case "permit":
		place, most = 1, 32
	case "execute":
		place, most = 2, 16
	default:
		return 0, 0, fmt.Errorf("act %q can't be refused", act)
	}
	if kind == problem.Unauthenticated || kind == problem.Malformed {
		most /= 2
	}
	return place, most, nil
}
