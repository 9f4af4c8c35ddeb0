// SPDX-License-Identifier: Apache-2.0

package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"strongroom/internal/pure/problem"
)

// stream is a connection whose socket is at a serve. It is the net.Conn that Dial gives.
type stream struct {
	q    *Queue
	id   uint64
	name string
	life *time.Timer // nil until it stands

	mu       sync.Mutex // guards the rest
	change   sync.Cond  // on mu
	in       []byte     // pushed and not read
	inNext   uint64     // offset of the next byte to be pushed
	inEnd    error      // why nothing more comes, once in is empty; nil while it may
	out      []byte     // written and not known to be at the socket
	outFirst uint64     // offset of its first byte
	failed   error      // why nothing goes any more
	read     deadline
	write    deadline
}

// deadline is a moment after which waiting ends.
type deadline struct {
	turn   int // how often it was set: one that was replaced changes nothing
	cancel context.CancelFunc
	passed bool
}

func newStream(q *Queue, id uint64) *stream {
	s := &stream{q: q, id: id}
	s.change.L = &s.mu
	return s
}

// Dial opens a connection; see [Streamer].
func (q *Queue) Dial(ctx context.Context, kind, target string) (net.Conn, error) {
	if kind != NTSKE {
		return nil, fmt.Errorf("dial: %s is no stream", kind)
	}
	t, err := q.dial(ctx, Task{Kind: kind, Target: target, Stream: true})
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, target, err)
	}
	return t, nil
}

func (q *Queue) dial(ctx context.Context, what Task) (*stream, error) {
	t, err := q.put(what)
	if err != nil {
		return nil, err
	}
	s := q.of(t.ID)
	if _, err := q.await(ctx, t); err != nil {
		q.drop(t.ID)
		if s != nil {
			s.fail(err) // who pushes already waits for nothing
		}
		return nil, err
	}
	if s == nil { // closed meanwhile
		return nil, ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name = what.Target
	s.life = time.AfterFunc(MaxLife, func() { s.fail(fmt.Errorf("%w: the stream is too old", ErrClosed)) })
	return s, nil
}

// drop forgets a stream.
func (q *Queue) drop(id uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.streams, id)
}

// of finds a stream.
func (q *Queue) of(id uint64) *stream {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.streams[id]
}

// push takes bytes from the socket.
func (q *Queue) push(ctx context.Context, in Push) (Pushed, error) {
	if len(in.Body) > MaxBody {
		return Pushed{}, problem.New(problem.TooLarge, "push of %d bytes, more than %d", len(in.Body), MaxBody)
	}
	s := q.of(in.ID)
	if s == nil {
		return Pushed{Closed: true}, nil
	}
	defer s.wakeWith(ctx)()
	over := time.AfterFunc(MaxWait, s.wake)
	defer over.Stop()
	return s.push(ctx, in)
}

func (s *stream) push(ctx context.Context, in Push) (Pushed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.Offset > s.inNext {
		return Pushed{}, problem.New(problem.Malformed, "push at %d; the next byte is %d", in.Offset, s.inNext)
	}
	for s.failed == nil && s.inEnd == nil && len(s.in) >= MaxBody && ctx.Err() == nil {
		s.change.Wait()
	}
	if s.failed != nil || s.inEnd != nil {
		return Pushed{Next: s.inNext, Closed: s.failed != nil}, nil
	}
	skip := min(s.inNext-in.Offset, uint64(len(in.Body))) // pushed before, its answer lost
	fresh := in.Body[skip:]
	n := min(len(fresh), MaxBody-len(s.in))
	s.in = append(s.in, fresh[:n]...)
	s.inNext += uint64(n)
	if in.End && n == len(fresh) {
		if s.inEnd = io.EOF; in.Error != "" {
			s.inEnd = fmt.Errorf("%w: %q", ErrCarrier, in.Error[:min(len(in.Error), maxError)])
		}
	}
	s.change.Broadcast()
	return Pushed{Next: s.inNext}, nil
}

// pull gives bytes for the socket.
func (q *Queue) pull(ctx context.Context, in Pull) (Pulled, error) {
	s := q.of(in.ID)
	if s == nil {
		return Pulled{Closed: true}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, waitOf(in.Wait))
	defer cancel()
	defer s.wakeWith(ctx)()
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.Offset < s.outFirst || in.Offset > s.outFirst+uint64(len(s.out)) {
		return Pulled{}, problem.New(problem.Malformed, "pull from %d; the stream has %d to %d", in.Offset, s.outFirst, s.outFirst+uint64(len(s.out)))
	}
	s.out = append([]byte(nil), s.out[in.Offset-s.outFirst:]...)
	s.outFirst = in.Offset
	s.change.Broadcast()
	for s.failed == nil && len(s.out) == 0 && ctx.Err() == nil {
		s.change.Wait()
	}
	return Pulled{Body: append([]byte{}, s.out...), Closed: s.failed != nil}, nil
}

// wake makes everybody look again.
func (s *stream) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change.Broadcast()
}

// wakeWith wakes when ctx ends; the function that it gives ends that.
func (s *stream) wakeWith(ctx context.Context) func() {
	stop := context.AfterFunc(ctx, s.wake)
	return func() { stop() }
}

// fail ends the stream in both directions. Bytes that were written are still given to the socket's side once.
func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return
	}
	s.failed = err
	if s.life != nil {
		s.life.Stop()
	}
	s.read.clear()
	s.write.clear()
	s.change.Broadcast()
	time.AfterFunc(lingerTime, func() { s.q.drop(s.id) })
}

// Read reads what was pushed.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.failed != nil:
			return 0, s.failed
		case len(s.in) > 0:
			n := copy(p, s.in)
			s.in = append([]byte(nil), s.in[n:]...)
			s.change.Broadcast()
			return n, nil
		case s.inEnd != nil:
			return 0, s.inEnd
		case s.read.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		}
		s.change.Wait()
	}
}

// Write queues bytes for the socket. It returns when all of p is queued: whether they arrive is for the protocol above.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := 0
	for {
		switch {
		case s.failed != nil:
			return done, s.failed
		case s.write.passed:
			return done, os.ErrDeadlineExceeded
		case done == len(p):
			return done, nil
		}
		if n := min(len(p)-done, MaxBody-len(s.out)); n > 0 {
			s.out = append(s.out, p[done:done+n]...)
			done += n
			s.change.Broadcast()
			continue
		}
		s.change.Wait()
	}
}

// lingerTime is how long a closed stream is kept, so that its last bytes reach the socket.
const lingerTime = 2 * time.Second

// Close ends the stream. What was written before is still carried, if serve asks for it soon.
func (s *stream) Close() error {
	s.fail(net.ErrClosed)
	return nil
}

// addr names the ends of a stream.
type addr string

// Network is "relay".
func (addr) Network() string { return "relay" }

// String is the target's name.
func (a addr) String() string { return string(a) }

// LocalAddr names this side.
func (s *stream) LocalAddr() net.Addr { return addr("core") }

// RemoteAddr names the target.
func (s *stream) RemoteAddr() net.Addr { return addr(s.name) }

// SetDeadline sets both deadlines.
func (s *stream) SetDeadline(t time.Time) error {
	s.set(&s.read, t)
	s.set(&s.write, t)
	return nil
}

// SetReadDeadline ends Read at a time.
func (s *stream) SetReadDeadline(t time.Time) error { s.set(&s.read, t); return nil }

// SetWriteDeadline ends Write at a time.
func (s *stream) SetWriteDeadline(t time.Time) error { s.set(&s.write, t); return nil }

// set replaces a deadline; the zero time is none.
func (s *stream) set(d *deadline, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.clear()
	if t.IsZero() || s.failed != nil {
		return
	}
	turn := d.turn
	ctx, cancel := context.WithDeadline(context.Background(), t)
	d.cancel = cancel
	context.AfterFunc(ctx, func() {
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return // replaced
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if turn == d.turn {
			d.passed = true
			s.change.Broadcast()
		}
	})
}

// clear forgets a deadline. The caller holds the stream's mu.
func (d *deadline) clear() {
	if d.cancel != nil {
		d.cancel()
	}
	*d = deadline{turn: d.turn + 1}
}
