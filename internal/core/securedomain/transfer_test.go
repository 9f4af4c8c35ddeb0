// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// pay asks for a transfer of the native coin on the test chain.
func pay(h *domaintest.Harness, by domaintest.Person, to string, amount uint64) request.Request {
	return h.Request(by, request.Transfer, request.TransferBody{Wallet: "hot", Asset: domaintest.Chain.Native(),
		Outputs: []request.Output{{Address: to, Amount: custody.U64(amount)}}, FeeCap: custody.U64(21000 * 100)})
}

// payload builds the unsigned transaction of such a transfer.
func payload(t testing.TB, to string, amount, nonce, gasPrice uint64) []byte {
	t.Helper()
	a, err := eth.ParseAddress(to)
	if err != nil {
		t.Fatal(err)
	}
	b, err := eth.Tx1559{ChainID: 1337, Nonce: nonce, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(gasPrice), GasLimit: 21000, To: a,
		Value: eth.FromUint64(amount)}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGovernedTransfer(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{})
	w := h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	v, err := h.Submit(h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000), nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.State != message.StatePending || v.Missing == nil || v.Missing.Kind != problem.QuorumNotMet {
		t.Fatalf("after submit: %+v", v)
	}
	p := payload(t, domaintest.Whitelisted, 1000, 0, 10)
	if _, err := h.D.Sign(context.Background(), v.ID, p); problem.KindOf(err) != problem.QuorumNotMet {
		t.Fatalf("signed without approvals: %v", err)
	}
	if _, err := h.Decide(h.Alice, v, request.Approve); problem.KindOf(err) != problem.Forbidden {
		t.Fatalf("the initiator approved: %v", err)
	}
	if v, err = h.Decide(h.Bob, v, request.Approve); err != nil || v.State != message.StatePending {
		t.Fatalf("after one approval: %v %+v", err, v)
	}
	if again, err := h.Decide(h.Bob, v, request.Approve); err != nil || len(again.Approvals) != 1 || again.Approvals[0].Seq != v.Approvals[0].Seq {
		t.Fatalf("bob approved twice: %v, %+v", err, again.Approvals)
	}
	if v, err = h.Decide(h.Carol, v, request.Approve); err != nil || v.State != message.StateReady {
		t.Fatalf("after two approvals: %v %+v", err, v)
	}
	signed, err := h.D.Sign(context.Background(), v.ID, p)
	if err != nil {
		t.Fatal(err)
	}
	stx, err := eth.DecodeSigned(signed.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if from, err := stx.Sender(); err != nil || from.String() != w.Address {
		t.Fatalf("signed by %v, want %s (%v)", from, w.Address, err)
	}
	again, err := h.D.Sign(context.Background(), v.ID, p)
	if err != nil || !bytes.Equal(again.Bytes, signed.Bytes) {
		t.Fatalf("signing again gave other bytes: %v", err)
	}
	h.Reopen()
	again, err = h.D.Sign(context.Background(), v.ID, nil)
	if err != nil || !bytes.Equal(again.Bytes, signed.Bytes) {
		t.Fatalf("signing again after a restart gave other bytes: %v", err)
	}
	if _, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Stranger, 1000, 0, 20)); problem.KindOf(err) != problem.OutsideBounds {
		t.Fatalf("replaced by a payment to a stranger: %v", err)
	}
	bumped, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 20))
	if err != nil || bumped.Attempt != 2 {
		t.Fatalf("replacement: %v %+v", err, bumped)
	}
	if _, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 101)); problem.KindOf(err) != problem.OutsideBounds {
		t.Fatalf("fee above the cap: %v", err)
	}
	h.Check()
}
