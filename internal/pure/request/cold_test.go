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

// offline has one body of each operation on offline domains.
func offline() map[request.Operation]any {
	id := bytes.Repeat([]byte{7}, 32)
	return map[request.Operation]any{
		request.OfflineAdd:    request.OfflineAddBody{Counter: 7, Name: "vault", Leaf: []byte{1, 2}, Salt: bytes.Repeat([]byte{3}, 16), Body: []byte{4, 5}},
		request.OfflineRemove: request.OfflineRemoveBody{Counter: 7, Domain: id},
		request.WalletMove:    request.WalletMoveBody{Wallet: "hot", To: id, Temperature: request.Cold},
	}
}

// Their encodings and hashes never change.
func TestFrozenOffline(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	for op, body := range offline() {
		r := example(op)
		r.Body = canon.Encode(body)
		hash := r.Hash()
		got[string(op)], got[string(op)+" hash"] = hex.EncodeToString(r.Encode()), hex.EncodeToString(hash[:])
	}
	sameAsFrozen(t, "testdata/frozen/offline-1.json", got)
}

// Bodies about offline domains: what is well-formed, and what is refused.
func TestOfflineBodies(t *testing.T) {
	t.Parallel()
	id := bytes.Repeat([]byte{7}, 32)
	add := func(f func(*request.OfflineAddBody)) any {
		b := request.OfflineAddBody{Counter: 1, Name: "vault", Leaf: []byte{1}, Salt: make([]byte, 16), Body: []byte{2}}
		f(&b)
		return b
	}
	move := func(f func(*request.WalletMoveBody)) any {
		b := request.WalletMoveBody{Wallet: "w", To: id, Temperature: request.Cold}
		f(&b)
		return b
	}
	for name, x := range map[string]struct {
		op   request.Operation
		body any
		want string // of the error; empty: accepted
	}{
		"add":                    {request.OfflineAdd, add(func(*request.OfflineAddBody) {}), ""},
		"add without counter":    {request.OfflineAdd, add(func(b *request.OfflineAddBody) { b.Counter = 0 }), "counter"},
		"add without name":       {request.OfflineAdd, add(func(b *request.OfflineAddBody) { b.Name = "" }), "name"},
		"add without leaf":       {request.OfflineAdd, add(func(b *request.OfflineAddBody) { b.Leaf = nil }), "first entry"},
		"add with a short salt":  {request.OfflineAdd, add(func(b *request.OfflineAddBody) { b.Salt = b.Salt[:15] }), "salt"},
		"add with a huge body":   {request.OfflineAdd, add(func(b *request.OfflineAddBody) { b.Body = make([]byte, 16<<10+1) }), "first entry"},
		"remove":                 {request.OfflineRemove, request.OfflineRemoveBody{Counter: 1, Domain: id}, ""},
		"remove nothing":         {request.OfflineRemove, request.OfflineRemoveBody{Counter: 1}, "32 bytes"},
		"remove without counter": {request.OfflineRemove, request.OfflineRemoveBody{Domain: id}, "counter"},
		"move":                   {request.WalletMove, move(func(*request.WalletMoveBody) {}), ""},
		"move back, hot":         {request.WalletMove, move(func(b *request.WalletMoveBody) { b.Temperature = request.Hot }), ""},
		"move to nowhere":        {request.WalletMove, move(func(b *request.WalletMoveBody) { b.To = make([]byte, 32) }), "32 bytes"},
		"move to a short id":     {request.WalletMove, move(func(b *request.WalletMoveBody) { b.To = id[:31] }), "32 bytes"},
		"move no wallet":         {request.WalletMove, move(func(b *request.WalletMoveBody) { b.Wallet = "" }), "wallet"},
		"move to no temperature": {request.WalletMove, move(func(b *request.WalletMoveBody) { b.Temperature = "" }), "neither"},
		"cold by temperature":    {request.WalletTemperature, request.WalletTemperatureBody{Wallet: "w", To: request.Cold}, "wallet_move"},
	} {
		r := request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: x.op, Body: canon.Encode(x.body), NotAfter: 1}
		err := r.Check()
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
	if !request.WalletMove.NeverAutomatic() || request.WalletMove.Governance() || !request.OfflineAdd.Governance() || !request.OfflineRemove.LifeCycle() {
		t.Error("a move must be routed to people, and offline domains to the signature plan")
	}
}
