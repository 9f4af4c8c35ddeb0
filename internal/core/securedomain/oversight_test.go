// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// withGlass gives the domain a break-glass plan: two officers drain to the exchange for an hour, one releases what is held, and a second destination.
func withGlass(d *policy.Document) {
	two := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 2}}}}}
	one := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 1}}}}}
	d.AddressBook = append(d.AddressBook, policy.BookEntry{ID: "vendor", Chain: domaintest.Chain, Address: domaintest.Stranger})
	d.BreakGlass = &policy.BreakGlass{Who: two, DrainTo: []string{"exchange"}, Duration: 3600, Resume: two}
	d.Oversight = &policy.Oversight{Release: &one}
}

// frozen freezes the domain as bob.
func frozen(t testing.TB, h *domaintest.Harness) message.Request {
	t.Helper()
	v := submitted(t, h, h.Bob, h.Request(h.Bob, request.Freeze, request.FreezeBody{Reason: "a key is lost"}))
	if v.State != message.StateExecuted || h.D.Status().Mode == nil || h.D.Status().Mode.Mode != policy.Frozen {
		t.Fatalf("not frozen: %+v, %+v", v, h.D.Status().Mode)
	}
	return v
}

// ended ends a freeze or a drain by an operation: alice asks, bob and carol approve.
func ended(t testing.TB, h *domaintest.Harness, op request.Operation) {
	t.Helper()
	since := h.D.Status().Mode.Since
	var body any = request.UnfreezeBody{Since: since, Reason: "the key is revoked"}
	if op == request.Resume {
		body = request.ResumeBody{Since: since, Reason: "the key is revoked"}
	}
	approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, op, body)), h.Bob, h.Carol)
	if m := h.D.Status().Mode; m != nil {
		t.Fatalf("%s: still %+v", op, m)
	}
}

// TestFreeze: one person stops everything, at once and over a restart; what takes power away and what is read goes on; people end it.
func TestFreeze(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: withGlass, SnapshotEvery: 5})
	waiting := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
	other := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 2000))
	third := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 3000))
	s := &service{h: h}
	if _, err := s.open(time.Hour); err != nil {
		t.Fatal(err)
	}
	v := frozen(t, h)
	proves(t, h, v.ID, -1, -1)
	refuses := func(when string) {
		t.Helper()
		p := payload(t, domaintest.Whitelisted, 1000, 0, 10)
		_, err := h.D.Sign(t.Context(), waiting.ID, p)
		wantKind(t, when+", sign", err, problem.Frozen)
		got, err := h.Submit(h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 5), nil)
		if err != nil || got.State != message.StateRefused || got.Missing == nil || got.Missing.Kind != problem.Frozen || got.Decision.Rule != policy.RuleFrozen {
			t.Fatalf("%s: a payment: %+v, %v", when, got, err)
		}
		proves(t, h, got.ID, -1, -1)
		_, err = h.Decide(h.Carol, other, request.Approve)
		wantKind(t, when+", approve a payment", err, problem.Frozen)
		_, err = (&service{h: h}).open(time.Hour)
		wantKind(t, when+", a session", err, problem.Frozen)
		if st := h.D.Status(); st.KeysUnlocked != 0 || st.Sessions != 0 || st.Mode.By != h.Bob.ID || st.Mode.Reason != "a key is lost" {
			t.Fatalf("%s: %+v", when, st)
		}
		if r, err := h.D.Request(t.Context(), waiting.ID); err != nil || r.State != message.StatePending || r.Missing == nil || r.Missing.Kind != problem.Frozen {
			t.Fatalf("%s: %+v, %v", when, r, err)
		}
	}
	refuses("frozen")
	h.Reopen()
	refuses("after a restart")
	if _, err := h.Decide(h.Bob, other, request.Reject); err != nil {
		t.Error(err)
	}
	if _, err := h.Decide(h.Alice, third, request.Cancel); err != nil {
		t.Error(err)
	}
	if _, err := h.D.Addresses(message.Addresses{Wallet: "hot", Count: 1}); err != nil {
		t.Error(err)
	}
	proves(t, h, other.ID, -1, -1)
	_, err := h.Submit(h.Carol, h.Request(h.Carol, request.Freeze, request.FreezeBody{Reason: "again"}), nil)
	wantKind(t, "again", err, problem.Conflict)
	_, err = h.Submit(h.Alice, h.Request(h.Alice, request.Unfreeze, request.UnfreezeBody{Since: 1, Reason: "another"}), nil)
	wantKind(t, "the end of another freeze", err, problem.Conflict)
	ended(t, h, request.Unfreeze)
	p := payload(t, domaintest.Whitelisted, 1000, 0, 10)
	if _, err := h.D.Sign(t.Context(), waiting.ID, p); err != nil {
		t.Fatalf("after the freeze: %v", err)
	}
	proves(t, h, waiting.ID, -1, -1)
	h.Check()
}

// TestFreezeWithoutTime: freeze, hold, reject and cancel do not need a certain clock; permits and approvals do.
func TestFreezeWithoutTime(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: withGlass})
	first := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000))
	second := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 2000))
	third := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 3000))
	h.Clock.Unsure.Store(true)
	if st := h.D.Status(); len(st.Degraded) != 1 {
		t.Errorf("degraded: %v", st.Degraded)
	}
	_, err := h.Decide(h.Bob, first, request.Approve)
	wantKind(t, "approve", err, problem.TimeUncertain)
	if _, err := h.Decide(h.Bob, first, request.Reject); err != nil {
		t.Error(err)
	}
	if _, err := h.Decide(h.Alice, second, request.Cancel); err != nil {
		t.Error(err)
	}
	if v, err := h.Submit(h.Bob, h.Request(h.Bob, request.RequestHold, request.RequestHoldBody{Request: third.ID[:], Reason: "odd"}), nil); err != nil || v.State != message.StateExecuted {
		t.Errorf("hold: %+v, %v", v, err)
	}
	frozen(t, h)
	if _, err := h.D.Wallet("hot"); err != nil {
		t.Error(err)
	}
	if _, err := h.D.Proof(t.Context(), first.ID); err != nil {
		t.Error(err)
	}
	if f, err := h.D.Feed(t.Context(), message.Feed{Limit: 10}); err != nil || len(f.Entries) == 0 {
		t.Errorf("%+v, %v", f, err)
	}
	h.Clock.Unsure.Store(false)
	if st := h.D.Status(); len(st.Degraded) != 0 || st.OnHold != 1 {
		t.Errorf("%v, %d", st.Degraded, st.OnHold)
	}
	h.Check()
	h.Reopen()
	if st := h.D.Status(); st.OnHold != 1 || st.Mode == nil {
		t.Errorf("after a restart: %+v", st)
	}
}

// TestTakingAwayWithoutTime: one person blocks an address and suspends an entry also while the clock is not certain, at log times that lead nobody astray;
// what others must approve waits until it is.
func TestTakingAwayWithoutTime(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: func(d *policy.Document) {
		withGlass(d)
		d.Whitelist = &policy.Whitelist{Plan: d.ChangePlan}
	}})
	payment := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
	before := h.D.Status()
	h.Clock.Unsure.Store(true)
	h.Clock.Wall.Add(int64(5 * time.Hour))
	block := func(n int) (message.Request, error) {
		return h.Submit(h.Bob, h.Request(h.Bob, request.BlacklistAdd, request.BlacklistAddBody{Chain: domaintest.Chain, Address: eth.Address{19: byte(n + 1)}.String()}), nil)
	}
	v, err := h.Submit(h.Bob, h.Request(h.Bob, request.WhitelistSuspend, request.WhitelistSuspendBody{ID: "exchange"}), nil)
	if err != nil || v.State != message.StateExecuted {
		t.Fatalf("suspend: %+v, %v", v, err)
	}
	for n := range policy.MaxAlone {
		if v, err := block(n); err != nil || v.State != message.StateExecuted {
			t.Fatalf("block: %+v, %v", v, err)
		}
	}
	_, err = block(policy.MaxAlone)
	wantKind(t, "one that others must approve", err, problem.TimeUncertain)
	_, err = h.Submit(h.Bob, h.Request(h.Bob, request.BlacklistRemove, request.BlacklistRemoveBody{Chain: domaintest.Chain, Address: eth.Address{19: 1}.String()}), nil)
	wantKind(t, "one that gives power back", err, problem.TimeUncertain)
	_, err = h.D.Sign(t.Context(), payment.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10))
	wantKind(t, "the payment", err, problem.TimeUncertain)
	h.Clock.Wall.Add(-int64(5 * time.Hour))
	h.Clock.Unsure.Store(false)
	_, err = h.D.Sign(t.Context(), payment.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10))
	wantKind(t, "the payment, once the time is certain", err, problem.RefusedByRule)
	if v, err = block(policy.MaxAlone); err != nil || v.State != message.StatePending {
		t.Fatalf("one that others must approve, once the time is certain: %+v, %v", v, err)
	}
	if v = approvals(t, h, v, h.Alice, h.Carol); v.State != message.StateExecuted {
		t.Fatalf("approved: %+v", v)
	}
	if st := h.D.Status(); st.Time-before.Time > int64(time.Hour) {
		t.Errorf("log time went %v ahead", time.Duration(st.Time-before.Time))
	}
	h.Check()
	h.Reopen()
}

// TestFreezeBetweenPermitAndSignature: what has a durable permit and no signature is not signed while frozen, also after a crash, and the same bytes are after it.
func TestFreezeBetweenPermitAndSignature(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		t.Run(fmt.Sprint("crash ", crash), func(t *testing.T) {
			t.Parallel()
			faults := &domaintest.Faults{}
			h := hotDomain(t, domaintest.Options{Document: withGlass, Faults: faults})
			v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
			p := payload(t, domaintest.Whitelisted, 1000, 0, 10)
			faults.FailAt(domaintest.BlobGet, 1, domaintest.Before, false)
			if _, err := h.D.Sign(t.Context(), v.ID, p); err == nil || !faults.Struck() {
				t.Fatalf("the seed could be opened: %v", err)
			}
			frozen(t, h)
			if crash {
				h.Reopen()
			}
			for range 2 {
				_, err := h.D.Sign(t.Context(), v.ID, p)
				wantKind(t, "signed while frozen", err, problem.Frozen)
				_, err = h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 20))
				wantKind(t, "replaced while frozen", err, problem.Frozen)
			}
			if r, err := h.D.Request(t.Context(), v.ID); err != nil || r.Signed != nil && len(r.Signed.Bytes) > 0 {
				t.Fatalf("shown while frozen: %+v, %v", r, err)
			}
			ended(t, h, request.Unfreeze)
			out, err := h.D.Sign(t.Context(), v.ID, p)
			if err != nil {
				t.Fatal(err)
			}
			if h.D.Status().KeysUnlocked == 0 {
				t.Fatal("no key is kept, so that the test shows nothing")
			}
			frozen(t, h)
			if n := h.D.Status().KeysUnlocked; n != 0 {
				t.Fatalf("%d keys are unsealed while frozen", n)
			}
			again, err := h.D.Sign(t.Context(), v.ID, p)
			if err != nil || !bytes.Equal(again.Bytes, out.Bytes) {
				t.Fatalf("what was released is told again: %v", err)
			}
			proves(t, h, v.ID, -1, -1)
			h.Check()
		})
	}
}

// TestFreezeWhileSigning: a signature that is made while somebody freezes is given to nobody.
func TestFreezeWhileSigning(t *testing.T) {
	t.Parallel()
	faults := &domaintest.Faults{}
	h := hotDomain(t, domaintest.Options{Document: withGlass, Faults: faults})
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
	reached, release := faults.Hold(domaintest.BlobGet, domaintest.After)
	defer release()
	signed := make(chan error, 1)
	go func() {
		_, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10))
		signed <- err
	}()
	<-reached
	frozen(t, h)
	release()
	wantKind(t, "signed while somebody froze", <-signed, problem.Frozen)
	h.Check()
}

// TestFreezeAtEveryCall: whatever fails or crashes while the domain is frozen, an acknowledged freeze holds after a restart, and asked again it comes about.
func TestFreezeAtEveryCall(t *testing.T) {
	t.Parallel()
	for _, op := range []domaintest.Op{domaintest.StoreAppend, domaintest.AnchorPin} {
		for _, when := range []domaintest.When{domaintest.Before, domaintest.After} {
			for n := 1; n <= 2; n++ {
				t.Run(fmt.Sprintf("%s %s %d", op, when, n), func(t *testing.T) {
					t.Parallel()
					faults := &domaintest.Faults{}
					h := hotDomain(t, domaintest.Options{Document: withGlass, Faults: faults, TakeOver: true})
					r := h.Request(h.Bob, request.Freeze, request.FreezeBody{Reason: "a key is lost"})
					faults.FailAt(op, n, when, true)
					_, first := h.Submit(h.Bob, r, nil)
					acknowledged := first == nil
					faults.Disarm()
					h.Crash()
					if err := h.Open(); err != nil {
						t.Fatal(err)
					}
					if m := h.D.Status().Mode; acknowledged && m == nil {
						t.Fatal("an acknowledged freeze is gone")
					}
					v, err := h.Submit(h.Bob, r, nil)
					if err != nil || v.State != message.StateExecuted || h.D.Status().Mode == nil {
						t.Fatalf("again: %+v, %v; first %v", v, err, first)
					}
					h.Check()
				})
			}
		}
	}
}

// TestDrain: while it drains, the domain pays approved destinations on the break-glass plan, and nothing else; then it is frozen.
func TestDrain(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: withGlass, SnapshotEvery: 7})
	long := pay(h, h.Alice, domaintest.Stranger, 1000)
	long.NotAfter += 3600
	before := approvals(t, h, submitted(t, h, h.Alice, long), h.Bob, h.Carol)
	approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, request.Drain, request.DrainBody{Reason: "move it all"})), h.Bob, h.Carol)
	m := h.D.Status().Mode
	if m == nil || m.Mode != policy.Draining || m.Until == 0 {
		t.Fatalf("%+v", m)
	}
	_, err := h.D.Sign(t.Context(), before.ID, payload(t, domaintest.Stranger, 1000, 0, 10))
	wantKind(t, "a payment elsewhere", err, problem.Frozen)
	for what, r := range map[string]request.Request{"elsewhere": pay(h, h.Alice, domaintest.Stranger, 5),
		"a destination": h.Request(h.Alice, request.WhitelistAdd, request.WhitelistAddBody{ID: "x", Chain: custody.EVMChain(9), Address: domaintest.Stranger}),
		"a wallet":      h.Request(h.Alice, request.WalletCreate, request.WalletCreateBody{Wallet: "w", Chain: domaintest.Chain, Scheme: request.SchemeEVM})} {
		v, err := h.Submit(h.Alice, r, nil)
		if err != nil || v.Missing == nil || v.Missing.Kind != problem.Frozen || v.Decision.Rule != policy.RuleDraining {
			t.Errorf("%s: %+v, %v", what, v, err)
		}
	}
	v := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 900))
	if v.Decision.Rule != policy.RuleBreakGlass {
		t.Fatalf("%+v", v.Decision)
	}
	approvals(t, h, v, h.Bob, h.Carol)
	if _, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 900, 0, 10)); err != nil {
		t.Fatal(err)
	}
	proves(t, h, v.ID, -1, -1)
	h.Reopen()
	h.Clock.Advance(time.Hour)
	if m := h.D.Status().Mode; m == nil || m.Mode != policy.Frozen {
		t.Fatalf("after its time: %+v", m)
	}
	w := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 7))
	if w.Missing == nil || w.Decision.Rule != policy.RuleFrozen {
		t.Fatalf("%+v", w)
	}
	ended(t, h, request.Resume)
	if _, err := h.D.Sign(t.Context(), before.ID, payload(t, domaintest.Stranger, 1000, 1, 10)); err != nil {
		t.Fatal(err)
	}
	proves(t, h, before.ID, -1, -1)
	h.Check()
}

// TestProofAcrossModes: a transfer that was asked for before the drain and signed in it has a proof, which says what is the domain's word.
func TestProofAcrossModes(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: withGlass})
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
	approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, request.Drain, request.DrainBody{Reason: "move it all"})), h.Bob, h.Carol)
	if _, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10)); err != nil {
		t.Fatal(err)
	}
	proves(t, h, v.ID, -1, -1)
	h.Check()
}

// TestHold: one person keeps a request from being signed or executed; approvals come in; the release plan ends it.
func TestHold(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{Document: withGlass, SnapshotEvery: 4})
	v := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000))
	rules := submitted(t, h, h.Alice, h.Request(h.Alice, request.GroupSet, request.GroupSetBody{Group: "more", Members: []custody.PersonID{h.Bob.ID}}))
	hold := func(id custody.RequestID) message.Request {
		t.Helper()
		return submitted(t, h, h.Carol, h.Request(h.Carol, request.RequestHold, request.RequestHoldBody{Request: id[:], Reason: "the address looks odd"}))
	}
	held := hold(v.ID)
	hold(rules.ID)
	if got, err := h.D.Request(t.Context(), v.ID); err != nil || got.Hold == nil || got.Hold.Seq != held.Last || got.Hold.By != h.Carol.ID || got.Hold.Reason != "the address looks odd" {
		t.Fatalf("the hold is not told: %+v, %v", got.Hold, err)
	}
	_, err := h.Submit(h.Bob, h.Request(h.Bob, request.RequestHold, request.RequestHoldBody{Request: v.ID[:], Reason: "too"}), nil)
	wantKind(t, "held already", err, problem.Conflict)
	_, err = h.Submit(h.Service, h.Request(h.Service, request.RequestHold, request.RequestHoldBody{Request: v.ID[:], Reason: "me"}), nil)
	wantKind(t, "a service holds", err, problem.RefusedByRule)
	approvals(t, h, v, h.Bob, h.Carol)
	if got := approvals(t, h, rules, h.Bob, h.Carol); got.State != message.StatePending || got.Missing == nil || got.Missing.Rule != policy.RuleHeld {
		t.Fatalf("a change of the rules that is held: %+v", got)
	}
	h.Reopen()
	_, err = h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10))
	wantKind(t, "held", err, problem.RefusedByRule)
	var q *problem.Error
	if !errors.As(err, &q) || q.Rule != policy.RuleHeld || !bytes.Contains([]byte(q.Unmet[0].Observed), []byte(h.Carol.ID)) || !bytes.Contains([]byte(q.Unmet[0].Observed), []byte("looks odd")) {
		t.Fatalf("%+v", q)
	}
	release := func(by domaintest.Person, hold uint64) (message.Request, error) {
		return h.Submit(by, h.Request(by, request.RequestRelease, request.RequestReleaseBody{Request: v.ID[:], Hold: hold, Reason: "I asked them"}), nil)
	}
	_, err = release(h.Alice, held.Last+7)
	wantKind(t, "another hold", err, problem.Conflict)
	r, err := release(h.Alice, held.Last)
	if err != nil || r.State != message.StatePending {
		t.Fatalf("%+v, %v", r, err)
	}
	_, err = h.Submit(h.Carol, h.Request(h.Carol, request.RequestHold, request.RequestHoldBody{Request: r.ID[:], Reason: "no"}), nil)
	wantKind(t, "a release is held", err, problem.Forbidden)
	if got := approvals(t, h, r, h.Bob); got.State != message.StateExecuted {
		t.Fatalf("%+v", got)
	}
	if _, err := h.D.Sign(t.Context(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10)); err != nil {
		t.Fatal(err)
	}
	for _, id := range []custody.RequestID{v.ID, held.ID, r.ID} {
		proves(t, h, id, -1, -1)
	}
	if _, err := h.Decide(h.Bob, rules, request.Reject); err != nil {
		t.Fatal(err)
	}
	if st := h.D.Status(); st.OnHold != 0 {
		t.Fatalf("%d are held still", st.OnHold)
	}
	h.Check()
}

// TestFreezeStopsApplications: calls of applications are refused while frozen and while draining, and what was made while somebody froze is given to nobody.
func TestFreezeStopsApplications(t *testing.T) {
	t.Parallel()
	freeze := func() {}
	engine := &fakeEngine{enter: func(ep11.Call) { freeze() }}
	h, g := appDomain(t, engine, domaintest.Options{})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	g.key(t, "app")
	freeze = func() { freeze = func() {}; frozen(t, h) }
	_, err := g.do("app", generateCall())
	wantCode(t, "frozen meanwhile", err, ep11.CKR_IBM_STATIC_POLICY)
	_, err = g.do("app", generateCall())
	wantCode(t, "frozen", err, ep11.CKR_IBM_STATIC_POLICY)
	ended(t, h, request.Unfreeze)
	if _, err := g.open(time.Hour); err != nil {
		t.Fatal(err)
	}
	g.key(t, "app")
	h.Check()
}
