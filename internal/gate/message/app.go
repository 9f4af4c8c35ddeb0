// SPDX-License-Identifier: Apache-2.0

package message

import (
	"crypto/sha256"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// Methods of keys for applications. docs/spec/grep11.md.
const (
	MethodEP11 = "ep11" // [AppCall] → [AppAnswer]
	MethodApps = "apps" // [List] → [Apps]
)

// AppCall is a call of an application, handed in by the gateway that has authenticated it. It comes with the MAC of the gateway's session
// ([OpenSession]).
type AppCall struct {
	Session []byte            `cbor:"1,keyasint"` // 16 bytes
	Number  uint64            `cbor:"2,keyasint"` // from 1, another for each call of the session; about in order: see [AppWindow]
	Caller  request.AppCaller `cbor:"3,keyasint"`
	Call    []byte            `cbor:"4,keyasint"` // canonical ep11.Call
	MAC     []byte            `cbor:"5,keyasint"` // HMAC-SHA-256 of [AppCall.Message] with the session's key
}

// AppWindow is how far behind the greatest number so far a call's may be.
const AppWindow = 65_536

// Message is what is MACed.
func (c AppCall) Message() []byte {
	return canon.Message(canon.TagAppCall, &struct {
		S []byte            `cbor:"1,keyasint"`
		N uint64            `cbor:"2,keyasint"`
		W request.AppCaller `cbor:"3,keyasint"`
		H [32]byte          `cbor:"4,keyasint"`
	}{c.Session, c.Number, c.Caller, sha256.Sum256(c.Call)})
}

// AppAnswer is the answer to a call: one of the two.
type AppAnswer struct {
	Answer  []byte        `cbor:"1,keyasint,omitempty"` // canonical ep11.Answer
	Failure *ep11.Failure `cbor:"2,keyasint,omitempty"`
}

// Apps are the grants, oldest first.
type Apps struct {
	Grants  []AppGrant `cbor:"1,keyasint"`
	Total   uint64     `cbor:"2,keyasint"`
	Revoked uint64     `cbor:"3,keyasint"` // keys that are revoked
}

// AppGrant is a grant to an application.
type AppGrant struct {
	Seq     uint64               `cbor:"1,keyasint"` // entry that made it
	Grant   request.AppGrantBody `cbor:"2,keyasint"`
	Used    uint64               `cbor:"3,keyasint"`
	Request custody.RequestID    `cbor:"4,keyasint"`
	Logins  uint64               `cbor:"5,keyasint"`           // open login sessions
	Ended   bool                 `cbor:"6,keyasint,omitempty"` // its time may be over, or its gateway is not active
}
