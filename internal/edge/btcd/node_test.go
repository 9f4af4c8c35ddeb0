// SPDX-License-Identifier: Apache-2.0

package btcd_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"strongroom/internal/edge/btcd"
	"strongroom/internal/nodestest"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/payload"
	"strongroom/internal/svc/payload/payloadtest"
	"strongroom/internal/svc/wallet"
	"strongroom/internal/svc/wallet/wallettest"
)

const payee = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"

var rules = wallet.Rules{Deposit: 1, Change: 1, UnconfirmedChange: true}

func open(t testing.TB, cfg btcd.Config) *btcd.Client {
	t.Helper()
	cfg.Timeout = 20 * time.Second
	c, err := btcd.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func configOf(env *nodestest.Env) btcd.Config {
	return btcd.Config{URL: env.BtcRPC, User: env.BtcUser, Password: env.BtcPass, Chain: custody.BitcoinRegtest}
}

// house is a core with a wallet, its view, and a real node.
type house struct {
	env      *nodestest.Env
	node     *btcd.Client
	core     *payloadtest.Core
	w        entry.Wallet
	store    wallet.Store
	scanner  *wallet.Scanner
	attempts list
}

// list is what the transfer service would keep.
type list []wallet.Attempt

func (l *list) Attempts(context.Context, custody.WalletID) ([]wallet.Attempt, error) { return *l, nil }

func newHouse(t testing.TB, scheme request.Scheme) *house {
	t.Helper()
	env := nodestest.StartAlone(t)
	h := &house{env: env, node: open(t, configOf(env)), core: payloadtest.New(t), store: wallettest.NewMemory()}
	h.w = h.core.AddWallet(t, "treasury", custody.BitcoinRegtest, scheme)
	h.core.AddAddresses(t, h.w.ID, 4)
	h.restart(t)
	return h
}

// restart makes a new scanner over the same store.
func (h *house) restart(t testing.TB) {
	t.Helper()
	var err error
	h.scanner, err = wallet.New(wallet.Config{
		Chain: h.w.Chain, Source: h.node, Store: h.store, Start: 1, Gap: wallet.DefaultGap, Derive: authority.Derive,
	})
	if err != nil {
		t.Fatal(err)
	}
	h.watch(t)
}

func (h *house) watch(t testing.TB) {
	t.Helper()
	if err := h.scanner.Watch(t.Context(), h.w, h.core.Next(t, h.w.ID), 1); err != nil {
		t.Fatal(err)
	}
}

// fund pays satoshi to the wallet's receiving addresses, and mines.
func (h *house) fund(t testing.TB, values ...int) {
	t.Helper()
	for i, v := range values {
		h.env.Fund(t, nodestest.Bitcoin, payloadtest.Address(t, h.w, 0, uint32(i)%5), strconv.Itoa(v))
	}
}

func (h *house) funds(t testing.TB) wallet.Funds {
	t.Helper()
	h.watch(t)
	p, err := h.scanner.Sync(t.Context())
	if err != nil || !p.Done() {
		t.Fatalf("sync: %+v, %v", p, err)
	}
	f, err := h.scanner.Funds(t.Context(), h.w.ID, &h.attempts, rules)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (h *house) transfer(t testing.TB, satoshi, feeCap uint64) (custody.RequestID, payload.BitcoinInput) {
	t.Helper()
	id, asked := h.core.Transfer(t, request.TransferBody{
		Wallet: h.w.ID, Asset: h.w.Chain.Native(), Outputs: []request.Output{{Address: payee, Amount: custody.U64(satoshi)}}, FeeCap: custody.U64(feeCap),
	})
	return id, payload.BitcoinInput{
		Asked: asked, Funds: h.funds(t), NextChange: h.core.Next(t, h.w.ID)[1], Rate: 3_000, Derive: authority.Derive,
	}
}

// sign signs a payload and records the attempt.
func (h *house) sign(t testing.TB, id custody.RequestID, number uint32, p []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	signed, err := h.core.Sign(t, id, p)
	if err != nil {
		t.Fatal(err)
	}
	h.attempts = append(h.attempts, wallet.Attempt{Payload: p, Number: number, Released: true})
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

func (h *house) wantState(t testing.TB, id chain.TxID, want chain.TxState, confirmations uint64) chain.Tx {
	t.Helper()
	tx, err := h.node.Transaction(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
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

func outPoint(t testing.TB, signed []byte, index uint32) btc.OutPoint {
	t.Helper()
	tx, _, err := btc.DecodeSigned(signed)
	if err != nil {
		t.Fatal(err)
	}
	return btc.OutPoint{TxID: tx.TxID(), Index: index}
}

func each(t *testing.T, test func(*testing.T, *house)) {
	for _, scheme := range []request.Scheme{request.SchemeP2WPKH, request.SchemeP2TR} {
		t.Run(string(scheme), func(t *testing.T) {
			t.Parallel()
			test(t, newHouse(t, scheme))
		})
	}
}

func TestNodeTellsState(t *testing.T) {
	t.Parallel()
	h := newHouse(t, request.SchemeP2TR)
	ctx := t.Context()
	s, err := h.node.Status(ctx)
	state := h.env.State(t, nodestest.Bitcoin)
	if err != nil || s.Chain != h.w.Chain || s.Head.Height != state.Height || string(s.Head.Hash) != state.Hash ||
		!strings.HasPrefix(s.Version, "btcd ") || s.Head.Time == 0 || s.Behind != 0 {
		t.Errorf("got %+v, %v, want %+v", s, err, state)
	}
	id := h.env.Fund(t, nodestest.Bitcoin, payloadtest.Address(t, h.w, 0, 0), "70000")
	head, err := h.node.Head(ctx)
	if err != nil {
		t.Fatal(err)
	}
	b, err := h.node.Block(ctx, head.Height)
	if err != nil || b.Hash != head.Hash || b.Prev != s.Head.Hash || len(b.Txs) != 2 || !b.Txs[0].Coinbase || b.Txs[1].ID.String() != id {
		t.Errorf("got %+v, %v", b, err)
	}
	raw, err := h.node.RawTransaction(ctx, b.Txs[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	if tx, _, err := btc.DecodeSigned(raw); err != nil || string(tx.Encode()) != string(b.Txs[1].Stripped) {
		t.Errorf("got %x, %v", raw, err)
	}
	_, err = h.node.Block(ctx, head.Height+1)
	wantReason(t, err, chain.NotFound)
	if is, err := h.node.Canonical(ctx, chain.Block{Height: head.Height + 1, Hash: head.Hash}); err != nil || is {
		t.Errorf("canonical %v, %v", is, err)
	}
	if is, err := h.node.Canonical(ctx, head.Block); err != nil || !is {
		t.Errorf("canonical %v, %v", is, err)
	}
	h.wantState(t, chain.TxID(strings.Repeat("12", 32)), chain.TxUnknown, 0)
	_, err = h.node.RawTransaction(ctx, btc.TxID{1})
	wantReason(t, err, chain.NotFound)

	// Whether btcd has an estimate depends on what it saw; it must be one that can be paid in any case.
	fees, err := btcd.NewEstimate(h.node, btcd.Fixed{Low: 1_000, Medium: 2_000, High: 9_000})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := fees.BitcoinFees(ctx); err != nil || btcd.Fixed(got).Check() != nil {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestNodeOfAnotherChain(t *testing.T) {
	t.Parallel()
	env := nodestest.Start(t)
	cfg := configOf(env)
	cfg.Chain = custody.BitcoinMainnet
	node := open(t, cfg)
	wantReason(t, node.Check(t.Context()), chain.WrongChain)
	_, err := node.Head(t.Context())
	wantReason(t, err, chain.WrongChain)
	if problem.KindOf(chain.Problem(err)) != problem.WrongNetwork {
		t.Errorf("got %v", chain.Problem(err))
	}
	cfg = configOf(env)
	cfg.Password = "wrong"
	err = open(t, cfg).Check(t.Context())
	wantReason(t, err, chain.Unavailable)
	if !strings.Contains(err.Error(), "user and password") || strings.Contains(err.Error(), "wrong") {
		t.Errorf("got %v", err)
	}
}
