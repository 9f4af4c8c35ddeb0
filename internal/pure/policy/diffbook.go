// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
	"time"

	"strongroom/internal/pure/request"
)

// diffBook tells what changes in counterparties, the blacklist and the settings of the address ledger.
func diffBook(old, next Document, say func(string, ...any)) {
	both(old.Counterparties, next.Counterparties, func(c Counterparty) string { return c.ID },
		func(c Counterparty) { say("counterparty %s is new: %s", c.ID, c) },
		func(c Counterparty) { say("counterparty %s is removed; it was: %s", c.ID, c) },
		func(a, b Counterparty) {
			if a != b {
				say("counterparty %s is now: %s; it was: %s", a.ID, b, a)
			}
		})
	both(old.Blacklist, next.Blacklist, func(b Blocked) string { return string(b.Chain) + " " + b.Address },
		func(b Blocked) { say("the blacklist gains %s", b) },
		func(b Blocked) { say("the blacklist loses %s", b) },
		func(a, b Blocked) {
			if a != b {
				say("on the blacklist stands now %s; it was %s", b, a)
			}
		})
	switch a, b := old.Whitelist, next.Whitelist; {
	case a == nil && b != nil:
		say("there is an address ledger now: %s; entries that were in the address book count as old", b)
	case a != nil && b == nil:
		say("there is no address ledger any more: its entries are whitelisted no longer, and look-alikes are not denied; it was: %s", a)
	case a != nil && !same(*a, *b):
		say("the address ledger is now: %s; it was: %s", b, a)
	}
}

// String tells an entry in words.
func (e BookEntry) String() string {
	s := fmt.Sprintf("%s on %s", e.Address, e.Chain)
	for _, x := range []struct{ what, is string }{{"of", e.Counterparty}, {"proof", string(e.Proof)}, {"kind", string(e.Kind)}, {"tags", strings.Join(e.Tags, " ")}} {
		if x.is != "" {
			s += ", " + x.what + " " + x.is
		}
	}
	if e.Expires > 0 {
		s += ", until " + time.Unix(e.Expires, 0).UTC().Format(time.RFC3339)
	}
	if e.Suspended {
		s += ", suspended"
	}
	return s
}

// String tells a counterparty in words.
func (c Counterparty) String() string {
	s := fmt.Sprintf("%q", c.Title)
	if c.Jurisdiction != "" {
		s += ", in " + c.Jurisdiction
	}
	if c.VASP != "" {
		s += ", VASP " + c.VASP
	}
	return s
}

// String tells a blocked address in words.
func (b Blocked) String() string {
	s := fmt.Sprintf("%s on %s", b.Address, b.Chain)
	if b.Reason != "" {
		s += fmt.Sprintf(" (%q)", b.Reason)
	}
	return s
}

// String tells settings in words.
func (w *Whitelist) String() string {
	s := "entries change with " + w.Plan.String()
	if len(w.Proofs) > 0 {
		s += ", need " + joined[request.ProofKind](w.Proofs, " or ")
	}
	s += fmt.Sprintf(", count after %d seconds", w.CoolOff)
	for _, r := range w.Ramp {
		s += fmt.Sprintf(", from %d seconds on ", r.After)
		if len(r.Caps) == 0 {
			s += "without a cap"
		}
		for i, c := range r.Caps {
			if i > 0 {
				s += " and "
			}
			s += fmt.Sprintf("%s of %s a day each", c.Max, c.Asset)
		}
	}
	if w.ReviewAfter > 0 {
		s += fmt.Sprintf(", expire unless reviewed every %d seconds", w.ReviewAfter)
	}
	return s
}
