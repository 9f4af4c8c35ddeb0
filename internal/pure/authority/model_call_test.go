// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

const (
	tokenAt = "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"
	multiAt = "0x8617E340B3D01FA5F11F306F4090FD50E238070D"
)

// callPoints are the control points of calls and messages, which a new domain has off.
var callPoints = points.Make(points.ContractCall, points.MessageSign)

// callContracts are the contracts of the rules: a token, and a contract that makes many calls.
func callContracts() []policy.Contract {
	return []policy.Contract{{ID: "multi", Chain: evm, Addresses: []string{multiAt}, Kind: calls.Multicall}, {ID: "usd", Chain: evm, Addresses: []string{tokenAt}, Functions: []string{"ping()"}, Kind: calls.Token}}
}

// callData builds call data.
func callData(t tester, signature, args string) []byte {
	t.Helper()
	f, err := abi.ParseFunction(signature)
	if err != nil {
		t.Fatal(err)
	}
	vs, err := abi.FromJSON(f.Inputs, []byte(args))
	if err != nil {
		t.Fatal(err)
	}
	return f.EncodeCall(vs)
}

func approveCall(t tester, wallet custody.WalletID, amount uint64) request.ContractCallBody {
	return request.ContractCallBody{Wallet: wallet, Contract: tokenAt, Data: callData(t, "approve(address,uint256)", fmt.Sprintf(`["%s",%d]`, known, amount)), FeeCap: custody.U64(1000)}
}

// nestedTransfer transfers tokens inside of a call of many.
func nestedTransfer(t tester, amount uint64) request.ContractCallBody {
	in := callData(t, "transfer(address,uint256)", fmt.Sprintf(`["%s",%d]`, known, amount))
	return request.ContractCallBody{Wallet: "hot", Contract: multiAt, Data: callData(t, "aggregate3((address,bool,bytes)[])", fmt.Sprintf(`[[["%s",false,"0x%x"]]]`, tokenAt, in)), FeeCap: custody.U64(1000)}
}

func hello(wallet custody.WalletID) request.MessageSignBody {
	return request.MessageSignBody{Wallet: wallet, Kind: request.PersonalMessage, Content: "hello"}
}

// drawCall draws a call or a message of a hot or a warm wallet.
func drawCall(t *rapid.T) (request.Operation, any) {
	w := rapid.SampledFrom([]custody.WalletID{"hot", "hot", "hot", "vault"}).Draw(t, "calling wallet")
	switch rapid.IntRange(0, 4).Draw(t, "call") {
	case 0:
		return request.MessageSign, hello(w)
	case 1:
		return request.ContractCall, nestedTransfer(t, rapid.Uint64Range(1, 100).Draw(t, "tokens"))
	case 2:
		return request.ContractCall, request.ContractCallBody{Wallet: w, Contract: tokenAt, Data: callData(t, "ping()", "[]"), Value: custody.U64(rapid.Uint64Range(0, 5).Draw(t, "value")), FeeCap: custody.U64(1000)}
	default:
		return request.ContractCall, approveCall(t, w, rapid.Uint64Range(1, 100).Draw(t, "approved"))
	}
}

// callStory is a call or a message as it should be, and perhaps its result.
func (d *driver) callStory(t *rapid.T) {
	op, body := drawCall(t)
	by := who("alice")
	e := d.decided(t, by, d.request(by, op, body))
	if e == nil {
		return
	}
	r, err := e.Parse()
	if err != nil {
		t.Fatal(err)
	}
	d.submit(t, e)
	if _, waits := d.s.Pending(r.Ident); !waits {
		return
	}
	d.submit(t, d.approval(t, r.Ident, who("bob"), request.Approve))
	if e.Effects.Message != nil {
		d.submit(t, d.messagePermit(t, e))
	} else {
		d.submit(t, d.permit(t, r.Ident, "call", account0(d.s.NextNonce(e.Effects.Wallet, 0)), 1))
	}
	if rapid.Bool().Draw(t, "settled") {
		d.submit(t, d.result(r.Ident))
	}
}

// messagePermit is the permit of a message, now and then made wrong.
func (d *driver) messagePermit(t *rapid.T, e *entry.Request) *entry.Permit {
	r, err := e.Parse()
	if err != nil {
		t.Fatal(err)
	}
	b := d.permit(t, r.Ident, string(e.Effects.Message.Exact), account0(0), 0)
	switch {
	case seldom(t, "a nonce"):
		b.Slot.Nonce = 1
	case seldom(t, "a fee"):
		b.Fee = custody.U64(1)
	case seldom(t, "no account"):
		b.Slot.Account = ""
	case seldom(t, "a transaction"):
		b.Payload = []byte{2, 1}
		b.PayloadHash = canon.HashBytes(canon.TagPayload, b.Payload)
	}
	return b
}

// mayCall says whether the control points let a request be signed.
func (m *model) mayCall(id custody.RequestID) bool {
	var op request.Operation
	if p := m.pendingOf(id); p != nil {
		op = p.Effects.Operation
	}
	if g := m.signedOf(id); g != nil {
		op = g.Operation
	}
	return (op != request.ContractCall || m.mayUse(points.ContractCall)) && (op != request.MessageSign || m.mayUse(points.MessageSign))
}

// payCall takes from a warm wallet's sessions. Its messages, and calls that move tokens or give power over them, are not signed.
func (m *model) payCall(w int, p *Pending, b *entry.Permit, at Moment) error {
	warm := m.warmOf(w) != nil
	if p.Effects.Operation == request.MessageSign {
		return ensure(!warm)
	}
	if c := p.Effects.Calls; warm && c != nil && len(slices.Concat(make([]int, len(c.Movements)), make([]int, len(c.Approvals)))) > 0 {
		return errModel
	}
	return m.pay(w, p.Effects.Asset, p.Effects.Total, b.Fee, at)
}
