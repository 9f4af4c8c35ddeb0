// SPDX-License-Identifier: Apache-2.0

package request_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

func inToken(change func(*request.WalletCreateBody)) request.WalletCreateBody {
	b := request.WalletCreateBody{Wallet: "sealed", Chain: custody.EVMChain(1), Scheme: request.SchemeEVM, Class: request.ClassToken}
	change(&b)
	return b
}

// A wallet of class token has one key and one address: nothing of a seed, an account or a temperature.
func TestClassOfAWallet(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		body request.WalletCreateBody
		want string // of the error; empty: accepted
	}{
		"token":          {inToken(func(*request.WalletCreateBody) {}), ""},
		"core, in words": {inToken(func(b *request.WalletCreateBody) { b.Class = request.ClassCore }), "leave it out"},
		"mpc":            {inToken(func(b *request.WalletCreateBody) { b.Class = "mpc" }), "class can be"},
		"a seed":         {inToken(func(b *request.WalletCreateBody) { b.Seed = "00112233445566778899aabbccddeeff" }), "no seed"},
		"an account":     {inToken(func(b *request.WalletCreateBody) { b.Account = 1 }), "no account"},
		"warm":           {inToken(func(b *request.WalletCreateBody) { b.Temperature = request.Warm }), "leave the temperature out"},
		"Bitcoin": {inToken(func(b *request.WalletCreateBody) { b.Chain, b.Scheme = custody.BitcoinMainnet, request.SchemeP2WPKH }),
			"its one key has one address"},
		"evm on Bitcoin": {inToken(func(b *request.WalletCreateBody) { b.Chain = custody.BitcoinMainnet }), "takes scheme"},
	} {
		r := request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: request.WalletCreate, Body: canon.Encode(x.body), NotAfter: 1}
		err := r.Check()
		if (err == nil) != (x.want == "") || err != nil && !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s: %v, want %q", name, err, x.want)
		}
	}
	if request.Class("").Named() != request.ClassCore || request.ClassToken.Named() != request.ClassToken {
		t.Error("a class that was left out has another name than core")
	}
	for c, ok := range map[request.Class]bool{request.ClassCore: true, request.ClassToken: true, "": false, "mpc": false} {
		if (c.Check() == nil) != ok {
			t.Errorf("%q: %v", c, c.Check())
		}
	}
}

// TestFrozenClass: what people sign who ask for a key in the token. It never changes; and what was there before classes has the same bytes with them.
func TestFrozenClass(t *testing.T) {
	t.Parallel()
	r := example(request.WalletCreate)
	r.Body = canon.Encode(inToken(func(*request.WalletCreateBody) {}))
	id, hash := r.ID(), r.Hash()
	sameAsFrozen(t, "testdata/frozen/request-2.json", map[string]string{
		"wallet_create in the token":      hex.EncodeToString(r.Encode()),
		"wallet_create in the token hash": hex.EncodeToString(hash[:]),
		"wallet_create in the token id":   hex.EncodeToString(id[:]),
	})
}
