// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// WithKey gives an active principal a further key, behind those they have. The caller has shown that they ask for it themselves and have the key.
func (d Document) WithKey(profile custody.Profile, b request.PersonKeyAddBody) (Document, error) {
	return d.withKeys(profile, b.Person, func(p *Principal) error {
		if hasKey(p.Keys, b.Key.Ref()) {
			return fmt.Errorf("%w: %s has the key %s already", ErrEdit, b.Person, b.Key.Ref())
		}
		p.Keys = append(p.Keys, b.Key)
		return nil
	})
}

// WithoutKey takes a key from an active principal who keeps at least one.
func (d Document) WithoutKey(profile custody.Profile, b request.PersonKeyRemoveBody) (Document, error) {
	return d.withKeys(profile, b.Person, func(p *Principal) error {
		switch {
		case !hasKey(p.Keys, b.Key):
			return fmt.Errorf("%w: %s has no key %s", ErrEdit, b.Person, b.Key)
		case len(p.Keys) == 1:
			return fmt.Errorf("%w: %s is the last key of %s; revoke the person instead, or add another key first", ErrEdit, b.Key, b.Person)
		}
		p.Keys = slices.DeleteFunc(p.Keys, func(k request.PublicKey) bool { return k.Ref() == b.Key })
		return nil
	})
}

func (d Document) withKeys(profile custody.Profile, who custody.PersonID, change func(*Principal) error) (Document, error) {
	n := d.next()
	i := slices.IndexFunc(n.Principals, func(p Principal) bool { return p.ID == who })
	switch {
	case i < 0:
		return Document{}, fmt.Errorf("%w: principal %s is not in the document", ErrEdit, who)
	case !n.Principals[i].Active:
		return Document{}, fmt.Errorf("%w: principal %s is revoked; their keys stay as they are", ErrEdit, who)
	}
	if err := change(&n.Principals[i]); err != nil {
		return Document{}, err
	}
	return n.checked(profile)
}

// hasKey says whether a key is among keys. Its name covers algorithm, key and, of a passkey, relying party and origin.
func hasKey(keys []request.PublicKey, k request.KeyRef) bool {
	return slices.ContainsFunc(keys, func(o request.PublicKey) bool { return o.Ref() == k })
}
