// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"strongroom/client"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// authenticator is a program that shows codes (RFC 6238), made of the URI that it was given.
func authenticator(t *testing.T, uri string, at int64) string {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil {
		t.Fatal(err)
	}
	m := hmac.New(sha1.New, secret)
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(at/30)))
	sum := m.Sum(nil)
	o := sum[19] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[o:o+4])&0x7fffffff%1_000_000)
}

// byPassword fills the form in and sends it.
func (x *tab) byPassword(person, password, code string) {
	x.h.t.Helper()
	x.run(chromedp.SendKeys(chromedp.CSS("#person"), person), chromedp.SendKeys(chromedp.CSS("#password"), password), chromedp.SendKeys(chromedp.CSS("#code"), code),
		chromedp.Click(chromedp.CSS("#by-password button")))
}

// Who has made a login by a signed call signs in with a real browser, sees what waits, and decides nothing.
func TestPasswordsInABrowser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice, bob := h.core.Alice, h.core.Bob
	uri, err := h.calling(bob).SetLogin(t.Context(), []byte("five random words"))
	if err != nil {
		t.Fatal(err)
	}
	v := h.asks(alice, &client.WalletCreate{Wallet: "hot", Chain: domaintest.Chain, Scheme: request.SchemeEVM})
	x := h.tab(h.chromium())
	x.visit("/app/")
	x.byPassword(string(bob.ID), "five random words", "000000")
	if said := eval[string](x, `new Promise(done => { const look = () => { const s = document.getElementById("says").textContent; s.startsWith("It did not work") ? done(s) : setTimeout(look, 20); }; look(); })`); !strings.Contains(said, "wrong") {
		t.Errorf("a wrong code: %s", said)
	}
	x.visit("/app/")
	x.byPassword(string(bob.ID), "five random words", authenticator(t, uri, h.now().Unix()))
	x.run(chromedp.WaitEnabled(chromedp.CSS("#sign-out")))
	if text := page(x); !strings.Contains(text, string(bob.ID)) {
		t.Errorf("the page says %q", text)
	}
	x.visit("/app/requests/" + v.ID)
	x.run(chromedp.Click(chromedp.CSS(`button[data-decision="approve"]:enabled`))) // there is no passkey to sign with
	x.told("Nothing was signed")
	if after, err := h.client(alice).Request(t.Context(), idOf(t, v)); err != nil || len(after.Approvals) > 0 {
		t.Errorf("approved by %v, %v", after.Approvals, err)
	}
}

// calling makes a client without a certificate, which signs its calls.
func (h *house) calling(p domaintest.Person) *client.Client {
	h.t.Helper()
	pool := x509.NewCertPool()
	pool.AddCert(h.ca.Certificate())
	c, err := client.New(client.Config{BaseURL: h.url, CA: pool, Signer: h.signer(p), Now: h.now})
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(c.Close)
	return c
}

// Signed calls before a real domain: they are evidence, and so they stay when the log is audited; past their time they are not taken.
func TestSignedCalls(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	alice := h.core.Alice
	c := h.calling(alice)
	r, err := c.Compose(t.Context(), alice.ID, client.Ask{Body: &client.WalletCreate{Wallet: "hot", Chain: domaintest.Chain, Scheme: request.SchemeEVM}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := c.SubmitCall(t.Context(), r, nil)
	if err != nil || v.State != "pending" {
		t.Fatalf("%s, %v", v.State, err)
	}
	again, err := c.SubmitCall(t.Context(), r, nil)
	if err != nil || again.Seq != v.Seq {
		t.Errorf("again: entry %d, %v", again.Seq, err)
	}
	proof, err := c.Proof(t.Context(), idOf(t, v))
	if err != nil || !strings.Contains(string(proof), string(policy.ByCall)) {
		t.Errorf("the proof has no signed call: %v", err)
	}
	other := r
	other.NotAfter++
	if _, err := c.SubmitCall(t.Context(), other, nil); client.KindOf(err) != problem.IdempotencyReuse {
		t.Errorf("another request of the same key: %v", err)
	}
}

// A browser is sent to the identity provider and comes back signed in, to read.
func TestIdentityProviderInABrowser(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	x := h.tab(h.chromium())
	x.visit("/app/")
	x.run(chromedp.Click(chromedp.CSS("#elsewhere")), chromedp.WaitEnabled(chromedp.CSS("#sign-out")))
	if text := page(x); !strings.Contains(text, string(h.core.Bob.ID)) {
		t.Errorf("the page says %q", text)
	}
	if at := eval[string](x, `location.pathname + location.search`); at != "/app/" {
		t.Errorf("the browser is at %s", at)
	}
	y := h.tab(h.chromium())
	h.provider.Subject = "subject-2" // somebody whom the operator does not name
	y.visit("/app/")
	y.run(chromedp.Click(chromedp.CSS("#elsewhere")), chromedp.WaitVisible(chromedp.CSS("main")))
	said := ""
	for deadline := time.Now().Add(time.Minute); !strings.Contains(said, "has not said who you are") && time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		said = page(y) // or an error, while the browser is on its way from one page to another
	}
	if !strings.Contains(said, "has not said who you are") {
		t.Errorf("the page says %q", said)
	}
}
