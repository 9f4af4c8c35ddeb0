// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"os"
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
	load   load
}

// takeCell measures a cell.
func (r *report) takeCell(ctx context.Context, round int, c cell) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return r.take(round, c.row, func() (sample, error) { return c.load.measure(ctx, c.length) })
}

// takeRounds measures cells in turns.
func (r *report) takeRounds(ctx context.Context, what string, rounds int, cells []cell) error {
	for round := range rounds {
		say("%s: round %d of %d", what, round+1, rounds)
		for _, x := range cells {
			if err := r.takeCell(ctx, round, x); err != nil {
				return err
			}
		}
	}
	return nil
}

// governedRounds measures governed requests, through the door and through REST, beside bare operations, empty calls and a peer.
func governedRounds(ctx context.Context, c config, delay time.Duration, r *report) (err error) {
	what := "flush delay " + delay.String()
	d, acc, remove, err := readyDomain(ctx, c, delay)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if delay != c.Delays[0] { // ratios and what surrounds them are of the first delay
		return r.takeRounds(ctx, what, c.Rounds, d.cells(c, " +"+delay.String(), acc))
	}
	cells, err := bareCells(c.Length / 2)
	if err != nil {
		return err
	}
	keys, unmake, err := keyCells(c.Length / 2)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unmake()) }()
	cells = append(cells, keys...)
	tokens, close, err := tokenCells(ctx, c.Length/2)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, close()) }()
	cells = append(cells, tokens...)
	if c.OpenBao != "" {
		const callers = 32
		peer, err := newOpenBao(ctx, c.OpenBao, callers)
		if err != nil {
			return err
		}
		cells = append(cells, cell{openBaoRow, c.Length, load{callers: peer.callers(callers)}})
	}
	cells = append(cells, cell{emptyDoor, c.Length / 2, load{callers: d.ping(32), core: d.cmd.Process.Pid}})
	cells = append(cells, d.cells(c, "", acc)...)
	if c.Server != "" {
		// A domain of its own: serve follows its log, which would spoil the rows through the door.
		behind, acc, remove, failed := readyDomain(ctx, c, delay)
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, remove()) }()
		s, failed := startServe(ctx, c.Server, behind, max(slices.Max(c.Callers), 32))
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, s.stop()) }()
		cells = append(cells, s.cells(c, behind, acc)...)
	}
	return r.takeRounds(ctx, what, c.Rounds, cells)
}

// readyDomain makes a domain for the callers of c. The function that it gives stops and removes it.
func readyDomain(ctx context.Context, c config, delay time.Duration) (*domain, *accounts, func() error, error) {
	n := slices.Max(c.Callers) + spareAccounts
	d, remove, err := madeDomain(ctx, c, n, "--flush-delay", delay.String())
	return d, newAccounts(n, 0), remove, err
}

// madeDomain makes a domain with so many wallets and an open session. The function that it gives stops and removes it.
func madeDomain(ctx context.Context, c config, wallets int, flags ...string) (*domain, func() error, error) {
	say("making a domain with %d wallets", wallets)
	dir, err := os.MkdirTemp("", "strongroom-bench-")
	if err != nil {
		return nil, nil, err
	}
	return madeDomainIn(ctx, c, dir, wallets, flags...)
}

// madeDomainIn is [madeDomain] in a folder, which is removed with it.
func madeDomainIn(ctx context.Context, c config, dir string, wallets int, flags ...string) (*domain, func() error, error) {
	d, err := newDomain(ctx, c.Core, dir, flags...)
	remove := func() error { return errors.Join(d.stop(), os.RemoveAll(dir)) }
	if err == nil {
		err = d.openSession(ctx)
	}
	if err == nil {
		err = d.addWallets(ctx, 0, wallets)
	}
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	return d, remove, nil
}

// bareCells are the core's operations with nothing around them, on all cores.
func bareCells(d time.Duration) ([]cell, error) {
	var out []cell
	for _, name := range corebench.Names() {
		var list []caller
		for range runtime.NumCPU() {
			op, err := corebench.New(name)
			if err != nil {
				return nil, err
			}
			list = append(list, func(context.Context, int) error { return op() })
		}
		out = append(out, cell{"bare " + name, d, load{callers: list}})
	}
	return out, nil
}

// keyCells are signatures by class and backend of the key, with nothing around them but what keeps keys, on all cores: for class core, from
// each state in which a signature can find its key. They stand beside the bare ones of the same curve. The function that it gives removes the keys.
func keyCells(d time.Duration) ([]cell, func() error, error) {
	dir, err := os.MkdirTemp("", "strongroom-bench-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	keys, err := corebench.NewKeys(dir)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	var out []cell
	for _, name := range corebench.KeyNames() {
		ops, err := keys.Ops(name, runtime.NumCPU())
		if err != nil {
			return nil, nil, errors.Join(err, remove())
		}
		var list []caller
		for _, op := range ops {
			list = append(list, func(context.Context, int) error { return op() })
		}
		out = append(out, cell{name, d, load{callers: list}})
	}
	return out, remove, nil
}

// cells are the governed measurements through the door.
func (d *domain) cells(c config, suffix string, acc *accounts) []cell {
	var out []cell
	add := func(row string, list []caller) {
		out = append(out, cell{row + suffix, c.Length, load{callers: list, core: d.cmd.Process.Pid}})
	}
	for _, n := range c.Callers {
		add(doorRow(n), d.governed(n, acc))
		if n == 32 { // the same under another name: what differs by less than this spread can't be claimed
			add(doorRow(n)+again, d.governed(n, acc))
		}
	}
	add("signed initiator and two approvals, 32 callers", d.approved(32, acc))
	return out
}

// cells are the measurements through REST.
func (s *server) cells(c config, d *domain, acc *accounts) []cell {
	of := func(list []caller) load { return load{list, d.cmd.Process.Pid, s.cmd.Process.Pid, s.caughtUp} }
	out := []cell{{emptyHTTPS, c.Length / 2, of(s.health(32))}}
	for _, n := range c.Callers {
		out = append(out, cell{restRow(n), c.Length, of(s.governed(n, d, acc))})
	}
	return out
}

// walletRounds measures memory and rate by the number of wallets, with Zipf(1.0) access. Each number has a domain of its own, so that they
// take turns within a round.
func walletRounds(ctx context.Context, c config, r *report) (err error) {
	var cells []cell
	pids := map[int]int{} // by number of wallets
	for _, n := range c.Wallets {
		d, remove, failed := madeDomain(ctx, c, n, "--memory", "67108864", "--cache-keys", "131072")
		if failed != nil {
			return failed
		}
		defer func() { err = errors.Join(err, remove()) }()
		pids[n] = d.cmd.Process.Pid
		cells = append(cells, cell{walletRow(n), c.Length, load{callers: d.governed(8, newAccounts(n, 1.0)), core: d.cmd.Process.Pid}})
	}
	err = r.takeRounds(ctx, "wallets", c.Rounds, cells)
	for n, pid := range pids {
		r.Memory[strconv.Itoa(n)+" wallets"] = memory(pid)
	}
	return err
}
