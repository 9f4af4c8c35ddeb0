// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
)

// Limits of the address ledger.
const (
	MaxLedger  = 200_000   // entries
	MaxRecords = 2_000_000 // changes that are kept; what only takes away has as many again
	MaxSuspend = 2 * MaxRecords

	ledgerChunk = 4096
)

// ledgerAct says what a record of the ledger does. The numbers are wire format.
type ledgerAct uint8

const (
	listed   ledgerAct = 1 // added, by whitelist_add
	struck   ledgerAct = 2 // removed
	halted   ledgerAct = 3 // suspended
	reviewed ledgerAct = 4
	resumed  ledgerAct = 5 // suspended no longer, and young again
	noted    ledgerAct = 6 // the document has the entry
	dropped  ledgerAct = 7 // the document has it no longer
)

// ledgerRecord is a change of the ledger.
type ledgerRecord struct {
	Act   ledgerAct         `cbor:"1,keyasint"`
	ID    string            `cbor:"2,keyasint"`
	Entry *policy.BookEntry `cbor:"3,keyasint,omitempty"` // listed
	At    int64             `cbor:"4,keyasint"`           // Unix seconds, the latest that it may have been; noted: 0 for an entry of old
	Seen  int64             `cbor:"5,keyasint"`           // the earliest: from then on a review counts
	Seq   uint64            `cbor:"6,keyasint"`           // log entry
}

// bookRecord is an entry as the ledger knows it.
type bookRecord struct {
	policy.BookEntry
	own    bool   // the document's
	halted bool   // by whitelist_suspend; the document has a flag of its own
	since  int64  // Unix seconds, the latest that it may have begun
	seen   int64  // of its last review, the earliest
	seq    uint64 // log entry that made it
	place  int    // in book.order
}

type bookKey struct {
	chain   custody.ChainID
	address string
}

// book is the address ledger: a chain of changes, and what follows from them.
type book struct {
	ledger  chain
	entries map[string]*bookRecord
	order   []string // by age; empty where an entry is gone
	at      map[bookKey]string
	alike   map[string][]string // by skeleton: ids, sorted
	parties map[string]int      // by counterparty: entries that the document has not
	own     int                 // entries that it has
}

func newBook() book {
	return book{ledger: newChain(ledgerChunk), entries: map[string]*bookRecord{}, at: map[bookKey]string{}, alike: map[string][]string{}, parties: map[string]int{}}
}

// earliest and latest give the seconds between which a moment is.
func earliest(at Moment) int64 { return floorSeconds(at.Time - at.Bound) }
func latest(at Moment) int64   { return -floorSeconds(-at.Time - at.Bound) }

// record makes a record of a change at a moment.
func record(act ledgerAct, id string, at Moment, seq uint64) ledgerRecord {
	return ledgerRecord{Act: act, ID: id, At: latest(at), Seen: earliest(at), Seq: seq}
}

// write takes records that were checked.
func (b *book) write(doc policy.Document, records []ledgerRecord) {
	for _, r := range records {
		b.ledger.add(canon.Encode(r), 0)
		_ = b.take(doc, r) // checked before
	}
}

// take does what a record says. It refuses what contradicts the records before it.
func (b *book) take(doc policy.Document, r ledgerRecord) error {
	x, there := b.entries[r.ID]
	if there == (r.Act == listed || r.Act == noted) || (r.Act == listed) != (r.Entry != nil) {
		return fmt.Errorf("record %d of %q does not follow those before it", r.Act, r.ID)
	}
	switch r.Act {
	case listed:
		if r.Entry.ID != r.ID {
			return fmt.Errorf("the entry %q is recorded under %q", r.Entry.ID, r.ID)
		}
		b.insert(&bookRecord{BookEntry: *r.Entry, since: r.At, seen: r.Seen, seq: r.Seq})
	case noted:
		// While records are replayed, the document that noted it may be gone; replay looks at the end.
		e, _ := ownEntry(doc, r.ID)
		e.ID = r.ID
		b.insert(&bookRecord{BookEntry: e, own: true, since: r.At, seen: r.Seen, seq: r.Seq})
	case struck, dropped:
		if x.own != (r.Act == dropped) {
			return fmt.Errorf("%q is the document's, or is not", r.ID)
		}
		b.remove(x)
	case halted:
		x.halted = true
	case reviewed:
		x.seen = r.Seen
	case resumed:
		x.halted, x.since, x.seen = false, r.At, r.Seen
	default:
		return fmt.Errorf("act %d is not known", r.Act)
	}
	return nil
}

func ownEntry(d policy.Document, id string) (policy.BookEntry, bool) {
	i, ok := slices.BinarySearchFunc(d.AddressBook, id, func(e policy.BookEntry, id string) int { return cmp.Compare(e.ID, id) })
	if !ok {
		return policy.BookEntry{}, false
	}
	return d.AddressBook[i], true
}

func (b *book) insert(x *bookRecord) {
	x.place = len(b.order)
	b.order = append(b.order, x.ID)
	b.entries[x.ID] = x
	b.index(x)
}

// index adds what leads to an entry; one that replay has not filled yet has no address.
func (b *book) index(x *bookRecord) {
	if x.own {
		b.own++
	} else if x.Counterparty != "" {
		b.parties[x.Counterparty]++
	}
	if x.Address == "" {
		return
	}
	b.at[bookKey{x.Chain, x.Address}] = x.ID
	k := skeleton(x.Chain, x.Address)
	i, _ := slices.BinarySearch(b.alike[k], x.ID)
	b.alike[k] = slices.Insert(b.alike[k], i, x.ID)
}

func (b *book) unindex(x *bookRecord) {
	if x.own {
		b.own--
	} else if x.Counterparty != "" {
		if b.parties[x.Counterparty]--; b.parties[x.Counterparty] == 0 {
			delete(b.parties, x.Counterparty)
		}
	}
	if x.Address == "" {
		return
	}
	delete(b.at, bookKey{x.Chain, x.Address})
	k := skeleton(x.Chain, x.Address)
	if b.alike[k] = slices.DeleteFunc(b.alike[k], func(id string) bool { return id == x.ID }); len(b.alike[k]) == 0 {
		delete(b.alike, k)
	}
}

func (b *book) remove(x *bookRecord) {
	b.unindex(x)
	delete(b.entries, x.ID)
	b.order[x.place] = ""
}

// replay makes everything from a restored chain and the document.
func (b *book) replay(doc policy.Document) error {
	err := b.ledger.each(func(raw []byte) error {
		var r ledgerRecord
		if err := canon.Decode(raw, &r); err != nil {
			return err
		}
		return b.take(doc, r)
	})
	if err != nil {
		return fmt.Errorf("address ledger: %w", err)
	}
	for _, x := range b.entries {
		if e, ok := ownEntry(doc, x.ID); x.own && (!ok || e.Address != x.Address || e.Chain != x.Chain) {
			return fmt.Errorf("address ledger: the document has no entry %q", x.ID)
		}
	}
	if want := len(doc.AddressBook); doc.Whitelist != nil && b.own != want || doc.Whitelist == nil && b.own != 0 {
		return fmt.Errorf("address ledger: it has %d entries of the document, which has %d", b.own, want)
	}
	return nil
}

// fits says whether a document can stand beside the ledger.
func (b *book) fits(next policy.Document) error {
	for _, e := range next.AddressBook {
		if x, ok := b.entries[e.ID]; ok && !x.own {
			return fmt.Errorf("the address ledger has an entry %q: choose another id in the document, or remove that one first", e.ID)
		}
		if id, ok := b.at[bookKey{e.Chain, e.Address}]; ok && !b.entries[id].own {
			return fmt.Errorf("the address ledger has %s as %q: remove it there first", e.Address, id)
		}
	}
	for party, n := range b.parties {
		if !slices.ContainsFunc(next.Counterparties, func(c policy.Counterparty) bool { return c.ID == party }) {
			return fmt.Errorf("%d entries of the address ledger are of the counterparty %q: keep it in the document", n, party)
		}
	}
	return nil
}

// begin takes the entries of the first document.
func (b *book) begin(doc policy.Document, l entry.Leaf) {
	if doc.Whitelist == nil {
		return
	}
	for _, e := range doc.AddressBook {
		b.write(doc, []ledgerRecord{{Act: noted, ID: e.ID, Seen: earliest(Moment{l.Time, l.Bound})}})
	}
}

// follow takes the entries of a new document, which fits, in the place of those of the one before. What both have stays as old as it is; where
// there was no ledger before it counts as of old.
func (b *book) follow(old, next policy.Document, l entry.Leaf) {
	at := Moment{l.Time, l.Bound}
	var gone, come []ledgerRecord
	stays := func(e policy.BookEntry) bool {
		was, ok := ownEntry(old, e.ID)
		return ok && was.Chain == e.Chain && was.Address == e.Address
	}
	if next.Whitelist != nil {
		for _, e := range next.AddressBook {
			x, there := b.entries[e.ID]
			switch {
			case !stays(e):
				come = append(come, record(noted, e.ID, at, l.Seq))
			case !there:
				come = append(come, ledgerRecord{Act: noted, ID: e.ID, Seen: earliest(at), Seq: l.Seq})
			default:
				x.BookEntry = e
			}
		}
	}
	for _, e := range old.AddressBook {
		if x, there := b.entries[e.ID]; there && x.own {
			if n, ok := ownEntry(next, e.ID); next.Whitelist == nil || !ok || n.Chain != e.Chain || n.Address != e.Address {
				gone = append(gone, record(dropped, e.ID, at, l.Seq))
			}
		}
	}
	b.write(old, gone)
	b.write(next, come)
}

// roomFor says whether so many records more fit.
func (b *book) roomFor(n int, takesAway bool) error {
	most := MaxRecords
	if takesAway {
		most = MaxSuspend
	}
	if b.ledger.length()+n > most {
		return errors.New("the address ledger has too many records")
	}
	return nil
}
