// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"context"
	"time"
)

// Budget is the budget, for tests.
type Budget struct{ b *budget }

// NewBudget makes one.
func NewBudget(most, each int) Budget { return Budget{newBudget(most, each)} }

// Take takes room.
func (b Budget) Take(who string) bool { return b.b.take(who, 1) }

// Give gives it back.
func (b Budget) Give(who string) { b.b.give(who, 1) }

// Patience sets how long the gateway waits for the first bytes of a message, and for the others.
func (c *Config) Patience(first, rest time.Duration) { c.firstTime, c.readTime = first, rest }

// Waiting counts the calls whose messages have not come, and of these the large ones that are read.
func (s *Server) Waiting() (calls, reads int) { return s.waits.now(), len(s.reads.all) }

// Readers are the large messages that are read, for tests.
type Readers struct{ r *readers }

// NewReaders makes them.
func NewReaders() Readers { return Readers{newReaders()} }

// Take takes a turn if there is one at once.
func (r Readers) Take(connection, address string) (give func(), ok bool) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 64 { // of two things that are ready, either is chosen
		if give, ok = r.r.take(ctx, connection, address); ok {
			return give, true
		}
	}
	return nil, false
}

// Known counts the connections and addresses that are remembered.
func (r Readers) Known() int { r.r.mu.Lock(); defer r.r.mu.Unlock(); return len(r.r.by) }

// How many large messages are read at a time.
const (
	ReadAtOnce     = readAtOnce
	ReadOfAddress  = readOfAddress
	ReadConnection = readConnection
)
