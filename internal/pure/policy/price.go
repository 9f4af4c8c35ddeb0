// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/price"
)

// Bounds of price sources.
const (
	MaxPriceSources = 16
	MaxPairs        = 32 // of a source
	MaxSigners      = 8  // of a source
	MinPriceAge     = 10
	MaxPriceAge     = 7 * 24 * 3600
	MaxPriceStep    = 100_000 // basis points
)

// CriterionPrice is the criterion by which a rule holds what it needs a price for, and has none.
const CriterionPrice = "price"

// MeasureFiat is what is paid, in minor units of the limit's currency, each request rounded up. It works across assets.
const MeasureFiat Measure = "fiat"

// PriceSource says who tells what assets are worth, and what a value must be for rules to use it. docs/spec/prices.md.
type PriceSource struct {
	ID         string         `cbor:"1,keyasint"`
	Pairs      []Pair         `cbor:"2,keyasint"`           // sorted by asset and currency; each stands in one source of the document
	Signers    []price.Signer `cbor:"3,keyasint"`           // sorted by id, each with a key of its own
	MinSigners uint32         `cbor:"4,keyasint"`           // whose fresh quotes a value needs
	MaxAge     int64          `cbor:"5,keyasint"`           // seconds that a quote counts
	MaxStep    uint32         `cbor:"6,keyasint,omitempty"` // basis points from the value accepted last; 0: any
}

// Pair is an asset and the currency that it is valued in.
type Pair struct {
	Asset    custody.AssetID `cbor:"1,keyasint"`
	Currency string          `cbor:"2,keyasint"` // ISO 4217
}

func (p Pair) compare(o Pair) int {
	return cmp.Or(cmp.Compare(p.Asset, o.Asset), cmp.Compare(p.Currency, o.Currency))
}

// Fiat is an amount of money: minor units of a currency, for instance cents.
type Fiat struct {
	Currency string          `cbor:"1,keyasint" json:"currency"`
	Amount   custody.Uint256 `cbor:"2,keyasint" json:"amount"`
}

// Lack is why there is no price.
type Lack string

// The reasons.
const (
	NoQuotes  Lack = "none"      // no source of the document has the pair, or none of its signers has quoted it; or it is a token that is one of a kind
	StaleNow  Lack = "stale"     // too few of its quotes are fresh
	Stepped   Lack = "stepped"   // further from the value accepted last than maxStep
	TooLarge  Lack = "large"     // the value does not fit in 256 bits, or is power over tokens without limit
	Forgotten Lack = "unknown"   // the state was not asked
	Undecoded Lack = "undecoded" // what a contract call moves is not known
)

// Price is what a decision knows of what an asset is worth in a currency: a rate with the quotes that it is of, or why there is none.
type Price struct {
	Currency string      `cbor:"1,keyasint"`
	Source   string      `cbor:"2,keyasint,omitempty"`
	Rate     *price.Rate `cbor:"3,keyasint,omitempty"`
	AsOf     int64       `cbor:"4,keyasint,omitempty"` // of the oldest quote used, Unix seconds
	Quotes   []UsedQuote `cbor:"5,keyasint,omitempty"` // fresh ones, by signer
	Lack     Lack        `cbor:"6,keyasint,omitempty"` // empty if there is a rate

	Asset custody.AssetID `cbor:"7,keyasint,omitempty"` // of a contract call: what it is the price of; left out elsewhere, where it is the request's asset
}

// UsedQuote names a quote by who signed it and the entry that took it.
type UsedQuote struct {
	Signer string `cbor:"1,keyasint"`
	Seq    uint64 `cbor:"2,keyasint"`
}

// SourceOf gives the source of a pair.
func (d *Document) SourceOf(p Pair) (*PriceSource, bool) {
	for i := range d.PriceSources {
		if _, ok := slices.BinarySearchFunc(d.PriceSources[i].Pairs, p, Pair.compare); ok {
			return &d.PriceSources[i], true
		}
	}
	return nil, false
}

// SourceOf is [Document.SourceOf].
func (r *Rules) SourceOf(p Pair) (*PriceSource, bool) { return r.doc.SourceOf(p) }

// Source finds a price source.
func (d *Document) Source(id string) (*PriceSource, bool) {
	i, ok := slices.BinarySearchFunc(d.PriceSources, id, func(s PriceSource, id string) int { return cmp.Compare(s.ID, id) })
	if !ok {
		return nil, false
	}
	return &d.PriceSources[i], true
}

// Has says whether a source quotes a pair.
func (s *PriceSource) Has(p Pair) bool {
	_, ok := slices.BinarySearchFunc(s.Pairs, p, Pair.compare)
	return ok
}

// Signer gives the key of a signer.
func (s *PriceSource) Signer(id string) ([]byte, bool) {
	return signerIn(s.Signers, id)
}

// Currencies lists the currencies that the rules look at, sorted: facts of what is paid have a price in each.
func (r *Rules) Currencies() []string { return r.currencies }

func (d Document) currencies() (out []string) {
	of := func(m Match) {
		for _, f := range []*Fiat{m.FiatMax, m.FiatOver} {
			if f != nil {
				out = append(out, f.Currency)
			}
		}
	}
	for _, g := range d.Guards {
		of(g.When)
	}
	for _, r := range d.Routes {
		of(r.When)
	}
	for _, o := range d.Obligations {
		of(o.When)
	}
	for _, l := range d.Limits {
		if of(l.When); l.Measure == MeasureFiat {
			out = append(out, l.Currency)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Valued completes facts of an operation that pays with the prices that the rules look at: what is known of each asset in each currency, and what all that is
// paid is worth.
func (r *Rules) Valued(f *Facts, known func(custody.AssetID, string) Price) {
	if len(r.currencies) == 0 || !attributes(f.Operation).total {
		return
	}
	c := Context{}
	if f.Context != nil {
		c = *f.Context
	}
	for _, a := range f.valued() {
		for _, currency := range r.currencies {
			p := Price{Currency: currency, Lack: Forgotten}
			if known != nil {
				p = known(a, currency)
			}
			if p.Asset = ""; f.Call != nil {
				p.Asset = a
			}
			c.Prices = append(c.Prices, p)
		}
	}
	if len(c.Prices) > 0 {
		f.Context = &c
	}
	f.Fiat = f.values()
}

// values gives what all that is paid is worth in each currency of the prices in which that is known.
func (f *Facts) values() (out []Fiat) {
	var currencies []string
	for _, p := range f.prices() {
		currencies = append(currencies, p.Currency)
	}
	slices.Sort(currencies)
	for _, currency := range slices.Compact(currencies) {
		if v, err := f.value(currency); err == nil {
			out = append(out, Fiat{currency, v})
		}
	}
	return out
}

// prices gives what the facts know of prices.
func (f *Facts) prices() []Price {
	if f.Context == nil {
		return nil
	}
	return f.Context.Prices
}

// completeFiat says whether the values in the facts are those that the prices give. A price that is not there at all is for who needs it to say.
func (f *Facts) completeFiat() (criterion, observed string) {
	if !slices.Equal(f.Fiat, f.values()) {
		return CriterionPrice, "the values are not what the prices give"
	}
	return "", ""
}

// NoPriceError says that a rule needs a price, and why there is none.
type NoPriceError struct {
	Limit    string // that needs it; empty: a match does
	Currency string
	Lack     Lack

	Asset  custody.AssetID // that has none; empty: it is no asset's
	Source string          // of the pair; empty: no source of the document has it, or it is not known
}

func (e *NoPriceError) Error() string {
	why := map[Lack]string{NoQuotes: "nobody has told it", StaleNow: "too few fresh quotes", Stepped: "it has moved further than the source's maxStep, and not all signers agree",
		TooLarge: "it is without limit, or does not fit in 256 bits", Forgotten: "it is not known here", Undecoded: "what the call moves can't be decoded"}[e.Lack]
	if e.Asset == "" {
		return fmt.Sprintf("no value in %s: %s", e.Currency, why)
	}
	if e.Lack == NoQuotes && e.Source == "" {
		why = "no price source of the rules has this pair"
	}
	return fmt.Sprintf("no value of %s in %s: %s", e.Asset, e.Currency, why)
}

// in gives what the facts know of their asset's price in a currency. Those of a call are by asset and currency, as [Rules.Valued] puts them: it may move hundreds.
func (f *Facts) in(currency string) (*Price, error) {
	list := f.prices()
	want := Price{Currency: currency}
	if len(list) > 0 && list[0].Asset != "" {
		want.Asset = f.Asset
	}
	i, ok := slices.BinarySearchFunc(list, want, func(a, b Price) int {
		return cmp.Or(cmp.Compare(a.Asset, b.Asset), cmp.Compare(a.Currency, b.Currency))
	})
	switch {
	case !ok:
		return nil, &NoPriceError{Currency: currency, Lack: Forgotten, Asset: f.Asset}
	case list[i].Rate == nil:
		return nil, &NoPriceError{Currency: currency, Lack: list[i].Lack, Asset: f.Asset, Source: list[i].Source}
	default:
		return &list[i], nil
	}
}

// worth gives what an amount of the facts' asset is worth, rounded up. Nothing is worth nothing, whatever the price.
func (f *Facts) worth(amount custody.Uint256, currency string) (custody.Uint256, error) {
	if amount.IsZero() {
		return amount, nil
	}
	p, err := f.in(currency)
	if err != nil {
		return custody.Uint256{}, err
	}
	v, fits := p.Rate.Value(amount)
	if !fits {
		return v, &NoPriceError{Currency: currency, Lack: TooLarge, Asset: f.Asset, Source: p.Source}
	}
	return v, nil
}

// holds tries a bound in money: beyond says that the value must be more.
func (m *Fiat) holds(a *activation, beyond bool) (bool, error) {
	if !a.has.total {
		return false, nil
	}
	v, err := a.facts.value(m.Currency)
	if err != nil {
		return false, err
	}
	return v.Cmp(m.Amount) > 0 == beyond, nil
}

// known tries the fields of a match about what comes from outside, after those about clock and state; as [Match.around].
func (m *Match) known(a *activation, unmet, last field, err error) (field, field, error) {
	for _, x := range []struct {
		field   field
		present bool
		holds   func() (bool, error)
	}{
		{fFiatMax, m.FiatMax != nil, func() (bool, error) { return m.FiatMax.holds(a, false) }},
		{fFiatOver, m.FiatOver != nil, func() (bool, error) { return m.FiatOver.holds(a, true) }},
		{m.Screening.field(), m.Screening.field() != noField, func() (bool, error) { return m.Screening.some(a) }},
		{fRiskMax, m.Screening != nil && m.Screening.RiskMax != nil, func() (bool, error) { return m.Screening.every(a) }},
		{fMissing, m.Screening != nil && m.Screening.Missing, func() (bool, error) { return m.Screening.lacks(a) }},
	} {
		if !x.present {
			continue
		}
		switch is, e := x.holds(); {
		case e != nil && err == nil:
			unmet, err = x.field, e
		case e == nil && !is:
			return x.field, noField, nil
		}
		last = x.field
	}
	return unmet, last, err
}

// observedFiat tells what the request is worth.
func (f *Facts) observedFiat(currency string) string {
	v, err := f.value(currency)
	if err != nil {
		return err.Error()
	}
	return v.String() + " " + currency
}

// criterion names what decided v of x. Where that lacks a price it is [CriterionPrice], where it lacks a verdict or asks for such a lack [CriterionScreening].
func (x *matcher) criterion(v verdict) string {
	var price *NoPriceError
	var screening *NoVerdictError
	switch missing := x.m.Screening != nil && x.m.Screening.Missing; {
	case errors.As(v.err, &price):
		return CriterionPrice
	case errors.As(v.err, &screening), v.match && missing:
		return CriterionScreening
	default:
		return v.decided.criterion()
	}
}

// outside says that something from outside is missing, which is expected to come.
func outside(err error) bool {
	var price *NoPriceError
	var screening *NoVerdictError
	return errors.As(err, &price) || errors.As(err, &screening)
}

// ifKnown gives a guard as it acts on a verdict. One that would match only because something from outside is missing holds.
func (g *Guard) ifKnown(v verdict) *Guard {
	if g.Effect != Deny || !outside(v.err) {
		return g
	}
	held := *g
	held.Effect = Hold
	return &held
}

// inMoney gives charges of a limit in its currency, if it has one.
func (l Limit) inMoney(charges []Charge, f Facts) ([]Charge, error) {
	if l.Measure != MeasureFiat {
		return charges, nil
	}
	for i := range charges {
		v, err := f.worth(charges[i].Amount, l.Currency)
		var lacks *NoPriceError
		if errors.As(err, &lacks) {
			lacks.Limit = l.ID
		}
		if err != nil {
			return nil, err
		}
		charges[i].Amount = v
	}
	return charges, nil
}
