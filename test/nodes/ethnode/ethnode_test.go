// SPDX-License-Identifier: Apache-2.0

package ethnode

import (
	"errors"
	"math/big"
	"sync"
	"testing"

	"github.com/ethereum/go-ethereum"
	"github.com/ethereum/go-ethereum/accounts/abi/bind/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/params"

	"strongroom/test/nodes/testtoken"
)

// open starts a node and dials it over HTTP, as a product would.
func open(t *testing.T, cfg Config) (*Node, *ethclient.Client) {
	t.Helper()
	n, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	client, err := ethclient.DialContext(t.Context(), n.RPC())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return n, client
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

func TestChain(t *testing.T) {
	t.Parallel()
	if chainConfig(1).BogotaTime != nil {
		t.Error("the chain goes beyond Osaka")
	}
	if got := chainConfig(1).OsakaTime; got == nil || *got != 0 {
		t.Error("the chain does not start at Osaka")
	}
	if *params.AllDevChainProtocolChanges.BogotaTime != 0 {
		t.Error("go-ethereum's own configuration was changed")
	}
	for _, test := range []struct {
		cfg  Config
		want uint64
	}{{Config{}, DefaultChainID}, {Config{ChainID: 31415}, 31415}} {
		_, client := open(t, test.cfg)
		if got := must(client.ChainID(t.Context()))(t); got.Uint64() != test.want {
			t.Errorf("got chain id %s, want %d", got, test.want)
		}
	}
}

func TestFundMineReorg(t *testing.T) {
	t.Parallel()
	n, client := open(t, Config{})
	to := common.HexToAddress("0x00000000000000000000000000000000000a11ce")
	wei := big.NewInt(params.Ether)
	balance := func() *big.Int { return must(client.BalanceAt(t.Context(), to, nil))(t) }

	if err := n.Mine(t.Context(), 33); err != nil { // so that the re-orgs below cross a finalized block
		t.Fatal(err)
	}
	hash := must(n.Fund(t.Context(), to, wei))(t)
	if waiting := must(n.Pending(t.Context()))(t); waiting != 1 || balance().Sign() != 0 {
		t.Fatalf("before the block: %d waiting, balance %s", waiting, balance())
	}
	if err := n.Mine(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if balance().Cmp(wei) != 0 {
		t.Fatalf("got balance %s, want %s", balance(), wei)
	}
	before := must(client.TransactionReceipt(t.Context(), hash))(t)

	if back := must(n.Reorg(t.Context(), 5, false))(t); back != 1 {
		t.Fatalf("%d transactions came back, want 1", back)
	}
	if height, _ := n.Height(); height != 36 {
		t.Fatalf("got height %d after the re-org, want 36", height)
	}
	if _, err := client.TransactionReceipt(t.Context(), hash); !errors.Is(err, ethereum.NotFound) {
		t.Fatalf("receipt after the re-org: got error %v, want not found", err)
	}
	if _, pending, err := client.TransactionByHash(t.Context(), hash); err != nil || !pending {
		t.Fatalf("transaction after the re-org: pending %v, error %v", pending, err)
	}
	if err := n.Mine(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	after := must(client.TransactionReceipt(t.Context(), hash))(t)
	if after.BlockHash == before.BlockHash || after.BlockNumber.Uint64() != 37 {
		t.Fatalf("got block %s (%s) after the re-org", after.BlockNumber, after.BlockHash)
	}

	if back := must(n.Reorg(t.Context(), 1, true))(t); back != 0 {
		t.Fatalf("%d transactions came back, want none", back)
	}
	if _, _, err := client.TransactionByHash(t.Context(), hash); !errors.Is(err, ethereum.NotFound) {
		t.Fatalf("dropped transaction: got error %v, want not found", err)
	}
	must(n.Fund(t.Context(), to, wei))(t) // the nonce is free again
	if err := n.Mine(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if balance().Cmp(wei) != 0 {
		t.Fatalf("got balance %s at the end, want %s", balance(), wei)
	}
}

func TestReorgKeepsOrderOfNonces(t *testing.T) {
	t.Parallel()
	n, client := open(t, Config{})
	to := common.HexToAddress("0x00000000000000000000000000000000000b0b00")
	var hashes []common.Hash
	for range 3 { // one a block, and a last one that waits
		hashes = append(hashes, must(n.Fund(t.Context(), to, big.NewInt(1)))(t))
		if err := n.Mine(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
	}
	hashes = append(hashes, must(n.Fund(t.Context(), to, big.NewInt(1)))(t))
	if back := must(n.Reorg(t.Context(), 3, false))(t); back != 4 {
		t.Fatalf("%d transactions came back, want 4", back)
	}
	if err := n.Mine(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for i, hash := range hashes {
		if r := must(client.TransactionReceipt(t.Context(), hash))(t); r.TransactionIndex != uint(i) {
			t.Errorf("transaction %d is at index %d of block %s", i, r.TransactionIndex, r.BlockNumber)
		}
	}
}

// TestTogether: callers of everything at once get answers, and no payment is lost.
func TestTogether(t *testing.T) {
	t.Parallel()
	n, client := open(t, Config{})
	if err := n.Mine(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	to := common.HexToAddress("0x0000000000000000000000000000000000ca401e")
	const rounds = 30
	var wg sync.WaitGroup
	for _, act := range []func() error{
		func() error { _, err := n.Fund(t.Context(), to, big.NewInt(1)); return err },
		func() error { return n.Mine(t.Context(), 1) },
		func() error { _, err := n.Pending(t.Context()); return err },
		func() error { _, err := n.Pending(t.Context()); return err },
		func() error { _, err := n.Reorg(t.Context(), 2, false); return err },
	} {
		wg.Go(func() {
			for range rounds {
				if err := act(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := n.Mine(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if got := must(client.BalanceAt(t.Context(), to, nil))(t); got.Int64() != rounds {
		t.Errorf("got balance %s, want %d", got, rounds)
	}
}

func TestToken(t *testing.T) {
	t.Parallel()
	n, client := open(t, Config{})
	address := must(n.DeployToken(t.Context()))(t)
	code := must(testtoken.Load())(t)
	token := bind.NewBoundContract(address, code.ABI, client, client, client)
	read := func(method string, args ...any) any {
		t.Helper()
		var out []any
		if err := token.Call(&bind.CallOpts{Context: t.Context()}, &out, method, args...); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		return out[0]
	}
	if read("name") != testtoken.Name || read("symbol") != testtoken.Symbol || read("decimals") != uint8(testtoken.Decimals) {
		t.Errorf("got %v, %v, %v decimals", read("name"), read("symbol"), read("decimals"))
	}
	supply := new(big.Int).Mul(big.NewInt(tokenSupply), big.NewInt(1_000_000))
	if read("totalSupply").(*big.Int).Cmp(supply) != 0 || read("balanceOf", n.Faucet()).(*big.Int).Cmp(supply) != 0 {
		t.Errorf("got supply %s", read("totalSupply"))
	}

	// Alice gets tokens and ether for gas; everything from here is signed by her or Bob.
	alice, bob := must(crypto.GenerateKey())(t), must(crypto.GenerateKey())(t)
	aliceAddr, bobAddr := crypto.PubkeyToAddress(alice.PublicKey), crypto.PubkeyToAddress(bob.PublicKey)
	// mined gives a receipt; on a busy machine a block may be sealed before the transaction is in it.
	mined := func(hash common.Hash) *types.Receipt {
		t.Helper()
		for range 20 {
			if r, err := client.TransactionReceipt(t.Context(), hash); err == nil {
				return r
			}
			if err := n.Mine(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
		}
		t.Fatalf("transaction %s is in none of 20 blocks", hash)
		return nil
	}
	for _, a := range []common.Address{aliceAddr, bobAddr} {
		mined(must(n.Fund(t.Context(), a, big.NewInt(params.Ether)))(t))
	}
	mined(must(n.FundToken(t.Context(), address, aliceAddr, big.NewInt(1000)))(t))
	send := func(opts *bind.TransactOpts, method string, args ...any) *types.Receipt {
		t.Helper()
		opts.GasLimit = 200_000 // no estimate: a transaction that reverts shall be mined
		tx, err := token.Transact(opts, method, args...)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		return mined(tx.Hash())
	}
	by := bind.NewKeyedTransactor(alice, n.chainID)
	byBob := bind.NewKeyedTransactor(bob, n.chainID)
	for _, step := range []struct {
		name   string
		opts   *bind.TransactOpts
		method string
		args   []any
		event  string // empty: reverts
	}{
		{"transfer", by, "transfer", []any{bobAddr, big.NewInt(300)}, "Transfer"},
		{"more than held", by, "transfer", []any{bobAddr, big.NewInt(701)}, ""},
		{"to nobody", by, "transfer", []any{common.Address{}, big.NewInt(1)}, ""},
		{"without allowance", byBob, "transferFrom", []any{aliceAddr, bobAddr, big.NewInt(1)}, ""},
		{"approve", by, "approve", []any{bobAddr, big.NewInt(50)}, "Approval"},
		{"within allowance", byBob, "transferFrom", []any{aliceAddr, bobAddr, big.NewInt(20)}, "Transfer"},
		{"above what is left", byBob, "transferFrom", []any{aliceAddr, bobAddr, big.NewInt(31)}, ""},
	} {
		r := send(step.opts, step.method, step.args...)
		if step.event == "" {
			if r.Status != types.ReceiptStatusFailed || len(r.Logs) != 0 {
				t.Errorf("%s: got status %d and %d logs, want a revert", step.name, r.Status, len(r.Logs))
			}
			continue
		}
		if r.Status != types.ReceiptStatusSuccessful || len(r.Logs) != 1 || r.Logs[0].Topics[0] != code.ABI.Events[step.event].ID {
			t.Errorf("%s: got status %d and logs %v, want one %s", step.name, r.Status, r.Logs, step.event)
		}
	}
	for name, want := range map[string]struct {
		got  any
		want int64
	}{
		"alice":     {read("balanceOf", aliceAddr), 680},
		"bob":       {read("balanceOf", bobAddr), 320},
		"allowance": {read("allowance", aliceAddr, bobAddr), 30},
	} {
		if want.got.(*big.Int).Int64() != want.want {
			t.Errorf("%s: got %s, want %d", name, want.got, want.want)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	n, _ := open(t, Config{})
	for name, act := range map[string]func() error{
		"no blocks":       func() error { return n.Mine(t.Context(), 0) },
		"too many blocks": func() error { return n.Mine(t.Context(), MaxMine+1) },
		"reorg nothing":   func() error { _, err := n.Reorg(t.Context(), 0, false); return err },
		"reorg genesis":   func() error { _, err := n.Reorg(t.Context(), 1, false); return err },
		"reorg too deep":  func() error { _, err := n.Reorg(t.Context(), MaxReorg+1, false); return err },
		"fund nothing":    func() error { _, err := n.Fund(t.Context(), common.Address{1}, new(big.Int)); return err },
		"token not there": func() error {
			_, err := n.FundToken(t.Context(), common.Address{1}, common.Address{1}, new(big.Int))
			return err
		},
		"beyond the faucet": func() error { _, err := n.Fund(t.Context(), common.Address{1}, n.faucet.balance()); return err },
	} {
		if err := act(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Mine(t.Context(), 1); err == nil {
		t.Error("a closed node mined")
	}
}
