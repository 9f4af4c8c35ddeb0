// SPDX-License-Identifier: Apache-2.0

package request

import (
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
)

// The operations on the address book beyond [WhitelistAdd] and [WhitelistRemove], and on the blacklist.
const (
	WhitelistSuspend Operation = "whitelist_suspend" // body [WhitelistSuspendBody]
	WhitelistReview  Operation = "whitelist_review"  // body [WhitelistReviewBody]
	BlacklistAdd     Operation = "blacklist_add"     // body [BlacklistAddBody]
	BlacklistRemove  Operation = "blacklist_remove"  // body [BlacklistRemoveBody]
)

// Lists says whether o is on the address book: with an address ledger it changes that, and not the rule document.
func (o Operation) Lists() bool {
	return o == WhitelistAdd || o == WhitelistRemove || o == WhitelistSuspend || o == WhitelistReview
}

// EntryKind says what an entry of the address book is.
type EntryKind string

// EntryKinds lists them.
func EntryKinds() []EntryKind {
	return []EntryKind{"contract", "custodian", "customer", "exchange", "other", "own", "vendor"}
}

// Limits of an entry.
const (
	MaxTags   = 16
	MaxReview = 1000 // entries of one review
	maxReason = 200  // bytes
)

// EntryDetails is what an entry of the address book says besides its address.
type EntryDetails struct {
	Counterparty string
	Expires      int64 // Unix seconds; 0: never
	Kind         EntryKind
	Tags         []string
	Proof        ProofKind
}

// Check says whether the details are well-formed.
func (x EntryDetails) Check() error {
	if x.Counterparty != "" {
		if err := custody.CheckSlug("counterparty", x.Counterparty); err != nil {
			return err
		}
	}
	if x.Proof != "" {
		if err := x.Proof.Check(); err != nil {
			return err
		}
	}
	switch {
	case x.Expires < 0 || x.Expires > maxTime:
		return errors.New("expires must be a time in Unix seconds")
	case x.Kind != "" && !slices.Contains(EntryKinds(), x.Kind):
		return fmt.Errorf("kind %q is none of %v", string(x.Kind), EntryKinds())
	case len(x.Tags) > MaxTags:
		return fmt.Errorf("%d tags, more than %d", len(x.Tags), MaxTags)
	}
	for i, t := range x.Tags {
		if err := custody.CheckSlug("tag", t); err != nil {
			return err
		}
		if i > 0 && x.Tags[i-1] >= t {
			return errors.New("tags must be sorted and distinct")
		}
	}
	return nil
}

// WhitelistSuspendBody asks that nothing be paid to an entry of the address ledger, until a review says otherwise.
type WhitelistSuspendBody struct {
	ID string `cbor:"1,keyasint" json:"id"`
}

// WhitelistReviewBody asks to record that entries were looked at again: they don't expire for another period. With Resume those that are
// suspended are so no longer, and cool off anew.
type WhitelistReviewBody struct {
	IDs    []string `cbor:"1,keyasint" json:"ids"` // sorted, distinct, 1 to [MaxReview]
	Resume bool     `cbor:"2,keyasint,omitempty" json:"resume,omitempty"`
}

// BlacklistAddBody asks that nothing be paid to an address.
type BlacklistAddBody struct {
	Chain   custody.ChainID `cbor:"1,keyasint" json:"chain"`
	Address string          `cbor:"2,keyasint" json:"address"`
	Reason  string          `cbor:"3,keyasint,omitempty" json:"reason,omitempty"`
}

// BlacklistRemoveBody asks to take an address from the blacklist.
type BlacklistRemoveBody struct {
	Chain   custody.ChainID `cbor:"1,keyasint" json:"chain"`
	Address string          `cbor:"2,keyasint" json:"address"`
}

// ListBody is a body that is about the address book.
type ListBody interface {
	Body
	lists()
}

func (*WhitelistAddBody) lists()     {}
func (*WhitelistRemoveBody) lists()  {}
func (*WhitelistSuspendBody) lists() {}
func (*WhitelistReviewBody) lists()  {}

// Details gives what the new entry says besides its address.
func (b *WhitelistAddBody) Details() EntryDetails {
	x := EntryDetails{Counterparty: b.Counterparty, Expires: b.Expires, Kind: b.Kind, Tags: b.Tags}
	if b.Proof != nil {
		x.Proof = b.Proof.Kind
	}
	return x
}

func (b *WhitelistSuspendBody) check() error { return custody.CheckSlug("address-book id", b.ID) }

func (b *WhitelistReviewBody) check() error {
	if len(b.IDs) == 0 || len(b.IDs) > MaxReview {
		return fmt.Errorf("a review names 1 to %d entries, not %d", MaxReview, len(b.IDs))
	}
	for i, id := range b.IDs {
		if err := custody.CheckSlug("address-book id", id); err != nil {
			return err
		}
		if i > 0 && b.IDs[i-1] >= id {
			return errors.New("ids must be sorted and distinct")
		}
	}
	return nil
}

func (b *BlacklistAddBody) check() error {
	if err := checkVisible("reason", b.Reason, maxReason); err != nil {
		return err
	}
	return checkAddress(b.Chain, b.Address)
}

func (b *BlacklistRemoveBody) check() error { return checkAddress(b.Chain, b.Address) }

func checkAddress(c custody.ChainID, address string) error {
	if err := c.Check(); err != nil {
		return err
	}
	_, err := CanonicalAddress(c, address)
	return err
}

// ListEffectsOf gives what an operation does to address book or blacklist; nil for any other.
func ListEffectsOf(o Body) *ListEffects {
	switch b := o.(type) {
	case *WhitelistAddBody:
		return &ListEffects{IDs: []string{b.ID}, Chain: b.Chain, Address: b.Address, Proof: b.Details().Proof, Lookalike: b.Lookalike}
	case *WhitelistRemoveBody:
		return &ListEffects{IDs: []string{b.ID}}
	case *WhitelistSuspendBody:
		return &ListEffects{IDs: []string{b.ID}}
	case *WhitelistReviewBody:
		return &ListEffects{IDs: b.IDs}
	case *BlacklistAddBody:
		return &ListEffects{Chain: b.Chain, Address: b.Address}
	case *BlacklistRemoveBody:
		return &ListEffects{Chain: b.Chain, Address: b.Address}
	default:
		return nil
	}
}
