// SPDX-License-Identifier: Apache-2.0

// Package problem is the wire form of a failure: a kind that programs branch on, a detail fit for the caller, and where a rule
// refused, which rule and which criterion was not met. Edge renders it (RFC 9457, gRPC status); the cause is logged, never shown.
package problem

import (
	"errors"
	"fmt"
)

// Kind names a class of failures on the wire. Kinds are never renamed or reused; docs/problems has a page for each.
type Kind string

// The kinds.
const (
	Malformed        Kind = "malformed"          // the input can't be read; the detail says where
	Unauthenticated  Kind = "unauthenticated"    // evidence is missing or does not verify
	Forbidden        Kind = "forbidden"          // the caller may not do this
	NotFound         Kind = "not-found"          // nothing has this id
	RefusedByRule    Kind = "refused-by-rule"    // the rules refuse; Rule and Unmet say which and why
	QuorumNotMet     Kind = "quorum-not-met"     // approvals are missing; Unmet says which
	OutsideBounds    Kind = "outside-bounds"     // the bytes do what was not approved
	Expired          Kind = "expired"            // request, approval or session is past its time
	Conflict         Kind = "conflict"           // the thing is in a state that does not allow this
	IdempotencyReuse Kind = "idempotency-reuse"  // the same key came with another body
	AlreadyDone      Kind = "already-done"       // a duplicate, for instance a second approval by one person
	WrongNetwork     Kind = "wrong-network"      // an address or payload of another network
	TooLarge         Kind = "too-large"          // over a limit of size or count
	Unsupported      Kind = "unsupported"        // well-formed, but nothing here does it
	TimeUncertain    Kind = "time-uncertain"     // the clock is not sure enough to decide
	Locked           Kind = "locked"             // the root of trust does not give a working key that the act needs
	Stopped          Kind = "stopped"            // the core is in the error state or shutting down
	Starting         Kind = "starting"           // the core is not open yet; the detail says what it waits for
	Zeroized         Kind = "zeroized"           // the domain's working keys were destroyed; a restore by the recovery quorum brings them back
	Reanchoring      Kind = "reanchoring"        // the log may have lost entries: nothing is done before its time-lock has passed, nor from a wallet that is not reconciled
	WarmClosed       Kind = "warm-closed"        // the wallet is warm, and no session of it is open that has room for this
	KeyAway          Kind = "key-away"           // the wallet's key is in another domain, or on its way
	Frozen           Kind = "frozen"             // the domain is frozen or draining, and takes no such thing
	Undecodable      Kind = "undecodable"        // nobody can say what the call does
	Busy             Kind = "busy"               // over a rate or capacity limit; try again later
	NodeUnavailable  Kind = "node-unavailable"   // a chain node does not answer
	Insufficient     Kind = "insufficient-funds" // the wallet can't pay amount and fee
	NotYet           Kind = "not-yet"            // all approvals are there, and the delay that the rules ask for has not passed
	NoPrice          Kind = "no-price"           // a rule needs to know what the payment is worth, and nobody has told it lately
	NoVerdict        Kind = "no-verdict"         // a rule needs to know what screening says of whom the request gives something, and nobody has told it lately
	Internal         Kind = "internal"           // our fault; the incident id finds the log line
)

// Kinds lists every kind, for tables that must be total.
func Kinds() []Kind {
	return []Kind{Malformed, Unauthenticated, Forbidden, NotFound, RefusedByRule, QuorumNotMet, OutsideBounds, Expired, Conflict,
		IdempotencyReuse, AlreadyDone, WrongNetwork, TooLarge, Unsupported, TimeUncertain, Locked, Stopped, Starting, Zeroized, Reanchoring, WarmClosed, KeyAway, Frozen, Undecodable, Busy, NodeUnavailable,
		Insufficient, NotYet, NoPrice, NoVerdict, Internal}
}

// Unmet is one criterion that was not met.
type Unmet struct {
	Rule      string `cbor:"1,keyasint" json:"rule"`                         // id of the guard, route or plan
	Criterion string `cbor:"2,keyasint" json:"criterion"`                    // the first field that did not match, for instance "amount.max"
	Observed  string `cbor:"3,keyasint,omitempty" json:"observed,omitempty"` // what was seen instead, fit for the caller
}

// Error is a failure that may cross the door.
type Error struct {
	Kind   Kind
	Detail string  // fit for the caller; says what to do
	Rule   string  // id of the rule that decided, or empty
	Unmet  []Unmet // what was not met, or empty
	Err    error   // cause: logged under an incident id, never shown
}

// Error gives kind and detail, not the cause.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s", e.Kind, e.Detail) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes a failure of a kind with a formatted detail.
func New(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...)}
}

// Wrap makes a failure of a kind with a detail and a cause that is not shown.
func Wrap(k Kind, err error, format string, args ...any) *Error {
	return &Error{Kind: k, Detail: fmt.Sprintf(format, args...), Err: err}
}

// KindOf gives the kind of err, or Internal if it has none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Internal
}
