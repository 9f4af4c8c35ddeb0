// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/verify"
)

// ledger gives the document an address ledger: an hour of cool-off, 3,000 a day for a day; who is not whitelisted is denied.
func ledger(d *policy.Document) {
	d.Whitelist = &policy.Whitelist{Plan: d.ChangePlan, CoolOff: 3600,
		Ramp: []policy.RampStep{{After: 0, Caps: []policy.RampCap{{Asset: domaintest.Chain.Native(), Max: custody.U64(3000)}}}, {After: 86400}}}
}

// book is a domain with a ledger.
type book struct {
	*testing.T
	h     *domaintest.Harness
	nonce uint64
}

// does asks for an operation as alice and has it approved.
func (b *book) does(op request.Operation, body any) error {
	b.Helper()
	v, err := b.h.Submit(b.h.Alice, b.h.Request(b.h.Alice, op, body), nil)
	for _, p := range []domaintest.Person{b.h.Bob, b.h.Carol} {
		if err == nil && v.State == message.StatePending {
			v, err = b.h.Decide(p, v, request.Approve)
		}
	}
	if err == nil && v.State != message.StateExecuted {
		b.Fatalf("%s is %s", op, v.State)
	}
	return err
}

// pays has the service pay, and checks the proof of what became of it.
func (b *book) pays(to string, amount uint64) (message.Request, *verify.Report) {
	b.Helper()
	v, err := b.h.Submit(b.h.Service, pay(b.h, b.h.Service, to, amount), payload(b.T, to, amount, b.nonce, 10))
	if err != nil {
		b.Fatal(err)
	}
	if v.State == message.StateSigned {
		b.nonce++
	}
	file, err := b.h.D.Proof(b.Context(), v.ID)
	if err != nil {
		b.Fatal(err)
	}
	r, err := verify.Proof(file, b.h.Genesis.LogKey)
	if err != nil {
		b.Fatal(err)
	}
	return v, r
}

func (b *book) refused(to string, amount uint64, rule string) {
	b.Helper()
	if v, r := b.pays(to, amount); v.State != "refused" || v.Decision.Rule != rule || len(r.Notes) == 0 {
		b.Fatalf("got %s by %q, notes %q; want a refusal by %q", v.State, v.Decision.Rule, r.Notes, rule)
	}
}

func (b *book) signed(to string, amount uint64) {
	b.Helper()
	if v, r := b.pays(to, amount); v.State != message.StateSigned || len(r.Attempts) != 1 {
		b.Fatalf("got %s: %+v", v.State, v.Decision)
	}
}

// The life of an entry in a domain, over restarts and snapshots; every proof holds on the way, and the whole log decides again to the same.
func TestAddressLedgerInADomain(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: ledger, SnapshotEvery: 5})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	b := &book{T: t, h: h}
	b.signed(domaintest.Whitelisted, 5000)
	b.refused(domaintest.Stranger, 1, "known-destinations")
	if err := b.does(request.WhitelistAdd, request.WhitelistAddBody{ID: "stranger", Chain: domaintest.Chain, Address: domaintest.Stranger}); err != nil {
		t.Fatal(err)
	}
	b.refused(domaintest.Stranger, 1, "known-destinations")
	h.Reopen()
	h.Clock.Advance(2 * time.Hour)
	b.refused(domaintest.Stranger, 3001, policy.RuleRamp)
	b.signed(domaintest.Stranger, 2000)
	h.Reopen()
	b.refused(domaintest.Stranger, 1001, policy.RuleRamp)
	if err := b.does(request.WhitelistSuspend, request.WhitelistSuspendBody{ID: "stranger"}); err != nil {
		t.Fatal(err)
	}
	b.refused(domaintest.Stranger, 1, policy.RuleSuspended)
	if err := b.does(request.WhitelistReview, request.WhitelistReviewBody{IDs: []string{"stranger"}, Resume: true}); err != nil {
		t.Fatal(err)
	}
	b.refused(domaintest.Stranger, 1, "known-destinations") // young again
	h.Clock.Advance(26 * time.Hour)
	b.signed(domaintest.Stranger, 3000)
	if err := b.does(request.BlacklistAdd, request.BlacklistAddBody{Chain: domaintest.Chain, Address: domaintest.Stranger}); err != nil {
		t.Fatal(err)
	}
	b.refused(domaintest.Stranger, 1, policy.RuleBlacklist)
	list := h.D.Book(message.List{Limit: 10})
	if !list.Ledger || list.Total != uint64(len(h.Document().AddressBook))+1 || list.Entries[len(list.Entries)-1].Entry.ID != "stranger" {
		t.Fatalf("%+v", list)
	}
	if err := b.does(request.WhitelistRemove, request.WhitelistRemoveBody{ID: "nobody"}); problem.KindOf(err) != problem.Conflict {
		t.Fatal(err)
	}
	h.Check()
}

// Whatever store, anchor or snapshot fails before or after its effect while an entry is added, the entry is there after a restart if that was said, and
// once at most.
func TestAddressLedgerFaults(t *testing.T) {
	t.Parallel()
	struck := 0
	for _, op := range []domaintest.Op{domaintest.StoreAppend, domaintest.AnchorPin, domaintest.SnapshotPut} {
		for _, when := range []domaintest.When{domaintest.Before, domaintest.After} {
			for _, n := range []int{1, 2, 3, 4} {
				f := &domaintest.Faults{}
				h := domaintest.New(t, domaintest.Options{Document: ledger, SnapshotEvery: 3, Faults: f})
				r := h.Request(h.Alice, request.WhitelistAdd, request.WhitelistAddBody{ID: "stranger", Chain: domaintest.Chain, Address: domaintest.Stranger})
				step := func() (done bool, err error) {
					v, err := h.Submit(h.Alice, r, nil)
					for _, p := range []domaintest.Person{h.Bob, h.Carol} {
						if err == nil && v.State == message.StatePending {
							v, err = h.Decide(p, v, request.Approve)
							if problem.KindOf(err) == problem.AlreadyDone {
								err = nil
							}
						}
					}
					return err == nil && v.State == message.StateExecuted, err
				}
				f.FailAt(op, n, when, false)
				done, _ := step()
				if f.Struck() {
					struck++
				}
				f.Disarm()
				f.Restart()
				h.Reopen()
				if have := h.D.Book(message.List{Limit: 10}).Total == uint64(len(h.Document().AddressBook))+1; done && !have {
					t.Fatalf("%v %v %d: the entry is gone", op, when, n)
				}
				if again, err := step(); !again {
					t.Fatalf("%v %v %d: asked again: %v", op, when, n, err)
				}
				if got := h.D.Book(message.List{Limit: 10}).Total; got != uint64(len(h.Document().AddressBook))+1 {
					t.Fatalf("%v %v %d: %d entries", op, when, n, got)
				}
				h.Check()
				h.Close()
			}
		}
	}
	if struck < 12 {
		t.Errorf("only %d faults struck", struck)
	}
}
