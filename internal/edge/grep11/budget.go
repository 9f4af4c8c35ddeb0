// SPDX-License-Identifier: Apache-2.0

package grep11

import "sync"

// budget bounds how much of something callers have at a time: all together, and each. Safe for concurrent use.
type budget struct {
	most, each int

	mu   sync.Mutex // guards all below
	used int
	by   map[string]int // who has none is not in it
}

func newBudget(most, each int) *budget {
	return &budget{most: most, each: each, by: map[string]int{}}
}

// take gives a caller n more, or nothing.
func (b *budget) take(who string, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.most || b.by[who]+n > b.each {
		return false
	}
	if n > 0 {
		b.used += n
		b.by[who] += n
	}
	return true
}

// give takes n back.
func (b *budget) give(who string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	if b.by[who] -= n; b.by[who] == 0 {
		delete(b.by, who)
	}
}

// now says how much is out.
func (b *budget) now() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
