// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"sync"

	"strongroom/internal/gate/message"
)

// recentBytes is how much of the last entries is kept in clear, in bytes.
const recentBytes = 8 << 20

// recent keeps the last entries as they were written, for readers of the feed, who follow closely: reading them back from the store and
// opening their bodies costs as much as a tenth of a governed request. What is proved, signed again or re-checked is read from the store.
type recent struct {
	mu      sync.Mutex // guards the rest
	first   uint64     // number of entries[0]; what follows is in order
	entries []message.Entry
	bytes   int
}

func sizeOf(e message.Entry) int {
	n := len(e.Leaf)
	for _, b := range e.Bodies {
		n += len(b.Salt) + len(b.Body)
	}
	return n
}

// add keeps an entry. It must be the one after the last that was added.
func (r *recent) add(seq uint64, e message.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.entries) == 0 {
		r.first = seq
	}
	r.entries = append(r.entries, e)
	for r.bytes += sizeOf(e); r.bytes > recentBytes; r.first++ {
		r.bytes -= sizeOf(r.entries[0])
		r.entries[0] = message.Entry{} // its memory is free now, not when the list is next copied
		r.entries = r.entries[1:]
	}
}

// from gives entries from a number on, at most n, or none if the first of them is not kept. They are shared and must not be changed.
func (r *recent) from(seq uint64, n int) []message.Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	if seq < r.first || seq-r.first >= uint64(len(r.entries)) {
		return nil
	}
	list := r.entries[seq-r.first:]
	return append([]message.Entry(nil), list[:min(n, len(list))]...)
}
