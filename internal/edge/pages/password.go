// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"net/http"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Passwords are logins by password and code. Safe for concurrent use.
type Passwords interface {
	// Check gives the key that the login belongs to, or a problem of kind unauthenticated that does not say what was wrong. It clears password.
	Check(person custody.PersonID, password []byte, code string) (request.KeyRef, error)
}

// signInView is what the page to sign in shows.
type signInView struct{ Passwords, Elsewhere bool }

type passwordIn struct {
	Person   custody.PersonID `json:"person"`
	Password []byte           `json:"password"` // UTF-8, in base64
	Code     string           `json:"code"`
}

// signInByPassword is POST /app/sign-in/password. Who signs in so may read, as with a passkey; each decision is signed by a passkey all the same.
func (p *Pages) signInByPassword(c *call) error {
	if p.cfg.Passwords == nil {
		return problem.New(problem.NotFound, "there are no passwords here; sign in with a passkey")
	}
	if err := p.failures.allow(c.r.RemoteAddr); err != nil {
		return err
	}
	var in passwordIn
	err := c.read(&in)
	if err == nil {
		err = p.passwordWith(c, in)
	}
	switch problem.KindOf(err) {
	case problem.Unauthenticated, problem.Malformed:
		p.failures.count(c.r.RemoteAddr)
	}
	return err
}

func (p *Pages) passwordWith(c *call, in passwordIn) error {
	ref, err := p.cfg.Passwords.Check(in.Person, in.Password, in.Code)
	if err != nil {
		return err
	}
	p.people.Forget() // a key that was removed just now counts no more
	k, err := p.people.Known(c.ctx())
	if err != nil {
		return err
	}
	by, _, ok := k.Key(ref)
	who, err := k.Person(in.Person)
	if err != nil || !ok || by != in.Person || who.Kind != policy.Human {
		return problem.New(problem.Unauthenticated, "this login has ended with the key that it belonged to; make another one with 'strongroom login set'")
	}
	if c.session != nil {
		p.sessions.end(c.session)
	}
	_, cookie := p.sessions.open(who.ID, ref)
	http.SetCookie(c.w, cookie)
	return c.reply(struct{}{})
}
