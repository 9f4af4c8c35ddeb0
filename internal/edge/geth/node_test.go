// SPDX-License-Identifier: Apache-2.0

package geth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"strongroom/internal/edge/geth"
	"strongroom/internal/nodestest"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/payload"
	"strongroom/internal/svc/payload/payloadtest"
	"strongroom/internal/svc/wallet"
)

const (
	payee = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
	ether = 1_000_000_000_000_000_000
)

func open(t testing.TB, url string, chainID uint64) *geth.Client {
	t.Helper()
	c, err := geth.New(geth.Config{URL: url, ExpectChainID: chainID, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// house is a core with a funded wallet, and a real node.
type house struct {
	env    *nodestest.Env
	node   *geth.Client
	core   *payloadtest.Core
	w      entry.Wallet
	source string
	token  custody.AssetID
}

func newHouse(t testing.TB) *house {
	t.Helper()
	env := nodestest.StartAlone(t)
	h := &house{env: env, node: open(t, env.EthRPC, env.ChainID), core: payloadtest.New(t)}
	h.w = h.core.AddWallet(t, "hot", h.node.Chain(), request.SchemeEVM)
	h.source = payloadtest.Address(t, h.w, 0, 0)
	h.token = custody.AssetID(string(h.w.Chain) + "/erc20:" + env.Token)
	env.Fund(t, nodestest.Ethereum, h.source, "2000000000000000000")
	env.FundToken(t, h.source, "5000")
	return h
}

// transfer asks for a transfer and gives what it is built from, by what the node says now.
func (h *house) transfer(t testing.TB, asset custody.AssetID, amount uint64) (custody.RequestID, payload.EthereumInput) {
	t.Helper()
	id, asked := h.core.Transfer(t, request.TransferBody{
		Wallet: h.w.ID, Asset: asset, Outputs: []request.Output{{Address: payee, Amount: custody.U64(amount)}}, FeeCap: custody.U64(ether / 10),
	})
	ctx := t.Context()
	fees, err := h.node.Fees(ctx)
	if err != nil {
		t.Fatal(err)
	}
	in := payload.EthereumInput{Asked: asked, Fee: fees.Medium}
	if _, in.Nonce, err = h.node.Nonces(ctx, h.source); err != nil {
		t.Fatal(err)
	}
	if in.Balance, err = h.node.Balance(ctx, h.source); err != nil {
		t.Fatal(err)
	}
	if in.Token, err = h.node.TokenBalance(ctx, h.env.Token, h.source); err != nil {
		t.Fatal(err)
	}
	to, value, data, err := payload.Call(asked)
	if err != nil {
		t.Fatal(err)
	}
	gas, err := h.node.EstimateGas(ctx, h.source, to.String(), value, data)
	if err != nil {
		t.Fatal(err)
	}
	in.Gas = payload.GasLimit(gas)
	return id, in
}

func (h *house) sign(t testing.TB, id custody.RequestID, p []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := h.core.Sign(t, id, p)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func (h *house) send(t testing.TB, signed []byte) chain.TxID {
	t.Helper()
	id, err := h.node.Send(t.Context(), signed)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (h *house) state(t testing.TB, id chain.TxID) chain.Tx {
	t.Helper()
	tx, err := h.node.Transaction(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return tx
}

func (h *house) wantState(t testing.TB, id chain.TxID, want chain.TxState, confirmations uint64) chain.Tx {
	t.Helper()
	tx := h.state(t, id)
	if tx.State != want || tx.Confirmations != confirmations {
		t.Fatalf("transaction %s: got %+v, want %s with %d confirmations", id, tx, want, confirmations)
	}
	return tx
}

func wantReason(t testing.TB, err error, want chain.Reason) {
	t.Helper()
	if !errors.Is(err, &chain.Refusal{Reason: want}) {
		t.Fatalf("got %v, want %s", err, want)
	}
}

func TestNodeTellsState(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	if err := h.node.Check(ctx); err != nil {
		t.Fatal(err)
	}
	s, err := h.node.Status(ctx)
	if err != nil || s.Chain != h.w.Chain || s.Behind != 0 || s.Version == "" || s.Head.Height == 0 {
		t.Errorf("got %+v, %v", s, err)
	}
	state := h.env.State(t, nodestest.Ethereum)
	if s.Head.Height != state.Height || string(s.Head.Hash) != state.Hash || s.Head.Time == 0 {
		t.Errorf("got head %+v, want %+v", s.Head, state)
	}
	tok, err := h.node.Token(ctx, h.env.Token)
	if err != nil || tok.Symbol != h.env.TokenSymbol || int(tok.Decimals) != h.env.TokenDecimals {
		t.Errorf("got %+v, %v", tok, err)
	}
	accounts, err := wallet.Accounts(ctx, h.node, authority.Derive, h.w, 0, 2, []custody.AssetID{h.w.Chain.Native(), h.token})
	if err != nil {
		t.Fatal(err)
	}
	if a := accounts[0]; a.Amounts[0].Amount != custody.U64(2*ether) || a.Amounts[1].Amount != custody.U64(5000) || !accounts[1].Amounts[0].Amount.IsZero() {
		t.Errorf("got %+v", accounts)
	}
	for address, want := range map[string]bool{h.env.Token: true, h.source: false} {
		if got, err := h.node.Code(ctx, address); err != nil || got != want {
			t.Errorf("code of %s: got %v, %v", address, got, err)
		}
	}
	fees, err := h.node.Fees(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range []chain.Level{chain.Low, chain.Medium, chain.High} {
		f, ok := fees.At(l)
		least, _ := f.Base.Add(f.Tip)
		if !ok || f.Tip.IsZero() || f.Max.Cmp(least) < 0 {
			t.Errorf("%s: got %+v", l, f)
		}
	}
	if fees.Low.Tip.Cmp(fees.High.Tip) > 0 || fees.Low.Max.Cmp(fees.High.Max) > 0 {
		t.Errorf("got %+v", fees)
	}
}

func TestNodeRefusesWrongThings(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	wrong := open(t, h.env.EthRPC, h.env.ChainID+1)
	wantReason(t, wrong.Check(ctx), chain.WrongChain)
	_, err := wrong.Send(ctx, []byte{1})
	wantReason(t, err, chain.WrongChain)
	if problem.KindOf(chain.Problem(err)) != problem.WrongNetwork {
		t.Errorf("got %v", chain.Problem(err))
	}
	_, err = h.node.Token(ctx, h.source)
	wantReason(t, err, chain.NotFound)
	_, err = h.node.BalanceOf(ctx, "eip155:1/slip44:60", h.source)
	wantReason(t, err, chain.WrongChain)
	_, err = h.node.Transaction(ctx, "0x12")
	wantReason(t, err, chain.Invalid)
	_, err = h.node.Send(ctx, []byte{2, 3})
	wantReason(t, err, chain.Invalid)
	if _, err := h.node.Balance(ctx, strings.ToLower(payee)); !errors.Is(err, eth.ErrAddressChecksum) {
		t.Errorf("got %v", err)
	}
	// More tokens than there are: the call would fail, and estimating says so.
	_, asked := h.core.Transfer(t, request.TransferBody{
		Wallet: h.w.ID, Asset: h.token, Outputs: []request.Output{{Address: payee, Amount: custody.U64(5001)}}, FeeCap: custody.U64(ether),
	})
	to, value, data, err := payload.Call(asked)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.node.EstimateGas(ctx, h.source, to.String(), value, data)
	wantReason(t, err, chain.Reverts)
	_, err = h.node.EstimateGas(ctx, h.source, payee, custody.U64(3*ether), nil)
	wantReason(t, err, chain.NoFunds)
}

func TestTransferLives(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, asset := range []custody.AssetID{h.w.Chain.Native(), h.token} {
		req, in := h.transfer(t, asset, 700)
		p, err := payload.Ethereum(in)
		signed := h.sign(t, req, p, err)
		if got, err := eth.DecodeSigned(signed); err != nil {
			t.Fatal(err)
		} else if from, err := got.Sender(); err != nil || from.String() != h.source {
			t.Fatalf("sender %s, %v", from, err)
		}
		id := h.send(t, signed)
		if again := h.send(t, signed); again != id { // while it waits
			t.Errorf("got %s, then %s", id, again)
		}
		h.wantState(t, id, chain.TxPending, 0)
		latest, pending, err := h.node.Nonces(t.Context(), h.source)
		if err != nil || pending != latest+1 || pending != in.Nonce+1 {
			t.Errorf("nonces %d, %d after %d: %v", latest, pending, in.Nonce, err)
		}
		h.env.Mine(t, nodestest.Ethereum, 1)
		tx := h.wantState(t, id, chain.TxMined, 1)
		if most, _ := in.FeeCap().Uint64(); tx.Reverted || tx.Fee.IsZero() || tx.Fee.Cmp(custody.U64(most)) > 0 {
			t.Errorf("got %+v", tx)
		}
		h.send(t, signed) // mined already
		h.env.Mine(t, nodestest.Ethereum, 2)
		h.wantState(t, id, chain.TxMined, 3)

		// The chain turns: the transaction waits again, and its block counts no more.
		h.env.Reorg(t, nodestest.Ethereum, 3)
		if is, err := h.node.Canonical(t.Context(), tx.Block); err != nil || is {
			t.Errorf("canonical %v, %v", is, err)
		}
		h.wantState(t, id, chain.TxPending, 0)
		h.env.Mine(t, nodestest.Ethereum, 1)
		second := h.wantState(t, id, chain.TxMined, 1)
		if is, err := h.node.Canonical(t.Context(), second.Block); err != nil || !is || second.Block == tx.Block {
			t.Errorf("canonical %v, %v", is, err)
		}

		// The node forgets it: unknown until it is sent again.
		h.env.ReorgDrop(t, 1)
		h.wantState(t, id, chain.TxUnknown, 0)
		if got := h.send(t, signed); got != id {
			t.Errorf("got %s, want %s", got, id)
		}
		h.env.Mine(t, nodestest.Ethereum, 1)
		h.wantState(t, id, chain.TxMined, 1)
	}
	if got, err := h.node.Balance(t.Context(), payee); err != nil || got != custody.U64(700) {
		t.Errorf("payee has %s, %v", got, err)
	}
	if got, err := h.node.TokenBalance(t.Context(), h.env.Token, payee); err != nil || got != custody.U64(700) {
		t.Errorf("payee has %s tokens, %v", got, err)
	}
}

func TestReplacement(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	req, in := h.transfer(t, h.w.Chain.Native(), 700)
	first, err := payload.Ethereum(in)
	one := h.sign(t, req, first, err)
	id1 := h.send(t, one)

	// A little more is too little for the node, though not for the core.
	tx, err := eth.DecodeUnsigned(first)
	if err != nil {
		t.Fatal(err)
	}
	fee, _ := custody.Uint256(tx.MaxFeePerGas).Add(custody.U64(1))
	tx.MaxFeePerGas = eth.Uint256(fee)
	little, err := tx.Encode()
	_, err = h.node.Send(t.Context(), h.sign(t, req, little, err))
	wantReason(t, err, chain.Underpriced)
	if problem.KindOf(chain.Problem(err)) != problem.Conflict {
		t.Errorf("got %v", chain.Problem(err))
	}

	bumped, err := payload.EthereumBump(in, little)
	two := h.sign(t, req, bumped, err)
	id2 := h.send(t, two)
	h.wantState(t, id1, chain.TxUnknown, 0)
	h.wantState(t, id2, chain.TxPending, 0)
	h.env.Mine(t, nodestest.Ethereum, 1)
	h.wantState(t, id2, chain.TxMined, 1)
	h.wantState(t, id1, chain.TxUnknown, 0)
	_, err = h.node.Send(t.Context(), one)
	wantReason(t, err, chain.NonceTooLow)
	h.send(t, two)
}

func TestSendRefusals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()

	// Without funds: address 1 has none, and the builder is told otherwise.
	h.core.AddAddresses(t, h.w.ID, 1)
	id, asked := h.core.Transfer(t, request.TransferBody{
		Wallet: h.w.ID, Asset: h.w.Chain.Native(), Source: 1, FeeCap: custody.U64(ether),
		Outputs: []request.Output{{Address: payee, Amount: custody.U64(700)}},
	})
	fees, err := h.node.Fees(ctx)
	if err != nil {
		t.Fatal(err)
	}
	in := payload.EthereumInput{Asked: asked, Fee: fees.High, Gas: payload.TransferGas}
	if _, err := payload.Ethereum(in); problem.KindOf(err) != problem.Insufficient {
		t.Errorf("got %v", err)
	}
	in.Balance = custody.U64(ether)
	p, err := payload.Ethereum(in)
	_, err = h.node.Send(ctx, h.sign(t, id, p, err))
	wantReason(t, err, chain.NoFunds)

	// For another chain.
	other := h.core.AddWallet(t, "other", custody.EVMChain(h.env.ChainID+1), request.SchemeEVM)
	id, asked = h.core.Transfer(t, request.TransferBody{
		Wallet: other.ID, Asset: other.Chain.Native(), FeeCap: custody.U64(ether),
		Outputs: []request.Output{{Address: payee, Amount: custody.U64(700)}},
	})
	in.Asked = asked
	p, err = payload.Ethereum(in)
	_, err = h.node.Send(ctx, h.sign(t, id, p, err))
	wantReason(t, err, chain.WrongChain)

	// A transaction that is handed in before the one with the nonce before it waits, and then both are mined.
	id, in = h.transfer(t, h.w.Chain.Native(), 700)
	p, err = payload.Ethereum(in)
	before := h.sign(t, id, p, err)
	id, in = h.transfer(t, h.w.Chain.Native(), 700)
	in.Nonce++
	p, err = payload.Ethereum(in)
	later := h.send(t, h.sign(t, id, p, err))
	h.env.Mine(t, nodestest.Ethereum, 1)
	h.wantState(t, later, chain.TxPending, 0)
	earlier := h.send(t, before)
	h.env.Mine(t, nodestest.Ethereum, 1)
	h.wantState(t, earlier, chain.TxMined, 1)
	h.wantState(t, later, chain.TxMined, 1)

	// A tip of nothing.
	id, in = h.transfer(t, h.w.Chain.Native(), 700)
	in.Fee = chain.EthereumFee{Max: custody.U64(1)}
	p, err = payload.Ethereum(in)
	_, err = h.node.Send(ctx, h.sign(t, id, p, err))
	wantReason(t, err, chain.FeeTooLow)
}
