// SPDX-License-Identifier: Apache-2.0

package request

import (
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// The operations on the keys of people and services who exist.
const (
	PersonKeyAdd    Operation = "person_key_add"    // body [PersonKeyAddBody]
	PersonKeyRemove Operation = "person_key_remove" // body [PersonKeyRemoveBody]
)

// PersonKeyAddBody asks for a further key of its initiator: with a key they have they ask for the next, so that nobody else, whatever their number,
// puts a key under a person's name. Possession is the new key's signature over the body without it, under [canon.TagKeyAdd].
type PersonKeyAddBody struct {
	Person     custody.PersonID `cbor:"1,keyasint" json:"person"` // the initiator
	Key        PublicKey        `cbor:"2,keyasint" json:"key"`
	Possession []byte           `cbor:"3,keyasint,omitempty" json:"possession,omitempty"`
}

// PersonKeyRemoveBody asks to end a key: no approval or evidence by it counts from then on. A person's last key is not removed; [PersonRevokeBody]
// ends the person.
type PersonKeyRemoveBody struct {
	Person custody.PersonID `cbor:"1,keyasint" json:"person"`
	Key    KeyRef           `cbor:"2,keyasint" json:"key"`
}

// Message is what the new key signs to show that its holder has it.
func (b PersonKeyAddBody) Message(a custody.AuthorityID) []byte {
	b.Possession = nil
	return canon.Message(canon.TagKeyAdd, struct {
		A custody.AuthorityID `cbor:"1,keyasint"`
		B PersonKeyAddBody    `cbor:"2,keyasint"`
	}{a, b})
}

func (b *PersonKeyAddBody) check() error {
	if err := b.Person.Check(); err != nil {
		return err
	}
	if err := b.Key.Check(); err != nil {
		return err
	}
	if err := CheckSig(b.Possession); err != nil {
		return fmt.Errorf("possession: %w; the new key signs that it is asked for", err)
	}
	return nil
}

func (b *PersonKeyRemoveBody) check() error {
	if err := b.Person.Check(); err != nil {
		return err
	}
	return b.Key.Check()
}
