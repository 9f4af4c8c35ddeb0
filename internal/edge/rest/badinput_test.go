// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// submission gives the JSON of a signed request.
func submission(t testing.TB, r request.Request, by coretest.Person) []byte {
	t.Helper()
	q, err := apiv1.RequestOf(r)
	if err != nil {
		t.Fatal(err)
	}
	ev := coretest.Signed(r, by).Evidence
	b, err := json.Marshal(apiv1.Submission{Request: q, Evidence: apiv1.Evidence{Key: ev.Key, Signature: ev.Sig}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestBadInput is the table of what must be refused, and as what. Nothing of it may leave a trace in the log.
func TestBadInput(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tr := h.transport(string(coretest.Anna.ID))
	r := h.request(coretest.Payout, request.Transfer, transfer(7), "k")
	good := string(submission(t, r, coretest.Payout))
	const out = "/request/body/outputs/0"
	swap := func(old, new string) []byte {
		if !strings.Contains(good, old) {
			t.Fatalf("the good body has no %s", old)
		}
		return []byte(strings.Replace(good, old, new, 1))
	}
	// resigned gives a body that is malformed though it is signed.
	resigned := func(change func(*request.TransferBody)) []byte {
		b := transfer(7)
		change(b)
		x := r
		x.Body = canon.Encode(b)
		raw, _ := json.Marshal(b)
		ev := coretest.Signed(x, coretest.Payout).Evidence
		j, _ := json.Marshal(apiv1.Submission{Request: apiv1.Request{Authority: x.Authority.String(), Domain: x.Domain.String(), Initiator: x.Initiator,
			Operation: x.Operation, Body: raw, NotAfter: x.NotAfter}, Evidence: apiv1.Evidence{Key: ev.Key, Signature: ev.Sig}})
		return j
	}
	var before uint64
	h.core.State(func(s *authority.State) { before = s.Next })
	for _, tc := range []struct {
		name    string
		body    []byte
		status  int
		kind    problem.Kind
		pointer string
	}{
		{"empty", nil, 400, problem.Malformed, ""},
		{"not json", []byte("amount=7"), 400, problem.Malformed, ""},
		{"cut", []byte(good[:len(good)/2]), 400, problem.Malformed, "*"},
		{"trailing data", []byte(good + "{}"), 400, problem.Malformed, ""},
		{"duplicate member", swap(`"wallet":"hot"`, `"wallet":"hot","wallet":"cold"`), 400, problem.Malformed, "/request/body/wallet"},
		{"duplicate member outside", swap(`"evidence":`, `"payload":"","payload":"","evidence":`), 400, problem.Malformed, "/payload"},
		{"unknown field", swap(`"wallet":"hot"`, `"wallet":"hot","memo":"x"`), 422, problem.Malformed, "/request/body/memo"},
		{"unknown field outside", swap(`"evidence":`, `"approved":true,"evidence":`), 422, problem.Malformed, "/approved"},
		{"field in another case", swap(`"wallet":"hot"`, `"Wallet":"hot"`), 422, problem.Malformed, "/request/body/Wallet"},
		{"missing field", swap(`"wallet":"hot",`, ``), 422, problem.Malformed, "/request/body/wallet"},
		{"null", swap(`"wallet":"hot"`, `"wallet":null`), 422, problem.Malformed, "/request/body/wallet"},
		{"wrong type", swap(`"wallet":"hot"`, `"wallet":7`), 422, problem.Malformed, "/request/body/wallet"},
		{"invalid utf-8", swap(`"wallet":"hot"`, "\"wallet\":\"\xff\""), 400, problem.Malformed, "/request/body/wallet"},
		{"lone surrogate", swap(`"wallet":"hot"`, `"wallet":"\ud800"`), 400, problem.Malformed, "/request/body/wallet"},
		{"bad base64", swap(`"signature":"`, `"signature":"*`), 422, problem.Malformed, "/evidence/signature"},
		{"amount as number", swap(`"amount":"7"`, `"amount":7`), 422, problem.Malformed, out + "/amount"},
		{"amount with minus", swap(`"amount":"7"`, `"amount":"-7"`), 422, problem.Malformed, out + "/amount"},
		{"amount with plus", swap(`"amount":"7"`, `"amount":"+7"`), 422, problem.Malformed, out + "/amount"},
		{"amount with exponent", swap(`"amount":"7"`, `"amount":"7e3"`), 422, problem.Malformed, out + "/amount"},
		{"amount with decimals", swap(`"amount":"7"`, `"amount":"7.000000000000000001"`), 422, problem.Malformed, out + "/amount"},
		{"amount with leading zero", swap(`"amount":"7"`, `"amount":"07"`), 422, problem.Malformed, out + "/amount"},
		{"amount with space", swap(`"amount":"7"`, `"amount":" 7"`), 422, problem.Malformed, out + "/amount"},
		{"amount in hex", swap(`"amount":"7"`, `"amount":"0x7"`), 422, problem.Malformed, out + "/amount"},
		{"amount too large", swap(`"amount":"7"`, `"amount":"`+strings.Repeat("9", 78)+`"`), 422, problem.Malformed, out + "/amount"},
		{"amount empty", swap(`"amount":"7"`, `"amount":""`), 422, problem.Malformed, out + "/amount"},
		{"fee cap as number", swap(`"feeCap":"1000000000000000000"`, `"feeCap":1e18`), 422, problem.Malformed, "/request/body/feeCap"},
		{"end with fraction", swap(`"notAfter":`, `"notAfter":0.`), 422, problem.Malformed, "/request/notAfter"},
		{"source with sign", swap(`"source":0`, `"source":-1`), 422, problem.Malformed, "/request/body/source"},
		{"unknown operation", swap(`"operation":"transfer"`, `"operation":"drain"`), 422, problem.Malformed, "/request/operation"},
		{"bad authority", swap(`"authority":"`, `"authority":"Z`), 422, problem.Malformed, "/request/authority"},
		{"another domain", swap(h.core.Authority().String(), strings.Repeat("ab", 32)), 401, problem.Unauthenticated, ""},
		{"zero amount", resigned(func(b *request.TransferBody) { b.Outputs[0].Amount = custody.Uint256{} }), 422, problem.Malformed, out + "/amount"},
		{"address with bad checksum", resigned(func(b *request.TransferBody) {
			b.Outputs[0].Address = strings.Replace(coretest.EthereumTo, "5aA", "5AA", 1)
		}),
			422, problem.Malformed, out + "/address"},
		{"address too short", resigned(func(b *request.TransferBody) { b.Outputs[0].Address = coretest.EthereumTo[:40] }), 422, problem.Malformed, out + "/address"},
		{"bitcoin address with bad checksum", resigned(func(b *request.TransferBody) {
			b.Asset, b.Outputs[0].Address = coretest.Bitcoin.Native(), "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt081"
		}), 422, problem.Malformed, out + "/address"},
		{"address of another network", resigned(func(b *request.TransferBody) {
			b.Asset, b.Outputs[0].Address = coretest.Bitcoin.Native(), "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
		}), 422, problem.WrongNetwork, out + "/address"},
		{"asset of another chain", resigned(func(b *request.TransferBody) { b.Asset = "eip155:1/slip44:60" }), 422, problem.WrongNetwork, ""},
		{"unknown wallet", resigned(func(b *request.TransferBody) { b.Wallet = "cold" }), 404, problem.NotFound, ""},
		{"unknown paying address", resigned(func(b *request.TransferBody) { b.Source = 9 }), 404, problem.NotFound, ""},
		{"no fee cap", resigned(func(b *request.TransferBody) { b.FeeCap = custody.Uint256{} }), 422, problem.Malformed, "/request/body/feeCap"},
		{"forged initiator", swap(`"amount":"7"`, `"amount":"8"`), 401, problem.Unauthenticated, ""},
		{"no evidence", []byte(good[:strings.Index(good, `,"evidence"`)] + `,"evidence":{}}`), 401, problem.Unauthenticated, ""},
		{"two kinds of evidence", swap(`"evidence":{`, `"evidence":{"session":"`+strings.Repeat("00", 16)+`",`), 401, problem.Unauthenticated, ""},
		{"malformed session", swap(`"evidence":{`, `"evidence":{"session":"zz",`), 422, problem.Malformed, "/evidence/session"},
		{"nested too deep", swap(`"body":{`, `"body":`+strings.Repeat(`[`, 100)+`{`), 400, problem.Malformed, "*"},
		{"oversized", append([]byte(good), bytes.Repeat([]byte(" "), 1<<20)...), 413, problem.TooLarge, ""},
	} {
		resp, b := h.raw(tr, "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.JSON, apiv1.IdempotencyHeader: "k"}, tc.body)
		if resp.StatusCode < 400 {
			t.Errorf("%s: was accepted: %s", tc.name, b)
			continue
		}
		p := problemOf(t, resp, b)
		if p.Status != tc.status || p.Kind != tc.kind || (p.Pointer != tc.pointer && tc.pointer != "*") {
			t.Errorf("%s: status %d kind %s pointer %q, want %d %s %q (%s)", tc.name, p.Status, p.Kind, p.Pointer, tc.status, tc.kind, tc.pointer, p.Detail)
		}
	}
	var after uint64
	h.core.State(func(s *authority.State) { after = s.Next })
	if after != before {
		t.Errorf("bad input left %d entries in the log", after-before)
	}
	resp, b := h.raw(tr, "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.JSON + "; charset=utf-8", apiv1.IdempotencyHeader: "k"}, []byte(good))
	if resp.StatusCode != 201 || resp.Header.Get("Location") != "/v1/requests/"+r.ID().String() {
		t.Errorf("the good body was refused: %s", b)
	}
}

// TestBadCalls is the table of calls that are wrong before their body is looked at.
func TestBadCalls(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tr := h.transport(string(coretest.Anna.ID))
	r := h.request(coretest.Payout, request.Transfer, transfer(7), "k")
	good := submission(t, r, coretest.Payout)
	file := canonEncode(coretest.Signed(r, coretest.Payout))
	id := strings.Repeat("00", 32)
	js := map[string]string{"Content-Type": apiv1.JSON}
	for _, tc := range []struct {
		name, method, path string
		header             map[string]string
		body               []byte
		status             int
		kind               problem.Kind
	}{
		{"no idempotency key", "POST", "/v1/requests", js, good, 400, problem.Malformed},
		{"bad idempotency key", "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.JSON, apiv1.IdempotencyHeader: "a b"}, good, 400, problem.Malformed},
		{"another key than was signed", "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.JSON, apiv1.IdempotencyHeader: "other"}, good, 401, problem.Unauthenticated},
		{"another key than the file's", "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.CBOR, apiv1.IdempotencyHeader: "other"}, file, 400, problem.Malformed},
		{"file with trailing data", "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.CBOR, apiv1.IdempotencyHeader: "k"}, append(bytes.Clone(file), 0), 400, problem.Malformed},
		{"oversized file", "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.CBOR, apiv1.IdempotencyHeader: "k"}, make([]byte, 3<<20), 413, problem.TooLarge},
		{"no content type", "POST", "/v1/requests", map[string]string{apiv1.IdempotencyHeader: "k"}, good, 415, problem.Unsupported},
		{"form", "POST", "/v1/requests", map[string]string{"Content-Type": "application/x-www-form-urlencoded", apiv1.IdempotencyHeader: "k"}, good, 415, problem.Unsupported},
		{"cbor where there is none", "POST", "/v1/sessions", map[string]string{"Content-Type": apiv1.CBOR}, file, 415, problem.Unsupported},
		{"utf-16", "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.JSON + "; charset=utf-16", apiv1.IdempotencyHeader: "k"}, good, 415, problem.Unsupported},
		{"wrong method", "DELETE", "/v1/requests", nil, nil, 405, problem.Unsupported},
		{"nowhere", "GET", "/v2/requests", nil, nil, 404, problem.NotFound},
		{"unknown verb", "POST", "/v1/requests/" + id + ":steal", js, []byte("{}"), 404, problem.NotFound},
		{"unknown request", "GET", "/v1/requests/" + id, nil, nil, 404, problem.NotFound},
		{"malformed id", "GET", "/v1/requests/ABC", nil, nil, 400, problem.Malformed},
		{"malformed wallet", "GET", "/v1/wallets/Hot", nil, nil, 400, problem.Malformed},
		{"unknown parameter", "GET", "/v1/requests?amount=1", nil, nil, 400, problem.Malformed},
		{"parameter twice", "GET", "/v1/requests?limit=1&limit=2", nil, nil, 400, problem.Malformed},
		{"limit with sign", "GET", "/v1/requests?limit=%2B1", nil, nil, 400, problem.Malformed},
		{"limit too large", "GET", "/v1/requests?limit=10000", nil, nil, 400, problem.Malformed},
		{"unknown state", "GET", "/v1/requests?state=done", nil, nil, 400, problem.Malformed},
		{"bad decision", "GET", "/v1/requests/" + id + "/statement?decision=maybe", nil, nil, 400, problem.Malformed},
		{"wait too long", "GET", "/v1/audit/entries?wait=31", nil, nil, 400, problem.Malformed},
		{"bad escape", "GET", "/v1/requests?cursor=%zz", nil, nil, 400, problem.Malformed},
	} {
		resp, b := h.raw(tr, tc.method, tc.path, tc.header, tc.body)
		if resp.StatusCode < 400 {
			t.Errorf("%s: was accepted: %s", tc.name, b)
			continue
		}
		if p := problemOf(t, resp, b); p.Status != tc.status || p.Kind != tc.kind {
			t.Errorf("%s: status %d kind %s, want %d %s (%s)", tc.name, p.Status, p.Kind, tc.status, tc.kind, p.Detail)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", h.url+"/v1/status", nil)
	req.Header.Set("X-Large", strings.Repeat("x", 64<<10))
	if resp, err := tr.RoundTrip(req); err == nil {
		resp.Body.Close()
		if resp.StatusCode != 431 {
			t.Errorf("headers of 64 KiB: status %d", resp.StatusCode)
		}
	}
}

// TestBadApprovals is the table of approvals that must be refused.
func TestBadApprovals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tr := h.transport(string(coretest.Anna.ID))
	ask := func(key string, amount uint64) message.Request {
		v, err := gate.Call[message.Submit, message.Request](t.Context(), h.core, message.MethodSubmit,
			coretest.Signed(h.request(coretest.Anna, request.Transfer, transfer(amount), key), coretest.Anna))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	one, two := ask("one", 50_000), ask("two", 60_000)
	send := func(v message.Request, verb string, a request.Approval) apiv1.Problem {
		t.Helper()
		in, _ := json.Marshal(apiv1.DecisionIn{Person: a.Person, Key: a.Key, Signature: a.Sig})
		resp, b := h.raw(tr, "POST", "/v1/requests/"+v.ID.String()+":"+verb, map[string]string{"Content-Type": apiv1.JSON}, in)
		if resp.StatusCode < 300 {
			return apiv1.Problem{}
		}
		return problemOf(t, resp, b)
	}
	by := func(v message.Request, d request.Decision, p coretest.Person) request.Approval {
		return coretest.Approval(v, d, p).Approval
	}
	other := two
	other.ID = one.ID
	effects := one
	effects.Effects.Total = custody.U64(1)
	stranger := coretest.NewPerson(7)
	for _, tc := range []struct {
		name string
		verb string
		a    request.Approval
		kind problem.Kind
	}{
		{"of another request", "approve", by(other, request.Approve, coretest.Bruno), problem.Unauthenticated},
		{"of other effects", "approve", by(effects, request.Approve, coretest.Bruno), problem.Unauthenticated},
		{"a rejection as approval", "approve", by(one, request.Reject, coretest.Bruno), problem.Unauthenticated},
		{"by the initiator", "approve", by(one, request.Approve, coretest.Anna), problem.Forbidden},
		{"by a stranger", "approve", by(one, request.Approve, stranger), problem.Unauthenticated},
		{"by a service", "approve", by(one, request.Approve, coretest.Payout), problem.Forbidden},
		{"in another's name", "approve", func() request.Approval {
			a := by(one, request.Approve, coretest.Bruno)
			a.Person = coretest.Chiara.ID
			return a
		}(), problem.Unauthenticated},
		{"forged", "approve", func() request.Approval {
			a := by(one, request.Approve, coretest.Bruno)
			a.Sig[5] ^= 1
			return a
		}(), problem.Unauthenticated},
		{"short signature", "approve", func() request.Approval {
			a := by(one, request.Approve, coretest.Bruno)
			a.Sig = a.Sig[:63]
			return a
		}(), problem.Malformed},
		{"cancelled by another", "cancel", by(one, request.Cancel, coretest.Bruno), problem.Forbidden},
		{"good", "approve", by(one, request.Approve, coretest.Bruno), ""},
		{"duplicate", "approve", by(one, request.Approve, coretest.Bruno), problem.AlreadyDone},
	} {
		if p := send(one, tc.verb, tc.a); p.Kind != tc.kind || (tc.kind != "" && p.RequestID != one.ID.String()) {
			t.Errorf("%s: kind %q for request %q, want %q (%s)", tc.name, p.Kind, p.RequestID, tc.kind, p.Detail)
		}
	}
	h.clock.add(2 * time.Hour)
	if p := send(two, "approve", by(two, request.Approve, coretest.Bruno)); p.Kind != problem.Expired || p.Status != 410 {
		t.Errorf("expired: %+v", p)
	}
}
