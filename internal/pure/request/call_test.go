// SPDX-License-Identifier: Apache-2.0

package request_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/request"
)

func contractCall(f func(*request.ContractCallBody)) request.ContractCallBody {
	b := request.ContractCallBody{Wallet: "hot", Source: 2, Contract: address, Value: custody.U64(5), Data: []byte{1, 2, 3, 4, 5}, FeeCap: custody.U64(7)}
	f(&b)
	return b
}

func messageSign(kind request.MessageKind, content string) request.MessageSignBody {
	return request.MessageSignBody{Wallet: "hot", Source: 2, Kind: kind, Content: content}
}

// TestCallBodies: bodies of calls and messages, what is well-formed and what is refused.
func TestCallBodies(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		op   request.Operation
		body any
		want string // of the error; empty: accepted
	}{
		"call":                {request.ContractCall, contractCall(func(*request.ContractCallBody) {}), ""},
		"call of no wallet":   {request.ContractCall, contractCall(func(b *request.ContractCallBody) { b.Wallet = "" }), "wallet"},
		"no checksum":         {request.ContractCall, contractCall(func(b *request.ContractCallBody) { b.Contract = strings.ToLower(address) }), "checksum"},
		"zero address":        {request.ContractCall, contractCall(func(b *request.ContractCallBody) { b.Contract = eth.Address{}.String() }), "can't be created"},
		"no function":         {request.ContractCall, contractCall(func(b *request.ContractCallBody) { b.Data = []byte{1, 2, 3} }), "no function"},
		"too much data":       {request.ContractCall, contractCall(func(b *request.ContractCallBody) { b.Data = make([]byte, eth.MaxDataSize+1) }), "more than"},
		"no fee":              {request.ContractCall, contractCall(func(b *request.ContractCallBody) { b.FeeCap = custody.Uint256{} }), "feeCap"},
		"text":                {request.MessageSign, messageSign(request.PersonalMessage, "line 1\nline 2, \u00fcber"), ""},
		"typed":               {request.MessageSign, messageSign(request.TypedMessage, "{}"), ""},
		"no kind":             {request.MessageSign, messageSign("", "x"), "neither"},
		"a hash":              {request.MessageSign, messageSign("raw", strings.Repeat("0", 64)), "never signed"},
		"hex as text":         {request.MessageSign, messageSign(request.PersonalMessage, "0x00Ff"), "hex digits"},
		"no text":             {request.MessageSign, messageSign(request.PersonalMessage, ""), "0 bytes"},
		"long text":           {request.MessageSign, messageSign(request.PersonalMessage, strings.Repeat("x", request.MaxPersonal+1)), "bytes"},
		"text turned around":  {request.MessageSign, messageSign(request.PersonalMessage, "a\u202eb"), "can't be seen"},
		"text with a tab":     {request.MessageSign, messageSign(request.PersonalMessage, "a\tb"), "can't be seen"},
		"no typed data":       {request.MessageSign, messageSign(request.TypedMessage, ""), "0 bytes"},
		"long typed data":     {request.MessageSign, messageSign(request.TypedMessage, strings.Repeat("x", request.MaxTyped+1)), "bytes"},
		"message of no one's": {request.MessageSign, request.MessageSignBody{Kind: request.PersonalMessage, Content: "x"}, "wallet"},
	} {
		r := request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: x.op, Body: canon.Encode(x.body), NotAfter: 1}
		err := r.Check()
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
}

// FuzzCallBodies: whatever the bytes of a body are, it is refused or has one encoding.
func FuzzCallBodies(f *testing.F) {
	f.Add(true, canon.Encode(contractCall(func(*request.ContractCallBody) {})))
	f.Add(false, canon.Encode(messageSign(request.PersonalMessage, "hello")))
	f.Fuzz(func(t *testing.T, call bool, b []byte) {
		op := request.MessageSign
		if call {
			op = request.ContractCall
		}
		r := request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: op, Body: b, NotAfter: 1}
		if body, err := r.DecodeBody(); err == nil && !bytes.Equal(canon.Encode(body), b) {
			t.Fatal("an accepted body has another encoding")
		}
	})
}

// TestCallsFrozen: the encodings that people sign never change.
func TestCallsFrozen(t *testing.T) {
	t.Parallel()
	asked := func(op request.Operation, body any, e request.Effects) (string, string) {
		r := request.Request{V: 1, Authority: custody.AuthorityID{1, 2, 3}, Domain: custody.DomainID{1, 2, 3}, Initiator: alice, Key: "k", Operation: op, Body: canon.Encode(body), NotAfter: 1_900_000_000}
		e.Operation, e.Wallet, e.Chain, e.Source, e.BodyHash = op, "hot", evm, address, r.Hash()
		s := request.Statement{V: 1, Authority: r.Authority, Domain: r.Domain, Request: r.ID(), Initiator: alice, Effects: e, PolicyVersion: 5, Approver: bob, Decision: request.Approve}
		if e.Message != nil {
			s.Exact = e.Message.Exact
		}
		return hex.EncodeToString(r.Encode()), hex.EncodeToString(s.Encode())
	}
	approval := []request.TokenApproval{{Contract: address, Spender: address, Amount: custody.U64(7), Unlimited: true, All: true, ID: "usd"}}
	arg := []request.CallArg{{Path: "0", Type: "uint256", Value: "7"}}
	out := map[string]string{}
	out["call"], out["call statement"] = asked(request.ContractCall, contractCall(func(*request.ContractCallBody) {}), request.Effects{Asset: evm.Native(), Total: custody.U64(5), Calls: &request.CallEffects{
		Calls: []request.CallNode{{Contract: address}, {Depth: 1, Contract: address, ID: "usd", Kind: "token", Selector: "0x01020304", Function: "f(uint256)", Args: arg, Value: custody.U64(1), Delegate: true}}, Approvals: approval,
		Movements: []request.Movement{{Asset: evm.Native(), From: address, To: address, Amount: custody.U64(2)}}, Undecoded: "why", DataHash: bytes.Repeat([]byte{4}, 32)}})
	out["message"], out["message statement"] = asked(request.MessageSign, messageSign(request.PersonalMessage, "hello"), request.Effects{Message: &request.MessageEffects{Kind: request.TypedMessage, Text: "t", Name: "n", Version: "v",
		ChainID: "1", Contract: address, ID: "usd", Salt: "0x00", Primary: "P", Fields: arg, Approvals: approval, Deadline: "9", Exact: []byte{0x19, 1}}})
	sameAsFrozen(t, "testdata/frozen/calls-1.json", out)
}
