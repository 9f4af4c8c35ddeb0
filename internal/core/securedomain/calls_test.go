// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// token is a contract of the rules.
const token = domaintest.Stranger

// withCalls has a token, and routes for calls and messages.
func withCalls(d *policy.Document) {
	withBank(d)
	two := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 2}}}}}
	d.Contracts = []policy.Contract{{ID: "usd", Chain: domaintest.Chain, Addresses: []string{token}, Functions: []string{"stake(uint256)"}, Kind: calls.Token}}
	d.Routes = append(d.Routes, policy.Route{ID: "calls", Priority: 50, Plan: two, When: policy.Match{Operations: []request.Operation{request.ContractCall},
		Call: &policy.CallMatch{Contracts: []string{"usd"}}}},
		policy.Route{ID: "messages", Priority: 60, Plan: two, When: policy.Match{Operations: []request.Operation{request.MessageSign}, Message: []request.MessageKind{request.PersonalMessage}}})
}

func callPoints() *points.Set {
	s := points.Evaluation().Or(points.Make(points.ContractCall, points.MessageSign))
	return &s
}

func callDomain(t *testing.T) *domaintest.Harness {
	t.Helper()
	h := domaintest.New(t, domaintest.Options{Document: withCalls, Points: callPoints()})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	return h
}

func callData(t testing.TB, signature, args string) []byte {
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

func approving(t testing.TB, amount string) request.ContractCallBody {
	return request.ContractCallBody{Wallet: "hot", Contract: token, FeeCap: custody.U64(100_000 * 100),
		Data: callData(t, "approve(address,uint256)", fmt.Sprintf(`[%q,%s]`, domaintest.Whitelisted, amount))}
}

func greeting() request.MessageSignBody {
	return request.MessageSignBody{Wallet: "hot", Kind: request.PersonalMessage, Content: "I hold this key.\nReally."}
}

// callPayload is the transaction of a call, changed at will.
func callPayload(t testing.TB, b request.ContractCallBody, nonce, price uint64, change func(*eth.Tx1559)) []byte {
	t.Helper()
	to, err := eth.ParseAddress(b.Contract)
	if err != nil {
		t.Fatal(err)
	}
	tx := eth.Tx1559{ChainID: 1337, Nonce: nonce, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(price), GasLimit: 100_000, To: to, Value: eth.Uint256(b.Value), Data: b.Data}
	if change != nil {
		change(&tx)
	}
	out, err := tx.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tellCalls is a call with a replacement, and a message.
func (s *story) tellCalls() error {
	if err := s.wallet("hot", domaintest.Chain, request.SchemeEVM); err != nil {
		return err
	}
	b := approving(s.h.T, "7")
	v, err := s.approved("call", request.ContractCall, b, s.h.Bob, s.h.Carol)
	if err != nil {
		return err
	}
	if err := s.sign(v, callPayload(s.h.T, b, 0, 10, nil), callPayload(s.h.T, b, 0, 20, nil)); err != nil {
		return err
	}
	if v, err = s.approved("message", request.MessageSign, greeting(), s.h.Bob, s.h.Carol); err != nil {
		return err
	}
	return s.sign(v, v.Effects.Message.Exact)
}

// TestCallsFaultAtEveryCall: as TestFaultAtEveryCall, for the permits of calls and messages.
func TestCallsFaultAtEveryCall(t *testing.T) {
	t.Parallel()
	f := &factory{log: disktest.New(), anchor: disktest.New(), memory: domaintest.NewMemory(), calls: true}
	f.base = domaintest.New(t, domaintest.Options{Document: withCalls, Points: callPoints(), Log: f.log, Anchor: f.anchor, Memory: f.memory})
	f.base.Close()
	for _, op := range []domaintest.Op{domaintest.StoreAppend, domaintest.AnchorPin} {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			sweep(t, f, op)
		})
	}
}

// approvedCall has a request approved by two.
func approvedCall(t *testing.T, h *domaintest.Harness, op request.Operation, body any) message.Request {
	t.Helper()
	v, err := h.Submit(h.Alice, h.Request(h.Alice, op, body), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []domaintest.Person{h.Bob, h.Carol} {
		if _, err := h.Decide(p, v, request.Approve); err != nil {
			t.Fatal(err)
		}
	}
	if v, err = h.D.Request(context.Background(), v.ID); err != nil || v.State != message.StateReady {
		t.Fatalf("the request is %s: %v", v.State, err)
	}
	return v
}

func kindOf(err error) problem.Kind {
	var p *problem.Error
	if !errors.As(err, &p) {
		return ""
	}
	return p.Kind
}

// TestCallPayload: a payload that does anything else than the call that was approved is refused, and the call itself is signed by the wallet.
func TestCallPayload(t *testing.T) {
	t.Parallel()
	h := callDomain(t)
	b := approving(t, "7")
	v := approvedCall(t, h, request.ContractCall, b)
	for name, change := range map[string]func(*eth.Tx1559){
		"another contract": func(tx *eth.Tx1559) { tx.To[0] ^= 1 },
		"another value":    func(tx *eth.Tx1559) { tx.Value = eth.FromUint64(1) },
		"another amount":   func(tx *eth.Tx1559) { tx.Data = slices.Clone(tx.Data); tx.Data[67] ^= 1 },
		"no data":          func(tx *eth.Tx1559) { tx.Data = nil },
		"a higher fee":     func(tx *eth.Tx1559) { tx.GasLimit *= 11 },
		"another nonce":    func(tx *eth.Tx1559) { tx.Nonce = 1 },
	} {
		if _, err := h.D.Sign(context.Background(), v.ID, callPayload(t, b, 0, 100, change)); kindOf(err) != problem.OutsideBounds {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := h.D.Sign(context.Background(), v.ID, callPayload(t, b, 0, 100, func(tx *eth.Tx1559) { tx.ChainID = 1 })); kindOf(err) != problem.WrongNetwork {
		t.Errorf("another chain: got %v", err)
	}
	if _, err := h.D.Execute(context.Background(), v.ID); kindOf(err) != problem.Conflict {
		t.Errorf("a call is executed: %v", err)
	}
	out, err := h.D.Sign(context.Background(), v.ID, callPayload(t, b, 0, 50, nil))
	if err != nil {
		t.Fatal(err)
	}
	stx, err := eth.DecodeSigned(out.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if from, err := stx.Sender(); err != nil || from.String() != v.Effects.Source || string(stx.Tx.Data) != string(b.Data) {
		t.Errorf("signed by %s: %v", from, err)
	}
	if _, err := h.D.Sign(context.Background(), v.ID, callPayload(t, b, 0, 60, func(tx *eth.Tx1559) { tx.Value = eth.FromUint64(1) })); kindOf(err) != problem.OutsideBounds {
		t.Errorf("a replacement with another value: got %v", err)
	}
	h.Check()
}

// TestCallRefusals: what is refused when it is asked for, and by which rule.
func TestCallRefusals(t *testing.T) {
	t.Parallel()
	h := callDomain(t)
	const huge = "115792089237316195423570985008687907853269984665640564039457584007913129639935"
	refused := func(name string, body request.ContractCallBody, kind problem.Kind, rule string) {
		v, err := h.Submit(h.Alice, h.Request(h.Alice, request.ContractCall, body), nil)
		if err == nil && v.Missing != nil && v.State == message.StateRefused {
			err = &problem.Error{Kind: v.Missing.Kind, Rule: v.Missing.Rule}
		}
		var p *problem.Error
		if !errors.As(err, &p) || p.Kind != kind || p.Rule != rule {
			t.Errorf("%s: got %v (%+v)", name, err, v.State)
		}
	}
	with := func(change func(*request.ContractCallBody)) request.ContractCallBody {
		b := approving(t, "7")
		change(&b)
		return b
	}
	refused("unlimited approval", approving(t, huge), problem.RefusedByRule, policy.RuleCallDefaults)
	refused("unknown function", with(func(b *request.ContractCallBody) { b.Data = []byte{1, 2, 3, 4} }), problem.Undecodable, policy.RuleUndecodable)
	refused("unknown contract", with(func(b *request.ContractCallBody) { b.Contract = domaintest.Whitelisted }), problem.Undecodable, policy.RuleUndecodable)
	refused("a transfer", with(func(b *request.ContractCallBody) {
		b.Data = callData(t, "transfer(address,uint256)", fmt.Sprintf(`[%q,7]`, domaintest.Whitelisted))
	}), problem.Unsupported, "")
	refused("coins to a contract that transfers may not pay", with(func(b *request.ContractCallBody) { b.Value = custody.U64(1) }), problem.RefusedByRule, "known-destinations")
	refused("an address that is not there", with(func(b *request.ContractCallBody) { b.Source = 9 }), problem.NotFound, "")
	off := domaintest.New(t, domaintest.Options{Document: withCalls})
	off.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	for op, body := range map[request.Operation]any{request.ContractCall: approving(t, "7"), request.MessageSign: greeting()} {
		if _, err := off.Submit(off.Alice, off.Request(off.Alice, op, body), nil); kindOf(err) != problem.Forbidden {
			t.Errorf("%s with its control point off: got %v", op, err)
		}
	}
	h.Check()
}

// TestMessage: exactly the approved message is signed, by the wallet's key, once and the same each time.
func TestMessage(t *testing.T) {
	t.Parallel()
	h := callDomain(t)
	v := approvedCall(t, h, request.MessageSign, greeting())
	other := eth.PersonalMessage("I hold another key.")
	for name, p := range map[string][]byte{"another text": other, "a hash": make([]byte, 32), "a transaction": callPayload(t, approving(t, "1"), 0, 1, nil), "nothing": nil} {
		if _, err := h.D.Sign(context.Background(), v.ID, p); kindOf(err) != problem.OutsideBounds {
			t.Errorf("%s: got %v", name, err)
		}
	}
	out, err := h.D.Sign(context.Background(), v.ID, v.Effects.Message.Exact)
	if err != nil {
		t.Fatal(err)
	}
	if by, err := eth.MessageSigner(eth.PersonalMessage(greeting().Content), out.Bytes); err != nil || by.String() != v.Effects.Source {
		t.Errorf("signed by %s: %v", by, err)
	}
	again, err := h.D.Sign(context.Background(), v.ID, nil)
	if err != nil || string(again.Bytes) != string(out.Bytes) {
		t.Errorf("again: %x, %v", again.Bytes, err)
	}
	if _, err := h.Govern(request.PointsSet, request.PointsSetBody{Counter: h.Life().Counter + 1, Deny: points.Make(points.MessageSign)}, h.Bob, h.Carol); err != nil {
		t.Fatal(err)
	}
	if _, err := h.D.Sign(context.Background(), v.ID, nil); kindOf(err) != problem.Forbidden {
		t.Errorf("again, with the control point off: %v", err)
	}
	if _, err := h.D.Sign(context.Background(), v.ID, other); err == nil {
		t.Error("another message is signed for the same request")
	}
	h.Check()
}
