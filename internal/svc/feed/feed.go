// SPDX-License-Identifier: Apache-2.0

// Package feed follows the core's log and folds it into serve's cache. Every entry is checked against its leaf and against the
// entry before it, so that a cache is of one log; where the log is another than before, the cache is emptied and folded anew.
// Nobody believes the cache: losing it costs time, nothing else.
package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// Entry is an entry of the log whose place and body were checked against its leaf.
type Entry struct {
	Leaf entry.Leaf
	Hash [32]byte // RFC 6962 leaf hash
	Body []byte   // the first one, in clear
}

// Decode reads the body, as [authority.DecodeBody] gives it. A kind or version that is not known is refused.
func (e Entry) Decode() (any, error) {
	return authority.DecodeBody(e.Leaf.Kind, e.Leaf.KindVersion, e.Body)
}

// Cursor is how far a cache has folded: the next entry, and the hash of the one before it (zero at the beginning).
type Cursor struct {
	Next uint64
	Last [32]byte
}

// Cache folds entries. What Fold and Reset write is written whole or not at all and lasts when they return. One follower writes.
type Cache interface {
	Cursor(ctx context.Context) (Cursor, error)
	// Fold takes entries that follow the cursor, in order, and moves it.
	Fold(ctx context.Context, entries []Entry) error
	// Reset empties the cache and sets the cursor to the beginning.
	Reset(ctx context.Context) error
}

// Query says which requests a cache is asked for. Empty fields ask for nothing.
type Query struct {
	From      uint64 // least entry
	Limit     int    // at most so many, 1 to 200
	Open      bool   // those that no entry has ended or permitted: pending, ready, expired or void, which a cache can't tell apart
	State     message.State
	Operation request.Operation
	Wallet    custody.WalletID
}

// Found is a request in a cache.
type Found struct {
	ID  custody.RequestID
	Seq uint64
}

// Config is what a follower needs. All fields are required but OnFold.
type Config struct {
	Core   gate.Door
	Cache  Cache
	Log    *slog.Logger
	OnFold func() // called after entries were folded; it must not block
}

// Follower keeps a cache up to date.
type Follower struct{ cfg Config }

// New makes a follower.
func New(cfg Config) (*Follower, error) {
	if cfg.Core == nil || cfg.Cache == nil || cfg.Log == nil {
		return nil, errors.New("feed: core, cache and log are required")
	}
	if cfg.OnFold == nil {
		cfg.OnFold = func() {}
	}
	return &Follower{cfg: cfg}, nil
}

const (
	batch = 1000 // entries of one call, the most that the core gives
	retry = time.Second
	// pause lets a busy log gather entries: folding many at once costs less a piece.
	pause = 100 * time.Millisecond
)

// Run follows until ctx ends.
func (f *Follower) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		n, err := f.Step(ctx, true)
		wait := time.Duration(0)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			f.cfg.Log.WarnContext(ctx, "the log can't be followed", slog.Any("error", err))
			wait = retry
		case n < batch:
			wait = pause
		}
		if wait > 0 {
			t := time.NewTimer(wait)
			select {
			case <-ctx.Done():
			case <-t.C:
			}
			t.Stop()
		}
	}
	return nil
}

// errOther says that the log is not the one that the cache was folded from.
var errOther = errors.New("the log is another than the cache was made from")

// Step folds one batch of entries and says how many. With wait it waits for entries if there are none.
func (f *Follower) Step(ctx context.Context, wait bool) (int, error) {
	at, err := f.cfg.Cache.Cursor(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the cache's cursor: %w", err)
	}
	entries, err := f.read(ctx, at, wait)
	if errors.Is(err, errOther) {
		f.cfg.Log.WarnContext(ctx, "the cache is made anew", slog.Any("cause", err))
		return 0, f.cfg.Cache.Reset(ctx)
	}
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	if err := f.cfg.Cache.Fold(ctx, entries); err != nil {
		return 0, fmt.Errorf("fold entries from %d: %w", at.Next, err)
	}
	f.cfg.OnFold()
	return len(entries), nil
}

// read asks for entries and checks them.
func (f *Follower) read(ctx context.Context, at Cursor, wait bool) ([]Entry, error) {
	m, err := gate.Call[message.Feed, message.Entries](ctx, f.cfg.Core, message.MethodFeed, message.Feed{From: at.Next, Limit: batch})
	if err == nil && m.Pinned < at.Next {
		return nil, fmt.Errorf("%w: it has %d entries, the cache %d", errOther, m.Pinned, at.Next)
	}
	if err == nil && wait && len(m.Entries) == 0 {
		if err := f.same(ctx, at); err != nil {
			return nil, err
		}
		m, err = gate.Call[message.Feed, message.Entries](ctx, f.cfg.Core, message.MethodFeed, message.Feed{From: at.Next, Limit: batch, Wait: message.MaxWait})
	}
	if err != nil {
		return nil, err
	}
	out := make([]Entry, 0, len(m.Entries))
	for _, raw := range m.Entries {
		e, err := check(raw, at)
		if err != nil {
			return nil, err
		}
		at = Cursor{Next: at.Next + 1, Last: e.Hash}
		out = append(out, e)
	}
	return out, nil
}

// same looks whether the cache's last entry is still the log's, before a long wait.
func (f *Follower) same(ctx context.Context, at Cursor) error {
	if at.Next == 0 {
		return nil
	}
	m, err := gate.Call[message.Feed, message.Entries](ctx, f.cfg.Core, message.MethodFeed, message.Feed{From: at.Next - 1, Limit: 1})
	if err != nil {
		return err
	}
	if len(m.Entries) == 0 || entry.Hash(m.Entries[0].Leaf) != at.Last {
		return fmt.Errorf("%w: entry %d differs", errOther, at.Next-1)
	}
	return nil
}

// check reads an entry that must be the next one.
func check(raw message.Entry, at Cursor) (Entry, error) {
	l, err := entry.DecodeLeaf(raw.Leaf)
	if err != nil {
		return Entry{}, fmt.Errorf("entry %d: %w", at.Next, err)
	}
	if l.Seq != at.Next || l.Prev != at.Last {
		return Entry{}, fmt.Errorf("%w: entry %d does not follow", errOther, at.Next)
	}
	if len(raw.Bodies) != len(l.Bodies) || len(l.Bodies) == 0 {
		return Entry{}, fmt.Errorf("entry %d: %d bodies, its leaf names %d", l.Seq, len(raw.Bodies), len(l.Bodies))
	}
	b := raw.Bodies[0]
	if len(b.Salt) != entry.SaltSize {
		return Entry{}, fmt.Errorf("entry %d: the body's salt has %d bytes", l.Seq, len(b.Salt))
	}
	if err := entry.CheckBody(l.Bodies[0], [entry.SaltSize]byte(b.Salt), b.Body); err != nil {
		return Entry{}, fmt.Errorf("entry %d: %w", l.Seq, err)
	}
	return Entry{Leaf: l, Hash: entry.Hash(raw.Leaf), Body: b.Body}, nil
}
