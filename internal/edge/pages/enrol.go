// SPDX-License-Identifier: Apache-2.0

package pages

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/webauthn"
)

// maxGroups is how many groups an enrolment card may name.
const maxGroups = 20

// newPerson is what a passkey is made for: somebody new, who joins groups, or a person who exists.
type newPerson struct {
	Person  custody.PersonID  `json:"person"`
	Groups  []custody.GroupID `json:"groups,omitempty"` // sorted, distinct; of somebody new
	Further bool              `json:"further"`          // the person exists: this is another key of theirs
}

func (n newPerson) check() error {
	if err := n.Person.Check(); err != nil {
		return problem.New(problem.Malformed, "%v", err)
	}
	if n.Further && len(n.Groups) > 0 || len(n.Groups) > maxGroups {
		return problem.New(problem.Malformed, "a further key names no groups, a new person %d at most", maxGroups)
	}
	for i, g := range n.Groups {
		if err := g.Check(); err != nil {
			return problem.New(problem.Malformed, "%v", err)
		}
		if i > 0 && n.Groups[i-1] >= g {
			return problem.New(problem.Malformed, "groups must be sorted and distinct")
		}
	}
	return nil
}

// message is what the new key signs.
func (n newPerson) message(a custody.AuthorityID, k request.PublicKey) []byte {
	if n.Further {
		return request.PersonKeyAddBody{Person: n.Person, Key: k}.Message(a)
	}
	return request.PersonEnrolBody{Person: n.Person, Kind: "human", Key: k, Groups: n.Groups}.EnrolMessage(a)
}

// enrol is GET /app/enrol: is it somebody new, or a further key?
func (p *Pages) enrol(c *call) error {
	return p.page(c, http.StatusOK, "enrol.html", "Make a passkey", nil)
}

// enrolMake is GET /app/enrol/make?groups=… for somebody new, or ?person=… for a further key. The address holds no secret: what comes out of it counts
// when people approve it.
func (p *Pages) enrolMake(c *call) error {
	q := c.r.URL.Query()
	n := newPerson{Person: custody.PersonID(strings.TrimSpace(q.Get("person"))), Further: q.Get("person") != ""}
	if !n.Further {
		var b [10]byte
		rand.Read(b[:])
		n.Person = custody.PersonID("p_" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:])))
		for _, g := range strings.FieldsFunc(strings.Join(q["groups"], " "), func(r rune) bool { return r == ' ' || r == ',' }) {
			n.Groups = append(n.Groups, custody.GroupID(g))
		}
		slices.Sort(n.Groups)
		n.Groups = slices.Compact(n.Groups)
	}
	if err := n.check(); err != nil {
		return err
	}
	k, err := p.people.Known(c.ctx())
	if err != nil {
		return err
	}
	return p.page(c, http.StatusOK, "make.html", "Make a passkey", struct {
		newPerson
		List   string // of groups, for the script
		Domain custody.DomainID
	}{n, joined(n.Groups), k.Domain})
}

func joined(ids []custody.GroupID) string {
	out := make([]string, len(ids))
	for i, g := range ids {
		out[i] = string(g)
	}
	return strings.Join(out, " ")
}

// enrolKeyIn is the public key of a new passkey, as the browser gives it.
type enrolKeyIn struct {
	Who  newPerson `json:"who"`
	SPKI []byte    `json:"spki"` // SubjectPublicKeyInfo, DER (RFC 5280)
}

type enrolKeyOut struct {
	Key       request.PublicKey `json:"key"`
	Ref       request.KeyRef    `json:"ref"`
	Challenge []byte            `json:"challenge"` // for the proof that its holder has it
}

// enrolKey is POST /app/enrol/key.
func (p *Pages) enrolKey(c *call) error {
	var in enrolKeyIn
	if err := p.step(c, &in); err != nil {
		return err
	}
	k, err := p.publicKey(in.SPKI)
	if err != nil {
		return problem.New(problem.Malformed, "the new passkey: %v", err)
	}
	if err := in.Who.check(); err != nil {
		return err
	}
	known, err := p.people.Known(c.ctx())
	if err != nil {
		return err
	}
	ch := webauthn.Challenge(in.Who.message(known.Authority, k))
	return c.reply(enrolKeyOut{Key: k, Ref: k.Ref(), Challenge: ch[:]})
}

// step reads a step of an enrolment, of which strangers may do so many.
func (p *Pages) step(c *call, in any) error {
	if err := p.cards.allow(c.r.RemoteAddr); err != nil {
		return err
	}
	p.cards.count(c.r.RemoteAddr)
	return c.read(in)
}

// publicKey gives a passkey of these pages.
func (p *Pages) publicKey(spki []byte) (request.PublicKey, error) {
	k := request.PublicKey{RP: p.cfg.Relying.ID, Origin: p.cfg.Relying.Origin}
	pub, err := x509.ParsePKIXPublicKey(spki)
	if err != nil {
		return k, fmt.Errorf("its public key can't be read: %w", err)
	}
	switch pub := pub.(type) {
	case ed25519.PublicKey:
		k.Alg, k.Pub = request.PasskeyEd25519, pub
	case *ecdsa.PublicKey:
		raw, err := pub.Bytes()
		if err != nil || pub.Curve != elliptic.P256() {
			return k, fmt.Errorf("its key is on another curve than P-256")
		}
		k.Alg, k.Pub = request.PasskeyP256, append([]byte{2 + raw[64]&1}, raw[1:33]...)
	default:
		return k, fmt.Errorf("its key is neither of P-256 nor Ed25519")
	}
	return k, k.Check()
}

type enrolCardIn struct {
	Who       newPerson         `json:"who"`
	Key       request.PublicKey `json:"key"`
	Assertion assertion         `json:"assertion"`
}

// enrolCardOut is a file that the person hands in: 'strongroom person enrol' and 'strongroom person add-key' read it.
type enrolCardOut struct {
	Name string `json:"name"`
	Card string `json:"card"`
}

// enrolCard is POST /app/enrol/card.
func (p *Pages) enrolCard(c *call) error {
	var in enrolCardIn
	if err := p.step(c, &in); err != nil {
		return err
	}
	if err := in.Who.check(); err != nil {
		return err
	}
	known, err := p.people.Known(c.ctx())
	if err != nil {
		return err
	}
	sig := in.Assertion.encode()
	if _, ok := p.keyOf([]request.PublicKey{in.Key}, in.Who.message(known.Authority, in.Key), sig); !ok {
		return problem.New(problem.Unauthenticated, "the passkey did not sign for exactly this; begin again")
	}
	var card any = struct {
		Authority  string            `json:"authority"`
		Person     custody.PersonID  `json:"person"`
		Kind       string            `json:"kind"`
		Key        request.PublicKey `json:"key"`
		Groups     []custody.GroupID `json:"groups,omitempty"`
		Possession []byte            `json:"possession"`
	}{known.Authority.String(), in.Who.Person, "human", in.Key, in.Who.Groups, sig}
	if in.Who.Further {
		card = struct {
			Operation  request.Operation `json:"operation"`
			Authority  string            `json:"authority"`
			Person     custody.PersonID  `json:"person"`
			Key        request.PublicKey `json:"key"`
			Possession []byte            `json:"possession"`
		}{request.PersonKeyAdd, known.Authority.String(), in.Who.Person, in.Key, sig}
	}
	b, err := json.MarshalIndent(card, "", "  ")
	if err != nil {
		return fmt.Errorf("write card: %w", err)
	}
	return c.reply(enrolCardOut{Name: "passkey-" + string(in.Key.Ref()[:8]) + ".json", Card: string(b) + "\n"})
}
