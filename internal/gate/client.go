// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"time"

	"strongroom/internal/pure/problem"
)

// Client is one connection to a server. Its methods are safe for concurrent use, and calls do not wait for each other. It never reconnects:
// see [Redialer].
type Client struct {
	nc      *net.UnixConn
	server  Caller
	in      *reader
	maxSend int           // bytes of a frame to the server
	wake    chan struct{} // room for one: there may be something to write
	done    chan struct{} // closed when the connection is
	wg      sync.WaitGroup
	spare   sync.Pool // of *waiter

	mu      sync.Mutex // guards all below
	filling batch      // what the writer takes next
	last    uint64     // stream of the last request
	taken   uint64     // stream of the last request that the writer took
	waiting map[uint64]*waiter
	err     error // why the connection ended, nil while it lives
}

// waiter is a call that waits for its reply; nil in the map of waiters once nobody waits.
type waiter struct{ answer chan answer } // room for one, so that the reader never waits

type answer struct {
	body []byte
	err  error
}

// Dial connects to the socket at path. ctx bounds connecting and handshake, not the life of the client. A server that refuses says why in a
// [problem.Error]: unsupported for another version, busy for too many connections. One that refuses our user id just hangs up.
func Dial(ctx context.Context, path string) (*Client, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("dial the door: %w", err)
	}
	nc, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(errors.New("dial the door: no Unix socket"), conn.Close())
	}
	c := &Client{nc: nc, in: newReader(nc, MaxFrame), wake: make(chan struct{}, 1), done: make(chan struct{}), waiting: make(map[uint64]*waiter)}
	c.spare.New = func() any { return &waiter{make(chan answer, 1)} }
	if c.server, err = peerOf(nc); err == nil {
		err = c.shake(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("dial the door: %w", err), nc.Close())
	}
	c.wg.Go(c.read)  // Close waits
	c.wg.Go(c.write) // Close waits
	return c, nil
}

// shake exchanges hellos.
func (c *Client) shake(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = c.nc.SetDeadline(time.Unix(1, 0)) }) // past: ends reads and writes
	_, writeErr := c.nc.Write(ourHello(MaxFrame).bytes())
	h, err := readHello(c.in.in) // also when the write failed: a server that is full has answered and hung up
	if !stop() {
		return ctx.Err()
	}
	if problemOf(err) == nil && err != nil {
		return fmt.Errorf("the server hung up; does it allow our user id? (%w)", errors.Join(err, writeErr))
	}
	if err != nil {
		return err
	}
	if h.Refused != nil && h.Protocol == protocol {
		return h.Refused.problem()
	}
	c.maxSend = h.limit()
	return h.check()
}

// Server gives the credentials of the process that listens. Whoever must not be fooled by another socket at the path compares the user id.
func (c *Client) Server() Caller { return c.server }

// Call sends a request and waits for its reply. It owns the reply; body must not change until Call returns, and after a cancelled Call not
// until the client is closed.
//
// A failure of the request is a [problem.Error]; kind busy or too-large, or malformed for the method's name, may come from this side, and
// then nothing was sent. A [ClosedError] says that the connection ended and whether the act may have happened. When ctx ends, Call returns
// its error and abandons the reply: the server carries on, so the act may have happened too.
func (c *Client) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	if err := checkMethod(method); err != nil {
		return nil, problem.New(problem.Malformed, "%v", err)
	}
	if len(body) > c.maxSend-overhead {
		return nil, problem.New(problem.TooLarge, "the request has %d bytes, more than the %d the server accepts", len(body), c.maxSend-overhead)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("call %s: %w; nothing was sent", method, err)
	}
	w := c.spare.Get().(*waiter)
	stream, err := c.send(method, body, w)
	if err != nil {
		c.spare.Put(w)
		return nil, err
	}
	select {
	case a := <-w.answer:
		c.spare.Put(w)
		return a.body, a.err
	case <-ctx.Done():
	}
	if !c.abandon(stream) { // the answer is there or on its way
		a := <-w.answer
		c.spare.Put(w)
		return a.body, a.err
	}
	c.spare.Put(w)
	return nil, fmt.Errorf("call %s: stopped waiting, the act may have happened: %w", method, ctx.Err())
}

// send queues a request.
func (c *Client) send(method string, body []byte, w *waiter) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, &ClosedError{Cause: c.err}
	}
	if len(c.waiting) >= MaxStreams {
		return 0, problem.New(problem.Busy, "%d requests wait for an answer on this connection; try again later", len(c.waiting))
	}
	c.last++
	c.waiting[c.last] = w
	first := c.filling.empty()
	c.filling.put(&frame{shape: request, stream: c.last, method: method, body: body})
	if first {
		select {
		case c.wake <- struct{}{}:
		default:
		}
	}
	return c.last, nil
}

// abandon forgets who waits for a stream, but not the stream: its reply will come. False if it was answered.
func (c *Client) abandon(stream uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.waiting[stream]; !ok {
		return false
	}
	c.waiting[stream] = nil
	return true
}

// write is the writer: it writes all that is queued at once.
func (c *Client) write() {
	var b batch
	for {
		select {
		case <-c.done:
			return
		case <-c.wake:
		}
		// Let who is ready to run queue first: at 64 callers this alone makes a call three times cheaper, because a write costs as much as ten calls.
		runtime.Gosched()
		c.mu.Lock()
		b, c.filling = c.filling, b
		c.taken = c.last
		c.mu.Unlock()
		if b.empty() {
			continue
		}
		if err := b.write(c.nc); err != nil {
			// The server may have said why before it hung up; the reader, who sees that, ends the connection. Its read ends because the
			// server's side is closed, or because we close the sending half.
			_ = c.nc.CloseWrite()
			return
		}
	}
}

// read is the reader: it hands replies to those who wait, until the connection ends.
func (c *Client) read() {
	for {
		size, err := c.in.size()
		if err != nil {
			c.fail(err)
			return
		}
		f, err := c.in.frame(size)
		if err == nil {
			err = c.deliver(&f)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

// deliver hands one frame to who waits for it. An error says that the connection is over.
func (c *Client) deliver(f *frame) error {
	if f.shape == request {
		return malformed("a server sends no requests")
	}
	if f.stream == 0 {
		return f.fault.problem()
	}
	c.mu.Lock()
	w, ok := c.waiting[f.stream]
	delete(c.waiting, f.stream)
	sent := f.stream <= c.taken
	c.mu.Unlock()
	if !ok || !sent {
		return malformed("a reply on stream %d, on which nothing is open", f.stream)
	}
	if w == nil {
		return nil
	}
	a := answer{body: f.body}
	if f.shape == failure {
		a.err = f.fault.problem()
	}
	w.answer <- a
	return nil
}

// fail ends the connection and every open call. Only the first cause counts.
func (c *Client) fail(cause error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	if errors.Is(cause, io.EOF) {
		cause = errors.New("the server hung up")
	}
	c.err = cause
	open, taken := c.waiting, c.taken
	c.waiting = nil
	c.filling = batch{}
	c.mu.Unlock()
	close(c.done)
	c.nc.Close()
	for stream, w := range open {
		if w != nil {
			w.answer <- answer{err: &ClosedError{Sent: stream <= taken, Cause: cause}}
		}
	}
}

// errLocal is the cause of calls that end because of Close.
var errLocal = errors.New("closed by this side")

// Close ends the connection; open calls get a [ClosedError]. It returns when nothing of the client runs any more. A second Close does nothing.
func (c *Client) Close() error {
	c.fail(errLocal)
	c.wg.Wait()
	return nil
}

// Done is closed when the connection has ended, for whatever reason.
func (c *Client) Done() <-chan struct{} { return c.done }
