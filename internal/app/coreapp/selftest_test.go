// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"strongroom/internal/core/algorithm"
	"strongroom/internal/core/entropy"
	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/core/selftest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// TestEachSelfTestStopsTheCore makes every self-test fail by its name, for each command that opens a root: the core says which, asks for no
// passphrase and touches no file.
func TestEachSelfTestStopsTheCore(t *testing.T) {
	t.Parallel()
	var names bytes.Buffer
	if err := SelfTest(t.Context(), true, "", &names); err != nil {
		t.Fatal(err)
	}
	list := strings.Fields(names.String())
	if len(list) < 35 {
		t.Fatalf("only %d self-tests: %v", len(list), list)
	}
	document := filepath.Join(t.TempDir(), "document")
	if err := os.WriteFile(document, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, name := range list {
		o := Options{Data: filepath.Join(t.TempDir(), "data"), FailSelfTest: name, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Passphrase: passphrase.Source{FD: -1}} // asking would be another error
		var err error
		if i%2 == 0 {
			err = Run(t.Context(), o, filepath.Join(t.TempDir(), "sock"), nil, func() { t.Errorf("%s: the door opened", name) })
		} else {
			err = Prepare(t.Context(), o, custody.Evaluation, document, filepath.Join(t.TempDir(), "genesis"))
		}
		if !errors.Is(err, selftest.ErrFailed) || !strings.Contains(err.Error(), "the core does not start: self-test failed: "+name+" ") {
			t.Errorf("%s: got %v", name, err)
		}
		if _, err := os.Stat(o.Data); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the data folder was made", name)
		}
	}
}

func TestSelfTestCommand(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := SelfTest(t.Context(), false, "", &out); err != nil || !strings.Contains(out.String(), "sha-256 passed\n") {
		t.Errorf("got %q, %v", out.String(), err)
	}
	out.Reset()
	if err := SelfTest(t.Context(), false, "cbor", &out); !errors.Is(err, selftest.ErrFailed) || out.Len() > 0 {
		t.Errorf("got %q, %v", out.String(), err)
	}
	if err := SelfTest(t.Context(), false, "no such", &out); !errors.Is(err, selftest.ErrName) {
		t.Errorf("got %v", err)
	}
}

// TestFailureWhileRunning: a self-test that begins to fail, or a source of randomness that does, ends what the core runs, with the cause.
func TestFailureWhileRunning(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	table, err := algorithm.New()
	if err != nil {
		t.Fatal(err)
	}
	var broken atomic.Bool
	cosmic := errors.New("a bit fell over")
	s := &assurance{latch: entropy.NewLatch(), tests: selftest.New(table, a, selftest.Test{Name: "memory", Run: func(context.Context, *secret.Arena, func([]byte)) error {
		if broken.Swap(true) {
			return cosmic
		}
		return nil
	}})}
	ctx, stop := s.watch(t.Context(), time.Millisecond)
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, entropy.ErrLatched) || !errors.Is(err, cosmic) || !errors.Is(s.latch.Err(), selftest.ErrFailed) {
		t.Errorf("got %v", err)
	}
	stop()

	s = &assurance{latch: entropy.NewLatch()}
	ctx, stop = s.watch(t.Context(), 0)
	s.latch.Set(entropy.ErrHealth)
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, entropy.ErrHealth) {
		t.Errorf("got %v", err)
	}
	stop()

	s = &assurance{latch: entropy.NewLatch()}
	ctx, stop = s.watch(t.Context(), 0)
	stop()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) || s.latch.Err() != nil {
		t.Errorf("ended by its owner: got %v", err)
	}
}
