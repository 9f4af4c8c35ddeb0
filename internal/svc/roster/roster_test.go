// SPDX-License-Identifier: Apache-2.0

package roster_test

import (
	"context"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/roster"
)

type clock struct{ at time.Time }

func (c *clock) Now() time.Time { return c.at }

// revoke has anna ask that somebody be revoked, and bruno and chiara approve.
func revoke(t *testing.T, core *coretest.Core, now time.Time, who custody.PersonID) {
	t.Helper()
	r := request.Request{V: 1, Authority: core.Authority(), Domain: custody.DomainID(core.Authority()), Initiator: coretest.Anna.ID, Key: "revoke-" + string(who),
		Operation: request.PersonRevoke, Body: canon.Encode(request.PersonRevokeBody{Person: who}), NotAfter: now.Unix() + 600}
	v, err := gate.Call[message.Submit, message.Request](t.Context(), core, message.MethodSubmit, coretest.Signed(r, coretest.Anna))
	for _, p := range []coretest.Person{coretest.Bruno, coretest.Chiara} {
		if err == nil {
			v, err = gate.Call[message.Approve, message.Request](t.Context(), core, message.MethodApprove, coretest.Approval(v, request.Approve, p))
		}
	}
	if err != nil || v.State != message.StateExecuted {
		t.Fatalf("%s %v", v.State, err)
	}
}

func TestRoster(t *testing.T) {
	t.Parallel()
	c := &clock{time.Unix(1_900_000_000, 0)}
	core := coretest.New(t, c.Now)
	r := roster.New(core, c.Now)
	see := func(what string, who custody.PersonID, want problem.Kind, calls int) {
		t.Helper()
		before := core.Calls(message.MethodStatus)
		if _, err := r.Person(context.Background(), who); (err != nil || want != "") && problem.KindOf(err) != want {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
		if got := core.Calls(message.MethodStatus) - before; got != calls {
			t.Errorf("%s: the core was asked %d times, want %d", what, got, calls)
		}
	}
	see("first", coretest.Payout.ID, "", 1)
	see("at once", coretest.Payout.ID, "", 0)
	see("a stranger", coretest.NewPerson(7).ID, problem.Forbidden, 0)
	revoke(t, core, c.at, coretest.Payout.ID)
	see("within a second", coretest.Payout.ID, "", 0)
	c.at = c.at.Add(roster.Age)
	see("after a second", coretest.Payout.ID, problem.Forbidden, 1)
	if n := core.Calls(message.MethodPolicy); n != 2 {
		t.Errorf("the document was read %d times, want 2", n)
	}
	c.at = c.at.Add(-time.Millisecond)
	see("with a clock that was set back", coretest.Anna.ID, "", 1)
	r.Forget()
	see("forgotten", coretest.Anna.ID, "", 1)
	if n := core.Calls(message.MethodPolicy); n != 2 {
		t.Errorf("the document was read %d times, though it is the same", n)
	}
	r.Forget()
	core.Fail(message.MethodStatus, coretest.Before)
	see("without a core", coretest.Anna.ID, problem.Stopped, 1)
	k, err := r.Known(t.Context())
	if err != nil || k.Authority != core.Authority() || k.Domain != custody.DomainID(core.Authority()) || k.Document.Version != 2 {
		t.Errorf("%+v %v", k, err)
	}
	fresh := roster.New(core, c.Now)
	core.Fail(message.MethodPolicy, coretest.Before)
	if _, err := fresh.Person(t.Context(), coretest.Anna.ID); problem.KindOf(err) != problem.Stopped {
		t.Errorf("without a document: %v", err)
	}
}
