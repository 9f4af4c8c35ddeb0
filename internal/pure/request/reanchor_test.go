// SPDX-License-Identifier: Apache-2.0

package request_test

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/request"
)

func txid(b byte) []byte { return bytes.Repeat([]byte{b}, 32) }

// reanchorBodies has bodies of the operations that re-anchoring brings.
func reanchorBodies() map[request.Operation]any {
	return map[request.Operation]any{
		request.ReanchorCancel: request.ReanchorCancelBody{Counter: 7, Reanchor: 812},
		request.SlotReconcile:  request.SlotReconcileBody{Wallet: "hot", Accounts: []request.WalletNonce{{Index: 0, Next: 9}, {Index: 300, Next: 1}}},
	}
}

// Their encodings are what people sign: they never change.
func TestFrozenReanchor(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for op, body := range reanchorBodies() {
		r := example(op)
		r.Body = canon.Encode(body)
		hash := r.Hash()
		got[string(op)], got[string(op)+" hash"] = hex.EncodeToString(r.Encode()), hex.EncodeToString(hash[:])
	}
	got["bitcoin"] = hex.EncodeToString(canon.Encode(request.SlotReconcileBody{Wallet: "cold", Spent: []request.SpentInput{{TxID: txid(3), Index: 1}}}))
	sameAsFrozen(t, "testdata/frozen/reanchor-1.json", got)
}

func TestReanchorBodies(t *testing.T) {
	t.Parallel()
	nonces := func(list ...request.WalletNonce) any {
		return request.SlotReconcileBody{Wallet: "hot", Accounts: list}
	}
	inputs := func(list ...request.SpentInput) any {
		return request.SlotReconcileBody{Wallet: "cold", Spent: list}
	}
	for name, c := range map[string]struct {
		op   request.Operation
		body any
		want string // in the error; empty: there is none
	}{
		"cancel":               {request.ReanchorCancel, reanchorBodies()[request.ReanchorCancel], ""},
		"cancel of genesis":    {request.ReanchorCancel, request.ReanchorCancelBody{Counter: 1}, "name the entry"},
		"cancel as nothing":    {request.ReanchorCancel, request.ReanchorCancelBody{Reanchor: 3}, "counter"},
		"nothing new":          {request.SlotReconcile, request.SlotReconcileBody{Wallet: "hot"}, ""},
		"no wallet":            {request.SlotReconcile, request.SlotReconcileBody{}, "wallet"},
		"accounts":             {request.SlotReconcile, nonces(request.WalletNonce{Index: 1, Next: 1}, request.WalletNonce{Index: 2, Next: 1<<63 - 1}), ""},
		"an account twice":     {request.SlotReconcile, nonces(request.WalletNonce{Index: 1, Next: 1}, request.WalletNonce{Index: 1, Next: 2}), "rising index"},
		"nonce 0":              {request.SlotReconcile, nonces(request.WalletNonce{Index: 1}), "from 1 on"},
		"a nonce too large":    {request.SlotReconcile, nonces(request.WalletNonce{Index: 1, Next: 1 << 63}), "from 1 on"},
		"a hardened index":     {request.SlotReconcile, nonces(request.WalletNonce{Index: 1 << 31, Next: 1}), "index"},
		"too many":             {request.SlotReconcile, nonces(make([]request.WalletNonce, request.MaxReconciled+1)...), "at most"},
		"inputs":               {request.SlotReconcile, inputs(request.SpentInput{TxID: txid(1), Index: 2}, request.SpentInput{TxID: txid(2)}, request.SpentInput{TxID: txid(2), Index: 7}), ""},
		"inputs out of order":  {request.SlotReconcile, inputs(request.SpentInput{TxID: txid(2)}, request.SpentInput{TxID: txid(1)}), "rising order"},
		"an input twice":       {request.SlotReconcile, inputs(request.SpentInput{TxID: txid(2)}, request.SpentInput{TxID: txid(2)}), "rising order"},
		"a short id":           {request.SlotReconcile, inputs(request.SpentInput{TxID: txid(2)[:31]}), "32 bytes"},
		"accounts and inputs":  {request.SlotReconcile, request.SlotReconcileBody{Wallet: "x", Accounts: []request.WalletNonce{{Next: 1}}, Spent: []request.SpentInput{{TxID: txid(1)}}}, "one of them"},
		"the body of another":  {request.SlotReconcile, reanchorBodies()[request.ReanchorCancel], "body"},
		"the other way around": {request.ReanchorCancel, reanchorBodies()[request.SlotReconcile], "body"},
	} {
		r := example(c.op)
		r.Body = canon.Encode(c.body)
		_, err := request.Parse(r.Encode())
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
