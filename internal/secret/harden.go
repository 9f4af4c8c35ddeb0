// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// HardenProcess makes the whole process refuse core dumps and debuggers: RLIMIT_CORE is 0, soft and hard, and PR_SET_DUMPABLE is 0, so that
// no process of the same user may attach or read /proc/self/mem. Call it first thing in main: both stay for the life of the process and
// are inherited (the limit) or reset (dumpable) by execve(2). Root can still attach.
func HardenProcess() error {
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("secret: turn core dumps off: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("secret: make the process undumpable: %w", err)
	}
	// Read back: a seccomp filter or a tracer may answer "done" without doing it.
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if err != nil {
		return fmt.Errorf("secret: read whether the process is dumpable: %w", err)
	}
	if dumpable != 0 {
		return errors.New("secret: the process is still dumpable after PR_SET_DUMPABLE; look for a seccomp filter or a tracer")
	}
	return nil
}
