// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/internal/pure/problem"
)

func TestPeerRefused(t *testing.T) {
	t.Parallel()
	s := start(t, echo, func(c *Config) { c.AllowedUIDs = []uint32{uint32(os.Geteuid()) + 1} })
	if _, err := Dial(t.Context(), s.path); err == nil || !strings.Contains(err.Error(), "user id") {
		t.Errorf("got %v", err)
	}
	if log := s.log.String(); !strings.Contains(log, `"msg":"door peer refused"`) || !strings.Contains(log, fmt.Sprintf(`"pid":%d`, os.Getpid())) {
		t.Errorf("log: %s", log)
	}
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	s := start(t, echo, limits(Limits{Connections: 2}))
	a, b := dial(t, s), dial(t, s)
	_, err := Dial(t.Context(), s.path)
	wantKind(t, err, problem.Busy)
	a.Close()
	for { // the server needs a moment to see it
		c, err := Dial(t.Context(), s.path)
		if err == nil {
			c.Close()
			break
		}
		wantKind(t, err, problem.Busy)
		runtime.Gosched()
	}
	if _, err := b.Call(t.Context(), "echo", nil); err != nil {
		t.Error(err)
	}
}

func TestTooManyStreams(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := start(t, func(context.Context, Caller, string, []byte) ([]byte, error) { <-hold; return nil, nil })
	c := dial(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range MaxStreams {
		wg.Go(func() { _, _ = c.Call(ctx, "m", nil) })
	}
	open := func() (n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.waiting)
	}
	for open() < MaxStreams {
		runtime.Gosched()
	}
	cancel() // abandoned ones are still open at the server
	wg.Wait()
	_, err := c.Call(t.Context(), "m", nil)
	wantKind(t, err, problem.Busy)
	close(hold)
	for open() > 0 {
		runtime.Gosched()
	}
	if _, err := c.Call(t.Context(), "m", nil); err != nil {
		t.Error(err)
	}
}

func TestClientClose(t *testing.T) {
	t.Parallel()
	began, hold := make(chan struct{}), make(chan struct{})
	s := start(t, func(context.Context, Caller, string, []byte) ([]byte, error) { close(began); <-hold; return nil, nil })
	c := dial(t, s)
	got := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), "m", nil)
		got <- err
	}()
	<-began
	c.Close()
	if closed, ok := errors.AsType[*ClosedError](<-got); !ok || !closed.Sent || !strings.Contains(closed.Error(), "same idempotency key") {
		t.Errorf("open call: %v", closed)
	}
	if closed, ok := errors.AsType[*ClosedError](func() error { _, err := c.Call(t.Context(), "m", nil); return err }()); !ok || closed.Sent {
		t.Errorf("later call: %v", closed)
	}
	c.Close()
	close(hold)
}

func TestShutdownDrains(t *testing.T) {
	t.Parallel()
	const calls = 50
	var began sync.WaitGroup
	began.Add(calls)
	hold := make(chan struct{})
	s := start(t, func(ctx context.Context, _ Caller, _ string, body []byte) ([]byte, error) {
		began.Done()
		<-hold
		return body, ctx.Err()
	})
	c := dial(t, s)
	idle := rawDial(t, s) // has not even said hello
	got := make(chan error, calls)
	for range calls {
		go func() {
			_, err := c.Call(t.Context(), "m", nil)
			got <- err
		}()
	}
	began.Wait()
	s.stop()
	if b, err := io.ReadAll(idle); len(b) != 0 || err != nil {
		t.Errorf("idle: %x, %v", b, err)
	}
	if _, err := Dial(t.Context(), s.path); err == nil {
		t.Error("a stopping server takes connections")
	}
	if _, err := os.Lstat(s.path); err == nil {
		t.Error("the socket is still there")
	}
	select {
	case err := <-s.ended:
		t.Fatalf("ended with open requests: %v", err)
	default:
	}
	close(hold)
	for range calls {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	<-c.Done()
}

func TestShutdownGivesUp(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	s := start(t, func(ctx context.Context, _ Caller, _ string, _ []byte) ([]byte, error) {
		close(began)
		<-ctx.Done() // only the end of all patience ends it
		return nil, ctx.Err()
	}, limits(Limits{Drain: 50 * time.Millisecond}))
	c := dial(t, s)
	got := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), "m", nil)
		got <- err
	}()
	<-began
	s.stop()
	if err := <-s.ended; !errors.Is(err, ErrDrain) {
		t.Errorf("got %v", err)
	}
	if err := <-got; !errors.Is(err, ErrClosed) {
		t.Errorf("caller got %v", err)
	}
}

// TestStalls has peers that begin a frame and stop, that don't read, and that do nothing.
func TestStalls(t *testing.T) {
	t.Parallel()
	s := start(t, func(context.Context, Caller, string, []byte) ([]byte, error) { return make([]byte, 10<<20), nil },
		limits(Limits{Stall: 300 * time.Millisecond, Idle: 900 * time.Millisecond}))
	for name, send := range map[string][]byte{
		"a frame did not arrive in time": wire(frame{shape: request, stream: 1, method: "m", body: make([]byte, 10)})[:10],
		"the peer does not read":         wire(frame{shape: request, stream: 1, method: "m"}),
		"idle":                           nil,
	} {
		raw := rawHello(t, s)
		if _, err := raw.Write(send); err != nil {
			t.Fatal(err)
		}
		for !strings.Contains(s.log.String(), `"why":"`+name+`"`) {
			time.Sleep(time.Millisecond)
		}
		if _, err := io.Copy(io.Discard, raw); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestServerConfig(t *testing.T) {
	t.Parallel()
	good := func() Config {
		return Config{Handle: echo, AllowedUIDs: []uint32{1}, Log: discard, OnPanic: func(Incident) {}}
	}
	if _, err := NewServer(good()); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no handler":              func(c *Config) { c.Handle = nil },
		"nobody":                  func(c *Config) { c.AllowedUIDs = nil },
		"no log":                  func(c *Config) { c.Log = nil },
		"tell of a panic":         func(c *Config) { c.OnPanic = nil },
		"limit Frame is 20971521": func(c *Config) { c.Limits.Frame = MaxFrame + 1 },
		"limit Frame is 1":        func(c *Config) { c.Limits.Frame = 1 },
		"limit Streams is -1":     func(c *Config) { c.Limits.Streams = -1 },
		"limit Idle is -1":        func(c *Config) { c.Limits.Idle = -1 },
		`method "A" of Waits`:     func(c *Config) { c.Waits = []string{"wait", "A"} },
	} {
		cfg := good()
		change(&cfg)
		if _, err := NewServer(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestRedialer(t *testing.T) {
	t.Parallel()
	path := folder(t) + "/s"
	r := NewRedialer(path)
	if _, err := r.Call(t.Context(), "echo", nil); err == nil {
		t.Fatal("called nobody")
	}
	serve := func() (stop func()) {
		ln, err := Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		srv, err := NewServer(Config{Handle: echo, AllowedUIDs: []uint32{uint32(os.Geteuid())}, Log: discard, OnPanic: func(Incident) {}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- srv.Serve(ctx, ln) }()
		return func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	for range 3 { // a server that comes back
		stop := serve()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if got, err := r.Call(t.Context(), "echo", []byte("x")); err != nil || string(got) != "x" {
					t.Errorf("got %q, %v", got, err)
				}
			})
		}
		wg.Wait()
		first, err := r.Client(t.Context())
		if again, _ := r.Client(t.Context()); err != nil || again != first {
			t.Errorf("two clients, %v", err)
		}
		stop()
		<-first.Done()
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Client(ended); err == nil {
		t.Error("dialled with an ended context")
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Call(t.Context(), "echo", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

// TestRedialerRepeatsWhatWasNotSent catches a client in the moment between ending and saying so.
func TestRedialerRepeatsWhatWasNotSent(t *testing.T) {
	t.Parallel()
	s := start(t, echo)
	r := NewRedialer(s.path)
	defer r.Close()
	c, err := r.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cause := errors.New("just now")
	c.mu.Lock()
	c.err = cause
	c.mu.Unlock()
	if _, err := c.Call(t.Context(), "echo", nil); !errors.Is(err, cause) || !errors.Is(err, ErrClosed) {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := r.Call(ended, "echo", nil); !errors.Is(err, ErrClosed) {
		t.Errorf("while it ends: %v", err)
	}
	time.AfterFunc(10*time.Millisecond, func() {
		c.nc.Close()
		close(c.done)
	})
	if got, err := r.Call(t.Context(), "echo", []byte("x")); err != nil || string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
}

// A peer that is gone keeps no place at the door by what it waits for, and an act that it began goes on.
func TestGonePeerLeavesItsPlace(t *testing.T) {
	t.Parallel()
	begun, finish, acted := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	s := start(t, func(ctx context.Context, _ Caller, method string, body []byte) ([]byte, error) {
		switch method {
		case "wait":
			begun <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		case "act":
			begun <- struct{}{}
			<-finish
			acted <- ctx.Err()
		}
		return body, nil
	}, limits(Limits{Connections: 2}), func(c *Config) { c.Waits = []string{"wait"} })
	// begin makes a call on a connection of its own and hangs up while it is open.
	begin := func(method string) {
		c, err := Dial(t.Context(), s.path)
		for problem.KindOf(err) == problem.Busy { // the one before is about to leave
			c, err = Dial(t.Context(), s.path)
		}
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			_, _ = c.Call(context.Background(), method, nil)
			close(done)
		}()
		<-begun
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		<-done
	}
	begin("act")
	for range 5 { // there is one place left
		begin("wait")
	}
	close(finish)
	if err := <-acted; err != nil {
		t.Errorf("the act ended with its connection: %v", err)
	}
}
