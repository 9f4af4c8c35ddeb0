// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/webauthn"
)

// askLife is how long a request for a further key lives, in seconds, if the rules allow twice as much.
const askLife = 24 * 3600

// askIn is the card of a further passkey, of who is signed in: they ask for it with the one that they have.
type askIn struct {
	Key       request.PublicKey `json:"key"`
	Assertion assertion         `json:"assertion"` // the new key's proof of possession
}

type askOut struct {
	Request   []byte `json:"request"` // canonical
	Challenge []byte `json:"challenge"`
}

// askFor is POST /app/enrol/ask: the request for a further passkey, to be signed. Nothing else can be asked for in a browser.
func (p *Pages) askFor(c *call) error {
	if err := c.need(); err != nil {
		return err
	}
	var in askIn
	if err := c.read(&in); err != nil {
		return err
	}
	k, err := p.people.Known(c.ctx())
	if err != nil {
		return err
	}
	b := request.PersonKeyAddBody{Person: c.session.person, Key: in.Key}
	sig := in.Assertion.encode()
	if _, ok := p.keyOf([]request.PublicKey{in.Key}, b.Message(k.Authority), sig); !ok {
		return problem.New(problem.Unauthenticated, "the new passkey did not sign for %s; begin again", b.Person)
	}
	b.Possession = sig
	r := request.Request{V: 1, Authority: k.Authority, Domain: k.Domain, Initiator: b.Person, Key: random(), Operation: request.PersonKeyAdd, Body: canon.Encode(b),
		NotAfter: p.cfg.Now().Unix() + min(k.Document.Floor.RequestTTL/2, askLife)}
	ch := webauthn.Challenge(canon.Message(canon.TagRequest, r))
	return c.reply(askOut{Request: r.Encode(), Challenge: ch[:]})
}

type submitIn struct {
	Request   []byte    `json:"request"`
	Assertion assertion `json:"assertion"` // of a passkey that the person has
}

type submitOut struct {
	ID string `json:"id"`
}

// submit is POST /app/enrol/submit: the same request, signed.
func (p *Pages) submit(c *call) error {
	if err := c.need(); err != nil {
		return err
	}
	var in submitIn
	if err := c.read(&in); err != nil {
		return err
	}
	r, err := request.Parse(in.Request)
	if err != nil {
		return problem.New(problem.Malformed, "%v", err)
	}
	me := c.session.person
	if r.Operation != request.PersonKeyAdd || r.Initiator != me {
		return problem.New(problem.Forbidden, "here %s asks for a further key of theirs, and for nothing else", me)
	}
	who, err := p.people.Person(c.ctx(), me)
	if err != nil {
		return err
	}
	sig := in.Assertion.encode()
	key, ok := p.keyOf(who.Keys, r.Message(), sig)
	if !ok {
		return problem.New(problem.Unauthenticated, "the passkey is not one that %s has already", me)
	}
	v, err := ask[message.Request](c.ctx(), p, message.MethodSubmit, message.Submit{Request: in.Request, Evidence: request.Evidence{Key: key, Sig: sig}})
	if err != nil {
		return err
	}
	return c.reply(submitOut{ID: v.ID.String()})
}
