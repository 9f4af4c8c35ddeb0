// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"strings"
	"testing"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/httpsig"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// signedCall gives a request with a signed call as its evidence. change may alter what is signed.
func signedCall(t tester, w *world, by someone, r request.Request, change func(parts map[string]string, p *httpsig.Params, body *[]byte)) (*request.Parsed, request.Evidence) {
	t.Helper()
	p, err := request.Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	q, err := apiv1.RequestOf(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(apiv1.Submission{Request: q})
	if err != nil {
		t.Fatal(err)
	}
	now := w.now / 1e9
	params := httpsig.Params{Created: now, Expires: now + 60, Nonce: "0123456789abcdef", KeyID: string(by.pub.Ref()), Alg: httpsig.Ed25519, Tag: httpsig.Tag}
	parts := map[string]string{}
	if change != nil {
		change(parts, &params, &body)
	}
	for name, v := range map[string]string{httpsig.Method: "POST", httpsig.Authority: "custody.example.org", httpsig.Path: "/v1/requests", httpsig.Query: "?",
		httpsig.ContentDigest: httpsig.Digest(body), httpsig.IdempotencyKey: r.Key} {
		if _, ok := parts[name]; !ok {
			parts[name] = v
		}
	}
	var names []string
	for _, n := range append(httpsig.Components(true, true), httpsig.ContentType) {
		if v, ok := parts[n]; ok && v != "" {
			names = append(names, n)
		}
	}
	in, err := httpsig.NewInput(names, params)
	if err != nil {
		t.Fatal(err)
	}
	base, err := in.Base(func(n string) (string, bool) { v, ok := parts[n]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	return p, request.Evidence{Key: by.pub.Ref(), Sig: ed25519.Sign(by.key, base), HTTP: &request.HTTPCall{Base: base, Body: body}}
}

// A signed call is evidence for the very request that its body asks for; the fold takes it, and the audit checks all of it.
func TestSignedCallIsEvidence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := who("alice")
	r, e := signedCall(t, w, alice, w.request(alice, request.WhitelistRemove, request.WhitelistRemoveBody{ID: "bank"}), nil)
	if err := CheckSignedEvidence(w.s.Rules, r, e); err != nil {
		t.Fatal(err)
	}
	x, err := w.s.DecideRequest(r, KindOf(e), w.at(), Derive)
	if err != nil {
		t.Fatal(err)
	}
	if x.Decision.Outcome != policy.Allowed {
		t.Fatalf("decided %+v", x.Decision)
	}
	x.Evidence = e
	l := entry.Leaf{Engine: entry.Engine1, Seq: w.s.Next, Time: w.now}
	if err := w.s.Audit(l, x, Derive, nil); err != nil {
		t.Errorf("the audit refuses it: %v", err)
	}
	late := l
	late.Time += 61e9
	if err := w.s.Audit(late, x, Derive, nil); err == nil {
		t.Error("the audit takes a call that was accepted past its time")
	}
	bad := *x
	bad.Evidence.HTTP = &request.HTTPCall{Base: e.HTTP.Base, Body: bytes.Replace(e.HTTP.Body, []byte("bank"), []byte("tank"), 1)}
	if err := w.s.Audit(l, &bad, Derive, nil); err == nil {
		t.Error("the audit takes a body that was not signed")
	}
	bad = *x
	bad.Facts.Evidence = policy.BySignature
	w.refused(t, "facts that name another evidence", &bad)
	w.must(t, x)
	if p, ok := w.s.Pending(r.Ident); !ok || p.Evidence != policy.ByCall {
		t.Error("the request does not wait")
	}
}

func TestSignedCallsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := who("alice"), who("bob")
	type change = func(parts map[string]string, p *httpsig.Params, body *[]byte)
	part := func(name, value string) change {
		return func(parts map[string]string, _ *httpsig.Params, _ *[]byte) { parts[name] = value }
	}
	submission := func(f func(*apiv1.Submission)) change {
		return func(_ map[string]string, _ *httpsig.Params, body *[]byte) {
			var s apiv1.Submission
			if err := json.Unmarshal(*body, &s); err != nil {
				t.Fatal(err)
			}
			f(&s)
			*body, _ = json.Marshal(s)
		}
	}
	for name, f := range map[string]change{
		"another method":    part(httpsig.Method, "GET"),
		"another path":      part(httpsig.Path, "/v1/sessions"),
		"a query":           part(httpsig.Query, "?a"),
		"another digest":    part(httpsig.ContentDigest, httpsig.Digest(nil)),
		"another key":       part(httpsig.IdempotencyKey, "other"),
		"another media":     part(httpsig.ContentType, "text/plain"),
		"no method":         part(httpsig.Method, ""),
		"no host":           part(httpsig.Authority, ""),
		"no path":           part(httpsig.Path, ""),
		"no query":          part(httpsig.Query, ""),
		"no digest":         part(httpsig.ContentDigest, ""),
		"no key":            part(httpsig.IdempotencyKey, ""),
		"no tag":            func(_ map[string]string, p *httpsig.Params, _ *[]byte) { p.Tag = "" },
		"no nonce":          func(_ map[string]string, p *httpsig.Params, _ *[]byte) { p.Nonce = "" },
		"good for long":     func(_ map[string]string, p *httpsig.Params, _ *[]byte) { p.Expires += httpsig.Window },
		"another's id":      func(_ map[string]string, p *httpsig.Params, _ *[]byte) { p.KeyID = string(bob.pub.Ref()) },
		"another algorithm": func(_ map[string]string, p *httpsig.Params, _ *[]byte) { p.Alg = httpsig.P256 },
		"no JSON":           func(_ map[string]string, _ *httpsig.Params, body *[]byte) { *body = (*body)[1:] },
		"two readings": func(_ map[string]string, _ *httpsig.Params, body *[]byte) {
			*body = bytes.Replace(*body, []byte(`"request":`), []byte(`"Request":`), 1)
		},
		"another body":      submission(func(s *apiv1.Submission) { s.Request.Body = json.RawMessage(`{"id":"tank"}`) }),
		"another operation": submission(func(s *apiv1.Submission) { s.Request.Operation = request.Transfer }),
		"unknown operation": submission(func(s *apiv1.Submission) { s.Request.Operation = "dance" }),
		"another initiator": submission(func(s *apiv1.Submission) { s.Request.Initiator = bob.id }),
		"another end":       submission(func(s *apiv1.Submission) { s.Request.NotAfter++ }),
		"another domain":    submission(func(s *apiv1.Submission) { s.Request.Domain = strings.Repeat("0", 64) }),
		"another authority": submission(func(s *apiv1.Submission) { s.Request.Authority = strings.Repeat("0", 64) }),
		"evidence within it": submission(func(s *apiv1.Submission) {
			s.Evidence = apiv1.Evidence{Key: alice.pub.Ref(), Signature: make([]byte, 64)}
		}),
	} {
		r, e := signedCall(t, w, alice, w.request(alice, request.WhitelistRemove, request.WhitelistRemoveBody{ID: "bank"}), f)
		if err := CheckSignedEvidence(w.s.Rules, r, e); problem.KindOf(err) != problem.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, e := signedCall(t, w, alice, w.request(alice, request.WhitelistRemove, request.WhitelistRemoveBody{ID: "bank"}), submission(func(s *apiv1.Submission) { s.Payload = []byte{1} }))
	if err := CheckSignedEvidence(w.s.Rules, r, e); err != nil {
		t.Errorf("with a payload: %v", err)
	}
	e.Sig = append([]byte(nil), e.Sig...)
	e.Sig[0] ^= 1
	if err := CheckSignedEvidence(w.s.Rules, r, e); problem.KindOf(err) != problem.Unauthenticated {
		t.Errorf("a wrong signature: %v", err)
	}
	if err := Fresh(request.Evidence{Key: alice.pub.Ref(), HTTP: &request.HTTPCall{Base: []byte("x")}}, w.at()); err == nil {
		t.Error("a base that is none is fresh")
	}
}

// FuzzCall: whatever a signed call is, it is evidence for one request only, the one that its body asks for.
func FuzzCall(f *testing.F) {
	w := newWorld(f)
	alice := who("alice")
	_, e := signedCall(f, w, alice, w.request(alice, request.WhitelistRemove, request.WhitelistRemoveBody{ID: "bank"}), nil)
	f.Add(e.HTTP.Body, "k-1")
	f.Add([]byte(`{"request":{}}`), "k")
	f.Fuzz(func(t *testing.T, body []byte, key string) {
		r, err := apiv1.ReadCall(body, key)
		if err != nil {
			return
		}
		q, err := request.Parse(r.Encode())
		if err != nil {
			return // the core refuses it before it looks at evidence
		}
		again, err := apiv1.RequestOf(q.Request)
		if err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		back, err := again.Canonical(nil, key)
		if err != nil || !bytes.Equal(back.Encode(), q.Raw) || !bytes.Equal(canon.Encode(back), q.Raw) {
			t.Fatalf("%s is read as %+v, which is written as %+v, %v", body, q.Request, again, err)
		}
	})
}
