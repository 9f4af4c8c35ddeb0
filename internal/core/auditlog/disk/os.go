// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Options change how a folder behaves; the zero value is right outside benchmarks.
type Options struct {
	// FlushDelay is waited before each Sync of a file: what a slower disk would do, for benchmarks.
	FlushDelay time.Duration
}

// OSDir is a folder of the operating system.
type OSDir struct {
	path  string
	delay time.Duration
	syncs atomic.Uint64
}

// OS opens the folder at path, which must exist. Files are made readable by their owner only.
func OS(path string, o Options) (*OSDir, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open folder: %s is not a folder", path)
	}
	return &OSDir{path: path, delay: o.FlushDelay}, nil
}

// Syncs counts the file flushes so far.
func (d *OSDir) Syncs() uint64 { return d.syncs.Load() }

// Path joins the folder's path and the name.
func (d *OSDir) Path(name string) string { return filepath.Join(d.path, name) }

// Open opens or makes a file.
func (d *OSDir) Open(name string, create bool) (File, error) {
	flag := os.O_RDWR
	if create {
		flag |= os.O_CREATE
	}
	f, err := os.OpenFile(d.Path(name), flag, 0o600)
	if err != nil {
		return nil, err
	}
	return &osFile{f: f, dir: d}, nil
}

// List reads the folder.
func (d *OSDir) List() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Rename renames within the folder.
func (d *OSDir) Rename(from, to string) error { return os.Rename(d.Path(from), d.Path(to)) }

// Remove removes a file.
func (d *OSDir) Remove(name string) error { return os.Remove(d.Path(name)) }

// Sync flushes the folder.
func (d *OSDir) Sync() error {
	f, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type osFile struct {
	f   *os.File
	dir *OSDir
}

func (f *osFile) ReadAt(p []byte, off int64) (int, error)  { return f.f.ReadAt(p, off) }
func (f *osFile) WriteAt(p []byte, off int64) (int, error) { return f.f.WriteAt(p, off) }
func (f *osFile) Truncate(size int64) error                { return f.f.Truncate(size) }
func (f *osFile) Close() error                             { return f.f.Close() }

func (f *osFile) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// zeroChunk is how much is written at once where the file system can't reserve space.
const zeroChunk = 1 << 20

func (f *osFile) Allocate(size int64) error {
	have, err := f.Size()
	if err != nil || have >= size {
		return err
	}
	err = f.control(func(fd int) error { return unix.Fallocate(fd, 0, have, size-have) })
	if err == nil || !errors.Is(err, unix.EOPNOTSUPP) {
		return os.NewSyscallError("fallocate", err)
	}
	zeros := make([]byte, zeroChunk)
	for off := have; off < size; off += zeroChunk {
		if _, err := f.f.WriteAt(zeros[:min(zeroChunk, size-off)], off); err != nil {
			return err
		}
	}
	return nil
}

func (f *osFile) Sync() error {
	if f.dir.delay > 0 {
		time.Sleep(f.dir.delay)
	}
	f.dir.syncs.Add(1)
	return os.NewSyscallError("fdatasync", f.control(unix.Fdatasync))
}

// TryLock uses an open file description lock on byte n: unlike POSIX record locks it belongs to this open file, and closing another
// descriptor of the same file does not release it.
func (f *osFile) TryLock(n int64) error {
	err := f.lock(unix.F_WRLCK, n)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return ErrLocked
	}
	return os.NewSyscallError("fcntl", err)
}

func (f *osFile) Unlock(n int64) error { return os.NewSyscallError("fcntl", f.lock(unix.F_UNLCK, n)) }

func (f *osFile) lock(how int16, n int64) error {
	return f.control(func(fd int) error {
		return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: how, Start: n, Len: 1})
	})
}

// control runs a system call on the descriptor, which stays open meanwhile. No call that can flush is repeated.
func (f *osFile) control(call func(fd int) error) error {
	raw, err := f.f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = call(int(fd)) }); err != nil {
		return err
	}
	return inner
}
