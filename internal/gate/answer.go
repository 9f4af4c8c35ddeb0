// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"

	"strongroom/internal/pure/problem"
)

// answer runs the handler for a request and queues what it answers, also when the handler panics or ends its goroutine.
func (c *conn) answer(j job) {
	out := frame{shape: reply, stream: j.stream}
	var err error
	returned := false
	defer func() {
		var panicked Incident
		switch {
		case !returned:
			panicked = c.panicked(j.stream, j.method, recover()) // nil after runtime.Goexit
			out = frame{shape: failure, stream: j.stream, fault: faultOf(hidden(panicked), panicked)}
		case err == nil && len(out.body) > c.maxSend-overhead:
			err = problem.New(problem.TooLarge, "the reply has %d bytes, more than the caller accepts; ask for less", len(out.body))
			fallthrough
		case err != nil:
			out = frame{shape: failure, stream: j.stream, fault: c.fault(j.stream, j.method, err)}
		}
		c.queue(&out, load{1, j.size})
		if panicked != "" {
			c.run.cfg.OnPanic(panicked)
		}
	}()
	ctx := c.run.ctx
	if slices.Contains(c.run.cfg.Waits, j.method) {
		ctx = c.waits
	}
	out.body, err = c.run.cfg.Handle(ctx, c.by, j.method, j.body)
	returned = true
}

// panicked logs a panic.
func (c *conn) panicked(stream uint64, method string, v any) Incident {
	id := newIncident()
	c.run.cfg.Log.Error("door handler panicked", slog.String("incident", string(id)), slog.String("method", method),
		slog.Uint64("stream", stream), slog.Any("peer", c.by), slog.String("panic", panicText(v)), slog.String("stack", stack()))
	return id
}

// fault gives what of err the caller may see. The rest, a cause or an error that is no problem, is logged under an incident id.
func (c *conn) fault(stream uint64, method string, err error) *fault {
	p := problemOf(err)
	if p != nil && p.Kind != problem.Internal && p.Err == nil {
		return faultOf(p, "")
	}
	id := newIncident()
	attrs := []slog.Attr{slog.String("incident", string(id)), slog.String("method", method), slog.Uint64("stream", stream),
		slog.Any("peer", c.by), slog.Any("error", err)}
	if p == nil || p.Kind == problem.Internal {
		c.run.cfg.Log.LogAttrs(c.run.ctx, slog.LevelError, "door request failed", append(attrs, slog.Any("cause", errors.Unwrap(err)))...)
	} else {
		c.run.cfg.Log.LogAttrs(c.run.ctx, slog.LevelInfo, "door request refused", append(attrs, slog.Any("cause", p.Err))...)
	}
	if p == nil {
		p = hidden(id)
	}
	return faultOf(p, id)
}

// hidden is what a caller sees of a failure that is our fault.
func hidden(id Incident) *problem.Error {
	return problem.New(problem.Internal, "the core failed on this request; its log has more under incident %s", string(id))
}

// newIncident makes a random id of 64 bits in hex.
func newIncident() Incident {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process when the system has no randomness
	return Incident(hex.EncodeToString(b[:]))
}

// panicText gives what a panic says when it is the runtime's own text, and only its type otherwise: a value may hold key material.
func panicText(v any) string {
	if e, ok := v.(runtime.Error); ok {
		return e.Error()
	}
	return fmt.Sprintf("%T", v)
}

// stack gives functions and lines of the panicking goroutine. The runtime's own trace also prints arguments, which may be parts of keys.
func stack() string {
	pc := make([]uintptr, 64)
	frames := runtime.CallersFrames(pc[:runtime.Callers(3, pc)])
	var b strings.Builder
	for {
		f, more := frames.Next()
		fmt.Fprintf(&b, "%s %s:%d\n", f.Function, f.File, f.Line)
		if !more {
			return b.String()
		}
	}
}
