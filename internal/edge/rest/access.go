// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"net/http"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// access is what services may do with an operation. A service has one task and often lies open to the network: it sees its own requests
// and what it needs for them, not the rules, the log and other people's business.
type access uint8

const (
	peopleOnly access = iota
	ownOnly           // where it is about the service's own requests, or itself
	everybody
)

// identify finds out who calls, and whether they may.
func (s *Server) identify(c *call) error {
	switch site := c.r.Header.Get("Sec-Fetch-Site"); site {
	case "", "same-origin", "none": // no browser, or not at the wish of another site
	default:
		return problem.New(problem.Forbidden, "calls that another site makes a browser do (Sec-Fetch-Site: %.20q) are refused", site)
	}
	if err := s.name(c); err != nil {
		return err
	}
	p, err := s.people.Person(c.ctx(), c.by)
	if err != nil {
		return err
	}
	c.service = p.Kind != policy.Human
	if c.service && c.op.services == peopleOnly {
		return problem.New(problem.Forbidden, "services may not call %s; a person may", c.op.id)
	}
	return c.mayUse(p)
}

// name takes who calls from the client certificate, from the signature of the call (RFC 9421) or, for reading, from the cookie of who signed in to the pages: a browser sends a cookie along
// whatever a page of ours was made to ask, so that no act rests on it.
func (s *Server) name(c *call) error {
	if signed(c.r) {
		if err := s.verify(c); err != nil {
			return err
		}
	}
	if state := c.r.TLS; state != nil && len(state.VerifiedChains) > 0 {
		by := custody.PersonID(state.PeerCertificates[0].Subject.CommonName)
		if err := by.Check(); err != nil {
			return problem.New(problem.Unauthenticated, "the client certificate names no person")
		}
		if c.signed != nil && c.by != by {
			return problem.New(problem.Forbidden, "the call is signed by %s, and the client certificate is of %s", c.by, by)
		}
		c.by = by
		return nil
	}
	if c.signed != nil {
		return nil
	}
	if s.cfg.Pages != nil {
		c.by = s.cfg.Pages.Person(c.r)
	}
	switch {
	case c.by == "":
		return problem.New(problem.Unauthenticated, "show a client certificate, which 'strongroom person certificate' gets, or sign the call (docs/logins.md)")
	case c.op.method != http.MethodGet:
		return problem.New(problem.Forbidden, "who signed in with a browser may read here; for anything else show a client certificate")
	}
	return nil
}

// errOthers is what a service gets that asks for what is not its own.
func errOthers() error {
	return problem.New(problem.Forbidden, "services see and act on their own requests only")
}

// owner reads a request and refuses a service that did not make it.
func (s *Server) owner(c *call, id custody.RequestID) (message.Request, error) {
	v, err := ask[message.Request](c.ctx(), s.cfg.Core, message.MethodRequest, message.ByID{ID: id})
	if err != nil {
		return v, about(id, err)
	}
	r, err := initiated(v)
	if err == nil {
		err = c.mayReadOf(r.Initiator)
	}
	return v, err
}

// mayReadOf refuses what somebody else asked for: to a service, and to a person whose roles do not show it.
func (c *call) mayReadOf(initiator custody.PersonID) error {
	switch {
	case initiator == c.by:
		return nil
	case c.service:
		return errOthers()
	case !c.others:
		return errRole(c.by, policy.VerbRequests)
	}
	return nil
}

// own refuses a service, or a person without the role for it, that did not make a request.
func (s *Server) own(c *call, id custody.RequestID) error {
	if !c.service && c.others {
		return nil
	}
	_, err := s.owner(c, id)
	return err
}

// initiated reads what was asked for.
func initiated(v message.Request) (request.Request, error) {
	r, err := request.Decode(v.Request)
	if err != nil {
		return r, problem.Wrap(problem.Internal, err, "the core's record of request %s can't be read", v.ID)
	}
	return r, nil
}
