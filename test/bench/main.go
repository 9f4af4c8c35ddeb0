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
	"strings"
	"syscall"
	"time"
)

// config is what a run measures.
type config struct {
	Core    string          `json:"-"`
	Server  string          `json:"-"` // the strongroom program, for REST; empty: left out
	Grower  string          `json:"-"` // the tests of internal/core/securedomain as a program, which write large states; empty: rows with those are left out
	Rounds  int             `json:"rounds"`
	Length  time.Duration   `json:"length_ns"`
	Callers []int           `json:"callers"`
	Delays  []time.Duration `json:"flush_delays_ns"`
	Wallets []int           `json:"wallets"`
	Entries []int           `json:"log_entries"`
	Keys    int             `json:"keys"`  // that are enciphered and restored
	Parts   []string        `json:"parts"` // what is measured
	OpenBao string          `json:"-"`     // a file, see openBaoConfig; empty: left out
	Out     string          `json:"-"`
}

// parts lists what can be measured, in order.
func parts() []string {
	return []string{partCalls, partWallets, partLogs, partAnchors, partLife, partGREP11, partDecisions}
}

const (
	partCalls   = "calls"   // governed requests beside bare operations, classes of keys and empty calls
	partWallets = "wallets" // by the number of wallets
	partLogs    = "logs"    // durability, and starts
	partAnchors = "anchors"
	partLife    = "life"   // rotation and restore
	partGREP11  = "grep11" // keys for applications

	partDecisions = "decisions" // by rules, addresses and counted transfers; starts with them
)

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
	c := config{Callers: []int{1, 32, 256}, Delays: []time.Duration{0}, Wallets: []int{10, 1000}, Entries: []int{100_000}, Parts: parts(), OpenBao: os.Getenv(openBaoVariable)}
	full := f.Bool("full", false, "the whole matrix: all callers, delays of 0, 2 and 10 ms, 100,000 wallets, logs of 10^6 and 10^7 entries")
	delay := f.Duration("flush-delay", 0, "add this to each flush")
	f.StringVar(&c.Core, "core", "", "the strongroom-core program")
	f.StringVar(&c.Server, "server", "", "the strongroom program, for the rows through REST")
	f.StringVar(&c.Grower, "grower", "", "the tests of internal/core/securedomain as a program, for the rows with a large state")
	f.IntVar(&c.Rounds, "rounds", 8, "rounds; medians are taken over them")
	f.DurationVar(&c.Length, "length", 800*time.Millisecond, "how long each measurement runs")
	only := f.String("only", "", "measure these parts only, with commas: "+strings.Join(parts(), ", "))
	f.IntVar(&c.Keys, "keys", 0, "keys that are enciphered anew and restored; default 1000, with --full 100000")
	f.StringVar(&c.Out, "out", "", "write the result as JSON here")
	if err := f.Parse(args); err != nil {
		return c, err
	}
	if *full {
		c.Callers, c.Delays = []int{1, 8, 32, 64, 256}, []time.Duration{0, 2 * time.Millisecond, 10 * time.Millisecond}
		c.Wallets, c.Entries = []int{10, 1000, 100_000}, []int{1_000_000, 10_000_000}
	}
	if c.Keys == 0 {
		c.Keys = map[bool]int{false: 1000, true: 100_000}[*full]
	}
	if *only != "" {
		c.Parts = strings.Split(*only, ",")
	}
	for _, p := range c.Parts {
		if !slices.Contains(parts(), p) {
			return c, fmt.Errorf("--only %s: want %s", p, strings.Join(parts(), ", "))
		}
	}
	if *delay > 0 {
		c.Delays = []time.Duration{*delay}
	}
	switch {
	case c.Core == "" || f.NArg() > 0:
		return c, errors.New("--core is required: the strongroom-core program; see --help")
	case c.Keys < 1:
		return c, errors.New("--keys must be at least 1")
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
func (c config) estimate() (d time.Duration) {
	for _, p := range c.Parts {
		cells, domains, wallets, entries := c.size(p)
		d += time.Duration(c.Rounds*cells)*c.Length + time.Duration(domains)*domainTime
		d += time.Duration(float64(wallets)/walletsASecond*1e9) + time.Duration(float64(entries)/entriesASecond*1e9)
	}
	return d.Round(time.Second)
}

// size says of how many cells a round of a part consists, how many domains with how many wallets it makes, and to how many entries it grows a log.
func (c config) size(part string) (cells, domains, wallets, entries int) {
	most := slices.Max(c.Callers) + spareAccounts
	switch part {
	case partCalls:
		cells = len(c.Delays)*(len(c.Callers)+2) + 9 // through the door, A/A, approved; once: bare operations, classes of keys and empty calls, half as long
		domains, wallets = len(c.Delays), len(c.Delays)*most
		if c.Server != "" {
			cells, domains, wallets = cells+len(c.Callers), domains+1, wallets+most
		}
		if c.OpenBao != "" {
			cells++
		}
	case partWallets:
		cells, domains = len(c.Wallets), len(c.Wallets)
		for _, n := range c.Wallets {
			wallets += n
		}
	case partLogs:
		cells, domains, wallets, entries = 2, 2, 2*logAccounts, slices.Max(c.Entries)
	case partAnchors:
		domains = len(anchorKinds())
		cells, wallets = domains*len(anchorCallers()), domains*(32+spareAccounts)
	case partGREP11:
		cells, domains = (len(grep11Ops)+len(grep11Callers)*(1+2*len(grep11Ops)))/4, 2 // half the rounds, half as long
	case partDecisions:
		cells, domains = len(ruledList()), 2*len(ruledList()) // each is started several times
		wallets = len(ruledList()) * (32 + spareAccounts)
	case partLife:
		domains, wallets = 2, 2*c.Keys // and once more that long for rotations and the restore
	}
	return cells, domains, wallets, entries
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
	for _, part := range parts() {
		if !slices.Contains(c.Parts, part) {
			continue
		}
		if err := measure(ctx, c, part, r); err != nil {
			return err
		}
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

// measure measures a part.
func measure(ctx context.Context, c config, part string, r *report) error {
	switch part {
	case partCalls:
		for _, delay := range c.Delays {
			if err := governedRounds(ctx, c, delay, r); err != nil {
				return err
			}
		}
		return nil
	case partWallets:
		return walletRounds(ctx, c, r)
	case partLogs:
		return logRounds(ctx, c, r)
	case partAnchors:
		return anchorRounds(ctx, c, r)
	case partGREP11:
		return grep11Rounds(ctx, c, r)
	case partDecisions:
		return decisionRounds(ctx, c, r)
	default:
		return lifeRounds(ctx, c, r)
	}
}

// say tells how far the run is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}
