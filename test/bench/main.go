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
	"slices"
	"syscall"
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
	OpenBao string          `json:"-"`              // a file, see openBaoConfig; empty: left out
	Only    string          `json:"only,omitempty"` // [onlyGREP11]; empty: all rows
	Out     string          `json:"-"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench: error:", err)
		os.Exit(1)
	}
}

func parse(args []string) (config, error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	c := config{Callers: []int{1, 32, 256}, Delays: []time.Duration{0}, Wallets: []int{10, 1000}, Entries: []int{100_000}, OpenBao: os.Getenv(openBaoVariable)}
	full := f.Bool("full", false, "the whole matrix: all callers, delays of 0, 2 and 10 ms, 100,000 wallets, logs of 10^6 and 10^7 entries")
	delay := f.Duration("flush-delay", 0, "add this to each flush")
	f.StringVar(&c.Core, "core", "", "the strongroom-core program")
	f.StringVar(&c.Server, "server", "", "the strongroom program, for the rows through REST")
	f.IntVar(&c.Rounds, "rounds", 8, "rounds; medians are taken over them")
	f.DurationVar(&c.Length, "length", 800*time.Millisecond, "how long each measurement runs")
	f.StringVar(&c.Only, "only", "", "measure only these rows: "+onlyGREP11)
	f.StringVar(&c.Out, "out", "", "write the result as JSON here")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if *full {
		c.Callers, c.Delays = []int{1, 8, 32, 64, 256}, []time.Duration{0, 2 * time.Millisecond, 10 * time.Millisecond}
		c.Wallets, c.Entries = []int{10, 1000, 100_000}, []int{1_000_000, 10_000_000}
	}
	if *delay > 0 {
		c.Delays = []time.Duration{*delay}
	}
	switch {
	case c.Core == "" || f.NArg() > 0:
		return c, errors.New("--core is required: the strongroom-core program; see --help")
	case c.Only != "" && c.Only != onlyGREP11:
		return c, errors.New("--only must be " + onlyGREP11)
	case c.Rounds < 1 || c.Length < 10*time.Millisecond || *delay < 0:
		return c, errors.New("--rounds must be at least 1, --length at least 10ms, and --flush-delay not negative")
	}
	return c, nil
}

// What a slow machine with two cores reaches while domains are made and logs grown, for estimates.
const (
	walletsASecond = 250
	entriesASecond = 10_000
	domainTime     = 3 * time.Second // to make and start one
)

// estimate says about how long a run takes.
func (c config) estimate() time.Duration {
	cells := 0
	for i := range c.Delays {
		cells += len(c.Callers) + 2 // through the door, A/A, approved
		if i == 0 {
			cells += 6 // bare operations, classes of keys and empty calls: eleven, half as long
			if c.Server != "" {
				cells += len(c.Callers)
			}
			if c.OpenBao != "" {
				cells++
			}
		}
	}
	cells += len(c.Wallets) + 2 // and the two logs
	domains := len(c.Delays) + len(c.Wallets) + 2
	wallets := len(c.Delays)*(slices.Max(c.Callers)+spareAccounts) + 2*logAccounts
	if c.Server != "" {
		domains++
		wallets += slices.Max(c.Callers) + spareAccounts
	}
	for _, n := range c.Wallets {
		wallets += n
	}
	apps := len(grep11Ops) + len(grep11Callers)*(1+2*len(grep11Ops))
	if c.Only != "" {
		cells = 0
	}
	d := time.Duration(c.Rounds*cells)*c.Length + time.Duration(max(c.Rounds/2, 1)*apps)*c.Length/2
	if c.Only != "" {
		return (d + 2*domainTime).Round(time.Second)
	}
	d += time.Duration(domains) * domainTime
	d += time.Duration(float64(wallets)/walletsASecond*1e9) + time.Duration(float64(slices.Max(c.Entries))/entriesASecond*1e9)
	return d.Round(time.Second)
}

func run(ctx context.Context, args []string) error {
	c, err := parse(args)
	if err != nil {
		return err
	}
	say("this takes about %v on two cores", c.estimate())
	if c.Server == "" {
		say("no rows through REST: --server names the strongroom program")
	}
	if c.OpenBao == "" {
		say("no OpenBao beside it: %s=FILE enables that, a JSON file with endpoint, tokenFile and key", openBaoVariable)
	}
	r := newReport(c)
	if c.Only == "" {
		if err := domainRounds(ctx, c, r); err != nil {
			return err
		}
	}
	if err := grep11Rounds(ctx, c, r); err != nil {
		return err
	}
	r.finish()
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

// onlyGREP11 leaves all rows out but those of keys of applications.
const onlyGREP11 = "grep11"

// domainRounds measures all but keys of applications.
func domainRounds(ctx context.Context, c config, r *report) error {
	for _, delay := range c.Delays {
		if err := governedRounds(ctx, c, delay, r); err != nil {
			return err
		}
	}
	if err := walletRounds(ctx, c, r); err != nil {
		return err
	}
	return logRounds(ctx, c, r)
}

// say tells how far the run is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}
