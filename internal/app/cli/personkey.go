// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"strongroom/client"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// keyCard is what a person makes with a further key, here or in a browser, to ask for it. The signature binds all of it and the domain.
type keyCard struct {
	Operation  request.Operation `json:"operation"` // person_key_add, so that it is not taken for an enrolment
	Authority  string            `json:"authority"`
	Person     custody.PersonID  `json:"person"`
	Key        request.PublicKey `json:"key"`
	Possession []byte            `json:"possession"`
}

func (n keyCard) body() *client.PersonKeyAdd {
	return &client.PersonKeyAdd{Person: n.Person, Key: n.Key, Possession: n.Possession}
}

type personAddKey struct {
	File string `arg:"" help:"The card that the pages of serve gave you, or what 'strongroom person prepare --further' wrote."`
	asking
}

// Run asks.
func (c *personAddKey) Run(e *env) error {
	var n keyCard
	if err := readJSON(c.File, &n); err != nil {
		return fmt.Errorf("%s: %w", c.File, err)
	}
	if n.Operation != request.PersonKeyAdd {
		return fmt.Errorf("%s is for %q, not %q", c.File, string(n.Operation), request.PersonKeyAdd)
	}
	a, err := e.authorityOf(c.File, n.Authority)
	if err != nil {
		return err
	}
	if !n.Key.Verify(n.body().Message(a), n.Possession) {
		return fmt.Errorf("%s does not show that %s has the key; make the card again", c.File, n.Person)
	}
	return c.ask(e, n.body())
}

// authorityOf gives the authority that we work with, which must be the one that a card names.
func (e *env) authorityOf(file, named string) (client.AuthorityID, error) {
	d, err := e.domain()
	if err != nil {
		return client.AuthorityID{}, err
	}
	if named != d.Authority {
		return client.AuthorityID{}, fmt.Errorf("%s is for the authority %s, not %s; prepare it with the right --domain", file, named, d.Authority)
	}
	a, _, err := d.ids()
	return a, err
}

type personRemoveKey struct {
	Person string `arg:"" help:"Person id, p_…"`
	Key    string `arg:"" help:"Key id, 32 hex digits; 'strongroom person list' shows it."`
	asking
}

// Run asks.
func (c *personRemoveKey) Run(e *env) error {
	return c.ask(e, &client.PersonKeyRemove{Person: custody.PersonID(c.Person), Key: client.KeyRef(c.Key)})
}
