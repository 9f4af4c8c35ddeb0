// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"time"

	"strongroom/internal/core/corebench"
)

// spareAccounts are the wallets above the number of callers, so that a caller finds a free one soon.
const spareAccounts = 16

// cell is one measurement of a round.
type cell struct {
	row    string
	length time.Duration
	core   int // process ids, 0 for none
	serve  int
	load   func() ([]caller, error)
}

// takeCell measures a cell.
func (r *report) takeCell(ctx context.Context, round int, c cell) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.take(round, c.row, func() (sample, error) {
		list, err := c.load()
		if err != nil {
			return sample{}, err
		}
		return measure(ctx, c.length, c.core, c.serve, list)
	})
}

// governedRounds measures governed requests, through the door and through REST, beside bare operations, empty calls and a peer.
func governedRounds(ctx context.Context, c config, delay time.Duration, r *report) (err error) {
	dir, remove, err := temporary()
	if err != nil {
		return err
	}
	defer remove()
	d, err := newDomain(ctx, c.Core, dir, "--flush-delay", delay.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	if err := d.openSession(ctx); err != nil {
		return err
	}
	most := slices.Max(c.Callers)
	say("flush delay %v: making %d wallets", delay, most+spareAccounts)
	if err := d.addWallets(ctx, 0, most+spareAccounts); err != nil {
		return err
	}
	acc := newAccounts(most+spareAccounts, 0)
	var cells []cell
	suffix := ""
	if delay > 0 {
		suffix = " +" + delay.String()
	}
	first := delay == c.Delays[0]
	if first {
		cells = bareCells(c.Length / 2)
	}
	var peer *openBao
	if first && c.OpenBao != "" {
		const callers = 32
		if peer, err = newOpenBao(ctx, c.OpenBao, callers); err != nil {
			return err
		}
		cells = append(cells, cell{openBaoRow, c.Length, 0, 0, func() ([]caller, error) { return peer.callers(callers), nil }})
	}
	cells = append(cells, d.doorCells(c, suffix, first, acc)...)
	if first && c.Server != "" {
		s, failed := startServe(ctx, c.Server, d, max(most, 32))
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		cells = append(cells, s.cells(c, d, acc)...)
	}
	for round := range c.Rounds {
		say("flush delay %v: round %d of %d", delay, round+1, c.Rounds)
		for _, x := range cells {
			if err := r.takeCell(ctx, round, x); err != nil {
				return err
			}
		}
	}
	return nil
}

// bareCells are the core's operations with nothing around them, on all cores.
func bareCells(d time.Duration) []cell {
	var out []cell
	for _, name := range corebench.Names() {
		out = append(out, cell{"bare " + name, d, 0, 0, func() ([]caller, error) {
			var list []caller
			for range runtime.NumCPU() {
				op, err := corebench.New(name)
				if err != nil {
					return nil, err
				}
				list = append(list, func(context.Context, int) error { return op() })
			}
			return list, nil
		}})
	}
	return out
}

// doorCells are the measurements through the door.
func (d *domain) doorCells(c config, suffix string, first bool, acc *accounts) []cell {
	pid := d.cmd.Process.Pid
	var out []cell
	add := func(row string, length time.Duration, list []caller) {
		out = append(out, cell{row, length, pid, 0, func() ([]caller, error) { return list, nil }})
	}
	if first {
		add(emptyDoor, c.Length/2, d.ping(32))
	}
	for _, n := range c.Callers {
		add(doorRow(n)+suffix, c.Length, d.governed(n, acc))
		if n == 32 { // the same under another name: what differs by less than this spread can't be claimed
			add(doorRow(n)+suffix+again, c.Length, d.governed(n, acc))
		}
	}
	add("signed initiator and two approvals, 32 callers"+suffix, c.Length, d.approved(32, acc))
	return out
}

// cells are the measurements through REST.
func (s *server) cells(c config, d *domain, acc *accounts) []cell {
	core, serve := d.cmd.Process.Pid, s.cmd.Process.Pid
	health := s.health(32)
	out := []cell{{emptyHTTPS, c.Length / 2, core, serve, func() ([]caller, error) { return health, nil }}}
	for _, n := range c.Callers {
		list := s.governed(n, d, acc)
		out = append(out, cell{restRow(n), c.Length, core, serve, func() ([]caller, error) { return list, nil }})
	}
	return out
}

// walletRounds measures memory and rate by the number of wallets, with Zipf(1.0) access. Each number has a domain of its own, so that they
// take turns within a round.
func walletRounds(ctx context.Context, c config, r *report) (err error) {
	var cells []cell
	for _, n := range c.Wallets {
		dir, remove, failed := temporary()
		if failed != nil {
			return failed
		}
		defer remove()
		d, failed := newDomain(ctx, c.Core, dir, "--memory", "67108864", "--cache-keys", "131072")
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, d.stop()) }()
		if err := d.openSession(ctx); err != nil {
			return err
		}
		say("making %d wallets", n)
		if err := d.addWallets(ctx, 0, n); err != nil {
			return err
		}
		r.Memory[strconv.Itoa(n)+" wallets"] = memory(d.cmd.Process.Pid)
		list := d.governed(8, newAccounts(n, 1.0))
		cells = append(cells, cell{walletRow(n), c.Length, d.cmd.Process.Pid, 0, func() ([]caller, error) { return list, nil }})
	}
	for round := range c.Rounds {
		say("wallets: round %d of %d", round+1, c.Rounds)
		for _, x := range cells {
			if err := r.takeCell(ctx, round, x); err != nil {
				return err
			}
		}
	}
	return nil
}
