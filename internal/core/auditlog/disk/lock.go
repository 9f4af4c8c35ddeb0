// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// lockWait is how often a lock that another process holds is tried again.
const lockWait = time.Millisecond

// Lock takes the lock numbered n of a file. While another process holds it, it waits as long as ctx allows, and gives [ErrLocked] with the
// context's error then.
func Lock(ctx context.Context, f File, n int64) error {
	for {
		err := f.TryLock(n)
		if !errors.Is(err, ErrLocked) {
			return err
		}
		select {
		case <-time.After(lockWait):
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

// Locked runs act with the lock of [Lock], and gives it back.
func Locked(ctx context.Context, f File, n int64, act func() error) error {
	if err := Lock(ctx, f, n); err != nil {
		return err
	}
	return errors.Join(act(), f.Unlock(n))
}
