// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// stateLife is how long an operation may take between its first and its last part, in seconds. Within it a state may be used again: the
// core keeps nothing of an operation, as the service it stands for doesn't.
const stateLife = 3600

// stateHeader says what operation a state is of. It is authenticated.
type stateHeader struct {
	V         uint                   `cbor:"1,keyasint"` // 1
	Domain    [32]byte               `cbor:"2,keyasint"`
	Pattern   [seal.PatternSize]byte `cbor:"3,keyasint"` // of the working key
	Owner     [32]byte               `cbor:"4,keyasint"`
	Function  ep11.Function          `cbor:"5,keyasint"` // that began it
	Mechanism ep11.Mechanism         `cbor:"6,keyasint"`
	Expires   int64                  `cbor:"7,keyasint"` // Unix seconds
}

// stateBody is what a state keeps, encrypted.
type stateBody struct {
	Key      []byte `cbor:"1,keyasint,omitempty"` // blob
	Progress []byte `cbor:"2,keyasint,omitempty"`
	Begun    bool   `cbor:"3,keyasint,omitempty"` // there was a part
}

// operation is one under way.
type operation struct {
	stateHeader
	stateBody
}

// begin makes the operation of an Init call.
func (w *work) begin(key []byte) (*operation, error) {
	if w.env.Current == nil {
		return nil, ep11.Fail(ep11.CKR_IBM_WK_NOT_INITIALIZED, "the domain has no working key")
	}
	return &operation{
		stateHeader: stateHeader{V: 1, Domain: w.env.Domain, Pattern: w.env.Current.Pattern, Owner: w.env.Owner, Function: w.call.Function,
			Mechanism: *w.call.Mechanism, Expires: w.env.Now + stateLife},
		stateBody: stateBody{Key: key},
	}, nil
}

// save seals the operation under the working key that it began under.
func (w *work) save(o *operation) (ep11.Answer, error) {
	epoch := w.epochOf(o.Pattern)
	if epoch == nil {
		return ep11.Answer{}, errState
	}
	header := canon.Encode(o.stateHeader)
	if len(header) > seal.MaxHeader {
		return ep11.Answer{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the parameter is too long for an operation in several parts")
	}
	body, err := secret.Take(w.env.Arena, canon.Encode(o.stateBody))
	if err != nil {
		return ep11.Answer{}, err
	}
	defer body.Wipe()
	state, err := seal.Seal(canon.TagAppState, epoch.Parent, header, body)
	return ep11.Answer{State: state}, err
}

// errState says that a state is no good, whatever is wrong with it.
var errState = ep11.Fail(ep11.CKR_SAVED_STATE_INVALID, "the state is damaged, has expired or is another caller's")

// resume opens the state of a call. began are the functions that may have begun it; one of another operation is CKR_OPERATION_NOT_INITIALIZED,
// as is none at all.
func (w *work) resume(began ...ep11.Function) (*operation, error) {
	if len(w.call.State) == 0 {
		return nil, ep11.CKR_OPERATION_NOT_INITIALIZED
	}
	if w.env.Current == nil {
		return nil, ep11.Fail(ep11.CKR_IBM_WK_NOT_INITIALIZED, "the domain has no working key")
	}
	header, err := seal.Header(w.call.State)
	if err != nil {
		return nil, errState
	}
	o := &operation{}
	if canon.Decode(header, &o.stateHeader) != nil || o.V != 1 {
		return nil, errState
	}
	epoch := w.epochOf(o.Pattern)
	if epoch == nil {
		return nil, errState
	}
	body, _, err := seal.Open(w.env.Arena, canon.TagAppState, epoch.Parent, w.call.State)
	if err != nil {
		return nil, errState
	}
	defer body.Wipe()
	if err := body.Use(func(b []byte) error { return canon.Decode(b, &o.stateBody) }); err != nil {
		return nil, errState
	}
	if o.Domain != w.env.Domain || o.Owner != w.env.Owner || w.env.Now >= o.Expires {
		return nil, errState
	}
	for _, f := range began {
		if o.Function == f {
			return o, nil
		}
	}
	return nil, ep11.Fail(ep11.CKR_OPERATION_NOT_INITIALIZED, "the state is of another operation")
}
