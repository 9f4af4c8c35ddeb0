// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// rulesList is how many rules the domains of the part have.
func rulesList() []int { return []int{10, 100, 1000} }

func rulesRow(n int) string { return strconv.Itoa(n) + " rules, through the door, 32 callers" }

// crowd gives a document n rules: routes for as many other wallets, all of which stand before those that it has, so that it is for the index of rules to
// leave them out.
func crowd(doc *policy.Document, n int) {
	transfer := []request.Operation{request.Transfer}
	most := custody.U64(5)
	own := doc.Routes
	doc.Routes = nil
	for i := 0; len(doc.Routes)+len(own)+len(doc.Guards) < n; i++ {
		doc.Routes = append(doc.Routes, policy.Route{ID: fmt.Sprintf("other-%d", i), Priority: uint32(i), Plan: doc.ChangePlan,
			When: policy.Match{Operations: transfer, Wallets: []custody.WalletID{custody.WalletID(fmt.Sprintf("other%d", i))}, AmountMax: &most}})
	}
	for _, x := range own {
		x.Priority += policy.MaxRoutes
		doc.Routes = append(doc.Routes, x)
	}
}

// decisionRounds measures governed transfers in domains that differ in the number of their rules, and the memory of their cores. Decisions in process are
// measured by BenchmarkDecisions of internal/pure/authority, which scripts/bench runs besides.
func decisionRounds(ctx context.Context, c config, r *report) (err error) {
	var cells []cell
	pids := map[int]int{} // by number of rules
	accounts := 32 + spareAccounts
	for _, n := range rulesList() {
		say("making a domain with %d rules", n)
		dir, failed := os.MkdirTemp("", "strongroom-bench-")
		if failed != nil {
			return failed
		}
		d, failed := makeDomainOf(ctx, c.Core, dir, n, nil)
		if failed != nil {
			return errors.Join(failed, os.RemoveAll(dir))
		}
		defer func() { err = errors.Join(err, d.stop(), os.RemoveAll(dir)) }()
		for _, step := range []func() error{func() error { return d.start(ctx) }, func() error { return d.openSession(ctx) }, func() error { return d.addWallets(ctx, 0, accounts) }} {
			if failed = step(); failed != nil {
				return failed
			}
		}
		pids[n] = d.cmd.Process.Pid
		cells = append(cells, cell{rulesRow(n), c.Length, load{callers: d.governed(32, newAccounts(accounts, 0)), core: d.cmd.Process.Pid}})
	}
	err = r.takeRounds(ctx, partDecisions, c.Rounds, cells)
	for n, pid := range pids {
		r.Memory[strconv.Itoa(n)+" rules"] = memory(pid)
	}
	return err
}

// decisionRatios say what more rules cost.
func (l *ratioList) decisions() {
	few := rulesRow(rulesList()[0])
	for _, n := range rulesList()[1:] {
		l.add("core CPU", rulesRow(n), coreCPU, few, coreCPU, nil)
	}
}
