// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"time"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/problem"
)

// MaxWaiters is how many callers wait for an entry at a time; who comes then is told to ask later. Waits need no room of the door then
// that acts would need.
const MaxWaiters = 512

// awaitEntry waits until there is an entry with a sequence number, pinned, or the time in milliseconds is over, or ctx ends: then the
// caller is told that there is nothing yet. It refuses to wait for an entry that is not the next one, which may never be.
func (d *Domain) awaitEntry(ctx context.Context, seq, millis uint64) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(min(millis, message.MaxWait))*time.Millisecond)
	defer cancel()
	grown, err := d.wait(seq)
	if grown == nil || err != nil {
		return err
	}
	defer d.waited()
	select {
	case <-grown:
	case <-ctx.Done():
		return nil
	case <-d.failed:
		return problem.Wrap(problem.Stopped, d.Cause(), "the core has failed and decides nothing any more")
	}
	if err := d.waitFor(ctx, seq); err != nil && ctx.Err() == nil && problem.KindOf(err) != problem.NotFound { // not found: the domain is closing
		return err
	}
	return nil
}

// wait counts a caller who waits for the next entry and gives what is closed when it is there; nil if there is nothing to wait for.
func (d *Domain) wait(seq uint64) (<-chan struct{}, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.ending || d.state.Next > seq && d.log.Head().Size > seq:
		return nil, nil
	case d.state.Next < seq:
		return nil, problem.New(problem.Malformed, "entry %d can't be waited for: the next entry is %d", seq, d.state.Next)
	case d.waiters >= MaxWaiters:
		return nil, problem.New(problem.Busy, "%d callers wait for an entry already; ask again later, or without waiting", d.waiters)
	}
	d.waiters++
	if d.state.Next > seq { // it is not pinned yet
		there := make(chan struct{})
		close(there)
		return there, nil
	}
	if d.grown == nil {
		d.grown = make(chan struct{})
	}
	return d.grown, nil
}

// waited ends what wait began.
func (d *Domain) waited() {
	d.mu.Lock()
	d.waiters--
	d.mu.Unlock()
}

// EndWaits answers those who wait for an entry, now and from now on, with what there is. It is for a door that is about to close and
// waits for open calls.
func (d *Domain) EndWaits() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ending = true
	if d.grown != nil {
		close(d.grown)
		d.grown = nil
	}
}
