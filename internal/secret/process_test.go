// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Tests that change or dump a whole process run it as a child: this test binary again, with the name of the part in the environment.
const partVariable = "STRONGROOM_SECRET_TEST_PART"

func TestMain(m *testing.M) {
	part, ok := map[string]func() error{
		"":       nil,
		"harden": partHarden,
		"limit":  partLimit,
		"hold":   partHold,
		"fork":   partFork,
		"guard":  partGuard,
	}[os.Getenv(partVariable)]
	switch {
	case !ok:
		fmt.Fprintln(os.Stderr, "unknown part")
		os.Exit(3)
	case part == nil:
		os.Exit(m.Run())
	}
	if err := part(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(t *testing.T, part string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), partVariable+"="+part)
	return cmd
}

func TestHardenProcess(t *testing.T) {
	t.Parallel()
	if out, err := child(t, "harden").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func partHarden() error {
	for range 2 {
		if err := HardenProcess(); err != nil {
			return err
		}
	}
	var core unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_CORE, &core); err != nil || core.Cur != 0 || core.Max != 0 {
		return fmt.Errorf("core limit %+v, %w", core, err)
	}
	if d, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || d != 0 {
		return fmt.Errorf("dumpable %d, %w", d, err)
	}
	return nil
}

func TestLockLimit(t *testing.T) {
	t.Parallel()
	if out, err := child(t, "limit").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// partLimit gives up the capability that ignores the limit, sets the limit to 64 KiB and asks for 1 MiB, with and without RequireLock.
func partLimit() error {
	runtime.LockOSThread() // capabilities belong to the thread
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return err
	}
	const have, size = 64 << 10, 1 << 20
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, &unix.Rlimit{Cur: have, Max: have}); err != nil {
		return err
	}
	_, err := NewArena(Config{Size: size, RequireLock: true})
	var limit *LockLimitError
	if !errors.As(err, &limit) {
		return fmt.Errorf("required lock: got %v, want a LockLimitError", err)
	}
	if limit.Need < size || limit.Need > size+4<<20 || limit.Have != have || limit.Unwrap() == nil {
		return fmt.Errorf("got %+v", limit)
	}
	kib := (limit.Need + 1023) / 1024
	for _, want := range []string{fmt.Sprintf("ulimit -l %d`", kib), fmt.Sprintf("--memlock=%d:%d`", kib*1024, kib*1024),
		"systemctl edit strongroom-core", fmt.Sprintf("LimitMEMLOCK=%d`", kib*1024)} {
		if !strings.Contains(err.Error(), want) {
			return fmt.Errorf("the text lacks %q: %w", want, err)
		}
	}
	a, err := NewArena(Config{Size: size})
	if err != nil {
		return err
	}
	if a.Locked() || !errors.As(a.LockError(), &limit) {
		return fmt.Errorf("locked %v, %w", a.Locked(), a.LockError())
	}
	b, err := Take(a, []byte("works unlocked"))
	if err != nil {
		return err
	}
	b.Wipe()

	small, err := NewArena(Config{Size: 16 << 10, RequireLock: true})
	if err != nil {
		return fmt.Errorf("below the limit: %w", err)
	}
	if !small.Locked() || small.LockError() != nil {
		return errors.New("below the limit: not locked")
	}
	// The advice counts what is locked already.
	_, err = NewArena(Config{Size: 60 << 10, RequireLock: true})
	if !errors.As(err, &limit) || limit.Need < 76<<10 {
		return fmt.Errorf("second arena: got %w", err)
	}
	return nil
}

// pattern writes a sequence that occurs nowhere else, computed so that the program's own text doesn't contain it.
func pattern(b []byte, seed byte) {
	x := seed
	for i := range b {
		x = x*5 + 113
		b[i] = x ^ byte(i*i)
	}
}

const (
	secretSeed  = 7
	controlSeed = 91
)

// partHold keeps one pattern in an arena and one on the heap until its input ends.
func partHold() error {
	a, err := NewArena(Config{Size: 64 << 10})
	if err != nil {
		return err
	}
	b, err := New(a, 256, func(b []byte) error { pattern(b, secretSeed); return nil })
	if err != nil {
		return err
	}
	control := make([]byte, 256)
	pattern(control, controlSeed)
	fmt.Println("ready")
	_, err = io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(control)
	b.Wipe()
	return err
}

// TestCoreDumpLacksTheArena dumps the core of a child and looks for both patterns: the heap's must be there, the arena's must not.
func TestCoreDumpLacksTheArena(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("writes a core file of a gigabyte, mostly holes")
	}
	gcore, err := exec.LookPath("gcore")
	if err != nil {
		t.Skip("gcore (Debian package gdb) is not installed; TestArenaIsLockedHiddenAndFenced covers the flag")
	}
	cmd := child(t, "hold")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
			t.Error(err)
		}
	}()
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(t.TempDir(), "core")
	if text, err := exec.CommandContext(t.Context(), gcore, "-o", prefix, fmt.Sprint(cmd.Process.Pid)).CombinedOutput(); err != nil {
		t.Skipf("gcore can't attach here: %v: %s", err, text)
	}
	core, err := os.Open(fmt.Sprintf("%s.%d", prefix, cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	defer core.Close()
	want, wantNot := make([]byte, 256), make([]byte, 256)
	pattern(want, controlSeed)
	pattern(wantNot, secretSeed)
	found, err := contains(core, want, wantNot[:32])
	if err != nil {
		t.Fatal(err)
	}
	if !found[0] {
		t.Fatal("the dump lacks the control pattern, so it shows nothing")
	}
	if found[1] {
		t.Error("the dump holds the content of the arena")
	}
}

// contains says which patterns, of at most 256 bytes, a file holds. A dump is mostly holes (address space that Go reserves), which it skips.
func contains(f *os.File, patterns ...[]byte) ([]bool, error) {
	found := make([]bool, len(patterns))
	const overlap = 256
	buf := make([]byte, 1<<20)
	for off := int64(0); ; {
		data, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return found, nil
		}
		if err != nil {
			return nil, err
		}
		n, err := f.ReadAt(buf, data)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		for i, p := range patterns {
			found[i] = found[i] || bytes.Contains(buf[:n], p)
		}
		if n < len(buf) {
			return found, nil
		}
		off = data + int64(n) - overlap
	}
}
