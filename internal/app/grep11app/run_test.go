// SPDX-License-Identifier: Apache-2.0

package grep11app

import (
	"context"
	"log/slog"
	"path/filepath"
	"runtime/metrics"
	"testing"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Small calls share the first connection while it has few; large ones never go through it, and take the others in turns.
func TestDoors(t *testing.T) {
	t.Parallel()
	d := newDoors(filepath.Join(t.TempDir(), "none.sock"))
	defer d.close()
	for range 3 {
		if d.pick(smallCall-1) != d.list[0] {
			t.Error("a small call does not go through the first connection")
		}
	}
	seen := map[*door]int{}
	for range 10 {
		seen[d.pick(smallCall)]++
	}
	if seen[d.list[0]] != 0 || seen[d.list[1]] != 5 || seen[d.list[2]] != 5 {
		t.Errorf("large calls: %v", seen)
	}
	d.list[0].calls.Store(fewCalls)
	if d.pick(1) != d.list[1] {
		t.Error("a connection with many calls takes another small one")
	}
	for _, c := range d.list {
		c.calls.Store(fewCalls)
	}
	clear(seen)
	for range 9 {
		seen[d.pick(1)]++
	}
	if len(seen) != connections {
		t.Errorf("with many calls everywhere: %v", seen)
	}
	if _, err := d.Call(t.Context(), "ping", nil); err == nil || d.list[0].calls.Load() > fewCalls || d.list[1].calls.Load() > fewCalls || d.list[2].calls.Load() > fewCalls {
		t.Errorf("a call that failed is counted for ever: %v", err)
	}
}

// nobody is a service whose key is never asked for.
type nobody struct{}

func (nobody) Person() custody.PersonID            { return "gateway" }
func (nobody) Public() request.PublicKey           { return request.PublicKey{} }
func (nobody) Sign(message []byte) ([]byte, error) { return message, nil }

// collector reads the runtime's GOGC.
func collector() uint64 {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// The gateway sets how seldom garbage is collected while it runs, and leaves it alone where the operator has. Both are of the whole process, so that it
// must not run beside other tests.
func TestCollectorIsSetUnlessToldOtherwise(t *testing.T) {
	before := collector()
	while := func() (got uint64) {
		t.Helper()
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		dir := t.TempDir()
		c := Config{Door: filepath.Join(dir, "none.sock"), Data: filepath.Join(dir, "data"), Key: filepath.Join(dir, "key"), Listen: "127.0.0.1:0", PlaintextLocal: "test"}
		if err := c.Fill(); err != nil {
			t.Fatal(err)
		}
		if err := Run(ctx, c, Options{Log: slog.New(slog.DiscardHandler), Now: time.Now, Service: nobody{}, Ready: func(string) { got = collector(); stop() }}); err != nil {
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
