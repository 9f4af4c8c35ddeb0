// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/pure/problem"
)

// Handler answers one request. While it runs it has its goroutine to itself and may block, for instance on a group commit. It owns body, and must
// not change the reply after returning it. An error that is or wraps a [problem.Error] crosses the door as that, any other as internal.
// ctx ends when the server gives up waiting for open requests; it does not end when the caller or its connection goes away, but for the
// methods of Config.Waits: an act that has begun is not left half done.
type Handler func(ctx context.Context, by Caller, method string, body []byte) ([]byte, error)

// Config says what server to make. Limits may be zero; every other field is required.
type Config struct {
	Handle      Handler
	AllowedUIDs []uint32 // who may connect, by effective user id; root is not special
	Log         *slog.Logger
	// OnPanic is called after a handler panicked and its caller's answer is on its way. What the handler guards may be half changed: a core
	// ends the process here.
	OnPanic func(Incident)
	// Waits are methods that only wait and read. Their ctx ends with the connection that the request came on, also when the server stops, so
	// that a peer that is gone keeps no place.
	Waits  []string
	Limits Limits
}

// Server answers requests on Unix sockets. Its methods are safe for concurrent use.
type Server struct{ cfg Config }

// ErrDrain says that a server stopped while requests were still open. Their handlers may still run; end the process.
var ErrDrain = errors.New("requests were still open when the server stopped")

// NewServer checks cfg and makes a server.
func NewServer(cfg Config) (*Server, error) {
	switch {
	case cfg.Handle == nil:
		return nil, errors.New("door server: no handler; set Handle")
	case len(cfg.AllowedUIDs) == 0:
		return nil, errors.New("door server: nobody may connect; set AllowedUIDs")
	case cfg.Log == nil:
		return nil, errors.New("door server: no log; set Log")
	case cfg.OnPanic == nil:
		return nil, errors.New("door server: nobody to tell of a panic; set OnPanic")
	}
	limits, err := cfg.Limits.filled()
	if err != nil {
		return nil, fmt.Errorf("door server: %w", err)
	}
	cfg.Limits = limits
	for _, name := range cfg.Waits {
		if err := checkMethod(name); err != nil {
			return nil, fmt.Errorf("door server: method %q of Waits: %w", name, err)
		}
	}
	cfg.AllowedUIDs, cfg.Waits = slices.Clone(cfg.AllowedUIDs), slices.Clone(cfg.Waits)
	return &Server{cfg: cfg}, nil
}

// Serve answers on ln until ctx ends, then closes ln, reads no more requests, waits for the open ones, sends their replies and returns
// nil; after Limits.Drain it closes all connections and returns [ErrDrain]. Requests that were sent but not read are not done; their
// callers can't tell. Each call of Serve has its own count of connections.
func (s *Server) Serve(ctx context.Context, ln *net.UnixListener) error {
	hctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r := &run{cfg: s.cfg, ctx: hctx, conns: make(map[*conn]struct{})}
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	watched := make(chan struct{})
	go r.watch(watched) // ends with watched, below
	defer close(watched)

	err := r.accept(ctx, ln)
	ln.Close() // a second close does nothing
	if left := r.drain(); left > 0 {
		cancel()
		err = errors.Join(err, fmt.Errorf("%w: %d connections after %s", ErrDrain, left, s.cfg.Limits.Drain))
	}
	return err
}

// run is one call of Serve.
type run struct {
	cfg      Config
	ctx      context.Context // of all handlers
	draining atomic.Bool     // set once, under mu
	wg       sync.WaitGroup  // goroutines of connections

	mu    sync.Mutex // guards conns
	conns map[*conn]struct{}
}

// accept takes connections until the listener closes. Errors for want of resources pass; it waits and goes on.
func (r *run) accept(ctx context.Context, ln *net.UnixListener) error {
	for {
		nc, err := ln.AcceptUnix()
		if err == nil {
			r.admit(nc)
			continue
		}
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept: %w", err)
		}
		r.cfg.Log.Error("door cannot accept", slog.Any("error", err))
		pause := time.NewTimer(100 * time.Millisecond)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
		}
	}
}

// admit starts serving a connection, or turns it away.
func (r *run) admit(nc *net.UnixConn) {
	by, err := peerOf(nc)
	if err != nil {
		r.cfg.Log.Warn("door peer unknown", slog.Any("error", err))
		nc.Close()
		return
	}
	if !slices.Contains(r.cfg.AllowedUIDs, by.UID) {
		r.cfg.Log.Warn("door peer refused", slog.Any("peer", by))
		nc.Close()
		return
	}
	c := newConn(r, nc, by)
	if err := r.register(c); err != nil {
		r.cfg.Log.Warn("door connection turned away", slog.Any("peer", by), slog.Any("error", err))
		c.refuse(err) // fits the empty socket buffer, so it does not block
		nc.Close()
		return
	}
	go func() { // drain waits for it, by wg
		defer r.wg.Done()
		defer r.forget(c)
		c.serve()
	}()
}

// register counts a connection, unless there are enough or the server stops.
func (r *run) register(c *conn) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining.Load() {
		return problem.New(problem.Stopped, "the server is stopping")
	}
	if len(r.conns) >= r.cfg.Limits.Connections {
		return problem.New(problem.Busy, "%d connections are open; use one of them or try again later", len(r.conns))
	}
	r.conns[c] = struct{}{}
	r.wg.Add(1)
	return nil
}

func (r *run) forget(c *conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// open lists the connections.
func (r *run) open() []*conn {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*conn, 0, len(r.conns))
	for c := range r.conns {
		list = append(list, c)
	}
	return list
}

// drain waits for open requests and says how many connections it had to cut.
func (r *run) drain() int {
	r.mu.Lock()
	r.draining.Store(true)
	r.mu.Unlock()
	for _, c := range r.open() {
		c.stopReading()
	}
	empty := make(chan struct{})
	go func() { // ends when the last handler does; nobody waits for it after ErrDrain
		r.wg.Wait()
		close(empty)
	}()
	patience := time.NewTimer(r.cfg.Limits.Drain)
	defer patience.Stop()
	select {
	case <-empty:
		return 0
	case <-patience.C:
	}
	left := r.open()
	for _, c := range left {
		c.cut(slog.LevelWarn, "still open when the server stopped")
	}
	return len(left)
}

// watch closes connections that stall or idle. It compares marks between ticks, so that the paths of requests touch no timer.
func (r *run) watch(end <-chan struct{}) {
	tick := max(time.Millisecond, min(time.Second, r.cfg.Limits.Stall/8, r.cfg.Limits.Idle/8))
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-end:
			return
		case <-t.C:
			for _, c := range r.open() {
				c.look(tick)
			}
		}
	}
}
