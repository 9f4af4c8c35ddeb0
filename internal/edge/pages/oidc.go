// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"context"
	"net/http"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
)

// Elsewhere signs people in through an identity provider. Safe for concurrent use.
type Elsewhere interface {
	// Begin gives where the browser goes, and a secret that it brings back in a cookie.
	Begin(ctx context.Context) (location, browser string, err error)
	// Finish says who came back, once; what does not hold is a problem of kind unauthenticated.
	Finish(ctx context.Context, state, code, browser string) (custody.PersonID, error)
}

// elsewhereCookie holds the browser's secret while it is at the provider. It is sent along when the provider sends the browser back, which SameSite=Strict is not.
const elsewhereCookie = "__Host-strongroom-elsewhere"

// CallbackPath is where the provider sends browsers back to.
const CallbackPath = "/app/sign-in/callback"

// begin is POST /app/sign-in/elsewhere: a post, so that no other site begins a sign-in here.
func (p *Pages) begin(c *call) error {
	if p.cfg.Elsewhere == nil {
		return problem.New(problem.NotFound, "there is no identity provider here; sign in with a passkey")
	}
	if err := p.failures.allow(c.r.RemoteAddr); err != nil {
		return err
	}
	if err := c.read(&struct{}{}); err != nil {
		return err
	}
	to, secret, err := p.cfg.Elsewhere.Begin(c.ctx())
	if err != nil {
		return err
	}
	http.SetCookie(c.w, &http.Cookie{Name: elsewhereCookie, Value: secret, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: 600})
	return c.reply(struct {
		Location string `json:"location"`
	}{to})
}

// callback is GET /app/sign-in/callback. It ends in a page of ours that goes on by itself: a cookie that is SameSite=Strict is not sent along a redirect that began at
// the provider.
func (p *Pages) callback(c *call) error {
	if p.cfg.Elsewhere == nil {
		return problem.New(problem.NotFound, "there is no identity provider here; sign in with a passkey")
	}
	if err := p.failures.allow(c.r.RemoteAddr); err != nil {
		return err
	}
	err := p.cameBack(c)
	if problem.KindOf(err) == problem.Unauthenticated {
		p.failures.count(c.r.RemoteAddr)
	}
	return err
}

func (p *Pages) cameBack(c *call) error {
	q := c.r.URL.Query()
	kept := c.r.CookiesNamed(elsewhereCookie)
	if len(kept) != 1 || len(q["state"]) != 1 || len(q["code"]) != 1 {
		return problem.New(problem.Unauthenticated, "nobody was signed in: this sign-in was not begun in this browser, or was refused; begin again")
	}
	http.SetCookie(c.w, &http.Cookie{Name: elsewhereCookie, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: -1})
	id, err := p.cfg.Elsewhere.Finish(c.ctx(), q.Get("state"), q.Get("code"), kept[0].Value)
	if err != nil {
		return err
	}
	p.people.Forget() // who was revoked just now is not signed in
	who, err := p.people.Person(c.ctx(), id)
	if err != nil && problem.KindOf(err) != problem.Forbidden {
		return err
	}
	if err != nil || who.Kind != policy.Human {
		return problem.New(problem.Unauthenticated, "who you are here is not an active person of this domain")
	}
	if c.session != nil {
		p.sessions.end(c.session)
		c.session = nil
	}
	_, cookie := p.sessions.open(who.ID, "")
	http.SetCookie(c.w, cookie)
	return p.page(c, http.StatusOK, "back.html", "Signed in", nil)
}
