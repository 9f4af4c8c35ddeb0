// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/internal/core/domainkeys"
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

// TestTamperWhileOpening: a core that waits for its log witnesses destroys its working keys all the same, and ends.
func TestTamperWhileOpening(t *testing.T) {
	t.Parallel()
	const pass = "correct horse battery staple"
	o := Options{Data: filepath.Join(t.TempDir(), "data"), Memory: 4 << 20, Log: slog.New(slog.DiscardHandler), NoTiles: true, WeakPassphraseUnsafe: true, Anchor: AnchorWitness}
	if err := o.AddWitness("w1=witness.example/w1+aa4a09d1+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(t.Context(), entered(t, o, pass), signed(t, o), "", nil); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "door") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	socket, done := filepath.Join(dir, "core.sock"), make(chan error, 1)
	running := entered(t, o, pass)
	go func() {
		done <- Run(t.Context(), running, socket, nil, func() { t.Error("the domain opened without its witness") })
	}()
	for _, err := os.Stat(socket); err != nil; _, err = os.Stat(socket) {
		select {
		case err := <-done:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := os.WriteFile(o.tamperFile(), []byte("the lid"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, errTampered) {
		t.Errorf("got error %v", err)
	}
	p, err := build(t.Context(), entered(t, o, pass), false)
	if err != nil {
		t.Fatal(err)
	}
	st, err := p.cfg.Root.Status(t.Context())
	if err != nil || slices.Contains(st.Labels, domainkeys.Label(1)) || !slices.Contains(st.Labels, domainkeys.IdentityLabel) {
		t.Errorf("the root holds %v, %v", st.Labels, err)
	}
	if err := p.close(); err != nil {
		t.Error(err)
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
