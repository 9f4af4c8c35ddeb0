// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/gate/relay"
	"strongroom/internal/pure/problem"
)

// house is what answers at the door: from the first moment the relay and a status that says what is waited for; the domain's methods once it
// is open.
type house struct {
	first  *gate.Mux // the relay and the status
	wait   atomic.Pointer[waiting]
	open   atomic.Pointer[gate.Mux]
	queue  *relay.Queue
	counts *counts // nil: nothing is counted
}

// waiting is what the status of a core that is not open says.
type waiting struct {
	phase string // of the domain, where it is known: [message.PhaseImprint]
	what  func() string
}

// newHouse makes a house whose domain is not open yet. waits says what for.
func newHouse(q *relay.Queue, phase string, waits func() string, t *counts) *house {
	h := &house{first: gate.NewMux(), queue: q, counts: t}
	h.await(phase, waits)
	q.Serve(h.first)
	if t != nil {
		t.serve(h.first, nil)
	}
	gate.Handle(h.first, message.MethodStatus, func(context.Context, gate.Caller, message.Empty) (message.Status, error) {
		w := h.wait.Load()
		return message.Status{Starting: w.what(), Life: message.Life{Phase: w.phase}}, nil
	})
	return h
}

// await changes what is waited for.
func (h *house) await(phase string, waits func() string) { h.wait.Store(&waiting{phase, waits}) }

// opened adds the domain's methods.
func (h *house) opened(domain interface{ Serve(*gate.Mux) }) {
	m := gate.NewMux()
	h.queue.Serve(m)
	domain.Serve(m)
	if h.counts != nil {
		var use func() *message.Pressure
		if d, ok := domain.(interface{ Pressure() *message.Pressure }); ok {
			use = d.Pressure
		}
		h.counts.serve(m, use)
	}
	h.open.Store(m)
}

// dispatch is the house as a [gate.Handler].
func (h *house) dispatch(ctx context.Context, by gate.Caller, method string, body []byte) ([]byte, error) {
	out, err := h.answer(ctx, by, method, body)
	if h.counts != nil && (err != nil || method == message.MethodBackupClose) {
		m := h.open.Load()
		h.counts.called(method, m != nil && slices.Contains(m.Methods(), method), err)
	}
	return out, err
}

func (h *house) answer(ctx context.Context, by gate.Caller, method string, body []byte) ([]byte, error) {
	if m := h.open.Load(); m != nil {
		return m.Dispatch(ctx, by, method, body)
	}
	if !slices.Contains(h.first.Methods(), method) {
		return nil, problem.New(problem.Starting, "the core is not open yet; its status says what it waits for")
	}
	return h.first.Dispatch(ctx, by, method, body)
}

// server is a door that is being served.
type server struct {
	stop  context.CancelFunc
	ended chan error // room for one: what Serve gave
}

// serveDoor begins to serve. end is called when a handler panicked; what it guards may be half changed.
func serveDoor(ctx context.Context, h *house, ln *net.UnixListener, uids []uint32, log *slog.Logger, end func(error)) (*server, error) {
	srv, err := gate.NewServer(gate.Config{Handle: h.dispatch, AllowedUIDs: uids, Log: log, Waits: append(relay.Waits(), message.MethodFeed),
		OnPanic: func(i gate.Incident) {
			end(fmt.Errorf("a handler panicked (incident %s): the state may be half changed, the core ends", i))
		}})
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	s := &server{stop: stop, ended: make(chan error, 1)}
	go func() { // close waits for it
		err := srv.Serve(ctx, ln)
		if err != nil && ctx.Err() == nil {
			end(fmt.Errorf("the door failed: %w", err))
		}
		s.ended <- err
	}()
	return s, nil
}

// close stops serving and waits for what is open.
func (s *server) close() error {
	s.stop()
	return <-s.ended
}
