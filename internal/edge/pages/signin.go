// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"sync"
	"time"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/webauthn"
)

// TicketLife is how long a challenge to sign in is good, once.
const TicketLife = 2 * time.Minute

// signInMessage is what a passkey signs to sign in, under [canon.TagSignIn]. It can't be taken for an approval, which has another tag.
type signInMessage struct {
	Domain custody.DomainID `cbor:"1,keyasint"`
	Nonce  [32]byte         `cbor:"2,keyasint"`
	End    int64            `cbor:"3,keyasint"` // Unix nanoseconds
}

const (
	nonceSize  = 32
	ticketSize = nonceSize + 8 + sha256.Size
)

// tickets are challenges. A ticket says itself, under a MAC, what it is, so that strangers who ask for them fill no memory; those that were used to
// sign in are remembered until they end. Safe for concurrent use.
type tickets struct {
	now func() time.Time
	key [32]byte // of the MAC; of this process only

	mu   sync.Mutex // guards used
	used map[[nonceSize]byte]time.Time
}

func newTickets(now func() time.Time) *tickets {
	t := &tickets{now: now, used: map[[nonceSize]byte]time.Time{}}
	rand.Read(t.key[:])
	return t
}

func (t *tickets) mac(b []byte) []byte {
	m := hmac.New(sha256.New, t.key[:])
	m.Write(b)
	return m.Sum(nil)
}

// issue makes a ticket.
func (t *tickets) issue() []byte {
	b := make([]byte, nonceSize, ticketSize)
	rand.Read(b)
	b = binary.BigEndian.AppendUint64(b, uint64(t.now().Add(TicketLife).UnixNano()))
	return append(b, t.mac(b)...)
}

// message gives what a ticket has a passkey sign.
func (t *tickets) message(d custody.DomainID, ticket []byte) ([]byte, error) {
	if len(ticket) != ticketSize || !hmac.Equal(t.mac(ticket[:nonceSize+8]), ticket[nonceSize+8:]) {
		return nil, problem.New(problem.Unauthenticated, "the challenge is not one of ours; sign in again")
	}
	m := signInMessage{Domain: d, Nonce: [nonceSize]byte(ticket), End: int64(binary.BigEndian.Uint64(ticket[nonceSize:]))}
	if left := time.Unix(0, m.End).Sub(t.now()); left <= 0 || left > TicketLife {
		return nil, problem.New(problem.Expired, "the challenge is older than %d minutes; sign in again", int(TicketLife/time.Minute))
	}
	return canon.Message(canon.TagSignIn, m), nil
}

// use uses a ticket up, once. Tickets that have ended are forgotten on the way.
func (t *tickets) use(ticket []byte) error {
	now := t.now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for n, end := range t.used {
		if !now.Before(end) {
			delete(t.used, n)
		}
	}
	n := [nonceSize]byte(ticket)
	if _, ok := t.used[n]; ok {
		return problem.New(problem.Unauthenticated, "the challenge was used already; sign in again")
	}
	t.used[n] = now.Add(TicketLife)
	return nil
}

// assertion is what navigator.credentials.get gave, bytes in base64.
type assertion struct {
	AuthData   []byte `json:"authData"`
	ClientData []byte `json:"clientData"`
	Signature  []byte `json:"signature"`
}

func (a assertion) encode() []byte {
	return webauthn.Assertion{AuthData: a.AuthData, ClientData: a.ClientData, Sig: a.Signature}.Encode()
}

// keyOf finds the passkey of these pages with which a person signed a message.
func (p *Pages) keyOf(keys []request.PublicKey, message, sig []byte) (request.KeyRef, bool) {
	for _, k := range keys {
		if k.RP == p.cfg.Relying.ID && k.Origin == p.cfg.Relying.Origin && k.Verify(message, sig) {
			return k.Ref(), true
		}
	}
	return "", false
}

// ticketOut is a challenge: what the browser is given, and what it gives back beside the signature.
type ticketOut struct {
	Ticket    []byte `json:"ticket"`
	Challenge []byte `json:"challenge"`
}

// challenge is POST /app/sign-in/challenge.
func (p *Pages) challenge(c *call) error {
	if err := c.read(&struct{}{}); err != nil {
		return err
	}
	k, err := p.people.Known(c.ctx())
	if err != nil {
		return err
	}
	t := p.tickets.issue()
	m, err := p.tickets.message(k.Domain, t)
	if err != nil {
		return err
	}
	ch := webauthn.Challenge(m)
	return c.reply(ticketOut{Ticket: t, Challenge: ch[:]})
}

type signInIn struct {
	Ticket    []byte           `json:"ticket"`
	Person    custody.PersonID `json:"person"` // the user handle of the passkey
	Assertion assertion        `json:"assertion"`
}

// signIn is POST /app/sign-in. A stranger is not told whether a person exists.
func (p *Pages) signIn(c *call) error {
	if err := p.failures.allow(c.r.RemoteAddr); err != nil {
		return err
	}
	var in signInIn
	err := c.read(&in)
	if err == nil {
		err = p.signInWith(c, in)
	}
	switch problem.KindOf(err) {
	case problem.Unauthenticated, problem.Malformed, problem.Expired:
		p.failures.count(c.r.RemoteAddr)
	}
	return err
}

func (p *Pages) signInWith(c *call, in signInIn) error {
	p.people.Forget() // a key that was enrolled or removed just now counts
	k, err := p.people.Known(c.ctx())
	if err != nil {
		return err
	}
	m, err := p.tickets.message(k.Domain, in.Ticket)
	if err != nil {
		return err
	}
	who, err := k.Person(in.Person) // of nobody, the keys are none
	ref, ok := p.keyOf(who.Keys, m, in.Assertion.encode())
	if err != nil || !ok {
		return problem.New(problem.Unauthenticated, "this passkey opens nothing here: it is not enrolled, or was removed, or its person was revoked")
	}
	if err := p.tickets.use(in.Ticket); err != nil {
		return err
	}
	if c.session != nil {
		p.sessions.end(c.session)
	}
	_, cookie := p.sessions.open(who.ID, ref)
	http.SetCookie(c.w, cookie)
	return c.reply(struct{}{})
}

// signOut is POST /app/sign-out.
func (p *Pages) signOut(c *call) error {
	if err := c.need(); err != nil {
		return err
	}
	if err := c.read(&struct{}{}); err != nil {
		return err
	}
	p.sessions.end(c.session)
	gone := cookie("")
	gone.MaxAge = -1
	http.SetCookie(c.w, gone)
	return c.reply(struct{}{})
}
