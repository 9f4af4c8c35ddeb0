// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// needsVerb says which verb of docs/spec/roles.md each operation needs; others are for everybody. Those about requests show what others asked for to those only who have
// the verb requests.
func needsVerb() map[string]policy.Verb {
	return map[string]policy.Verb{"approveRequest": policy.VerbApprove, "rejectRequest": policy.VerbApprove, "executeRequest": policy.VerbExecute, "signRequest": policy.VerbExecute,
		"createOfflineBundle": policy.VerbCarry, "getOfflineBundle": policy.VerbCarry, "createOfflineResult": policy.VerbCarry, "createSession": policy.VerbSession,
		"startCheck": policy.VerbCheck, "getCheck": policy.VerbCheck, "listEntries": policy.VerbLog}
}

func aboutRequests() []string {
	return []string{"getRequest", "getStatement", "approveRequest", "rejectRequest", "cancelRequest", "executeRequest", "signRequest", "getProof", "explainRequest"}
}

// withRole gives chiara a role, takes her out of the group where it does not approve, and lets one of the group be enough.
func withRole(h *house, role request.Role) {
	var d policy.Document
	h.core.State(func(s *authority.State) { d = s.Doc })
	d.Version, d.PrevHash = d.Version+1, d.Hash()
	one := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "treasury", Min: 1}}}}}
	d.ChangePlan = one
	d.Routes, d.Principals, d.Groups = slices.Clone(d.Routes), slices.Clone(d.Principals), slices.Clone(d.Groups)
	for i := range d.Routes {
		if !d.Routes[i].Auto {
			d.Routes[i].Plan = one
		}
	}
	for i := range d.Principals {
		if d.Principals[i].ID == coretest.Chiara.ID {
			d.Principals[i].Roles = []request.Role{role}
		}
	}
	for i := range d.Groups {
		if d.Groups[i].ID == "treasury" && role != request.Approver {
			d.Groups[i].Members = slices.DeleteFunc(slices.Clone(d.Groups[i].Members), func(p custody.PersonID) bool { return p == coretest.Chiara.ID })
		}
	}
	h.approved(h.asked(coretest.Anna, &request.PolicyChangeBody{Document: d.Encode()}), coretest.Bruno, coretest.Chiara)
}

// TestRolesAtTheAPI: every operation of the description × every role, about what the caller asked for and about what somebody else did. What the table of
// docs/spec/roles.md forbids is refused with kind forbidden and rule roles; nothing else is.
func TestRolesAtTheAPI(t *testing.T) {
	t.Parallel()
	for _, role := range request.Roles() {
		t.Run(string(role), func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			ids := map[custody.PersonID]string{}
			for _, p := range []coretest.Person{coretest.Anna, coretest.Chiara} {
				ids[p.ID] = h.asked(p, transfer(50_000)).ID
			}
			withRole(h, role)
			apiMatrix(t, h, policy.Principal{ID: coretest.Chiara.ID, Kind: policy.Human, Roles: []request.Role{role}}, ids)
		})
	}
}

func apiMatrix(t *testing.T, h *house, who policy.Principal, ids map[custody.PersonID]string) {
	_, b := h.raw(h.transport(""), "GET", "/openapi.json", nil, nil)
	var d description
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	tr := h.transport(string(who.ID))
	seen := 0
	for path, ops := range d.Paths {
		for method, op := range ops {
			for _, owner := range []coretest.Person{coretest.Anna, coretest.Chiara} {
				id := ids[owner.ID]
				switch {
				case strings.HasPrefix(path, "/v1/persons"):
					id = string(who.ID)
				case strings.HasPrefix(path, "/v1/wallets"):
					id = "hot"
				}
				header, body := map[string]string{}, []byte(nil)
				if method == "post" {
					header, body = map[string]string{"Content-Type": apiv1.JSON, apiv1.IdempotencyHeader: "matrix"}, []byte("{}")
				}
				resp, b := h.raw(tr, strings.ToUpper(method), strings.NewReplacer("{id}", id, "{path}", "0/000").Replace(path), header, body)
				var p apiv1.Problem
				if resp.StatusCode >= 300 {
					p = problemOf(t, resp, b)
				}
				refused := p.Rule == policy.RuleRoles && p.Kind == problem.Forbidden // of another kind it is the core's, about who asked and has lost the role
				verb, need := needsVerb()[op.OperationID]
				want := need && !who.May(verb) || owner.ID != who.ID && slices.Contains(aboutRequests(), op.OperationID) && !who.May(policy.VerbRequests)
				if refused != want || refused && resp.StatusCode != http.StatusForbidden {
					t.Errorf("%s about %s: %d %+v; the table says refused: %t", op.OperationID, owner.ID, resp.StatusCode, p, want)
				}
				seen++
			}
		}
	}
	if seen < 60 {
		t.Errorf("the matrix has %d cells only", seen)
	}
	var l apiv1.RequestList
	_, b = h.raw(tr, "GET", "/v1/requests", nil, nil)
	others := json.Unmarshal(b, &l) == nil && slices.ContainsFunc(l.Requests, func(v apiv1.RequestView) bool { return v.Initiator != who.ID })
	if others != who.May(policy.VerbRequests) {
		t.Errorf("the list of requests: %s", b)
	}
}

// TestAsksWithoutARole: who has no role for an operation is refused by the rule roles, with status 403, and reads so in the answer.
func TestAsksWithoutARole(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	withRole(h, request.Auditor)
	r := h.request(coretest.Chiara, request.Transfer, transfer(50_000), "auditor")
	resp, b := h.raw(h.transport(string(coretest.Chiara.ID)), "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.JSON, apiv1.IdempotencyHeader: "auditor"}, submission(t, r, coretest.Chiara))
	if p := problemOf(t, resp, b); resp.StatusCode != http.StatusForbidden || p.Kind != problem.RefusedByRule || p.Rule != policy.RuleRoles {
		t.Errorf("%d %+v", resp.StatusCode, p)
	}
}

// TestStatusTellsOfModes: the status shows the operational state, and what the domain goes on without.
func TestStatusTellsOfModes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	st, err := h.client(coretest.Anna).Status(t.Context())
	if err != nil || st.Mode.Mode != policy.Normal || st.OnHold != 0 {
		t.Errorf("%+v, %v", st.Mode, err)
	}
}
