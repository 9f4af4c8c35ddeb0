// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestTamperFile(t *testing.T) {
	t.Parallel()
	o := Options{Data: t.TempDir()}
	path := o.tamperFile()
	if _, ok := tampered(path); ok || path != filepath.Join(o.Data, TamperFile) {
		t.Errorf("%s is there", path)
	}
	for content, want := range map[string]string{"": "the tamper file appeared", "the lid\nsecond line": "the lid", " \n\t": "the tamper file appeared"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if cause, ok := tampered(path); !ok || cause != want {
			t.Errorf("%q: %q, %v", content, cause, ok)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, ok := tampered(path); !ok {
		t.Error("what can't be read does not count")
	}
	if o.TamperFile = "/run/case-open"; o.tamperFile() != "/run/case-open" {
		t.Errorf("another file is watched: %s", o.tamperFile())
	}
}

// A machine that is short of open files or memory is not tampered with; a file that is hidden is.
func TestTamperFileThatCannotBeLookedAt(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{nil: true, unix.ENOENT: false, unix.EMFILE: false, unix.ENFILE: false, unix.ENOMEM: false, unix.EACCES: true, unix.ELOOP: true,
		unix.ENOTDIR: true, unix.EIO: true} {
		if err != nil {
			err = &os.PathError{Op: "stat", Path: "tamper", Err: err}
		}
		if _, ok := judged(err, func() string { return "" }); ok != want {
			t.Errorf("%v: %v, want %v", err, ok, want)
		}
	}
}
