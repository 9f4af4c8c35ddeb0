// SPDX-License-Identifier: Apache-2.0

// Package selftest runs the known-answer tests of everything that the core computes with keys and hashes: each row of the table of
// algorithms, and the primitives that have no row. The core runs it before it opens a domain and refuses to start when one fails; while it
// runs, a failure latches the error state (docs/spec/algorithms.md).
//
// Every test can be made to fail by name, which damages a result before it is compared: so it can be shown, on the machine in question, that
// a failure stops the core. That does no harm: a core that fails does nothing.
//
// Source: FIPS 140-3 sections 7.10.2 and 7.10.3.
package selftest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/core/algorithm"
	"strongroom/internal/secret"
)

var (
	// ErrFailed says that a self-test failed. The core must not run, or stop.
	ErrFailed = errors.New("self-test failed")
	// ErrName says that no self-test has that name.
	ErrName = errors.New("no self-test has this name")
)

// Test is a self-test. Run changes its results with damage before it compares them, if damage is not nil, so that it fails.
type Test struct {
	Name string
	Run  func(ctx context.Context, a *secret.Arena, damage func([]byte)) error
}

// Suite is all self-tests. Its methods are safe for concurrent use.
type Suite struct {
	arena *secret.Arena
	tests []Test
}

// New makes the suite: primitives, then the rows of the table, then more. Arena a needs room for some KiB.
func New(table *algorithm.Table, a *secret.Arena, more ...Test) *Suite {
	tests := primitives()
	for _, m := range table.Mechanisms() {
		tests = append(tests, Test{string(m), func(_ context.Context, a *secret.Arena, damage func([]byte)) error { return table.Check(a, m, damage) }})
	}
	return &Suite{arena: a, tests: append(tests, more...)}
}

// Names lists the self-tests in their order.
func (s *Suite) Names() []string {
	var list []string
	for _, t := range s.tests {
		list = append(list, t.Name)
	}
	return list
}

// Options say how to run a suite.
type Options struct {
	Fail string // name of the test that is made to fail; empty: none
}

// Run runs all tests and returns the first failure, or [ErrName] before any is run. Those that pass take some milliseconds together.
func (s *Suite) Run(ctx context.Context, o Options) error {
	if o.Fail != "" && !slices.Contains(s.Names(), o.Fail) {
		return fmt.Errorf("%w: %.80q; the names are %s", ErrName, o.Fail, strings.Join(s.Names(), ", "))
	}
	for _, t := range s.tests {
		if err := ctx.Err(); err != nil {
			return err
		}
		var damage func([]byte)
		if t.Name == o.Fail {
			damage = flip
		}
		if err := t.Run(ctx, s.arena, damage); err != nil {
			cause := ""
			if damage != nil {
				cause = " (it was asked to, with --fail-self-test)"
			}
			return fmt.Errorf("%w: %s%s: %w", ErrFailed, t.Name, cause, err)
		}
		if damage != nil {
			return fmt.Errorf("%w: %s was made to fail and passed: it tests nothing", ErrFailed, t.Name)
		}
	}
	return nil
}

// Check runs all tests, as the domain does while it runs: an error is for its latch, unless ctx has ended.
func (s *Suite) Check(ctx context.Context) error { return s.Run(ctx, Options{}) }

// flip changes a result.
func flip(b []byte) {
	if len(b) > 0 {
		b[0] ^= 1
	}
}
