// SPDX-License-Identifier: Apache-2.0

package logstoreapp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"log/slog"
	"sync"
	"time"

	"strongroom/internal/edge/counts"
	"strongroom/internal/edge/postgres/logstore"
	"strongroom/internal/gate"
	wire "strongroom/internal/gate/logstore"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
)

// maxHandles bounds the handles at a time. A machine runs a core or two.
const maxHandles = 64

// server answers for one log.
type server struct {
	store *logstore.Store
	log   *slog.Logger
	seen  *counts.Counts

	mu      sync.Mutex // guards handles
	handles map[wire.Handle]*handle
}

// handle is what one core writes with.
type handle struct {
	id      wire.Handle
	process *process
	turn    chan struct{} // one token: the right to use what follows
	session *logstore.Session
	staged  []byte
	ended   bool
}

func newServer(store *logstore.Store, log *slog.Logger, seen *counts.Counts) *server {
	return &server{store: store, log: log, seen: seen, handles: map[wire.Handle]*handle{}}
}

func (s *server) register(mux *gate.Mux) {
	gate.Handle(mux, wire.MethodOpen, counted(s.seen, s.open))
	gate.Handle(mux, wire.MethodHead, counted(s.seen, func(ctx context.Context, _ gate.Caller, _ wire.HeadOf) (wire.Head, error) { return s.store.Head(ctx) }))
	gate.Handle(mux, wire.MethodRead, counted(s.seen, s.read))
	gate.Handle(mux, wire.MethodPart, counted(s.seen, s.part))
	gate.Handle(mux, wire.MethodStage, counted(s.seen, s.stage))
	gate.Handle(mux, wire.MethodAppend, counted(s.seen, s.append))
	gate.Handle(mux, wire.MethodTruncate, counted(s.seen, s.truncate))
	gate.Handle(mux, wire.MethodTake, counted(s.seen, s.take))
	gate.Handle(mux, wire.MethodClose, counted(s.seen, s.close))
}

// newCounts counts what the log store answers: done; refused, where the core asks for what can't be; failed, where the store or the database did.
func newCounts(now func() time.Time) (*counts.Counts, error) {
	return counts.New("logstore", now, "done", "refused", "failed")
}

// counted counts the answers of a method.
func counted[I, O any](seen *counts.Counts, answer func(context.Context, gate.Caller, I) (O, error)) func(context.Context, gate.Caller, I) (O, error) {
	return func(ctx context.Context, by gate.Caller, in I) (O, error) {
		out, err := answer(ctx, by, in)
		seen.Done(outcome(out, err))
		return out, err
	}
}

func outcome(answer any, err error) string {
	var known *problem.Error
	page, reads := answer.(wire.Page)
	result, writes := answer.(wire.Result)
	switch {
	case err == nil && reads && page.Damaged != "":
		return "failed"
	case err == nil && writes && result.Outcome != wire.Done:
		return "refused"
	case err == nil:
		return "done"
	case errors.As(err, &known) && known.Kind != problem.Internal:
		return "refused"
	default:
		return "failed"
	}
}

// open makes a handle, after it took back those of processes that ended.
func (s *server) open(ctx context.Context, by gate.Caller, _ wire.Open) (wire.Opened, error) {
	s.sweep(ctx)
	p, err := watch(by.PID)
	if err != nil {
		return wire.Opened{}, problem.Wrap(problem.Unsupported, err,
			"the log store can't see your process %d: run core and log store in one PID namespace", by.PID)
	}
	h := &handle{process: p, turn: make(chan struct{}, 1)}
	h.turn <- struct{}{}
	rand.Read(h.id[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.handles) >= maxHandles {
		p.close()
		return wire.Opened{}, problem.New(problem.Busy, "%d handles are open; close one", len(s.handles))
	}
	s.handles[h.id] = h
	return wire.Opened{Handle: h.id, Place: s.store.Place()}, nil
}

// sweep ends the handles of processes that are gone, and says whether there were any: their epochs' locks are free then. One whose last
// write is still under way is left for later: its turn may be the caller's own.
func (s *server) sweep(ctx context.Context) bool {
	s.mu.Lock()
	var gone []*handle
	for id, h := range s.handles {
		if !h.process.gone() {
			continue
		}
		select {
		case <-h.turn:
			gone = append(gone, h)
			delete(s.handles, id)
		default:
		}
	}
	s.mu.Unlock()
	for _, h := range gone {
		s.log.InfoContext(ctx, "handle of an ended process given back", slog.Int("pid", h.process.pid))
		s.end(ctx, h)
	}
	return len(gone) > 0
}

// end frees what a handle holds, and gives back the turn, which the caller has.
func (s *server) end(ctx context.Context, h *handle) {
	defer func() { h.turn <- struct{}{} }()
	h.ended = true
	h.staged = nil
	h.process.close()
	if h.session != nil {
		if err := h.session.Close(ctx); err != nil {
			s.log.WarnContext(ctx, "session not closed cleanly", slog.Any("error", err))
		}
	}
}

func (s *server) closeAll(ctx context.Context) {
	s.mu.Lock()
	all := s.handles
	s.handles = map[wire.Handle]*handle{}
	s.mu.Unlock()
	for _, h := range all {
		<-h.turn
		s.end(ctx, h)
	}
}

// with runs act with the turn of a handle.
func (s *server) with(ctx context.Context, id wire.Handle, act func(h *handle) (wire.Result, error)) (wire.Result, error) {
	s.mu.Lock()
	h, ok := s.handles[id]
	s.mu.Unlock()
	if !ok {
		return wire.Result{}, problem.New(problem.NotFound, "the handle is not known: the log store was started anew, or the handle closed; open the log again")
	}
	select {
	case <-h.turn:
	case <-ctx.Done():
		return wire.Result{}, problem.New(problem.Stopped, "the log store is stopping")
	}
	defer func() { h.turn <- struct{}{} }()
	if h.ended {
		return wire.Result{}, problem.New(problem.NotFound, "the handle was closed; open the log again")
	}
	return act(h)
}

// write runs act with the session of a handle. What was lost to a process that has ended meanwhile is tried once more.
func (s *server) write(ctx context.Context, id wire.Handle, act func(h *handle) (wire.Result, error)) (wire.Result, error) {
	return s.with(ctx, id, func(h *handle) (wire.Result, error) {
		if h.session == nil {
			var err error
			if h.session, err = s.store.Session(ctx); err != nil {
				return wire.Result{}, err
			}
		}
		r, err := act(h)
		if err == nil && r.Outcome == wire.LostWriter && s.sweep(ctx) {
			r, err = act(h)
		}
		return r, err
	})
}

func (s *server) read(ctx context.Context, _ gate.Caller, q wire.Read) (wire.Page, error) {
	recs, err := s.store.Read(ctx, q.From, q.Max, wire.PageBytes)
	if damaged := (*wire.DamagedError)(nil); errors.As(err, &damaged) {
		return wire.Page{Damaged: damaged.Reason}, nil
	}
	if err != nil {
		return wire.Page{}, err
	}
	// The last record may be much larger than the page: leave it for the next call, and if it is the first, give it in parts.
	if n := len(recs); n > 0 && size(recs[n-1]) > wire.PartSize {
		if n == 1 {
			return wire.Page{Large: uint64(len(canon.Encode(recs[0])))}, nil
		}
		recs = recs[:n-1]
	}
	return wire.Page{Records: recs}, nil
}

// size is the number of content bytes of a record.
func size(r wire.Record) int {
	n := len(r.Leaf)
	for _, b := range r.Bodies {
		n += len(b)
	}
	return n
}

func (s *server) part(ctx context.Context, _ gate.Caller, q wire.ReadPart) (wire.Part, error) {
	recs, err := s.store.Read(ctx, q.Seq, 1, 1)
	if err != nil || len(recs) == 0 {
		return wire.Part{}, err
	}
	b := canon.Encode(recs[0])
	p := wire.Part{Total: uint64(len(b)), Sum: sha256.Sum256(b)}
	if q.Offset < p.Total {
		p.Bytes = b[q.Offset:min(p.Total, q.Offset+wire.PartSize)]
	}
	return p, nil
}

func (s *server) stage(ctx context.Context, _ gate.Caller, q wire.Stage) (wire.Result, error) {
	return s.with(ctx, q.Handle, func(h *handle) (wire.Result, error) {
		if q.Offset == 0 {
			h.staged = nil
		}
		switch {
		case q.Offset != uint64(len(h.staged)):
			return wire.Result{}, problem.New(problem.Conflict, "%d bytes are staged, not %d", len(h.staged), q.Offset)
		case len(h.staged)+len(q.Bytes) > wire.MaxBatch:
			h.staged = nil
			return wire.Result{}, problem.New(problem.TooLarge, "a batch has %d bytes at most", wire.MaxBatch)
		}
		h.staged = append(h.staged, q.Bytes...)
		return wire.Result{Outcome: wire.Done}, nil
	})
}

func (s *server) append(ctx context.Context, _ gate.Caller, q wire.Append) (wire.Result, error) {
	return s.write(ctx, q.Handle, func(h *handle) (wire.Result, error) {
		b := q.Bytes
		if q.Staged > 0 {
			if q.Staged != uint64(len(h.staged)) {
				return wire.Result{}, problem.New(problem.Conflict, "%d bytes are staged, not %d", len(h.staged), q.Staged)
			}
			b = append(h.staged[:len(h.staged):len(h.staged)], q.Bytes...) // a copy: the write may be tried twice
		}
		batch, err := wire.DecodeBatch(b)
		if err != nil {
			return wire.Result{}, problem.New(problem.Malformed, "%v", err)
		}
		r, err := h.session.Append(ctx, q.Writer, q.First, batch.Records)
		if err != nil || r.Outcome == wire.Done {
			h.staged = nil
		}
		return r, err
	})
}

func (s *server) truncate(ctx context.Context, _ gate.Caller, q wire.Truncate) (wire.Result, error) {
	return s.write(ctx, q.Handle, func(h *handle) (wire.Result, error) { return h.session.Truncate(ctx, q.Writer, q.Size) })
}

func (s *server) take(ctx context.Context, _ gate.Caller, q wire.Take) (wire.Result, error) {
	return s.write(ctx, q.Handle, func(h *handle) (wire.Result, error) { return h.session.TakeWriter(ctx, q.From, q.To) })
}

func (s *server) close(ctx context.Context, _ gate.Caller, q wire.Close) (wire.Result, error) {
	s.mu.Lock()
	h := s.handles[q.Handle]
	delete(s.handles, q.Handle)
	s.mu.Unlock()
	if h != nil {
		<-h.turn // a write that is under way ends first
		s.end(ctx, h)
	}
	return wire.Result{Outcome: wire.Done}, nil
}
