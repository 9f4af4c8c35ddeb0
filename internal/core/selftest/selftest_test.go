// SPDX-License-Identifier: Apache-2.0

package selftest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/core/algorithm"
	"strongroom/internal/secret"
)

func newSuite(t testing.TB, more ...Test) *Suite {
	t.Helper()
	a, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err) // a self-test left a secret
		}
	})
	table, err := algorithm.New()
	if err != nil {
		t.Fatal(err)
	}
	return New(table, a, more...)
}

func TestAllPass(t *testing.T) {
	t.Parallel()
	s := newSuite(t)
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(s.Names()); n < 35 {
		t.Errorf("only %d self-tests", n)
	}
}

// TestEachCanFail makes each self-test fail by its name: it alone fails, and says so.
func TestEachCanFail(t *testing.T) {
	t.Parallel()
	s := newSuite(t)
	for _, name := range s.Names() {
		err := s.Run(t.Context(), Options{Fail: name})
		if !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "self-test failed: "+name+" (it was asked to, with --fail-self-test)") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("the damage stayed: %v", err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	s := newSuite(t)
	names := s.Names()
	if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("a name twice: %v", names)
	}
	ran := false
	s = newSuite(t, Test{"more", func(context.Context, *secret.Arena, func([]byte)) error { ran = true; return nil }})
	if err := s.Run(t.Context(), Options{Fail: "no such"}); !errors.Is(err, ErrName) || ran || !strings.Contains(err.Error(), "sha-256, ") {
		t.Errorf("got %v, ran %v", err, ran)
	}
	if err := s.Check(t.Context()); err != nil || !ran {
		t.Errorf("got %v, ran %v", err, ran)
	}
}

// TestFailures: the first failure ends the run; a test that can't be made to fail is a failure; who gives up gets their own error.
func TestFailures(t *testing.T) {
	t.Parallel()
	broken, later := errors.New("broken"), false
	s := newSuite(t, Test{"one", func(context.Context, *secret.Arena, func([]byte)) error { return broken }},
		Test{"two", func(context.Context, *secret.Arena, func([]byte)) error { later = true; return nil }})
	if err := s.Check(t.Context()); !errors.Is(err, ErrFailed) || !errors.Is(err, broken) || later || strings.Contains(err.Error(), "asked to") {
		t.Errorf("got %v, later %v", err, later)
	}
	s = newSuite(t, Test{"lazy", func(context.Context, *secret.Arena, func([]byte)) error { return nil }})
	if err := s.Run(t.Context(), Options{Fail: "lazy"}); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "tests nothing") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Check(ctx); !errors.Is(err, context.Canceled) || errors.Is(err, ErrFailed) {
		t.Errorf("got %v", err)
	}
}

// BenchmarkStart is what a start pays.
func BenchmarkStart(b *testing.B) {
	s := newSuite(b)
	for b.Loop() {
		if err := s.Check(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
