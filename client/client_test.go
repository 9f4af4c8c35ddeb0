// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net/http"
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
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

func signer(t testing.TB, p coretest.Person) client.Signer {
	t.Helper()
	s, err := client.NewSigner(p.ID, p.Key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSigners(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p256, err := client.NewSigner(coretest.Anna.ID, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []client.Signer{signer(t, coretest.Anna), p256} {
		if err := s.Public().Check(); err != nil {
			t.Errorf("%s: %v", s.Public().Alg, err)
		}
		for range 200 { // so that r or s is short in some
			m := make([]byte, 40)
			rand.Read(m)
			sig, err := s.Sign(m)
			if err != nil || len(sig) != 64 || !s.Public().Verify(m, sig) {
				t.Fatalf("%s: signature %x of %x: %v", s.Public().Alg, sig, m, err)
			}
		}
	}
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	weak, _ := rsa.GenerateKey(rand.Reader, 2048)
	if _, err := client.NewSigner(coretest.Anna.ID, p384); err == nil {
		t.Error("P-384 was accepted")
	}
	if _, err := client.NewSigner(coretest.Anna.ID, weak); err == nil {
		t.Error("RSA was accepted")
	}
	if _, err := client.NewSigner("anna", key); err == nil {
		t.Error("a name that is no person id was accepted")
	}
}

// view asks for something and gives serve's honest view of it.
func view(t *testing.T, c *coretest.Core, body client.Body, op request.Operation) client.RequestView {
	t.Helper()
	r := request.Request{V: 1, Authority: c.Authority(), Domain: custody.DomainID(c.Authority()), Initiator: coretest.Anna.ID, Key: client.NewKey(), Operation: op,
		Body: canon.Encode(body), NotAfter: time.Now().Unix() + 3600}
	v, err := gate.Call[message.Submit, message.Request](t.Context(), c, message.MethodSubmit, coretest.Signed(r, coretest.Anna))
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	id := r.ID()
	out := client.RequestView{ID: id.String(), State: string(v.State), Operation: op, Initiator: r.Initiator, IdempotencyKey: r.Key, NotAfter: r.NotAfter,
		Body: raw, Canonical: v.Request, Effects: v.Effects, Bounds: v.Bounds,
		Decision: apiv1.Decision{Outcome: v.Decision.Outcome, PolicyVersion: v.Decision.Version, PolicyHash: apiv1.Hex(v.Decision.Hash[:])}}
	j, err := json.Marshal(out) // as it comes over the wire
	if err != nil {
		t.Fatal(err)
	}
	out = client.RequestView{}
	if err := json.Unmarshal(j, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func bodies() map[request.Operation]client.Body {
	return map[request.Operation]client.Body{
		request.Transfer: &client.Transfer{Wallet: "hot", Asset: coretest.Ether, Outputs: []client.Output{{Address: coretest.EthereumTo, Amount: custody.U64(50_000)}},
			FeeCap: custody.U64(1e15)},
		request.WalletCreate:    &client.WalletCreate{Wallet: "new", Chain: coretest.Bitcoin, Scheme: request.SchemeP2TR},
		request.AddressCreate:   &client.AddressCreate{Wallet: "hot", Count: 2},
		request.PersonRevoke:    &client.PersonRevoke{Person: coretest.Payout.ID},
		request.GroupSet:        &client.GroupSet{Group: "more", Members: []client.PersonID{coretest.Anna.ID}},
		request.WhitelistAdd:    &client.WhitelistAdd{ID: "new", Chain: coretest.Ethereum, Address: coretest.EthereumOut},
		request.WhitelistRemove: &client.WhitelistRemove{ID: "bank"},

		request.WalletTemperature: &client.WalletTemperature{Wallet: "hot", To: request.Warm},
	}
}

// What an approver reviews says that the key lies in the token; a view without that is noticed, though the class is in no effect of its own.
func TestReviewShowsTheClass(t *testing.T) {
	t.Parallel()
	c := coretest.New(t, time.Now)
	body := &client.WalletCreate{Wallet: "sealed", Chain: coretest.Ethereum, Scheme: request.SchemeEVM, Class: request.ClassToken}
	r := request.Request{V: 1, Authority: c.Authority(), Domain: custody.DomainID(c.Authority()), Initiator: coretest.Anna.ID, Key: "k", Operation: request.WalletCreate,
		Body: canon.Encode(body), NotAfter: time.Now().Unix() + 3600}
	v := client.RequestView{ID: r.ID().String(), Operation: r.Operation, Initiator: r.Initiator, NotAfter: r.NotAfter, IdempotencyKey: r.Key, Canonical: r.Encode(),
		Body:    json.RawMessage(`{"wallet":"sealed","chain":"` + string(coretest.Ethereum) + `","scheme":"evm","class":"token"}`),
		Effects: client.Effects{Operation: r.Operation, Wallet: "sealed", Chain: coretest.Ethereum}, Bounds: client.Bounds{Change: request.NoChange, Slot: request.NoSlot, NotAfter: r.NotAfter}}
	v.Decision.PolicyHash = strings.Repeat("00", 32)
	rev, err := client.NewReview(c.Authority(), v)
	if err != nil {
		t.Fatal(err)
	}
	if b, ok := rev.Body.(*client.WalletCreate); !ok || b.Class != request.ClassToken {
		t.Errorf("%+v", rev.Body)
	}
	v.Body = json.RawMessage(strings.Replace(string(v.Body), `,"class":"token"`, "", 1))
	if _, err := client.NewReview(c.Authority(), v); !errors.Is(err, client.ErrDisagrees) {
		t.Errorf("the class was left out: %v", err)
	}
}

func TestReviewSignsWhatTheCoreExpects(t *testing.T) {
	t.Parallel()
	c := coretest.New(t, time.Now)
	c.AddWallet(t, "hot", coretest.Ethereum, request.SchemeEVM, 1)
	token := &client.Transfer{Wallet: "hot", Asset: "eip155:1337/erc20:0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
		Outputs: []client.Output{{Address: coretest.EthereumTo, Amount: custody.U64(9)}}, FeeCap: custody.U64(1e15)}
	check := func(op request.Operation, b client.Body) {
		v := view(t, c, b, op)
		rev, err := client.NewReview(c.Authority(), v)
		if err != nil {
			t.Errorf("%s: %v", op, err)
			return
		}
		a, err := rev.Sign(signer(t, coretest.Bruno), client.Approve)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := gate.Call[message.Approve, message.Request](t.Context(), c, message.MethodApprove, message.Approve{Approval: a}); err != nil {
			t.Errorf("%s: the core refuses the approval: %v", op, err)
		}
	}
	for op, b := range bodies() {
		check(op, b)
	}
	check(request.Transfer, token)
}

// TestReviewCatchesALyingServe changes one thing after the other in what serve shows.
func TestReviewCatchesALyingServe(t *testing.T) {
	t.Parallel()
	c := coretest.New(t, time.Now)
	w := c.AddWallet(t, "hot", coretest.Ethereum, request.SchemeEVM, 2)
	honest := view(t, c, bodies()[request.Transfer], request.Transfer)
	second := view(t, c, &client.Transfer{Wallet: "hot", Asset: coretest.Ether, Outputs: []client.Output{{Address: coretest.EthereumTo, Amount: custody.U64(60_000)}},
		FeeCap: custody.U64(1e15)}, request.Transfer)
	if _, err := client.NewReview(c.Authority(), honest); err != nil {
		t.Fatalf("honest: %v", err)
	}
	for name, lie := range map[string]func(v *client.RequestView){
		"another destination":   func(v *client.RequestView) { v.Effects.Outputs[0].Address = coretest.EthereumOut },
		"another amount":        func(v *client.RequestView) { v.Effects.Outputs[0].Amount = custody.U64(1) },
		"another sum":           func(v *client.RequestView) { v.Effects.Total = custody.U64(1) },
		"another output":        func(v *client.RequestView) { v.Effects.Outputs = append(v.Effects.Outputs, v.Effects.Outputs[0]) },
		"another asset":         func(v *client.RequestView) { v.Effects.Asset = "eip155:1/slip44:60" },
		"another chain":         func(v *client.RequestView) { v.Effects.Chain = "eip155:1" },
		"another wallet":        func(v *client.RequestView) { v.Effects.Wallet = "cold" },
		"another operation":     func(v *client.RequestView) { v.Effects.Operation = request.WalletCreate },
		"a call":                func(v *client.RequestView) { v.Effects.Call = &request.Call{Contract: coretest.EthereumTo} },
		"a source that is none": func(v *client.RequestView) { v.Effects.Source = "0x1" },
		"another fee cap":       func(v *client.RequestView) { v.Bounds.FeeCap = custody.U64(1e16) },
		"another fee asset":     func(v *client.RequestView) { v.Bounds.FeeAsset = "" },
		"another slot rule":     func(v *client.RequestView) { v.Bounds.Slot = request.NoSlot },
		"another change rule":   func(v *client.RequestView) { v.Bounds.Change = request.OwnChange },
		"another end":           func(v *client.RequestView) { v.Bounds.NotAfter++ },
		"another end shown":     func(v *client.RequestView) { v.NotAfter++ },
		"another initiator":     func(v *client.RequestView) { v.Initiator = coretest.Bruno.ID },
		"another key":           func(v *client.RequestView) { v.IdempotencyKey = "x" },
		"another id":            func(v *client.RequestView) { v.ID = second.ID },
		"another request":       func(v *client.RequestView) { v.Canonical = second.Canonical },
		"another body":          func(v *client.RequestView) { v.Body = second.Body },
		"a longer body": func(v *client.RequestView) {
			v.Body = json.RawMessage(strings.Replace(string(v.Body), "{", `{"x":1,`, 1))
		},
		"more names than outputs": func(v *client.RequestView) { v.Effects.Books = []string{"bank", "exchange"} },
		"a change of the book":    func(v *client.RequestView) { v.Effects.List = &request.ListEffects{IDs: []string{"bank"}} },
		"no request":              func(v *client.RequestView) { v.Canonical = nil },
		"a request with a tail":   func(v *client.RequestView) { v.Canonical = append(bytes.Clone(v.Canonical), 0) },
		"no policy hash":          func(v *client.RequestView) { v.Decision.PolicyHash = "" },
	} {
		v := honest
		v.Effects.Outputs = append([]client.Output(nil), v.Effects.Outputs...)
		lie(&v)
		if _, err := client.NewReview(c.Authority(), v); err == nil {
			t.Errorf("%s: was not noticed", name)
		}
	}
	if _, err := client.NewReview(client.AuthorityID{1}, honest); !errors.Is(err, client.ErrOtherDomain) || errors.Is(err, client.ErrDisagrees) {
		t.Errorf("a request of another authority: %v", err)
	}
	if _, err := (client.Review{}).Sign(signer(t, coretest.Bruno), client.Approve); err == nil {
		t.Error("an empty review was signed")
	}
	// The paying address follows from a wallet that the approver knows.
	known := client.Wallet{ID: w.ID, Chain: w.Chain, Scheme: w.Scheme, Seed: w.Key, Account: w.Account, Public: w.Public, ChainCode: w.ChainCode[:],
		Master: apiv1.Hex(w.Master[:]), Parent: apiv1.Hex(w.Parent[:])}
	rev, err := client.NewReview(c.Authority(), honest)
	if err != nil || rev.CheckSource(known) != nil {
		t.Fatalf("honest source: %v %v", err, rev.CheckSource(known))
	}
	other, err := authority.Derive(w, entry.KeyPath{Index: 1})
	if err != nil {
		t.Fatal(err)
	}
	lying := honest
	lying.Effects.Source = other.Address
	if rev, err = client.NewReview(c.Authority(), lying); err != nil {
		t.Fatal(err)
	}
	if err := rev.CheckSource(known); !errors.Is(err, client.ErrDisagrees) {
		t.Errorf("another paying address: %v", err)
	}
}

// answers is a serve that answers from a list.
type answers []func(r *http.Request) (int, string)

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	f := (*a)[0]
	if len(*a) > 1 {
		*a = (*a)[1:]
	}
	status, body := f(r)
	if status == 0 {
		return nil, errors.New("broken")
	}
	return &http.Response{StatusCode: status, Status: http.StatusText(status), Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func fixed(status int, body string) func(*http.Request) (int, string) {
	return func(*http.Request) (int, string) { return status, body }
}

func newClient(t *testing.T, a answers) *client.Client {
	t.Helper()
	c, err := client.New(client.Config{BaseURL: "https://serve.example:8443", Transport: &a, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestProblemsAreTyped(t *testing.T) {
	t.Parallel()
	c := newClient(t, answers{fixed(403, `{"kind":"refused-by-rule","detail":"no","status":403,"rule":"r","unmet":[{"rule":"r","criterion":"amount.max","observed":"9"}]}`)})
	_, err := c.Status(t.Context())
	var p *client.Problem
	if !errors.As(err, &p) || p.Rule != "r" || len(p.Unmet) != 1 || client.KindOf(err) != "refused-by-rule" || client.Retryable(err) {
		t.Errorf("%v", err)
	}
	c = newClient(t, answers{fixed(502, "<html>")})
	if _, err := c.Status(t.Context()); err == nil || client.KindOf(err) != "" {
		t.Errorf("a page of another program: %v", err)
	}
	c = newClient(t, answers{fixed(200, "[]")})
	if _, err := c.Status(t.Context()); err == nil {
		t.Error("a reply of another form was accepted")
	}
}

func TestWaitOutlastsFailures(t *testing.T) {
	t.Parallel()
	c := newClient(t, answers{fixed(0, ""), fixed(503, `{"kind":"stopped","detail":"x","status":503,"retryable":true}`), fixed(200, `{"state":"pending"}`),
		fixed(200, `{"state":"signed","attempts":[{"state":"mined"}]}`), fixed(200, `{"state":"signed","attempts":[{"state":"replaced"},{"state":"final"}]}`)})
	v, err := c.WaitRequest(t.Context(), client.RequestID{}, time.Millisecond, nil)
	if err != nil || v.State != "signed" {
		t.Errorf("%+v %v", v, err)
	}
	c = newClient(t, answers{fixed(404, `{"kind":"not-found","detail":"x","status":404}`)})
	if _, err := c.WaitRequest(t.Context(), client.RequestID{}, time.Millisecond, nil); client.KindOf(err) != "not-found" {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // for one answer at least
	defer cancel()
	c = newClient(t, answers{fixed(200, `{"state":"pending"}`)})
	if _, err := c.WaitRequest(ctx, client.RequestID{}, time.Millisecond, nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "pending") {
		t.Errorf("%v", err)
	}
}

func TestSubmitRefusesAnAnswerAboutSomethingElse(t *testing.T) {
	t.Parallel()
	status := fixed(200, `{"authority":"`+strings.Repeat("ab", 32)+`","identity":"`+strings.Repeat("00", 32)+`"}`)
	c := newClient(t, answers{status, fixed(201, `{"id":"`+strings.Repeat("00", 32)+`","state":"ready"}`)})
	_, err := c.Submit(t.Context(), signer(t, coretest.Payout), client.Ask{Body: bodies()[request.Transfer]})
	if err == nil || !strings.Contains(err.Error(), "another request") {
		t.Errorf("%v", err)
	}
	if _, err := c.Submit(t.Context(), signer(t, coretest.Payout), client.Ask{}); err == nil {
		t.Error("nothing was asked for and it was accepted")
	}
}

func TestSessionRefusesAnUnsignedGrant(t *testing.T) {
	t.Parallel()
	status := fixed(200, `{"authority":"`+strings.Repeat("ab", 32)+`","identity":"`+strings.Repeat("00", 32)+`"}`)
	grant := fixed(201, `{"session":"`+strings.Repeat("00", 16)+`","ephemeral":"CQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","seq":1,"signature":"`+strings.Repeat("A", 86)+`=="}`)
	c := newClient(t, answers{status, grant})
	if _, err := c.OpenSession(t.Context(), signer(t, coretest.Payout), time.Hour); err == nil || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("%v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]client.Config{
		"zero":      {},
		"plaintext": {BaseURL: "http://localhost:1", Now: time.Now, Transport: &answers{}},
		"path":      {BaseURL: "https://localhost:1/v1", Now: time.Now, Transport: &answers{}},
		"no clock":  {BaseURL: "https://localhost:1", Transport: &answers{}},
		"no CA":     {BaseURL: "https://localhost:1", Now: time.Now},
	} {
		if _, err := client.New(cfg); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
