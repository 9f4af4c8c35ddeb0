// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"strongroom/internal/nodestest"
)

type testKey struct{}

// nodesOf gives the nodes that all scripts share. They make a block only when a script says so, or pays.
func nodesOf(ts *testscript.TestScript) (*nodestest.Env, testing.TB) {
	t, ok := ts.Value(testKey{}).(testing.TB)
	if !ok {
		ts.Fatalf("the script's test is not known")
	}
	return nodestest.Start(t), t
}

// devnet gives real nodes: variables ETH_RPC, ETH, TOKEN, BTC_RPC, BTC_USER, and a file btc-password.
func devnet(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: devnet")
	}
	e, _ := nodesOf(ts)
	for k, v := range map[string]string{"ETH_RPC": e.EthRPC, "ETH": "eip155:" + strconv.FormatUint(e.ChainID, 10), "TOKEN": e.Token,
		"BTC_RPC": e.BtcRPC, "BTC_USER": e.BtcUser} {
		ts.Setenv(k, v)
	}
	ts.Check(os.WriteFile(ts.MkAbs("btc-password"), []byte(e.BtcPass+"\n"), 0o600))
}

// fund pays to an address and mines a block: fund ethereum|bitcoin ADDRESS BASE-UNITS
func fund(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: fund CHAIN ADDRESS AMOUNT")
	}
	e, t := nodesOf(ts)
	if args[0] == "token" {
		e.FundToken(t, args[1], args[2])
		return
	}
	e.Fund(t, nodestest.Chain(args[0]), args[1], args[2])
}

// sent waits until a node has a request's transaction, so that the next block has it: sent ID
func sent(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sent ID")
	}
	there := regexp.MustCompile(`"state": "(in_mempool|mined|final)"`)
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if err := ts.Exec("strongroom", "request", "show", args[0], "-o", "json"); err == nil && there.MatchString(ts.ReadFile("stdout")) {
			return
		}
	}
	ts.Fatalf("no node has the transaction: %s%s", ts.ReadFile("stdout"), ts.ReadFile("stderr"))
}

// mine adds blocks: mine ethereum|bitcoin N
func mine(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mine CHAIN BLOCKS")
	}
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	e, t := nodesOf(ts)
	e.Mine(t, nodestest.Chain(args[0]), n)
}
