// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/problem"
)

// failureOf gives what a caller sees of an error: the core's own refusal, or what a problem at the door comes to. Nothing else gets through.
func failureOf(err error) *ep11.Failure {
	var f *ep11.Failure
	var c ep11.Code
	var p *problem.Error
	switch {
	case errors.As(err, &f) && f != nil, errors.As(err, &c):
		return ep11.FailureOf(err)
	case errors.Is(err, context.Canceled):
		return ep11.Fail(ep11.CKR_FUNCTION_CANCELED, "the caller stopped waiting; the act may have happened")
	case errors.Is(err, context.DeadlineExceeded):
		return again(ep11.CKR_IBM_REQ_TIMEOUT, "the core did not answer in time; the act may have happened")
	case errors.As(err, &p) && p != nil:
		return ofProblem(p)
	}
	return again(ep11.CKR_GENERAL_ERROR, "the gateway failed on this call; its log has more")
}

// again is a failure after which the same call may succeed.
func again(c ep11.Code, format string, args ...any) *ep11.Failure {
	f := ep11.Fail(c, format, args...)
	f.Retry = true
	return f
}

// ofProblem translates a problem of the door. A test proves it total.
func ofProblem(p *problem.Error) *ep11.Failure {
	c, retry := codeOf(p.Kind)
	f := ep11.Fail(c, "%s", p.Detail)
	f.Retry = retry
	return f
}

// codeOf gives the return code of each kind of problem, and whether the call may be made again; CKR_OK for a kind that is not known.
func codeOf(k problem.Kind) (ep11.Code, bool) {
	switch k {
	case problem.Unauthenticated:
		return ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED, false
	case problem.Forbidden, problem.RefusedByRule, problem.QuorumNotMet, problem.NotYet, problem.NoPrice, problem.NoVerdict, problem.OutsideBounds, problem.WarmClosed, problem.Frozen:
		return ep11.CKR_IBM_STATIC_POLICY, false
	case problem.Malformed, problem.WrongNetwork, problem.NotFound, problem.IdempotencyReuse:
		return ep11.CKR_ARGUMENTS_BAD, false
	case problem.TooLarge:
		return ep11.CKR_IBM_TRANSPORT_LIMIT, false
	case problem.Unsupported:
		return ep11.CKR_FUNCTION_NOT_SUPPORTED, false
	case problem.Zeroized, problem.Locked:
		return ep11.CKR_IBM_WK_NOT_INITIALIZED, false
	case problem.Busy:
		return ep11.CKR_DEVICE_MEMORY, true
	case problem.Starting, problem.NodeUnavailable, problem.TimeUncertain, problem.Reanchoring:
		return ep11.CKR_DEVICE_ERROR, true
	case problem.Stopped:
		return ep11.CKR_IBM_ERROR_STATE, true
	case problem.Conflict, problem.AlreadyDone:
		return ep11.CKR_IBM_GREP11_CONFLICT, false
	case problem.Expired, problem.Insufficient, problem.KeyAway, problem.Undecodable:
		return ep11.CKR_FUNCTION_FAILED, false
	case problem.Internal:
		return ep11.CKR_GENERAL_ERROR, true
	default:
		return ep11.CKR_OK, false
	}
}

// statusOf writes a failure as the status of a call: its message is the return code's name, and its one detail is the Grep11Error that clients
// read. gRPC's own code is for tools that look at nothing else.
func statusOf(f *ep11.Failure) *status.Status {
	st, err := status.New(grpcCode(f), f.Error()).WithDetails(&wire.Grep11Error{Code: uint64(f.Code), Detail: f.Detail, Retry: f.Retry})
	if err != nil { // not for this message
		return status.New(codes.Internal, ep11.CKR_IBM_GREP11_CANNOT_MARSHAL.Error())
	}
	return st
}

// grpcCode gives gRPC's code of a failure.
func grpcCode(f *ep11.Failure) codes.Code {
	switch f.Code {
	case ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED:
		return codes.Unauthenticated
	case ep11.CKR_IBM_STATIC_POLICY, ep11.CKR_ACTION_PROHIBITED, ep11.CKR_FUNCTION_REJECTED, ep11.CKR_KEY_FUNCTION_NOT_PERMITTED, ep11.CKR_KEY_UNEXTRACTABLE:
		return codes.PermissionDenied
	case ep11.CKR_FUNCTION_NOT_SUPPORTED:
		return codes.Unimplemented
	case ep11.CKR_DEVICE_MEMORY, ep11.CKR_IBM_TRANSPORT_LIMIT:
		return codes.ResourceExhausted
	case ep11.CKR_IBM_REQ_TIMEOUT:
		return codes.DeadlineExceeded
	case ep11.CKR_FUNCTION_CANCELED:
		return codes.Canceled
	case ep11.CKR_GENERAL_ERROR, ep11.CKR_IBM_INTERNAL_ERROR:
		return codes.Internal
	case ep11.CKR_IBM_WK_NOT_INITIALIZED, ep11.CKR_IBM_ERROR_STATE:
		return codes.FailedPrecondition
	}
	if f.Retry {
		return codes.Unavailable
	}
	return codes.InvalidArgument
}
