// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// LockLimitError says that RLIMIT_MEMLOCK is too low to lock an arena. Its text names the commands that raise it.
type LockLimitError struct {
	Need uint64 // bytes: this arena and what the process holds locked already
	Have uint64 // bytes: the soft limit
	Err  error  // what mlock(2) answered
}

// Error names the limit and three ways to raise it: in the shell, for a running shell as root, and in systemd.
func (e *LockLimitError) Error() string {
	kib := (e.Need + 1023) / 1024
	limit := kib * 1024
	return fmt.Sprintf("secret: cannot lock %d bytes of memory, the limit is %d; raise it in the shell that starts the program with `ulimit -l %d`, "+
		"or, where the hard limit is lower, with `sudo prlimit --pid $$ --memlock=%d:%d`; "+
		"for a service run `systemctl edit strongroom-core` and add `[Service]` and `LimitMEMLOCK=%d`",
		e.Need, e.Have, kib, limit, limit, limit)
}

// Unwrap returns what mlock(2) answered.
func (e *LockLimitError) Unwrap() error { return e.Err }

// lock locks b into memory. A refusal that the limit explains becomes a [*LockLimitError].
func lock(b []byte) error {
	err := unix.Mlock(b)
	if err == nil {
		return nil
	}
	if !errors.Is(err, unix.ENOMEM) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("secret: lock %d bytes: %w", len(b), err)
	}
	var limit unix.Rlimit
	if e := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); e != nil {
		return fmt.Errorf("secret: lock %d bytes: %w", len(b), errors.Join(err, e))
	}
	need := uint64(len(b)) + lockedBytes()
	if need <= limit.Cur {
		return fmt.Errorf("secret: lock %d bytes: %w: the limit of %d allows it, free memory on the machine", len(b), err, limit.Cur)
	}
	return &LockLimitError{Need: need, Have: limit.Cur, Err: err}
}

// lockedBytes is what the process holds locked already: VmLck of proc_pid_status(5), 0 when it can't be read. It only makes the advice in
// [LockLimitError] exact.
func lockedBytes() uint64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == "VmLck:" {
			kib, err := strconv.ParseUint(string(fields[1]), 10, 54)
			if err != nil {
				return 0
			}
			return kib * 1024
		}
	}
	return 0
}
