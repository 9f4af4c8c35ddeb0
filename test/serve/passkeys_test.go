// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"strongroom/client"
	"strongroom/internal/app/verifyapp"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// asks has somebody ask for something, with their key file.
func (h *house) asks(p domaintest.Person, body client.Body) client.RequestView {
	h.t.Helper()
	v, err := h.client(p).Submit(h.t.Context(), h.signer(p), client.Ask{Body: body})
	if err != nil {
		h.t.Fatal(err)
	}
	return v
}

// governs has somebody ask for a change and others approve it.
func (h *house) governs(by domaintest.Person, body client.Body, others ...domaintest.Person) {
	h.t.Helper()
	v := h.asks(by, body)
	for _, p := range others {
		v = h.approve(p, idOf(h.t, v))
	}
	if v.State != "executed" {
		h.t.Fatalf("%T is %s: %+v", body, v.State, v.Missing)
	}
}

// card has a browser make a passkey, and reads the card.
func (x *tab) card(form, value string, into any) {
	x.h.t.Helper()
	x.visit("/app/enrol")
	x.run(chromedp.SendKeys(chromedp.CSS(form), value), chromedp.Submit(chromedp.CSS(form)), chromedp.Click(chromedp.CSS("#enrol button:enabled")),
		chromedp.WaitVisible(chromedp.CSS("#card")))
	text, ref := x.text("text"), x.text("ref")
	if err := json.Unmarshal([]byte(text), into); err != nil {
		x.h.t.Fatalf("%v: %s", err, text)
	}
	var key struct{ Key request.PublicKey }
	if err := json.Unmarshal([]byte(text), &key); err != nil || string(key.Key.Ref()) != ref {
		x.h.t.Errorf("the page names the key %s: %v, %s", ref, err, text)
	}
}

// further gives a person who exists a passkey: made in the browser, asked for with the key file, approved by the others.
func (x *tab) further(p domaintest.Person, others ...domaintest.Person) client.PersonKeyAdd {
	x.h.t.Helper()
	var card struct {
		Operation request.Operation
		Authority string
		client.PersonKeyAdd
	}
	x.card("#person", string(p.ID), &card)
	if card.Operation != request.PersonKeyAdd || card.Authority != x.h.core.D.Authority().String() {
		x.h.t.Fatalf("%+v", card)
	}
	x.h.governs(p, &card.PersonKeyAdd, others...)
	return card.PersonKeyAdd
}

// proven has the auditor's tool check the proof of a request.
func (h *house) proven(id client.RequestID, want ...string) {
	h.t.Helper()
	b, err := h.client(h.core.Alice).Proof(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	file := filepath.Join(h.t.TempDir(), "proof")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		h.t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := verifyapp.Main("strongroom-verify", []string{"proof", file, "--log-key", hex.EncodeToString(h.core.Genesis.LogKey)}, &out, &errs); code != 0 {
		h.t.Fatalf("strongroom-verify: %d %s", code, errs.String())
	}
	for _, w := range append(want, "The proof holds") {
		if !strings.Contains(out.String(), w) {
			h.t.Errorf("the proof does not say %q: %s", w, out.String())
		}
	}
}

// From making a passkey to the proof of a transfer that it approved, in a real browser before a real domain.
func TestPasskeysInABrowser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob, carol := h.core.Alice, h.core.Bob, h.core.Carol
	h.governs(alice, &client.WalletCreate{Wallet: "hot", Chain: domaintest.Chain, Scheme: request.SchemeEVM}, bob)
	browser := h.chromium()

	// Bob has a key file already; dave is new.
	his, new := h.tab(browser), h.tab(browser)
	key := his.further(bob, alice, carol)
	var dave client.PersonEnrol
	new.card("#groups", "officers", &dave)
	h.governs(alice, &dave, bob, carol)

	his.signIn()
	new.signIn()
	large := h.asks(alice, pay(2e15))
	his.decide(large.ID, request.Approve, "Recorded in entry")
	said := new.decide(large.ID, request.Approve, "Recorded in entry")
	if !strings.HasSuffix(said, "the request is ready.") {
		t.Errorf("after two approvals: %s", said)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if v, err := h.client(alice).WaitRequest(ctx, idOf(t, large), 50*time.Millisecond, nil); err != nil || v.Attempts[0].State != "final" {
		t.Fatalf("%+v %v", v.Attempts, err)
	}
	h.proven(idOf(t, large), string(bob.ID), string(dave.Person))

	// Reject and cancel; bob asks with his key file and cancels in the browser.
	other := h.asks(alice, pay(3e15))
	if said := new.decide(other.ID, request.Reject, "Recorded in entry"); !strings.HasSuffix(said, "the request is rejected.") {
		t.Error(said)
	}
	his.decide(h.asks(bob, pay(4e15)).ID, request.Cancel, "Recorded in entry")

	// Who is signed in reads the API, and no more.
	if status := eval[int](his, `fetch("/v1/requests").then(r => r.status)`); status != 200 {
		t.Errorf("reading: %d", status)
	}
	if status := eval[int](his, `fetch("/v1/audit/check", {method: "POST", headers: {"Content-Type": "application/json"}}).then(r => r.status)`); status != 403 {
		t.Errorf("acting: %d", status)
	}

	held := func() []*webauthn.Credential {
		return tell(his, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: his.key}).Credentials
	}
	first := held()[0].CredentialID

	// A second passkey on the same device, asked for with the first, which it leaves where it is.
	his.visit("/app/enrol/make?person=" + string(bob.ID))
	his.run(chromedp.Click(chromedp.CSS("#enrol button:enabled")), chromedp.WaitVisible(chromedp.CSS("#card")), chromedp.Click(chromedp.CSS("#ask:enabled")),
		chromedp.WaitVisible(chromedp.CSS("#state")))
	list, err := h.client(alice).Requests(ctx, client.Filter{State: "pending"})
	if err != nil || len(list.Requests) != 1 || list.Requests[0].Operation != request.PersonKeyAdd || list.Requests[0].Initiator != bob.ID {
		t.Fatalf("%+v %v", list, err)
	}
	second := idOf(t, list.Requests[0])
	h.approve(alice, second)
	new.decide(second.String(), request.Approve, "Recorded in entry")
	h.proven(second)
	if n := len(held()); n != 2 {
		t.Errorf("bob's device has %d passkeys", n)
	}
	his.decide(h.asks(alice, pay(6e15)).ID, request.Approve, "Recorded in entry")

	// The key is taken away: the session ends, and it opens nothing.
	h.governs(alice, &client.PersonKeyRemove{Person: bob.ID, Key: key.Key.Ref()}, bob, carol)
	for in := true; in; in = eval[bool](his, `document.getElementById("sign-in") === null`) { // the pages ask the core when what they know is a second old
		his.visit("/app/")
	}
	for _, c := range held() {
		if !bytes.Equal(c.CredentialID, first) {
			tell(his, webauthn.RemoveCredential, webauthn.RemoveCredentialParams{AuthenticatorID: his.key, CredentialID: c.CredentialID})
		}
	}
	his.run(chromedp.Click(chromedp.CSS("#sign-in:enabled")))
	his.told("It did not work: this passkey opens nothing here")
	his.clean()
	new.clean()
	h.core.Check()
}

// What a serve that lies about a request gets signed, the core refuses; and a passkey decides for its own person only.
func TestBrowserBeforeALyingServe(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob, carol := h.core.Alice, h.core.Bob, h.core.Carol
	h.governs(alice, &client.WalletCreate{Wallet: "hot", Chain: domaintest.Chain, Scheme: request.SchemeEVM}, bob)
	browser := h.chromium()
	his, hers := h.tab(browser), h.tab(browser)
	his.further(bob, alice, carol)
	hers.further(carol, alice, bob)
	his.signIn()
	hers.signIn()
	v := h.asks(alice, pay(2e15))

	lie := func(v *message.Request) {
		v.Effects.Outputs[0].Amount, v.Effects.Total = custody.U64(5), custody.U64(5)
	}
	h.lies.Store(&lie)
	his.decide(v.ID, request.Approve, "It did not work: the signature does not verify for this request")
	h.lies.Store(nil)

	// A page that has another message signed than it shows the hash of; then one that shows that hash.
	his.visit("/app/requests/" + v.ID)
	eval[bool](his, `{ const b = document.querySelector("[data-decision=approve]"); b.dataset.message = btoa("something else"); b.click(); true }`)
	his.told("It did not work: the hash that is shown")
	eval[bool](his, `crypto.subtle.digest("SHA-256", new TextEncoder().encode("something else")).then(h => {
		document.getElementById("hash-approve").textContent = Array.from(new Uint8Array(h), b => b.toString(16).padStart(2, "0")).join("");
		document.getElementById("says").textContent = "";
		document.querySelector("[data-decision=approve]").click(); return true; })`)
	his.told("It did not work: the passkey is not one of " + string(bob.ID))

	// Bob's session, stolen, in a browser that has carol's passkey: it reads, and decides nothing.
	stolen := tell(his, network.GetCookies, network.GetCookiesParams{}).Cookies
	if len(stolen) != 1 || !stolen[0].HTTPOnly || !stolen[0].Secure || stolen[0].SameSite != network.CookieSameSiteStrict || !stolen[0].Session {
		t.Fatalf("cookies: %+v", stolen)
	}
	tell(hers, network.SetCookie, network.SetCookieParams{Name: stolen[0].Name, Value: stolen[0].Value, URL: h.origin, Secure: &stolen[0].Secure, Path: "/"})
	hers.decide(v.ID, request.Approve, "It did not work: the passkey is not one of "+string(bob.ID))
	hers.run(chromedp.Click(chromedp.CSS("#sign-out:enabled")), chromedp.WaitVisible(chromedp.CSS("#sign-in")))

	hers.signIn()
	hers.decide(v.ID, request.Approve, "Recorded in entry")
	now, err := h.client(alice).Request(t.Context(), idOf(t, v))
	if err != nil || now.State != "pending" || len(now.Approvals) != 1 || now.Approvals[0].Person != carol.ID {
		t.Errorf("%+v %v", now, err)
	}
	his.clean()
	h.core.Check()
}

// Without JavaScript the pages work up to where a passkey is needed, and say so.
func TestPagesWithoutJavaScript(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	x := h.tab(h.chromium())
	tell(x, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	x.visit("/app/enrol")
	x.run(chromedp.SendKeys(chromedp.CSS("#groups"), "officers\r"), chromedp.WaitVisible(chromedp.CSS("#enrol button[disabled]")))
	said, err := chromedp.Run(x.ctx, chromedp.Text(chromedp.CSS("noscript")))
	if err != nil || !strings.Contains(said, "Passkeys need JavaScript") {
		t.Errorf("the page says %q: %v", said, err)
	}
	x.clean()
}
