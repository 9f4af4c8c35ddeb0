// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"crypto/sha256"
	"slices"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Each way in which an Ethereum payload can leave what was approved.
func TestEthereumBounds(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
	to, err := eth.ParseAddress(domaintest.Whitelisted)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := eth.ParseAddress(domaintest.Stranger)
	if err != nil {
		t.Fatal(err)
	}
	good := eth.Tx1559{ChainID: 1337, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(100), GasLimit: 21000, To: to, Value: eth.FromUint64(1000)}
	for name, c := range map[string]struct {
		change func(*eth.Tx1559)
		kind   problem.Kind
	}{
		"another destination": {func(x *eth.Tx1559) { x.To = stranger }, problem.OutsideBounds},
		"more":                {func(x *eth.Tx1559) { x.Value = eth.FromUint64(1001) }, problem.OutsideBounds},
		"less":                {func(x *eth.Tx1559) { x.Value = eth.FromUint64(999) }, problem.OutsideBounds},
		"a fee above the cap": {func(x *eth.Tx1559) { x.MaxFeePerGas = eth.FromUint64(101) }, problem.OutsideBounds},
		"gas above the cap":   {func(x *eth.Tx1559) { x.GasLimit = 21001 }, problem.OutsideBounds},
		"another chain":       {func(x *eth.Tx1559) { x.ChainID = 1 }, problem.WrongNetwork},
		"a nonce left out":    {func(x *eth.Tx1559) { x.Nonce = 1 }, problem.OutsideBounds},
		"the last nonce":      {func(x *eth.Tx1559) { x.Nonce = 1<<64 - 2 }, problem.OutsideBounds},
		"data":                {func(x *eth.Tx1559) { x.Data = []byte{1} }, problem.OutsideBounds},
		"a token's transfer":  {func(x *eth.Tx1559) { x.Data, x.Value = eth.EncodeTransfer(to, eth.FromUint64(1000)), eth.FromUint64(0) }, problem.OutsideBounds},
	} {
		x := good
		c.change(&x)
		b, err := x.Encode()
		if err != nil {
			continue // the encoder itself refuses it
		}
		_, err = h.D.Sign(context.Background(), v.ID, b)
		wantKind(t, name, err, c.kind)
	}
	b, err := good.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string][]byte{"nothing": nil, "a byte more": append(slices.Clone(b), 0), "a byte less": b[:len(b)-1], "another type": append([]byte{1}, b[1:]...), "no type": b[1:]} {
		_, err = h.D.Sign(context.Background(), v.ID, p)
		wantKind(t, name, err, problem.Malformed)
	}
	if _, err := h.D.Sign(context.Background(), v.ID, b); err != nil {
		t.Fatal(err)
	}
	h.Check()
	proves(t, h, v.ID, 2, 1)
}

// An ERC-20 transfer is its call: contract, recipient and amount.
func TestTokenBounds(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	usd := custody.AssetID(string(domaintest.Chain) + "/erc20:" + domaintest.Stranger)
	v := approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, request.Transfer, request.TransferBody{Wallet: "hot", Asset: usd,
		Outputs: []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(500)}}, FeeCap: custody.U64(60_000 * 100)})), h.Bob, h.Carol)
	contract, err := eth.ParseAddress(domaintest.Stranger)
	if err != nil {
		t.Fatal(err)
	}
	to, err := eth.ParseAddress(domaintest.Whitelisted)
	if err != nil {
		t.Fatal(err)
	}
	good := eth.Tx1559{ChainID: 1337, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(100), GasLimit: 60_000, To: contract, Data: eth.EncodeTransfer(to, eth.FromUint64(500))}
	for name, change := range map[string]func(*eth.Tx1559){
		"another contract":  func(x *eth.Tx1559) { x.To = to },
		"another recipient": func(x *eth.Tx1559) { x.Data = eth.EncodeTransfer(contract, eth.FromUint64(500)) },
		"another amount":    func(x *eth.Tx1559) { x.Data = eth.EncodeTransfer(to, eth.FromUint64(501)) },
		"ether with it":     func(x *eth.Tx1559) { x.Value = eth.FromUint64(1) },
		"another function":  func(x *eth.Tx1559) { x.Data = slices.Clone(x.Data); x.Data[0] ^= 1 },
		"longer call data":  func(x *eth.Tx1559) { x.Data = append(slices.Clone(x.Data), 0) },
		"dirty address":     func(x *eth.Tx1559) { x.Data = slices.Clone(x.Data); x.Data[4] = 1 },
		"plain ether":       func(x *eth.Tx1559) { x.To, x.Data, x.Value = to, nil, eth.FromUint64(500) },
	} {
		x := good
		change(&x)
		b, err := x.Encode()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = h.D.Sign(context.Background(), v.ID, b)
		wantKind(t, name, err, problem.OutsideBounds)
	}
	b, err := good.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.D.Sign(context.Background(), v.ID, b); err != nil {
		t.Fatal(err)
	}
	proves(t, h, v.ID, 2, 1)
}

// draft is a Bitcoin payload on its way: two coins of the wallet, what was asked for, and change.
type draft struct {
	t    testing.TB
	w    entry.Wallet
	tx   btc.UnsignedTx
	prev []btc.UnsignedTx
	from []entry.KeyPath // by input
	back []entry.KeyPath // by output; branch 9 means that no path is told
}

var noPath = entry.KeyPath{Branch: 9}

func (d *draft) script(k entry.KeyPath) btc.Script {
	d.t.Helper()
	x, err := authority.Derive(d.w, k)
	if err != nil {
		d.t.Fatal(err)
	}
	return x.Script
}

func (d *draft) coin(n byte, value btc.Sat, script btc.Script, path entry.KeyPath) {
	p := btc.UnsignedTx{Version: 2, Outputs: []btc.TxOut{{Value: 1, Script: script}, {Value: value, Script: script}},
		Inputs: []btc.TxIn{{OutPoint: btc.OutPoint{TxID: btc.TxID(sha256.Sum256([]byte{n}))}}}}
	d.tx.Inputs = append(d.tx.Inputs, btc.TxIn{OutPoint: btc.OutPoint{TxID: p.TxID(), Index: 1}, Sequence: 0xfffffffd})
	d.prev, d.from = append(d.prev, p), append(d.from, path)
}

func (d *draft) pays(value btc.Sat, script btc.Script, path entry.KeyPath) {
	d.tx.Outputs = append(d.tx.Outputs, btc.TxOut{Value: value, Script: script})
	d.back = append(d.back, path)
}

func address(t testing.TB, s string) btc.Script {
	t.Helper()
	x, err := btc.ParseAddress(btc.Regtest, s)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// newDraft pays 30,000 and 20,000 to the bank, with 2,000 fee.
func newDraft(t testing.TB, w entry.Wallet) *draft {
	d := &draft{t: t, w: w, tx: btc.UnsignedTx{Version: 2}}
	d.coin(1, 40_000, d.script(entry.KeyPath{}), entry.KeyPath{})
	d.coin(2, 20_000, d.script(entry.KeyPath{Branch: 1, Index: 3}), entry.KeyPath{Branch: 1, Index: 3})
	d.pays(30_000, address(t, bank), noPath)
	d.pays(20_000, address(t, bank), noPath)
	d.pays(8_000, d.script(entry.KeyPath{Branch: 1}), entry.KeyPath{Branch: 1})
	return d
}

func (d *draft) encode() ([]byte, error) {
	var outs []btc.TxOut
	for i, p := range d.prev {
		outs = append(outs, p.Outputs[d.tx.Inputs[i].OutPoint.Index])
	}
	x, err := btc.NewPSBT(d.tx, outs)
	if err != nil {
		return nil, err
	}
	keys := func(k entry.KeyPath) btc.PSBTKeys {
		a, err := authority.Derive(d.w, k)
		if err != nil {
			d.t.Fatal(err)
		}
		return keysOf(d.t, d.w, k, a)
	}
	for i, k := range d.from {
		x.Inputs[i].PSBTKeys = keys(k)
		if d.w.Scheme == request.SchemeP2WPKH {
			x.Inputs[i].NonWitnessUTXO = d.prev[i].Encode()
		}
	}
	for i, k := range d.back {
		if k != noPath {
			x.Outputs[i].PSBTKeys = keys(k)
		}
	}
	return x.Encode()
}

// Each way in which a Bitcoin payload can leave what was approved.
func TestBitcoinBounds(t *testing.T) {
	t.Parallel()
	for _, scheme := range []request.Scheme{request.SchemeP2WPKH, request.SchemeP2TR} {
		t.Run(string(scheme), func(t *testing.T) {
			t.Parallel()
			h := domaintest.New(t, domaintest.Options{Document: withBank})
			w := h.Wallet("cold", custody.BitcoinRegtest, scheme).Wallet
			other := h.Wallet("other", custody.BitcoinRegtest, scheme).Wallet
			ask := func() message.Request {
				return approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, request.Transfer, request.TransferBody{Wallet: "cold", Asset: custody.BitcoinRegtest.Native(),
					Outputs: []request.Output{{Address: bank, Amount: custody.U64(30_000)}, {Address: bank, Amount: custody.U64(20_000)}}, FeeCap: custody.U64(5_000)})), h.Bob, h.Carol)
			}
			v := ask()
			for name, change := range bitcoinLies(t, other) {
				d := newDraft(t, w)
				change(d)
				b, err := d.encode()
				if err != nil {
					continue // the encoder itself refuses it
				}
				_, err = h.D.Sign(context.Background(), v.ID, b)
				if k := problem.KindOf(err); err == nil || k != problem.OutsideBounds && k != problem.Malformed {
					t.Errorf("%s: %v", name, err)
				}
			}
			good, err := newDraft(t, w).encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.D.Sign(context.Background(), v.ID, append(slices.Clone(good), 0)); problem.KindOf(err) != problem.Malformed {
				t.Errorf("a byte more: %v", err)
			}
			if _, err := h.D.Sign(context.Background(), v.ID, good); err != nil {
				t.Fatal(err)
			}
			replaceBitcoin(t, h, w, v.ID)
			// One of the coins is taken for ever, also by another request.
			d := newDraft(t, w)
			d.tx.Inputs, d.prev, d.from = d.tx.Inputs[:1], d.prev[:1], d.from[:1]
			d.coin(7, 20_000, d.script(entry.KeyPath{}), entry.KeyPath{})
			b, err := d.encode()
			if err != nil {
				t.Fatal(err)
			}
			_, err = h.D.Sign(context.Background(), ask().ID, b)
			wantKind(t, "a coin that is taken", err, problem.OutsideBounds)
			h.Check()
			proves(t, h, v.ID, 2, 2)
		})
	}
}

// replaceBitcoin tries replacements of a signed payload: only a higher fee in the same slot.
func replaceBitcoin(t *testing.T, h *domaintest.Harness, w entry.Wallet, id custody.RequestID) {
	t.Helper()
	for name, change := range map[string]func(*draft){
		"less fee": func(d *draft) { d.tx.Outputs[2].Value += 100 },
		"inputs in another order": func(d *draft) {
			slices.Reverse(d.tx.Inputs)
			slices.Reverse(d.prev)
			slices.Reverse(d.from)
			d.tx.Outputs[2].Value -= 500
		},
		"another input":     func(d *draft) { d.coin(5, 1000, d.script(entry.KeyPath{}), entry.KeyPath{}) },
		"fee above the cap": func(d *draft) { d.tx.Outputs[2].Value = 4_999 },
	} {
		d := newDraft(t, w)
		change(d)
		b, err := d.encode()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_, err = h.D.Sign(context.Background(), id, b)
		wantKind(t, "replacement with "+name, err, problem.OutsideBounds)
	}
	d := newDraft(t, w)
	d.tx.Outputs[2].Value = 6_000
	b, err := d.encode()
	if err != nil {
		t.Fatal(err)
	}
	if x, err := h.D.Sign(context.Background(), id, b); err != nil || x.Attempt != 2 {
		t.Fatalf("replacement: %v, %+v", err, x)
	}
}

func bitcoinLies(t testing.TB, other entry.Wallet) map[string]func(*draft) {
	foreign := &draft{t: t, w: other}
	change := func(k entry.KeyPath) func(*draft) {
		return func(d *draft) { d.tx.Outputs[2].Script, d.back[2] = d.script(k), k }
	}
	return map[string]func(*draft){
		"foreign input":                 func(d *draft) { d.coin(3, 9_000, address(t, nobody), entry.KeyPath{}) },
		"input of another wallet":       func(d *draft) { d.coin(3, 9_000, foreign.script(entry.KeyPath{}), entry.KeyPath{}) },
		"input with another path":       func(d *draft) { d.from[0] = entry.KeyPath{Index: 1} },
		"foreign change":                func(d *draft) { d.tx.Outputs[2].Script, d.back[2] = address(t, nobody), noPath },
		"change to another wallet":      func(d *draft) { d.tx.Outputs[2].Script = foreign.script(entry.KeyPath{Branch: 1}) },
		"change without path":           func(d *draft) { d.back[2] = noPath },
		"change to a receiving address": change(entry.KeyPath{}),
		"change far ahead":              change(entry.KeyPath{Branch: 1, Index: authority.ChangeGap}),
		"second change": func(d *draft) {
			d.tx.Outputs[2].Value = 4_000
			d.pays(4_000, d.script(entry.KeyPath{Branch: 1, Index: 1}), entry.KeyPath{Branch: 1, Index: 1})
		},
		"fee above the cap":          func(d *draft) { d.tx.Outputs[2].Value = 4_999 },
		"no change, all to the fee":  func(d *draft) { d.tx.Outputs, d.back = d.tx.Outputs[:2], d.back[:2] },
		"more is paid than there is": func(d *draft) { d.tx.Outputs[2].Value = 10_001 },
		"outputs in another order":   func(d *draft) { d.tx.Outputs[0], d.tx.Outputs[1] = d.tx.Outputs[1], d.tx.Outputs[0] },
		"a missing output":           func(d *draft) { d.tx.Outputs, d.back = d.tx.Outputs[1:], d.back[1:] },
		"an output twice":            func(d *draft) { d.tx.Outputs[2] = d.tx.Outputs[1]; d.back[2] = noPath },
		"another amount":             func(d *draft) { d.tx.Outputs[0].Value++ },
		"another destination":        func(d *draft) { d.tx.Outputs[0].Script = address(t, nobody) },
		"lock time":                  func(d *draft) { d.tx.LockTime = 1 },
		"version 1":                  func(d *draft) { d.tx.Version = 1 },
		"final sequence":             func(d *draft) { d.tx.Inputs[1].Sequence = 0xffffffff },
		"relative lock":              func(d *draft) { d.tx.Inputs[1].Sequence = 10 },
		"an input twice":             func(d *draft) { d.tx.Inputs[1], d.prev[1], d.from[1] = d.tx.Inputs[0], d.prev[0], d.from[0] },
		"a lie about the amount": func(d *draft) {
			p := d.prev[0]
			p.Outputs = slices.Clone(p.Outputs)
			p.Outputs[1].Value = 90_000
			d.prev[0] = p
		},
	}
}
