// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"math"
	"sync"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
)

// callNumbers remembers which numbers the calls of a session had, so that none is done twice: who has seen a call can't have it done again.
type callNumbers struct {
	mu   sync.Mutex // guards the rest
	top  uint64     // greatest so far
	seen [message.AppWindow / 64]uint64
}

// take says whether a number is new, and takes it. One that is too far behind the greatest counts as taken.
func (c *callNumbers) take(n uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n == 0 || n > math.MaxInt64 || n+message.AppWindow <= c.top {
		return false
	}
	for ; c.top < n; c.top++ {
		if n-c.top > message.AppWindow {
			clear(c.seen[:])
			c.top = n - 1
		}
		next := (c.top + 1) % message.AppWindow
		c.seen[next/64] &^= 1 << (next % 64)
	}
	bit := n % message.AppWindow
	if c.seen[bit/64]&(1<<(bit%64)) != 0 {
		return false
	}
	c.seen[bit/64] |= 1 << (bit % 64)
	return true
}

// callRates bounds the calls of each grant: so many a second, and so many at once. It lives in memory and counts by the time since boot; after a
// start every grant has its burst.
type callRates struct {
	mu   sync.Mutex       // guards next
	next map[uint64]int64 // by the grant's entry: when a call would be due if they came evenly, nanoseconds since boot
}

// take says whether a call of a grant may be made now, and counts it (the generic cell rate algorithm, ITU-T I.371).
func (r *callRates) take(g *authority.Grant, now int64) bool {
	every := (1_000_000_000 + int64(g.Body.Rate) - 1) / int64(g.Body.Rate)
	r.mu.Lock()
	defer r.mu.Unlock()
	due := max(r.next[g.Seq], now)
	if due-now > every*(int64(g.Body.Burst)-1) {
		return false
	}
	if r.next == nil {
		r.next = map[uint64]int64{}
	}
	r.next[g.Seq] = due + every
	return true
}

// forget drops what is known of grants whose calls are no more due than if there had been none.
func (r *callRates) forget(now int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for seq, due := range r.next {
		if due <= now {
			delete(r.next, seq)
		}
	}
}
