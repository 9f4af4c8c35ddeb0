// SPDX-License-Identifier: Apache-2.0

package wallet_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/payload"
	"strongroom/internal/svc/wallet"
)

var usual = wallet.Rules{Deposit: 3, Change: 1, UnconfirmedChange: true}

// attempts is a list that the test holds.
type attempts []wallet.Attempt

func (a attempts) Attempts(context.Context, custody.WalletID) ([]wallet.Attempt, error) {
	return a, nil
}

func (b *bench) funds(t testing.TB, a attempts, r wallet.Rules) wallet.Funds {
	t.Helper()
	f, err := b.scanner.Funds(t.Context(), b.w.ID, a, r)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// build makes a payload for a payment of value to an address of nobody's.
func (b *bench) build(t testing.TB, f wallet.Funds, value uint64, change uint32) []byte {
	t.Helper()
	body := request.TransferBody{
		Wallet: b.w.ID, Asset: b.w.Chain.Native(), FeeCap: custody.U64(100_000),
		Outputs: []request.Output{{Address: "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", Amount: custody.U64(value)}},
	}
	_, asked := b.core.Transfer(t, body)
	p, err := payload.Bitcoin(payload.BitcoinInput{Asked: asked, Funds: f, NextChange: change, Rate: 2000, Derive: authority.Derive})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func decode(t testing.TB, p []byte) btc.PSBT {
	t.Helper()
	d, err := btc.DecodePSBT(p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// mined gives the transaction of a payload as a block has it.
func mined(t testing.TB, p []byte) chain.BitcoinTx {
	d := decode(t, p)
	tx := chain.BitcoinTx{ID: d.Tx.TxID(), Outputs: d.Tx.Outputs, Stripped: d.Tx.Encode()}
	for _, in := range d.Tx.Inputs {
		tx.Inputs = append(tx.Inputs, in.OutPoint)
	}
	return tx
}

func states(f wallet.Funds) map[wallet.FundState]int {
	out := map[wallet.FundState]int{}
	for _, c := range f.Coins {
		out[c.State]++
	}
	return out
}

func wantStates(t testing.TB, f wallet.Funds, want map[wallet.FundState]int) {
	t.Helper()
	if got := states(f); !maps.Equal(got, want) {
		t.Fatalf("got states %v, want %v: %+v", got, want, f.Coins)
	}
}

func TestFundsConfirm(t *testing.T) {
	t.Parallel()
	b := newBench(t, request.SchemeP2TR)
	coinbase := b.pay(t, b.w, 0, 0, 50_000)
	coinbase.Coinbase = true
	b.blocks.Add(coinbase)
	b.blocks.Add(b.pay(t, b.w, 0, 0, 10_000), b.pay(t, b.w, 1, 0, 3_000))
	b.sync(t)
	f := b.funds(t, nil, usual)
	wantStates(t, f, map[wallet.FundState]int{wallet.Immature: 1, wallet.Confirming: 1, wallet.Spendable: 1})
	want := wallet.Balance{Confirmed: 63_000, Spendable: 3_000, Confirming: 10_000, Immature: 50_000}
	if got := f.Balance(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for range 2 {
		b.blocks.Add()
	}
	b.sync(t)
	wantStates(t, b.funds(t, nil, usual), map[wallet.FundState]int{wallet.Immature: 1, wallet.Spendable: 2})
	for range wallet.Maturity - 4 {
		b.blocks.Add()
	}
	b.sync(t)
	wantStates(t, b.funds(t, nil, usual), map[wallet.FundState]int{wallet.Immature: 1, wallet.Spendable: 2})
	b.blocks.Add()
	b.sync(t)
	wantStates(t, b.funds(t, nil, usual), map[wallet.FundState]int{wallet.Spendable: 3})
}

func TestFundsOfAttempts(t *testing.T) {
	t.Parallel()
	for _, scheme := range []request.Scheme{request.SchemeP2WPKH, request.SchemeP2TR} {
		t.Run(string(scheme), func(t *testing.T) { t.Parallel(); fundsOfAttempts(t, scheme) })
	}
}

func fundsOfAttempts(t *testing.T, scheme request.Scheme) {
	b := newBench(t, scheme)
	d, err := authority.Derive(b.w, entry.KeyPath{})
	if err != nil {
		t.Fatal(err)
	}
	deposit := btc.UnsignedTx{Version: 2, Inputs: []btc.TxIn{{OutPoint: btc.OutPoint{TxID: btc.TxID{7}}}}, Outputs: []btc.TxOut{{Value: 100_000, Script: d.Script}}}
	b.blocks.Add(chain.BitcoinTx{ID: deposit.TxID(), Outputs: deposit.Outputs, Stripped: deposit.Encode()})
	for range 3 {
		b.blocks.Add()
	}
	b.sync(t)
	first := b.build(t, b.funds(t, nil, usual), 20_000, 0)
	change := decode(t, first).Tx.Outputs[1].Value

	// Not handed to a node yet: reserved, and the change is no money yet.
	f := b.funds(t, attempts{{Payload: first, Number: 1}}, usual)
	wantStates(t, f, map[wallet.FundState]int{wallet.Reserved: 1, wallet.Unconfirmed: 1})
	released := attempts{{Payload: first, Number: 1, Released: true}}
	f = b.funds(t, released, usual)
	wantStates(t, f, map[wallet.FundState]int{wallet.Reserved: 1, wallet.Spendable: 1})
	if got, want := f.Balance(), (wallet.Balance{Confirmed: 100_000, Spendable: change, Reserved: 100_000}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	wantStates(t, b.funds(t, released, wallet.Rules{Deposit: 3, Change: 1}), map[wallet.FundState]int{wallet.Reserved: 1, wallet.Unconfirmed: 1})

	// A second transfer spends that change; the list comes in any order.
	second := b.build(t, f, 5_000, 1)
	both := attempts{{Payload: second, Number: 1, Released: true}, released[0]}
	f = b.funds(t, both, usual)
	wantStates(t, f, map[wallet.FundState]int{wallet.Reserved: 2, wallet.Spendable: 1})
	for id, want := range map[btc.TxID]bool{decode(t, first).Tx.TxID(): true, decode(t, second).Tx.TxID(): false} {
		if got, err := wallet.HasChild(both, id); err != nil || got != want {
			t.Errorf("child of %s: got %v (%v), want %v", id, got, err, want)
		}
	}

	// A replacement competes: the change of neither is sure, and so is nothing that hangs on it.
	rival := attempts{both[0], both[1], {Payload: b.rival(t, first), Number: 2, Released: true}}
	wantStates(t, b.funds(t, rival, usual), map[wallet.FundState]int{wallet.Reserved: 2, wallet.Unconfirmed: 2})

	// Mined: what the block has comes from the block, also while the attempts are still listed.
	b.blocks.Add(mined(t, first))
	b.sync(t)
	f = b.funds(t, both, usual)
	wantStates(t, f, map[wallet.FundState]int{wallet.Reserved: 1, wallet.Spendable: 1})
	b.blocks.Add(mined(t, second))
	b.sync(t)
	wantStates(t, b.funds(t, both, usual), map[wallet.FundState]int{wallet.Spendable: 1})
	wantStates(t, b.funds(t, nil, usual), map[wallet.FundState]int{wallet.Spendable: 1})

	// The chain turns: they wait again.
	b.blocks.Drop(2)
	b.blocks.Add()
	b.sync(t)
	wantStates(t, b.funds(t, both, usual), map[wallet.FundState]int{wallet.Reserved: 2, wallet.Spendable: 1})
}

// rival gives a replacement with less change.
func (b *bench) rival(t testing.TB, p []byte) []byte {
	t.Helper()
	d := decode(t, p)
	d.Tx.Outputs[1].Value -= 1000
	out, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFundsRefuses(t *testing.T) {
	t.Parallel()
	b := newBench(t, request.SchemeP2TR)
	if _, err := b.scanner.Funds(t.Context(), "nobody", attempts(nil), usual); !errors.Is(err, wallet.ErrNotWatched) {
		t.Errorf("got %v", err)
	}
	if _, err := b.scanner.Funds(t.Context(), b.w.ID, attempts(nil), wallet.Rules{}); err == nil {
		t.Error("rules without confirmations were taken")
	}
	if _, err := b.scanner.Funds(t.Context(), b.w.ID, attempts{{Payload: []byte("x")}}, usual); !errors.Is(err, btc.ErrMagic) {
		t.Errorf("got %v", err)
	}
	if _, err := wallet.HasChild([]wallet.Attempt{{Payload: []byte("x")}}, btc.TxID{}); !errors.Is(err, btc.ErrMagic) {
		t.Errorf("got %v", err)
	}
}

// held answers balances from a map.
type held map[string]uint64

func (h held) BalanceOf(_ context.Context, a custody.AssetID, address string) (custody.Uint256, error) {
	v, ok := h[string(a)+" "+address]
	if !ok {
		return custody.Uint256{}, errors.New("unknown")
	}
	return custody.U64(v), nil
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	b := newBench(t, request.SchemeP2TR)
	w := b.core.AddWallet(t, "evm", "eip155:1", request.SchemeEVM)
	node := held{}
	for i := range uint32(3) {
		d, err := authority.Derive(w, entry.KeyPath{Index: i})
		if err != nil {
			t.Fatal(err)
		}
		node["eip155:1/slip44:60 "+d.Address] = uint64(i) + 1
	}
	got, err := wallet.Accounts(t.Context(), node, authority.Derive, w, 1, 2, []custody.AssetID{"eip155:1/slip44:60"})
	if err != nil || len(got) != 2 || got[0].Index != 1 || got[1].Amounts[0].Amount != custody.U64(3) {
		t.Errorf("got %+v, %v", got, err)
	}
	for want, err := range map[string]error{
		"unknown":              second(wallet.Accounts(t.Context(), node, authority.Derive, w, 3, 1, []custody.AssetID{"eip155:1/slip44:60"})),
		"accounts are of Ethe": second(wallet.Accounts(t.Context(), node, authority.Derive, b.w, 0, 1, nil)),
		"is not":               second(wallet.Accounts(t.Context(), node, authority.Derive, w, 0, 1, []custody.AssetID{"eip155:2/slip44:60"})),
		"neither":              second(wallet.Accounts(t.Context(), node, authority.Derive, w, 0, 1, []custody.AssetID{"eip155:1/slip44:0"})),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func second[T any](_ T, err error) error { return err }
