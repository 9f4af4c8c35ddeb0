// SPDX-License-Identifier: Apache-2.0

// Package nodestest gives tests real chain nodes: go-ethereum's and btcd, run
// by the program test/nodes/cmd/devnet of the nested module, which this
// package builds and starts. It imports nothing outside the standard library,
// so that the nodes stay out of the product's dependency graph.
//
// Blocks are made on demand: a test says [Env.Mine], or [Env.Automine]. A
// program that cannot be built or started fails the test and never skips it.
// The first build on a machine takes some minutes of CPU. The processes end
// with the test binary, however it ends. Linux only.
package nodestest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"
)

// Chain names one of the two chains.
type Chain string

// The chains.
const (
	Ethereum Chain = "ethereum"
	Bitcoin  Chain = "bitcoin" // regtest
)

// Env is a running pair of nodes. Its methods fail the test they are given
// when the node refuses, and are safe for concurrent use.
type Env struct {
	EthRPC        string // URL of the JSON-RPC
	ChainID       uint64
	Token         string // address of an ERC-20 contract
	TokenSymbol   string
	TokenDecimals int
	BtcRPC        string // URL of the JSON-RPC, with HTTP basic authentication:
	BtcUser       string
	BtcPass       string

	control string // URL of devnet's control interface
	stop    func()
}

// State is where a chain stands.
type State struct {
	Height  uint64 `json:"height"`
	Hash    string `json:"hash"`    // of the newest block, hex
	Pending int    `json:"pending"` // transactions that wait for a block
}

// shared is the process for all tests of a binary that are content with one.
var shared = sync.OnceValues(func() (*Env, error) {
	env, _, err := launch() // ends with this process
	return env, err
})

// Start returns nodes shared by all tests of the package. Tests that re-org,
// count blocks or run beside others that mine want [StartAlone].
func Start(t testing.TB) *Env {
	t.Helper()
	env, err := shared()
	if err != nil {
		t.Fatalf("start the test nodes: %v", err)
	}
	return env
}

// StartAlone returns nodes that no other test uses and that end with the test.
// That costs half a second.
func StartAlone(t testing.TB) *Env {
	t.Helper()
	env, stop, err := launch()
	if err != nil {
		t.Fatalf("start the test nodes: %v", err)
	}
	env.stop = stop
	t.Cleanup(stop)
	return env
}

// Kill ends nodes of [StartAlone] before the test does. What their chains had is gone.
func (e *Env) Kill() {
	if e.stop != nil {
		e.stop()
	}
}

// Fund pays base units (wei, satoshi) to an address, mines a block and returns
// the transaction's hash or id.
func (e *Env) Fund(t testing.TB, chain Chain, address, amount string) string {
	t.Helper()
	return e.fund(t, map[string]any{"chain": chain, "address": address, "amount": amount})
}

// FundPending is Fund without the block: the payment waits in the pool.
func (e *Env) FundPending(t testing.TB, chain Chain, address, amount string) string {
	t.Helper()
	return e.fund(t, map[string]any{"chain": chain, "address": address, "amount": amount, "pending": true})
}

// FundToken pays base units of the token to an Ethereum address, mines a
// block and returns the transaction's hash.
func (e *Env) FundToken(t testing.TB, address, amount string) string {
	t.Helper()
	return e.fund(t, map[string]any{"chain": Ethereum, "address": address, "amount": amount, "asset": "token"})
}

func (e *Env) fund(t testing.TB, body map[string]any) string {
	t.Helper()
	var paid struct {
		Transaction string `json:"transaction"`
	}
	e.call(t, http.MethodPost, "fund", body, &paid)
	return paid.Transaction
}

// Mine adds blocks, the first of them with what waits in the pool.
func (e *Env) Mine(t testing.TB, chain Chain, blocks int) State {
	t.Helper()
	var s State
	e.call(t, http.MethodPost, "mine", map[string]any{"chain": chain, "blocks": blocks}, &s)
	return s
}

// Reorg replaces the newest depth blocks by depth+1 empty ones. Their
// transactions go back to the pool and wait for the next block.
func (e *Env) Reorg(t testing.TB, chain Chain, depth int) State {
	t.Helper()
	var s State
	e.call(t, http.MethodPost, "reorg", map[string]any{"chain": chain, "depth": depth}, &s)
	return s
}

// ReorgDrop is Reorg on Ethereum after which nobody knows the transactions of
// the replaced blocks any more. (A Bitcoin node cannot be made to forget.)
func (e *Env) ReorgDrop(t testing.TB, depth int) State {
	t.Helper()
	var s State
	e.call(t, http.MethodPost, "reorg", map[string]any{"chain": Ethereum, "depth": depth, "drop": true}, &s)
	return s
}

// Automine makes a block at each interval (10 ms at least) while transactions
// wait, and twelve more after the last that carried any; without empty blocks
// otherwise. An interval of 0 switches it off.
func (e *Env) Automine(t testing.TB, chain Chain, interval time.Duration) {
	t.Helper()
	e.call(t, http.MethodPost, "automine", map[string]any{
		"chain": chain, "on": interval > 0, "intervalMs": interval.Milliseconds(), "idleMs": -1,
	}, new(State))
}

// State returns where a chain stands.
func (e *Env) State(t testing.TB, chain Chain) State {
	t.Helper()
	states := map[Chain]State{}
	e.call(t, http.MethodGet, "state", nil, &states)
	return states[chain]
}

// call sends a request to the control interface and decodes its answer.
func (e *Env) call(t testing.TB, method, name string, body, answer any) {
	t.Helper()
	if err := e.try(t.Context(), method, name, body, answer); err != nil {
		t.Fatalf("test nodes: %s: %v", name, err)
	}
}

func (e *Env) try(ctx context.Context, method, name string, body, answer any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, e.control+"/"+name, bytes.NewReader(encoded))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d: %s", resp.StatusCode, bytes.TrimSpace(said))
	}
	return json.Unmarshal(said, answer)
}
