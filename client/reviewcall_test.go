// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom/client"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/eth/calls/callstest"
	"strongroom/internal/pure/eth/eip712"
	"strongroom/internal/pure/request"
)

// viewOf is what serve shows of a request.
func viewOf(t *testing.T, op request.Operation, body any, e request.Effects, b request.Bounds) client.RequestView {
	t.Helper()
	r := request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: op, Body: canon.Encode(body), NotAfter: 1_900_000_000}
	if err := r.Check(); err != nil {
		t.Fatal(err)
	}
	e.Operation, b.NotAfter = op, r.NotAfter
	shown, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	v := client.RequestView{ID: r.ID().String(), State: "pending", Operation: op, Initiator: r.Initiator, IdempotencyKey: r.Key, NotAfter: r.NotAfter, Canonical: r.Encode(), Body: shown, Effects: e, Bounds: b,
		Decision: apiv1.Decision{PolicyHash: strings.Repeat("00", 32)}}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out client.RequestView
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// callView is a call of many, one of them of a contract that is not in the rules.
func callView(t *testing.T) client.RequestView {
	approve := callstest.Data(t, "approve(address,uint256)", fmt.Sprintf(`[%q,7]`, callstest.Payee))
	data := callstest.Data(t, "aggregate3((address,bool,bytes)[])", fmt.Sprintf(`[[[%q,true,"0x%x"],[%q,false,"0x%[2]x"]]]`, callstest.Token, approve, callstest.Payee))
	contract, err := eth.ParseAddress(callstest.Multi)
	if err != nil {
		t.Fatal(err)
	}
	chain := custody.EVMChain(1)
	c, err := calls.Decode(calls.Call{Chain: chain, Source: callstest.Payee, Contract: contract, Value: custody.U64(1), Data: data}, func(a eth.Address, s eth.Selector) (calls.Found, bool, bool) {
		f, ok := map[string]calls.Found{callstest.Token: {ID: "usd", Kind: calls.Token}, callstest.Multi: {ID: "multi", Kind: calls.Multicall}}[a.String()]
		var has bool
		f.Function, has = calls.Standard(f.Kind, s)
		return f, ok, has
	})
	if err != nil || len(c.Calls) != 3 {
		t.Fatal(err, c)
	}
	return viewOf(t, request.ContractCall, request.ContractCallBody{Wallet: "hot", Contract: callstest.Multi, Value: custody.U64(1), Data: data, FeeCap: custody.U64(9)},
		request.Effects{Wallet: "hot", Chain: chain, Asset: chain.Native(), Source: callstest.Payee, Total: custody.U64(1), Calls: &c},
		request.Bounds{FeeCap: custody.U64(9), FeeAsset: chain.Native(), Change: request.NoChange, Slot: request.AccountNonce})
}

func messageView(t *testing.T) client.RequestView {
	b := request.MessageSignBody{Wallet: "hot", Kind: request.PersonalMessage, Content: "hello"}
	m, err := eip712.Describe(&b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return viewOf(t, request.MessageSign, b, request.Effects{Wallet: "hot", Chain: custody.EVMChain(1), Source: callstest.Payee, Message: &m}, request.Bounds{Change: request.NoChange, Slot: request.NoSlot})
}

// TestReviewOfCalls: calls and messages are decoded again from the canonical request; whatever serve shows otherwise is found out.
func TestReviewOfCalls(t *testing.T) {
	t.Parallel()
	if rev, err := client.NewReview(client.AuthorityID{}, callView(t)); err != nil || len(rev.Effects.Calls.Calls) != 3 {
		t.Fatalf("a call: %v", err)
	}
	rev, err := client.NewReview(client.AuthorityID{}, messageView(t))
	if err != nil || string(rev.Statement("p_aaaaaaaaaaaaaaab", client.Approve).Exact) != "\x19Ethereum Signed Message:\n5hello" {
		t.Fatalf("a message: %v", err)
	}
	for name, lie := range map[string]func(v *client.RequestView){
		"another argument":     func(v *client.RequestView) { v.Effects.Calls.Calls[1].Args[1].Value = "8" },
		"another function":     func(v *client.RequestView) { v.Effects.Calls.Calls[1].Function = "approve(address,uint128)" },
		"a call left out":      func(v *client.RequestView) { v.Effects.Calls.Calls = v.Effects.Calls.Calls[:2] },
		"an approval left out": func(v *client.RequestView) { v.Effects.Calls.Approvals = v.Effects.Calls.Approvals[:1] },
		"a call named":         func(v *client.RequestView) { v.Effects.Calls.Calls[2].ID = "usd" },
		"not decoded":          func(v *client.RequestView) { v.Effects.Calls.Undecoded = "because" },
		"nothing":              func(v *client.RequestView) { v.Effects.Calls = nil },
		"another value":        func(v *client.RequestView) { v.Effects.Total = custody.U64(2) },
		"another hash":         func(v *client.RequestView) { v.Effects.Calls.DataHash = make([]byte, 32) },
		"another slot":         func(v *client.RequestView) { v.Bounds.Slot = request.NoSlot },
		"another fee":          func(v *client.RequestView) { v.Bounds.FeeCap = custody.U64(10) },
	} {
		v := callView(t)
		lie(&v)
		if _, err := client.NewReview(client.AuthorityID{}, v); !errors.Is(err, client.ErrDisagrees) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for name, lie := range map[string]func(v *client.RequestView){
		"another text":  func(v *client.RequestView) { v.Effects.Message.Text = "hello!" },
		"another kind":  func(v *client.RequestView) { v.Effects.Message.Kind = request.TypedMessage },
		"other bytes":   func(v *client.RequestView) { v.Effects.Message.Exact[30] ^= 1 },
		"nothing":       func(v *client.RequestView) { v.Effects.Message = nil },
		"another bound": func(v *client.RequestView) { v.Bounds.FeeCap = custody.U64(1) },
	} {
		v := messageView(t)
		lie(&v)
		if _, err := client.NewReview(client.AuthorityID{}, v); !errors.Is(err, client.ErrDisagrees) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
