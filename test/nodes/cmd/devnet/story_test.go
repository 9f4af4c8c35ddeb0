// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"strongroom/test/nodes/devnet"
)

// rpc calls a node as a stranger would: plain JSON-RPC over HTTP.
func rpc[T any](t *testing.T, url, user, pass, method string, params ...any) T {
	t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if user != "" {
		req.SetBasicAuth(user, pass)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Result T   `json:"result"`
		Error  any `json:"error"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Error != nil {
		t.Fatalf("%s: %v, %v", method, answer.Error, err)
	}
	return answer.Result
}

// TestStory funds, mines and re-orgs both chains from outside.
func TestStory(t *testing.T) {
	t.Parallel()
	r := start(t)
	const alice = "0x00000000000000000000000000000000000a11ce"
	const wallet = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080" // BIP-173's first program, on regtest
	eth := func(method string, params ...any) any { return rpc[any](t, r.Ethereum.RPC, "", "", method, params...) }
	tokens := func() any {
		return eth("eth_call", map[string]any{"to": r.Ethereum.Token, "data": "0x70a08231" + strings.Repeat("0", 24) + alice[2:]}, "latest")
	}
	depth := func(id string) int {
		tx := rpc[struct {
			Confirmations int `json:"confirmations"`
		}](t, r.Bitcoin.RPC, r.Bitcoin.User, r.Bitcoin.Pass, "getrawtransaction", id, 1)
		return tx.Confirmations
	}
	var paid devnet.FundAnswer
	var at devnet.ChainState

	r.call(t, &paid, "fund", "--chain", "ethereum", "--address", alice, "--amount", "1000000000000000000")
	if got := eth("eth_getBalance", alice, "latest"); got != "0xde0b6b3a7640000" {
		t.Errorf("ether: got %v", got)
	}
	r.call(t, &paid, "fund", "--chain", "ethereum", "--address", alice, "--amount", "2500000", "--asset", "token", "--pending")
	if got := tokens(); got != "0x"+strings.Repeat("0", 64) {
		t.Errorf("tokens before the block: got %v", got)
	}
	r.call(t, &at, "mine", "--chain", "ethereum", "--blocks", "3")
	if got := tokens(); got != fmt.Sprintf("0x%064x", 2500000) || at.Pending != 0 {
		t.Errorf("tokens: got %v, state %+v", got, at)
	}
	r.call(t, &at, "reorg", "--chain", "ethereum", "--depth", "3")
	if got := eth("eth_getTransactionReceipt", paid.Transaction); got != nil || at.Pending != 1 {
		t.Errorf("after the re-org: receipt %v, state %+v", got, at)
	}
	r.call(t, &at, "reorg", "--chain", "ethereum", "--depth", "1", "--drop")
	if got := eth("eth_getTransactionByHash", paid.Transaction); got != nil || at.Pending != 0 {
		t.Errorf("after dropping: transaction %v, state %+v", got, at)
	}

	r.call(t, &paid, "fund", "--chain", "bitcoin", "--address", wallet, "--amount", "150000")
	r.call(t, &at, "mine", "--chain", "bitcoin", "--blocks", "5")
	if got := depth(paid.Transaction); got != 6 {
		t.Errorf("bitcoin: got %d confirmations, want 6", got)
	}
	r.call(t, &at, "reorg", "--chain", "bitcoin", "--depth", "6")
	if got := depth(paid.Transaction); got != 0 || at.Pending != 1 {
		t.Errorf("bitcoin after the re-org: %d confirmations, state %+v", got, at)
	}

	for _, chain := range []string{"bitcoin", "ethereum"} { // twelve confirmations without a call
		var s devnet.State
		state := func() devnet.ChainState {
			r.call(t, &s, "state")
			return map[string]devnet.ChainState{"bitcoin": s.Bitcoin, "ethereum": s.Ethereum}[chain]
		}
		before := state().Height
		r.call(t, &paid, "fund", "--chain", chain, "--address", map[string]string{"bitcoin": wallet, "ethereum": alice}[chain],
			"--amount", "20000", "--pending")
		r.call(t, &at, "automine", "--chain", chain, "--interval", "20ms", "--idle", "-1s")
		if !at.Automine.On || at.Automine.IntervalMs != 20 || at.Automine.IdleMs != 0 {
			t.Errorf("%s: got %+v", chain, at.Automine)
		}
		eventually(t, chain+" mines by itself", func() bool { at = state(); return at.Height >= before+12 && at.Pending == 0 })
		r.call(t, &at, "automine", "--chain", chain, "--on=false")
		if at.Automine.On || at.Automine.Error != "" {
			t.Errorf("%s: got %+v", chain, at.Automine)
		}
	}
	onlyLoopback(t, r.cmd.Process.Pid, 3)
}

// onlyLoopback checks every listening TCP socket and every UDP socket of a
// process and of its children: exactly want of them, all on 127.0.0.1.
func onlyLoopback(t *testing.T, pid, want int) {
	t.Helper()
	owned := map[string]bool{} // inodes
	for todo := []string{strconv.Itoa(pid)}; len(todo) > 0; todo = todo[1:] {
		fds, err := filepath.Glob("/proc/" + todo[0] + "/fd/*")
		if err != nil || len(fds) == 0 {
			t.Fatalf("process %s has no open files (%v)", todo[0], err)
		}
		for _, fd := range fds {
			target, _ := os.Readlink(fd) // an fd closed meanwhile is no socket that listens
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				owned[strings.TrimSuffix(inode, "]")] = true
			}
		}
		children, err := filepath.Glob("/proc/" + todo[0] + "/task/*/children")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range children {
			ids, _ := os.ReadFile(file) // a thread may have ended
			todo = append(todo, strings.Fields(string(ids))...)
		}
	}
	found := 0
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6"} {
		content, err := os.ReadFile("/proc/net/" + table)
		if os.IsNotExist(err) {
			continue // the kernel has no IPv6
		} else if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(content)) {
			f := strings.Fields(line) // sl local remote state … inode is the tenth
			if len(f) < 10 || !owned[f[9]] || strings.HasPrefix(table, "tcp") && f[3] != "0A" {
				continue
			}
			found++
			address, _, _ := strings.Cut(f[1], ":")
			if raw, err := hex.DecodeString(address); err != nil || len(raw) != 4 || raw[3] != 127 { // little-endian
				t.Errorf("a %s socket is bound to %s", table, f[1])
			}
		}
	}
	if found != want {
		t.Errorf("found %d listening sockets, want %d", found, want)
	}
}

// TestControlRefusals: what is wrong is refused with a reason and changes nothing.
func TestControlRefusals(t *testing.T) {
	t.Parallel()
	r := start(t)
	const fund = `{"chain":"ethereum","address":"0x00000000000000000000000000000000000a11ce","amount":"%s"}`
	var before, after devnet.State
	r.call(t, &before, "state")
	for _, test := range []struct {
		name, path, body string
		header           map[string]string
		status           int
	}{
		{"unknown field", "/mine", `{"chain":"bitcoin","blocks":1,"x":1}`, nil, 400},
		{"two values", "/mine", `{"chain":"bitcoin","blocks":1}{}`, nil, 400},
		{"no JSON", "/mine", `blocks`, nil, 400},
		{"too large", "/mine", `{"chain":"` + strings.Repeat("x", 20000) + `"}`, nil, 400},
		{"unknown chain", "/mine", `{"chain":"dogecoin","blocks":1}`, nil, 400},
		{"unknown chain to fund", "/fund", `{"chain":"dogecoin","address":"x","amount":"1"}`, nil, 400},
		{"unknown chain to re-org", "/reorg", `{"chain":"dogecoin","depth":1}`, nil, 400},
		{"unknown chain to automine", "/automine", `{"chain":"dogecoin","on":true}`, nil, 400},
		{"no amount", "/fund", fmt.Sprintf(fund, ""), nil, 400},
		{"amount zero", "/fund", fmt.Sprintf(fund, "0"), nil, 400},
		{"amount with sign", "/fund", fmt.Sprintf(fund, "+1"), nil, 400},
		{"amount with exponent", "/fund", fmt.Sprintf(fund, "1e3"), nil, 400},
		{"amount with point", "/fund", fmt.Sprintf(fund, "1.0"), nil, 400},
		{"amount too long", "/fund", fmt.Sprintf(fund, strings.Repeat("9", 79)), nil, 400},
		{"amount as number", "/fund", `{"chain":"ethereum","address":"0x00000000000000000000000000000000000a11ce","amount":1}`, nil, 400},
		{"more than the faucet has", "/fund", fmt.Sprintf(fund, strings.Repeat("9", 70)), nil, 500},
		{"no address", "/fund", `{"chain":"ethereum","address":"0x12","amount":"1"}`, nil, 400},
		{"token on bitcoin", "/fund", `{"chain":"bitcoin","address":"x","amount":"1","asset":"token"}`, nil, 400},
		{"more satoshi than there are", "/fund", `{"chain":"bitcoin","address":"x","amount":"99999999999999999999"}`, nil, 400},
		{"address of another network", "/fund", `{"chain":"bitcoin","address":"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4","amount":"100000"}`, nil, 500},
		{"drop on bitcoin", "/reorg", `{"chain":"bitcoin","depth":1,"drop":true}`, nil, 400},
		{"re-org too deep", "/reorg", `{"chain":"bitcoin","depth":65}`, nil, 500},
		{"interval too short", "/automine", `{"chain":"bitcoin","on":true,"intervalMs":1}`, nil, 400},
		{"from a form", "/mine", `{"chain":"bitcoin","blocks":1}`, map[string]string{"Content-Type": "text/plain"}, 400},
		{"through another name", "/mine", `{"chain":"bitcoin","blocks":1}`, map[string]string{"Host": "evil.example"}, 400},
		{"unknown path", "/dance", `{}`, nil, 404},
	} {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.Control+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			for k, v := range test.header {
				req.Header.Set(k, v)
			}
			if host, ok := test.header["Host"]; ok {
				req.Host = host
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			said, err := io.ReadAll(resp.Body)
			if err != nil || resp.StatusCode != test.status {
				t.Fatalf("got status %d, want %d: %s (%v)", resp.StatusCode, test.status, said, err)
			}
			if test.status != 404 && !bytes.Contains(said, []byte(`{"error":"`)) {
				t.Errorf("no reason given: %s", said)
			}
		})
	}
	r.call(t, &after, "state")
	if before != after {
		t.Errorf("the state changed from %+v to %+v", before, after)
	}
}
