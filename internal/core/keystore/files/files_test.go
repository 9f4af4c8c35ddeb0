// SPDX-License-Identifier: Apache-2.0

package files

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/durable/durabletest"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/keystore/blobtest"
)

func mustOpen(t testing.TB, disk durable.Disk, dir string) *Store {
	t.Helper()
	s, err := open(disk, dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) func() keystore.Blobs {
		dir := filepath.Join(t.TempDir(), "blobs")
		return func() keystore.Blobs { return mustOpen(t, durable.OS(), dir) }
	})
}

func TestConformanceInMemory(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t *testing.T) func() keystore.Blobs {
		disk := durabletest.New()
		return func() keystore.Blobs { return mustOpen(t, disk, "/blobs") }
	})
}

// TestCrash stops the disk at each operation of each act, before and after its effect, restarts with each loss, and checks that what was
// acknowledged is there, that what wasn't is there whole or not at all, that another blob is untouched, and that the act can be repeated.
func TestCrash(t *testing.T) {
	t.Parallel()
	ref, blob := blobtest.Blob(1)
	bystander, bystanderBlob := blobtest.Blob(2)
	bystander.Key = ref.Key // in the same folder
	acts := []struct {
		name   string
		before bool // the blob is there before
		after  bool // and after
		act    func(t *testing.T, s *Store) error
	}{
		{"put", false, true, func(t *testing.T, s *Store) error { return s.Put(t.Context(), ref, blob) }},
		{"put again", true, true, func(t *testing.T, s *Store) error {
			if err := s.Put(t.Context(), ref, blob); !errors.Is(err, keystore.ErrExists) {
				return err
			}
			return nil
		}},
		{"delete", true, false, func(t *testing.T, s *Store) error { return s.Delete(t.Context(), ref) }},
	}
	for _, a := range acts {
		for n := 1; ; n++ {
			ends := 0
			for _, after := range []bool{false, true} {
				for _, loss := range durabletest.Losses() {
					name := fmt.Sprintf("%s, operation %d after=%v loses %s", a.name, n, after, loss)
					disk := durabletest.New()
					s := mustOpen(t, disk, "/blobs")
					if err := s.Put(t.Context(), bystander, bystanderBlob); err != nil {
						t.Fatal(err)
					}
					if a.before {
						if err := s.Put(t.Context(), ref, blob); err != nil {
							t.Fatal(err)
						}
					}
					disk.StopAt(n, after)
					err := a.act(t, s)
					if err == nil {
						ends++
					} else if !errors.Is(err, durabletest.ErrStopped) {
						t.Fatalf("%s: %v", name, err)
					}
					disk.Restart(loss)
					s = mustOpen(t, disk, "/blobs")
					got, getErr := s.Get(t.Context(), ref)
					there := bytes.Equal(got, blob)
					switch {
					case !there && !errors.Is(getErr, keystore.ErrNotFound):
						t.Errorf("%s: got %d bytes and error %v", name, len(got), getErr)
					case err == nil && there != a.after:
						t.Errorf("%s: acknowledged, but there is %v", name, there)
					case a.before && a.after && !there:
						t.Errorf("%s: lost", name)
					}
					if names, err := disk.List("/blobs/" + string(ref.Key[:2])); err != nil || strings.Contains(fmt.Sprint(names), ".new-") || strings.Contains(fmt.Sprint(names), ".erase-") {
						t.Errorf("%s: left behind %v, error %v", name, names, err)
					}
					if got, err := s.Get(t.Context(), bystander); err != nil || !bytes.Equal(got, bystanderBlob) {
						t.Errorf("%s: another blob: %d bytes and error %v", name, len(got), err)
					}
					if err := a.act(t, s); err != nil && !errors.Is(err, keystore.ErrExists) {
						t.Errorf("%s: repeated: %v", name, err)
					}
					if _, err := s.Get(t.Context(), ref); (err == nil) != a.after {
						t.Errorf("%s: repeated: got error %v", name, err)
					}
				}
			}
			if ends > 0 {
				break
			}
		}
	}
}

// TestOpenCrash interrupts the making of the store at every operation.
func TestOpenCrash(t *testing.T) {
	t.Parallel()
	ref, blob := blobtest.Blob(1)
	for n := 1; n <= 270; n++ {
		disk := durabletest.New()
		disk.StopAt(n, n%2 == 0)
		_, err := open(disk, "/blobs")
		if err == nil {
			return
		}
		disk.Restart(durabletest.Losses()[n%3])
		s := mustOpen(t, disk, "/blobs")
		if err := s.Put(t.Context(), ref, blob); err != nil {
			t.Fatal(err)
		}
		disk.Restart(durabletest.All)
		if _, err := mustOpen(t, disk, "/blobs").Get(t.Context(), ref); err != nil {
			t.Fatalf("stopped at operation %d: %v", n, err)
		}
	}
	t.Fatal("Open needs more operations than the test has")
}

func TestEveryBitIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := mustOpen(t, durable.OS(), dir)
	ref, blob := blobtest.Blob(1)
	if err := s.Put(t.Context(), ref, blob); err != nil {
		t.Fatal(err)
	}
	path, err := s.path(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	for i := range blob {
		b := bytes.Clone(blob)
		b[i] ^= 1 << (i % 8)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Get(t.Context(), ref)
		if !errors.Is(err, keystore.ErrCorrupt) || !strings.Contains(err.Error(), string(ref.Key)) {
			t.Fatalf("byte %d: got error %v", i, err)
		}
	}
	if err := s.Put(t.Context(), ref, blob); !errors.Is(err, keystore.ErrCorrupt) {
		t.Errorf("put over an altered blob: got error %v", err)
	}
	if err := os.WriteFile(path, make([]byte, keystore.MaxBlob+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), ref); err == nil {
		t.Error("read a file that is too long")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Open(""); err == nil {
		t.Error("opened no directory")
	}
	if _, err := Open(filepath.Join(t.TempDir(), "a", "b")); err == nil {
		t.Error("opened a directory without a parent")
	}
	if _, err := Open(filepath.Join(t.TempDir(), "new")); err != nil {
		t.Error(err)
	}
}

func BenchmarkPut(b *testing.B) {
	s := mustOpen(b, durable.OS(), b.TempDir())
	n := 0
	for b.Loop() {
		ref, blob := blobtest.Blob(n)
		if err := s.Put(b.Context(), ref, blob); err != nil {
			b.Fatal(err)
		}
		n++
	}
}
