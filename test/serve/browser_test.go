// SPDX-License-Identifier: Apache-2.0

package serve

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"strongroom/internal/app/words"
	"strongroom/internal/edge/oidc"
	"strongroom/internal/edge/oidc/oidctest"
	"strongroom/internal/edge/pages"
	"strongroom/internal/edge/passwords"
	"strongroom/internal/edge/rest"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
	relying "strongroom/internal/pure/webauthn"
)

// inWords is package words, as the pages want it.
type inWords struct{}

func (inWords) Body(b request.Body, source string) []string { return words.Body(b, source) }

func (inWords) Signing(e request.Effects) []string { return words.Signing(e) }

func (inWords) Groups(b []byte) string { return words.Groups(b) }

// lying alters what the pages are told of requests, as whoever broke into serve can.
type lying struct {
	door
	h *house
}

func (l lying) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	b, err := l.door.Call(ctx, method, body)
	lie := l.h.lies.Load()
	var v message.Request
	if err != nil || lie == nil || method != message.MethodRequest {
		return b, err
	}
	if err := canon.Decode(b, &v); err != nil {
		return nil, err
	}
	(*lie)(&v)
	return canon.Encode(v), nil
}

func (h *house) pages(d door, at net.Addr, log *slog.Logger) *pages.Pages {
	h.t.Helper()
	_, port, err := net.SplitHostPort(at.String())
	if err != nil {
		h.t.Fatal(err)
	}
	h.origin = "https://localhost:" + port
	var core gate.Door = lying{d, h}
	if h.logins, err = passwords.Open(passwords.Config{Dir: h.dir, Now: h.now, Memory: 64}); err != nil {
		h.t.Fatal(err)
	}
	h.provider = oidctest.New(h.t, h.now)
	elsewhere, err := oidc.New(oidc.Config{Issuer: h.provider.URL, ClientID: oidctest.ClientID, Secret: oidctest.Secret, Redirect: h.origin + pages.CallbackPath,
		People: map[string]custody.PersonID{"subject-1": h.core.Bob.ID}, Now: h.now, Client: h.provider.Client()})
	if err != nil {
		h.t.Fatal(err)
	}
	p, err := pages.New(pages.Config{Elsewhere: elsewhere, Passwords: h.logins, Core: core, Relying: relying.Relying{ID: "localhost", Origin: h.origin}, Words: inWords{}, Status: rest.Status, Log: log, Now: h.now})
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

// spki names serve's certificate, so that the browser takes this one though it does not know the authority.
func (h *house) spki() string {
	h.t.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(h.url, "https://"), &tls.Config{InsecureSkipVerify: true}) // to read it; this is our own test's server
	if err != nil {
		h.t.Fatal(err)
	}
	defer c.Close()
	return spkiOf(c.ConnectionState().PeerCertificates[0])
}

func spkiOf(c *x509.Certificate) string {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// chromium starts a browser of its own for a test. What it has to say against our pages fails the test.
func (h *house) chromium() context.Context {
	h.t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		h.t.Fatal("chromium is not installed; 'scripts/setup test' installs it")
	}
	alloc, stop := chromedp.NewExecAllocator(h.t.Context(), chromedp.ExecPath(path), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun,
		chromedp.UserDataDir(h.t.TempDir()), chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("ignore-certificate-errors-spki-list", h.spki()+","+spkiOf(h.provider.Certificate())), chromedp.WSURLReadTimeout(time.Minute))
	h.t.Cleanup(stop)
	ctx, _ := chromedp.NewContext(alloc, chromedp.WithErrorf(h.t.Logf))
	if err := chromedp.Do(ctx); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = chromedp.Cancel(ctx) }) // waits for the browser to end; its folder is removed after that
	return ctx
}

// tab is a person's browser: cookies of its own, and an authenticator of its own.
type tab struct {
	h   *house
	ctx context.Context
	key webauthn.AuthenticatorID

	mu     sync.Mutex
	faults []string // what the browser says against our pages
}

func (h *house) tab(browser context.Context) *tab {
	h.t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	h.t.Cleanup(cancel)
	x := &tab{h: h, ctx: ctx}
	if err := errors.Join(chromedp.Do(ctx), chromedp.Listen(ctx, x.heard)); err != nil { // the first call's context is the tab's life: no timeout
		h.t.Fatal(err)
	}
	tell(x, log.Enable, cdp.Empty{})
	tell(x, runtime.Enable, cdp.Empty{})
	tell(x, webauthn.Enable, webauthn.EnableParams{})
	x.key = tell(x, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true, HasUserVerification: true,
		IsUserVerified: true, AutomaticPresenceSimulation: true}}).AuthenticatorID
	return x
}

// heard keeps what the browser says against our pages.
func (x *tab) heard(ev any) {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch e := ev.(type) {
	case *runtime.EventExceptionThrown:
		x.faults = append(x.faults, e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		if e.Entry.Source == log.EntrySourceSecurity || strings.Contains(e.Entry.Text, "Content Security Policy") || strings.Contains(e.Entry.Text, "Trusted") {
			x.faults = append(x.faults, e.Entry.Text)
		}
	}
}

// tell gives the browser a command.
func tell[P, R any](x *tab, cmd cdp.Command[P, R], in P) R {
	x.h.t.Helper()
	out, err := chromedp.Call(x.ctx, cmd, in)
	if err != nil {
		x.h.t.Fatalf("%s: %v", cmd.Method, err)
	}
	return out
}

// run does things, for a minute at most.
func (x *tab) run(acts ...chromedp.Action[chromedp.Void]) {
	x.h.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, acts...); err != nil {
		x.h.t.Fatalf("%v; the page says %q", err, page(x))
	}
}

// eval gives the value of an expression, whose promise is waited for.
func eval[T any](x *tab, expression string) T {
	x.h.t.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, time.Minute)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		x.h.t.Fatalf("%s: %v; the page says %q", expression, err, page(x))
	}
	return v
}

// page gives what the page says, for an error.
func page(x *tab) string {
	ctx, cancel := context.WithTimeout(x.ctx, time.Minute)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.body.innerText`))
	if err != nil {
		return err.Error()
	}
	return text
}

func (x *tab) visit(path string) { x.h.t.Helper(); x.run(chromedp.Navigate(x.h.origin + path)) }

func (x *tab) text(id string) string {
	x.h.t.Helper()
	return eval[string](x, fmt.Sprintf(`document.getElementById(%q).textContent`, id))
}

// told waits until the page says something other than that the device asks, which must begin so, and gives all of it.
func (x *tab) told(begin string) string {
	x.h.t.Helper()
	said := eval[string](x, `new Promise(done => {
		const e = document.getElementById("says");
		const look = () => { if (e.textContent && !e.textContent.startsWith("Your device asks")) done(e.textContent); };
		new MutationObserver(look).observe(e, {childList: true, characterData: true, subtree: true});
		look();
	})`)
	if !strings.HasPrefix(said, begin) {
		x.h.t.Fatalf("the page says %q, want %q", said, begin)
	}
	return said
}

// signIn signs in from the keyboard.
func (x *tab) signIn() {
	x.h.t.Helper()
	x.visit("/app/")
	x.run(chromedp.WaitEnabled(chromedp.CSS("#sign-in")), chromedp.Focus(chromedp.CSS("#sign-in")), chromedp.KeyEvent("\r"), chromedp.WaitEnabled(chromedp.CSS("#sign-out")))
}

// decide presses a button on a request's page and gives what the page then says.
func (x *tab) decide(id string, d request.Decision, begin string) string {
	x.h.t.Helper()
	x.visit("/app/requests/" + id)
	x.run(chromedp.Click(chromedp.CSS(fmt.Sprintf(`button[data-decision=%q]:enabled`, string(d)))))
	return x.told(begin)
}

// clean fails the test if the browser had something against our pages.
func (x *tab) clean() {
	x.h.t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.faults {
		x.h.t.Errorf("the browser says: %s", f)
	}
}
