// SPDX-License-Identifier: Apache-2.0

// Package automine makes a test chain produce blocks by itself, the same way
// for every kind of node: a block at each interval while transactions wait,
// [Settle] further blocks after that so that they reach their confirmations,
// and then an empty block now and then. It never sleeps while holding a lock
// and stops for good at Close.
package automine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Settle is how many blocks follow the last block that carried transactions
// before a chain falls idle: enough for twelve confirmations.
const Settle = 12

// Limits of a [Plan]: a shorter interval would keep a small machine busy with
// empty blocks, a longer one is a typing error.
const (
	MinInterval = 10 * time.Millisecond
	MaxInterval = time.Hour
)

// Chain is what a node offers to its automatic miner. Both methods are called
// from one goroutine and must be safe beside the node's other methods.
type Chain interface {
	// Pending returns how many transactions wait for a block.
	Pending(ctx context.Context) (int, error)
	// Mine adds n blocks that hold what waits.
	Mine(ctx context.Context, n int) error
}

// Plan says when blocks are made.
type Plan struct {
	On       bool          // false: blocks are made on demand only
	Interval time.Duration // between blocks while something waits or settles
	Idle     time.Duration // between empty blocks otherwise; 0 means none
}

// Check refuses a plan outside the limits. A plan that is off needs no times.
func (p Plan) Check() error {
	if !p.On {
		return nil
	}
	if p.Interval < MinInterval || p.Interval > MaxInterval {
		return fmt.Errorf("automine interval %s: choose between %s and %s", p.Interval, MinInterval, MaxInterval)
	}
	if p.Idle != 0 && (p.Idle < p.Interval || p.Idle > MaxInterval) {
		return fmt.Errorf("automine idle interval %s: choose 0 or between the interval %s and %s", p.Idle, p.Interval, MaxInterval)
	}
	return nil
}

// Status is a miner's plan and what became of its last block.
type Status struct {
	Plan
	LastError string // why the last attempt made no block; empty when it did
}

// Miner makes one chain's blocks. Its methods are safe for concurrent use.
type Miner struct {
	chain Chain
	stop  context.CancelFunc
	done  chan struct{} // closed when the loop has ended
	wake  chan struct{} // capacity 1: the plan changed

	mu     sync.Mutex // guards the fields below
	plan   Plan
	settle int // blocks still to make although nothing waits
	err    error
}

// Start begins mining by plan. The caller must Close the miner before the chain.
func Start(chain Chain, plan Plan) (*Miner, error) {
	if chain == nil {
		return nil, errors.New("automine: give the chain to mine")
	}
	if err := plan.Check(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	m := &Miner{chain: chain, stop: stop, done: make(chan struct{}), wake: make(chan struct{}, 1), plan: plan}
	go m.run(ctx)
	return m, nil
}

// Set replaces the plan at once.
func (m *Miner) Set(plan Plan) error {
	if err := plan.Check(); err != nil {
		return err
	}
	m.mu.Lock()
	m.plan, m.err = plan, nil
	m.mu.Unlock()
	select {
	case m.wake <- struct{}{}:
	default: // a wake-up is already waiting, and it will read the new plan
	}
	return nil
}

// Settle asks for [Settle] blocks as if a block with transactions had just
// been mined: for callers that mined one themselves. Without effect while the plan is off.
func (m *Miner) Settle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settle = Settle
}

// Status returns the plan in force and the last failure.
func (m *Miner) Status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Status{Plan: m.plan}
	if m.err != nil {
		s.LastError = m.err.Error()
	}
	return s
}

// Close stops mining and returns when no block is being made any more.
func (m *Miner) Close() {
	m.stop()
	<-m.done
}

// run is the miner's goroutine; Close waits for it.
func (m *Miner) run(ctx context.Context) {
	defer close(m.done)
	var quiet time.Duration // since the last block
	for {
		plan := m.Status().Plan
		var tick <-chan time.Time
		if plan.On {
			tick = time.After(plan.Interval)
		}
		select {
		case <-ctx.Done():
			return
		case <-m.wake:
			quiet = 0
		case <-tick:
			quiet += plan.Interval
			if m.step(ctx, plan, quiet) {
				quiet = 0
			}
		}
	}
}

// step makes one block if the plan calls for it and says whether it did.
func (m *Miner) step(ctx context.Context, plan Plan, quiet time.Duration) bool {
	waiting, err := m.chain.Pending(ctx)
	if err == nil && (waiting > 0 || m.settling() || plan.Idle > 0 && quiet >= plan.Idle) {
		if err = m.chain.Mine(ctx, 1); err == nil {
			m.mined(waiting > 0)
			return true
		}
	}
	if err != nil && ctx.Err() == nil {
		m.mu.Lock()
		m.err = err
		m.mu.Unlock()
	}
	return false
}

func (m *Miner) settling() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.settle > 0
}

// mined counts a block: one with transactions starts the settling anew.
func (m *Miner) mined(carried bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.err = nil
	switch {
	case carried:
		m.settle = Settle
	case m.settle > 0:
		m.settle--
	}
}
