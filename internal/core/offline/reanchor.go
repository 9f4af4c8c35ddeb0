// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/tlog"
)

// anchored is an entry of the authority that re-anchored its log.
type anchored struct {
	pure.Anchored
	latest int64 // its latest time, Unix nanoseconds
	body   *entry.Reanchor
	gap    *entry.Gap // with which it took effect; nil: it has not, or another one did
}

// compared says what a fold has in common with what was imported: the largest import that it agrees with, and the smallest that it does not; 0:
// there is none.
type compared struct{ alike, unlike uint64 }

// compare compares the entries so far with the import of as many.
func (f *follower) compare() {
	switch i, ok := f.own.Imported(f.size()); {
	case !ok:
	case f.tail.Frontier.Root() == i.Root && f.tail.Last == i.Leaf:
		f.imports.alike = i.Size
	case f.imports.unlike == 0:
		f.imports.unlike = i.Size
	}
}

// Reanchoring is what operators are told before this domain follows the authority's log in a new incarnation.
type Reanchoring struct {
	Domain    custody.DomainID    `json:"-"`
	Name      string              `json:"-"`
	Authority custody.AuthorityID `json:"-"`
	Number    uint64              `json:"-"` // of the bundle
	Entries   []Reanchored        `json:"entries"`
	Had       uint64              `json:"had"`            // entries of the authority that were imported
	Kept      uint64              `json:"kept"`           // of these, how many its log still has; the others are lost
	Gone      bool                `json:"gone,omitempty"` // the lost ones are not here any more: who signed may have been revoked in them, which nothing here knows
	Permits   []LostPermit        `json:"permits,omitempty"`
	Came      []custody.WalletID  `json:"came,omitempty"` // wallets whose seeds came by entries that are lost
	Left      []custody.WalletID  `json:"left,omitempty"` // and that went
}

// Incarnation is the one that begins.
func (r Reanchoring) Incarnation() uint64 { return r.Entries[len(r.Entries)-1].Incarnation }

// Reanchored is an entry that re-anchored the authority's log.
type Reanchored struct {
	Incarnation uint64   `json:"incarnation"`
	Entry       uint64   `json:"entry"`
	Time        int64    `json:"time"` // its latest, Unix nanoseconds
	Reason      string   `json:"reason"`
	Whole       bool     `json:"whole,omitempty"` // log witnesses had confirmed that nothing was lost
	By          []Signer `json:"by"`
}

// Signer is somebody who signed a re-anchoring.
type Signer struct {
	Person  custody.PersonID `json:"person"`
	Removed bool             `json:"removed,omitempty"` // by what this domain knew last, no active person with that key: whoever took that away is lost too
}

// LostPermit is a permit that was recorded here and whose entry the authority's log has lost. Its slot is used for ever.
type LostPermit struct {
	Entry   uint64           `json:"entry"`
	Request custody.HexBytes `json:"request"`
	Wallet  custody.WalletID `json:"wallet"`
	Account string           `json:"account,omitempty"`
	Nonce   uint64           `json:"nonce,omitempty"`
	Inputs  int              `json:"inputs,omitempty"`
	TxID    string           `json:"txid,omitempty"` // empty: it was not signed
	Signed  custody.HexBytes `json:"signed,omitempty"`
}

// equivocates says of a bundle that can't be followed that the online domain's log key has signed two histories, if it has.
func (w *work) equivocates(why error) error {
	f := w.follow
	if w.before != nil {
		f = w.before
	}
	k := w.bundle.Incarnation()
	key, err := tlog.NewKey(entry.Origin(f.state.Domain, k), f.state.LogKey[:])
	if err != nil {
		return errors.Join(why, err)
	}
	if _, err := tlog.OpenCheckpoint(w.bundle.Checkpoint, key); err != nil {
		return why
	}
	return fmt.Errorf("%w. EQUIVOCATION: the online domain has signed two histories of its log, this one as incarnation %d; sign nothing, and keep this bundle as evidence", why, k)
}

// branch follows a bundle whose entry is another than the one that was imported: the log goes on there without what was imported behind, if
// that entry re-anchors it in a later incarnation.
func (w *work) branch(ctx context.Context, seq uint64, r pure.Record) error {
	another := fmt.Errorf("its entry %d is another than the one that was imported", seq)
	l, _, err := r.Open()
	if err != nil {
		return errors.Join(err, another)
	}
	body, err := authority.DecodeBody(l.Kind, l.KindVersion, r.Body)
	if err != nil {
		return errors.Join(err, another)
	}
	switch b, ok := body.(*entry.Reanchor); {
	case !ok && w.bundle.Incarnation() > w.incarnation:
		return fmt.Errorf("%w, and does not re-anchor the log; if an entry before it does, export with --full", another)
	case !ok:
		return w.equivocates(another)
	case b.Incarnation <= w.incarnation:
		return w.equivocates(fmt.Errorf("%w: it begins incarnation %d of the log, and incarnation %d is known here", another, b.Incarnation, w.incarnation))
	}
	n, err := w.follow.branch(ctx, seq)
	if err != nil {
		return err
	}
	w.before, w.follow = w.follow, n
	return n.take(ctx, r)
}

// renewed says how the authority's log was re-anchored since the last import; nil if it was not. All entries are folded, and those of the
// checkpoint.
func (w *work) renewed() (*pure.Reanchored, error) {
	f, last := w.follow, w.state.Import
	if p := f.state.Anchoring().Pending; p != nil {
		return nil, pending(p.Entry)
	}
	for _, a := range f.anchors {
		if known, ok := w.state.Anchored(a.Incarnation); ok && known != a.Anchored {
			return nil, fmt.Errorf("EQUIVOCATION: incarnation %d of the log begins with entry %d, and began with another entry %d in what was imported; sign nothing, and keep this bundle as evidence", a.Incarnation, a.Entry, known.Entry)
		}
	}
	loses := w.before != nil || f.imports.unlike > 0 || f.size() < last.Size
	if !loses && !w.again && w.bundle.Number <= last.Number {
		return nil, fmt.Errorf("it has number %d; bundle %d was taken before", w.bundle.Number, last.Number)
	}
	from := last.Size
	if loses {
		var err error
		if from, err = w.goesOn(last); err != nil {
			return nil, err
		}
	}
	out := &pure.Reanchored{Kept: from}
	for _, a := range f.anchors {
		if a.Entry >= from {
			out.Entries = append(out.Entries, a.Anchored)
		}
	}
	switch {
	case len(out.Entries) == 0:
		return nil, nil
	case out.Entries[0].Incarnation <= w.incarnation:
		return nil, fmt.Errorf("entry %d begins incarnation %d of the log; incarnation %d is known here", out.Entries[0].Entry, out.Entries[0].Incarnation, w.incarnation)
	case len(out.Entries) > pure.MaxAnchored:
		return nil, fmt.Errorf("the log was re-anchored %d times since the last bundle, more than %d", len(out.Entries), pure.MaxAnchored)
	}
	return out, nil
}

// pending refuses a log that was re-anchored, before that takes effect.
func pending(at uint64) error {
	return fmt.Errorf("the log was re-anchored in entry %d, and the time-lock has not passed, or it was cancelled", at)
}

// goesOn finds the entry that re-anchored a log without some of the entries that were imported.
func (w *work) goesOn(last pure.Import) (uint64, error) {
	f := w.follow
	var first *anchored
	for i := range f.anchors {
		a := &f.anchors[i]
		if w.before != nil && a.Entry < w.before.size() && a.Entry >= f.spans[len(f.spans)-1].seq {
			first = a
			break
		}
		if _, known := w.state.Anchored(a.Incarnation); w.before == nil && !known {
			first = a
			break
		}
	}
	switch {
	case first == nil || first.Entry >= last.Size:
		return 0, w.equivocates(fmt.Errorf("its first %d entries are not those that were imported before", last.Size))
	case f.imports.unlike > 0 && f.imports.unlike <= first.Entry || f.imports.alike > first.Entry:
		return 0, w.equivocates(fmt.Errorf("the log was re-anchored in entry %d, and what was imported does not agree with it up to there and no further", first.Entry))
	case first.latest+maxBehind.Nanoseconds() < last.Time*1e9:
		return 0, fmt.Errorf("entry %d re-anchors the log at a time before the last bundle that was taken here, whose entries it does not have", first.Entry)
	}
	return first.Entry, nil
}

// agreed asks the operators to take it that the authority's log was re-anchored. Nothing is recorded before.
func (w *work) agreed(ctx context.Context, by Operators) error {
	r := w.tell(ctx)
	err := by.Reanchored(ctx, r)
	if errors.Is(err, ErrUnattended) {
		return problem.New(problem.Reanchoring, "the authority's log was re-anchored as incarnation %d; operators have to see that and agree", r.Incarnation())
	}
	if err != nil {
		return fmt.Errorf("the authority's log was re-anchored: %w", err)
	}
	w.report.Reanchored = &r
	return w.fresh()
}

// tell says what a re-anchoring means here.
func (w *work) tell(ctx context.Context) Reanchoring {
	out := Reanchoring{Domain: w.ID(), Name: w.state.Name, Authority: w.state.Authority, Number: w.bundle.Number, Had: w.state.Import.Size, Kept: w.renews.Kept}
	out.Gone = out.Kept < out.Had && w.before == nil
	for _, a := range w.follow.anchors {
		if a.Entry < w.renews.Entries[0].Entry {
			continue
		}
		x := Reanchored{Incarnation: a.Incarnation, Entry: a.Entry, Time: a.latest, Reason: a.body.Reason, Whole: a.gap != nil && a.gap.Whole}
		for _, s := range a.body.Signatures {
			who := Signer{Person: s.Person}
			if w.before != nil {
				p, _, ok := w.before.state.Rules.Key(s.Key)
				who.Removed = !ok || p.ID != s.Person || !p.Active
			}
			x.By = append(x.By, who)
		}
		out.Entries = append(out.Entries, x)
	}
	for _, p := range w.state.Permits() {
		if p.Entry >= out.Kept {
			out.Permits = append(out.Permits, lostPermit(ctx, p, w.before))
		}
	}
	for _, h := range w.state.Wallets() {
		if h.Entry >= out.Kept {
			out.Came = append(out.Came, h.Wallet)
		}
	}
	for _, o := range w.state.Outs() {
		if o.Entry >= out.Kept {
			out.Left = append(out.Left, o.Wallet)
		}
	}
	return out
}

// lostPermit says what is known of a permit whose entry is lost; f is a follower that may have the entry still, or nil.
func lostPermit(ctx context.Context, p pure.Permitted, f *follower) LostPermit {
	out := LostPermit{Entry: p.Entry, Request: p.Request[:], Wallet: p.Wallet, Account: p.Slot.Account, Nonce: p.Slot.Nonce, Inputs: len(p.Slot.Inputs)}
	if p.Result == nil {
		return out
	}
	out.TxID = p.Result.TxID
	if f == nil {
		return out
	}
	body, err := f.lost(ctx, p.Entry, p.Leaf)
	permit, ok := body.(*entry.Permit)
	wallet, _, known := f.state.Wallet(p.Wallet)
	if err != nil || !ok || !known {
		return out
	}
	if raw, _, err := authority.Assemble(wallet, permit, p.Result.Signatures, authority.Derive); err == nil {
		out.Signed = raw
	}
	return out
}

// settleLost signs the permits that are recorded, have no result, and whose entries the authority's log has lost: the operators confirmed them,
// nothing else may ever take their slots, and only the signed transaction can fill these. Where the entries are not here any more they stay
// unsigned.
func (w *work) settleLost(ctx context.Context) error {
	if w.before == nil {
		return nil
	}
	if err := w.settle(ctx, w.before, func(r pure.Permitted) bool { return r.Entry >= w.renews.Kept }); err != nil {
		return err
	}
	if w.report.Reanchored != nil {
		*w.report.Reanchored = w.tell(ctx) // with what was signed now
	}
	return nil
}
