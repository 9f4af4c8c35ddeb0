// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"sync/atomic"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// BenchmarkGoverned is a service's transfer on an automatic route: decided, durable, pinned, signed, verified; with the key at hand, with a
// key that has to be unsealed and derived first, and behind 990 routes for other wallets. For profiles; figures are taken by scripts/bench.
func BenchmarkGoverned(b *testing.B) {
	b.Run("warm", func(b *testing.B) { benchmarkGoverned(b, domaintest.Options{}, false) })
	b.Run("cold", func(b *testing.B) { benchmarkGoverned(b, domaintest.Options{}, true) })
	b.Run("rules", func(b *testing.B) { benchmarkGoverned(b, domaintest.Options{Document: crowd}, false) })
}

// crowd puts 990 routes before those of a document.
func crowd(d *policy.Document) {
	own, most := d.Routes, custody.U64(5)
	d.Routes = nil
	for i := range 990 {
		d.Routes = append(d.Routes, policy.Route{ID: fmt.Sprintf("other-%d", i), Priority: uint32(i), Plan: d.ChangePlan, When: policy.Match{
			Operations: []request.Operation{request.Transfer}, Wallets: []custody.WalletID{custody.WalletID(fmt.Sprintf("other%d", i))}, AmountMax: &most}})
	}
	for _, r := range own {
		r.Priority += 1000
		d.Routes = append(d.Routes, r)
	}
}

func benchmarkGoverned(b *testing.B, o domaintest.Options, cold bool) {
	h := domaintest.New(b, o)
	const wallets = 64
	for i := range wallets {
		h.Wallet(custody.WalletID(fmt.Sprintf("w%d", i)), domaintest.Chain, request.SchemeEVM)
	}
	own, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	opening := request.SessionOpening{V: 1, Authority: h.D.Authority(), Domain: h.D.ID(), Service: h.Service.ID, Ephemeral: own.PublicKey().Bytes(),
		NotAfter: h.Clock.Wall.Load()/1e9 + 3600}
	raw := canon.Encode(opening)
	g, err := h.D.OpenSession(context.Background(), message.OpenSession{Opening: raw, Key: h.Service.Pub.Ref(),
		Sig: ed25519.Sign(h.Service.Key, canon.TagBytes(canon.TagSession, raw))})
	if err != nil {
		b.Fatal(err)
	}
	peer, _ := ecdh.X25519().NewPublicKey(g.Ephemeral)
	shared, _ := own.ECDH(peer)
	salt := canon.HashBytes(canon.TagSession, raw)
	key, err := hkdf.Key(sha256.New, shared, salt[:], string(canon.TagBytes(canon.TagSessionKey, g.Session)), 32)
	if err != nil {
		b.Fatal(err)
	}
	to, err := eth.ParseAddress(domaintest.Whitelisted)
	if err != nil {
		b.Fatal(err)
	}
	var callers, total atomic.Int64
	b.SetParallelism(wallets / 2)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		w := custody.WalletID(fmt.Sprintf("w%d", (callers.Add(1)-1)%wallets))
		for nonce := uint64(0); pb.Next(); nonce++ {
			r := request.Request{V: 1, Authority: h.D.Authority(), Domain: h.D.ID(), Initiator: h.Service.ID, Key: fmt.Sprintf("bench-%d", total.Add(1)),
				Operation: request.Transfer, NotAfter: h.Clock.Wall.Load()/1e9 + 3600,
				Body: canon.Encode(request.TransferBody{Wallet: w, Asset: domaintest.Chain.Native(),
					Outputs: []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(1000)}}, FeeCap: custody.U64(4_200_000)})}
			payload, err := eth.Tx1559{ChainID: 1337, Nonce: nonce, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(100), GasLimit: 21000,
				To: to, Value: eth.FromUint64(1000)}.Encode()
			if err != nil {
				b.Error(err)
				return
			}
			if cold {
				h.D.ForgetKeys()
			}
			mac := hmac.New(sha256.New, key)
			mac.Write(canon.Message(canon.TagRequest, r))
			v, err := h.D.Submit(context.Background(), message.Submit{Request: r.Encode(), Payload: payload,
				Evidence: request.Evidence{Session: g.Session, MAC: mac.Sum(nil)}})
			if err != nil || v.Signed == nil {
				b.Errorf("not signed: %v", err)
				return
			}
		}
	})
}
