// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
)

// memoryFolder is a file system where a flush costs nothing: the log "off".
const memoryFolder = "/dev/shm"

// logAccounts are the wallets of the domains whose logs are compared.
const logAccounts = 384

// logRounds measures what durability costs, and how long a core takes to start on a log of some size.
func logRounds(ctx context.Context, c config, r *report) (err error) {
	names := []string{durable, inMemory}
	var domains []*domain
	for _, place := range []string{"", memoryFolder} {
		dir, failed := os.MkdirTemp(place, "strongroom-bench-")
		if failed != nil {
			return fmt.Errorf("a folder to compare logs in: %w", failed)
		}
		d, remove, failed := madeDomainIn(ctx, c, dir, logAccounts)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, remove()) }()
		domains = append(domains, d)
	}
	accs := []*accounts{newAccounts(logAccounts, 0), newAccounts(logAccounts, 0)}
	for round := range c.Rounds {
		for i, d := range domains {
			before, err := d.status(ctx)
			if err != nil {
				return err
			}
			var took sample
			err = r.take(round, names[i], func() (_ sample, err error) {
				took, err = load{callers: d.governed(32, accs[i]), core: d.cmd.Process.Pid}.measure(ctx, c.Length)
				return took, err
			})
			if err != nil {
				return err
			}
			after, err := d.status(ctx)
			if err != nil {
				return err
			}
			if i == 0 {
				secs := float64(took.Ops) / took.Rate
				r.Log["entries a second"] = append(r.Log["entries a second"], float64(after.Log.Appends-before.Log.Appends)/secs)
				r.Log["flushes a second (log and pin)"] = append(r.Log["flushes a second (log and pin)"],
					float64(after.Log.Batches-before.Log.Batches+after.Log.Pins-before.Log.Pins)/secs)
			}
		}
	}
	return startTimes(ctx, c, r, domains[0], accs[0])
}

// startTimes grows a log to each size and times starts on it: after a clean stop, and after the core was killed, when more of the log follows
// the last snapshot.
func startTimes(ctx context.Context, c config, r *report, d *domain, acc *accounts) error {
	for _, n := range c.Entries {
		if err := d.grow(ctx, uint64(n), acc); err != nil {
			return err
		}
		for _, how := range []string{"a kill", "a clean stop"} {
			end := d.stop
			if how == "a kill" {
				end = d.kill
			}
			if err := end(); err != nil {
				return err
			}
			t := time.Now()
			if err := d.start(ctx); err != nil {
				return err
			}
			r.Starts[startRow(n, how)] = time.Since(t).Seconds()
		}
		if err := d.openSession(ctx); err != nil {
			return err
		}
	}
	return nil
}

// grow makes governed transfers until the log has so many entries; a transfer makes three.
func (d *domain) grow(ctx context.Context, entries uint64, acc *accounts) error {
	for {
		s, err := d.status(ctx)
		if err != nil || s.Size >= entries {
			return err
		}
		say("growing the log: %d of %d entries", s.Size, entries)
		var left atomic.Int64
		left.Store(min(int64(entries-s.Size)/3+1, 50_000))
		list := d.governed(256, acc)
		errs := make([]error, len(list))
		var wg sync.WaitGroup
		for i, do := range list {
			wg.Go(func() {
				for n := 0; errs[i] == nil && left.Add(-1) >= 0; n++ {
					errs[i] = do(ctx, n)
				}
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			return err
		}
	}
}

func (d *domain) status(ctx context.Context) (message.Status, error) {
	return gate.Call[message.Empty, message.Status](ctx, d.door, message.MethodStatus, message.Empty{})
}
