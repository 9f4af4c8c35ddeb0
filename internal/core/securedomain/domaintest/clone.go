// SPDX-License-Identifier: Apache-2.0

package domaintest

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Clone copies a closed domain into a folder of its own, with its own clock; it is not open. Log and pin on disks of their own are not
// copied: give them in the options.
func (h *Harness) Clone(t testing.TB, o Options) *Harness {
	t.Helper()
	if h.D != nil {
		t.Fatal("an open domain can't be copied")
	}
	c := &Harness{T: t, Dir: t.TempDir(), Clock: &Clock{}, Alice: h.Alice, Bob: h.Bob, Carol: h.Carol, Service: h.Service, Genesis: h.Genesis, Options: o, keys: h.keys}
	c.Clock.Wall.Store(h.Clock.Wall.Load())
	c.Clock.Since.Store(h.Clock.Since.Load())
	t.Cleanup(c.Close)
	CopyFolder(t, h.Dir, c.Dir)
	return c
}

// Other gives another process on the same folder and disks; it is not open.
func (h *Harness) Other(o Options) *Harness {
	h.T.Helper()
	c := &Harness{T: h.T, Dir: h.Dir, Clock: &Clock{}, Alice: h.Alice, Bob: h.Bob, Carol: h.Carol, Service: h.Service, Genesis: h.Genesis, Options: o, keys: 1000}
	c.Clock.Wall.Store(h.Clock.Wall.Load())
	c.Clock.Since.Store(h.Clock.Since.Load())
	h.T.Cleanup(c.Close)
	return c
}

// CopyFolder copies a folder with all that is in it into another one, which may exist.
func CopyFolder(t testing.TB, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
