// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// The signed status is handed on as it is; the plain one tells where the domain stands; after zeroize both still do, and acts are refused as
// zeroized.
func TestLifeOverREST(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tr := h.transport(string(coretest.Anna.ID))
	status := func() (st apiv1.Status) {
		t.Helper()
		resp, b := h.raw(tr, "GET", "/v1/status", nil, nil)
		if err := json.Unmarshal(b, &st); err != nil || resp.StatusCode != 200 {
			t.Fatalf("%v: %s", err, b)
		}
		return st
	}
	signed := func(phase string) {
		t.Helper()
		resp, b := h.raw(tr, "GET", "/v1/status/signed?nonce="+strings.Repeat("0a", 16), nil, nil)
		var s apiv1.SignedStatus
		if err := json.Unmarshal(b, &s); err != nil || resp.StatusCode != 200 || !ed25519.Verify(ed25519.PublicKey(status().Identity), canon.TagBytes(canon.TagStatus, s.Statement), s.Signature) {
			t.Fatalf("%v: %s", err, b)
		}
		var st message.StatusStatement
		if err := canon.Decode(s.Statement, &st); err != nil || string(st.Nonce) != strings.Repeat("\n", 16) || st.Status.Life.Phase != phase {
			t.Fatalf("%v: %+v", err, st.Status.Life)
		}
	}
	signed("operational")
	for _, nonce := range []string{"", "zz", "0a", strings.Repeat("0a", 33)} {
		if resp, b := h.raw(tr, "GET", "/v1/status/signed?nonce="+nonce, nil, nil); resp.StatusCode != 400 || !strings.Contains(string(b), string(problem.Malformed)) {
			t.Errorf("nonce %q: %d %s", nonce, resp.StatusCode, b)
		}
	}
	l := status().Life
	if l.Phase != "operational" || l.Counter != 0 || l.Epoch != 1 || len(l.Pattern) != 16 || len(l.Administrators) == 0 || l.Allowed.IsZero() {
		t.Errorf("%+v", l)
	}
	v := h.asked(coretest.Anna, &request.ZeroizeBody{Counter: 1, Phrase: request.ZeroizePhrase(h.request(coretest.Anna, request.Transfer, transfer(1), "x").Domain)})
	if v.State != "executed" {
		t.Fatalf("%+v", v)
	}
	if l := status().Life; l.Phase != "zeroized" || l.Since == 0 || l.Counter != 1 {
		t.Errorf("%+v", l)
	}
	signed("zeroized")
	r := h.request(coretest.Anna, request.Transfer, transfer(50_000), "after")
	resp, b := h.raw(tr, "POST", "/v1/requests", map[string]string{"Content-Type": apiv1.JSON, apiv1.IdempotencyHeader: "after"}, submission(t, r, coretest.Anna))
	var p apiv1.Problem
	if err := json.Unmarshal(b, &p); err != nil || resp.StatusCode != 503 || p.Kind != problem.Zeroized || p.Retryable {
		t.Errorf("%v: %d %s", err, resp.StatusCode, b)
	}
}
