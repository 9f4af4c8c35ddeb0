// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"testing"
	"time"
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

// collector reads the runtime's GOGC.
func collector() uint64 {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// TestCollectorIsSetUnlessToldOtherwise: serve sets how seldom garbage is collected while it runs, and leaves it alone where the operator
// has. Both are of the whole process, so that it must not run beside other tests.
func TestCollectorIsSetUnlessToldOtherwise(t *testing.T) {
	before := collector()
	while := func() (got uint64) {
		t.Helper()
		c := Config{Door: filepath.Join(t.TempDir(), "none.sock"), Data: filepath.Join(t.TempDir(), "serve"), Tiles: t.TempDir(), Listen: "127.0.0.1:0"}
		if err := c.Fill(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		err := Run(ctx, c, Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now, Version: "test", Ready: func(string) {
			got = collector()
			stop()
		}})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := while(); got != gcPercent {
		t.Errorf("GOGC was %d, want %d", got, gcPercent)
	}
	if got := collector(); got != before {
		t.Errorf("GOGC is %d afterwards, was %d", got, before)
	}
	t.Setenv("GOGC", "150")
	if got := while(); got != before {
		t.Errorf("GOGC was changed to %d against the environment", got)
	}
}
