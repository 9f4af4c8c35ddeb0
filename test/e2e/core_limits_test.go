// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/request"
)

// A write to the log fails because the file may not grow: the process ends and says so. With room again it starts, and all that it acknowledged
// is there.
func TestLogCannotGrow(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir())
	s.create()
	c := s.start()
	c.wallet(callers)
	c.openSession()
	l := s.load(c)
	defer func() { l.stop.Store(true) }()
	for l.got.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	// Everything written from now on lies beyond this, in a file that was allocated long ago.
	if err := unix.Prlimit(c.cmd.Process.Pid, unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 4096, Max: unix.RLIM_INFINITY}, nil); err != nil {
		t.Fatal(err)
	}
	c.mustFail("the log", "file too large")
	l.core.Store(nil)
	c.kill()
	c = s.start()
	c.openSession()
	l.settle(c)
	if l.lost.Load() == 0 {
		t.Error("no call was cut off: the test shows nothing")
	}
	c.stop()
}

// The disk is full: a domain that does not fit is not made, and can be made when it does; a core whose log finds no room ends and says so, and
// goes on from where it was when there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,mode=0700"); err != nil {
		t.Skipf("a small disk can't be mounted here (%v); TestLogCannotGrow shows the same with a file size limit", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	room := func(megabytes int) {
		t.Helper()
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%dm", megabytes)); err != nil {
			t.Fatal(err)
		}
	}
	s := newSite(t, dir)
	genesis := s.prepare()
	if said, err := s.run("create", "--genesis", genesis); err == nil || !strings.Contains(said, "no space left on device") {
		t.Fatalf("a domain on a full disk: %v: %s", err, said)
	}
	room(96) // for one segment of the log
	if said, err := s.run("create", "--genesis", genesis); err != nil {
		t.Fatalf("with room: %v: %s", err, said)
	}
	c := s.start()
	c.wallet(callers)
	c.openSession()
	l := s.load(c)
	defer func() { l.stop.Store(true) }()
	for l.got.Load() < 100 {
		time.Sleep(time.Millisecond)
	}
	l.core.Store(nil)
	c.kill()
	fullSegment(t, dir)
	room(24)
	// It starts, because that writes nothing new, and ends at the first entry that does not fit; then again.
	for i := range 2 {
		c = s.start()
		if err := c.fill(i); !passing(err) {
			t.Fatalf("on a full disk: %v", err)
		}
		c.mustFail("the log", "no space left on device")
		c.kill()
	}
	room(256)
	c = s.start()
	c.openSession()
	l.settle(c)
	c.stop()
}

// fill asks for addresses until that fails. The first may find room: what a kill left beyond the pin was dropped.
func (c *core) fill(round int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for i := 0; ; i++ {
		r := c.s.ask(c.s.officers[0], fmt.Sprintf("full-%d-%d", round, i), request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 1})
		_, err := gate.Call[message.Submit, message.Request](ctx, c.door, message.MethodSubmit,
			message.Submit{Request: r.Encode(), Evidence: c.s.officers[0].evidence(r)})
		if err != nil {
			return err
		}
	}
}

// fullSegment cuts the log's file behind its last record, as if it had just become full: what was reserved for it is given back.
func fullSegment(t *testing.T, dir string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "log", "*.seg"))
	if err != nil || len(names) != 1 {
		t.Fatalf("segments: %v, %v", names, err)
	}
	b, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	end := 24 // docs/spec/log-store.md, "Segment file"
	for end+16 <= len(b) && binary.LittleEndian.Uint32(b[end:]) != 0 {
		end += 16 + int(binary.LittleEndian.Uint32(b[end:]))
	}
	if err := os.Truncate(names[0], int64(end)); err != nil {
		t.Fatal(err)
	}
}

// What the process is: one listening socket, its door, and connections of it; no other socket, no child, no core dump, nobody may attach.
func TestCoreIsClosed(t *testing.T) {
	t.Parallel()
	dir, credential := t.TempDir(), (*syscall.Credential)(nil)
	if os.Geteuid() == 0 {
		// As another user: the owner of its files in /proc then shows whether it is dumpable.
		dir, credential = ofNobody(t)
	}
	s := newSite(t, dir)
	s.credential = credential
	s.create()
	c := s.start()
	c.wallet(2)
	pid := c.cmd.Process.Pid
	proc := func(name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

	info, err := os.Stat(proc("environ"))
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; owner != 0 { // proc(5): root's if the process is not dumpable
		t.Errorf("the process is dumpable: %s belongs to user %d", proc("environ"), owner)
	}
	if limit := limitOf(t, proc("limits"), "Max core file size"); limit != "0 0" {
		t.Errorf("core dumps are limited to %s", limit)
	}
	if kids := children(t, pid); len(kids) > 0 {
		t.Errorf("it has children: %v", kids)
	}
	inodes := sockets(t, proc("fd"))
	listening := 0
	for _, line := range lines(t, proc("net/unix")) { // Num RefCount Protocol Flags Type St Inode Path
		f := strings.Fields(line)
		if len(f) < 7 || !inodes[f[6]] {
			continue
		}
		delete(inodes, f[6])
		if len(f) < 8 || f[7] != c.socket {
			t.Errorf("a Unix socket that is not the door's: %s", line)
		} else if f[3] == "00010000" { // SO_ACCEPTCON
			listening++
		}
	}
	if listening != 1 || len(inodes) > 0 {
		t.Errorf("%d listening sockets, and others than Unix sockets: %v", listening, inodes)
	}
	c.stop()
}

// ofNobody makes a folder of the user nobody, who must reach it and the programs.
func ofNobody(t *testing.T) (string, *syscall.Credential) {
	t.Helper()
	const nobody = 65534
	dir, err := os.MkdirTemp("", "strongroom-e2e-nobody-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path, err := exec.LookPath("strongroom-core")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chown(dir, nobody, nobody), os.Chmod(filepath.Dir(path), 0o755)); err != nil {
		t.Fatal(err)
	}
	return dir, &syscall.Credential{Uid: nobody, Gid: nobody}
}

func lines(t *testing.T, path string) (out []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(strings.NewReader(string(b))); s.Scan(); {
		out = append(out, s.Text())
	}
	return out
}

// limitOf gives the soft and hard limit of a name.
func limitOf(t *testing.T, path, name string) string {
	t.Helper()
	for _, l := range lines(t, path) {
		if rest, ok := strings.CutPrefix(l, name); ok {
			f := strings.Fields(rest)
			return f[0] + " " + f[1]
		}
	}
	t.Fatalf("%s has no %s", path, name)
	return ""
}

// children lists the processes whose parent is pid.
func children(t *testing.T, pid int) (out []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(all) == 0 {
		t.Fatalf("processes: %v", err)
	}
	for _, name := range all {
		b, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // ended meanwhile
		}
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), ") ") // the name before may hold anything
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(pid) {
			out = append(out, name)
		}
	}
	return out
}

// sockets gives the inodes of the sockets that a process has open. Only root may look into a process that is not dumpable.
func sockets(t *testing.T, dir string) map[string]bool {
	t.Helper()
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrPermission) {
		t.Skip("nobody but root sees the files of this process, which is as it should be")
	}
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for _, e := range list {
		to, err := os.Readlink(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			out[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return out
}
