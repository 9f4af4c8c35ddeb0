// SPDX-License-Identifier: Apache-2.0

package entropy

import (
	"errors"
	"fmt"
	"sync"
)

// ErrLatched says that the error state is set: nothing is generated or signed until the core is started again.
var ErrLatched = errors.New("the core has latched its error state: nothing is generated or signed until the cause is repaired and it is started again")

// Latch is an error state that is set once and never cleared. Health tests and self-tests set it; whatever generates or signs reads it first.
// Its methods are safe for concurrent use.
type Latch struct {
	mu    sync.Mutex // guards cause
	cause error
	set   chan struct{} // closed when cause is set
}

// NewLatch makes a latch that is not set.
func NewLatch() *Latch { return &Latch{set: make(chan struct{})} }

// Set sets the state. The first cause stays; nil sets nothing.
func (l *Latch) Set(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if cause == nil || l.cause != nil {
		return
	}
	l.cause = cause
	close(l.set)
}

// Err is nil, or [ErrLatched] with the cause.
func (l *Latch) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cause == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrLatched, l.cause)
}

// Failed closes when the state is set.
func (l *Latch) Failed() <-chan struct{} { return l.set }

// Guard runs a check, and sets the state when it fails.
func (l *Latch) Guard(check func() error) error {
	if err := l.Err(); err != nil {
		return err
	}
	if err := check(); err != nil {
		l.Set(err)
		return l.Err()
	}
	return nil
}
