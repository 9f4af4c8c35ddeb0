// SPDX-License-Identifier: Apache-2.0

package pgtest

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestMissingServerNamesThePackage(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := find(filepath.Join(t.TempDir(), "*"))
	if err == nil || !strings.Contains(err.Error(), "apt-get install postgresql") {
		t.Fatalf("got %v, want what to install", err)
	}
}

func TestNewestVersion(t *testing.T) {
	t.Parallel()
	if a, b := version("/usr/lib/postgresql/9/bin/initdb"), version("/usr/lib/postgresql/15/bin/initdb"); a >= b {
		t.Errorf("9 is %d, 15 is %d", a, b)
	}
}
