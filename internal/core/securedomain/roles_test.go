// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// wellFormed gives a body of each operation that can be read. Most name what does not exist: roles are asked before that is told.
func wellFormed(h *domaintest.Harness, waits custody.RequestID) map[request.Operation]any {
	pattern, id := make([]byte, 16), bytes.Repeat([]byte{7}, 32)
	e := domaintest.NewPerson("erin")
	return map[request.Operation]any{
		request.Transfer:          transferBody("hot", domaintest.Chain.Native(), domaintest.Whitelisted, 5),
		request.WalletCreate:      request.WalletCreateBody{Wallet: "new", Chain: domaintest.Chain, Scheme: request.SchemeEVM},
		request.AddressCreate:     request.AddressCreateBody{Wallet: "hot", Count: 1},
		request.PolicyChange:      request.PolicyChangeBody{Document: []byte{1}},
		request.PersonEnrol:       request.PersonEnrolBody{Person: e.ID, Kind: "human", Key: e.Pub, Possession: make([]byte, 64)},
		request.PersonRevoke:      request.PersonRevokeBody{Person: h.Carol.ID},
		request.GroupSet:          request.GroupSetBody{Group: "more", Members: []custody.PersonID{h.Bob.ID}},
		request.WhitelistAdd:      request.WhitelistAddBody{ID: "x", Chain: domaintest.Chain, Address: domaintest.Stranger},
		request.WhitelistRemove:   request.WhitelistRemoveBody{ID: "nothing"},
		request.PersonKeyRemove:   request.PersonKeyRemoveBody{Person: h.Bob.ID, Key: h.Bob.Pub.Ref()},
		request.WalletTemperature: request.WalletTemperatureBody{Wallet: "none", To: request.Warm},
		request.WarmOpen:          request.WarmOpenBody{Wallet: "none", Asset: domaintest.Chain.Native(), Amount: custody.U64(1), NotAfter: h.Clock.Wall.Load()/1e9 + 60},
		request.WarmClose:         request.WarmCloseBody{Wallet: "none"},
		request.WalletMove:        request.WalletMoveBody{Wallet: "hot", To: id, Temperature: request.Cold},
		request.AppGrant:          grantBody(h, "app"),
		request.AppRevoke:         request.AppRevokeBody{Grant: "none"},
		request.AppKeyRevoke:      request.AppKeyRevokeBody{Keys: []custody.KeyID{custody.KeyID(bytes.Repeat([]byte("a"), 32))}},
		request.OfflineRemove:     request.OfflineRemoveBody{Counter: 1, Domain: id},
		request.PointsSet:         request.PointsSetBody{Counter: 1, Deny: points.Make(points.Backup)},
		request.EpochLoad:         request.EpochLoadBody{Counter: 1, Epoch: 2},
		request.EpochCommit:       request.EpochCommitBody{Counter: 1, Epoch: 2, Pattern: pattern},
		request.EpochActivate:     request.EpochActivateBody{Counter: 1, Epoch: 2, Pattern: pattern},
		request.EpochFinalize:     request.EpochFinalizeBody{Counter: 1, Epoch: 2, Pattern: pattern},
		request.EpochCancel:       request.EpochCancelBody{Counter: 1, Epoch: 2, Pattern: pattern},
		request.Restore:           request.RestoreBody{Counter: 1, Epoch: 1, Pattern: pattern},
		request.ReanchorCancel:    request.ReanchorCancelBody{Counter: 1, Reanchor: 3},
		request.SlotReconcile:     request.SlotReconcileBody{Wallet: "hot"},
		request.Freeze:            request.FreezeBody{Reason: "r"},
		request.Unfreeze:          request.UnfreezeBody{Since: 1, Reason: "r"},
		request.Drain:             request.DrainBody{Reason: "r"},
		request.Resume:            request.ResumeBody{Since: 1, Reason: "r"},
		request.RequestHold:       request.RequestHoldBody{Request: waits[:], Reason: "r"},
		request.RequestRelease:    request.RequestReleaseBody{Request: waits[:], Hold: 1, Reason: "r"},
		request.WhitelistSuspend:  request.WhitelistSuspendBody{ID: "nothing"},
		request.WhitelistReview:   request.WhitelistReviewBody{IDs: []string{"nothing"}},
		request.BlacklistAdd:      request.BlacklistAddBody{Chain: domaintest.Chain, Address: domaintest.Stranger},
		request.BlacklistRemove:   request.BlacklistRemoveBody{Chain: domaintest.Chain, Address: domaintest.Stranger},
		request.ContractCall:      request.ContractCallBody{Wallet: "hot", Contract: domaintest.Stranger, Data: []byte{1, 2, 3, 4}, FeeCap: custody.U64(1)},
		request.MessageSign:       request.MessageSignBody{Wallet: "hot", Kind: request.PersonalMessage, Content: "hello"},
	}
}

// TestRolesAtTheDoor: every operation × every role, as requests at the door. What the table of docs/spec/roles.md forbids is refused by the rule roles and
// changes nothing; what it allows is refused by other rules at most. Sessions and approvals likewise. Reading is serve's, whoever asks it: see the page.
func TestRolesAtTheDoor(t *testing.T) {
	t.Parallel()
	for _, role := range append([]request.Role{""}, request.Roles()...) {
		t.Run("role "+string(role), func(t *testing.T) {
			t.Parallel()
			h := hotDomain(t, domaintest.Options{Document: func(d *policy.Document) {
				withGlass(d)
				for i := range d.Principals {
					if d.Principals[i].ID == h0.ID && role != "" {
						d.Principals[i].Roles = []request.Role{role}
					}
				}
				one := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 1}}}}}
				d.BreakGlass.Who, d.BreakGlass.Resume, d.ChangePlan = one, one, one
				d.Routes[1].Plan = one
				withoutCarol(d, role)
			}})
			matrixAtTheDoor(t, h, role)
		})
	}
}

// h0 is who has the role in the matrix.
var h0 = domaintest.NewPerson("carol")

// withoutCarol takes who has the role out of the groups that approve, where the role does not approve.
func withoutCarol(d *policy.Document, role request.Role) {
	if role == "" || role == request.Approver {
		return
	}
	for i, m := range d.Groups[0].Members {
		if m == h0.ID {
			d.Groups[0].Members = append(append([]custody.PersonID{}, d.Groups[0].Members[:i]...), d.Groups[0].Members[i+1:]...)
			return
		}
	}
}

func matrixAtTheDoor(t *testing.T, h *domaintest.Harness, role request.Role) {
	who := policy.Principal{Kind: policy.Human}
	if role != "" {
		who.Roles = []request.Role{role}
	}
	waits := submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 77))
	bodies := wellFormed(h, waits.ID)
	byRole := func(err error) bool {
		var q *problem.Error
		return errors.As(err, &q) && q.Rule == policy.RuleRoles
	}
	for _, op := range request.Operations() {
		body, ok := bodies[op]
		switch {
		case op == request.Freeze || op == request.Zeroize || op == request.PersonKeyAdd || op == request.OfflineAdd:
			continue // the first is tried last; roles say nothing of the next two, and the last needs an offline domain
		case !ok || apiv1.NewBody(op) == nil:
			t.Errorf("the matrix has no body of %s", op)
			continue
		}
		v, err := h.Submit(h.Carol, h.Request(h.Carol, op, body), nil)
		refused := byRole(err) || err == nil && v.Decision.Rule == policy.RuleRoles
		if err != nil && problem.KindOf(err) == problem.Malformed && !bytes.Contains([]byte(err.Error()), []byte("document")) {
			t.Errorf("%s: the body of the matrix is malformed: %v", op, err)
		}
		if refused == who.MayAsk(op) {
			t.Errorf("%s: %+v, %v; the table says %t", op, v.Decision, err, who.MayAsk(op))
		}
		if refused && err == nil && (v.State != message.StateRefused || v.Missing == nil || v.Missing.Kind != problem.RefusedByRule || v.Decision.Unmet[0].Criterion != "initiator.roles") {
			t.Errorf("%s: %+v", op, v)
		}
	}
	_, err := h.Decide(h.Carol, waits, request.Approve)
	if byRole(err) == who.May(policy.VerbApprove) {
		t.Errorf("approve: %v", err)
	}
	if _, err = h.Decide(h.Carol, waits, request.Reject); byRole(err) == who.May(policy.VerbApprove) {
		t.Errorf("reject: %v", err)
	}
	v, err := h.Submit(h.Carol, h.Request(h.Carol, request.Freeze, request.FreezeBody{Reason: "r"}), nil)
	if refused := err == nil && v.Decision.Rule == policy.RuleRoles; refused == who.MayAsk(request.Freeze) {
		t.Errorf("freeze: %+v, %v", v.Decision, err)
	}
	h.Check()
}

// TestServiceRolesAtTheDoor: a service without the role for it opens no session.
func TestServiceRolesAtTheDoor(t *testing.T) {
	t.Parallel()
	for _, role := range []request.Role{request.Requester, request.Pricer} {
		h := hotDomain(t, domaintest.Options{Document: func(d *policy.Document) {
			for i := range d.Principals {
				if d.Principals[i].Kind == policy.Service {
					d.Principals[i].Roles = []request.Role{role}
				}
			}
		}})
		_, err := (&service{h: h}).open(time.Hour)
		var q *problem.Error
		if (errors.As(err, &q) && q.Rule == policy.RuleRoles) == (role == request.Requester) {
			t.Errorf("%s: %v", role, err)
		}
	}
}

// TestDoorReadsAreServes: what is read at the door is not asked for by a person: every method that reads answers whoever may connect.
func TestDoorReadsAreServes(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	m := gate.NewMux()
	h.D.Serve(m)
	for method, body := range map[string][]byte{message.MethodStatus: canon.Encode(message.Empty{}), message.MethodRequests: canon.Encode(message.List{Limit: 5}), message.MethodWallets: canon.Encode(message.List{Limit: 5}),
		message.MethodPolicy: canon.Encode(message.Empty{}), message.MethodFeed: canon.Encode(message.Feed{Limit: 5}), message.MethodApps: canon.Encode(message.List{Limit: 5})} {
		if _, err := m.Dispatch(t.Context(), gate.Caller{UID: 12345}, method, body); err != nil {
			t.Errorf("%s: %v", method, err)
		}
	}
}
