// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Logins keeps logins by password and code, which the pages take. Safe for concurrent use.
type Logins interface {
	// Set makes or replaces a person's login, which belongs to an approval key of theirs, and gives the URI that an authenticator program reads. It clears password.
	Set(person custody.PersonID, key request.KeyRef, password []byte) (uri string, err error)
	// Remove ends it; where there is none, nothing is done.
	Remove(person custody.PersonID) error
}

// ownLogin refuses calls that are not signed: a login is made by who has the approval key, not by who has a client certificate.
func (s *Server) ownLogin(c *call) error {
	if s.cfg.Logins == nil {
		return problem.New(problem.Unsupported, "this server takes no passwords (pages.passwords in its configuration)")
	}
	if c.signed == nil {
		return problem.New(problem.Unauthenticated, "sign the call with your approval key (docs/logins.md); a client certificate is not enough for this")
	}
	return nil
}

// setLogin is POST /v1/logins.
func (s *Server) setLogin(c *call) error {
	if err := s.ownLogin(c); err != nil {
		return err
	}
	var in apiv1.LoginIn
	if err := c.read(&in); err != nil {
		return err
	}
	uri, err := s.cfg.Logins.Set(c.by, c.signed.key, in.Password)
	if err != nil {
		return err
	}
	return c.reply(apiv1.LoginView{Person: c.by, URI: uri})
}

// removeLogin is POST /v1/logins/{id}:remove.
func (s *Server) removeLogin(c *call) error {
	if err := s.ownLogin(c); err != nil {
		return err
	}
	if c.id != string(c.by) {
		return problem.New(problem.Forbidden, "people remove their own logins only; a login ends with the key that it belongs to, and with its person")
	}
	if err := s.cfg.Logins.Remove(c.by); err != nil {
		return err
	}
	return c.reply(apiv1.LoginView{Person: c.by})
}
