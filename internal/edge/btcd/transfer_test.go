// SPDX-License-Identifier: Apache-2.0

package btcd_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"strongroom/internal/nodestest"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/payload"
	"strongroom/internal/svc/wallet"
)

func TestTransferLives(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		h.fund(t, 40_000, 50_000, 60_000)
		if got := h.funds(t).Balance(); got.Spendable != 150_000 || got.Confirmed != 150_000 {
			t.Fatalf("got %+v", got)
		}
		req, in := h.transfer(t, 100_500, 20_000)
		p, err := payload.Bitcoin(in)
		signed := h.sign(t, req, 1, p, err)
		id := h.send(t, signed)
		if again := h.send(t, signed); again != id { // while it waits
			t.Errorf("got %s, then %s", id, again)
		}
		h.wantState(t, id, chain.TxPending, 0)
		change := h.funds(t).Balance()
		if change.Reserved == 0 || change.Unconfirmed != 0 || change.Spendable == 0 {
			t.Errorf("got %+v", change)
		}
		spent := outPoint(t, signed, 0)
		if there, err := h.node.Unspent(t.Context(), spent); err != nil || !there {
			t.Errorf("unspent %v, %v", there, err)
		}
		d, err := btc.DecodePSBT(p)
		if err != nil {
			t.Fatal(err)
		}
		if by, err := h.node.PoolSpender(t.Context(), d.Tx.Inputs[0].OutPoint); err != nil || by != id {
			t.Errorf("spent by %q, %v", by, err)
		}
		if by, err := h.node.PoolSpender(t.Context(), spent); err != nil || by != "" {
			t.Errorf("spent by %q, %v", by, err)
		}
		h.env.Mine(t, nodestest.Bitcoin, 1)
		tx := h.wantState(t, id, chain.TxMined, 1)
		h.send(t, signed) // mined already
		confirmed := h.funds(t).Balance()
		if confirmed.Reserved != 0 || confirmed.Spendable != change.Spendable {
			t.Errorf("got %+v after %+v", confirmed, change)
		}

		// The chain turns under it, and the process ends in between.
		h.env.Mine(t, nodestest.Bitcoin, 1)
		h.funds(t)
		h.env.Reorg(t, nodestest.Bitcoin, 2)
		h.wantState(t, id, chain.TxPending, 0)
		h.restart(t)
		if is, err := h.node.Canonical(t.Context(), tx.Block); err != nil || is {
			t.Errorf("canonical %v, %v", is, err)
		}
		if got := h.funds(t).Balance(); got != change {
			t.Errorf("after the turn: got %+v, want %+v", got, change)
		}
		h.env.Mine(t, nodestest.Bitcoin, 1)
		h.wantState(t, id, chain.TxMined, 1)
		if got := h.funds(t).Balance(); got != confirmed {
			t.Errorf("got %+v, want %+v", got, confirmed)
		}
	})
}

// A transfer that spends the change of one that waits; both are mined together.
func TestUnconfirmedChange(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		h.fund(t, 100_000)
		req, in := h.transfer(t, 20_000, 20_000)
		p, err := payload.Bitcoin(in)
		first := h.send(t, h.sign(t, req, 1, p, err))
		req, in = h.transfer(t, 30_000, 20_000)
		q, err := payload.Bitcoin(in)
		second := h.send(t, h.sign(t, req, 1, q, err))
		parent, err := btc.ParseTxID(string(first))
		if err != nil {
			t.Fatal(err)
		}
		if has, err := wallet.HasChild(h.attempts, parent); err != nil || !has {
			t.Errorf("child %v, %v", has, err)
		}
		h.env.Mine(t, nodestest.Bitcoin, 1)
		h.wantState(t, first, chain.TxMined, 1)
		h.wantState(t, second, chain.TxMined, 1)
		f := h.funds(t)
		if b := f.Balance(); len(f.Coins) != 1 || b.Spendable < 45_000 {
			t.Errorf("got %+v", f.Coins)
		}
		// What is there is not enough: numbers, and nothing was asked of the core.
		_, in = h.transfer(t, 60_000, 20_000)
		if _, err := payload.Bitcoin(in); problem.KindOf(err) != problem.Insufficient || !strings.Contains(err.Error(), "have "+strconv.Itoa(int(f.Balance().Spendable))) {
			t.Errorf("got %v", err)
		}
		_, in = h.transfer(t, 10_000, 300)
		if _, err := payload.Bitcoin(in); problem.KindOf(err) != problem.OutsideBounds {
			t.Errorf("got %v", err)
		}
	})
}

func TestReplacement(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, h *house) {
		h.fund(t, 60_000, 70_000)
		req, in := h.transfer(t, 100_000, 20_000)
		p, err := payload.Bitcoin(in)
		one := h.sign(t, req, 1, p, err)
		id := h.send(t, one)

		// One satoshi more is more for the core and too little for the node.
		d, err := btc.DecodePSBT(p)
		if err != nil {
			t.Fatal(err)
		}
		d.Tx.Outputs[1].Value--
		q, err := d.Encode()
		_, err = h.node.Send(t.Context(), h.sign(t, req, 2, q, err))
		wantReason(t, err, chain.Underpriced)

		number := uint32(3)
		for range 3 { // at the same rate: what nodes ask at least
			q, err = payload.BitcoinBump(in, q)
			signed := h.sign(t, req, number, q, err)
			next := h.send(t, signed)
			h.wantState(t, id, chain.TxUnknown, 0)
			h.wantState(t, next, chain.TxPending, 0)
			id, number = next, number+1
		}
		if b := h.funds(t).Balance(); b.Spendable != 0 || b.Reserved != 130_000 {
			t.Errorf("while attempts compete: got %+v", b)
		}
		h.env.Mine(t, nodestest.Bitcoin, 1)
		h.wantState(t, id, chain.TxMined, 1)
		_, err = h.node.Send(t.Context(), one)
		wantReason(t, err, chain.InputsSpent)
		f := h.funds(t)
		if len(f.Coins) != 1 || f.Coins[0].State != wallet.Spendable || f.Coins[0].Key.Branch != 1 {
			t.Errorf("got %+v", f.Coins)
		}
	})
}

func TestSendRefusals(t *testing.T) {
	t.Parallel()
	h := newHouse(t, request.SchemeP2WPKH)
	h.fund(t, 60_000)
	req, in := h.transfer(t, 20_000, 20_000)
	p, err := payload.Bitcoin(in)
	if err != nil {
		t.Fatal(err)
	}
	d, err := btc.DecodePSBT(p)
	if err != nil {
		t.Fatal(err)
	}
	d.Tx.Outputs[1].Value = 40_000 - 10 // far below what is relayed
	p, err = d.Encode()
	signed := h.sign(t, req, 1, p, err)
	_, err = h.node.Send(t.Context(), signed)
	wantReason(t, err, chain.FeeTooLow)
	p, err = payload.BitcoinBump(in, p)
	signed = h.sign(t, req, 2, p, err)
	bad := append([]byte(nil), signed...)
	bad[len(bad)-4-20]++ // in the last witness item
	_, err = h.node.Send(t.Context(), bad)
	wantReason(t, err, chain.Invalid)
	_, err = h.node.Send(t.Context(), []byte{1, 2})
	wantReason(t, err, chain.Invalid)

	// A coin that is nobody's.
	tx, w, err := btc.DecodeSigned(signed)
	if err != nil {
		t.Fatal(err)
	}
	tx.Inputs[0].OutPoint = btc.OutPoint{TxID: btc.TxID{9}}
	foreign, err := btc.EncodeSigned(tx, w)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.node.Send(t.Context(), foreign)
	wantReason(t, err, chain.InputsSpent)
}

// The scan is stopped again and again, and goes on each time.
func TestScanRestarts(t *testing.T) {
	t.Parallel()
	h := newHouse(t, request.SchemeP2WPKH)
	h.fund(t, 10_000, 20_000, 30_000, 40_000, 50_000)
	for i := range 200 { // each time it has a little longer, or a slow machine never ends
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+i)*time.Millisecond)
		_, err := h.scanner.Sync(ctx)
		cancel()
		if err == nil {
			break
		}
		wantReason(t, err, chain.Unavailable)
		h.restart(t)
	}
	if got := h.funds(t).Balance(); got.Spendable != 150_000 {
		t.Errorf("got %+v", got)
	}
}
