// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// changeList gives what an operation on the address ledger records there, by an entry at a moment, and refuses what does not fit.
func (s *State) changeList(o request.ListBody, at Moment, seq uint64) ([]ledgerRecord, error) {
	if s.Doc.Whitelist == nil {
		return nil, errors.New("the document has no whitelist settings, and so no address ledger")
	}
	_, review := o.(*request.WhitelistReviewBody)
	_, adds := o.(*request.WhitelistAddBody)
	n := 1
	if b, ok := o.(*request.WhitelistReviewBody); ok {
		n = len(b.IDs)
	}
	if err := s.book.roomFor(n, !review && !adds); err != nil {
		return nil, err
	}
	switch b := o.(type) {
	case *request.WhitelistAddBody:
		return s.addToList(b, at, seq)
	case *request.WhitelistRemoveBody:
		x, err := s.listedAs(b.ID)
		if err == nil && x.own {
			err = fmt.Errorf("the entry %q is the rule document's own: a policy_change takes it out", b.ID)
		}
		return []ledgerRecord{record(struck, b.ID, at, seq)}, err
	case *request.WhitelistSuspendBody:
		x, err := s.listedAs(b.ID)
		if err == nil && x.halted {
			err = fmt.Errorf("the entry %q is suspended already", b.ID)
		}
		return []ledgerRecord{record(halted, b.ID, at, seq)}, err
	case *request.WhitelistReviewBody:
		var out []ledgerRecord
		for _, id := range b.IDs {
			x, err := s.listedAs(id)
			if err != nil {
				return nil, err
			}
			act := reviewed
			if b.Resume && x.halted {
				act = resumed
			}
			out = append(out, record(act, id, at, seq))
		}
		return out, nil
	default:
		return nil, fmt.Errorf("%T is no operation on the address ledger", o)
	}
}

func (s *State) listedAs(id string) (*bookRecord, error) {
	x, ok := s.book.entries[id]
	if !ok {
		return nil, fmt.Errorf("the address book has no entry %q", id)
	}
	return x, nil
}

func (s *State) addToList(b *request.WhitelistAddBody, at Moment, seq uint64) ([]ledgerRecord, error) {
	e := policy.EntryOf(*b)
	known := func(id string) bool {
		return slices.ContainsFunc(s.Doc.Counterparties, func(c policy.Counterparty) bool { return c.ID == id })
	}
	_, taken := s.book.entries[b.ID]
	other, there := s.book.at[bookKey{b.Chain, b.Address}]
	alike := s.looksLike(b.Chain, b.Address)
	switch w := s.Doc.Whitelist; {
	case taken:
		return nil, fmt.Errorf("the address book has an entry %q already; choose another id, or remove that one first", b.ID)
	case there:
		return nil, fmt.Errorf("%s is in the address book already, as %q", b.Address, other)
	case s.Rules.Blocked(b.Chain, b.Address):
		return nil, fmt.Errorf("%s is on the blacklist", b.Address)
	case e.Counterparty != "" && !known(e.Counterparty):
		return nil, fmt.Errorf("the counterparty %q is not in the rule document", e.Counterparty)
	case len(w.Proofs) > 0 && !slices.Contains(w.Proofs, e.Proof):
		return nil, fmt.Errorf("the rules ask for a proof of ownership: %v", w.Proofs)
	case e.Expires > 0 && latest(at) >= e.Expires:
		return nil, errors.New("the entry would have expired already")
	case alike != "" && b.Lookalike != alike:
		return nil, fmt.Errorf("%s looks like %s: compare the two, character by character, and say so by acknowledging %q", b.Address, alike, alike)
	case len(s.book.entries) >= MaxLedger:
		return nil, fmt.Errorf("the address ledger has %d entries already", MaxLedger)
	}
	if err := s.ownReceiving(b); err != nil {
		return nil, err
	}
	r := record(listed, b.ID, at, seq)
	r.Entry = &e
	return []ledgerRecord{r}, nil
}

// ownReceiving says whether a satoshi test names a receiving address that the domain has, on the chain of the entry.
func (s *State) ownReceiving(b *request.WhitelistAddBody) error {
	if b.Proof == nil || b.Proof.Kind != request.SatoshiTest {
		return nil
	}
	w, next, ok := s.Wallet(b.Proof.Wallet)
	if !ok || w.Chain != b.Chain || b.Proof.Index >= next[0] {
		return fmt.Errorf("the satoshi test names address %d of the wallet %q, which is none of %s", b.Proof.Index, b.Proof.Wallet, b.Chain)
	}
	return nil
}

// looksLike gives what an address that is not in the book looks like: the first entry by id, or [policy.PaidBefore], or nothing.
func (s *State) looksLike(c custody.ChainID, address string) string {
	if ids := s.book.alike[skeleton(c, address)]; len(ids) > 0 {
		return ids[0]
	}
	if _, alike := s.paid.has(c, address); alike {
		return policy.PaidBefore
	}
	return ""
}

// checkList says whether a request on the address ledger can be done, and shows what it has to: the problem, if there is one.
func (s *State) checkList(r *request.Parsed, o request.ListBody, at Moment) error {
	if err := CheckPossession(s.Authority, r); err != nil {
		return err
	}
	if err := s.notBlocked(o); err != nil {
		return err
	}
	if _, err := s.changeList(o, at, 0); err != nil {
		return problem.New(problem.Conflict, "the address ledger can't be changed so: %v", err)
	}
	return nil
}

// notBlocked refuses to put on the address book what is on the blacklist.
func (s *State) notBlocked(o request.Body) error {
	b, ok := o.(*request.WhitelistAddBody)
	if !ok || !s.Rules.Blocked(b.Chain, b.Address) {
		return nil
	}
	return &problem.Error{Kind: problem.RefusedByRule, Detail: fmt.Sprintf("%s is on the blacklist", b.Address), Rule: policy.RuleBlacklist}
}

func (s *State) applyList(l entry.Leaf, o request.ListBody, b *entry.Effect) (func(), error) {
	if b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil || b.Warm != nil {
		return nil, errors.New("the effect holds something, and one on the address ledger follows from its request")
	}
	records, err := s.changeList(o, Moment{l.Time, l.Bound}, l.Seq)
	if err != nil {
		return nil, err
	}
	return func() { s.book.write(s.Doc, records) }, nil
}

// destination says what an address is to a transfer at a moment, under a document that remembers.
func (s *State) destination(c custody.ChainID, address string, at Moment) policy.Destination {
	out := policy.Destination{Kind: policy.OneTime}
	rules := s.judging()
	doc := rules.Document()
	if rules.RemembersPaid() {
		own, _ := s.paid.has(c, address)
		out.First = !own
	}
	if doc.Whitelist == nil {
		e, ok := rules.Entry(c, address)
		if ok {
			out.Book, out.Counterparty = e.ID, e.Counterparty
			out.Kind = doc.Whitelist.Standing(e, 0, 0, latest(at))
		} else if rules.RemembersPaid() {
			out.Lookalike = s.looksLikeEntry(c, address)
		}
		return out
	}
	id, ok := s.book.at[bookKey{c, address}]
	if !ok {
		out.Lookalike = s.looksLike(c, address)
		return out
	}
	x := s.book.entries[id]
	out.Book, out.Counterparty = x.ID, x.Counterparty
	out.Kind, out.Age = s.standing(x, at)
	return out
}

// looksLikeEntry is [State.looksLike] where there is no ledger: the document's entries are few, and compared one by one.
func (s *State) looksLikeEntry(c custody.ChainID, address string) string {
	k := skeleton(c, address)
	for _, e := range s.judging().Document().AddressBook {
		if e.Chain == c && skeleton(c, e.Address) == k {
			return e.ID
		}
	}
	if _, alike := s.paid.has(c, address); alike {
		return policy.PaidBefore
	}
	return ""
}

// standing gives what an entry is at a moment, and for how long it is there for certain. Where entries of the log were lost, nobody knows
// whether it had been removed: it is young again since then.
func (s *State) standing(x *bookRecord, at Moment) (policy.DestinationKind, int64) {
	since := x.since
	if a := s.Anchoring(); a.GapAt > 0 {
		since = max(since, latest(Moment{Time: a.GapAt}))
	}
	age := max(earliest(at)-since, 0)
	e := x.BookEntry
	e.Suspended = e.Suspended || x.halted
	return s.judging().Document().Whitelist.Standing(e, age, latest(at)-x.seen, latest(at)), age
}

// BookEntry is an entry of the address book as people see it.
type BookEntry struct {
	policy.BookEntry
	Standing policy.DestinationKind
	Age      int64  // seconds for which it is there for certain
	Old      bool   // it was in the document before there was a ledger
	Reviewed int64  // Unix seconds: of the last review, or of its beginning here
	Seq      uint64 // log entry that made it; 0: genesis, or of old
	Own      bool   // the rule document's own
	Position uint64 // among all entries there ever were
}

// Book lists entries of the address ledger from a position on, at most n, and says how many there are. A document without settings has none.
func (s *State) Book(from uint64, n int, at Moment) (out []BookEntry, total uint64) {
	if s.Doc.Whitelist == nil {
		return nil, 0
	}
	for i := min(from, uint64(len(s.book.order))); i < uint64(len(s.book.order)) && len(out) < n; i++ {
		if id := s.book.order[i]; id != "" {
			x := s.book.entries[id]
			kind, age := s.standing(x, at)
			e := x.BookEntry
			e.Suspended = e.Suspended || x.halted
			out = append(out, BookEntry{e, kind, age, x.since == 0, x.seen, x.seq, x.own, i})
		}
	}
	return out, uint64(len(s.book.entries))
}

// BookEntry finds an entry of the address ledger.
func (s *State) BookEntry(id string, at Moment) (BookEntry, bool) {
	x, ok := s.book.entries[id]
	if !ok || s.Doc.Whitelist == nil {
		return BookEntry{}, false
	}
	list, _ := s.Book(uint64(x.place), 1, at)
	return list[0], true
}

// listEffects says what becomes of an address, for approvers. What changes the document alone shows as it always did.
func listEffects(rules *policy.Rules, op request.Operation, o request.Body) *request.ListEffects {
	if (op == request.WhitelistAdd || op == request.WhitelistRemove) && rules.Document().Whitelist == nil {
		return nil
	}
	return request.ListEffectsOf(o)
}
