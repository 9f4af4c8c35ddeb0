// SPDX-License-Identifier: Apache-2.0

package btcnode

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/txscript/v2"
)

func open(t *testing.T) *Node {
	t.Helper()
	n, err := Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// addresses makes one fresh address of each kind.
func addresses(t *testing.T, params *chaincfg.Params) map[string]address.Address {
	t.Helper()
	key := must(btcec.NewPrivateKey())(t).PubKey()
	hash := address.Hash160(key.SerializeCompressed())
	taproot := txscript.ComputeTaprootKeyNoScript(key)
	return map[string]address.Address{
		"p2wpkh": must[address.Address](address.NewAddressWitnessPubKeyHash(hash, params))(t),
		"p2tr":   must[address.Address](address.NewAddressTaproot(taproot.SerializeCompressed()[1:], params))(t),
		"p2pkh":  must[address.Address](address.NewAddressPubKeyHash(hash, params))(t),
		"p2sh":   must[address.Address](address.NewAddressScriptHashFromHash(hash, params))(t),
	}
}

func TestFundMineReorg(t *testing.T) {
	t.Parallel()
	n := open(t)
	ids := map[string]string{}
	for kind, addr := range addresses(t, &chaincfg.RegressionNetParams) {
		ids[kind] = must(n.Fund(t.Context(), addr.EncodeAddress(), 123_456))(t)
	}
	depth := func(want int64, when string) {
		t.Helper()
		for kind, id := range ids {
			if got := must(n.Confirmations(t.Context(), id))(t); got != want {
				t.Errorf("%s, %s: got %d confirmations, want %d", kind, when, got, want)
			}
		}
	}
	depth(0, "before the block")
	if got := must(n.Pending(t.Context()))(t); got != len(ids) {
		t.Errorf("got %d waiting, want %d", got, len(ids))
	}
	hashes := must(n.Generate(t.Context(), 3))(t)
	if len(hashes) != 3 {
		t.Fatalf("got %d blocks", len(hashes))
	}
	depth(3, "mined")

	before, _, err := n.Height(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := must(n.Reorg(t.Context(), 5))(t); got != len(ids) {
		t.Errorf("%d transactions came back, want %d", got, len(ids))
	}
	if after, _, err := n.Height(t.Context()); err != nil || after != before+1 {
		t.Errorf("got height %d after the re-org of %d (%v)", after, before, err)
	}
	depth(0, "after the re-org")
	again := must(n.Generate(t.Context(), 2))(t)
	depth(2, "mined again")

	if err := n.Invalidate(t.Context(), again[0]); err != nil {
		t.Fatal(err)
	}
	depth(0, "block refused")
	if err := n.Mine(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	depth(1, "mined a third time")
	if _, err := n.Reorg(t.Context(), MaxReorg); err != nil {
		t.Fatal(err)
	}
	depth(0, "deepest re-org")
	must(n.Fund(t.Context(), n.faucet.address.EncodeAddress(), 120*1e8))(t) // more than two rewards: several inputs
	if err := n.Mine(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	depth(1, "mined at the end")
}

func TestFaucetKeepsAccount(t *testing.T) {
	t.Parallel()
	n := open(t)
	to := addresses(t, &chaincfg.RegressionNetParams)["p2tr"].EncodeAddress()
	for range 12 { // a chain of unconfirmed change
		must(n.Fund(t.Context(), to, 1e8))(t)
	}
	if err := n.Mine(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	must(n.Fund(t.Context(), to, 1800*1e8))(t)
	if _, err := n.Fund(t.Context(), to, 100*1e8); !errors.Is(err, ErrFaucetEmpty) {
		t.Fatalf("got error %v, want that the faucet is empty", err)
	}
	if err := n.Mine(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	must(n.Fund(t.Context(), to, 100*1e8))(t) // more rewards have matured
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	n := open(t)
	regtest := addresses(t, &chaincfg.RegressionNetParams)
	for name, act := range map[string]func() error{
		"no blocks":       func() error { return n.Mine(t.Context(), 0) },
		"too many blocks": func() error { return n.Mine(t.Context(), MaxMine+1) },
		"reorg nothing":   func() error { _, err := n.Reorg(t.Context(), 0); return err },
		"reorg too deep":  func() error { _, err := n.Reorg(t.Context(), MaxReorg+1); return err },
		"dust":            func() error { _, err := n.Fund(t.Context(), regtest["p2tr"].EncodeAddress(), dust-1); return err },
		"no address":      func() error { _, err := n.Fund(t.Context(), "bcrt1nonsense", 1e5); return err },
		"mainnet address": func() error {
			_, err := n.Fund(t.Context(), addresses(t, &chaincfg.MainNetParams)["p2wpkh"].EncodeAddress(), 1e5)
			return err
		},
		"unknown block":     func() error { return n.Invalidate(t.Context(), "00") },
		"unknown method":    func() error { return n.Call(t.Context(), nil, "makemoney") },
		"no transaction id": func() error { _, err := n.Confirmations(t.Context(), "xyz"); return err },
	} {
		if err := act(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, n.RPC(), http.NoBody))(t)
	resp := must(http.DefaultClient.Do(req))(t)
	if resp.Body.Close(); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("without password: got status %d", resp.StatusCode)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	t.Parallel()
	n, err := Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	pid, folder := n.PID(), n.process.folder
	for range 2 {
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// TestStartReportsEarlyEnd: a node that ends at once is an error with its own words, not a wait.
func TestStartReportsEarlyEnd(t *testing.T) {
	t.Parallel()
	script := t.TempDir() + "/node"
	if err := os.WriteFile(script, []byte("#!/bin/sh\necho no room >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	n := &Node{http: http.DefaultClient, faucet: must(newFaucet())(t)}
	begin := time.Now()
	err := n.launch(t.Context(), script)
	if err == nil || time.Since(begin) > startLimit/2 {
		t.Fatalf("got error %v after %s", err, time.Since(begin))
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	t.Log(err)
	n = &Node{http: http.DefaultClient, faucet: must(newFaucet())(t)}
	if err := n.launch(t.Context(), script+".missing"); err == nil || n.process != nil {
		t.Errorf("a program that is not there: got %v", err)
	}
}

func TestSweepRemovesOnlyWhatNobodyUses(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	for _, name := range []string{folderPrefix + "left", folderPrefix + "used", folderPrefix + "new", "other"} {
		if err := os.Mkdir(filepath.Join(parent, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if name == folderPrefix+"new" { // made, and not yet locked
			continue
		}
		unlock := must(lock(filepath.Join(parent, name, "lock"), 0))(t)
		if name == folderPrefix+"used" {
			defer unlock()
		} else {
			unlock()
		}
	}
	sweep(parent)
	left := must(filepath.Glob(filepath.Join(parent, "*")))(t)
	for i, path := range left {
		left[i] = filepath.Base(path)
	}
	if want := []string{"other", folderPrefix + "new", folderPrefix + "used"}; !slices.Equal(left, want) {
		t.Errorf("got %v, want %v", left, want)
	}
}
