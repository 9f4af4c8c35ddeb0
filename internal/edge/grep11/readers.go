// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"context"
	"sync"
)

// How many large messages are read at a time. Each takes up to [MaxMessage] bytes while it comes, however slowly.
const (
	readAtOnce     = 128
	readOfAddress  = 16
	readConnection = 8
)

// readers bounds how many large messages are read: together, of an address and of a connection, so that nobody who sends slowly is in the way
// of others. Safe for concurrent use.
type readers struct {
	all chan struct{} // holds a token for each

	mu sync.Mutex // guards by
	by map[string]*turns
}

// turns are those of one connection or address.
type turns struct {
	taken chan struct{} // holds a token for each
	users int           // that have one or wait for one; guarded by readers.mu
}

func newReaders() *readers {
	return &readers{all: make(chan struct{}, readAtOnce), by: map[string]*turns{}}
}

// take waits until a message may be read, and gives what ends that; false when ctx ends before.
func (r *readers) take(ctx context.Context, connection, address string) (give func(), ok bool) {
	leave := func(name string, most int) func() {
		t := r.join(name, most)
		select {
		case t.taken <- struct{}{}:
			return func() { <-t.taken; r.part(name, t) }
		case <-ctx.Done():
			r.part(name, t)
			return nil
		}
	}
	first := leave("connection "+connection, readConnection)
	if first == nil {
		return nil, false
	}
	second := leave("address "+address, readOfAddress)
	if second == nil {
		first()
		return nil, false
	}
	select {
	case r.all <- struct{}{}:
		return func() { <-r.all; second(); first() }, true
	case <-ctx.Done():
		second()
		first()
		return nil, false
	}
}

func (r *readers) join(name string, most int) *turns {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.by[name]
	if !ok {
		t = &turns{taken: make(chan struct{}, most)}
		r.by[name] = t
	}
	t.users++
	return t
}

func (r *readers) part(name string, t *turns) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(r.by, name)
	}
}
