// SPDX-License-Identifier: Apache-2.0

package nodestest

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	alice  = "0x00000000000000000000000000000000000a11ce"
	wallet = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080" // BIP-173's first program, on regtest
)

// rpc calls a node and returns its result as JSON.
func rpc(t *testing.T, url, user, pass, method, params string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url,
		strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":[`+params+`]}`))
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
		Result json.RawMessage `json:"result"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		t.Fatalf("%s: %v", method, err)
	}
	return string(answer.Result)
}

func TestAlone(t *testing.T) {
	t.Parallel()
	e := StartAlone(t)
	if e.ChainID != 1337 || e.TokenDecimals != 6 || e.TokenSymbol == "" || !strings.HasPrefix(e.Token, "0x") {
		t.Errorf("got %+v", e)
	}
	eth := func(method, params string) string { return rpc(t, e.EthRPC, "", "", method, params) }
	btc := func(method, params string) string { return rpc(t, e.BtcRPC, e.BtcUser, e.BtcPass, method, params) }

	e.Fund(t, Ethereum, alice, "1000000000000000000")
	if got := eth("eth_getBalance", `"`+alice+`","latest"`); got != `"0xde0b6b3a7640000"` {
		t.Errorf("ether: got %s", got)
	}
	token := e.FundToken(t, alice, "7")
	if got := eth("eth_getTransactionReceipt", `"`+token+`"`); !strings.Contains(got, `"status":"0x1"`) {
		t.Errorf("token: got %s", got)
	}
	if s := e.Reorg(t, Ethereum, 1); s.Pending != 1 || eth("eth_getTransactionReceipt", `"`+token+`"`) != "null" {
		t.Errorf("after the re-org: %+v", s)
	}
	e.Mine(t, Ethereum, 1)
	if s := e.ReorgDrop(t, 1); s.Pending != 0 || eth("eth_getTransactionByHash", `"`+token+`"`) != "null" {
		t.Errorf("after dropping: %+v", s)
	}

	before := e.State(t, Bitcoin)
	id := e.FundPending(t, Bitcoin, wallet, "50000")
	if got := btc("getrawmempool", ""); got != `["`+id+`"]` {
		t.Errorf("pool: got %s", got)
	}
	if s := e.Mine(t, Bitcoin, 2); s.Height != before.Height+2 || s.Pending != 0 {
		t.Errorf("mined: got %+v after %+v", s, before)
	}
	if s := e.Reorg(t, Bitcoin, 2); s.Height != before.Height+3 || s.Pending != 1 {
		t.Errorf("after the re-org: got %+v", s)
	}
	e.Automine(t, Bitcoin, 10*time.Millisecond)
	for deadline := time.Now().Add(time.Minute); e.State(t, Bitcoin).Height < before.Height+3+13; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no blocks by themselves: %+v", e.State(t, Bitcoin))
		}
	}
	e.Automine(t, Bitcoin, 0)
}

func TestSharedIsOne(t *testing.T) {
	t.Parallel()
	first, second := Start(t), Start(t)
	if first != second {
		t.Error("two processes")
	}
	first.Mine(t, Ethereum, 1)
}

func TestRefusalIsAnError(t *testing.T) {
	t.Parallel()
	e := Start(t)
	err := e.try(t.Context(), http.MethodPost, "mine", map[string]any{"chain": "dogecoin", "blocks": 1}, new(State))
	if err == nil || !strings.Contains(err.Error(), "dogecoin") {
		t.Errorf("got %v", err)
	}
}

func TestBuildFailureIsAnError(t *testing.T) {
	t.Parallel()
	source, cache := t.TempDir(), t.TempDir()
	missing := filepath.Join(source, "missing")
	if err := dependOn(missing); err == nil {
		t.Error("found a module that is not there")
	}
	if _, err := build(missing, cache); err == nil {
		t.Error("built a module that is not there")
	}
	main := filepath.Join(source, "cmd", "devnet")
	if err := os.MkdirAll(main, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		filepath.Join(source, "go.mod"): "module x\n\ngo 1.26\n",
		filepath.Join(main, "main.go"):  "package main\n\nfunc main() { broken }\n",
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := build(source, cache); err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("got %v, want the compiler's words", err)
	}
}

func TestDescriptionIsStrict(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{
		"no JSON":         "hello",
		"unknown field":   `{"bitcoin":{"network":"regtest"},"solana":{}}`,
		"another network": `{"bitcoin":{"network":"mainnet"}}`,
	} {
		if _, err := describe([]byte(line)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
