// SPDX-License-Identifier: Apache-2.0

// Package counts is what a small program shows of itself as metrics, in the text format of Prometheus: since when it runs, how many requests it answered and
// how, and when the last one went well. Outcomes are of a fixed set; who asked, and for what, is no label.
//
// It refuses to be shown on anything but loopback: nobody is asked who they are.
package counts

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/netutil"
)

// Limits of the listener.
const (
	maxConnections = 16
	callTime       = 10 * time.Second
	maxHeader      = 8 << 10
)

// Counts counts what a program answers. It is safe for concurrent use.
type Counts struct {
	program  string
	now      func() time.Time
	started  time.Time
	outcomes []string

	mu   sync.Mutex // guards the rest
	n    []uint64   // by outcome
	last time.Time  // of the first outcome; zero: never
}

// New begins to count for a program, whose name its metrics have: strongroom_NAME_…. The first outcome is the good one.
func New(program string, now func() time.Time, outcomes ...string) (*Counts, error) {
	if program == "" || now == nil || len(outcomes) < 2 {
		return nil, errors.New("counts: a program, a clock and two outcomes at least are required")
	}
	return &Counts{program: program, now: now, started: now(), outcomes: outcomes, n: make([]uint64, len(outcomes))}, nil
}

// Done counts an answer. An outcome that was not named to [New] is counted as the last one.
func (c *Counts) Done(outcome string) {
	i := slices.Index(c.outcomes, outcome)
	if i < 0 {
		i = len(c.outcomes) - 1
	}
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n[i]++; i == 0 {
		c.last = now
	}
}

// Write writes the metrics: NAME_start_time_seconds, NAME_requests_total by outcome, NAME_last_success_timestamp_seconds, which is 0 until one went well, and
// NAME_since_success_seconds, the age of that or, before, of the start.
func (c *Counts) Write(to io.Writer) error {
	c.mu.Lock()
	n, last := slices.Clone(c.n), c.last
	c.mu.Unlock()
	w := bufio.NewWriter(to)
	name := func(what, kind, help string) string {
		full := "strongroom_" + c.program + "_" + what
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", full, help, full, kind)
		return full
	}
	fmt.Fprintf(w, "%s %d\n", name("start_time_seconds", "gauge", "When the program was started."), c.started.Unix())
	requests := name("requests_total", "counter", "Requests answered, by outcome.")
	for i, o := range c.outcomes {
		fmt.Fprintf(w, "%s{outcome=%q} %d\n", requests, o, n[i])
	}
	since, stamp := c.started, int64(0)
	if !last.IsZero() {
		since, stamp = last, last.Unix()
	}
	fmt.Fprintf(w, "%s %d\n", name("last_success_timestamp_seconds", "gauge", "When a request last went well; 0: never since the start."), stamp)
	fmt.Fprintf(w, "%s %d\n", name("since_success_seconds", "gauge", "How long ago that was, or the start."), max(0, int64(c.now().Sub(since).Seconds())))
	return w.Flush()
}

// ServeHTTP answers GET /metrics.
func (c *Counts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics" || r.Method != http.MethodGet {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_ = c.Write(w) // who asked may be gone
}

// Beside gives what shows the counts at host:port until its context ends, for a program that does more than that; nothing where the address is empty.
func (c *Counts) Beside(ctx context.Context, address string, log *slog.Logger) ([]func(context.Context) error, error) {
	if address == "" {
		return nil, nil
	}
	l, err := Listen(ctx, address)
	if err != nil {
		return nil, err
	}
	log.InfoContext(ctx, "metrics are shown", slog.String("address", l.Addr().String()))
	return []func(context.Context) error{func(ctx context.Context) error { return c.Serve(ctx, l, log) }}, nil
}

// Listen opens host:port, which must be on loopback.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if a, ok := l.Addr().(*net.TCPAddr); !ok || !a.IP.IsLoopback() {
		return nil, errors.Join(fmt.Errorf("metrics are not authenticated; %s is not on loopback", l.Addr()), l.Close())
	}
	return l, nil
}

// Serve answers on l until ctx ends.
func (c *Counts) Serve(ctx context.Context, l net.Listener, log *slog.Logger) error {
	srv := &http.Server{Handler: c, ReadTimeout: callTime, WriteTimeout: callTime, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug)}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // who reads asks again
	defer stop()
	if err := srv.Serve(netutil.LimitListener(l, maxConnections)); err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}
