// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// TestForkedChildSeesZeros: a child that is forked, and not replaced by another program, finds the heap's pattern and not the arena's.
func TestForkedChildSeesZeros(t *testing.T) {
	t.Parallel()
	if out, err := child(t, "fork").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// partFork forks and has the child write both patterns into a pipe.
func partFork() error {
	a, err := NewArena(Config{Size: 4096})
	if err != nil {
		return err
	}
	b, err := New(a, 256, func(b []byte) error { pattern(b, secretSeed); return nil })
	if err != nil {
		return err
	}
	defer b.Wipe()
	control := make([]byte, 256)
	pattern(control, controlSeed)
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	var pid uintptr
	err = b.Use(func(held []byte) error {
		n, errno := forkAndWrite(w.Fd(), unsafe.Pointer(&control[0]), unsafe.Pointer(&held[0]), uintptr(len(held)))
		pid = n
		runtime.KeepAlive(held)
		if errno != 0 {
			return errno
		}
		return nil
	})
	runtime.KeepAlive(control)
	if err := errors.Join(err, w.Close()); err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(int(pid), &status, 0, nil); err != nil || status.ExitStatus() != 0 {
		return fmt.Errorf("the forked child ended with %v, %w", status, err)
	}
	if len(got) != 512 || !bytes.Equal(got[:256], control) {
		return fmt.Errorf("the child wrote %d bytes, without the control pattern: this shows nothing", len(got))
	}
	if !bytes.Equal(got[256:], make([]byte, 256)) {
		return errors.New("the child saw what the arena holds")
	}
	return nil
}

// forkAndWrite is fork(2). The child writes n bytes of each place and ends. Nothing of Go's runtime works in it: it makes raw system calls only.
//
//go:norace
//go:nosplit
//go:noinline
func forkAndWrite(fd uintptr, one, two unsafe.Pointer, n uintptr) (uintptr, unix.Errno) {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if pid != 0 || errno != 0 {
		return pid, errno
	}
	unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(one), n)
	unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(two), n)
	for {
		unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// TestGuardPageEndsTheProcess: without SetPanicOnFault, one byte beyond the arena is the end of the process, whatever it recovers from.
func TestGuardPageEndsTheProcess(t *testing.T) {
	t.Parallel()
	out, err := child(t, "guard").CombinedOutput()
	var left *exec.ExitError
	if !errors.As(err, &left) || !strings.Contains(string(out), "fatal error: fault") || !strings.Contains(string(out), "SIGSEGV") || strings.Contains(string(out), "survived") {
		t.Fatalf("%v: %s", err, out)
	}
}

func partGuard() error {
	a, err := NewArena(Config{Size: 4096})
	if err != nil {
		return err
	}
	defer func() { fmt.Println("survived", recover()) }()
	m := a.mapping()
	m[len(m)-1] = 1
	return errors.New("survived")
}
