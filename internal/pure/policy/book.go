// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Counterparty is somebody whom entries of the address book belong to.
type Counterparty struct {
	ID           string `cbor:"1,keyasint" json:"id"`
	Title        string `cbor:"2,keyasint,omitempty" json:"title,omitempty"`
	Jurisdiction string `cbor:"3,keyasint,omitempty" json:"jurisdiction,omitempty"` // ISO 3166-1 alpha-2, capitals
	VASP         string `cbor:"4,keyasint,omitempty" json:"vaspStatus,omitempty"`   // one of [VASPs]
}

// VASPs lists what a counterparty can be under the travel rule.
func VASPs() []string { return []string{"none", "registered", "licensed", "unhosted"} }

// Whitelist are the settings of the address ledger: with them whitelist operations change entries in the state, under a plan of their own,
// and not the document. docs/spec/address-book.md.
type Whitelist struct {
	Plan        Plan                `cbor:"1,keyasint"`
	Proofs      []request.ProofKind `cbor:"2,keyasint,omitempty"` // sorted, distinct: a new entry shows ownership in one of these ways; none: as it likes
	CoolOff     int64               `cbor:"3,keyasint,omitempty"` // seconds before an entry is whitelisted
	Ramp        []RampStep          `cbor:"4,keyasint,omitempty"` // by rising After
	ReviewAfter int64               `cbor:"5,keyasint,omitempty"` // seconds after which an entry that nobody reviewed expires; 0: never
}

// RampStep caps what one destination may be paid in any 24 hours, from an age on until the next step.
type RampStep struct {
	After int64     `cbor:"1,keyasint" json:"after"`                    // seconds since the entry is there
	Caps  []RampCap `cbor:"2,keyasint,omitempty" json:"caps,omitempty"` // sorted by asset; an asset that has none is not paid; no cap at all, in the last step: no bound
}

// RampCap is a step's cap for an asset.
type RampCap struct {
	Asset custody.AssetID `cbor:"1,keyasint" json:"asset"`
	Max   custody.Uint256 `cbor:"2,keyasint" json:"max"` // base units in any 24 hours
}

// Blocked is an address that nothing is paid to.
type Blocked struct {
	Chain   custody.ChainID `cbor:"1,keyasint" json:"chain"`
	Address string          `cbor:"2,keyasint" json:"address"` // canonical spelling
	Reason  string          `cbor:"3,keyasint,omitempty" json:"reason,omitempty"`
}

func byAddress(a, b Blocked) int {
	return cmp.Or(compare(a.Chain, b.Chain), compare(a.Address, b.Address))
}

// Is says whether rules may call a destination k. Whatever can't be called whitelisted now counts as one_time too, so that a rule about
// strangers reaches an entry that cools off, is suspended or has expired.
func (d Destination) Is(k DestinationKind) bool {
	return d.Kind == k || k == OneTime && d.Kind != Whitelisted
}

// usable gives the entry that rules may name, or nothing while it is not whitelisted.
func (d Destination) usable() (book, counterparty string) {
	if d.Kind != Whitelisted {
		return "", ""
	}
	return d.Book, d.Counterparty
}

// Standing says what an entry of the address book is to a transfer. age is for how long it is there for certain, unreviewed how long its
// last review may be ago, latest the latest that it may be now (Unix seconds). w is nil where the document has no settings.
func (w *Whitelist) Standing(e BookEntry, age, unreviewed, latest int64) DestinationKind {
	switch {
	case e.Suspended:
		return Suspended
	case e.Expires > 0 && latest >= e.Expires, w != nil && w.ReviewAfter > 0 && unreviewed >= w.ReviewAfter:
		return Expired
	case w != nil && age < w.CoolOff:
		return Cooling
	default:
		return Whitelisted
	}
}

// Step gives the caps at an age; none, and true, if nothing is capped.
func (w *Whitelist) Step(age int64) (caps []RampCap, free bool) {
	free = len(w.Ramp) == 0
	for _, s := range w.Ramp {
		if age >= s.After {
			caps, free = s.Caps, len(s.Caps) == 0
		}
	}
	return caps, free
}

// most gives what a destination of an age may be paid of an asset in any 24 hours; false if there is no bound.
func (w *Whitelist) most(age int64, asset custody.AssetID) (custody.Uint256, bool) {
	caps, free := w.Step(age)
	if free {
		return custody.Uint256{}, false
	}
	i, ok := slices.BinarySearchFunc(caps, asset, func(c RampCap, a custody.AssetID) int { return compare(c.Asset, a) })
	if !ok {
		return custody.Uint256{}, true
	}
	return caps[i].Max, true
}

// rampWindow is the window of a ramp's caps, in seconds.
const rampWindow = 24 * 3600

// ramp is the limit that stands for the ramp; each charge has its own most.
func (d Document) ramp() (Limit, bool) {
	if d.Whitelist == nil || len(d.Whitelist.Ramp) == 0 {
		return Limit{}, false
	}
	return Limit{ID: RuleRamp, Measure: MeasureAmount, Max: custody.Uint256(slices.Repeat([]byte{0xff}, 32)), Window: Window{Rolling: rampWindow},
		GroupBy: []Aspect{ByAsset, ByDestination}, Exceeded: Deny}, true
}

// rampCharges says what a transfer takes from the ramp: one charge a destination that is capped at its age.
func (d Document) rampCharges(f Facts) ([]Charge, error) {
	l, ok := d.ramp()
	if !ok || f.Operation != request.Transfer {
		return nil, nil
	}
	most := make(map[string]custody.Uint256)
	capped := f
	capped.Destinations = nil
	for _, x := range f.Destinations {
		if x.Kind != Whitelisted {
			continue // no ramp leads strangers; the rules about them do
		}
		if m, ok := d.Whitelist.most(x.Age, f.Asset); ok {
			most[l.group(f, x)[1]] = m
			capped.Destinations = append(capped.Destinations, x)
		}
	}
	out, err := l.charges(has{destinations: true, total: true}, capped, custody.Uint256{})
	for i := range out {
		m := most[out[i].Group[1]]
		out[i].Max = &m
	}
	return out, err
}

// Remembers says whether what destinations are depends on more than the document: on the address ledger, on time, or on what was paid.
func (d Document) Remembers() bool {
	return d.Whitelist != nil || d.RemembersPaid() || slices.ContainsFunc(d.AddressBook, func(e BookEntry) bool { return e.Expires > 0 })
}

// RemembersPaid says whether the document asks which destinations were paid before.
func (d Document) RemembersPaid() bool {
	asks := func(m Match) bool { return m.FirstUse || m.Lookalike }
	return d.Whitelist != nil || slices.ContainsFunc(d.Guards, func(g Guard) bool { return asks(g.When) }) ||
		slices.ContainsFunc(d.Routes, func(r Route) bool { return asks(r.When) }) || slices.ContainsFunc(d.Obligations, func(o Obligation) bool { return asks(o.When) }) ||
		slices.ContainsFunc(d.Limits, func(l Limit) bool { return asks(l.When) || l.Measure == MeasureNew })
}

// Remembers is [Document.Remembers], which looks at every rule, answered beforehand.
func (r *Rules) Remembers() bool { return r.remembers }

// RemembersPaid is [Document.RemembersPaid], which looks at every rule, answered beforehand.
func (r *Rules) RemembersPaid() bool { return r.remembersPaid }

// Edits says whether an operation makes another document: one of the address book does not where the document has a ledger.
func (d Document) Edits(o request.Operation) bool {
	return o.EditsRules() && (d.Whitelist == nil || !o.Lists())
}

// listPlan gives the plan for the address book; where the document has no settings, the change plan stands for it.
func (d Document) listPlan() (rule string, p Plan) {
	if d.Whitelist == nil {
		return RuleChangePlan, d.ChangePlan
	}
	return RuleWhitelistPlan, d.Whitelist.Plan
}

// Blocked says whether an address is on the blacklist.
func (r *Rules) Blocked(c custody.ChainID, address string) bool {
	_, ok := r.blocked[bookKey{c, address}]
	return ok
}

// Entry finds an address in the document's address book.
func (r *Rules) Entry(c custody.ChainID, address string) (BookEntry, bool) {
	id, ok := r.book[bookKey{c, address}]
	if !ok {
		return BookEntry{}, false
	}
	return r.doc.bookEntry(id)
}

// completeEntry says whether what facts say of a destination agrees with the document. What the address ledger says is not known here: the
// core takes it from its state, and Audit takes it from there again.
func (r *Rules) completeEntry(f *Facts, i int) string {
	d := &f.Destinations[i]
	e, inDoc := r.Entry(f.Chain, d.Address)
	_, taken := r.doc.bookEntry(d.Book)
	switch d.Kind {
	case Whitelisted, Cooling, Expired, Suspended:
		switch {
		case inDoc && e.ID != d.Book, !inDoc && (r.doc.Whitelist == nil || taken || request.CheckBookID(d.Book) != nil):
			return fmt.Sprintf("destination %d: %s is not in the address book as %q", i, d.Address, d.Book)
		case inDoc && e.Suspended && d.Kind != Suspended, r.doc.Whitelist == nil && (d.Kind == Cooling || d.Kind == Suspended && !e.Suspended || d.Kind == Expired && e.Expires == 0):
			return fmt.Sprintf("destination %d: %s can't be %s under this document", i, d.Address, d.Kind)
		case inDoc && d.Counterparty != e.Counterparty, d.Counterparty != "" && !r.doc.knows(d.Counterparty):
			return fmt.Sprintf("destination %d: %s is not of the counterparty %q", i, d.Address, d.Counterparty)
		case d.Lookalike != "":
			return fmt.Sprintf("destination %d: %s is in the address book, and no look-alike", i, d.Address)
		}
	case OneTime:
		if inDoc || d.Book != "" || d.Counterparty != "" || d.Age != 0 {
			return fmt.Sprintf("destination %d: %s is in the address book as %q, not one_time", i, d.Address, cmp.Or(e.ID, d.Book))
		}
	default:
		return fmt.Sprintf("destination %d: kind %q is not known", i, string(d.Kind))
	}
	return ""
}

func (d Document) knows(counterparty string) bool {
	_, ok := slices.BinarySearchFunc(d.Counterparties, counterparty, func(c Counterparty, id string) int { return compare(c.ID, id) })
	return ok
}

// barred refuses a transfer to what is on the blacklist, is suspended, or looks like something else, before any guard is asked.
func (r *Rules) barred(f *Facts) (rule, criterion, observed string) {
	for _, b := range []struct {
		rule, criterion string
		is              func(Destination) bool
	}{
		{RuleBlacklist, "destination", func(d Destination) bool { return r.Blocked(f.Chain, d.Address) }},
		{RuleSuspended, "destination.kind", func(d Destination) bool { return d.Kind == Suspended }},
		{RuleLookalike, "destination.lookalike", func(d Destination) bool { return r.doc.Whitelist != nil && d.Lookalike != "" }},
	} {
		if i := slices.IndexFunc(f.Destinations, b.is); i >= 0 {
			d := f.Destinations[i]
			observed = fmt.Sprintf("%s %s", d.Kind, d.Address)
			if d.Lookalike != "" {
				observed += ", which looks like " + d.Lookalike
			}
			return b.rule, b.criterion, observed
		}
	}
	return "", "", ""
}

// TakenAway says whether nothing may go any more where a request would have something go, because somebody took an address away since it was decided: rule, criterion and
// observation of the blacklist or of a suspension, or nothing. It needs no roles, state or clock.
func (r *Rules) TakenAway(f Facts) (rule, criterion, observed string) {
	if criterion, observed = r.complete(&f); criterion != "" {
		return RuleDefaultDeny, criterion, observed
	}
	for _, barred := range []func(*Facts) (rule, criterion, observed string){r.barred, r.barredCall} {
		if rule, criterion, observed = barred(&f); rule == RuleBlacklist || rule == RuleSuspended {
			return rule, criterion, observed
		}
	}
	return "", "", ""
}

// stops says whether an operation only takes an address away: one person of the plan for the address book may do it alone, within bounds ([MaxAlone]).
func stops(o request.Operation) bool { return aloneRule(o) != "" }

// stop decides such an operation, but for its limit.
func (r *Rules) stop(d Decision, f Facts) Decision {
	var p Plan
	d.Rule, p = r.doc.listPlan()
	switch {
	case f.Evidence == BySession:
		d.Unmet = oneUnmet(d.Rule, "evidence", "session; a person must sign this")
	case !r.counts(p, f.Initiator):
		d.Unmet = oneUnmet(d.Rule, "initiator.groups", string(f.Initiator)+" is in no group that the plan for the address book names")
	default:
		d.Outcome, d.Auto = Allowed, true
	}
	if d.Auto && f.Operation == request.BlacklistAdd && len(r.doc.Blacklist) >= MaxAloneBlocked {
		return r.Besides(d, f, []Requirement{r.requirement(RuleBlacklist, p)})
	}
	return d
}

// touchesBook says whether a change of the document changes who may be paid how soon. That more is blocked does not.
func touchesBook(old, next Document) bool {
	return !same(old.AddressBook, next.AddressBook) || !same(old.Counterparties, next.Counterparties) || !same(old.Whitelist, next.Whitelist) ||
		slices.ContainsFunc(old.Blacklist, func(b Blocked) bool {
			_, ok := slices.BinarySearchFunc(next.Blacklist, b, byAddress)
			return !ok
		})
}

// errNoLedger says that an operation needs a ledger.
var errNoLedger = errors.New("the document has no whitelist settings, and so no address ledger: put whitelist into it by a change of the rules first (docs/spec/address-book.md)")
