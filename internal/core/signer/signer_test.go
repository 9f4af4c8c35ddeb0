// SPDX-License-Identifier: Apache-2.0

package signer

import (
	"encoding/hex"
	"errors"
	"testing"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/secp"
)

// What a token gives and is no signature by the key of the wallet is not taken. Tokens that sign are tested in securedomain.
func TestTokenSignatures(t *testing.T) {
	t.Parallel()
	pub, err := hex.DecodeString("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798")
	if err != nil {
		t.Fatal(err)
	}
	to, err := eth.ParseAddress("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")
	if err != nil {
		t.Fatal(err)
	}
	payload, err := eth.Tx1559{ChainID: 1, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(2), GasLimit: 21000, To: to, Value: eth.FromUint64(3)}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	w := entry.Wallet{ID: "sealed", Chain: custody.EVMChain(1), Scheme: request.SchemeEVM, Class: request.ClassToken, Public: pub}
	p := &entry.Permit{Payload: payload, Keys: []entry.KeyPath{{}}}
	gone := problem.New(problem.Locked, "the key is gone")
	for name, x := range map[string]struct {
		token WithToken
		want  problem.Kind
	}{
		"no token":    {nil, problem.Unsupported},
		"a refusal":   {func(entry.Wallet, [32]byte) ([]byte, error) { return nil, gone }, problem.Locked},
		"a failure":   {func(entry.Wallet, [32]byte) ([]byte, error) { return nil, errors.New("no") }, problem.Internal},
		"nothing":     {func(entry.Wallet, [32]byte) ([]byte, error) { return nil, nil }, problem.Internal},
		"zeros":       {func(entry.Wallet, [32]byte) ([]byte, error) { return make([]byte, secp.SignatureSize), nil }, problem.Internal},
		"with parity": {func(entry.Wallet, [32]byte) ([]byte, error) { return make([]byte, 65), nil }, problem.Internal},
	} {
		sigs, err := Signer{Derive: authority.Derive, Token: x.token}.Permit(w, p, [32]byte{})
		if problem.KindOf(err) != x.want || err == nil || len(sigs) > 0 && len(sigs[0]) > 0 {
			t.Errorf("%s: got %x, %v, want %s", name, sigs, err, x.want)
		}
	}
	p.Keys[0].Index = 1
	if _, err := (Signer{Derive: authority.Derive}).Permit(w, p, [32]byte{}); err == nil {
		t.Error("address 1 signs")
	}
}
