// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// What services may do: all that is open to them is listed here.
const (
	no   = "no"
	own  = "own" // with their own requests, and with themselves
	yes  = "yes"
	open = "anybody, without a certificate too"
)

func services() map[string]string {
	return map[string]string{
		"getHealth": open, "getDescription": open, "getProblem": open,
		"getStatus": yes, "getSignedStatus": yes, "listChains": yes, "listWallets": yes, "getWallet": yes, "getWalletProof": yes, "listAddresses": yes, "listBalances": yes, "createSession": yes,
		"createRequest": own, "listRequests": yes, "getRequest": own, "getStatement": own, "cancelRequest": own, "executeRequest": own,
		"signRequest": own, "getProof": own, "createCertificate": own,
		"approveRequest": no, "rejectRequest": no, "getPolicy": no, "listPersons": no, "listGroups": no, "getAddressBook": no, "getBlacklist": no, "listAppGrants": no,
		"startCheck": no, "getCheck": no, "listEntries": no, "getCheckpoint": no, "getTile": no,
		"listOfflineDomains": yes, "createOfflineBundle": no, "getOfflineBundle": no, "createOfflineResult": no,
		"createLogin": no, "removeLogin": no,
		"explainRequest": own, "simulateRequest": own, "listLimits": no,
		"submitQuotes": yes, "listPrices": yes, "submitVerdicts": yes, "listVerdicts": yes,
	}
}

// Who may call what: every operation of the description, by an officer, a service, somebody who was revoked, and a stranger.
func TestAccess(t *testing.T) {
	t.Parallel()
	h, after := newHouse(t), newHouse(t)
	after.approved(after.asked(coretest.Anna, &request.PersonRevokeBody{Person: coretest.Payout.ID}), coretest.Bruno, coretest.Chiara)
	_, b := h.raw(h.transport(""), "GET", "/openapi.json", nil, nil)
	var d description
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	type caller struct {
		house *house
		tr    *http.Transport
	}
	officer, service := caller{h, h.transport(string(coretest.Anna.ID))}, caller{h, h.transport(string(coretest.Payout.ID))}
	revoked, stranger := caller{after, after.transport(string(coretest.Payout.ID))}, caller{h, h.transport("")}
	signed := map[custody.PersonID]request.Request{}
	bodies := map[custody.PersonID][]byte{}
	for _, p := range []coretest.Person{coretest.Anna, coretest.Payout} {
		signed[p.ID] = h.request(p, request.Transfer, transfer(50_000), "matrix")
		bodies[p.ID] = submission(t, signed[p.ID], p)
		if resp, b := h.raw(h.transport(string(p.ID)), "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.JSON, apiv1.IdempotencyHeader: "matrix"}, bodies[p.ID]); resp.StatusCode != 201 {
			t.Fatalf("%s", b)
		}
	}
	table := services()
	for path, ops := range d.Paths {
		for method, op := range ops {
			want, ok := table[op.OperationID]
			if !ok {
				t.Errorf("%s: say what services may do with it", op.OperationID)
				continue
			}
			delete(table, op.OperationID)
			// ask gives the kind of problem, about what is somebody's.
			ask := func(c caller, owner coretest.Person) problem.Kind {
				id := signed[owner.ID].ID().String()
				switch {
				case strings.HasPrefix(path, "/v1/persons"):
					id = string(owner.ID)
				case strings.HasPrefix(path, "/v1/wallets"):
					id = "hot"
				}
				header, body := map[string]string{}, []byte(nil)
				if method == "post" {
					header, body = map[string]string{"Content-Type": apiv1.JSON, apiv1.IdempotencyHeader: "matrix"}, []byte("{}")
				}
				switch op.OperationID {
				case "createRequest":
					body = bodies[owner.ID]
				case "simulateRequest":
					body = simulation(t, bodies[owner.ID])
				}
				resp, b := c.house.raw(c.tr, strings.ToUpper(method), strings.NewReplacer("{id}", id, "{path}", "0/000").Replace(path), header, body)
				if resp.StatusCode < 300 {
					return ""
				}
				return problemOf(t, resp, b).Kind
			}
			denied := func(k problem.Kind) bool { return k == problem.Forbidden || k == problem.Unauthenticated }
			if k := ask(officer, coretest.Anna); denied(k) {
				t.Errorf("%s: an officer is refused: %s", op.OperationID, k)
			}
			if k := ask(stranger, coretest.Anna); (k != problem.Unauthenticated) != (want == open) {
				t.Errorf("%s: a stranger gets %q", op.OperationID, k)
			}
			if k := ask(revoked, coretest.Payout); (k != problem.Forbidden) != (want == open) {
				t.Errorf("%s: who was revoked gets %q", op.OperationID, k)
			}
			if k := ask(service, coretest.Payout); denied(k) != (want == no) {
				t.Errorf("%s: a service gets %q about itself, want %s", op.OperationID, k, want)
			}
			if k := ask(service, coretest.Anna); denied(k) != (want == no || want == own) {
				t.Errorf("%s: a service gets %q about others, want %s", op.OperationID, k, want)
			}
		}
	}
	for id := range table {
		t.Errorf("%s is not described", id)
	}
	var l apiv1.RequestList
	if _, b := h.raw(service.tr, "GET", "/v1/requests", nil, nil); json.Unmarshal(b, &l) != nil || len(l.Requests) != 1 || l.Requests[0].Initiator != coretest.Payout.ID {
		t.Errorf("a service sees others' requests: %s", b)
	}
}

// A payload is the initiator's or serve's: approvals bind effects and bounds, so whoever brings one chooses the fee.
func TestNobodyElseBringsAPayload(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	js := map[string]string{"Content-Type": apiv1.JSON, apiv1.IdempotencyHeader: "k"}
	dear := payload(t, transfer(50_000), 0)
	r := h.request(coretest.Anna, request.Transfer, transfer(50_000), "k")
	var sub apiv1.Submission
	if err := json.Unmarshal(submission(t, r, coretest.Anna), &sub); err != nil {
		t.Fatal(err)
	}
	post := func(p coretest.Person, path string, header map[string]string, body []byte) (int, apiv1.Problem) {
		t.Helper()
		resp, b := h.raw(h.transport(string(p.ID)), "POST", path, header, body)
		if resp.StatusCode < 300 {
			return resp.StatusCode, apiv1.Problem{}
		}
		return resp.StatusCode, problemOf(t, resp, b)
	}
	plain, _ := json.Marshal(sub)
	if status, p := post(coretest.Chiara, "/v1/requests", js, plain); status != 201 {
		t.Fatalf("handed in by another: %+v", p)
	}
	id := r.ID().String()
	view, err := h.client(coretest.Anna).Request(t.Context(), r.ID())
	if err != nil {
		t.Fatal(err)
	}
	h.approved(view, coretest.Bruno, coretest.Chiara)

	in, _ := json.Marshal(map[string][]byte{"payload": dear})
	if status, p := post(coretest.Anna, "/v1/requests/"+id+":sign", js, in); status != 422 || p.Pointer != "/payload" {
		t.Errorf(":sign took a payload: %d %+v", status, p)
	}
	if _, p := post(coretest.Payout, "/v1/requests/"+id+":sign", js, nil); p.Kind != problem.Forbidden {
		t.Errorf(":sign by a service that has no part in it: %+v", p)
	}
	sub.Payload = dear
	with, _ := json.Marshal(sub)
	if _, p := post(coretest.Chiara, "/v1/requests", js, with); p.Kind != problem.Forbidden {
		t.Errorf("another's request handed in again with a payload: %+v", p)
	}
	file := coretest.Signed(r, coretest.Anna)
	file.Payload = dear
	if _, p := post(coretest.Chiara, "/v1/requests", map[string]string{"Content-Type": apiv1.CBOR, apiv1.IdempotencyHeader: "k"}, canonEncode(file)); p.Kind != problem.Forbidden {
		t.Errorf("the same as a file: %+v", p)
	}
	h.core.State(func(s *authority.State) {
		if s.Counts().Signed != 0 {
			t.Error("something was signed")
		}
	})
	if status, p := post(coretest.Chiara, "/v1/requests/"+id+":sign", js, nil); status != 200 {
		t.Errorf(":sign by one who approved: %+v", p)
	}
	first, err := h.client(coretest.Anna).Sign(t.Context(), r.ID())
	again, err2 := h.client(coretest.Anna).Sign(t.Context(), r.ID())
	if err != nil || err2 != nil || !bytes.Equal(first.Bytes, again.Bytes) || first.Attempt != 1 {
		t.Errorf("signed again: %v %v", err, err2)
	}
	if h.core.Calls(message.MethodSign) != 1 {
		t.Errorf("the core was asked %d times to sign", h.core.Calls(message.MethodSign))
	}
}

// A page of another site can't have a browser act with its certificate: it can only post the types of forms, and browsers say where from.
func TestCrossSiteCallsAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tr := h.transport(string(coretest.Anna.ID))
	for _, tc := range []struct {
		name, method, path string
		header             map[string]string
		body               string
		status             int
	}{
		{"no type, no body", "POST", "/v1/audit/check", nil, "", 415},
		{"a form's type", "POST", "/v1/audit/check", map[string]string{"Content-Type": "text/plain"}, "{}", 415},
		{"cross-site", "POST", "/v1/audit/check", map[string]string{"Content-Type": apiv1.JSON, "Sec-Fetch-Site": "cross-site"}, "", 403},
		{"same-site", "POST", "/v1/audit/check", map[string]string{"Content-Type": apiv1.JSON, "Sec-Fetch-Site": "same-site"}, "", 403},
		{"cross-site reading", "GET", "/v1/status", map[string]string{"Sec-Fetch-Site": "cross-site"}, "", 403},
		{"a member", "POST", "/v1/audit/check", map[string]string{"Content-Type": apiv1.JSON}, `{"start":true}`, 422},
		{"too long", "POST", "/v1/audit/check", map[string]string{"Content-Type": apiv1.JSON}, strings.Repeat(" ", 2<<10), 413},
		{"no body", "POST", "/v1/audit/check", map[string]string{"Content-Type": apiv1.JSON}, "", 202},
		{"an empty object", "POST", "/v1/audit/check", map[string]string{"Content-Type": apiv1.JSON, "Sec-Fetch-Site": "same-origin"}, "{}", 202},
		{"typed address", "GET", "/v1/status", map[string]string{"Sec-Fetch-Site": "none"}, "", 200},
	} {
		if resp, b := h.raw(tr, tc.method, tc.path, tc.header, []byte(tc.body)); resp.StatusCode != tc.status {
			t.Errorf("%s: status %d, want %d: %s", tc.name, resp.StatusCode, tc.status, b)
		}
	}
}

// simulation asks for what a submission does, to be simulated.
func simulation(t *testing.T, submission []byte) []byte {
	t.Helper()
	var in map[string]json.RawMessage
	if err := json.Unmarshal(submission, &in); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(map[string]json.RawMessage{"request": in["request"]})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
