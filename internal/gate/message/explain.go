// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

// Methods that tell what the rules make of a request, and change nothing. docs/spec/explain.md.
const (
	MethodExplain  = "explain"  // [ByID] → [Explained]
	MethodSimulate = "simulate" // [Simulate] → [Explained]
	MethodLimits   = "limits"   // [LimitsAsk] → [Limits]
)

// Simulate asks what would be decided about a request if it were handed in now. Nobody has signed it.
type Simulate struct {
	Request  []byte              `cbor:"1,keyasint"` // canonical request.Request
	Evidence policy.EvidenceKind `cbor:"2,keyasint"` // that it would come with

	Simulation []byte `cbor:"3,keyasint,omitempty"` // as in [Submit]
}

// Explained is what the rules make of a request.
type Explained struct {
	ID        custody.RequestID      `cbor:"1,keyasint"`
	State     State                  `cbor:"2,keyasint,omitempty"`  // none of what was only simulated
	Seq       uint64                 `cbor:"3,keyasint,omitempty"`  // entry of the request
	Recorded  *policy.Decision       `cbor:"4,keyasint,omitempty"`  // on acceptance
	Approvals []Vote                 `cbor:"5,keyasint,omitempty"`  // that stand, or that were given
	Missing   *Problem               `cbor:"6,keyasint,omitempty"`  // what it waits for, or why it was refused, or would be
	Now       *authority.Explanation `cbor:"7,keyasint,omitempty"`  // what the rules say now
	Unfit     *Problem               `cbor:"8,keyasint,omitempty"`  // why the rules can't be asked: it can't be done as things are
	Version   uint64                 `cbor:"9,keyasint"`            // of the rule document
	Hash      [32]byte               `cbor:"10,keyasint"`           // of the rule document
	Uncertain bool                   `cbor:"11,keyasint,omitempty"` // the clock is not certain, so that nothing would be decided now
}

// LimitsAsk asks for what limits have counted, in order of limit and group.
type LimitsAsk struct {
	Limit string `cbor:"1,keyasint,omitempty"` // only of this one
	From  uint64 `cbor:"2,keyasint"`           // place in the list
	Most  uint64 `cbor:"3,keyasint"`           // at most 1,000
}

// Limits is the reply.
type Limits struct {
	Meters []authority.Meter `cbor:"1,keyasint"`
	Limits []policy.Limit    `cbor:"2,keyasint"` // of the document that Meters names, by id
	Total  uint64            `cbor:"3,keyasint"` // meters of all pages
}
