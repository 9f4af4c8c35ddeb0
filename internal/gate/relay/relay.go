// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/pure/problem"
)

// Errors of messages.
var (
	// ErrNotCarried says that nothing came to take a message: no serve runs, or it has no relay.
	ErrNotCarried = errors.New("nothing takes messages at the door; run serve with a relay")
	// ErrUnanswered says that a message was taken and that no answer came in time.
	ErrUnanswered = errors.New("no answer came in time")
	// ErrBusy says that there is no room.
	ErrBusy = errors.New("too many messages wait to be carried")
	// ErrClosed says that the relay or the stream is closed.
	ErrClosed = errors.New("the relay is closed")
	// ErrCarrier says that serve could not carry a message; its words follow.
	ErrCarrier = errors.New("serve can't carry it")
)

// graceTime is how long a session may be without a call that takes before its tasks are given to another.
const graceTime = 2 * time.Second

// Queue holds what is to be carried. It is an [Exchanger] and a [Streamer]; its methods are safe for concurrent use.
type Queue struct {
	mu       sync.Mutex // guards the rest
	last     uint64     // id of the last task
	waiting  []*task    // not taken, oldest first
	open     map[uint64]*task
	streams  map[uint64]*stream
	sessions map[Session]*session
	takers   int
	more     chan struct{} // closed, and made anew, when waiting grows or the queue closes
	closed   bool
}

// task is a message that is waited for.
type task struct {
	Task
	answer chan Give // room for one
	by     Session   // who took it
	taken  bool
}

// session is a serve that took something.
type session struct {
	calls int // of take that are open
	grace *time.Timer
}

// New makes an empty queue.
func New() *Queue {
	return &Queue{open: map[uint64]*task{}, streams: map[uint64]*stream{}, sessions: map[Session]*session{}, more: make(chan struct{})}
}

// Serve registers the relay's methods at a door.
func (q *Queue) Serve(m *gate.Mux) {
	gate.Handle(m, MethodTake, func(ctx context.Context, _ gate.Caller, in Take) (Taken, error) { return q.take(ctx, in) })
	gate.Handle(m, MethodGive, func(_ context.Context, _ gate.Caller, in Give) (Given, error) { return q.give(in) })
	gate.Handle(m, MethodPush, func(ctx context.Context, _ gate.Caller, in Push) (Pushed, error) { return q.push(ctx, in) })
	gate.Handle(m, MethodPull, func(ctx context.Context, _ gate.Caller, in Pull) (Pulled, error) { return q.pull(ctx, in) })
}

// Carried says whether some serve takes messages now.
func (q *Queue) Carried() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.sessions) > 0
}

// Close fails everything that waits, and refuses what comes.
func (q *Queue) Close() error {
	q.mu.Lock()
	q.closed = true
	for _, s := range q.sessions {
		s.grace.Stop()
	}
	for _, t := range q.open {
		t.answer <- Give{Error: ErrClosed.Error()}
	}
	clear(q.open)
	q.waiting = nil
	list := q.streams
	q.streams = map[uint64]*stream{}
	q.wake()
	q.mu.Unlock()
	for _, s := range list {
		s.fail(ErrClosed)
	}
	return nil
}

// wake tells those who wait to take. The caller holds mu.
func (q *Queue) wake() {
	close(q.more)
	q.more = make(chan struct{})
}

// Exchange sends a message and waits for its answer; see [Exchanger].
func (q *Queue) Exchange(ctx context.Context, kind, target string, body []byte) (int, []byte, error) {
	if kind == NTSKE {
		return 0, nil, fmt.Errorf("exchange: %s is a stream", kind)
	}
	g, err := q.ask(ctx, Task{Kind: kind, Target: target, Body: body})
	if err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", kind, target, err)
	}
	return int(g.Status), g.Body, nil
}

// ask queues a task and waits for its answer.
func (q *Queue) ask(ctx context.Context, what Task) (Give, error) {
	t, err := q.put(what)
	if err != nil {
		return Give{}, err
	}
	return q.await(ctx, t)
}

// await waits for the answer to a task, as long as its kind has patience.
func (q *Queue) await(ctx context.Context, t *task) (Give, error) {
	late := time.NewTimer(time.Duration(t.Patience) * time.Millisecond)
	defer late.Stop()
	var err error
	select {
	case g := <-t.answer:
		return g, carrierError(g)
	case <-ctx.Done():
		err = ctx.Err()
	case <-late.C:
		err = ErrUnanswered
	}
	taken := q.forget(t)
	select {
	case g := <-t.answer: // it came meanwhile
		return g, carrierError(g)
	default:
	}
	if errors.Is(err, ErrUnanswered) && !taken {
		err = ErrNotCarried
	}
	return Give{}, err
}

// carrierError gives what serve says went wrong. Its words are quoted: they are not ours.
func carrierError(g Give) error {
	switch g.Error {
	case "":
		return nil
	case ErrClosed.Error():
		return ErrClosed
	default:
		return fmt.Errorf("%w: %q", ErrCarrier, g.Error)
	}
}

// put checks and queues a task; for a stream it makes room first.
func (q *Queue) put(what Task) (*task, error) {
	limit, ok := patience(what.Kind)
	if !ok {
		return nil, fmt.Errorf("the relay carries no %q", what.Kind)
	}
	if len(what.Body) > MaxBody || len(what.Target) > maxTarget {
		return nil, fmt.Errorf("a message of %d bytes to a target of %d; at most %d and %d", len(what.Body), len(what.Target), MaxBody, maxTarget)
	}
	what.Patience = uint64(limit / time.Millisecond)
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return nil, ErrClosed
	case len(q.open) >= MaxWaiting, what.Stream && len(q.streams) >= MaxStreams:
		return nil, ErrBusy
	}
	q.last++
	what.ID = q.last
	t := &task{Task: what, answer: make(chan Give, 1)}
	q.open[t.ID] = t
	if what.Stream {
		q.streams[t.ID] = newStream(q, t.ID)
	}
	q.waiting = append(q.waiting, t)
	q.wake()
	return t, nil
}

// forget gives up a task and says whether somebody took it.
func (q *Queue) forget(t *task) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.open, t.ID)
	q.waiting = slices.DeleteFunc(q.waiting, func(w *task) bool { return w == t })
	return t.taken
}

// give delivers an answer. One that nobody waits for, a second one for instance, has no effect.
func (q *Queue) give(in Give) (Given, error) {
	if len(in.Body) > MaxBody || in.Status > 999 {
		return Given{}, problem.New(problem.TooLarge, "an answer of %d bytes and status %d; at most %d and 999", len(in.Body), in.Status, MaxBody)
	}
	in.Error = in.Error[:min(len(in.Error), maxError)]
	q.mu.Lock()
	defer q.mu.Unlock()
	t, ok := q.open[in.ID]
	if !ok {
		return Given{}, nil
	}
	delete(q.open, in.ID)
	q.waiting = slices.DeleteFunc(q.waiting, func(w *task) bool { return w == t }) // it was given out again
	t.answer <- in
	return Given{Wanted: true}, nil
}

// take hands out tasks, or waits for some.
func (q *Queue) take(ctx context.Context, in Take) (Taken, error) {
	if in.Limit < 1 || in.Limit > MaxTakes {
		return Taken{}, problem.New(problem.Malformed, "take: the limit is %d; use 1 to %d", in.Limit, MaxTakes)
	}
	if err := q.arrive(in.Session); err != nil {
		return Taken{}, err
	}
	over := time.NewTimer(waitOf(in.Wait))
	defer over.Stop()
	for {
		q.mu.Lock()
		n := min(len(q.waiting), int(in.Limit))
		out := Taken{Tasks: make([]Task, 0, n)}
		for _, t := range q.waiting[:n] {
			t.by, t.taken = in.Session, true
			out.Tasks = append(out.Tasks, t.Task)
		}
		q.waiting = slices.Delete(q.waiting, 0, n)
		more, closed := q.more, q.closed
		q.mu.Unlock()
		if n > 0 || closed {
			q.leave(in.Session, false)
			return out, nil
		}
		select {
		case <-more:
		case <-over.C:
			q.leave(in.Session, false)
			return out, nil
		case <-ctx.Done(): // the connection has ended
			q.leave(in.Session, true)
			return out, nil
		}
	}
}

func waitOf(ms uint64) time.Duration {
	return min(time.Duration(min(ms, uint64(MaxWait/time.Millisecond)))*time.Millisecond, MaxWait)
}

// arrive counts a call of a session.
func (q *Queue) arrive(id Session) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.takers >= MaxTakers {
		return problem.New(problem.Busy, "%d callers wait to carry messages already", q.takers)
	}
	s, ok := q.sessions[id]
	if !ok {
		s = &session{}
		s.grace = time.AfterFunc(MaxWait, func() { q.abandon(id) })
		q.sessions[id] = s
	}
	s.grace.Stop()
	s.calls++
	q.takers++
	return nil
}

// leave ends a call of a session; gone tells that its connection has ended.
func (q *Queue) leave(id Session, gone bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.sessions[id]
	s.calls--
	q.takers--
	if s.calls > 0 {
		return
	}
	wait := graceTime
	if gone {
		wait = 0
	}
	s.grace.Reset(wait)
}

// abandon gives the tasks of a session that is gone to others, before all newer ones.
func (q *Queue) abandon(id Session) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if s := q.sessions[id]; s == nil || s.calls > 0 || q.closed {
		return // it came back
	}
	delete(q.sessions, id)
	var back []*task
	for _, t := range q.open {
		if t.taken && t.by == id && !slices.Contains(q.waiting, t) {
			t.taken = false
			back = append(back, t)
		}
	}
	slices.SortFunc(back, func(a, b *task) int { return int(int64(a.ID) - int64(b.ID)) })
	q.waiting = append(back, q.waiting...)
	if len(back) > 0 {
		q.wake()
	}
}
