// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"strongroom/internal/core/algorithm"
	"strongroom/internal/core/entropy"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/selftest"
	"strongroom/internal/secret"
)

// assurance is what the core knows of its own health: its self-tests, its randomness, and the error state that both set.
type assurance struct {
	latch   *entropy.Latch
	tests   *selftest.Suite
	entropy *entropy.Mixer // nil until the root is open
}

// newAssurance runs the self-tests, before a passphrase is asked for or a key unsealed.
func newAssurance(ctx context.Context, a *secret.Arena, fail string) (*assurance, error) {
	table, err := algorithm.New()
	if err != nil {
		return nil, err
	}
	s := &assurance{latch: entropy.NewLatch(), tests: selftest.New(table, a)}
	if err := s.tests.Run(ctx, selftest.Options{Fail: fail}); err != nil {
		return nil, fmt.Errorf("the core does not start: %w", err)
	}
	return s, nil
}

// open tests the sources of randomness, the root's generator among them where it has one. It gives what the operator should know.
func (s *assurance) open(ctx context.Context, a *secret.Arena, root hsm.Root, log *slog.Logger) (notes []string, err error) {
	generator, _ := root.(hsm.Randomness)
	if s.entropy, err = entropy.New(ctx, entropy.Config{Arena: a, Latch: s.latch, Use: entropy.Machine(generator)}); err != nil {
		return nil, fmt.Errorf("the core does not start: %w", err)
	}
	for _, u := range s.entropy.Status() {
		log.InfoContext(ctx, "source of randomness", slog.String("name", u.Name), slog.Bool("credited", u.Credited), slog.Bool("used", u.Err == nil), slog.Any("error", u.Err))
		if u.Err != nil && !errors.Is(u.Err, entropy.ErrAbsent) {
			notes = append(notes, "a source of randomness is not used: "+u.Err.Error())
		}
	}
	return notes, nil
}

// watch runs the self-tests again and again, and ends the context that it returns when they or a source of randomness fail. stop ends the
// watching and waits for it.
func (s *assurance) watch(ctx context.Context, every time.Duration) (watched context.Context, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var tick <-chan time.Time
		if every > 0 {
			t := time.NewTicker(every)
			defer t.Stop()
			tick = t.C
		}
		for {
			select {
			case <-watched.Done():
				return
			case <-s.latch.Failed():
				cancel(s.latch.Err())
				return
			case <-tick:
				if err := s.tests.Check(watched); err != nil && watched.Err() == nil {
					s.latch.Set(err)
				}
			}
		}
	}()
	return watched, func() {
		cancel(nil)
		<-done
	}
}

// selfTestMemory is room for the self-tests.
const selfTestMemory = 1 << 20

// SelfTest runs the self-tests without a domain, or only lists their names, one a line. fail names one that is made to fail.
func SelfTest(ctx context.Context, list bool, fail string, out io.Writer) error {
	if err := secret.HardenProcess(); err != nil {
		return fmt.Errorf("harden the process: %w", err)
	}
	a, err := secret.NewArena(secret.Config{Size: selfTestMemory})
	if err != nil {
		return err
	}
	err = runSelfTests(ctx, a, list, fail, out)
	return errors.Join(err, a.Close())
}

func runSelfTests(ctx context.Context, a *secret.Arena, list bool, fail string, out io.Writer) error {
	table, err := algorithm.New()
	if err != nil {
		return err
	}
	tests := selftest.New(table, a)
	if !list {
		if err := tests.Run(ctx, selftest.Options{Fail: fail}); err != nil {
			return err
		}
	}
	for _, name := range tests.Names() {
		if !list {
			name += " passed"
		}
		if _, err := fmt.Fprintln(out, name); err != nil {
			return err
		}
	}
	return nil
}
