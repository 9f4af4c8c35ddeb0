// SPDX-License-Identifier: Apache-2.0

// Command bench measures Strongroom beside its limits: in each round ours, the bare operations and the empty calls take turns, ratios
// are formed within a round, and medians over rounds are quoted. scripts/bench builds and runs it.
//
// What it can't see: whether the host keeps what it flushes. --flush-delay adds what a slower disk would take.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"time"
)

// config is what a run measures.
type config struct {
	Core    string          `json:"-"`
	Server  string          `json:"-"` // the strongroom program, for REST; empty: left out
	Rounds  int             `json:"rounds"`
	Length  time.Duration   `json:"length_ns"`
	Callers []int           `json:"callers"`
	Delays  []time.Duration `json:"flush_delays_ns"`
	Wallets []int           `json:"wallets"`
	Entries []int           `json:"log_entries"`
	Out     string          `json:"-"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func parse(args []string) (config, error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	c := config{Callers: []int{1, 32, 256}, Delays: []time.Duration{0}, Wallets: []int{10, 1000}, Entries: []int{100_000}}
	full := f.Bool("full", false, "the whole matrix: all callers, delays of 0, 2 and 10 ms, 100,000 wallets, logs of 10^6 and 10^7 entries")
	delay := f.Duration("flush-delay", 0, "add this to each flush")
	f.StringVar(&c.Core, "core", "", "the strongroom-core program")
	f.StringVar(&c.Server, "server", "", "the strongroom program, for the rows through REST")
	f.IntVar(&c.Rounds, "rounds", 5, "rounds; medians are taken over them")
	f.DurationVar(&c.Length, "length", 800*time.Millisecond, "how long each measurement runs")
	f.StringVar(&c.Out, "out", "", "write the result as JSON here")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if *full {
		c.Callers, c.Delays = []int{1, 8, 32, 64, 256}, []time.Duration{0, 2 * time.Millisecond, 10 * time.Millisecond}
		c.Wallets, c.Entries, c.Rounds = []int{10, 1000, 100_000}, []int{1_000_000, 10_000_000}, max(c.Rounds, 8)
	}
	if *delay > 0 {
		c.Delays = []time.Duration{*delay}
	}
	if c.Core == "" || f.NArg() > 0 {
		return c, errors.New("--core is required: the strongroom-core program; see --help")
	}
	return c, nil
}

func run(ctx context.Context, args []string) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	r := newReport(c)
	for _, delay := range c.Delays {
		if err := governedRounds(ctx, c, delay, r); err != nil {
			return err
		}
	}
	if err := walletRounds(ctx, c, r); err != nil {
		return err
	}
	if err := logRounds(ctx, c, r); err != nil {
		return err
	}
	r.print(os.Stdout)
	if c.Out == "" {
		return nil
	}
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(c.Out, append(b, '\n'), 0o644)
}

// say tells how far the run is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}

// temporary makes a folder for a domain, which is removed by the returned function.
func temporary() (string, func(), error) {
	dir, err := os.MkdirTemp("", "strongroom-bench-")
	return dir, func() { os.RemoveAll(dir) }, err
}

// governedRounds measures governed requests beside bare operations and empty calls.
func governedRounds(ctx context.Context, c config, delay time.Duration, r *report) error {
	dir, remove, err := temporary()
	if err != nil {
		return err
	}
	defer remove()
	d, err := newDomain(ctx, c.Core, dir, "--flush-delay", delay.String())
	if err != nil {
		return err
	}
	defer d.stop()
	if err := d.openSession(ctx); err != nil {
		return err
	}
	most := slices.Max(c.Callers)
	say("flush delay %v: making %d wallets", delay, most+4)
	if err := d.addWallets(ctx, 0, most+4); err != nil {
		return err
	}
	acc, pid := newAccounts(most+4, 0), d.cmd.Process.Pid
	suffix := ""
	if delay > 0 {
		suffix = " +" + delay.String()
	}
	for round := range c.Rounds {
		say("flush delay %v: round %d of %d", delay, round+1, c.Rounds)
		if delay == c.Delays[0] {
			for _, name := range []string{"secp256k1 sign", "secp256k1 sign+verify", "p256 sign+verify", "ed25519 sign+verify"} {
				if err := r.take(round, "bare "+name, func() (sample, error) { return bare(ctx, c.Length/2, name, runtime.NumCPU()) }); err != nil {
					return err
				}
			}
			if err := r.take(round, "empty door call, 32 callers", func() (sample, error) { return measure(ctx, c.Length/2, pid, 0, d.ping(32)) }); err != nil {
				return err
			}
		}
		for _, n := range c.Callers {
			name := "governed through the door, " + strconv.Itoa(n) + " callers" + suffix
			if err := r.take(round, name, func() (sample, error) { return measure(ctx, c.Length, pid, 0, d.governed(n, acc)) }); err != nil {
				return err
			}
			if n == 32 { // the same under another name: what differs by less than this spread can't be claimed
				if err := r.take(round, name+" (A/A)", func() (sample, error) { return measure(ctx, c.Length, pid, 0, d.governed(n, acc)) }); err != nil {
					return err
				}
			}
		}
		name := "signed initiator and two approvals, 32 callers" + suffix
		if err := r.take(round, name, func() (sample, error) { return measure(ctx, c.Length, pid, 0, d.approved(32, acc)) }); err != nil {
			return err
		}
	}
	return nil
}

// walletRounds measures memory and rate by the number of wallets, with Zipf(1.0) access.
func walletRounds(ctx context.Context, c config, r *report) error {
	dir, remove, err := temporary()
	if err != nil {
		return err
	}
	defer remove()
	d, err := newDomain(ctx, c.Core, dir, "--memory", "67108864", "--cache-keys", "131072")
	if err != nil {
		return err
	}
	defer d.stop()
	if err := d.openSession(ctx); err != nil {
		return err
	}
	made := 0
	for _, n := range c.Wallets {
		say("making %d wallets", n)
		if err := d.addWallets(ctx, made, n); err != nil {
			return err
		}
		made = n
		acc := newAccounts(n, 1.0)
		for i := range acc.list { // accounts that another size has used go on from their nonce
			a, err := d.nonce(ctx, acc.list[i].id)
			if err != nil {
				return err
			}
			acc.list[i].nonce = a
		}
		for round := range c.Rounds {
			name := strconv.Itoa(n) + " wallets, Zipf(1.0), 8 callers"
			if err := r.take(round, name, func() (sample, error) { return measure(ctx, c.Length, d.cmd.Process.Pid, 0, d.governed(8, acc)) }); err != nil {
				return err
			}
		}
		r.Memory[strconv.Itoa(n)+" wallets"] = memory(d.cmd.Process.Pid)
	}
	return nil
}
