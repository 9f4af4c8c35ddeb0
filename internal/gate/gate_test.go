// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"strongroom/internal/pure/problem"
)

// folder makes a folder for sockets: t.TempDir has too long a name and too open a mode.
func folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "door")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// journal is a log that tests read.
type journal struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.buf.String()
}

// server is a running server.
type server struct {
	path   string
	log    *journal
	panics chan Incident
	stop   context.CancelFunc
	ended  chan error // what Serve returned
}

// start runs a server until the test ends. It requires that all connections drain then.
func start(t testing.TB, h Handler, change ...func(*Config)) *server {
	t.Helper()
	s := &server{path: filepath.Join(folder(t), "core.sock"), log: &journal{}, panics: make(chan Incident, 16), ended: make(chan error, 1)}
	cfg := Config{Handle: h, AllowedUIDs: []uint32{uint32(os.Geteuid())},
		Log:     slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnPanic: func(i Incident) { s.panics <- i }}
	for _, f := range change {
		f(&cfg)
	}
	srv, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := Listen(s.path)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.ended <- srv.Serve(ctx, ln)
	}()
	t.Cleanup(func() {
		s.stop()
		<-done
	})
	return s
}

func limits(l Limits) func(*Config) { return func(c *Config) { c.Limits = l } }

func dial(t testing.TB, s *server) *Client {
	t.Helper()
	c, err := Dial(t.Context(), s.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// rawDial connects without a handshake.
func rawDial(t testing.TB, s *server) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: s.path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// rawHello connects and exchanges hellos.
func rawHello(t testing.TB, s *server) *net.UnixConn {
	t.Helper()
	c := rawDial(t, s)
	if _, err := c.Write(ourHello(MaxFrame).bytes()); err != nil {
		t.Fatal(err)
	}
	h, err := readHello(c)
	if err != nil || h.check() != nil || h.Refused != nil {
		t.Fatalf("hello %+v, %v", h, err)
	}
	return c
}

// wire gives frames as they go over the wire.
func wire(frames ...frame) []byte {
	var b batch
	for i := range frames {
		b.put(&frames[i])
	}
	var out []byte
	for _, v := range b.vec {
		out = append(out, v...)
	}
	return append(out, b.buf[b.cut:]...)
}

// echo answers with the body.
func echo(_ context.Context, _ Caller, _ string, body []byte) ([]byte, error) { return body, nil }

func wantKind(t testing.TB, err error, kind problem.Kind) *problem.Error {
	t.Helper()
	p, ok := errors.AsType[*problem.Error](err)
	if !ok || p.Kind != kind {
		t.Fatalf("got %v, want a problem of kind %s", err, kind)
	}
	return p
}
