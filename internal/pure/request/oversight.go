// SPDX-License-Identifier: Apache-2.0

package request

import (
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"strongroom/internal/pure/custody"
)

// The operations on what the domain does at all, and on requests that wait. docs/spec/operational-state.md.
const (
	Freeze         Operation = "domain_freeze"   // body [FreezeBody]
	Unfreeze       Operation = "domain_unfreeze" // body [UnfreezeBody]
	Drain          Operation = "domain_drain"    // body [DrainBody]
	Resume         Operation = "domain_resume"   // body [ResumeBody]
	RequestHold    Operation = "request_hold"    // body [RequestHoldBody]
	RequestRelease Operation = "request_release" // body [RequestReleaseBody]
)

// MaxReason is how long a reason may be, in bytes.
const MaxReason = 200

// OversightOperations lists them.
func OversightOperations() []Operation {
	return []Operation{Freeze, Unfreeze, Drain, Resume, RequestHold, RequestRelease}
}

// Oversight says whether o is one of them. Such a request takes a reserved plan of the document, or none where it only takes power away.
func (o Operation) Oversight() bool {
	switch o {
	case Freeze, Unfreeze, Drain, Resume, RequestHold, RequestRelease:
		return true
	default:
		return false
	}
}

// Unilateral says whether one person may do o alone: it takes power away and gives none to anybody.
func (o Operation) Unilateral() bool { return o == Zeroize || o == Freeze || o == RequestHold }

// TakesAway says whether o, where one person does it alone, takes power away and nothing else, so that it does not wait for a certain clock: what nobody else
// need agree to, and taking an address away.
func (o Operation) TakesAway() bool {
	return o.Unilateral() || o == BlacklistAdd || o == WhitelistSuspend
}

// OversightBody is the body of an operation of oversight.
type OversightBody interface {
	Body
	// Why gives the reason, in its author's words.
	Why() string
}

// FreezeBody asks that nothing be signed, permitted or used from now on.
type FreezeBody struct {
	Reason string `cbor:"1,keyasint" json:"reason"`
}

// UnfreezeBody asks to lift the freeze of an entry. What people approved for one freeze does not lift a later one.
type UnfreezeBody struct {
	Since  uint64 `cbor:"1,keyasint" json:"since"` // entry since which the domain is frozen
	Reason string `cbor:"2,keyasint" json:"reason"`
}

// DrainBody asks that for a time nothing be paid but to the destinations that the document approved for this beforehand.
type DrainBody struct {
	Since  uint64 `cbor:"1,keyasint" json:"since"` // entry since which the domain is in its state; 0 while it is normal
	Reason string `cbor:"2,keyasint" json:"reason"`
}

// ResumeBody asks to end a drain or a freeze by the break-glass plan.
type ResumeBody struct {
	Since  uint64 `cbor:"1,keyasint" json:"since"` // entry since which the domain is in its state
	Reason string `cbor:"2,keyasint" json:"reason"`
}

// RequestHoldBody asks that a request that waits gets no permit and no effect until it is released.
type RequestHoldBody struct {
	Request custody.HexBytes `cbor:"1,keyasint" json:"request"` // 32 bytes: its id
	Reason  string           `cbor:"2,keyasint" json:"reason"`
}

// RequestReleaseBody asks to end a hold.
type RequestReleaseBody struct {
	Request custody.HexBytes `cbor:"1,keyasint" json:"request"`
	Hold    uint64           `cbor:"2,keyasint" json:"hold"` // entry that holds it: a later hold is not released
	Reason  string           `cbor:"3,keyasint" json:"reason"`
}

// Why implements [OversightBody].
func (b *FreezeBody) Why() string { return b.Reason }

// Why implements [OversightBody].
func (b *UnfreezeBody) Why() string { return b.Reason }

// Why implements [OversightBody].
func (b *DrainBody) Why() string { return b.Reason }

// Why implements [OversightBody].
func (b *ResumeBody) Why() string { return b.Reason }

// Why implements [OversightBody].
func (b *RequestHoldBody) Why() string { return b.Reason }

// Why implements [OversightBody].
func (b *RequestReleaseBody) Why() string { return b.Reason }

// OversightEffects gives what approvers bind of an operation of oversight: the request that it is about, and the entry that it ends.
func OversightEffects(b OversightBody) (target custody.HexBytes, since uint64) {
	switch b := b.(type) {
	case *UnfreezeBody:
		return nil, b.Since
	case *DrainBody:
		return nil, b.Since
	case *ResumeBody:
		return nil, b.Since
	case *RequestHoldBody:
		return b.Request, 0
	case *RequestReleaseBody:
		return b.Request, b.Hold
	default:
		return nil, 0
	}
}

// checkReason says whether a reason can be shown to people: visible characters in one line.
func checkReason(s string) error {
	switch {
	case s == "" || len(s) > MaxReason || !utf8.ValidString(s):
		return fmt.Errorf("reason must have 1 to %d bytes of text", MaxReason)
	default:
		for _, r := range s {
			if !unicode.IsPrint(r) {
				return errors.New("reason has characters that can't be seen; take them out")
			}
		}
		return nil
	}
}

func checkTarget(id custody.HexBytes) error {
	if len(id) != 32 {
		return fmt.Errorf("request: an id has 32 bytes, not %d", len(id))
	}
	return nil
}

func checkSince(what string, n uint64, reason string) error {
	if n == 0 {
		return fmt.Errorf("must name the entry %s, as 'strongroom status' and 'strongroom request show' tell it", what)
	}
	return checkReason(reason)
}

func (b *FreezeBody) check() error   { return checkReason(b.Reason) }
func (b *UnfreezeBody) check() error { return checkSince("of the freeze", b.Since, b.Reason) }
func (b *DrainBody) check() error    { return checkReason(b.Reason) }
func (b *ResumeBody) check() error   { return checkSince("of the freeze or drain", b.Since, b.Reason) }

func (b *RequestHoldBody) check() error {
	if err := checkTarget(b.Request); err != nil {
		return err
	}
	return checkReason(b.Reason)
}

func (b *RequestReleaseBody) check() error {
	if err := checkTarget(b.Request); err != nil {
		return err
	}
	return checkSince("of the hold", b.Hold, b.Reason)
}
