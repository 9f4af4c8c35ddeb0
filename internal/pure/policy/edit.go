// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// ErrEdit is wrapped by every error about a change that does not fit the document it would change. Errors about the document
// that would result wrap [ErrDocument].
var ErrEdit = errors.New("change of the rules")

// Apply gives the document after a governance request: the next version, naming d as the one before, and checked for the
// profile. d is unchanged. body is what [request.Request.DecodeBody] gave for op. The caller has shown that the request is
// approved and, for an enrolment, that its holder has the new key.
func Apply(profile custody.Profile, d Document, op request.Operation, body request.Body) (Document, error) {
	switch b := body.(type) {
	case *request.PolicyChangeBody:
		next, err := DecodeDocument(b.Document)
		if err != nil {
			return Document{}, err
		}
		return ifFor(op, request.PolicyChange, func() (Document, error) { return d.WithDocument(profile, next) })
	case *request.PersonEnrolBody:
		return ifFor(op, request.PersonEnrol, func() (Document, error) { return d.WithPerson(profile, *b) })
	case *request.PersonRevokeBody:
		return ifFor(op, request.PersonRevoke, func() (Document, error) { return d.WithoutPerson(profile, *b) })
	case *request.GroupSetBody:
		return ifFor(op, request.GroupSet, func() (Document, error) { return d.WithGroup(profile, *b) })
	case *request.WhitelistAddBody:
		return ifFor(op, request.WhitelistAdd, func() (Document, error) { return d.WithWhitelist(profile, *b) })
	case *request.WhitelistRemoveBody:
		return ifFor(op, request.WhitelistRemove, func() (Document, error) { return d.WithoutWhitelist(profile, *b) })
	case *request.BlacklistAddBody:
		return ifFor(op, request.BlacklistAdd, func() (Document, error) { return d.WithBlocked(profile, *b) })
	case *request.BlacklistRemoveBody:
		return ifFor(op, request.BlacklistRemove, func() (Document, error) { return d.WithoutBlocked(profile, *b) })
	case *request.WhitelistSuspendBody, *request.WhitelistReviewBody:
		return Document{}, fmt.Errorf("%w: %w", ErrEdit, errNoLedger)
	case *request.PersonKeyAddBody:
		return ifFor(op, request.PersonKeyAdd, func() (Document, error) { return d.WithKey(profile, *b) })
	case *request.PersonKeyRemoveBody:
		return ifFor(op, request.PersonKeyRemove, func() (Document, error) { return d.WithoutKey(profile, *b) })
	default:
		return Document{}, fmt.Errorf("%w: operation %s does not change the rules", ErrEdit, op)
	}
}

func ifFor(op, want request.Operation, f func() (Document, error)) (Document, error) {
	if op != want {
		return Document{}, fmt.Errorf("%w: operation %s came with the body of %s", ErrEdit, op, want)
	}
	return f()
}

// WithDocument replaces the whole document. next names d as the one before it. Principals never disappear, come back to life,
// change their kind or gain keys in this way: a revoked id stays known for ever, and a new person or key comes in by enrolment
// only, which shows that its holder has it.
func (d Document) WithDocument(profile custody.Profile, next Document) (Document, error) {
	switch {
	case next.Version != d.Version+1:
		return Document{}, fmt.Errorf("%w: version must be %d, one more than the current one, not %d", ErrEdit, d.Version+1, next.Version)
	case next.PrevHash != d.Hash():
		return Document{}, fmt.Errorf("%w: prevHash must be %x, the hash of the current document; start again from it", ErrEdit, d.Hash())
	}
	if err := next.Check(profile); err != nil {
		return Document{}, err
	}
	for _, now := range next.Principals {
		was, ok := d.principal(now.ID)
		switch {
		case !ok:
			return Document{}, fmt.Errorf("%w: principal %s is new; enrol them with a person_enrol request", ErrEdit, now.ID)
		case now.Active && !was.Active:
			return Document{}, fmt.Errorf("%w: principal %s is revoked and stays so; enrol the person under a new id", ErrEdit, now.ID)
		case now.Kind != was.Kind:
			return Document{}, fmt.Errorf("%w: principal %s is a %s and stays one", ErrEdit, now.ID, was.Kind)
		}
		for _, k := range now.Keys {
			if !hasKey(was.Keys, k.Ref()) {
				return Document{}, fmt.Errorf("%w: key %s of principal %s is new; keys come in with person_enrol and person_key_add, which show possession", ErrEdit, k.Ref(), now.ID)
			}
		}
	}
	for _, was := range d.Principals {
		if _, ok := next.principal(was.ID); !ok {
			return Document{}, fmt.Errorf("%w: principal %s is missing; keep them and set active to false", ErrEdit, was.ID)
		}
	}
	return next.copy(), nil
}

// WithPerson adds a person or service and puts them into groups that exist.
func (d Document) WithPerson(profile custody.Profile, b request.PersonEnrolBody) (Document, error) {
	if _, ok := d.principal(b.Person); ok {
		return Document{}, fmt.Errorf("%w: principal %s exists already; ids are never used again", ErrEdit, b.Person)
	}
	n := d.next()
	n.Principals = insert(n.Principals, Principal{ID: b.Person, Kind: PrincipalKind(b.Kind), Keys: []request.PublicKey{b.Key}, Active: true, Line: b.Line, Roles: slices.Clone(b.Roles)},
		func(x, y Principal) int { return compare(x.ID, y.ID) })
	for _, g := range b.Groups {
		i := slices.IndexFunc(n.Groups, func(x Group) bool { return x.ID == g })
		if i < 0 {
			return Document{}, fmt.Errorf("%w: group %s does not exist; make it first with group_set", ErrEdit, g)
		}
		n.Groups[i].Members = insert(n.Groups[i].Members, b.Person, compare[custody.PersonID])
	}
	return n.checked(profile)
}

// WithoutPerson revokes: the principal stays in the document, inactive and in no group. It is refused while a plan could then
// not be met any more; the error names the plan.
func (d Document) WithoutPerson(profile custody.Profile, b request.PersonRevokeBody) (Document, error) {
	p, ok := d.principal(b.Person)
	switch {
	case !ok:
		return Document{}, fmt.Errorf("%w: principal %s is not in the document", ErrEdit, b.Person)
	case !p.Active:
		return Document{}, fmt.Errorf("%w: principal %s is revoked already", ErrEdit, b.Person)
	}
	n := d.next()
	for i := range n.Principals {
		if n.Principals[i].ID == b.Person {
			n.Principals[i].Active = false
		}
	}
	for i := range n.Groups {
		n.Groups[i].Members = slices.DeleteFunc(n.Groups[i].Members, func(m custody.PersonID) bool { return m == b.Person })
	}
	return n.checked(profile)
}

// WithGroup sets the members of a group, and makes it if it does not exist.
func (d Document) WithGroup(profile custody.Profile, b request.GroupSetBody) (Document, error) {
	n := d.next()
	g := Group{ID: b.Group, Members: slices.Clone(b.Members)}
	if i := slices.IndexFunc(n.Groups, func(x Group) bool { return x.ID == b.Group }); i >= 0 {
		g.Line = n.Groups[i].Line
		n.Groups[i] = g
	} else {
		n.Groups = insert(n.Groups, g, func(x, y Group) int { return compare(x.ID, y.ID) })
	}
	return n.checked(profile)
}

// WithWhitelist adds a destination to the address book.
func (d Document) WithWhitelist(profile custody.Profile, b request.WhitelistAddBody) (Document, error) {
	if _, ok := d.bookEntry(b.ID); ok {
		return Document{}, fmt.Errorf("%w: address book has an entry %s already; choose another id or remove it first", ErrEdit, b.ID)
	}
	n := d.next()
	n.AddressBook = insert(n.AddressBook, EntryOf(b),
		func(x, y BookEntry) int { return compare(x.ID, y.ID) })
	return n.checked(profile)
}

// WithoutWhitelist removes a destination. It is refused while a rule names the entry; the error names the rule.
func (d Document) WithoutWhitelist(profile custody.Profile, b request.WhitelistRemoveBody) (Document, error) {
	if _, ok := d.bookEntry(b.ID); !ok {
		return Document{}, fmt.Errorf("%w: address book has no entry %s", ErrEdit, b.ID)
	}
	n := d.next()
	n.AddressBook = slices.DeleteFunc(n.AddressBook, func(e BookEntry) bool { return e.ID == b.ID })
	return n.checked(profile)
}

// next gives a copy of d as the version after it.
func (d Document) next() Document {
	n := d.copy()
	n.Version, n.PrevHash = d.Version+1, d.Hash()
	return n
}

// copy gives a document that shares no memory with d, which was checked.
func (d Document) copy() Document {
	var n Document
	if err := canon.Decode(d.Encode(), &n); err != nil {
		panic(fmt.Sprintf("policy: a document does not survive its encoding: %v", err)) // a property of the types; a test shows it
	}
	return n
}

func (d Document) checked(profile custody.Profile) (Document, error) {
	if err := d.Check(profile); err != nil {
		return Document{}, err
	}
	return d.copy(), nil // keeps nothing of the request's body
}

// insert puts v where it belongs in sorted vs.
func insert[T any](vs []T, v T, order func(a, b T) int) []T {
	i, _ := slices.BinarySearchFunc(vs, v, order)
	return slices.Insert(vs, i, v)
}
