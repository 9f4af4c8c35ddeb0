// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The data folder is its owner's alone: a new one is made so, and one that is open to others is refused with what to do.
func TestDataFolderIsPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "serve")
	for range 2 {
		if err := privateFolder(path); err != nil {
			t.Fatal(err)
		}
	}
	if i, err := os.Stat(path); err != nil || i.Mode().Perm() != 0o700 {
		t.Errorf("%v %v", i.Mode(), err)
	}
	for _, mode := range []os.FileMode{0o755, 0o750, 0o710, 0o701, 0o707} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := privateFolder(path); err == nil || !strings.Contains(err.Error(), "chmod 700 "+path) {
			t.Errorf("mode %v: %v", mode, err)
		}
	}
	file := filepath.Join(path, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := privateFolder(file); err == nil {
		t.Error("a file was taken for a folder")
	}
}
