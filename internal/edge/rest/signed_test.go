// SPDX-License-Identifier: Apache-2.0

package rest_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/client"
	"strongroom/internal/edge/rest"
	"strongroom/internal/gate/coretest"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/httpsig"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// caller makes a client without a certificate that signs its calls.
func (h *house) caller(p coretest.Person) *client.Client {
	h.t.Helper()
	c, err := client.New(client.Config{BaseURL: h.url, Transport: h.transport(""), Now: h.clock.Now, Signer: signer(h.t, p)})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func TestSignedCalls(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	c := h.caller(coretest.Payout)
	if _, err := c.Status(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Requests(ctx, client.Filter{State: "ready", Limit: 3}); err != nil {
		t.Fatal(err)
	}
	body := transfer(5)
	r, err := c.Compose(ctx, coretest.Payout.ID, client.Ask{Body: body, Key: "call-1"})
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.SubmitCall(ctx, r, payload(t, body, 0))
	if err != nil || v.State != "signed" || v.Signed == nil {
		t.Fatalf("a signed call that asks for a transfer: %+v, %v", v, err)
	}
	if again, err := c.SubmitCall(ctx, r, nil); err != nil || again.ID != v.ID || again.Seq != v.Seq {
		t.Errorf("the retry of a signed call: %+v, %v", again, err)
	}
	var e *entry.Request
	for _, b := range h.core.Bodies() {
		if x, ok := b.(*entry.Request); ok {
			e = x
		}
	}
	if e == nil || e.Facts.Evidence != policy.ByCall || e.Evidence.HTTP == nil {
		t.Fatalf("the log's evidence is %+v", e)
	}
	if _, err := c.Submit(ctx, signer(t, coretest.Payout), client.Ask{Body: transfer(7)}); err != nil {
		t.Errorf("a canonical signature in a signed call: %v", err)
	}
	if _, err := c.Policy(ctx); client.KindOf(err) != problem.Forbidden {
		t.Errorf("a service read the rules: %v", err)
	}
	if _, err := h.caller(coretest.Anna).Policy(ctx); err != nil {
		t.Errorf("a person reads the rules by a signed call: %v", err)
	}
	if _, err := h.caller(coretest.Anna).SubmitCall(ctx, r, nil); err == nil {
		t.Error("somebody signed a call in another's name")
	}
}

// A service whose key is of P-256 calls.
func TestSignedCallsOnP256(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.NewSigner(coretest.Anna.ID, key)
	if err != nil {
		t.Fatal(err)
	}
	b := &request.PersonKeyAddBody{Person: coretest.Anna.ID, Key: s.Public()}
	if b.Possession, err = s.Sign(b.Message(h.core.Authority())); err != nil {
		t.Fatal(err)
	}
	if v := h.approved(h.asked(coretest.Anna, b), coretest.Bruno, coretest.Chiara); v.State != "executed" {
		t.Fatalf("the key is not there: %s", v.State)
	}
	c, err := client.New(client.Config{BaseURL: h.url, Transport: h.transport(""), Now: h.clock.Now, Signer: s})
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Compose(t.Context(), coretest.Anna.ID, client.Ask{Body: &request.WhitelistRemoveBody{ID: "bank"}})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := c.SubmitCall(t.Context(), r, nil); err != nil || v.State != "pending" {
		t.Errorf("a request that needs approvals: %s, %v", v.State, err)
	}
}

// signing is a call that is signed by hand, so that each part can be wrong.
type signing struct {
	method, path, key string
	body              []byte
	names             []string
	params            httpsig.Params
	over              map[string]string // what is signed instead of what is sent
	header            map[string]string // what is sent besides, or instead
	by                coretest.Person
}

func (h *house) signing(by coretest.Person, r request.Request) signing {
	q, err := apiv1.RequestOf(r)
	if err != nil {
		h.t.Fatal(err)
	}
	b, err := json.Marshal(apiv1.Submission{Request: q})
	if err != nil {
		h.t.Fatal(err)
	}
	now := h.clock.Now().Unix()
	return signing{method: "POST", path: "/v1/requests", key: r.Key, body: b, names: httpsig.Components(true, true), by: by, over: map[string]string{}, header: map[string]string{},
		params: httpsig.Params{Created: now, Expires: now + httpsig.Window, Nonce: client.NewKey(), KeyID: string(by.Public().Ref()), Tag: httpsig.Tag}}
}

// bare is one transport without a certificate for all calls of a test: connections that idle count too.
func (h *house) bare() *http.Transport {
	h.once.Do(func() { h.plain = h.transport("") })
	return h.plain
}

// send signs and makes the call.
func (h *house) send(x signing) (*http.Response, []byte) {
	h.t.Helper()
	u, err := url.Parse(h.url + x.path)
	if err != nil {
		h.t.Fatal(err)
	}
	parts := map[string]string{httpsig.Method: x.method, httpsig.Authority: u.Host, httpsig.Path: u.EscapedPath(), httpsig.Query: httpsig.QueryOf(u.RawQuery),
		httpsig.ContentDigest: httpsig.Digest(x.body), httpsig.IdempotencyKey: x.key, httpsig.ContentType: apiv1.JSON, "date": "today"}
	maps.Copy(parts, x.over)
	in, err := httpsig.NewInput(x.names, x.params)
	if err != nil {
		h.t.Fatal(err)
	}
	base, err := in.Base(func(n string) (string, bool) { return parts[n], true })
	if err != nil {
		h.t.Fatal(err)
	}
	sig, err := signer(h.t, x.by).Sign(base)
	if err != nil {
		h.t.Fatal(err)
	}
	input, value := httpsig.Fields("sig1", in, sig)
	header := map[string]string{"Content-Type": apiv1.JSON, "Content-Digest": httpsig.Digest(x.body), "Signature-Input": input, "Signature": value}
	if x.key != "" {
		header[apiv1.IdempotencyHeader] = x.key
	}
	maps.Copy(header, x.header)
	return h.raw(h.bare(), x.method, x.path, header, x.body)
}

func TestSignedCallsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	without := func(name string) func(*signing) {
		return func(x *signing) { x.names = slices.DeleteFunc(x.names, func(n string) bool { return n == name }) }
	}
	cases := map[string]struct {
		change func(*signing)
		want   string // in the detail
	}{
		"":                 {func(*signing) {}, ""},
		"content type too": {func(x *signing) { x.names = append(x.names, httpsig.ContentType) }, ""},
		"another body":     {func(x *signing) { x.over[httpsig.ContentDigest] = httpsig.Digest([]byte("{}")) }, "signed this call"},
		"body after signing": {func(x *signing) {
			x.body = bytes.Replace(x.body, []byte(`"5"`), []byte(`"7"`), 1)
			x.header["Content-Digest"] = httpsig.Digest(nil)
			x.over[httpsig.ContentDigest] = httpsig.Digest(nil)
		}, "the body is not the one"},
		"another path":        {func(x *signing) { x.over[httpsig.Path] = "/v1/sessions" }, "signed this call"},
		"another method":      {func(x *signing) { x.over[httpsig.Method] = "GET" }, "signed this call"},
		"another query":       {func(x *signing) { x.over[httpsig.Query] = "?a=b" }, "signed this call"},
		"another host":        {func(x *signing) { x.over[httpsig.Authority] = "example.org" }, "signed this call"},
		"another key":         {func(x *signing) { x.over[httpsig.IdempotencyKey] = "other" }, "signed this call"},
		"method not covered":  {without(httpsig.Method), "does not cover"},
		"host not covered":    {without(httpsig.Authority), "does not cover"},
		"path not covered":    {without(httpsig.Path), "does not cover"},
		"query not covered":   {without(httpsig.Query), "does not cover"},
		"digest not covered":  {without(httpsig.ContentDigest), "does not cover"},
		"key not covered":     {without(httpsig.IdempotencyKey), "does not cover"},
		"what is not known":   {func(x *signing) { x.names = append(x.names, "date") }, "not known"},
		"no tag":              {func(x *signing) { x.params.Tag = "" }, "tag"},
		"another tag":         {func(x *signing) { x.params.Tag = "wallet" }, "tag"},
		"no nonce":            {func(x *signing) { x.params.Nonce = "" }, "nonce"},
		"short nonce":         {func(x *signing) { x.params.Nonce = "abc" }, "nonce"},
		"no creation":         {func(x *signing) { x.params.Created = 0 }, "created"},
		"no end":              {func(x *signing) { x.params.Expires = 0 }, "expires"},
		"good for too long":   {func(x *signing) { x.params.Expires = x.params.Created + httpsig.Window + 1 }, "expires"},
		"from the future":     {func(x *signing) { x.params.Created += 120; x.params.Expires += 120 }, "clock"},
		"past its time":       {func(x *signing) { x.params.Created -= 200; x.params.Expires = x.params.Created + 100 }, "time is over"},
		"before the start":    {func(x *signing) { x.params.Created -= 200; x.params.Expires -= 200 }, "start"},
		"no key id":           {func(x *signing) { x.params.KeyID = "" }, "keyid"},
		"a key nobody has":    {func(x *signing) { x.params.KeyID = strings.Repeat("0", 32) }, "signed this call"},
		"another's key":       {func(x *signing) { x.params.KeyID = string(coretest.Bruno.Public().Ref()) }, "signed this call"},
		"another algorithm":   {func(x *signing) { x.params.Alg = httpsig.P256 }, "signed this call"},
		"unknown algorithm":   {func(x *signing) { x.params.Alg = "rsa-pss-sha512" }, "alg"},
		"no signature":        {func(x *signing) { x.header["Signature"] = "" }, "Signature"},
		"another label":       {func(x *signing) { x.header["Signature"] = "other=:AAAA:" }, "Signature"},
		"a short signature":   {func(x *signing) { x.header["Signature"] = "sig1=:AAAA:" }, "signed this call"},
		"not base64":          {func(x *signing) { x.header["Signature"] = "sig1=:!:" }, "base64"},
		"an initiator's word": {func(x *signing) { x.by = coretest.Bruno; x.params.KeyID = string(coretest.Bruno.Public().Ref()) }, "is not an active key"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			x := h.signing(coretest.Payout, h.request(coretest.Payout, request.Transfer, transfer(5), "signed-"+base64.RawURLEncoding.EncodeToString([]byte(name))))
			c.change(&x)
			resp, b := h.send(x)
			if c.want == "" {
				if resp.StatusCode != http.StatusCreated {
					t.Fatalf("refused: %s", b)
				}
				return
			}
			if p := problemOf(t, resp, b); p.Kind != problem.Unauthenticated || !strings.Contains(p.Detail, c.want) {
				t.Errorf("got %s; want unauthenticated with %q", b, c.want)
			}
		})
	}
}

// A call is taken once: not again, and not after a start that has forgotten it.
func TestSignedCallsOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	x := h.signing(coretest.Payout, h.request(coretest.Payout, request.Transfer, transfer(5), "once"))
	if resp, b := h.send(x); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s", b)
	}
	resp, b := h.send(x)
	if p := problemOf(t, resp, b); p.Kind != problem.Unauthenticated || !strings.Contains(p.Detail, "nonce") {
		t.Errorf("the same call again: %s", b)
	}
	h.clock.add(300 * time.Second)
	late := h.signing(coretest.Payout, h.request(coretest.Payout, request.Transfer, transfer(7), "late"))
	if resp, b := h.send(late); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s", b)
	}
	h.clock.add(100 * time.Second) // another generation, while the call is still good
	y := h.signing(coretest.Payout, h.request(coretest.Payout, request.Transfer, transfer(6), "twice"))
	if resp, b := h.send(y); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s", b)
	}
	resp, b = h.send(late)
	if p := problemOf(t, resp, b); !strings.Contains(p.Detail, "nonce") {
		t.Errorf("a call of the generation before again: %s", b)
	}
	h.clock.add(30 * time.Second)
	resp, b = h.send(y)
	if p := problemOf(t, resp, b); !strings.Contains(p.Detail, "nonce") {
		t.Errorf("the same call again: %s", b)
	}
}

func TestSignedCallsNeedNames(t *testing.T) {
	t.Parallel()
	for _, hosts := range [][]string{nil, {"example.org"}} {
		h := newHouse(t, func(c *rest.Config) { c.Hosts = hosts })
		resp, b := h.send(h.signing(coretest.Payout, h.request(coretest.Payout, request.Transfer, transfer(5), "names")))
		if p := problemOf(t, resp, b); p.Kind != problem.Unauthenticated || !strings.Contains(p.Detail, "not a name") {
			t.Errorf("a server of names %q: %s", hosts, b)
		}
	}
}

// Certificate and signature must be of one caller, and a large body is not made evidence.
func TestSignedCallsBesideCertificates(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, who := range []coretest.Person{coretest.Payout, coretest.Anna} {
		c, err := client.New(client.Config{BaseURL: h.url, Transport: h.transport(string(who.ID)), Now: h.clock.Now, Signer: signer(t, coretest.Payout)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Status(t.Context()); (err == nil) != (who.ID == coretest.Payout.ID) || err != nil && client.KindOf(err) != problem.Forbidden {
			t.Errorf("a signed call with the certificate of %s: %v", who.ID, err)
		}
	}
	x := h.signing(coretest.Payout, h.request(coretest.Payout, request.Transfer, transfer(5), "large"))
	x.body = append(x.body, bytes.Repeat([]byte(" "), request.MaxCall)...)
	resp, b := h.send(x)
	if p := problemOf(t, resp, b); p.Kind != problem.TooLarge {
		t.Errorf("a large body: %s", b)
	}
}

// What serve could make of a signed call is refused by the core: the body must ask for the very request.
func TestCoreChecksSignedCalls(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	x := h.signing(coretest.Payout, h.request(coretest.Payout, request.Transfer, transfer(5), "core"))
	other := h.request(coretest.Payout, request.Transfer, transfer(9), "core")
	other.Domain = custody.DomainID{1}
	if resp, b := h.send(x); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s", b)
	}
	x = h.signing(coretest.Payout, other)
	resp, b := h.send(x)
	if p := problemOf(t, resp, b); resp.StatusCode < 400 {
		t.Errorf("a call for another domain: %+v", p)
	}
	x = h.signing(coretest.Payout, h.request(coretest.Payout, request.Transfer, transfer(5), "both"))
	ev := coretest.Signed(h.request(coretest.Payout, request.Transfer, transfer(6), "both"), coretest.Payout).Evidence
	var s apiv1.Submission
	if err := json.Unmarshal(x.body, &s); err != nil {
		t.Fatal(err)
	}
	s.Evidence = apiv1.Evidence{Key: ev.Key, Signature: ev.Sig}
	x.body, _ = json.Marshal(s)
	resp, b = h.send(x)
	if p := problemOf(t, resp, b); p.Kind != problem.Unauthenticated {
		t.Errorf("evidence in the body that is another's: %s", b)
	}
}
