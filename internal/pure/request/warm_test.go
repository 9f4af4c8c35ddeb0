// SPDX-License-Identifier: Apache-2.0

package request_test

import (
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Bodies about temperatures: what is well-formed, and what is refused.
func TestWarmBodies(t *testing.T) {
	t.Parallel()
	chain := custody.EVMChain(1)
	open := func(f func(*request.WarmOpenBody)) any {
		b := request.WarmOpenBody{Wallet: "vault", Asset: chain.Native(), Amount: custody.U64(1), NotAfter: 1_900_000_000}
		f(&b)
		return b
	}
	create := func(f func(*request.WalletCreateBody)) any {
		b := request.WalletCreateBody{Wallet: "vault", Chain: chain, Scheme: request.SchemeEVM, Temperature: request.Warm}
		f(&b)
		return b
	}
	for name, x := range map[string]struct {
		op   request.Operation
		body any
		want string // of the error; empty: accepted
	}{
		"open":                 {request.WarmOpen, open(func(*request.WarmOpenBody) {}), ""},
		"open for nothing":     {request.WarmOpen, open(func(b *request.WarmOpenBody) { b.Amount = custody.Uint256{} }), "amount"},
		"open without end":     {request.WarmOpen, open(func(b *request.WarmOpenBody) { b.NotAfter = 0 }), "notAfter"},
		"open beyond all time": {request.WarmOpen, open(func(b *request.WarmOpenBody) { b.NotAfter = 1 << 62 }), "notAfter"},
		"open of no wallet":    {request.WarmOpen, open(func(b *request.WarmOpenBody) { b.Wallet = "" }), "wallet"},
		"open of no asset":     {request.WarmOpen, open(func(b *request.WarmOpenBody) { b.Asset = "" }), "asset"},
		"close":                {request.WarmClose, request.WarmCloseBody{Wallet: "vault"}, ""},
		"close of no wallet":   {request.WarmClose, request.WarmCloseBody{}, "wallet"},
		"to hot":               {request.WalletTemperature, request.WalletTemperatureBody{Wallet: "vault", To: request.Hot}, ""},
		"to lukewarm":          {request.WalletTemperature, request.WalletTemperatureBody{Wallet: "vault", To: "lukewarm"}, "neither"},
		"to nothing":           {request.WalletTemperature, request.WalletTemperatureBody{Wallet: "vault"}, "neither"},
		"born warm":            {request.WalletCreate, create(func(*request.WalletCreateBody) {}), ""},
		"born hot, in words":   {request.WalletCreate, create(func(b *request.WalletCreateBody) { b.Temperature = request.Hot }), "leave it out"},
		"born cold":            {request.WalletCreate, create(func(b *request.WalletCreateBody) { b.Temperature = "cold" }), "temperature"},
		"warm from a seed": {request.WalletCreate, create(func(b *request.WalletCreateBody) {
			b.Seed = "00112233445566778899aabbccddeeff"
		}), "seed of its own"},
	} {
		r := request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: x.op, Body: canon.Encode(x.body), NotAfter: 1}
		err := r.Check()
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
}

// What opens the way to a key is for people, and what shuts one for ever; what can be opened again may be shut without them.
func TestNeverAutomatic(t *testing.T) {
	t.Parallel()
	for _, o := range request.Operations() {
		if want := o == request.WarmOpen || o == request.WalletTemperature || o == request.WalletMove || o == request.AppGrant || o == request.AppKeyRevoke; o.NeverAutomatic() != want {
			t.Errorf("%s: %v", o, o.NeverAutomatic())
		}
	}
}
