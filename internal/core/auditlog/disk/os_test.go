// SPDX-License-Identifier: Apache-2.0

package disk_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/disk/disktest"
)

func mustOS(t *testing.T) *disk.OSDir {
	t.Helper()
	d, err := disk.OS(t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The real folder and the one in memory behave alike.
func TestDirs(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]disk.Dir{"os": mustOS(t), "memory": disktest.New()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := d.Open("a", false); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("absent file: %v", err)
			}
			f, err := d.Open("a", true)
			must(t, err)
			must(t, f.Allocate(1000))
			must(t, f.Allocate(10)) // never shorter
			size, err := f.Size()
			if err != nil || size != 1000 {
				t.Fatalf("size %d, %v", size, err)
			}
			_, err = f.WriteAt([]byte("hello"), 998)
			must(t, err)
			must(t, f.Sync())
			b := make([]byte, 10)
			n, err := f.ReadAt(b, 996)
			if n != 7 || !errors.Is(err, io.EOF) || !bytes.Equal(b[:n], []byte("\x00\x00hello")) {
				t.Fatalf("read %d %q, %v", n, b[:n], err)
			}
			must(t, f.Truncate(2))
			if n, err := f.ReadAt(b, 2); n != 0 || !errors.Is(err, io.EOF) {
				t.Fatalf("read beyond the end: %d, %v", n, err)
			}
			g, err := d.Open("a", false)
			must(t, err)
			must(t, f.TryLock(3))
			must(t, f.TryLock(3)) // held already
			must(t, g.TryLock(4))
			if err := g.TryLock(3); !errors.Is(err, disk.ErrLocked) {
				t.Fatalf("locked twice: %v", err)
			}
			must(t, f.Unlock(3))
			must(t, g.TryLock(3))
			must(t, g.Close())
			must(t, f.TryLock(3))
			must(t, f.TryLock(1<<62))
			_, err = d.Open("b", true)
			must(t, err)
			must(t, d.Rename("a", "c"))
			must(t, d.Sync())
			names, err := d.List()
			if err != nil || !slices.Equal(names, []string{"b", "c"}) {
				t.Fatalf("names %v, %v", names, err)
			}
			must(t, d.Remove("b"))
			if err := d.Remove("b"); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("removed twice: %v", err)
			}
			if f.Close() != nil || f.Sync() == nil || f.TryLock(1) == nil {
				t.Fatal("a closed file was used")
			}
		})
	}
}

func TestOSRefusesWhatIsNoFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, path := range []string{file, file + "/x", ""} {
		if _, err := disk.OS(path, disk.Options{}); err == nil {
			t.Errorf("%q was opened as a folder", path)
		}
	}
}

func TestFlushDelayAndCount(t *testing.T) {
	t.Parallel()
	const delay = 20 * time.Millisecond
	d, err := disk.OS(t.TempDir(), disk.Options{FlushDelay: delay})
	must(t, err)
	f, err := d.Open("a", true)
	must(t, err)
	start := time.Now()
	must(t, f.Sync())
	if took := time.Since(start); took < delay || d.Syncs() != 1 {
		t.Errorf("flush took %v, %d flushes counted", took, d.Syncs())
	}
	info, err := os.Stat(d.Path("a"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: others may read the log", info.Mode(), err)
	}
}
