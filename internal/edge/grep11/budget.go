// SPDX-License-Identifier: Apache-2.0

package grep11

import "sync"

// budget bounds how many operations run at a time: all together, and those of one caller. Safe for concurrent use.
type budget struct {
	most, each int

	mu   sync.Mutex // guards all below
	used int
	by   map[string]int // who has none is not in it
}

func newBudget(most, each int) *budget {
	return &budget{most: most, each: each, by: map[string]int{}}
}

// take gives a caller room for one more, or not.
func (b *budget) take(who string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used >= b.most || b.by[who] >= b.each {
		return false
	}
	b.used++
	b.by[who]++
	return true
}

// give takes it back.
func (b *budget) give(who string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used--
	if b.by[who]--; b.by[who] == 0 {
		delete(b.by, who)
	}
}

// now says how many run.
func (b *budget) now() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
