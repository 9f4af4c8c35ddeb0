// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/request"
	"strongroom/verify"
)

func TestProofVerifiesAndEveryByteCounts(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	v, err := h.Submit(h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []domaintest.Person{h.Bob, h.Carol} {
		if _, err := h.Decide(p, v, request.Approve); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Stranger, 1000, 0, 10)); err == nil {
		t.Fatal("paid a stranger")
	}
	for _, price := range []uint64{10, 20} {
		if _, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, price)); err != nil {
			t.Fatal(err)
		}
	}
	file, err := h.D.Proof(context.Background(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	key := h.Genesis.LogKey
	r, err := verify.Proof(file, key)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Approvals) != 2 || len(r.Attempts) != 2 || r.Attempts[1].TxID == "" || len(r.Refusals) != 1 {
		t.Fatalf("report: %+v", r)
	}
	step := 1
	if testing.Short() {
		step = 97
	}
	for i := 0; i < len(file); i += step {
		bad := append([]byte(nil), file...)
		bad[i] ^= 0x01
		if _, err := verify.Proof(bad, key); err == nil {
			t.Fatalf("byte %d of %d changed, and the proof holds", i, len(file))
		}
	}
}
