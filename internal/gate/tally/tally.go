// SPDX-License-Identifier: Apache-2.0

// Package tally counts what a process logs: messages of log lines are constant, so that each stands for an event. Nothing of a line but what a
// program decides on is kept: no attribute becomes a label. Metrics are made of the counts (docs/monitoring.md).
package tally

import (
	"context"
	"log/slog"
	"maps"
	"sync"
)

// Lines counts log lines by event. Its methods are safe for concurrent use.
type Lines[E ~string] struct {
	event func(slog.Record) (E, bool)

	mu     sync.Mutex // guards counts
	counts map[E]uint64
}

// New makes a counter; event says which event a line tells of, if any.
func New[E ~string](event func(slog.Record) (E, bool)) *Lines[E] {
	return &Lines[E]{event: event, counts: map[E]uint64{}}
}

// Logger gives a log whose lines are counted, whatever level is written, and handed on to log where its level is.
func (t *Lines[E]) Logger(log *slog.Logger) *slog.Logger {
	return slog.New(handler{log.Handler(), t.line})
}

// Counts gives a copy of the counts.
func (t *Lines[E]) Counts() map[E]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}

func (t *Lines[E]) line(r slog.Record) {
	if e, ok := t.event(r); ok {
		t.mu.Lock()
		t.counts[e]++
		t.mu.Unlock()
	}
}

// handler counts and hands on.
type handler struct {
	slog.Handler
	count func(slog.Record)
}

// Enabled says that every line is wanted: it is counted before the level is asked.
func (handler) Enabled(context.Context, slog.Level) bool { return true }

// Handle counts a line, and hands it on where its level is wanted.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	h.count(r)
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs gives a handler that counts likewise.
func (h handler) WithAttrs(a []slog.Attr) slog.Handler {
	return handler{h.Handler.WithAttrs(a), h.count}
}

// WithGroup gives a handler that counts likewise.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{h.Handler.WithGroup(name), h.count}
}
