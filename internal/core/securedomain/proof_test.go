// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/proof"
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

// However a request ended, its proof shows every decision on it and every refusal, and no entry can be left out.
func TestProofsOfWhatEnded(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"pending", "rejected", "cancelled", "expired"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			h := domaintest.New(t, domaintest.Options{})
			h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
			v, err := h.Submit(h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000), nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := h.Decide(h.Bob, v, request.Approve); err != nil {
				t.Fatal(err)
			}
			forged := request.Approval{Request: v.ID, Person: h.Carol.ID, Decision: request.Approve, Key: h.Carol.Pub.Ref(), Sig: make([]byte, 64)}
			if _, err := h.D.Approve(t.Context(), message.Approve{Approval: forged}); problem.KindOf(err) != problem.Unauthenticated {
				t.Fatalf("forged: %v", err)
			}
			if _, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Stranger, 1000, 0, 10)); err == nil {
				t.Fatal("paid a stranger")
			}
			rejections := 1
			switch state {
			case "rejected":
				_, err = h.Decide(h.Carol, v, request.Reject)
			case "cancelled":
				_, err = h.Decide(h.Alice, v, request.Cancel)
			case "expired":
				h.Clock.Advance(40 * 24 * time.Hour)
				_, err = h.Submit(h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 7), nil) // an entry, with which time passes
				rejections = 0
			default:
				rejections = 0
			}
			if err != nil {
				t.Fatal(err)
			}
			r := proves(t, h, v.ID, 1, 0)
			if r.State != state || len(r.Rejections) != rejections || len(r.Refusals) != 2 || r.Wallet == nil || r.Wallet.ID != "hot" {
				t.Fatalf("report: %+v", r)
			}
			file, err := h.D.Proof(t.Context(), v.ID)
			if err != nil {
				t.Fatal(err)
			}
			f, err := proof.Decode(file)
			if err != nil {
				t.Fatal(err)
			}
			all := f.Entries
			for i := range all {
				f.Entries = slices.Concat(all[:i], all[i+1:])
				if _, err := verify.Proof(f.Encode(), h.Genesis.LogKey); err == nil {
					t.Errorf("entry %d of %d is left out, and the proof holds", i, len(all))
				}
			}
		})
	}
}

// A wallet's proof can be made when its request is long forgotten, and shows the account key from which the addresses follow.
func TestWalletProof(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{})
	w := h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	h.Clock.Advance(100 * 24 * time.Hour)
	if _, err := h.Submit(h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 7), nil); err != nil {
		t.Fatal(err)
	}
	file, err := h.D.WalletProof(t.Context(), "hot")
	if err != nil {
		t.Fatal(err)
	}
	r, err := verify.Proof(file, h.Genesis.LogKey)
	if err != nil {
		t.Fatal(err)
	}
	d, err := authority.Derive(*r.Wallet, entry.KeyPath{})
	if err != nil || d.Address != w.Address || !r.Executed || r.State != "executed" {
		t.Errorf("the proof's wallet has address %s, the core says %s (%v)", d.Address, w.Address, err)
	}
	if _, err := h.D.WalletProof(t.Context(), "cold"); problem.KindOf(err) != problem.NotFound {
		t.Errorf("of a wallet that does not exist: %v", err)
	}
}
