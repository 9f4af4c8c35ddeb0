// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// ruled is what decisions of a domain are made with. Zero: the usual few rules.
type ruled struct {
	rules   int
	entries int // of the address ledger; 0: there is none, and no limit
	events  int // transfers that five limits have counted over two days
}

// ruledList is what the domains of the part hold.
func ruledList() []ruled {
	return []ruled{{rules: 10}, {rules: 100}, {rules: 1000}, {1000, 100_000, 0}, {1000, 100_000, 10_000_000}}
}

// large says whether the state is written by the grower.
func (x ruled) large() bool { return x.entries > 0 }

func (x ruled) String() string {
	s := strconv.Itoa(x.rules) + " rules"
	if x.entries > 0 {
		s += fmt.Sprintf(", five limits, %d addresses", x.entries)
	}
	if x.events > 0 {
		s += fmt.Sprintf(", %d counted transfers", x.events)
	}
	return s
}

func (x ruled) row() string { return x.String() + ", through the door, 32 callers" }

// crowd gives a document what x says: routes for as many other wallets, all of which stand before those that it has, so that it is for the index of rules to
// leave them out; a ledger, and limits that a transfer takes from.
func (x ruled) crowd(doc *policy.Document) {
	transfer := []request.Operation{request.Transfer}
	most := custody.U64(5)
	if x.large() {
		x.limit(doc, transfer)
	}
	own := doc.Routes
	doc.Routes = nil
	for i := 0; len(doc.Routes)+len(own)+len(doc.Guards)+len(doc.Limits) < x.rules; i++ {
		doc.Routes = append(doc.Routes, policy.Route{ID: fmt.Sprintf("other-%d", i), Priority: uint32(i), Plan: doc.ChangePlan,
			When: policy.Match{Operations: transfer, Wallets: []custody.WalletID{custody.WalletID(fmt.Sprintf("other%d", i))}, AmountMax: &most}})
	}
	for _, r := range own {
		r.Priority += policy.MaxRoutes
		doc.Routes = append(doc.Routes, r)
	}
}

// limit gives a document a ledger and five limits, those of BenchmarkDecisions.
func (ruled) limit(doc *policy.Document, transfer []request.Operation) {
	most := custody.Uint256{1}
	coins, day := []custody.AssetID{chain.Native()}, policy.Window{Rolling: 86400}
	doc.Whitelist = &policy.Whitelist{Plan: doc.ChangePlan, CoolOff: 3600}
	doc.Limits = []policy.Limit{
		{ID: "day", When: policy.Match{Operations: transfer, Assets: coins}, Measure: policy.MeasureAmount, Max: most, Window: day, Exceeded: policy.Deny},
		{ID: "fees", When: policy.Match{Operations: transfer, Chains: []custody.ChainID{chain}}, Measure: policy.MeasureFee, Max: most, Window: day, Exceeded: policy.Deny},
		{ID: "payee", When: policy.Match{Operations: transfer, Assets: coins}, Measure: policy.MeasureAmount, Max: most, Window: day, GroupBy: []policy.Aspect{policy.ByDestination}, Exceeded: policy.Deny},
		{ID: "times", When: policy.Match{Operations: transfer}, Measure: policy.MeasureCount, Max: most, Window: day, Exceeded: policy.Deny},
		{ID: "wallet", When: policy.Match{Operations: transfer, Assets: coins}, Measure: policy.MeasureAmount, Max: most, Window: policy.Window{Rolling: 7 * 86400}, GroupBy: []policy.Aspect{policy.BySource}, Exceeded: policy.Deny},
	}
}

// decisionRounds measures governed transfers in domains that differ in what decisions are made with, how long each takes to start, and the memory of its core. Decisions
// in process are measured by BenchmarkDecisions of internal/pure/authority, which scripts/bench runs besides.
func decisionRounds(ctx context.Context, c config, r *report) (err error) {
	var cells []cell
	pids := map[ruled]int{}
	for _, x := range ruledList() {
		if x.large() && c.Grower == "" {
			say("no domain with %v: --grower names the program that writes its state", x)
			continue
		}
		say("making a domain with %v", x)
		dir, failed := os.MkdirTemp("", "strongroom-bench-")
		if failed != nil {
			return failed
		}
		d, failed := makeDomainOf(ctx, c.Core, dir, x, nil)
		if failed != nil {
			return errors.Join(failed, os.RemoveAll(dir))
		}
		defer func() { err = errors.Join(err, d.stop(), os.RemoveAll(dir)) }()
		accounts := 32 + spareAccounts
		if failed = d.fill(ctx, c, x, accounts); failed == nil {
			failed = d.startOften(ctx, r, x)
		}
		if failed != nil {
			return failed
		}
		pids[x] = d.cmd.Process.Pid
		cells = append(cells, cell{x.row(), c.Length, load{callers: d.governed(32, newAccounts(accounts, 0)), core: d.cmd.Process.Pid}})
	}
	err = r.takeRounds(ctx, partDecisions, c.Rounds, cells)
	for x, pid := range pids {
		r.Memory[x.String()+", after the rounds"] = memory(pid)
	}
	return err
}

// fill makes the domain's wallets, and writes what cannot be made in time. The core has ended then.
func (d *domain) fill(ctx context.Context, c config, x ruled, wallets int) error {
	if err := d.start(ctx); err != nil {
		return err
	}
	if err := errors.Join(d.addWallets(ctx, 0, wallets), d.stop()); err != nil || !x.large() {
		return err
	}
	cmd := exec.CommandContext(ctx, c.Grower, "-test.run", "^$", "-test.bench", "^BenchmarkLargeState$", "-test.benchtime", "1x")
	cmd.Env = append(os.Environ(), "STRONGROOM_BENCH_DATA="+d.dir, "STRONGROOM_BENCH_ENTRIES="+strconv.Itoa(x.entries), "STRONGROOM_BENCH_EVENTS="+strconv.Itoa(x.events))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("write a state with %v: %w: %s", x, err, out)
	}
	return nil
}

// startOften starts the core a few times, the last time to stay, and notes medians: the time from the start of the program to its first answer about the open domain,
// the processor time that it has used by then, and its memory. What the first start reads from disk the others find in the system's cache.
func (d *domain) startOften(ctx context.Context, r *report, x ruled) error {
	const starts = 3
	var seconds, used, held []float64
	for i := range starts {
		if i > 0 {
			if err := d.stop(); err != nil {
				return err
			}
		}
		t := time.Now()
		if err := d.start(ctx); err != nil {
			return err
		}
		pid := d.cmd.Process.Pid
		seconds, used, held = append(seconds, time.Since(t).Seconds()), append(used, processCPU(pid)/1e6), append(held, memory(pid))
	}
	r.Starts["with "+x.String()] = spreadOf(seconds).Mid
	r.Memory[x.String()+", after the start"] = spreadOf(held).Mid
	r.note(spreadOf(used).Mid, "processor seconds of a start with %v", x)
	return d.openSession(ctx)
}

// decisions are the ratios that say what more rules, entries and counted transfers cost.
func (l *ratioList) decisions() {
	few := ruledList()[0]
	for _, x := range ruledList()[1:] {
		l.add("core CPU", x.row(), coreCPU, few.row(), coreCPU, nil)
	}
}
