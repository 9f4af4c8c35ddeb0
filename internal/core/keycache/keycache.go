// SPDX-License-Identifier: Apache-2.0

// Package keycache is the protected-key cache: keys that were unsealed stay ready in arena memory, bounded by count, by idle time and by
// uses, and are wiped when they leave it. A key leaves when it is the least recently used and room is needed, when it was idle or used too
// long, and when [Cache.Drop] or [Cache.Clear] say so (logout, a change of rules or persons, another epoch, a tripped clock, zeroize).
//
// All operations but Drop, Clear and Sweep take constant time, whatever the cache holds. Large caches are split into shards, so that cores
// don't wait for each other; the bound on the count is exact all the same, and "least recently used" is then decided within a shard.
//
// It is no policy: whether a key may be used at all is decided before. It never asks for the time; the caller says what time it is.
package keycache

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync/atomic"
	"time"

	"strongroom/internal/secret"
)

// ErrLoad says that a load of a key ended without an answer (it panicked). Another Get loads again.
var ErrLoad = errors.New("keycache: the load of the key was cut short")

// Config bounds a cache. The zero Config is refused.
type Config struct {
	Entries int           // most keys kept, at least 1; keys in use count beyond it until they are released
	Idle    time.Duration // a key not used for this long is wiped, more than 0
	Uses    int           // a key is handed out this often and then loaded anew, at least 1
	Mask    bool          // keep keys masked at rest ([secret.Bytes.Mask]): twice the arena room, and a copy for each use
}

// Stats counts what a cache did.
type Stats struct {
	Entries int    // keys kept now
	Hits    uint64 // handed out from the cache
	Loads   uint64 // loaded, also when that failed
	Evicted uint64 // left the cache, for any reason
}

const (
	shards     = 16
	shardsFrom = 1024 // smaller caches have one shard: a shard left without keys would keep its keys out
	expireStep = 2    // idle keys wiped in passing by each Get
)

// Cache keeps unsealed keys by K. Its methods are safe for concurrent use.
type Cache[K comparable] struct {
	cfg    Config
	seed   maphash.Seed
	shards []*shard[K]

	size, hits, loads, evicted atomic.Int64
}

// New makes an empty cache.
func New[K comparable](cfg Config) (*Cache[K], error) {
	if cfg.Entries < 1 || cfg.Idle <= 0 || cfg.Uses < 1 {
		return nil, fmt.Errorf("keycache: entries %d, idle %v and uses %d must all be positive", cfg.Entries, cfg.Idle, cfg.Uses)
	}
	n := 1
	if cfg.Entries >= shardsFrom {
		n = shards
	}
	c := &Cache[K]{cfg: cfg, seed: maphash.MakeSeed()}
	for range n {
		c.shards = append(c.shards, &shard[K]{items: map[K]*item[K]{}, flights: map[K]*flight{}})
	}
	return c, nil
}

// Get hands out the key, from the cache or by load. Callers that want one key at the same time share one load, in the goroutine of the
// first; its error goes to all of them and is not kept. The cache owns what load returns. ctx ends waiting for another's load.
//
// The caller must release the handle. Until then the key isn't wiped, even when it leaves the cache meanwhile.
func (c *Cache[K]) Get(ctx context.Context, now time.Time, key K, load func() (secret.Bytes, error)) (*Handle, error) {
	return c.GetKnown(ctx, now, key, func() (secret.Bytes, any, error) {
		b, err := load()
		return b, nil, err
	})
}

// GetKnown is [Cache.Get] for keys of which something is known that is no secret, for instance what they may do: load gives it too, each handle
// has it ([Handle.Known]), and it leaves the cache with the key. Nobody may change it.
func (c *Cache[K]) GetKnown(ctx context.Context, now time.Time, key K, load func() (secret.Bytes, any, error)) (*Handle, error) {
	s := c.shard(key)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		h, f, mine, gone := c.look(s, now, key)
		release(gone)
		if h != nil {
			c.hits.Add(1)
			return h, nil
		}
		if mine {
			return c.load(s, f, now, key, load)
		}
		select {
		case <-f.done:
			if f.err != nil {
				return nil, f.err
			}
			// Loaded: look again, for the key may have been dropped or used up since.
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// look finds the key, or the load under way, or starts one, which is then mine. gone is what the caller must release, outside the lock.
func (c *Cache[K]) look(s *shard[K], now time.Time, key K) (h *Handle, f *flight, mine bool, gone []*held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone = c.expire(s, now, expireStep)
	if it, ok := s.items[key]; ok {
		if !c.idle(it, now) {
			it.uses++
			h = it.held.handle()
			if it.uses >= c.cfg.Uses {
				gone = append(gone, c.remove(s, it))
			} else {
				it.used = now
				s.front(it)
			}
			return h, nil, false, gone
		}
		gone = append(gone, c.remove(s, it))
	}
	if f, ok := s.flights[key]; ok {
		return nil, f, false, gone
	}
	f = &flight{done: make(chan struct{})}
	s.flights[key] = f
	return nil, f, true, gone
}

func (c *Cache[K]) load(s *shard[K], f *flight, now time.Time, key K, load func() (secret.Bytes, any, error)) (h *Handle, err error) {
	c.loads.Add(1)
	f.err = ErrLoad // what waiters get when load panics
	var gone []*held
	defer func() {
		s.mu.Lock()
		if s.flights[key] == f { // else Drop or Clear made us forget it: the key is not kept
			delete(s.flights, key)
			if h != nil && c.cfg.Uses > 1 {
				gone = c.add(s, now, key, h.held)
			}
		}
		s.mu.Unlock()
		close(f.done)
		release(gone)
	}()
	value, known, err := load()
	if err == nil && c.cfg.Mask {
		if err = value.Mask(); err != nil {
			value.Wipe()
			err = fmt.Errorf("keycache: mask: %w", err)
		}
	}
	f.err = err
	if err != nil {
		return nil, err
	}
	return (&held{value: value, known: known}).handle(), nil
}

// Remove is [Cache.Drop] of one key, in constant time.
func (c *Cache[K]) Remove(key K) {
	s := c.shard(key)
	s.mu.Lock()
	var gone []*held
	if it, ok := s.items[key]; ok {
		gone = append(gone, c.remove(s, it))
	}
	delete(s.flights, key)
	s.mu.Unlock()
	release(gone)
}

// Drop wipes the keys for which match is true, and keeps loads of them that are under way out of the cache. It takes time in proportion to
// what the cache holds. match must not use the cache. Keys in use are wiped when they are released.
func (c *Cache[K]) Drop(match func(K) bool) {
	for _, s := range c.shards {
		release(c.dropFrom(s, match))
	}
}

func (c *Cache[K]) dropFrom(s *shard[K], match func(K) bool) (gone []*held) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k, it := range s.items {
		if match(k) {
			gone = append(gone, c.remove(s, it))
		}
	}
	for k := range s.flights {
		if match(k) {
			delete(s.flights, k)
		}
	}
	return gone
}

// Clear is [Cache.Drop] of all keys.
func (c *Cache[K]) Clear() { c.Drop(func(K) bool { return true }) }

// Sweep wipes all keys that are idle too long. Call it from a timer: without it a cache that nobody uses keeps its keys.
func (c *Cache[K]) Sweep(now time.Time) {
	for _, s := range c.shards {
		s.mu.Lock()
		gone := c.expire(s, now, len(s.items))
		s.mu.Unlock()
		release(gone)
	}
}

// Stats returns the counts.
func (c *Cache[K]) Stats() Stats {
	return Stats{
		Entries: int(c.size.Load()),
		Hits:    uint64(c.hits.Load()),
		Loads:   uint64(c.loads.Load()),
		Evicted: uint64(c.evicted.Load()),
	}
}

func (c *Cache[K]) shard(key K) *shard[K] {
	if len(c.shards) == 1 {
		return c.shards[0]
	}
	return c.shards[maphash.Comparable(c.seed, key)%uint64(len(c.shards))]
}
