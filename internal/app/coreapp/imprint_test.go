// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

// inFolder gives the path of a socket that is short enough.
func inFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "door")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "core.sock")
}

// until asks for the status until it is as wanted, or the core has ended.
func until(t *testing.T, socket string, done <-chan error, want func(message.Status) bool) message.Status {
	t.Helper()
	door := gate.NewRedialer(socket)
	defer door.Close()
	for {
		st, err := gate.Call[message.Empty, message.Status](t.Context(), door, message.MethodStatus, message.Empty{})
		if err == nil && want(st) {
			return st
		}
		select {
		case err := <-done:
			t.Fatalf("the core has ended: %v; its status was %+v", err, st)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// A core that awaits its genesis says so, and what is missing, refuses everything else, keeps nothing from being made, and opens the domain
// behind the same door once it was.
func TestImprint(t *testing.T) {
	t.Parallel()
	const pass = "correct horse battery staple"
	o := Options{Data: filepath.Join(t.TempDir(), "data"), Memory: 4 << 20, Log: slog.New(slog.DiscardHandler), NoTiles: true, WeakPassphraseUnsafe: true, AwaitGenesis: true, Anchor: AnchorFile}
	socket, done, opened := inFolder(t), make(chan error, 1), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	running := entered(t, o, pass)
	go func() { done <- Run(ctx, running, socket, nil, func() { close(opened) }) }()
	phase := func(words string) func(message.Status) bool {
		return func(s message.Status) bool {
			return s.Life.Phase == message.PhaseImprint && strings.Contains(s.Starting, words) && problem.KindOf(s.Open()) == problem.Starting
		}
	}
	until(t, socket, done, phase("there are no keys yet"))
	before, err := os.Stat(socket)
	if err != nil {
		t.Fatal(err)
	}
	door := gate.NewRedialer(socket)
	defer door.Close()
	for _, m := range []string{message.MethodSubmit, message.MethodStatusSigned, message.MethodFeed} {
		if _, err := door.Call(t.Context(), m, nil); problem.KindOf(err) != problem.Starting {
			t.Errorf("%s in imprint: %v", m, err)
		}
	}
	if err := Run(t.Context(), running, socket, nil, nil); !errors.Is(err, gate.ErrInUse) {
		t.Errorf("a second core: %v", err)
	}
	genesis := signed(t, o)
	until(t, socket, done, phase("every first person signs the genesis"))
	made, err := Create(t.Context(), entered(t, o, pass), genesis, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	st := until(t, socket, done, func(s message.Status) bool { return s.Domain != custody.DomainID{} })
	if st.Domain != made.Domain || st.Size != 1 || st.Life.Phase != "operational" || st.Starting != "" {
		t.Errorf("%+v", st)
	}
	<-opened
	if after, err := os.Stat(socket); err != nil || !os.SameFile(before, after) {
		t.Errorf("the socket is another: %v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A core in imprint ends when it is told to.
func TestImprintEnds(t *testing.T) {
	t.Parallel()
	o := Options{Data: filepath.Join(t.TempDir(), "data"), Log: slog.New(slog.DiscardHandler), AwaitGenesis: true}
	socket, done := inFolder(t), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { done <- Run(ctx, o, socket, nil, nil) }()
	until(t, socket, done, func(s message.Status) bool { return s.Life.Phase == message.PhaseImprint })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is left: %v", err)
	}
	o.AwaitGenesis = false
	if err := Run(t.Context(), o, socket, nil, nil); err == nil || !strings.Contains(err.Error(), "no domain here yet") {
		t.Errorf("without being told to wait: %v", err)
	}
}
