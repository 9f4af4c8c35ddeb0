// SPDX-License-Identifier: Apache-2.0

package keycache

import (
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/secret"
)

// shard is a part of the cache with a lock of its own.
type shard[K comparable] struct {
	mu      sync.Mutex // guards all below and the fields of its items; never held while a key is loaded or wiped
	items   map[K]*item[K]
	flights map[K]*flight // loads under way
	newest  *item[K]
	oldest  *item[K]
}

// item is a key that the cache keeps. Items are linked from the newest use to the oldest.
type item[K comparable] struct {
	key          K
	held         *held
	used         time.Time
	uses         int
	newer, older *item[K]
}

// flight is a load under way. done is closed when it ended; err is set before.
type flight struct {
	done chan struct{}
	err  error
}

// held is a key with the number of those that hold it: the cache is one, each handle is one. The last to let go wipes it.
type held struct {
	value   secret.Bytes
	known   any // what is known of it besides; nobody changes it
	holders atomic.Int64
}

// handle adds a holder. The caller holds the key already, or nobody else knows of it.
func (h *held) handle() *Handle {
	h.holders.Add(1)
	return &Handle{held: h}
}

func (h *held) release() {
	if h.holders.Add(-1) == 0 {
		h.value.Wipe()
	}
}

func release(gone []*held) {
	for _, h := range gone {
		h.release()
	}
}

// Handle holds a key in use. Its methods are safe for concurrent use.
type Handle struct {
	held     *held
	released atomic.Bool
}

// Use calls f with the key, as [secret.Bytes.Use] does. After Release it returns [secret.ErrWiped].
func (h *Handle) Use(f func([]byte) error) error {
	if h.released.Load() {
		return secret.ErrWiped
	}
	return h.held.value.Use(f)
}

// Key gives the key itself, for code that takes a [secret.Bytes]. It is good until Release, and is never wiped by who got it from here.
func (h *Handle) Key() secret.Bytes { return h.held.value }

// Known gives what the load said of the key, see [Cache.GetKnown].
func (h *Handle) Known() any { return h.held.known }

// Release lets the key go. Releasing again does nothing.
func (h *Handle) Release() {
	if !h.released.Swap(true) {
		h.held.release()
	}
}

// add keeps a key as the newest. What it returns makes room for it, which may be the key itself. The caller holds s.mu.
func (c *Cache[K]) add(s *shard[K], now time.Time, key K, h *held) (gone []*held) {
	h.holders.Add(1)
	it := &item[K]{key: key, held: h, used: now, uses: 1}
	s.items[key] = it
	s.link(it)
	if c.size.Add(1) > int64(c.cfg.Entries) {
		gone = append(gone, c.remove(s, s.oldest))
	}
	return gone
}

// remove takes an item out of the cache. The caller holds s.mu and releases what it returns after unlocking.
func (c *Cache[K]) remove(s *shard[K], it *item[K]) *held {
	delete(s.items, it.key)
	s.unlink(it)
	c.size.Add(-1)
	c.evicted.Add(1)
	return it.held
}

// expire removes up to limit idle items. The caller holds s.mu. The order of use is the order of idleness.
func (c *Cache[K]) expire(s *shard[K], now time.Time, limit int) (gone []*held) {
	for range limit {
		if s.oldest == nil || !c.idle(s.oldest, now) {
			break
		}
		gone = append(gone, c.remove(s, s.oldest))
	}
	return gone
}

func (c *Cache[K]) idle(it *item[K], now time.Time) bool { return now.Sub(it.used) >= c.cfg.Idle }

func (s *shard[K]) front(it *item[K]) {
	if s.newest != it {
		s.unlink(it)
		s.link(it)
	}
}

func (s *shard[K]) link(it *item[K]) {
	it.newer, it.older = nil, s.newest
	if s.newest != nil {
		s.newest.newer = it
	} else {
		s.oldest = it
	}
	s.newest = it
}

func (s *shard[K]) unlink(it *item[K]) {
	if it.newer != nil {
		it.newer.older = it.older
	} else {
		s.newest = it.older
	}
	if it.older != nil {
		it.older.newer = it.newer
	} else {
		s.oldest = it.newer
	}
}
