// SPDX-License-Identifier: Apache-2.0

package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/durable/durabletest"
)

var oldData, newData = []byte("the old content"), []byte("the new content, longer")

// crash runs act on a disk that setup prepared, stops it at each operation, before and after its effect, brings it back with each loss, and
// calls check, with done saying whether act had answered that it is done.
func crash(t *testing.T, setup, act func(durable.Disk) error, check func(t *testing.T, d durable.Disk, done bool)) {
	t.Helper()
	for n := 1; ; n++ {
		last := false
		for _, after := range []bool{false, true} {
			for _, loss := range durabletest.Losses() {
				d := durabletest.New()
				if err := setup(d); err != nil {
					t.Fatal(err)
				}
				d.StopAt(n, after)
				err := act(d)
				if err != nil && !errors.Is(err, durabletest.ErrStopped) {
					t.Fatal(err)
				}
				last = last || err == nil
				d.Restart(loss)
				t.Run(fmt.Sprintf("operation %d after=%v loses %s", n, after, loss), func(t *testing.T) {
					if err := durable.Sweep(d, "/"); err != nil {
						t.Fatal(err)
					}
					check(t, d, err == nil)
					names, err := d.List("/")
					if err != nil {
						t.Fatal(err)
					}
					for _, name := range names {
						if strings.HasPrefix(name, ".") {
							t.Errorf("%s was left behind", name)
						}
					}
				})
			}
		}
		if last {
			return
		}
	}
}

func read(t *testing.T, d durable.Disk) []byte {
	t.Helper()
	b, err := d.Read("/f", 100)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func nothing(durable.Disk) error        { return nil }
func addOld(d durable.Disk) error       { return durable.Add(d, "/f", oldData) }
func replaceByNew(d durable.Disk) error { return durable.Replace(d, "/f", newData) }
func erase(d durable.Disk) error        { return durable.Erase(d, "/f") }

func TestAddSurvives(t *testing.T) {
	t.Parallel()
	crash(t, nothing, addOld, func(t *testing.T, d durable.Disk, done bool) {
		got := read(t, d)
		if done && got == nil {
			t.Error("the file is gone")
		}
		if got != nil && !bytes.Equal(got, oldData) {
			t.Errorf("got %q", got)
		}
	})
}

// TestAddAgainSurvives shows that ErrExist is a promise: the file found is durable, also when an Add that was killed had left it.
func TestAddAgainSurvives(t *testing.T) {
	t.Parallel()
	for n := 1; n < 10; n++ {
		d := durabletest.New()
		d.StopAt(n, true)
		first := addOld(d)
		d.Restart(durabletest.Nothing)
		if err := durable.Sweep(d, "/"); err != nil {
			t.Fatal(err)
		}
		err := addOld(d)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		if first == nil && err == nil {
			t.Fatal("a second Add of the same file was done")
		}
		d.Restart(durabletest.All)
		if got := read(t, d); !bytes.Equal(got, oldData) {
			t.Errorf("killed at operation %d, added again (%v): got %q", n, err, got)
		}
	}
}

func TestReplaceSurvives(t *testing.T) {
	t.Parallel()
	crash(t, addOld, replaceByNew, func(t *testing.T, d durable.Disk, done bool) {
		got := read(t, d)
		if !bytes.Equal(got, newData) && (done || !bytes.Equal(got, oldData)) {
			t.Errorf("done %v, got %q", done, got)
		}
	})
}

func TestEraseSurvives(t *testing.T) {
	t.Parallel()
	crash(t, addOld, erase, func(t *testing.T, d durable.Disk, done bool) {
		got := read(t, d)
		if done && got != nil || got != nil && !bytes.Equal(got, oldData) {
			t.Errorf("done %v, got %q", done, got)
		}
	})
}

// TestOS runs the same functions on the machine's file system.
func TestOS(t *testing.T) {
	t.Parallel()
	d, dir := durable.OS(), t.TempDir()
	path := filepath.Join(dir, "f")
	if err := durable.Add(d, path, oldData); err != nil {
		t.Fatal(err)
	}
	if err := durable.Add(d, path, newData); !errors.Is(err, fs.ErrExist) {
		t.Errorf("added twice: got error %v", err)
	}
	if got, err := d.Read(path, len(oldData)); err != nil || !bytes.Equal(got, oldData) {
		t.Errorf("got %q and error %v", got, err)
	}
	if _, err := d.Read(path, len(oldData)-1); err == nil {
		t.Error("read more than the limit")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v and error %v, want 0600", info.Mode(), err)
	}
	if err := durable.Replace(d, path, newData); err != nil {
		t.Fatal(err)
	}
	// A second name shows what Erase does to the content.
	second := filepath.Join(dir, "second")
	if err := os.Link(path, second); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := durable.Erase(d, path); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Read(path, 100); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("erased, but got error %v", err)
	}
	if got, err := os.ReadFile(second); err != nil || !bytes.Equal(got, make([]byte, len(newData))) {
		t.Errorf("the erased content is %q and error %v", got, err)
	}
	for _, left := range []string{".new-1", ".erase-1"} {
		if err := os.WriteFile(filepath.Join(dir, left), oldData, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := durable.Sweep(d, dir); err != nil {
		t.Fatal(err)
	}
	if names, err := d.List(dir); err != nil || len(names) != 1 || names[0] != "second" {
		t.Errorf("swept: got %v and error %v", names, err)
	}
	for name, f := range map[string]func() error{
		"add":     func() error { return durable.Add(d, filepath.Join(dir, "none", "f"), oldData) },
		"replace": func() error { return durable.Replace(d, filepath.Join(dir, "none", "f"), oldData) },
		"erase":   func() error { return durable.Erase(d, filepath.Join(dir, "none", "f")) },
		"sweep":   func() error { return durable.Sweep(d, filepath.Join(dir, "none")) },
	} {
		if err := f(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s without its folder: got error %v", name, err)
		}
	}
}
