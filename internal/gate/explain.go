// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"

	"strongroom/internal/pure/problem"
)

// Explain makes the failure of a call through the door one that may be shown to who asked: what is no problem is a door that does not answer.
func Explain(err error) error {
	var p *problem.Error
	switch {
	case err == nil || errors.As(err, &p):
		return err
	case errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled):
		return problem.Wrap(problem.Busy, err, "the core did not answer in time; the act may have happened: ask again with the same idempotency key")
	case errors.Is(err, ErrReply):
		return problem.Wrap(problem.Internal, err, "serve and core are not of the same release")
	default:
		return problem.Wrap(problem.Stopped, err, "the core can't be reached; the act may have happened: ask again with the same idempotency key")
	}
}
