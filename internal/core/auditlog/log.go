// SPDX-License-Identifier: Apache-2.0

// Package auditlog is the durable log of a domain: an append-only chain of entries with an RFC 6962 tree over it, whose signed head is
// pinned outside the log before anybody may act on an entry. Leaves and bodies are opaque bytes here.
//
// The order is: append, one flush a batch, extend the tree, sign the checkpoint, pin, and only then resolve the handles. Anything that
// fails on the way stops the log for good; the process ends and opens it again. On opening, what lies beyond the pin was never
// acknowledged and is dropped; what is missing or altered at or below it is named and refused.
//
// Formats: docs/spec/log-store.md; C2SP tlog-checkpoint and tlog-tiles.
package auditlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/pure/tlog"
)

// Errors of a log.
var (
	// ErrStopped says that the log does nothing any more, because it failed (the cause is wrapped) or was closed. What was appended and
	// not acknowledged may or may not be in the log; the next start drops it.
	ErrStopped = errors.New("the log is stopped")
	// ErrChain says that a leaf was not made for the place where it was to be appended. It was not.
	ErrChain = errors.New("the leaf does not follow the last entry")

	errClosed = errors.New("it was closed")
)

// Defaults of the queue.
const (
	DefaultQueueEntries = 4096
	DefaultQueueBytes   = 8 << 20
)

// Config is what a log needs. All is required but what says otherwise.
type Config struct {
	Store  Store
	Anchor Anchor
	Key    tlog.Key   // public half of the log key; its origin is the log's
	Keys   []tlog.Key // further keys that may have signed the pin: former ones and those of standbys; optional
	// Sign signs the text of a checkpoint with the private half of Key (Ed25519, 64 bytes).
	Sign func(msg []byte) ([]byte, error)

	Since    uint64 // entry that began the incarnation whose origin Key has; 0: the first one. Every pin bears it
	Writer   uint64 // epoch to write with, from 1 on; an empty store takes it
	TakeOver bool   // become Writer by taking over from whatever lower epoch the store has

	Entries
	// Start is a point up to which the caller knows the log: the tree of a snapshot. It is checked against the pin. Zero: the beginning.
	Start tlog.Frontier
	// Tail is given each entry from Start on, in order, during Open. It may have been given entries that turn out not to be the
	// pinned ones: then Open fails, and what was made of them is worth nothing. Optional.
	Tail func(seq uint64, hash [32]byte, rec Record) error

	Tiles Tiles // optional

	QueueEntries int           // entries that may wait for the disk; 0: DefaultQueueEntries
	QueueBytes   int           // their bytes; 0: DefaultQueueBytes
	Linger       time.Duration // how long the first entry of a batch waits for others; 0: not at all

	// Elapsed is a monotonic clock for [Stats]; nil: no durations are measured.
	Elapsed func() time.Duration
}

func (c *Config) check() error {
	switch {
	case c.Store == nil || c.Anchor == nil || c.Sign == nil:
		return errors.New("store, anchor and signer are required")
	case c.Key.IsZero():
		return errors.New("the log key is required")
	case c.Writer == 0:
		return errors.New("the writer epoch must be at least 1")
	case c.QueueEntries < 0 || c.QueueBytes < 0 || c.Linger < 0 || c.Tiles.Every < 0:
		return errors.New("limits and durations must not be negative")
	}
	if err := c.Entries.check(); err != nil {
		return err
	}
	for _, k := range c.Keys {
		if k.IsZero() || k.Origin() != c.Key.Origin() {
			return fmt.Errorf("every key must be one of %q", c.Key.Origin())
		}
	}
	if c.QueueEntries == 0 {
		c.QueueEntries = DefaultQueueEntries
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = DefaultQueueBytes
	}
	if c.Tail == nil {
		c.Tail = func(uint64, [32]byte, Record) error { return nil }
	}
	if c.Elapsed == nil {
		c.Elapsed = func() time.Duration { return 0 }
	}
	return nil
}

// Head is a pinned head of the log.
type Head struct {
	tlog.Checkpoint
	Signed   []byte        // the signed checkpoint, with what cosignatures the anchor got for it
	Frontier tlog.Frontier // the tree of that size
}

// Log is an open log. Append is for one caller at a time, the sequencer; everything else may be called concurrently.
type Log struct {
	cfg   Config
	head  atomic.Pointer[Head]
	stats counters

	wake   chan struct{} // room for one: there is something to commit
	full   chan struct{} // room for one: the batch is full, do not linger
	quit   chan struct{} // closed by Close
	failed chan struct{} // closed when the log stops because of an error
	ended  chan struct{} // closed by the committer when it ends; Close waits for it
	tiles  *publisher    // nil if tiles are off
	prover *prover       // nil if the anchor asks for no proofs

	mu      sync.Mutex // guards the rest
	next    uint64     // sequence number of the next entry
	last    [32]byte   // hash of the entry before it
	pending *batch     // entries that the committer has not taken
	stopped error      // why nothing more is appended
}

// batch is a group of entries that become durable together.
type batch struct {
	first  uint64
	recs   []Record
	hashes [][32]byte
	bytes  int
	taken  chan struct{} // closed when the committer takes it
	done   chan struct{} // closed when it is pinned, or never will be; err is set before
	err    error
}

func newBatch(first uint64) *batch {
	return &batch{first: first, taken: make(chan struct{}), done: make(chan struct{})}
}

// Handle stands for an entry on its way to the disk.
type Handle struct {
	Seq  uint64   // its sequence number
	Hash [32]byte // its leaf hash, which the next leaf names
	b    *batch
}

// Done is closed when the entry's fate is known; Wait tells it.
func (h Handle) Done() <-chan struct{} { return h.b.done }

// Wait returns nil once the entry is durable and pinned: only then may anybody act on it. An error that is [ErrStopped] means that it
// must never be acted on. ctx ends the waiting, not the entry.
func (h Handle) Wait(ctx context.Context) error {
	select {
	case <-h.b.done:
		return h.b.err
	default:
	}
	select {
	case <-h.b.done:
		return h.b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Append queues an entry behind all others. It does no disk access; it waits only while the queue is full, as long as ctx allows.
// The leaf must name the entry before (ErrChain) and rec be within the limits (ErrTooLarge); such refusals have no effect. rec belongs to
// the log from then on.
func (l *Log) Append(ctx context.Context, rec Record) (Handle, error) {
	if err := rec.Check(); err != nil {
		return Handle{}, fmt.Errorf("append entry: %w", err)
	}
	prev, err := l.cfg.PrevOf(rec.Leaf)
	if err != nil {
		return Handle{}, fmt.Errorf("append entry: %w: %w", ErrChain, err)
	}
	hash := tlog.LeafHash(rec.Leaf)
	size := rec.Size()
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.stopped == nil && len(l.pending.recs) > 0 && (len(l.pending.recs) >= l.cfg.QueueEntries || l.pending.bytes+size > l.cfg.QueueBytes) {
		if err := l.waitForRoom(ctx); err != nil {
			return Handle{}, fmt.Errorf("append entry: the queue is full: %w", err)
		}
	}
	if l.stopped != nil {
		return Handle{}, l.stopped
	}
	if prev != l.last {
		return Handle{}, fmt.Errorf("append entry %d: %w", l.next, ErrChain)
	}
	b := l.pending
	h := Handle{Seq: l.next, Hash: hash, b: b}
	b.recs = append(b.recs, rec)
	b.hashes = append(b.hashes, hash)
	b.bytes += size
	l.next++
	l.last = hash
	switch len(b.recs) {
	case 1:
		signal(l.wake)
	case l.cfg.QueueEntries:
		signal(l.full)
	}
	return h, nil
}

// waitForRoom waits, without mu, until the committer takes the pending batch.
func (l *Log) waitForRoom(ctx context.Context) error {
	taken := l.pending.taken
	signal(l.full)
	l.mu.Unlock()
	defer l.mu.Lock()
	select {
	case <-taken: // also when the log stops
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// signal leaves a mark in a channel with room for one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Next gives the sequence number of the next entry and the hash that its leaf must name.
func (l *Log) Next() (seq uint64, prev [32]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next, l.last
}

// Head gives the pinned head.
func (l *Log) Head() Head { return *l.head.Load() }

// Failed is closed when the log has stopped because of an error: the process must end.
func (l *Log) Failed() <-chan struct{} { return l.failed }

// Err says why the log stopped, or nil.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stopped
}

// stop latches the error state: nothing is appended or acknowledged any more.
func (l *Log) stop(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.failed:
		return
	default:
	}
	l.stopped = fmt.Errorf("%w: %w", ErrStopped, cause)
	close(l.failed)
	if b := l.pending; b != nil {
		l.pending = newBatch(l.next)
		b.err = l.stopped
		close(b.taken)
		close(b.done)
	}
}

// Close commits what is queued, ends the goroutines and returns the error that stopped the log before, if any. Store and
// anchor stay open: they are the caller's.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.stopped == nil {
		l.stopped = fmt.Errorf("%w: %w", ErrStopped, errClosed)
		close(l.quit)
	}
	l.mu.Unlock()
	<-l.ended
	l.tiles.close()
	if err := l.Err(); !errors.Is(err, errClosed) {
		return err
	}
	return nil
}

// Check is [Check] up to the pinned head, while the log goes on. If it finds damage the log stops.
func (l *Log) Check(ctx context.Context, from tlog.Frontier, progress func(done, total uint64)) error {
	err := Check(ctx, l.cfg.Store, l.cfg.Entries, from, l.Head().Checkpoint, progress)
	var corrupt *CorruptError
	var behind *BehindError
	if errors.As(err, &corrupt) || errors.As(err, &behind) {
		l.stop(err)
	}
	return err
}
