// SPDX-License-Identifier: Apache-2.0

package payload_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/payload"
	"strongroom/internal/svc/payload/payloadtest"
	"strongroom/internal/svc/wallet"
)

// payees are addresses of nobody's, one of each kind.
var payees = []string{
	"bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
	"bcrt1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqc8gma6",
	"mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn",
	"2MzQwSSnBHWHqSAqtTVQ6v47XtaisrJa1Vc",
}

// fund makes a coin of a wallet with a transaction that pays it.
func fund(t testing.TB, c *payloadtest.Core, w entry.Wallet, n int, key entry.KeyPath, value btc.Sat) wallet.Fund {
	t.Helper()
	d, err := c.Derive(w, key)
	if err != nil {
		t.Fatal(err)
	}
	tx := btc.UnsignedTx{
		Version: 2, Outputs: []btc.TxOut{{Value: value, Script: d.Script}},
		Inputs: []btc.TxIn{{OutPoint: btc.OutPoint{TxID: btc.TxID(sha256.Sum256(fmt.Append(nil, n)))}}},
	}
	coin := wallet.Coin{Wallet: w.ID, OutPoint: btc.OutPoint{TxID: tx.TxID()}, Output: tx.Outputs[0], Key: key, Height: 1}
	if w.Scheme == request.SchemeP2WPKH {
		coin.PrevTx = tx.Encode()
	}
	return wallet.Fund{Coin: coin, Depth: 10, State: wallet.Spendable}
}

// purse is funds of a new wallet with coins of some values.
func purse(t testing.TB, c *payloadtest.Core, id custody.WalletID, scheme request.Scheme, values ...btc.Sat) wallet.Funds {
	t.Helper()
	f := wallet.Funds{Wallet: c.AddWallet(t, id, custody.BitcoinRegtest, scheme)}
	for i, v := range values {
		f.Coins = append(f.Coins, fund(t, c, f.Wallet, i, entry.KeyPath{Branch: uint32(i) % 2, Index: uint32(i) % 7}, v))
	}
	return f
}

func outs(values ...uint64) []request.Output {
	var out []request.Output
	for i, v := range values {
		out = append(out, request.Output{Address: payees[i%len(payees)], Amount: custody.U64(v)})
	}
	return out
}

// ask asks the test core for a transfer from f.
func ask(t testing.TB, c *payloadtest.Core, f wallet.Funds, feeCap uint64, o ...request.Output) (custody.RequestID, payload.BitcoinInput) {
	t.Helper()
	id, asked := c.Transfer(t, request.TransferBody{Wallet: f.Wallet.ID, Asset: f.Wallet.Chain.Native(), Outputs: o, FeeCap: custody.U64(feeCap)})
	return id, payload.BitcoinInput{Asked: asked, Funds: f, NextChange: c.Next(t, f.Wallet.ID)[1], Rate: 5_000, Derive: c.Derive}
}

func decode(t testing.TB, b []byte) btc.PSBT {
	t.Helper()
	p, err := btc.DecodePSBT(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.CheckPrevTxs(); err != nil {
		t.Fatal(err)
	}
	return p
}

func feeOf(t testing.TB, p btc.PSBT) btc.Sat {
	t.Helper()
	fee, err := p.Tx.Fee(p.Prevouts())
	if err != nil {
		t.Fatal(err)
	}
	return fee
}

func TestBitcoinChoosesWell(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		coins  []btc.Sat
		pay    uint64
		inputs []btc.Sat
		change bool
	}{
		"one coin that fits":          {[]btc.Sat{50_000, 10_560, 90_000}, 10_000, []btc.Sat{10_560}, false},
		"two coins that fit":          {[]btc.Sat{900_000, 40_000, 60_899}, 100_000, []btc.Sat{40_000, 60_899}, false},
		"smallest that is enough":     {[]btc.Sat{900_000, 300_000, 20_000, 10_000}, 100_000, []btc.Sat{300_000}, true},
		"largest first":               {[]btc.Sat{50_000, 70_000, 30_000, 10_000}, 110_000, []btc.Sat{50_000, 70_000}, true},
		"not what costs to spend":     {[]btc.Sat{320, 330, 335, 100_000}, 50_000, []btc.Sat{100_000}, true},
		"change too small to be made": {[]btc.Sat{100_000}, 99_300, []btc.Sat{100_000}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := payloadtest.New(t)
			_, in := ask(t, c, purse(t, c, "w", request.SchemeP2TR, tc.coins...), 100_000, outs(tc.pay)...)
			b, err := payload.Bitcoin(in)
			if err != nil {
				t.Fatal(err)
			}
			p := decode(t, b)
			got := map[btc.Sat]bool{}
			for _, x := range p.Inputs {
				got[x.WitnessUTXO.Value] = true
			}
			for _, v := range tc.inputs {
				if !got[v] {
					t.Errorf("%d is not spent; got %v", v, got)
				}
			}
			if len(got) != len(tc.inputs) || len(p.Tx.Outputs) == 2 != tc.change {
				t.Errorf("got inputs %v and %d outputs", got, len(p.Tx.Outputs))
			}
		})
	}
}

func TestBitcoinPrefersConfirmed(t *testing.T) {
	t.Parallel()
	c := payloadtest.New(t)
	f := purse(t, c, "w", request.SchemeP2WPKH, 10_800, 50_000, 60_000)
	f.Coins[0].Depth = 0
	_, in := ask(t, c, f, 100_000, outs(10_000)...)
	b, err := payload.Bitcoin(in)
	if err != nil {
		t.Fatal(err)
	}
	if p := decode(t, b); len(p.Inputs) != 1 || p.Inputs[0].WitnessUTXO.Value != 50_000 {
		t.Errorf("got %+v", p.Inputs)
	}
	_, in = ask(t, c, f, 100_000, outs(115_000)...)
	if b, err = payload.Bitcoin(in); err != nil {
		t.Fatal(err)
	}
	if p := decode(t, b); len(p.Inputs) != 3 {
		t.Errorf("got %d inputs", len(p.Inputs))
	}
}

// Many equal coins: the search must end, and the result must be under the limits.
func TestBitcoinManyCoins(t *testing.T) {
	t.Parallel()
	c := payloadtest.New(t)
	values := make([]btc.Sat, 1200)
	for i := range values {
		values[i] = btc.Sat(10_000 + i%3)
	}
	f := purse(t, c, "w", request.SchemeP2TR, values...)
	id, in := ask(t, c, f, 10_000_000, outs(5_000_000)...)
	b, err := payload.Bitcoin(in)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(decode(t, b).Inputs); n < 253 {
		t.Errorf("got %d inputs", n)
	}
	if _, err := c.Permit(t, id, b); err != nil {
		t.Fatal(err)
	}
	more := make([]btc.Sat, 2500)
	for i := range more {
		more[i] = 10_000
	}
	_, in = ask(t, c, purse(t, c, "w2", request.SchemeP2TR, more...), 100_000_000, outs(20_000_000)...)
	if _, err := payload.Bitcoin(in); problem.KindOf(err) != problem.TooLarge {
		t.Errorf("got %v, want too-large", err)
	}
}

func TestBitcoinRefuses(t *testing.T) {
	t.Parallel()
	c := payloadtest.New(t)
	f := purse(t, c, "w", request.SchemeP2TR, 100_000, 50_000)
	f.Coins[1].State = wallet.Confirming
	wrongKey := f
	wrongKey.Coins = append([]wallet.Fund(nil), f.Coins[0])
	wrongKey.Coins[0].Key.Index++
	foreign := purse(t, c, "w2", request.SchemeP2TR)
	broken := errors.New("broken")
	for name, tc := range map[string]struct {
		cap, pay uint64
		change   func(*payload.BitcoinInput)
		kind     problem.Kind
		detail   string
	}{
		"too little":      {50_000, 100_000, nil, problem.Insufficient, "have 100000, need 100495 of bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1: amount and fee; another 50000 wait"},
		"cap too low":     {400, 50_000, nil, problem.OutsideBounds, "the fee of the moment is 710; the cap is 400. Wait for lower fees, or ask again with a feeCap of at least 710"},
		"dust":            {50_000, 293, nil, problem.Malformed, "output 0 pays 293 satoshi; nodes relay no less than 294"},
		"taken":           {50_000, 50_000, func(in *payload.BitcoinInput) { in.Taken = map[btc.OutPoint]bool{f.Coins[0].OutPoint: true} }, problem.Insufficient, "have 0"},
		"another wallet":  {50_000, 50_000, func(in *payload.BitcoinInput) { in.Funds = foreign }, problem.WrongNetwork, "the funds are of wallet \"w2\""},
		"coin of another": {50_000, 50_000, func(in *payload.BitcoinInput) { in.Funds = wrongKey }, problem.Internal, "does not pay its address"},
		"derive fails": {50_000, 50_000, func(in *payload.BitcoinInput) {
			in.Derive = func(entry.Wallet, entry.KeyPath) (authority.Derived, error) { return authority.Derived{}, broken }
		}, problem.Internal, "derive the change address"},
		"no transfer":      {50_000, 50_000, func(in *payload.BitcoinInput) { in.Effects.Operation = request.PolicyChange }, problem.Unsupported, "only a transfer"},
		"route caps lower": {50_000, 50_000, func(in *payload.BitcoinInput) { low := custody.U64(1); in.Decision.FeeCap = &low }, problem.OutsideBounds, "the cap is 1."},
	} {
		t.Run(name, func(t *testing.T) {
			_, in := ask(t, c, f, tc.cap, outs(tc.pay)...)
			if tc.change != nil {
				tc.change(&in)
			}
			_, err := payload.Bitcoin(in)
			if problem.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.detail) {
				t.Errorf("got %v, want %s: %s", err, tc.kind, tc.detail)
			}
		})
	}
}

func TestBitcoinBump(t *testing.T) {
	t.Parallel()
	c := payloadtest.New(t)
	f := purse(t, c, "w", request.SchemeP2WPKH, 100_000)
	id, in := ask(t, c, f, 40_000, outs(60_000)...)
	first, err := payload.Bitcoin(in)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Permit(t, id, first); err != nil {
		t.Fatal(err)
	}
	in.NextChange = 5 // looked at by nobody: the change stays where it was
	in.Rate = 100_000
	second, err := payload.BitcoinBump(in, first)
	if err != nil {
		t.Fatal(err)
	}
	a, b := decode(t, first), decode(t, second)
	if a.Tx.Inputs[0] != b.Tx.Inputs[0] || !a.Tx.Outputs[1].Script.Equal(b.Tx.Outputs[1].Script) || b.Tx.Outputs[1].Value >= a.Tx.Outputs[1].Value {
		t.Errorf("got %+v after %+v", b.Tx, a.Tx)
	}
	if _, err := c.Permit(t, id, second); err != nil {
		t.Fatal(err)
	}
	in.Rate = 284_000
	third, err := payload.BitcoinBump(in, second) // what is left is not worth an output
	if err != nil {
		t.Fatal(err)
	}
	if p := decode(t, third); len(p.Tx.Outputs) != 1 || feeOf(t, p) != 40_000 {
		t.Errorf("got %+v", p.Tx)
	}
	if _, err := c.Permit(t, id, third); err != nil {
		t.Fatal(err)
	}
	if _, err := payload.BitcoinBump(in, third); problem.KindOf(err) != problem.Insufficient || !strings.Contains(err.Error(), "have 40000, need 42001") {
		t.Errorf("without change: got %v", err)
	}
	low := in
	low.Bounds.FeeCap = custody.U64(20_000)
	if _, err := payload.BitcoinBump(low, second); problem.KindOf(err) != problem.OutsideBounds {
		t.Errorf("above the cap: got %v", err)
	}
	if _, err := payload.BitcoinBump(in, []byte("x")); problem.KindOf(err) != problem.Malformed {
		t.Errorf("got %v", err)
	}
	_, other := ask(t, c, f, 40_000, outs(60_001)...)
	if _, err := payload.BitcoinBump(other, second); problem.KindOf(err) != problem.Conflict {
		t.Errorf("another transfer: got %v", err)
	}
}
