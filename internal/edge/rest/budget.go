// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"sync"

	"strongroom/internal/pure/custody"
)

// budget bounds what callers may hold of something at a time: all of them together, and each. Safe for concurrent use.
type budget struct {
	most, each int64

	mu   sync.Mutex // guards all below
	used int64
	by   map[custody.PersonID]int64 // who holds nothing is not in it
}

func newBudget(most, each int64) *budget {
	return &budget{most: most, each: each, by: map[custody.PersonID]int64{}}
}

// take gives n more to a caller, or nothing at all.
func (b *budget) take(who custody.PersonID, n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.most || b.by[who]+n > b.each {
		return false
	}
	b.used += n
	b.by[who] += n
	return true
}

// give takes n back.
func (b *budget) give(who custody.PersonID, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.by[who] -= n; b.by[who] == 0 {
		delete(b.by, who)
	}
}
