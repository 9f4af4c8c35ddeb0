// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// wantKind fails the test unless err is a problem of a kind.
func wantKind(t testing.TB, what string, err error, k problem.Kind) {
	t.Helper()
	if err == nil || problem.KindOf(err) != k {
		t.Errorf("%s: %v, want %s", what, err, k)
	}
}

func hotDomain(t *testing.T, o domaintest.Options) *domaintest.Harness {
	t.Helper()
	h := domaintest.New(t, o)
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	return h
}

// submitted hands in a request that must be accepted.
func submitted(t testing.TB, h *domaintest.Harness, by domaintest.Person, r request.Request) message.Request {
	t.Helper()
	v, err := h.Submit(by, r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// approvals brings the approvals of some.
func approvals(t testing.TB, h *domaintest.Harness, v message.Request, by ...domaintest.Person) message.Request {
	t.Helper()
	for _, p := range by {
		w, err := h.Decide(p, v, request.Approve)
		if err != nil {
			t.Fatalf("%s: %v", p.ID, err)
		}
		v = w
	}
	return v
}

// newRules changes the rule document: alice asks, bob and carol approve.
func newRules(t testing.TB, h *domaintest.Harness, change func(*policy.Document)) {
	t.Helper()
	doc, err := policy.DecodeDocument(h.D.Policy().Document)
	if err != nil {
		t.Fatal(err)
	}
	doc.PrevHash, doc.Version = doc.Hash(), doc.Version+1
	change(&doc)
	govern(t, h, request.PolicyChange, request.PolicyChangeBody{Document: doc.Encode()})
}

func govern(t testing.TB, h *domaintest.Harness, op request.Operation, body any) {
	t.Helper()
	v := approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, op, body)), h.Bob, h.Carol)
	if v.State != message.StateExecuted {
		t.Fatalf("%s: %+v", op, v)
	}
}

func lastEntry(t testing.TB, h *domaintest.Harness) any {
	t.Helper()
	f, err := h.D.Feed(context.Background(), message.Feed{From: h.D.Status().Size - 1, Limit: 1, Wait: message.MaxWait})
	if err != nil || len(f.Entries) != 1 {
		t.Fatalf("the last entry: %v", err)
	}
	l, err := entry.DecodeLeaf(f.Entries[0].Leaf)
	if err != nil {
		t.Fatal(err)
	}
	body, err := authority.DecodeBody(l.Kind, l.KindVersion, f.Entries[0].Bodies[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// The same key and body give what became of the request, another body is refused: while it waits, after it ended, after a restart.
func TestIdempotency(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	r := pay(h, h.Alice, domaintest.Whitelisted, 1000)
	other := r
	other.NotAfter++
	v := submitted(t, h, h.Alice, r)
	check := func(when string, want message.State) {
		t.Helper()
		size := h.D.Status().Size
		again, err := h.Submit(h.Alice, r, nil)
		if err != nil || again.ID != v.ID || again.State != want || again.Seq != v.Seq {
			t.Errorf("%s: %v, %+v", when, err, again)
		}
		_, err = h.Submit(h.Alice, other, nil)
		wantKind(t, when+", another body", err, problem.IdempotencyReuse)
		if n := h.D.Status().Size; n != size {
			t.Errorf("%s: a retry wrote %d entries", when, n-size)
		}
	}
	check("while it waits", message.StatePending)
	approvals(t, h, v, h.Bob, h.Carol)
	check("when it is approved", message.StateReady)
	h.Reopen()
	check("after a restart", message.StateReady)
	if _, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10)); err != nil {
		t.Fatal(err)
	}
	check("when it is signed", message.StateSigned)
	h.Clock.Advance(2 * time.Hour)
	h.Wallet("later", domaintest.Chain, request.SchemeEVM)
	check("after its end", message.StateSigned)
	h.Reopen()
	check("after its end and a restart", message.StateSigned)
	// Another initiator's key is another request.
	mine := pay(h, h.Bob, domaintest.Whitelisted, 1000)
	mine.Key = r.Key
	if v := submitted(t, h, h.Bob, mine); v.State != message.StatePending {
		t.Errorf("bob's request with alice's key: %+v", v)
	}
	h.Check()
}

func TestRequestsExpire(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	late := pay(h, h.Alice, domaintest.Whitelisted, 1)
	late.NotAfter = h.Clock.Wall.Load() / 1e9
	_, err := h.Submit(h.Alice, late, nil)
	wantKind(t, "past its end", err, problem.Expired)
	far := pay(h, h.Alice, domaintest.Whitelisted, 1)
	far.NotAfter += request.MaxLifetime
	_, err = h.Submit(h.Alice, far, nil)
	wantKind(t, "too far ahead", err, problem.Malformed)
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1)), h.Bob, h.Carol)
	w := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 2))
	h.Clock.Advance(time.Hour)
	_, err = h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1, 0, 10))
	wantKind(t, "signed at its end", err, problem.Expired)
	_, err = h.Decide(h.Bob, w, request.Approve)
	wantKind(t, "approved at its end", err, problem.Expired)
	h.Clock.Advance(time.Hour)
	h.Wallet("later", domaintest.Chain, request.SchemeEVM)
	for _, id := range []custody.RequestID{v.ID, w.ID} {
		if x, err := h.D.Request(context.Background(), id); err != nil || x.State != message.StateExpired {
			t.Errorf("%v, %+v", err, x)
		}
		_, err := h.D.Sign(context.Background(), id, payload(t, domaintest.Whitelisted, 1, 0, 10))
		wantKind(t, "signed after its end", err, problem.Conflict)
	}
	h.Check()
}

// While the clock is not certain, or behind the log, nothing is decided; what was signed is still recorded.
func TestUncertainTime(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
	w := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 5))
	x := submitted(t, h, h.Alice, h.Request(h.Alice, request.WalletCreate, request.WalletCreateBody{Wallet: "x", Chain: domaintest.Chain, Scheme: request.SchemeEVM}))
	refuses := func(when string) {
		t.Helper()
		size := h.D.Status().Size
		_, err := h.Submit(h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 7), nil)
		wantKind(t, when+": submit", err, problem.TimeUncertain)
		_, err = h.Decide(h.Bob, w, request.Approve)
		wantKind(t, when+": approve", err, problem.TimeUncertain)
		_, err = h.D.Execute(context.Background(), x.ID)
		wantKind(t, when+": execute", err, problem.TimeUncertain)
		_, err = h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10))
		wantKind(t, when+": sign", err, problem.TimeUncertain)
		_, err = (&service{h: h}).open(time.Hour)
		wantKind(t, when+": session", err, problem.TimeUncertain)
		if n := h.D.Status().Size; n != size {
			t.Errorf("%s: %d entries were written", when, n-size)
		}
	}
	h.Clock.Unsure.Store(true)
	refuses("uncertain")
	h.Clock.Unsure.Store(false)
	h.Clock.Wall.Add(-int64(6 * time.Minute))
	refuses("six minutes behind the log")
	h.Clock.Wall.Add(int64(5 * time.Minute))
	// A little behind is borne: what is decided is what is recorded, and deciding again agrees.
	signed, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10))
	if err != nil {
		t.Fatal(err)
	}
	h.Clock.Unsure.Store(true)
	again, err := h.D.Sign(context.Background(), v.ID, nil)
	if err != nil || !bytes.Equal(again.Bytes, signed.Bytes) {
		t.Errorf("the same bytes again: %v", err)
	}
	h.Clock.Unsure.Store(false)
	h.Check()
}

// A rule that is added after the approvals refuses; one that is relaxed does not lower what the approvers were told.
func TestRulesChangeUnderARequest(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
	one := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 2000))
	one = approvals(t, h, one, h.Bob)
	limit := custody.U64(500)
	newRules(t, h, func(d *policy.Document) {
		d.Guards = append(d.Guards, policy.Guard{ID: "limit", Effect: policy.Deny, Reason: "too-much", When: policy.Match{Operations: []request.Operation{request.Transfer}, AmountOver: &limit}})
	})
	p := payload(t, domaintest.Whitelisted, 1000, 0, 10)
	_, err := h.D.Sign(context.Background(), v.ID, p)
	wantKind(t, "a new guard", err, problem.RefusedByRule)
	if r, ok := lastEntry(t, h).(*entry.Refusal); !ok || r.Request != v.ID || r.Rule != "limit" || r.Kind != problem.RefusedByRule {
		t.Errorf("the refusal is not recorded: %+v", r)
	}
	newRules(t, h, func(d *policy.Document) {
		d.Guards = d.Guards[:1]
		d.Routes[1].Plan.AnyOf[0].Steps[0].Min = 1 // one approval is enough from now on
	})
	_, err = h.D.Sign(context.Background(), one.ID, payload(t, domaintest.Whitelisted, 2000, 0, 10))
	wantKind(t, "one approval, of two that were asked for", err, problem.QuorumNotMet)
	newRules(t, h, func(d *policy.Document) { d.Routes[1].Plan.AnyOf[0].Steps[0].Min = 2 })
	fresh := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 3)), h.Bob, h.Carol)
	if fresh.State != message.StateReady {
		t.Errorf("%+v", fresh)
	}
	if _, err := h.D.Sign(context.Background(), v.ID, p); err != nil {
		t.Errorf("the guard is gone, the approvals stand: %v", err)
	}
	h.Check()
	proves(t, h, v.ID, 2, 1)
}

// Who is revoked does not count any more, whatever they approved before; and can't ask, approve or reject.
func TestRevokedVote(t *testing.T) {
	t.Parallel()
	dave := domaintest.NewPerson("dave")
	h := hotDomain(t, domaintest.Options{})
	body := request.PersonEnrolBody{Person: dave.ID, Kind: "human", Key: dave.Pub, Groups: []custody.GroupID{"officers"}}
	body.Possession = ed25519.Sign(dave.Key, body.EnrolMessage(h.D.Authority()))
	govern(t, h, request.PersonEnrol, body)
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, dave)
	if v.State != message.StateReady {
		t.Fatalf("%+v", v)
	}
	mine := approvals(t, h, submitted(t, h, dave, pay(h, dave, domaintest.Whitelisted, 9)), h.Bob, h.Carol)
	govern(t, h, request.PersonRevoke, request.PersonRevokeBody{Person: dave.ID})
	p := payload(t, domaintest.Whitelisted, 1000, 0, 10)
	_, err := h.D.Sign(context.Background(), v.ID, p)
	wantKind(t, "with a revoked approver", err, problem.QuorumNotMet)
	_, err = h.D.Sign(context.Background(), mine.ID, payload(t, domaintest.Whitelisted, 9, 0, 10))
	wantKind(t, "for a revoked initiator", err, problem.RefusedByRule)
	_, err = h.Submit(dave, pay(h, dave, domaintest.Whitelisted, 9), nil)
	wantKind(t, "asked by a revoked person", err, problem.Unauthenticated)
	_, err = h.Decide(dave, v, request.Reject)
	wantKind(t, "rejected by a revoked person", err, problem.Unauthenticated)
	approvals(t, h, v, h.Carol)
	if _, err := h.D.Sign(context.Background(), v.ID, p); err != nil {
		t.Fatal(err)
	}
	h.Check()
	proves(t, h, v.ID, 3, 1)
}

// Forged, foreign and misplaced decisions are refused, each with its reason, and end nothing.
func TestForgedDecisions(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	v := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000))
	other := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000))
	mallory := domaintest.NewPerson("mallory")
	good := approvalBy(h, h.Bob, v, request.Approve)
	for name, c := range map[string]struct {
		a    request.Approval
		kind problem.Kind
	}{
		"another's signature": {with(good, func(a *request.Approval) { a.Sig = approvalBy(h, h.Carol, v, request.Approve).Sig }), problem.Unauthenticated},
		"another request's":   {with(approvalBy(h, h.Bob, other, request.Approve), func(a *request.Approval) { a.Request = v.ID }), problem.Unauthenticated},
		"approval as reject":  {with(good, func(a *request.Approval) { a.Decision = request.Reject }), problem.Unauthenticated},
		"under another name":  {with(good, func(a *request.Approval) { a.Person = h.Carol.ID }), problem.Unauthenticated},
		"unknown person":      {approvalBy(h, mallory, v, request.Approve), problem.Unauthenticated},
		"service":             {approvalBy(h, h.Service, v, request.Approve), problem.Forbidden},
		"initiator":           {approvalBy(h, h.Alice, v, request.Approve), problem.Forbidden},
		"initiator rejects":   {approvalBy(h, h.Alice, v, request.Reject), problem.Forbidden},
		"cancel by another":   {approvalBy(h, h.Bob, v, request.Cancel), problem.Forbidden},
		"flipped signature":   {with(good, func(a *request.Approval) { a.Sig[9] ^= 1 }), problem.Unauthenticated},
		"short signature":     {with(good, func(a *request.Approval) { a.Sig = a.Sig[:63] }), problem.Malformed},
		"unknown request":     {with(good, func(a *request.Approval) { a.Request[0] ^= 1 }), problem.NotFound},
		"other effects": {approvalBy(h, h.Bob, func() message.Request {
			x := v
			x.Effects.Outputs = []request.Output{{Address: domaintest.Stranger, Amount: custody.U64(1000)}}
			return x
		}(), request.Approve),
			problem.Unauthenticated},
		"higher fee cap":   {approvalBy(h, h.Bob, func() message.Request { x := v; x.Bounds.FeeCap = custody.U64(1); return x }(), request.Approve), problem.Unauthenticated},
		"another document": {approvalBy(h, h.Bob, func() message.Request { x := v; x.Decision.Version++; return x }(), request.Approve), problem.Unauthenticated},
	} {
		_, err := h.D.Approve(context.Background(), message.Approve{Approval: c.a})
		wantKind(t, name, err, c.kind)
	}
	// However many forgeries come, the real ones still count, and the log does not grow without end.
	for range 3 * authority.MaxTrail {
		_, _ = h.D.Approve(context.Background(), message.Approve{Approval: with(good, func(a *request.Approval) { a.Sig[1] ^= 1 })})
	}
	if n := h.D.Status().Size; n > 20+authority.MaxTrail {
		t.Errorf("forgeries grew the log to %d entries", n)
	}
	approvals(t, h, v, h.Bob, h.Carol)
	if _, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, 10)); err != nil {
		t.Fatal(err)
	}
	rejected, err := h.Decide(h.Carol, other, request.Reject)
	if err != nil || rejected.State != message.StateRejected {
		t.Fatalf("%v, %+v", err, rejected)
	}
	_, err = h.Decide(h.Bob, other, request.Approve)
	wantKind(t, "approved after a rejection", err, problem.Conflict)
	h.Check()
	proves(t, h, v.ID, 2, 1)
	proves(t, h, other.ID, 0, 0)
}

// approvalBy is a person's decision on a request as v shows it.
func approvalBy(h *domaintest.Harness, by domaintest.Person, v message.Request, d request.Decision) request.Approval {
	s := authority.StatementOf(h.D.Authority(), h.D.ID(), v.ID, h.Alice.ID, v.Effects, v.Bounds, v.Decision).By(by.ID, d)
	return request.Approval{Request: v.ID, Person: by.ID, Decision: d, Key: by.Pub.Ref(), Sig: ed25519.Sign(by.Key, s.Message())}
}

func with(a request.Approval, f func(*request.Approval)) request.Approval {
	a.Sig = bytes.Clone(a.Sig)
	f(&a)
	return a
}
