// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"runtime/metrics"
	"testing"
	"time"
)

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
		c := Config{Door: filepath.Join(t.TempDir(), "none.sock"), Data: t.TempDir(), Tiles: t.TempDir(), Listen: "127.0.0.1:0"}
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
