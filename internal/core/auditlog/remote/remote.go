// SPDX-License-Identifier: Apache-2.0

// Package remote is the log store for a machine that was outgrown: an [auditlog.Store] behind the Unix socket of the keyless process
// `strongroom logstore`, which keeps the records in PostgreSQL. That process is the only thing connected to; nothing here knows a network.
//
// It is not trusted for integrity, and its word alone is not durability: that is the pin's (docs/ARCHITECTURE.md). What a lost answer leaves
// open is [auditlog.ErrFatal]: the process ends, opens the log again and sees. After it nothing is read or written through this handle.
//
// Format: docs/spec/log-store-process.md.
package remote

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/gate/logstore"
)

// DefaultTimeout bounds a write. A store that does not answer for so long is as good as gone, and the process ends.
const DefaultTimeout = 60 * time.Second

// closeTimeout bounds telling the other side that the handle ends; it finds out by itself too.
const closeTimeout = 5 * time.Second

// Config says which store to open.
type Config struct {
	Socket  string        // path of the log store's socket
	Timeout time.Duration // for a write to be answered; 0: DefaultTimeout
}

// Store is an [auditlog.Store] behind a socket. It is safe for concurrent use.
type Store struct {
	client  *logstore.Client
	timeout time.Duration

	mu    sync.Mutex // guards fatal
	fatal error      // set once; nothing is done afterwards
}

var errClosed = errors.New("log store is closed")

// Open connects to the log store. ctx bounds connecting.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Socket == "" || cfg.Timeout < 0 {
		return nil, errors.New("open log store: name its socket, and a timeout that is not negative")
	}
	c, err := logstore.Dial(ctx, cfg.Socket)
	if err != nil {
		return nil, err
	}
	return &Store{client: c, timeout: cfg.Timeout}, nil
}

// ready says why a call is refused: ctx ended, or the handle did.
func (s *Store) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fatal
}

// latch ends the handle with a cause, unless it has one, and gives the one it has.
func (s *Store) latch(cause error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fatal == nil {
		s.fatal = cause
	}
	return s.fatal
}

// Head gives the number of records and the epoch; see [auditlog.Store].
func (s *Store) Head(ctx context.Context) (size, writer uint64, err error) {
	if err := s.ready(ctx); err != nil {
		return 0, 0, err
	}
	h, err := s.client.Head(ctx)
	return h.Size, h.Writer, err
}

// Read gives records; see [auditlog.Store].
func (s *Store) Read(ctx context.Context, from uint64, max int) ([]auditlog.Record, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	recs, err := s.client.Read(ctx, from, max)
	if damaged, ok := errors.AsType[*logstore.DamagedError](err); ok {
		return nil, &auditlog.CorruptError{Seq: from, Where: s.Where(from), Reason: damaged.Reason}
	}
	if err != nil {
		return nil, err
	}
	out := make([]auditlog.Record, len(recs))
	for i, r := range recs {
		out[i] = auditlog.Record{Leaf: r.Leaf, Bodies: r.Bodies}
	}
	return out, nil
}

// Append adds records in one transaction; see [auditlog.Store].
func (s *Store) Append(ctx context.Context, writer, first uint64, recs []auditlog.Record) error {
	out := make([]logstore.Record, len(recs))
	for i, r := range recs {
		if err := r.Check(); err != nil {
			return fmt.Errorf("append entry %d: %w", first+uint64(i), err)
		}
		out[i] = logstore.Record{Leaf: r.Leaf, Bodies: r.Bodies}
	}
	err := s.change(ctx, writer, func(ctx context.Context) (logstore.Result, error) {
		return s.client.Append(ctx, writer, first, out)
	})
	if err != nil {
		return fmt.Errorf("append %d entries at %d: %w", len(recs), first, err)
	}
	return nil
}

// Truncate drops records; see [auditlog.Store].
func (s *Store) Truncate(ctx context.Context, writer, size uint64) error {
	err := s.change(ctx, writer, func(ctx context.Context) (logstore.Result, error) {
		return s.client.Truncate(ctx, writer, size)
	})
	if err != nil {
		return fmt.Errorf("truncate the log to %d entries: %w", size, err)
	}
	return nil
}

// TakeWriter changes the epoch; see [auditlog.Store].
func (s *Store) TakeWriter(ctx context.Context, from, to uint64) error {
	if to <= from || to > maxEpoch {
		return fmt.Errorf("take over from epoch %d to %d: epochs only grow, to 2^62 at most", from, to)
	}
	err := s.change(ctx, to, func(ctx context.Context) (logstore.Result, error) {
		return s.client.TakeWriter(ctx, from, to)
	})
	if err != nil {
		return fmt.Errorf("take over from epoch %d to %d: %w", from, to, err)
	}
	return nil
}

// maxEpoch is the largest epoch, as in the store on files.
const maxEpoch = 1 << 62

// change makes a write. It is not cancelled once it was sent: nobody could tell then what became of it.
func (s *Store) change(ctx context.Context, writer uint64, act func(context.Context) (logstore.Result, error)) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	if writer == 0 {
		return fmt.Errorf("write with epoch 0: %w", auditlog.ErrLostWriter)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	r, err := act(ctx)
	switch {
	case errors.Is(err, logstore.ErrTooLarge):
		return fmt.Errorf("%w: %w", auditlog.ErrTooLarge, err)
	case err != nil:
		return s.latch(fmt.Errorf("%w: %w", auditlog.ErrFatal, err))
	case r.Outcome == logstore.LostWriter:
		return fmt.Errorf("%w: %s", auditlog.ErrLostWriter, r.Detail)
	case r.Outcome == logstore.HeadMoved:
		return fmt.Errorf("%w: %s", auditlog.ErrHeadMoved, r.Detail)
	}
	return nil
}

// Where names table and row of a record, as the other side calls them.
func (s *Store) Where(seq uint64) string { return fmt.Sprintf("%s, seq %d", s.client.Place(), seq) }

// Close gives the handle back.
func (s *Store) Close() error {
	s.mu.Lock()
	gone := s.fatal
	s.fatal = errClosed
	s.mu.Unlock()
	if errors.Is(gone, errClosed) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.client.Close(ctx)
	if gone != nil {
		return nil // the handle had ended before; who used it was told
	}
	return err
}
