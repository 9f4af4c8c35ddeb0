// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// heavier gives the current rules with so many guards more, each with a long expression.
func heavier(t *testing.T, h *domaintest.Harness, guards int) policy.Document {
	t.Helper()
	cur, err := policy.DecodeDocument(h.D.Policy().Document)
	if err != nil {
		t.Fatal(err)
	}
	next := cur
	next.Version, next.PrevHash, next.Guards = cur.Version+1, cur.Hash(), slices.Clone(cur.Guards)
	for i := range guards {
		e := fmt.Sprintf("wallet == 'x%d'", i)
		for len(e) < 850 {
			e += fmt.Sprintf(" || wallet == 'y%d'", len(e))
		}
		next.Guards = append(next.Guards, policy.Guard{ID: fmt.Sprintf("g-x%d", i), Effect: policy.Deny, Reason: "nope",
			When: policy.Match{Operations: []request.Operation{request.Transfer}, Expr: e}})
	}
	slices.SortFunc(next.Guards, func(a, b policy.Guard) int { return strings.Compare(a.ID, b.ID) })
	return next
}

// A rule document that waits is compiled when it comes and when something changed, not whenever somebody looks at it or asks in vain to
// carry it out.
func TestWaitingDocumentIsNotCompiledAgain(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	doc := heavier(t, h, 100)
	start := time.Now()
	v := submitted(t, h, h.Alice, h.Request(h.Alice, request.PolicyChange, request.PolicyChangeBody{Document: doc.Encode()}))
	once := time.Since(start)
	start = time.Now()
	for range 100 {
		if x, err := h.D.Request(context.Background(), v.ID); err != nil || x.Missing == nil || x.Missing.Kind != problem.QuorumNotMet {
			t.Fatalf("%+v %v", x, err)
		}
		if len(h.D.Requests(message.List{Limit: 10}).Requests) != 1 {
			t.Fatal("it does not wait")
		}
		if _, err := h.D.Execute(context.Background(), v.ID); problem.KindOf(err) != problem.QuorumNotMet {
			t.Fatal(err)
		}
	}
	if d := time.Since(start); d > 10*once {
		t.Errorf("300 looks took %v, handing it in %v", d, once)
	}
	if x := approvals(t, h, v, h.Bob, h.Carol); x.State != message.StateExecuted {
		t.Errorf("with its approvals: %+v", x)
	}
	h.Check()
}

// What is remembered of a waiting change does not outlive what it follows from: approvals, their age, the rules, its own time.
func TestRememberedReadinessIsCurrent(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	short := heavier(t, h, 0)
	short.Floor.MaxApprovalAge = 3600
	if x := approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, request.PolicyChange, request.PolicyChangeBody{Document: short.Encode()})), h.Bob, h.Carol); x.State != message.StateExecuted {
		t.Fatalf("%+v", x)
	}
	ask := func(address string) message.Request {
		r := h.Request(h.Alice, request.WhitelistAdd, request.WhitelistAddBody{ID: "second", Chain: domaintest.Chain, Address: address})
		r.NotAfter = h.Clock.Now().Time/1e9 + request.MaxLifetime - 60
		return submitted(t, h, h.Alice, r)
	}
	look := func(v message.Request) message.Problem {
		t.Helper()
		x, err := h.D.Request(context.Background(), v.ID)
		if err != nil || x.Missing == nil {
			t.Fatalf("%+v %v", x, err)
		}
		return *x.Missing
	}
	one, two := ask(domaintest.Stranger), ask("0x52908400098527886E0F7030069857D2E4169EE7")
	none := look(one)
	approvals(t, h, one, h.Bob)
	half := look(one)
	if none.Kind != problem.QuorumNotMet || half.Kind != problem.QuorumNotMet || reflect.DeepEqual(none, half) {
		t.Errorf("an approval is not seen: %+v, then %+v", none, half)
	}
	h.Clock.Advance(time.Hour + time.Minute)
	submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1)) // time passes in the log
	if x := look(one); !reflect.DeepEqual(x, none) {
		t.Errorf("an approval that is too old still counts: %+v", x)
	}
	if x := look(two); x.Kind != problem.QuorumNotMet {
		t.Errorf("the other change: %+v", x)
	}
	three := ask("0x27b1fdb04752bbc536007a920d24acb045561c26")
	if x := approvals(t, h, three, h.Bob, h.Carol); x.State != message.StateExecuted {
		t.Fatalf("%+v", x)
	}
	if x := look(two); x.Kind != problem.Conflict {
		t.Errorf("under other rules: %+v", x)
	}
	h.Clock.Advance(request.MaxLifetime*time.Second - time.Hour)
	if x := look(two); x.Kind != problem.Expired {
		t.Errorf("past its time: %+v", x)
	}
	h.Check()
}

// What is remembered of a rule document that waits ends with its delay, with a hold and its release, and with a drain and its end, each for itself: it is
// looked at before and after, and nothing else happens in between.
func TestWaitingDocumentIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	begin := func(t *testing.T) (*domaintest.Harness, message.Request) {
		t.Helper()
		h := hotDomain(t, domaintest.Options{Document: func(d *policy.Document) {
			withGlass(d)
			d.Obligations = []policy.Obligation{{ID: "rules-wait", When: policy.Match{Operations: []request.Operation{request.PolicyChange}}, Add: policy.Addition{Delay: 3600}}}
		}})
		doc := heavier(t, h, 1)
		r := h.Request(h.Alice, request.PolicyChange, request.PolicyChangeBody{Document: doc.Encode()})
		r.NotAfter += 10 * 3600
		v := approvals(t, h, submitted(t, h, h.Alice, r), h.Bob, h.Carol)
		lacking(t, h, v, problem.NotYet, policy.RuleChangePlan)
		return h, v
	}
	t.Run("delay", func(t *testing.T) {
		t.Parallel()
		h, v := begin(t)
		h.Clock.Advance(59 * time.Minute)
		lacking(t, h, v, problem.NotYet, policy.RuleChangePlan)
		h.Clock.Advance(time.Minute + time.Second)
		lacking(t, h, v, "", "")
		carriedOut(t, h, v)
	})
	t.Run("hold", func(t *testing.T) {
		t.Parallel()
		h, v := begin(t)
		h.Clock.Advance(time.Hour + time.Second)
		lacking(t, h, v, "", "")
		held := submitted(t, h, h.Carol, h.Request(h.Carol, request.RequestHold, request.RequestHoldBody{Request: v.ID[:], Reason: "wait"}))
		lacking(t, h, v, problem.RefusedByRule, policy.RuleHeld)
		approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, request.RequestRelease, request.RequestReleaseBody{Request: v.ID[:], Hold: held.Last, Reason: "go"})), h.Bob)
		lacking(t, h, v, "", "")
		carriedOut(t, h, v)
	})
	t.Run("drain", func(t *testing.T) {
		t.Parallel()
		h, v := begin(t)
		h.Clock.Advance(time.Hour + time.Second)
		lacking(t, h, v, "", "")
		approvals(t, h, submitted(t, h, h.Alice, h.Request(h.Alice, request.Drain, request.DrainBody{Reason: "out"})), h.Bob, h.Carol)
		lacking(t, h, v, problem.Frozen, policy.RuleDraining)
		ended(t, h, request.Resume)
		lacking(t, h, v, "", "")
		carriedOut(t, h, v)
	})
}

// lacking requires what a request lacks; the empty kind: nothing.
func lacking(t *testing.T, h *domaintest.Harness, v message.Request, kind problem.Kind, rule string) {
	t.Helper()
	x, err := h.D.Request(t.Context(), v.ID)
	switch {
	case err != nil || x.State != message.StatePending:
		t.Fatalf("it does not wait: %s, %v", x.State, err)
	case kind == "" && x.Missing != nil || kind != "" && (x.Missing == nil || x.Missing.Kind != kind || x.Missing.Rule != rule):
		t.Fatalf("it lacks %+v; want %q by %q", x.Missing, kind, rule)
	}
}

// carriedOut requires that it is done now, without a restart or another approval.
func carriedOut(t *testing.T, h *domaintest.Harness, v message.Request) {
	t.Helper()
	if _, err := h.D.Execute(t.Context(), v.ID); err != nil {
		t.Fatal(err)
	}
	h.Check()
}
