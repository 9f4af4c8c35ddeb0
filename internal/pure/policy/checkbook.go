// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// checkEntry checks what an entry of the address book says besides its address.
func (d Document) checkEntry(e BookEntry) error {
	if e.Counterparty != "" && !d.knows(e.Counterparty) {
		return fmt.Errorf("counterparty %q is not in the document", e.Counterparty)
	}
	return e.details().Check()
}

func (e BookEntry) details() request.EntryDetails {
	return request.EntryDetails{Counterparty: e.Counterparty, Expires: e.Expires, Kind: e.Kind, Tags: e.Tags, Proof: e.Proof}
}

func (d Document) checkCounterparties() error {
	if len(d.Counterparties) > MaxCounterparties {
		return fmt.Errorf("has %d counterparties, more than %d", len(d.Counterparties), MaxCounterparties)
	}
	for i, c := range d.Counterparties {
		if err := custody.CheckSlug("counterparty", c.ID); err != nil {
			return err
		}
		if i > 0 && d.Counterparties[i-1].ID >= c.ID {
			return fmt.Errorf("counterparties must be sorted by id and distinct: %s comes after %s", c.ID, d.Counterparties[i-1].ID)
		}
		if err := cmp.Or(checkText("title", c.Title, MaxTitle), checkCountry(c.Jurisdiction)); err != nil {
			return inItem("counterparties", "counterparty", c.ID, err)
		}
		if c.VASP != "" {
			if err := oneOf(c.VASP, VASPs()); err != nil {
				return inItem("counterparties", "counterparty", c.ID, fmt.Errorf("vaspStatus: %w", err))
			}
		}
	}
	return nil
}

func checkCountry(s string) error {
	if s != "" && (len(s) != 2 || s[0] < 'A' || s[0] > 'Z' || s[1] < 'A' || s[1] > 'Z') {
		return fmt.Errorf("jurisdiction %q: want two capitals, as ISO 3166 has them", s)
	}
	return nil
}

func (d Document) checkBlacklist() error {
	if len(d.Blacklist) > MaxBlacklist {
		return fmt.Errorf("has %d blocked addresses, more than %d", len(d.Blacklist), MaxBlacklist)
	}
	for i, b := range d.Blacklist {
		if i > 0 && byAddress(d.Blacklist[i-1], b) >= 0 {
			return fmt.Errorf("blacklist must be sorted by chain and address, and distinct: %s comes after %s", b.Address, d.Blacklist[i-1].Address)
		}
		if err := b.Chain.Check(); err != nil {
			return fmt.Errorf("blacklist: %w", err)
		}
		if c, err := request.CanonicalAddress(b.Chain, b.Address); err != nil || c != b.Address {
			return fmt.Errorf("blacklist: %s: want the one spelling of an address of %s: %w", b.Address, b.Chain, err)
		}
		if err := checkText("reason", b.Reason, MaxTitle); err != nil {
			return fmt.Errorf("blacklist: %s: %w", b.Address, err)
		}
	}
	return nil
}

// checkWhitelist checks the settings but for their plan, which is checked with the others.
func (d Document) checkWhitelist() error {
	w := d.Whitelist
	if w == nil {
		return nil
	}
	if err := list("proofs", w.Proofs, request.ProofKind.Check); err != nil {
		return fmt.Errorf("whitelist: %w", err)
	}
	switch {
	case w.CoolOff < 0 || w.CoolOff > MaxWindow:
		return fmt.Errorf("whitelist: coolOff is %d seconds; want 0 to %d", w.CoolOff, MaxWindow)
	case w.ReviewAfter != 0 && (w.ReviewAfter <= w.CoolOff || w.ReviewAfter > maxReview):
		return fmt.Errorf("whitelist: reviewAfter is %d seconds; want more than coolOff, and at most %d", w.ReviewAfter, maxReview)
	case len(w.Ramp) > MaxRamp:
		return fmt.Errorf("whitelist: the ramp has %d steps, more than %d", len(w.Ramp), MaxRamp)
	}
	for i, s := range w.Ramp {
		switch {
		case i == 0 && (s.After < 0 || s.After > w.CoolOff):
			return fmt.Errorf("whitelist: the ramp must begin when the cool-off ends, after %d seconds, or before; it begins after %d", w.CoolOff, s.After)
		case i > 0 && s.After <= w.Ramp[i-1].After || s.After > MaxWindow:
			return errors.New("whitelist: the steps of the ramp must be sorted by after, distinct, and at most 366 days")
		case len(s.Caps) == 0 && i < len(w.Ramp)-1:
			return errors.New("whitelist: a step of the ramp without caps has no bound, and only the last may have none")
		case len(s.Caps) > MaxList:
			return fmt.Errorf("whitelist: a step of the ramp has %d caps, more than %d", len(s.Caps), MaxList)
		}
		for j, c := range s.Caps {
			if j > 0 && s.Caps[j-1].Asset >= c.Asset {
				return errors.New("whitelist: the caps of a step must be sorted by asset and distinct")
			}
			if err := c.Asset.Check(); err != nil {
				return fmt.Errorf("whitelist: ramp: %w", err)
			}
		}
	}
	return nil
}

// checkDestinations checks the fields of a match that only some documents can answer.
func (d Document) checkDestinations(m Match) error {
	if err := list("destination.counterparties", m.Counterparties, func(id string) error {
		if !d.knows(id) {
			return fmt.Errorf("%q is not in the document", id)
		}
		return nil
	}); err != nil {
		return err
	}
	for _, x := range []struct {
		name    string
		seconds int64
	}{{"minAge", m.MinAge}, {"youngerThan", m.YoungerThan}} {
		switch {
		case x.seconds < 0 || x.seconds > MaxWindow:
			return fmt.Errorf("destination.%s is %d seconds; want 1 to %d", x.name, x.seconds, MaxWindow)
		case x.seconds > 0 && d.Whitelist == nil:
			return fmt.Errorf("destination.%s needs whitelist settings: without them the age of entries is not known", x.name)
		}
	}
	return nil
}
