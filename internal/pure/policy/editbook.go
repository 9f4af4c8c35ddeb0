// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// EntryOf gives the entry that a whitelist_add asks for.
func EntryOf(b request.WhitelistAddBody) BookEntry {
	x := b.Details()
	return BookEntry{ID: b.ID, Chain: b.Chain, Address: b.Address, Counterparty: x.Counterparty, Proof: x.Proof, Expires: x.Expires, Kind: x.Kind, Tags: x.Tags}
}

// WithBlocked puts an address on the blacklist.
func (d Document) WithBlocked(profile custody.Profile, b request.BlacklistAddBody) (Document, error) {
	x := Blocked{Chain: b.Chain, Address: b.Address, Reason: b.Reason}
	if _, ok := slices.BinarySearchFunc(d.Blacklist, x, byAddress); ok {
		return Document{}, fmt.Errorf("%w: %s is on the blacklist already", ErrEdit, b.Address)
	}
	n := d.next()
	n.Blacklist = insert(n.Blacklist, x, byAddress)
	return n.checked(profile)
}

// WithoutBlocked takes an address from the blacklist.
func (d Document) WithoutBlocked(profile custody.Profile, b request.BlacklistRemoveBody) (Document, error) {
	i, ok := slices.BinarySearchFunc(d.Blacklist, Blocked{Chain: b.Chain, Address: b.Address}, byAddress)
	if !ok {
		return Document{}, fmt.Errorf("%w: %s is not on the blacklist", ErrEdit, b.Address)
	}
	n := d.next()
	n.Blacklist = slices.Delete(n.Blacklist, i, i+1)
	return n.checked(profile)
}
