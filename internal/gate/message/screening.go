// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/verdict"
)

// Methods of screening. docs/spec/screening.md.
const (
	MethodVerdicts  = "verdicts"  // [Verdicts] → [StatementsTaken]
	MethodScreening = "screening" // [ScreeningAsk] → [Screening]
)

// MaxVerdictsShown is how many verdicts one answer shows.
const MaxVerdictsShown = 500

// StatementsTaken says what became of quotes or verdicts that were handed in.
type StatementsTaken struct {
	Entry   uint64             `cbor:"1,keyasint,omitempty"` // that took them; 0: none was taken
	Taken   uint64             `cbor:"2,keyasint,omitempty"`
	Same    uint64             `cbor:"3,keyasint,omitempty"` // not recorded, because they say what is known and that is still young
	Refused []StatementRefused `cbor:"4,keyasint,omitempty"` // by place
}

// StatementRefused is one that was not taken.
type StatementRefused struct {
	Place  uint64       `cbor:"1,keyasint"` // in the list that was handed in, from 0
	Kind   problem.Kind `cbor:"2,keyasint"`
	Detail string       `cbor:"3,keyasint"`
}

// Verdicts hands in what signers of the rule document's sources of screening said. Whoever may connect may do that: the signatures speak.
type Verdicts struct {
	Verdicts []verdict.Signed `cbor:"1,keyasint"` // 1 to entry.MaxVerdicts, in any order
}

// ScreeningAsk says which verdicts are wanted; empty: the latest of all.
type ScreeningAsk struct {
	Source  string           `cbor:"1,keyasint,omitempty"`
	Subject *verdict.Subject `cbor:"2,keyasint,omitempty"`
	Most    uint64           `cbor:"3,keyasint,omitempty"` // verdicts; 0, and more: [MaxVerdictsShown]
}

// Screening tells what is known.
type Screening struct {
	Sources  []ScreeningSource `cbor:"1,keyasint"`           // in the order of the rule document
	Verdicts []Verdict         `cbor:"2,keyasint"`           // latest of each signer on each subject, fresh or not; the last one taken first
	Time     int64             `cbor:"3,keyasint"`           // of the answer, Unix nanoseconds
	Says     []policy.Screened `cbor:"4,keyasint,omitempty"` // what a decision would be told of the subject that was asked for, by source
}

// ScreeningSource is what is known of a source.
type ScreeningSource struct {
	ID     string `cbor:"1,keyasint"`
	Kept   uint64 `cbor:"2,keyasint,omitempty"` // verdicts
	Newest int64  `cbor:"3,keyasint,omitempty"` // asOf of what it said last, Unix seconds; 0: nothing yet
	MaxAge int64  `cbor:"4,keyasint"`
	Silent bool   `cbor:"5,keyasint,omitempty"` // for so long that none of its verdicts counts
}

// Verdict is the latest verdict of a signer on a subject.
type Verdict struct {
	Verdict verdict.Verdict `cbor:"1,keyasint"`
	Signer  string          `cbor:"2,keyasint"`
	Entry   uint64          `cbor:"3,keyasint"`
	Fresh   bool            `cbor:"4,keyasint,omitempty"`
}

// ScreeningStatus is how the sources of screening are.
type ScreeningStatus struct {
	Kept    uint64            `cbor:"1,keyasint"` // verdicts
	Sources []ScreeningSource `cbor:"2,keyasint"` // in the order of the rule document
}
