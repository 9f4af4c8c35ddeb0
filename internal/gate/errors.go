// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is what every [ClosedError] is, for errors.Is.
	ErrClosed = errors.New("the door's connection is closed")
	// ErrReply says that the other side answered with something that is not the reply of this method. The act happened.
	ErrReply = errors.New("the reply cannot be read")
)

// ClosedError says that a connection ended before a call was answered.
type ClosedError struct {
	// Sent says that the request may have left. Then nobody here can know whether the act happened: ask again on a new connection with the
	// same idempotency key, which does it at most once and answers either way. If it is false, the act did not happen.
	Sent  bool
	Cause error // why the connection ended
}

// Error says what happened and what to do.
func (e *ClosedError) Error() string {
	if e.Sent {
		return fmt.Sprintf("%v: %v; the act may have happened: ask again with the same idempotency key", ErrClosed, e.Cause)
	}
	return fmt.Sprintf("%v: %v; nothing was sent", ErrClosed, e.Cause)
}

// Is makes every ClosedError an [ErrClosed].
func (e *ClosedError) Is(target error) bool { return target == ErrClosed }

// Unwrap gives the cause.
func (e *ClosedError) Unwrap() error { return e.Cause }
