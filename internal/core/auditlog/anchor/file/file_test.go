// SPDX-License-Identifier: Apache-2.0

package file_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/disk/disktest"
)

func openAnchor(t *testing.T, m *disktest.Mem) *file.Anchor {
	t.Helper()
	a, err := file.Open(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Flipped or cut anywhere, the pin file gives the newest pin or an error: never an older pin, never none.
func TestDamagedPinFile(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	a := openAnchor(t, m)
	for _, c := range []string{"one", "two"} {
		if err := a.Pin(t.Context(), auditlog.Pin{Checkpoint: []byte(c), Frontier: []byte{1}}); err != nil {
			t.Fatal(err)
		}
	}
	good := m.Bytes("pin")
	check := func(what string, i int) {
		p, err := openAnchor(t, m.Clone()).Read(t.Context())
		if errors.Is(err, auditlog.ErrNoPin) || err == nil && string(p.Checkpoint) != "two" {
			t.Fatalf("%s %d: %q, %v", what, i, p.Checkpoint, err)
		}
	}
	for i := range good {
		if i%16384 > 64 { // unused
			continue
		}
		b := bytes.Clone(good)
		b[i] ^= 4
		m.SetBytes("pin", b)
		check("flipped byte", i)
	}
	for i := 0; i < len(good); i += 111 {
		m.SetBytes("pin", good[:i])
		check("cut to", i)
	}
}

func TestPinAfterFailureIsRefused(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	a := openAnchor(t, m)
	p := auditlog.Pin{Checkpoint: []byte("c")}
	if err := a.Pin(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	m.FailAt(3, disktest.Before) // the flush
	if err := a.Pin(t.Context(), p); !errors.Is(err, auditlog.ErrFatal) || !errors.Is(err, disktest.ErrInjected) {
		t.Fatalf("failed flush: %v", err)
	}
	changes := m.Changes()
	if err := a.Pin(t.Context(), p); !errors.Is(err, auditlog.ErrFatal) {
		t.Fatalf("after a failed flush: %v", err)
	}
	if m.Changes() != changes {
		t.Fatal("the disk was touched after a failed flush")
	}
}

// A process that was stopped inside a pin holds the lock: others wait as long as they like, and no longer.
func TestStoppedProcessHoldsTheLock(t *testing.T) {
	t.Parallel()
	m := disktest.New()
	a := openAnchor(t, m)
	stopped, err := m.Open("pin.lock", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := stopped.TryLock(0); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := a.Pin(ctx, auditlog.Pin{}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, auditlog.ErrFatal) {
		t.Fatalf("locked: %v", err)
	}
	if err := stopped.Close(); err != nil {
		t.Fatal(err)
	}
	if err := a.Pin(t.Context(), auditlog.Pin{}); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if a.Pin(t.Context(), auditlog.Pin{}) == nil {
		t.Fatal("a closed anchor pinned")
	}
}
