// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/verify"
)

// What the address ledger said when a transfer was signed is the domain's word; what its document says is not. A permit under a document that denies the transfer
// whatever any ledger says does not verify.
func TestProofsOfALyingLedger(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: ledger})
	c := lyingCore{t, h}
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
	if err := (&book{T: t, h: h}).does(request.BlacklistAdd, request.BlacklistAddBody{Chain: domaintest.Chain, Address: domaintest.Stranger}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10)); err != nil {
		t.Fatal(err)
	}
	lastEntry(t, h)
	honest, err := h.D.Proof(context.Background(), v.ID)
	if err != nil {
		t.Fatal(err)
	}
	lied := func(change func(*policy.Document)) error {
		e := c.read(honest)
		_, p := find[*entry.Permit](t, e, 0)
		for i := range e {
			b, ok := e[i].body.(*entry.Effect)
			if !ok || b.Document == nil {
				continue
			}
			d, err := policy.DecodeDocument(b.Document)
			if err != nil {
				t.Fatal(err)
			}
			change(&d)
			b.Document, p.Decision.Hash = d.Encode(), d.Hash()
		}
		_, err := verify.Proof(c.write(v.ID, e), h.Genesis.LogKey)
		return err
	}
	if err := lied(func(*policy.Document) {}); err != nil {
		t.Fatalf("the honest entries: %v", err)
	}
	pays := policy.Match{Operations: []request.Operation{request.Transfer}}
	for name, change := range map[string]func(*policy.Document){
		"blocked": func(d *policy.Document) { d.Blacklist[0].Address = domaintest.Whitelisted },
		"guarded": func(d *policy.Document) {
			d.Guards = append([]policy.Guard{{ID: "all-stops", Effect: policy.Deny, When: pays}}, d.Guards...)
		},
		"no role": func(d *policy.Document) {
			for i := range d.Principals {
				if d.Principals[i].ID == h.Alice.ID {
					d.Principals[i].Roles = []request.Role{request.Administrator, request.Approver}
				}
			}
		},
	} {
		if err := lied(change); !errors.Is(err, verify.ErrInvalid) {
			t.Errorf("%s: the proof holds (%v)", name, err)
		}
	}
	for name, change := range map[string]func(*policy.Document){
		"another guard, about the ledger": func(d *policy.Document) {
			m := pays
			m.YoungerThan = 60
			d.Guards = append([]policy.Guard{{ID: "all-young", Effect: policy.Deny, When: m}}, d.Guards...)
		},
	} {
		if err := lied(change); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A destination that grows older between the asking and the signing of a call changes what the ramp lets through; the proof holds.
func TestProofOfACallToSomebodyOlder(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: func(d *policy.Document) {
		withCalls(d)
		ledger(d)
		d.Guards = nil
	}, Points: callPoints()})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	b := &book{T: t, h: h}
	if err := b.does(request.WhitelistAdd, request.WhitelistAddBody{ID: "the-token", Chain: domaintest.Chain, Address: token}); err != nil {
		t.Fatal(err)
	}
	h.Clock.Advance(24*time.Hour - 30*time.Minute)
	body := approving(t, "7")
	body.Contract, body.Value = token, custody.U64(5)
	body.Data = callData(t, "approve(address,uint256)", `["`+domaintest.Whitelisted+`",7]`)
	v := approvedCall(t, h, request.ContractCall, body)
	h.Clock.Advance(40 * time.Minute)
	if _, err := h.D.Sign(context.Background(), v.ID, callPayload(t, body, 0, 10, nil)); err != nil {
		t.Fatal(err)
	}
	lastEntry(t, h)
	if v, err := h.D.Request(context.Background(), v.ID); err != nil || v.State != message.StateSigned {
		t.Fatal(v.State, err)
	}
	r := proves(t, h, v.ID, 2, 1)
	if r != nil && len(r.Notes) == 0 {
		t.Error("nothing says that the ledger is the domain's word")
	}
	h.Check()
}
