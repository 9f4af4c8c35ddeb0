// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
)

// memoryFolder is a file system where a flush costs nothing: the log "off".
const memoryFolder = "/dev/shm"

// logRounds measures what durability costs, and how long a core takes to start on a log of some size.
func logRounds(ctx context.Context, c config, r *report) error {
	onDisk, remove, err := temporary()
	if err != nil {
		return err
	}
	defer remove()
	inMemory, err := os.MkdirTemp(memoryFolder, "strongroom-bench-")
	if err != nil {
		return fmt.Errorf("a folder in memory, to compare with: %w", err)
	}
	defer os.RemoveAll(inMemory)
	names := []string{"durable log, 32 callers", "log in memory, 32 callers"}
	var domains []*domain
	for _, dir := range []string{onDisk, inMemory} {
		d, err := newDomain(ctx, c.Core, dir)
		if err != nil {
			return err
		}
		defer d.stop()
		if err := d.openSession(ctx); err != nil {
			return err
		}
		if err := d.addWallets(ctx, 0, 256); err != nil {
			return err
		}
		domains = append(domains, d)
	}
	accs := []*accounts{newAccounts(256, 0), newAccounts(256, 0)}
	for round := range c.Rounds {
		for i, d := range domains {
			before, err := d.status(ctx)
			if err != nil {
				return err
			}
			var took sample
			err = r.take(round, names[i], func() (s sample, err error) {
				took, err = measure(ctx, c.Length, d.cmd.Process.Pid, 0, d.governed(32, accs[i]))
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

// startTimes grows a log to each size and times a start on it.
func startTimes(ctx context.Context, c config, r *report, d *domain, acc *accounts) error {
	for _, n := range c.Entries {
		for {
			s, err := d.status(ctx)
			if err != nil {
				return err
			}
			if s.Size >= uint64(n) {
				break
			}
			say("growing the log: %d of %d entries", s.Size, n)
			if _, err := measure(ctx, 20*time.Second, d.cmd.Process.Pid, 0, d.limited(uint64(n)-s.Size, acc)); err != nil {
				return err
			}
		}
		if err := d.stop(); err != nil {
			return err
		}
		t := time.Now()
		if err := d.start(ctx); err != nil {
			return err
		}
		r.Starts[fmt.Sprintf("a log of %d entries", n)] = time.Since(t).Seconds()
		if err := d.openSession(ctx); err != nil {
			return err
		}
	}
	return nil
}

// limited makes callers that stop being useful once enough entries are made: three a transfer.
func (d *domain) limited(entries uint64, acc *accounts) []caller {
	left := make(chan struct{}, entries/3+1)
	for range entries/3 + 1 {
		left <- struct{}{}
	}
	list := d.governed(256, acc)
	for i, do := range list {
		list[i] = func(ctx context.Context, n int) error {
			select {
			case <-left:
				return do(ctx, n)
			default:
				time.Sleep(50 * time.Millisecond)
				return nil
			}
		}
	}
	return list
}

func (d *domain) status(ctx context.Context) (message.Status, error) {
	return gate.Call[message.Empty, message.Status](ctx, d.door, message.MethodStatus, message.Empty{})
}

// nonce asks for the least free nonce of a wallet's first address.
func (d *domain) nonce(ctx context.Context, w custody.WalletID) (uint64, error) {
	a, err := gate.Call[message.Addresses, message.AddressList](ctx, d.door, message.MethodAddresses, message.Addresses{Wallet: w, Count: 1})
	if err != nil {
		return 0, err
	}
	if len(a.Addresses) != 1 {
		return 0, fmt.Errorf("wallet %s has no address", w)
	}
	return a.Addresses[0].Nonce, nil
}
