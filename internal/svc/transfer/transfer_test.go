// SPDX-License-Identifier: Apache-2.0

package transfer_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/transfer"
	"strongroom/internal/svc/transfer/transfertest"
)

func TestMemoryStoreConforms(t *testing.T) {
	t.Parallel()
	transfertest.Run(t, func(testing.TB) transfer.Store { return transfertest.NewMemory() },
		func(_ testing.TB, s transfer.Store) transfer.Store { return s },
		func(_ testing.TB, s transfer.Store, id custody.RequestID) { s.(*transfertest.Memory).Poke(id) })
}

func TestReadyTransferBecomesFinal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.ask("a", 0)
	h.tick()
	h.want(id, transfer.InMempool)
	h.node.mine(1)
	h.tick()
	h.want(id, transfer.Mined)
	h.node.mine(need - 1)
	h.tick()
	h.want(id, transfer.Final)
	if !h.settled(id) {
		t.Error("not settled")
	}
	sends := h.node.sends
	h.tick()
	if h.node.sends != sends {
		t.Error("a settled transfer was handed in again")
	}
	h.check()
}

func TestTransfersOfAnAccountTakeNoncesInOrder(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var ids []custody.RequestID
	for i := range 5 {
		ids = append(ids, h.ask(fmt.Sprint("n", i), 0))
	}
	other := h.ask("other", 1)
	h.tick()
	for i, id := range ids {
		if a := h.attempts(id); len(a) != 1 || a[0].Nonce != uint64(i) {
			t.Errorf("transfer %d: %+v", i, a)
		}
	}
	if a := h.attempts(other); len(a) != 1 || a[0].Nonce != 0 {
		t.Errorf("the other account's transfer: %+v", a)
	}
	h.node.mine(need)
	h.tick()
	for _, id := range append(ids, other) {
		if !h.settled(id) {
			x, _, _ := h.store.Transfer(t.Context(), id)
			t.Errorf("not settled: %+v %+v", x, h.attempts(id))
		}
	}
	h.check()
}

func TestDroppedIsHandedInAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.ask("a", 0)
	h.tick()
	h.node.drop()
	h.tick()
	h.want(id, transfer.InMempool)
	h.node.mine(need)
	h.tick()
	if !h.settled(id) {
		t.Error("not settled")
	}
}

func TestReorgReturnsToPending(t *testing.T) {
	t.Parallel()
	for _, keep := range []bool{true, false} {
		h := newHouse(t)
		id := h.ask("a", 0)
		h.tick()
		h.node.mine(need - 1)
		h.tick()
		h.want(id, transfer.Mined)
		h.node.reorg(need-1, keep)
		h.tick()
		h.want(id, transfer.InMempool) // again: by the pool, or handed in once more
		h.node.mine(need)
		h.tick()
		if !h.settled(id) {
			t.Errorf("keep=%v: not settled", keep)
		}
		h.check()
	}
}

func TestStuckIsReplacedWithinTheCap(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.ask("a", 0)
	h.tick()
	for range 40 { // the cap is five times the first price
		h.tick()
	}
	a := h.attempts(id)
	if len(a) != 6 || a[5].State != transfer.SignFailed || a[4].State != transfer.InMempool {
		t.Fatalf("attempts %+v", a)
	}
	for i, x := range a[:5] {
		if x.Nonce != 0 || x.TxID == "" || (i < 4 && x.State == transfer.InMempool) {
			t.Errorf("attempt %d: %+v", i+1, x)
		}
	}
	h.node.mine(need)
	h.tick()
	h.want(id, transfer.Replaced, transfer.Replaced, transfer.Replaced, transfer.Replaced, transfer.Final, transfer.SignFailed)
	h.check()
}

func TestOlderAttemptMayWin(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.ask("a", 0)
	h.tick()
	first := h.attempts(id)[0]
	for len(h.attempts(id)) < 2 {
		h.tick()
	}
	h.node.drop()
	if _, err := h.node.send(first.Signed); err != nil {
		t.Fatal(err)
	}
	h.node.mine(1)
	h.tick()
	h.want(id, transfer.Mined, transfer.Dropped)
	h.node.mine(need)
	h.tick()
	h.want(id, transfer.Final, transfer.Replaced)
	h.check()
}

func TestRefusedPayloadIsBuiltAnew(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.builder.price = 10 // above the cap
	id := h.ask("a", 0)
	h.tick()
	h.want(id, transfer.SignFailed)
	x, _, _ := h.store.Transfer(t.Context(), id)
	if !strings.Contains(x.Note, "cap") || x.Failures != 1 {
		t.Errorf("note %q", x.Note)
	}
	h.builder.price = 0
	h.tick()
	h.want(id, transfer.InMempool)
	h.check()
}

func TestBuilderFailureIsToldAndRetried(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.builder.err = problem.New(problem.Insufficient, "have 1, need 2")
	id := h.ask("a", 0)
	h.tick()
	x, _, _ := h.store.Transfer(t.Context(), id)
	if !strings.Contains(x.Note, "have 1, need 2") {
		t.Errorf("note %q", x.Note)
	}
	if _, err := h.worker.Sign(t.Context(), id); problem.KindOf(err) != problem.Conflict || !strings.Contains(err.Error(), "have 1") {
		t.Errorf("sign: %v", err)
	}
	note := func(want string, on custody.ChainID) {
		t.Helper()
		if n, err := h.worker.Note(t.Context(), id, on); err != nil || (n == "") != (want == "") || !strings.Contains(n, want) {
			t.Errorf("note %q, error %v; want %q", n, err, want)
		}
	}
	note("have 1, need 2", x.Chain)
	note("no node is configured", "eip155:99")
	h.builder.err = nil
	h.tick()
	h.want(id, transfer.InMempool)
	note("", x.Chain)
}

func TestSignOverRESTSharesTheWorkersAttempt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.ask("a", 0)
	x, err := h.worker.Sign(t.Context(), id)
	if err != nil || len(x.Bytes) == 0 {
		t.Fatal(err)
	}
	again, err := h.worker.Sign(t.Context(), id)
	if err != nil || !bytes.Equal(again.Bytes, x.Bytes) {
		t.Errorf("again: %v", err)
	}
	h.tick()
	h.want(id, transfer.InMempool)
	if a := h.attempts(id); !bytes.Equal(a[0].Signed, x.Bytes) {
		t.Error("the worker has other bytes")
	}
}

func TestFullPoolIsRetried(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.node.full = true
	id := h.ask("a", 0)
	h.tick()
	h.want(id, transfer.Signed)
	h.node.full = false
	h.tick()
	h.want(id, transfer.InMempool)
}

func TestCancelledTransferIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.ask("a", 0)
	v, err := gate.Call[message.ByID, message.Request](t.Context(), h.core, message.MethodRequest, message.ByID{ID: id})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gate.Call[message.Approve, message.Request](t.Context(), h.core, message.MethodApprove, coretest.Approval(v, "cancel", coretest.Payout)); err != nil {
		t.Fatal(err)
	}
	h.tick()
	x, _, _ := h.store.Transfer(t.Context(), id)
	if !x.Settled || len(h.attempts(id)) != 0 {
		t.Errorf("%+v %+v", x, h.attempts(id))
	}
}

func TestNonceGapIsReportedAndNothingBuilt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	first := h.ask("first", 0)
	v, err := gate.Call[message.ByID, message.Request](t.Context(), h.core, message.MethodRequest, message.ByID{ID: first})
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.builder.BuildPayload(t.Context(), transfer.Order{Effects: v.Effects})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gate.Call[message.Sign, message.Signed](t.Context(), h.core, message.MethodSign, message.Sign{ID: first, Payload: p}); err != nil {
		t.Fatal(err)
	}
	second := h.ask("second", 0)
	x, _, _ := h.store.Transfer(t.Context(), first)
	x.Settled = true // the cache does not know that it is under way
	if err := h.store.Save(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	h.tick()
	y, _, _ := h.store.Transfer(t.Context(), second)
	if len(h.attempts(second)) != 0 || !strings.Contains(y.Note, "nonce 0 of account") {
		t.Errorf("%+v %+v", y, h.attempts(second))
	}
	x.Settled = false
	if err := h.store.Save(t.Context(), x); err != nil {
		t.Fatal(err)
	}
	h.tick()
	h.want(first, transfer.InMempool)
	h.want(second, transfer.InMempool)
	h.check()
}

func TestAccountUsedPastTheCoreIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.ask("a", 0)
	h.tick()
	a, err := read(h.attempts(id)[0].Signed)
	if err != nil {
		t.Fatal(err)
	}
	a.id, a.signed.Tx.Nonce = "0xforeign", 7
	h.node.blocks = append(h.node.blocks, []tx{a})
	second := h.ask("b", 0)
	h.tick()
	x, _, _ := h.store.Transfer(t.Context(), second)
	if len(h.attempts(second)) != 0 || !strings.Contains(x.Note, "past this domain") {
		t.Errorf("%+v %+v", x, h.attempts(second))
	}
}

func TestForeignTransactionInTheSlotIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.ask("a", 0)
	h.node.full = true
	h.tick()
	h.node.full = false
	a := h.attempts(id)[0]
	x, err := read(a.Signed)
	if err != nil {
		t.Fatal(err)
	}
	x.id = "0xforeign"
	h.node.blocks = append(h.node.blocks, []tx{x})
	h.tick()
	if got := h.attempts(id)[0]; got.State != transfer.Signed || !strings.Contains(got.Note, "nonce too low") {
		t.Errorf("%+v", got)
	}
}

// TestCrashAtEveryStep runs the life of two transfers, one of them replaced once, with one effect failing, before or after it
// happened, as an error or as the end of the process, with the store kept or lost.
func TestCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"error", "crash", "crash and store lost"} {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/after=%v", mode, after), func(t *testing.T) {
				t.Parallel()
				for at := 0; ; at++ {
					if hit := life(t, mode, at, after); hit == "" {
						if at < 20 {
							t.Fatalf("a life has only %d effects; the test does not test", at)
						}
						return
					}
				}
			})
		}
	}
}

// life runs with a fault at one effect and says what failed, "" if nothing did because there are fewer.
func life(t *testing.T, mode string, at int, after bool) string {
	h := newHouse(t)
	h.faults.at, h.faults.after = at, after
	crash := h.faults.crash
	stopped := false
	h.faults.crash = func() {
		if mode != "error" {
			stopped = true
			crash()
		}
	}
	h.store.FailSave(func(late bool) error { // a save counts as one effect
		if late != after {
			return nil
		}
		return h.faults.around("save", transfertest.ErrStore, func() error { return nil })
	})
	tick := func() {
		h.tick()
		if stopped {
			stopped = false
			if mode == "crash and store lost" {
				h.store = transfertest.NewMemory()
			}
			h.start()
			h.fold()
		}
		h.check()
	}
	h.faults.at = -1
	a, b := h.ask("a", 0), h.ask("b", 0)
	h.faults.mu.Lock()
	h.faults.seen, h.faults.at = 0, at
	h.faults.mu.Unlock()
	for i := 0; i < 5; i++ { // long enough for one replacement of each
		tick()
	}
	h.node.mine(1)
	tick()
	h.node.reorg(1, false)
	tick()
	h.node.mine(1)
	for i := 0; i < 20 && !(h.settled(a) && h.settled(b)); i++ {
		h.node.mine(1)
		tick()
	}
	if !h.settled(a) || !h.settled(b) {
		x, _, _ := h.store.Transfer(t.Context(), a)
		y, _, _ := h.store.Transfer(t.Context(), b)
		t.Fatalf("effect %d (%s): not settled: %+v %+v | %+v %+v", at, h.faults.hit, x, h.attempts(a), y, h.attempts(b))
	}
	paid := 0
	for _, x := range h.node.all() {
		if x.signed.Tx.Nonce < 2 {
			paid++
		}
	}
	if paid != 2 {
		t.Fatalf("effect %d (%s): %d payments were mined, want 2", at, h.faults.hit, paid)
	}
	return h.faults.hit
}

func TestTwoWorkersAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.ask("a", 0)
	// One builds and stops before it asks; a successor with an empty store signs another payload; then the first goes on.
	h.faults.at, h.faults.seen = -1, 0
	h.core.Fail(message.MethodSign, coretest.Before)
	h.tick()
	h.want(id, transfer.Preparing)
	mine := h.store
	h.store = transfertest.NewMemory()
	h.start()
	h.fold()
	h.tick()
	theirs := h.attempts(id)
	h.want(id, transfer.InMempool)
	h.store = mine
	h.start()
	h.tick()
	a := h.attempts(id)
	if len(a) == 0 || !a[0].Permitted() || a[0].TxID != theirs[0].TxID {
		t.Errorf("the first worker has %+v, the second %+v", a, theirs)
	}
	h.node.mine(need)
	h.tick()
	if !h.settled(id) {
		t.Error("not settled")
	}
	h.check()
}

// A replacement that somebody else had signed is taken over, wherever it is found out: else a payment that went in would be shown as one
// that did not, and perhaps be made again.
func TestReplacementBySomebodyElseIsAdopted(t *testing.T) {
	t.Parallel()
	to, err := eth.ParseAddress(coretest.EthereumTo)
	if err != nil {
		t.Fatal(err)
	}
	for name, theirs := range map[string]func(h *house, raw []byte){
		"mined": func(h *house, raw []byte) {
			if _, err := h.node.send(raw); err != nil {
				t.Fatal(err)
			}
			h.node.mine(need)
		},
		"in the pool": func(h *house, raw []byte) {
			if _, err := h.node.send(raw); err != nil {
				t.Fatal(err)
			}
		},
		"not sent": func(*house, []byte) {}, // found when the fee is to be raised
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			id := h.ask("a", 0)
			h.tick()
			h.want(id, transfer.InMempool)
			p, err := eth.Tx1559{ChainID: 1337, Nonce: 0, MaxPriorityFeePerGas: eth.FromUint64(5000), MaxFeePerGas: eth.FromUint64(5000), GasLimit: 21000,
				To: to, Value: eth.Uint256(custody.U64(7))}.Encode()
			if err != nil {
				t.Fatal(err)
			}
			x, err := gate.Call[message.Sign, message.Signed](t.Context(), h.core, message.MethodSign, message.Sign{ID: id, Payload: p})
			if err != nil {
				t.Fatal(err)
			}
			theirs(h, x.Bytes)
			for range 40 {
				h.tick()
			}
			h.node.mine(need)
			for range 3 {
				h.tick()
			}
			a := h.attempts(id)
			if len(a) < 2 || a[1].TxID != chain.TxID(x.TxID) || a[0].State != transfer.Replaced || !h.settled(id) {
				t.Errorf("attempts %+v, settled %v", a, h.settled(id))
			}
			h.check()
		})
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	if _, err := transfer.New(transfer.Config{}); err == nil {
		t.Error("a zero config was accepted")
	}
	h := newHouse(t)
	for name, c := range map[string]transfer.Chain{
		"no node":          {Builder: h.builder, Confirmations: 1, Poll: 1, Nonces: h.node},
		"no nonces":        {Builder: h.builder, Node: h.node, Confirmations: 1, Poll: 1},
		"no confirmations": {Builder: h.builder, Node: h.node, Nonces: h.node, Poll: time.Second},
	} {
		_, err := transfer.New(transfer.Config{Core: h.core, Store: h.store, Now: h.clock, Log: nil, Chains: map[custody.ChainID]transfer.Chain{coretest.Ethereum: c}})
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if !errors.Is(errNode, &chain.Refusal{Reason: chain.Unavailable}) {
		t.Error("the test's own refusal has no reason")
	}
}
