// SPDX-License-Identifier: Apache-2.0

package apiv1

import (
	"errors"
	"fmt"
	"reflect"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/strictjson"
)

// Where something is asked for.
const (
	SubmitMethod = "POST"
	SubmitPath   = "/v1/requests"
)

// FaultError says which member of a submission is wrong. The error may be a [*strictjson.Error], whose pointer begins there.
type FaultError struct {
	Pointer string // RFC 6901
	Err     error
}

// Error names the member and what is wrong.
func (f *FaultError) Error() string { return f.Pointer + ": " + f.Err.Error() }

// Unwrap gives what is wrong.
func (f *FaultError) Unwrap() error { return f.Err }

// Canonical rebuilds the canonical request from its JSON and the idempotency key. Its form is not checked beyond what JSON shows. Every error is a
// [*FaultError].
func (q Request) Canonical(s strictjson.Shapes, key string) (r request.Request, err error) {
	r = request.Request{V: 1, Initiator: q.Initiator, Key: key, Operation: q.Operation, NotAfter: q.NotAfter}
	if r.Authority, err = custody.ParseAuthorityID(q.Authority); err != nil {
		return r, &FaultError{"/request/authority", err}
	}
	if r.Domain, err = custody.ParseDomainID(q.Domain); err != nil {
		return r, &FaultError{"/request/domain", err}
	}
	op := NewBody(q.Operation)
	if op == nil {
		return r, &FaultError{"/request/operation", fmt.Errorf("operation %q is not known", string(q.Operation))}
	}
	if err := s.Decode(q.Body, op); err != nil {
		return r, &FaultError{"/request/body", err}
	}
	r.Body = canon.Encode(op)
	return r, nil
}

// ReadCall reads the body of a signed call that asks for something: a [Submission] without evidence. It may have a payload, which is not the request's.
func ReadCall(body []byte, key string) (request.Request, error) {
	var in Submission
	if err := strictjson.Decode(body, &in); err != nil {
		return request.Request{}, err
	}
	if !reflect.ValueOf(in.Evidence).IsZero() {
		return request.Request{}, errors.New("the body of a signed call has no evidence")
	}
	return in.Request.Canonical(nil, key)
}
