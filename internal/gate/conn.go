// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/pure/problem"
)

// conn is a server's side of one connection. One goroutine reads and gives each request to a worker; one writes what they answer.
type conn struct {
	run     *run
	nc      *net.UnixConn
	by      Caller
	in      *reader
	maxSend int    // bytes of a frame to the peer
	last    uint64 // stream of the last request; the reader's
	writing atomic.Uint64
	frames  atomic.Uint64 // requests read
	watched watched
	wake    chan struct{}   // room for one: there may be something to write
	gone    chan struct{}   // closed when the writer ended
	waits   context.Context // of requests that only wait: ends when no more requests are read
	endWait context.CancelFunc
	work    chan job // the reader gives, idle workers take; closed when the reader ended

	mu      sync.Mutex // guards all below
	room    sync.Cond  // on mu: load became smaller
	filling batch      // what the writer takes next
	sending load       // what filling answers
	load    load       // requests read and not yet answered on the wire
	ending  bool       // the writer ends when there is nothing to write
	broken  bool       // nothing can be written any more
}

// job is a request that was read.
type job struct {
	stream uint64
	method string
	body   []byte
	size   int // of its frame
}

// load counts requests and the bytes they hold.
type load struct{ streams, bytes int }

func newConn(r *run, nc *net.UnixConn, by Caller) *conn {
	c := &conn{run: r, nc: nc, by: by, in: newReader(nc, r.cfg.Limits.Frame),
		wake: make(chan struct{}, 1), gone: make(chan struct{}), work: make(chan job)}
	c.in.names = make(names)
	c.waits, c.endWait = context.WithCancel(r.ctx)
	c.room.L = &c.mu
	return c
}

// serve does the handshake, then reads requests until the peer, a violation or the server ends it, waits for what is open, and closes.
func (c *conn) serve() {
	defer c.nc.Close()
	defer c.endWait()
	log := c.run.cfg.Log.With(slog.Any("peer", c.by))
	if err := c.shake(); err != nil {
		level := slog.LevelWarn
		if quiet(err) { // for instance somebody who asks whether the socket is alive
			level = slog.LevelDebug
		}
		log.Log(c.run.ctx, level, "door handshake failed", slog.Any("error", err))
		c.refuse(err)
		return
	}
	log.Info("door connection opened")
	go c.write() // closes gone, for which finish waits
	err := c.read()
	c.endWait()
	close(c.work)
	if p := problemOf(err); p != nil {
		log.Warn("door connection broken off", slog.Any("error", err))
		c.tell(p)
	}
	c.finish()
	log.Info("door connection closed", slog.Uint64("requests", c.frames.Load()), slog.Any("cause", err))
}

// shake exchanges hellos.
func (c *conn) shake() error {
	late := time.AfterFunc(c.run.cfg.Limits.Hello, func() { c.cut(slog.LevelWarn, "no hello") })
	defer late.Stop()
	h, err := readHello(c.in.in)
	if err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return err
	}
	c.maxSend = h.limit()
	_, err = c.nc.Write(ourHello(c.in.max).bytes())
	return err
}

// refuse answers with a hello that says why there will be no connection. A peer that is gone hears nothing.
func (c *conn) refuse(err error) {
	if p := problemOf(err); p != nil {
		h := ourHello(c.in.max)
		h.Refused = faultOf(p, "")
		_, _ = c.nc.Write(h.bytes())
	}
}

// read takes requests until an error. A [problem.Error] says that the peer broke the protocol.
func (c *conn) read() error {
	for {
		size, err := c.in.size()
		if err != nil {
			return err
		}
		if !c.take(size) {
			return net.ErrClosed
		}
		f, err := c.in.frame(size)
		if err == nil {
			err = c.inOrder(&f)
		}
		if err != nil {
			c.drop(size)
			return err
		}
		c.frames.Add(1)
		c.hand(job{f.stream, f.method, f.body, size})
	}
}

// hand gives a request to an idle worker, or to a new one. Workers are kept because a goroutine's stack grows to what a handler needs by
// copying, step by step, which costs more than all else here. There are as many as requests were open at the same time.
func (c *conn) hand(j job) {
	select {
	case c.work <- j:
	default:
		go c.worker(j) // finish waits for its answers, by load; it ends with the reader
	}
}

// worker answers a request, and then what it is handed.
func (c *conn) worker(j job) {
	c.answer(j)
	for j := range c.work {
		c.answer(j)
	}
}

// inOrder refuses all but the request after the last one: a duplicated or lost frame ends the connection before it has an effect.
func (c *conn) inOrder(f *frame) error {
	if f.shape != request {
		return malformed("a client sends requests only")
	}
	if f.stream != c.last+1 {
		return malformed("stream %d follows %d; count by one", f.stream, c.last)
	}
	c.last = f.stream
	return nil
}

// take waits until there is room for a request of a size; false when the connection is ending.
func (c *conn) take(size int) bool {
	l := &c.run.cfg.Limits
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.broken && !c.run.draining.Load() && c.load.streams > 0 && (c.load.streams >= l.Streams || c.load.bytes+size > l.InFlight) {
		c.room.Wait()
	}
	if c.broken || c.run.draining.Load() {
		return false
	}
	c.load.streams++
	c.load.bytes += size
	return true
}

// drop gives back the room of a request that is not answered.
func (c *conn) drop(size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.release(load{1, size})
}

// release gives back room. The caller holds mu.
func (c *conn) release(l load) {
	c.load.streams -= l.streams
	c.load.bytes -= l.bytes
	c.room.Broadcast()
}

// queue hands a frame to the writer; l is what it answers. Growth by the reply itself counts too: it keeps the reader from taking more.
func (c *conn) queue(f *frame, l load) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken {
		c.release(l)
		return
	}
	c.load.bytes += len(f.body)
	l.bytes += len(f.body)
	c.sending.streams += l.streams
	c.sending.bytes += l.bytes
	first := c.filling.empty()
	c.filling.put(f)
	if first {
		c.signal()
	}
}

// signal wakes the writer.
func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// tell queues a failure of the whole connection.
func (c *conn) tell(p *problem.Error) {
	c.queue(&frame{shape: failure, fault: faultOf(p, "")}, load{})
}

// write is the writer: it writes all that is queued at once, and ends when told to or when the connection breaks.
func (c *conn) write() {
	defer close(c.gone)
	var b batch
	for range c.wake {
		// Let who is ready to run queue first: at 64 callers this alone makes a call three times cheaper, because a write costs as much as ten calls.
		runtime.Gosched()
		for {
			c.mu.Lock()
			if c.filling.empty() {
				ending := c.ending
				c.mu.Unlock()
				if ending {
					return
				}
				break
			}
			b, c.filling = c.filling, b
			sent := c.sending
			c.sending = load{}
			c.mu.Unlock()

			c.writing.Add(1)
			err := b.write(c.nc)
			c.writing.Add(1)

			c.mu.Lock()
			c.release(sent)
			if err != nil {
				c.broken = true
				c.release(c.sending)
				c.sending = load{}
				c.mu.Unlock()
				c.nc.Close() // ends the reader
				return
			}
			c.mu.Unlock()
		}
	}
}

// finish waits for open requests and the writer.
func (c *conn) finish() {
	c.mu.Lock()
	for c.load.streams > 0 {
		c.room.Wait()
	}
	c.ending = true
	c.mu.Unlock()
	c.signal()
	<-c.gone
}

// stopReading ends the reader, now if it waits and at the next frame otherwise.
func (c *conn) stopReading() {
	_ = c.nc.SetReadDeadline(time.Unix(1, 0)) // past: fails only on a closed connection
	c.mu.Lock()
	defer c.mu.Unlock()
	c.room.Broadcast()
}

// cut closes the connection from outside; reader and writer end with an error.
func (c *conn) cut(level slog.Level, why string) {
	c.run.cfg.Log.Log(c.run.ctx, level, "door connection cut", slog.Any("peer", c.by), slog.String("why", why))
	c.mu.Lock()
	c.broken = true
	c.release(c.sending)
	c.sending = load{}
	c.mu.Unlock()
	c.nc.Close()
}

// watched is what the watcher remembers of a connection from its last look.
type watched struct {
	reading, writing, frames      uint64
	readStall, writeStall, idling time.Duration
}

// look cuts the connection if the same frame is being read or written, or nothing has happened, for too long. Only the watcher calls it.
func (c *conn) look(tick time.Duration) {
	w, l := &c.watched, &c.run.cfg.Limits
	for _, side := range []struct {
		now  uint64
		last *uint64
		for_ *time.Duration
	}{{c.in.busy.Load(), &w.reading, &w.readStall}, {c.writing.Load(), &w.writing, &w.writeStall}} {
		if side.now%2 == 1 && side.now == *side.last {
			*side.for_ += tick
		} else {
			*side.for_, *side.last = 0, side.now
		}
	}
	c.mu.Lock()
	open := c.load.streams
	c.mu.Unlock()
	if n := c.frames.Load(); open > 0 || n != w.frames {
		w.frames, w.idling = n, 0
	} else {
		w.idling += tick
	}
	switch {
	case w.readStall > l.Stall:
		c.cut(slog.LevelWarn, "a frame did not arrive in time")
	case w.writeStall > l.Stall:
		c.cut(slog.LevelWarn, "the peer does not read")
	case w.idling > l.Idle:
		c.cut(slog.LevelInfo, "idle")
	}
}

// quiet reports whether an error is how connections end without fault.
func quiet(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded)
}
