// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// ErrDocument is wrapped by every error about a rule document that may not be used.
var ErrDocument = errors.New("rule document")

// DecodeDocument reads a canonical document. It checks that b is the one encoding of a document of this schema; what the
// document says is checked by [Document.Check].
func DecodeDocument(b []byte) (Document, error) {
	var d Document
	if len(b) > MaxDocument {
		return d, fmt.Errorf("%w: has %d bytes, more than %d", ErrDocument, len(b), MaxDocument)
	}
	if err := canon.Decode(b, &d); err != nil {
		return d, fmt.Errorf("%w: %w", ErrDocument, err)
	}
	if d.V != 1 {
		return d, fmt.Errorf("%w: schema %d is not known; this version reads 1", ErrDocument, d.V)
	}
	return d, nil
}

// Check says whether d may be the rules of a domain with this profile. It refuses what is malformed, what can't be evaluated
// within bounds, plans that the active people can't meet, and a document that nobody could change again. The first fault is
// named by its place and says what to do.
//
// Production asks for more than evaluation: floor.minDistinctUsers is 2 at least, and each branch of the change plan and of the
// domain's plans asks for two approvals at least. In evaluation, a first document (version 1) with a single active principal is accepted though
// nobody can approve: only its automatic routes work.
func (d Document) Check(profile custody.Profile) error {
	if err := profile.Check(); err != nil {
		return err
	}
	r, err := Compile(d)
	if err != nil {
		return err
	}
	if err := d.checkDelay(profile); err != nil || profile != custody.Production {
		return err
	}
	if d.Floor.MinDistinctUsers < 2 {
		return d.bad("floor.minDistinctUsers is %d; production needs 2 at least", d.Floor.MinDistinctUsers)
	}
	for _, p := range d.reserved() {
		for i, b := range p.plan.AnyOf {
			if n := b.seats(); n < 2 {
				return d.bad("%s branch %d asks for %d approval; production needs 2 at least", p.place, i+1, n)
			}
		}
	}
	return r.satisfiable(false)
}

func (Document) bad(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDocument}, args...)...)
}

// form checks everything that needs no evaluation.
func (d Document) form() error {
	switch {
	case d.V != 1:
		return d.bad("schema %d is not known; this version reads 1", d.V)
	case d.Version == 0:
		return d.bad("version begins with 1")
	case d.Version == 1 && d.PrevHash != [32]byte{}:
		return d.bad("version 1 has no document before it: prevHash must be zero")
	case d.Version > 1 && d.PrevHash == [32]byte{}:
		return d.bad("prevHash must be the hash of version %d", d.Version-1)
	}
	for _, check := range []func() error{d.checkPrincipals, d.checkGroups, d.checkLines, d.checkCounterparties, d.checkBook, d.checkFloor, d.checkRules, d.checkCalendars, d.checkLimits, d.checkObligations, d.checkPlans,
		d.checkOversight, d.checkWhitelist, d.checkBlacklist, d.checkContracts, d.checkPrices, d.checkScreening} {
		if err := check(); err != nil {
			return fmt.Errorf("%w: %w", ErrDocument, err)
		}
	}
	return nil
}

func (d Document) checkPrincipals() error {
	if n := len(d.Principals); n == 0 || n > MaxPrincipals {
		return fmt.Errorf("has %d principals; want 1 to %d", n, MaxPrincipals)
	}
	owner := make(map[string]custody.PersonID) // by the key itself: it is the same key whatever it is used through
	for i, p := range d.Principals {
		if err := p.ID.Check(); err != nil {
			return fmt.Errorf("principals: %w", err)
		}
		if i > 0 && d.Principals[i-1].ID >= p.ID {
			return fmt.Errorf("principals must be sorted by id and distinct: %s comes after %s", p.ID, d.Principals[i-1].ID)
		}
		if p.Kind != Human && p.Kind != Service {
			return fmt.Errorf("principal %s: kind %q is neither %q nor %q", p.ID, string(p.Kind), Human, Service)
		}
		if n := len(p.Keys); n == 0 || n > MaxKeys {
			return fmt.Errorf("principal %s has %d keys; want 1 to %d", p.ID, n, MaxKeys)
		}
		for _, k := range p.Keys {
			if err := k.Check(); err != nil {
				return inItem("principals", "principal", p.ID, err)
			}
			if p.Kind == Service && k.RP != "" {
				return fmt.Errorf("principal %s: a service has no passkeys; nobody is there to be verified", p.ID)
			}
			if o, taken := owner[string(k.Pub)]; taken {
				return fmt.Errorf("principal %s: key %s is already a key of %s; each key belongs to one principal, once", p.ID, k.Ref(), o)
			}
			owner[string(k.Pub)] = p.ID
		}
	}
	return nil
}

func (d Document) checkGroups() error {
	if len(d.Groups) > MaxGroups {
		return fmt.Errorf("has %d groups, more than %d", len(d.Groups), MaxGroups)
	}
	for i, g := range d.Groups {
		if err := g.ID.Check(); err != nil {
			return fmt.Errorf("groups: %w", err)
		}
		if i > 0 && d.Groups[i-1].ID >= g.ID {
			return fmt.Errorf("groups must be sorted by id and distinct: %s comes after %s", g.ID, d.Groups[i-1].ID)
		}
		if len(g.Members) > MaxMembers {
			return fmt.Errorf("group %s has %d members, more than %d", g.ID, len(g.Members), MaxMembers)
		}
		if !sortedDistinct(g.Members) {
			return fmt.Errorf("group %s: members must be sorted and distinct", g.ID)
		}
		for _, m := range g.Members {
			p, ok := d.principal(m)
			if !ok {
				return inItem("groups", "group", g.ID, fmt.Errorf("member %s is not a principal of the document", m))
			}
			if !p.Active {
				return inItem("groups", "group", g.ID, fmt.Errorf("member %s is revoked; take them out of the group", m))
			}
		}
	}
	return nil
}

func (d Document) checkBook() error {
	if len(d.AddressBook) > MaxBook {
		return fmt.Errorf("address book has %d entries, more than %d", len(d.AddressBook), MaxBook)
	}
	seen := make(map[bookKey]string, len(d.AddressBook))
	for i, e := range d.AddressBook {
		if err := request.CheckBookID(e.ID); err != nil {
			return err
		}
		if i > 0 && d.AddressBook[i-1].ID >= e.ID {
			return fmt.Errorf("address book must be sorted by id and distinct: %s comes after %s", e.ID, d.AddressBook[i-1].ID)
		}
		if err := e.Chain.Check(); err != nil {
			return inItem("addressBook", "address book", e.ID, err)
		}
		c, err := request.CanonicalAddress(e.Chain, e.Address)
		if err != nil {
			return inItem("addressBook", "address book", e.ID, err)
		}
		if c != e.Address {
			return fmt.Errorf("address book %s: write address %s as %s", e.ID, e.Address, c)
		}
		if err := d.checkEntry(e); err != nil {
			return inItem("addressBook", "address book", e.ID, err)
		}
		k := bookKey{e.Chain, e.Address}
		if other, taken := seen[k]; taken {
			return fmt.Errorf("address book %s: %s is there already as %s", e.ID, e.Address, other)
		}
		seen[k] = e.ID
	}
	return nil
}

func (d Document) checkFloor() error {
	f := d.Floor
	switch {
	case f.MinDistinctUsers < 1 || f.MinDistinctUsers > MaxStepMin:
		return fmt.Errorf("floor.minDistinctUsers is %d; want 1 to %d", f.MinDistinctUsers, MaxStepMin)
	case !f.ForbidSelfApproval:
		return errors.New("floor.forbidSelfApproval must be true: nobody approves their own request")
	case f.MinDistinctGroups > MaxSteps:
		return fmt.Errorf("floor.minDistinctGroups is %d; want %d at most", f.MinDistinctGroups, MaxSteps)
	case f.RequestTTL < MinTTL || f.RequestTTL > request.MaxLifetime:
		return fmt.Errorf("floor.requestTTL is %d seconds; want %d to %d", f.RequestTTL, MinTTL, request.MaxLifetime)
	case f.MaxApprovalAge < MinTTL || f.MaxApprovalAge > request.MaxApprovalAge:
		return fmt.Errorf("floor.maxApprovalAge is %d seconds; want %d to %d", f.MaxApprovalAge, MinTTL, request.MaxApprovalAge)
	default:
		return nil
	}
}

// checkText says whether s can stand in a document that people read: valid UTF-8 without control and format characters, which
// could make it look like another text.
func checkText(what, s string, most int) error {
	if len(s) > most {
		return fmt.Errorf("%s has %d bytes, more than %d", what, len(s), most)
	}
	hidden := func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' && r != '\t' }
	if !utf8.ValidString(s) || strings.ContainsFunc(s, hidden) {
		return fmt.Errorf("%s has characters that can't be seen; take them out", what)
	}
	return nil
}

func sortedDistinct[T ~string](ids []T) bool {
	for i := 1; i < len(ids); i++ {
		if ids[i-1] >= ids[i] {
			return false
		}
	}
	return true
}

func (d Document) principal(id custody.PersonID) (Principal, bool) {
	i, ok := slices.BinarySearchFunc(d.Principals, id, func(p Principal, id custody.PersonID) int { return compare(p.ID, id) })
	if !ok {
		return Principal{}, false
	}
	return d.Principals[i], true
}

func (d Document) group(id custody.GroupID) (Group, bool) {
	i, ok := slices.BinarySearchFunc(d.Groups, id, func(g Group, id custody.GroupID) int { return compare(g.ID, id) })
	if !ok {
		return Group{}, false
	}
	return d.Groups[i], true
}

func (d Document) bookEntry(id string) (BookEntry, bool) {
	i, ok := slices.BinarySearchFunc(d.AddressBook, id, func(e BookEntry, id string) int { return compare(e.ID, id) })
	if !ok {
		return BookEntry{}, false
	}
	return d.AddressBook[i], true
}
