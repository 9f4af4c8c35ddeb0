// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"sort"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Measure is what a limit adds up.
type Measure string

// The measures.
const (
	MeasureAmount Measure = "amount" // of what is paid, in base units of one asset
	MeasureFee    Measure = "fee"    // in base units of one chain's coin: the most that may be paid, and from the permit on what its payload may pay
	MeasureCount  Measure = "count"  // of requests

	MeasureNew Measure = "newDestinations" // of destinations that the domain never paid before
)

// Unit is a period of a calendar.
type Unit string

// The periods. Weeks begin on Monday.
const (
	Day   Unit = "day"
	Week  Unit = "week"
	Month Unit = "month"
)

// Aspect is an attribute by which a limit counts apart.
type Aspect string

// The aspects.
const (
	ByInitiator   Aspect = "initiator"
	BySource      Aspect = "source" // wallet
	ByChain       Aspect = "chain"
	ByAsset       Aspect = "asset"
	ByDestination Aspect = "destination" // address, with its chain; each output counts on its own

	ByCounterparty Aspect = "counterparty" // of the entry of the address book, or none; each output counts on its own
)

// Window is the time that a limit looks back on: the last so many seconds, the present period of a calendar, or, with neither, all time.
type Window struct {
	Rolling  int64  `cbor:"1,keyasint,omitempty"` // seconds
	Unit     Unit   `cbor:"2,keyasint,omitempty"`
	Calendar string `cbor:"3,keyasint,omitempty"` // id
}

// Limit bounds what all requests that it matches may take together. An expression that can't be evaluated counts as a match. What a
// request takes is reserved when it is accepted, used up for ever by its permit or effect, and free again if it ends without.
type Limit struct {
	ID       string          `cbor:"1,keyasint"`
	Title    string          `cbor:"2,keyasint,omitempty"`
	When     Match           `cbor:"3,keyasint"`
	Measure  Measure         `cbor:"4,keyasint"`
	Max      custody.Uint256 `cbor:"5,keyasint"`
	Window   Window          `cbor:"6,keyasint"`
	GroupBy  []Aspect        `cbor:"7,keyasint,omitempty"` // sorted, distinct
	Exceeded Effect          `cbor:"8,keyasint"`           // what becomes of a request that would pass it

	Plan *Plan `cbor:"10,keyasint,omitempty"` // that it needs then besides, if Exceeded is [ByPlan]

	Currency string `cbor:"9,keyasint,omitempty"` // of the measure [MeasureFiat]
}

// ByPlan is what a limit does that asks for a plan besides ([Limit.Plan]) from a request which would pass it. What passes by plan is used as
// anything else is. No guard has this effect.
const ByPlan Effect = "plan"

// Charge is what one request takes from a limit.
type Charge struct {
	Limit  string          `cbor:"1,keyasint" json:"limit"`
	Group  []string        `cbor:"2,keyasint,omitempty" json:"group,omitempty"` // values of the limit's aspects, in their order
	Amount custody.Uint256 `cbor:"3,keyasint" json:"amount"`

	Max *custody.Uint256 `cbor:"4,keyasint,omitempty" json:"max,omitempty"` // of this charge, where the limit has none of its own: a ramp
}

// Limit finds a limit.
func (r *Rules) Limit(id string) (Limit, bool) {
	switch {
	case id == RuleRamp:
		return r.doc.ramp()
	case CountsAlone(id):
		return r.doc.alone(id)
	default:
		return r.doc.limit(id)
	}
}

func (d *Document) limit(id string) (Limit, bool) {
	i, ok := sort.Find(len(d.Limits), func(i int) int { return compare(id, d.Limits[i].ID) }) // a limit is too large to copy for a comparison
	if !ok {
		return Limit{}, false
	}
	return d.Limits[i], true
}

// errCharges says that a request takes from too many limits.
var errCharges = fmt.Errorf("takes from limits in more than %d ways; split the request", MaxCharges)

// charges says what a request that a limit matches takes from it. An operation without the measured quantity takes nothing.
func (l Limit) charges(h has, f Facts, fee custody.Uint256) ([]Charge, error) {
	one := custody.U64(1)
	if !l.byOutput() || !h.destinations {
		c := Charge{Limit: l.ID, Group: l.group(f, Destination{}), Amount: one}
		switch {
		case l.Measure == MeasureAmount && h.total:
			c.Amount = f.Total
		case l.Measure == MeasureFee && h.destinations:
			c.Amount = fee
		case l.Measure == MeasureNew && h.destinations:
			c.Amount = custody.U64(uint64(len(fresh(f.Destinations))))
		case l.Measure == MeasureFiat && h.total:
			return l.inMoney([]Charge{{Limit: l.ID, Group: c.Group, Amount: f.Total}}, f)
		case l.Measure != MeasureCount:
			return nil, nil
		}
		if l.Measure == MeasureNew && c.Amount.IsZero() {
			return nil, nil
		}
		return []Charge{c}, nil
	}
	var out []Charge
	outputs := f.Destinations
	if l.Measure == MeasureNew {
		outputs = fresh(outputs)
	}
	for _, d := range outputs {
		c := Charge{Limit: l.ID, Group: l.group(f, d), Amount: one}
		if l.Measure == MeasureAmount || l.Measure == MeasureFiat {
			c.Amount = d.Amount
		}
		i, there := slices.BinarySearchFunc(out, c, func(a, b Charge) int { return slices.Compare(a.Group, b.Group) })
		if !there {
			out = slices.Insert(out, i, c)
			continue
		}
		if l.Measure == MeasureCount {
			continue // one request, however many outputs it has there
		}
		var fits bool
		if out[i].Amount, fits = out[i].Amount.Add(c.Amount); !fits {
			return nil, errors.New("the sum of the amounts does not fit in 256 bits")
		}
	}
	return l.inMoney(out, f)
}

// byOutput says whether each output counts on its own.
func (l Limit) byOutput() bool {
	return slices.Contains(l.GroupBy, ByDestination) || slices.Contains(l.GroupBy, ByCounterparty)
}

// fresh gives the destinations that were never paid before, each address once.
func fresh(all []Destination) (out []Destination) {
	for _, d := range all {
		if d.First && !slices.ContainsFunc(out, func(o Destination) bool { return o.Address == d.Address }) {
			out = append(out, d)
		}
	}
	return out
}

// group gives the values that a limit counts apart.
func (l Limit) group(f Facts, d Destination) []string {
	var out []string
	for _, a := range l.GroupBy {
		switch a {
		case ByInitiator:
			out = append(out, string(f.Initiator))
		case BySource:
			out = append(out, string(f.Wallet))
		case ByChain:
			out = append(out, string(f.Chain))
		case ByAsset:
			out = append(out, string(f.Asset))
		case ByDestination:
			out = append(out, string(f.Chain)+":"+d.Address)
		case ByCounterparty:
			out = append(out, d.Counterparty)
		}
	}
	return out
}

// checkLimits checks the limits but for their ids, which rules of all sorts share.
func (d Document) checkLimits() error {
	if len(d.Limits) > MaxLimits {
		return fmt.Errorf("has %d limits, more than %d", len(d.Limits), MaxLimits)
	}
	for i, l := range d.Limits {
		if i > 0 && d.Limits[i-1].ID >= l.ID {
			return fmt.Errorf("limits must be sorted by id: %s comes after %s", l.ID, d.Limits[i-1].ID)
		}
		if err := cmp.Or(checkText("title", l.Title, MaxTitle), d.checkLimit(l), l.When.noSimulation(), d.checkMatch(l.When)); err != nil {
			return inItem("limits", "limit", l.ID, err)
		}
	}
	return nil
}

func (d Document) checkLimit(l Limit) error {
	for _, o := range l.When.Operations {
		if o.Governance() {
			return fmt.Errorf("operation %s can't be limited: it always takes the plan that is reserved for it", o)
		}
	}
	if err := list("groupBy", l.GroupBy, func(a Aspect) error {
		return oneOf(a, []Aspect{ByInitiator, BySource, ByChain, ByAsset, ByDestination, ByCounterparty})
	}); err != nil {
		return err
	}
	by := func(a Aspect) bool { return slices.Contains(l.GroupBy, a) }
	transfers := slices.Equal(l.When.Operations, []request.Operation{request.Transfer})
	switch {
	case l.Exceeded != Deny && l.Exceeded != Hold && l.Exceeded != ByPlan:
		return fmt.Errorf("onExceed %q is none of %q, %q, %q", string(l.Exceeded), Deny, Hold, ByPlan)
	case (l.Exceeded == ByPlan) != (l.Plan != nil && len(l.Plan.AnyOf) > 0):
		return fmt.Errorf("a plan goes with onExceed: %s, and with nothing else", ByPlan)
	case l.Measure != MeasureAmount && l.Measure != MeasureFee && l.Measure != MeasureCount && l.Measure != MeasureNew && l.Measure != MeasureFiat:
		return fmt.Errorf("measure %q is none of %q, %q, %q, %q, %q", string(l.Measure), MeasureAmount, MeasureFee, MeasureCount, MeasureNew, MeasureFiat)
	case l.Measure != MeasureCount && !transfers:
		return fmt.Errorf("measure %s needs when.operation: [transfer]: nothing else pays", l.Measure)
	case l.Measure == MeasureAmount && !by(ByAsset) && len(l.When.Assets) != 1:
		return errors.New("amounts of different assets can't be added: name one in when.asset.ids, or have groupBy: [asset]")
	case l.Measure == MeasureFee && !by(ByChain) && !by(ByAsset) && !by(BySource) && len(l.When.Chains) != 1 && len(l.When.Wallets) != 1 && len(l.When.Assets) != 1:
		return errors.New("fees of different chains can't be added: name one in when.source.chains, or have groupBy: [chain]")
	case l.Measure == MeasureFee && l.byOutput():
		return errors.New("a fee is the whole transfer's, not a destination's")
	case l.byOutput() && !transfers:
		return errors.New("groupBy destination and counterparty need when.operation: [transfer]: nothing else has destinations")
	}
	return cmp.Or(d.checkLimitFiat(l), d.checkWindow(l.Window))
}

func (d Document) checkWindow(w Window) error {
	switch {
	case w.Rolling < 0 || w.Rolling > MaxWindow || w.Rolling > 0 && w.Rolling < MinTTL:
		return fmt.Errorf("window.rolling is %d seconds; want %d to %d", w.Rolling, MinTTL, MaxWindow)
	case w.Rolling > 0 && (w.Unit != "" || w.Calendar != ""):
		return errors.New("window is rolling or of a calendar, not both")
	case w.Unit == "" && w.Calendar == "":
		return nil
	}
	if err := oneOf(w.Unit, []Unit{Day, Week, Month}); err != nil {
		return fmt.Errorf("window.calendar: %w", err)
	}
	if _, ok := d.calendar(w.Calendar); !ok {
		return fmt.Errorf("window.in: calendar %q is not in the document", w.Calendar)
	}
	return nil
}
