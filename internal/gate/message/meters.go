// SPDX-License-Identifier: Apache-2.0

package message

import "strongroom/internal/pure/problem"

// MethodMeters asks for what the core has counted since its start: [Empty] → [Meters]. It answers before the domain is open, too.
const MethodMeters = "meters"

// Meters is what a core has counted since its start, for those who watch over it. It names no person, wallet or application.
type Meters struct {
	Started int64         `cbor:"1,keyasint"` // Unix nanoseconds, by the machine's clock
	Refused []RefusedCall `cbor:"2,keyasint"` // by method, then kind
	Events  []EventCount  `cbor:"3,keyasint"` // each event of [Events], in that order
	Backup  int64         `cbor:"4,keyasint,omitempty"`
	Use     *Pressure     `cbor:"5,keyasint,omitempty"` // absent until the domain is open
}

// RefusedCall counts calls at the door that ended with a problem of a kind. A method that there is none of counts as [UnknownMethod].
type RefusedCall struct {
	Method string       `cbor:"1,keyasint"`
	Kind   problem.Kind `cbor:"2,keyasint"`
	Count  uint64       `cbor:"3,keyasint"`
}

// UnknownMethod stands for methods that there are none of.
const UnknownMethod = "unknown"

// EventCount counts an event.
type EventCount struct {
	Event Event  `cbor:"1,keyasint"`
	Count uint64 `cbor:"2,keyasint"`
}

// Pressure says how near what people allowed is to its end.
type Pressure struct {
	Limits      []LimitUse `cbor:"1,keyasint"`           // by id; those of the document
	GrantsNear  uint64     `cbor:"2,keyasint,omitempty"` // grants to applications that end within [GrantNotice], or have less than a fifth of their uses left
	LongestOpen int64      `cbor:"3,keyasint,omitempty"` // until when the session of a warm wallet that ends last is open, Unix seconds
}

// GrantNotice is how long before its end a grant counts as near it, in seconds.
const GrantNotice = 7 * 24 * 3600

// LimitUse is how much of a limit is used, in the group that has used most of its part, requests that wait included.
type LimitUse struct {
	Limit    string `cbor:"1,keyasint"`
	PerMille uint64 `cbor:"2,keyasint"`
}

// Event is something that happened in a core and that people are told of, beside what its log records. Names are never reused.
type Event string

// The events.
const (
	EventAppCallFailed   Event = "app_call_failed"     // a call of an application failed for no fault of the caller
	EventClockStepped    Event = "clock_stepped"       // the machine's clock was set, or its clocks went apart
	EventClockSuspended  Event = "clock_suspended"     // the machine was suspended
	EventCoreError       Event = "core_error"          // another error that the core's log names
	EventCoreWarning     Event = "core_warning"        // another warning that the core's log names
	EventDoorFailed      Event = "door_failed"         // the door can't accept connections, or a handler panicked
	EventDoorViolation   Event = "door_violation"      // a connection broke the frames' rules, or stalled
	EventEpochsStuck     Event = "epochs_stuck"        // enciphering or erasing stands still
	EventKeysWiped       Event = "keys_wiped"          // all unsealed keys were wiped from memory
	EventMarksUsedUp     Event = "marks_used_up"       // the TPM takes no more marks today
	EventPeerRefused     Event = "peer_refused"        // somebody connected to the door who may not
	EventRecheckFault    Event = "recheck_fault"       // the full re-check found something false
	EventSnapshotFailed  Event = "snapshot_failed"     // a snapshot was not written, or can't be used
	EventTampering       Event = "tampering"           // the working keys were destroyed because of tampering
	EventTimeSilent      Event = "time_source_silent"  // a source of time does not answer
	EventTimeUncertain   Event = "time_uncertain"      // the sources disagree, or the time is not known well enough
	EventTokenTrouble    Event = "token_trouble"       // keys in the token can't be read, or a note of a birth was altered
	EventWitnessMissing  Event = "witness_missing"     // not every log witness confirmed the log
	EventWitnessRefuses  Event = "witness_refuses"     // a log witness refuses the log: it saw another
	EventWorkingKeyAway  Event = "working_key_missing" // a working key can't be loaded
	EventZeroizeNotNoted Event = "zeroize_not_noted"   // the log did not take what zeroized the domain
)

// Events lists every event.
func Events() []Event {
	return []Event{EventAppCallFailed, EventClockStepped, EventClockSuspended, EventCoreError, EventCoreWarning, EventDoorFailed, EventDoorViolation, EventEpochsStuck,
		EventKeysWiped, EventMarksUsedUp, EventPeerRefused, EventRecheckFault, EventSnapshotFailed, EventTampering, EventTimeSilent, EventTimeUncertain,
		EventTokenTrouble, EventWitnessMissing, EventWitnessRefuses, EventWorkingKeyAway, EventZeroizeNotNoted}
}
