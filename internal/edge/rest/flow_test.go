// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/internal/gate"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/feed"
)

func TestServiceTransferIsSignedAtOnceAndReplayed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client(coretest.Payout)
	s, err := c.OpenSession(t.Context(), signer(t, coretest.Payout), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	b := transfer(7)
	r, err := c.Compose(t.Context(), coretest.Payout.ID, client.Ask{Body: b, Key: "pay-1"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := s.Submit(t.Context(), r, payload(t, b, 0))
	if err != nil {
		t.Fatal(err)
	}
	if v.State != "signed" || v.Signed == nil || len(v.Signed.Bytes) == 0 || v.Receipt == nil {
		t.Fatalf("state %s, signed %v", v.State, v.Signed)
	}
	again, err := s.Submit(t.Context(), r, payload(t, b, 0))
	if err != nil || !bytes.Equal(again.Signed.Bytes, v.Signed.Bytes) || again.Seq != v.Seq {
		t.Errorf("the retry got another outcome: %v %v", again.Signed, err)
	}
	other, err := c.Compose(t.Context(), coretest.Payout.ID, client.Ask{Body: transfer(8), Key: "pay-1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Submit(t.Context(), other, nil); client.KindOf(err) != problem.IdempotencyReuse {
		t.Errorf("another body under the key: %v", err)
	}
}

func TestApprovalsOverREST(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	anna, bruno, chiara := h.client(coretest.Anna), h.client(coretest.Bruno), h.client(coretest.Chiara)
	v, err := anna.Submit(t.Context(), signer(t, coretest.Anna), client.Ask{Body: transfer(50_000)})
	if err != nil || v.State != "pending" || v.Missing == nil || v.Missing.Kind != problem.QuorumNotMet || len(v.Decision.Plan) != 1 {
		t.Fatalf("submit: %+v %v", v, err)
	}
	id, err := client.ParseRequestID(v.ID)
	if err != nil {
		t.Fatal(err)
	}
	approve := func(c *client.Client, p coretest.Person) (client.RequestView, error) {
		rev, err := c.Review(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		a, err := rev.Sign(signer(t, p), client.Approve)
		if err != nil {
			t.Fatal(err)
		}
		return c.Decide(t.Context(), a)
	}
	if v, err = approve(bruno, coretest.Bruno); err != nil || v.State != "pending" || len(v.Approvals) != 1 {
		t.Fatalf("first approval: %+v %v", v, err)
	}
	if _, err := approve(bruno, coretest.Bruno); client.KindOf(err) != problem.AlreadyDone {
		t.Errorf("second approval by the same person: %v", err)
	}
	if _, err := approve(anna, coretest.Anna); client.KindOf(err) != problem.Forbidden {
		t.Errorf("approval by the initiator: %v", err)
	}
	if v, err = approve(chiara, coretest.Chiara); err != nil || v.State != "ready" {
		t.Fatalf("second approval: %+v %v", v, err)
	}
	if waits, err := anna.Request(t.Context(), id); err != nil || waits.Note != "no funds on "+string(coretest.Ethereum) {
		t.Errorf("why it waits: %+v %v", waits, err)
	}
	signed, err := anna.Sign(t.Context(), id)
	if err != nil || signed.TxID == "" {
		t.Fatalf("sign: %+v %v", signed, err)
	}
	got, err := anna.Request(t.Context(), id)
	if err != nil || got.State != "signed" || len(got.Attempts) != 1 || got.Note != "" {
		t.Errorf("request: %+v %v", got, err)
	}
	list, err := anna.Requests(t.Context(), client.Filter{State: "signed"})
	if err != nil || len(list.Requests) != 1 || list.Requests[0].ID != v.ID {
		t.Errorf("list: %+v %v", list, err)
	}
}

func TestStatementIsTheOneThatIsRecomputed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client(coretest.Bruno)
	v, err := h.client(coretest.Anna).Submit(t.Context(), signer(t, coretest.Anna), client.Ask{Body: &request.WhitelistAddBody{ID: "new", Chain: coretest.Ethereum, Address: coretest.EthereumOut}})
	if err != nil {
		t.Fatal(err)
	}
	id, _ := client.ParseRequestID(v.ID)
	rev, err := c.Review(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	resp, b := h.raw(h.transport(string(coretest.Bruno.ID)), "GET", "/v1/requests/"+v.ID+"/statement?decision=reject", nil, nil)
	var st apiv1.StatementView
	if err := json.Unmarshal(b, &st); err != nil || resp.StatusCode != 200 {
		t.Fatalf("%s %v", b, err)
	}
	want := rev.Statement(coretest.Bruno.ID, client.Reject)
	if !bytes.Equal(st.Canonical, want.Encode()) || !bytes.Equal(st.Message, want.Message()) {
		t.Error("serve's statement is another than the approver's own")
	}
}

func TestRefusedByRuleNamesRuleAndCriterion(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	b := transfer(5)
	b.Outputs[0].Address = coretest.EthereumOut
	r := h.request(coretest.Anna, request.Transfer, b, "to-a-stranger")
	in := coretest.Signed(r, coretest.Anna)
	var first []byte
	for range 2 { // the retry says the same
		resp, body := h.raw(h.transport(string(coretest.Anna.ID)), "POST", "/v1/requests",
			map[string]string{"Content-Type": apiv1.CBOR, apiv1.IdempotencyHeader: r.Key}, canonEncode(in))
		p := problemOf(t, resp, body)
		if p.Status != 403 || p.Kind != problem.RefusedByRule || p.Rule != "known" || p.RequestID != r.ID().String() || !strings.Contains(p.Detail, "destination-not-whitelisted") {
			t.Errorf("problem: %s", body)
		}
		if first != nil && !bytes.Equal(first, body) {
			t.Errorf("the retry says %s", body)
		}
		first = body
	}
}

func TestLostAnswersAreRetried(t *testing.T) {
	t.Parallel()
	for _, f := range []coretest.Fault{coretest.Before, coretest.After} {
		h := newHouse(t)
		c := h.client(coretest.Payout)
		r, err := c.Compose(t.Context(), coretest.Payout.ID, client.Ask{Body: transfer(7)})
		if err != nil {
			t.Fatal(err)
		}
		h.core.Fail(message.MethodSubmit, f)
		_, err = c.SubmitRequest(t.Context(), signer(t, coretest.Payout), r)
		if client.KindOf(err) != problem.Stopped || !client.Retryable(err) {
			t.Fatalf("lost answer: %v", err)
		}
		v, err := c.SubmitRequest(t.Context(), signer(t, coretest.Payout), r)
		if err != nil || v.State != "ready" {
			t.Fatalf("retry: %+v %v", v, err)
		}
		n := 0
		h.core.State(func(s *authority.State) { n = s.Counts().Pending })
		if n != 1 {
			t.Errorf("%d requests wait, want 1", n)
		}
	}
}

func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, tc := range []struct {
		name, cn, path string
		status         int
		kind           problem.Kind
	}{
		{"anonymous health", "", "/healthz", 200, ""},
		{"anonymous description", "", "/openapi.json", 200, ""},
		{"anonymous status", "", "/v1/status", 401, problem.Unauthenticated},
		{"anonymous tiles", "", "/checkpoint", 401, problem.Unauthenticated},
		{"no person", "root", "/v1/status", 401, problem.Unauthenticated},
		{"unknown person", "p_mmmmmmmmmmmmmmmm", "/v1/status", 403, problem.Forbidden},
		{"person", string(coretest.Anna.ID), "/v1/status", 200, ""},
		{"service", string(coretest.Payout.ID), "/v1/status", 200, ""},
	} {
		resp, b := h.raw(h.transport(tc.cn), "GET", tc.path, nil, nil)
		if resp.StatusCode != tc.status {
			t.Errorf("%s: status %d: %s", tc.name, resp.StatusCode, b)
		} else if tc.status != 200 && problemOf(t, resp, b).Kind != tc.kind {
			t.Errorf("%s: %s", tc.name, b)
		}
	}
	if _, err := http.Get(strings.Replace(h.url, "https", "http", 1) + "/healthz"); err == nil {
		// net/http answers plaintext with 400 in plaintext; what counts is that nothing is served.
		resp, err := http.Get(strings.Replace(h.url, "https", "http", 1) + "/healthz")
		if err == nil && resp.StatusCode == 200 {
			t.Error("plaintext is served")
		}
	}
}

func TestRevokedPersonIsShutOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	tr := h.transport(string(coretest.Payout.ID))
	if resp, b := h.raw(tr, "GET", "/v1/wallets", nil, nil); resp.StatusCode != 200 {
		t.Fatalf("%s", b)
	}
	v := h.asked(coretest.Anna, &request.PersonRevokeBody{Person: coretest.Payout.ID})
	if v = h.approved(v, coretest.Bruno, coretest.Chiara); v.State != "executed" {
		t.Fatalf("state %s", v.State)
	}
	resp, b := h.raw(tr, "GET", "/v1/wallets", nil, nil)
	if resp.StatusCode != 403 || problemOf(t, resp, b).Kind != problem.Forbidden {
		t.Errorf("a revoked service's certificate still works: %s", b)
	}
	// A revocation through another serve is seen when the roster is old.
	h.clock.add(2 * time.Second)
	h.core.Fail(message.MethodStatus, coretest.Before)
	resp, b = h.raw(h.transport(string(coretest.Anna.ID)), "GET", "/v1/groups", nil, nil)
	if resp.StatusCode != 503 || problemOf(t, resp, b).Kind != problem.Stopped {
		t.Errorf("without the core somebody is let in: %s", b)
	}
}

func TestCertificates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := newKey(t)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}}, key)
	if err != nil {
		t.Fatal(err)
	}
	anna := h.client(coretest.Anna)
	der, _, err := anna.Certify(t.Context(), signer(t, coretest.Bruno), csr)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil || cert.Subject.CommonName != string(coretest.Bruno.ID) {
		t.Errorf("certificate for %q, want %q (%v)", cert.Subject.CommonName, coretest.Bruno.ID, err)
	}
	// Chiara's key can't get a certificate in Bruno's name.
	thief, err := client.NewSigner(coretest.Bruno.ID, coretest.Chiara.Key)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := anna.Certify(t.Context(), thief, csr); client.KindOf(err) != problem.Unauthenticated {
		t.Errorf("foreign key: %v", err)
	}
	stranger := coretest.NewPerson(9)
	if _, _, err := anna.Certify(t.Context(), signer(t, stranger), csr); client.KindOf(err) != problem.Forbidden {
		t.Errorf("stranger: %v", err)
	}
	// A statement is for one request and one hour.
	st := apiv1.CertificateStatement{V: 1, Authority: h.core.Authority(), Domain: custody.DomainID(h.core.Authority()), Person: coretest.Bruno.ID, NotAfter: h.clock.Now().Unix() + 60}
	send := func(notAfter int64) apiv1.Problem {
		st.NotAfter = notAfter
		sig, _ := signer(t, coretest.Bruno).Sign(st.Message())
		in, _ := json.Marshal(apiv1.CertificateIn{CSR: csr, Key: coretest.Bruno.Public().Ref(), NotAfter: notAfter, Signature: sig})
		resp, b := h.raw(h.transport(string(coretest.Anna.ID)), "POST", "/v1/persons/"+string(coretest.Bruno.ID)+"/certificates", map[string]string{"Content-Type": apiv1.JSON}, in)
		return problemOf(t, resp, b)
	}
	now := h.clock.Now().Unix()
	if p := send(now + 60); p.Kind != problem.Unauthenticated {
		t.Errorf("statement for another certificate request: %+v", p)
	}
	if p := send(now - 1); p.Kind != problem.Expired || p.Pointer != "/notAfter" {
		t.Errorf("old statement: %+v", p)
	}
	if p := send(now + apiv1.CertificateWindow + 60); p.Kind != problem.Malformed {
		t.Errorf("long statement: %+v", p)
	}
}

func TestFeedWaits(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client(coretest.Anna)
	all, err := c.Entries(t.Context(), 0, 1000, 0)
	if err != nil || len(all.Entries) == 0 || all.Next != all.Pinned || all.Entries[0].Kind != "genesis" {
		t.Fatalf("%+v %v", all, err)
	}
	none, err := c.Entries(t.Context(), all.Next, 10, time.Second)
	if err != nil || len(none.Entries) != 0 || none.Next != all.Next {
		t.Errorf("%+v %v", none, err)
	}
	go func() {
		_, _ = h.client(coretest.Payout).Submit(t.Context(), signer(t, coretest.Payout), client.Ask{Body: transfer(1)})
	}()
	more, err := c.Entries(t.Context(), all.Next, 10, 20*time.Second)
	if err != nil || len(more.Entries) != 1 || more.Entries[0].Kind != "request" {
		t.Errorf("%+v %v", more, err)
	}
}

// TestListLeavesOutWhatTheCoreForgot: the cache lists a request that the core has forgotten; its id is unknown now, or another request's.
func TestListLeavesOutWhatTheCoreForgot(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client(coretest.Anna)
	want, err := c.Requests(t.Context(), client.Filter{})
	if err != nil || len(want.Requests) == 0 {
		t.Fatalf("%+v %v", want, err)
	}
	id, err := custody.ParseRequestID(want.Requests[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	h.index.old = []feed.Found{{ID: id, Seq: 0}, {ID: custody.RequestID{1}, Seq: 0}}
	got, err := c.Requests(t.Context(), client.Filter{})
	if err != nil || len(got.Requests) != len(want.Requests) || got.Requests[0].Seq != want.Requests[0].Seq {
		t.Errorf("got %+v %v", got.Requests, err)
	}
}

// Who has just asked for something finds it in the list, also while the cache is behind the log.
func TestListWaitsForTheCache(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	v := h.asked(coretest.Anna, &request.AddressCreateBody{Wallet: "hot", Count: 1})
	h.index.lag.Store(20)
	l, err := h.client(coretest.Anna).Requests(t.Context(), client.Filter{})
	if err != nil || !slices.ContainsFunc(l.Requests, func(x client.RequestView) bool { return x.ID == v.ID }) {
		t.Errorf("%+v %v", l.Requests, err)
	}
}

func TestPagesAndTiles(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, w := range []custody.WalletID{"w1", "w2", "w3", "w4"} {
		h.core.AddWallet(t, w, coretest.Ethereum, request.SchemeEVM, 1)
	}
	c := h.client(coretest.Anna)
	var got []custody.WalletID
	for cur := ""; ; {
		l, err := c.Wallets(t.Context(), cur, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range l.Wallets {
			got = append(got, w.ID)
		}
		if cur = l.Next; cur == "" {
			break
		}
	}
	if len(got) != 5 {
		t.Errorf("pages gave %v", got)
	}
	if _, err := c.Addresses(t.Context(), "hot", 0, "bm9wZQ", 2); client.KindOf(err) != problem.Malformed {
		t.Errorf("foreign cursor: %v", err)
	}
	a, err := c.Addresses(t.Context(), "hot", 0, "", 1)
	if err != nil || len(a.Addresses) != 1 || a.Next == "" {
		t.Fatalf("%+v %v", a, err)
	}
	if b, err := c.Tile(t.Context(), "0/001.p/3"); err != nil || string(b) != "part" {
		t.Errorf("%s %v", b, err)
	}
	tr := h.transport(string(coretest.Anna.ID))
	for _, p := range []string{"/tile/../secret", "/tile/%2e%2e/secret", "/tile/0/999", "/tile//etc/passwd", "/tile/"} {
		resp, b := h.raw(tr, "GET", p, nil, nil)
		if resp.StatusCode == 200 || bytes.Contains(b, []byte("root:")) {
			t.Errorf("%s: %d %s", p, resp.StatusCode, b)
		}
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var open []*http.Transport
	for range 20 {
		tr := h.transport("")
		tr.ForceAttemptHTTP2 = false
		h.raw(tr, "GET", "/healthz", nil, nil)
		open = append(open, tr)
	}
	last := h.transport("")
	last.ResponseHeaderTimeout, last.TLSHandshakeTimeout = 300*time.Millisecond, 300*time.Millisecond
	r, _ := http.NewRequest("GET", h.url+"/healthz", nil)
	if resp, err := last.RoundTrip(r); err == nil {
		resp.Body.Close()
		t.Error("connection 21 of 20 was served")
	}
	for _, tr := range open {
		tr.CloseIdleConnections()
	}
	h.raw(h.transport(""), "GET", "/healthz", nil, nil)
}

// canonEncode gives the file of a signed request.
func canonEncode(in message.Submit) []byte {
	return canon.Encode(apiv1.SignedRequest{Request: in.Request, Evidence: in.Evidence, Payload: in.Payload})
}

var _ gate.Door = (*coretest.Core)(nil)
