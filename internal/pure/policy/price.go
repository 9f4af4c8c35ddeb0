// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"encoding/hex"
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
	NoQuotes  Lack = "none"    // no source of the document has the pair, or none of its signers has quoted it
	StaleNow  Lack = "stale"   // too few of its quotes are fresh
	Stepped   Lack = "stepped" // further from the value accepted last than maxStep
	TooLarge  Lack = "large"   // the value does not fit in 256 bits
	Forgotten Lack = "unknown" // the state was not asked
)

// Price is what a decision knows of what the request's asset is worth in a currency: a rate with the quotes that it is of, or why there is none.
type Price struct {
	Currency string      `cbor:"1,keyasint"`
	Source   string      `cbor:"2,keyasint,omitempty"`
	Rate     *price.Rate `cbor:"3,keyasint,omitempty"`
	AsOf     int64       `cbor:"4,keyasint,omitempty"` // of the oldest quote used, Unix seconds
	Quotes   []UsedQuote `cbor:"5,keyasint,omitempty"` // fresh ones, by signer
	Lack     Lack        `cbor:"6,keyasint,omitempty"` // empty if there is a rate
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
	i, ok := slices.BinarySearchFunc(s.Signers, id, func(s price.Signer, id string) int { return cmp.Compare(s.ID, id) })
	if !ok {
		return nil, false
	}
	return s.Signers[i].Pub, true
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

// Valued completes facts of an operation that pays with the prices that the rules look at: what is known of each currency, and what the total is worth.
func (r *Rules) Valued(f *Facts, known func(custody.AssetID, string) Price) {
	if len(r.currencies) == 0 || !attributes(f.Operation).total {
		return
	}
	c := Context{}
	if f.Context != nil {
		c = *f.Context
	}
	for _, currency := range r.currencies {
		p := Price{Currency: currency, Lack: Forgotten}
		if known != nil {
			p = known(f.Asset, currency)
		}
		if p.Rate != nil {
			v, fits := p.Rate.Value(f.Total)
			if fits {
				f.Fiat = append(f.Fiat, Fiat{currency, v})
			} else {
				p = Price{Currency: currency, Source: p.Source, Lack: TooLarge}
			}
		}
		c.Prices = append(c.Prices, p)
	}
	f.Context = &c
}

// prices gives what the facts know of prices.
func (f *Facts) prices() []Price {
	if f.Context == nil {
		return nil
	}
	return f.Context.Prices
}

// completeFiat says whether the values in the facts are those that the prices give.
func (f *Facts) completeFiat() (criterion, observed string) {
	i := 0
	for _, p := range f.prices() {
		if p.Rate == nil {
			continue
		}
		v, fits := p.Rate.Value(f.Total)
		if !fits || i >= len(f.Fiat) || f.Fiat[i] != (Fiat{p.Currency, v}) {
			return CriterionPrice, "the value in " + p.Currency + " is not what the price gives"
		}
		i++
	}
	if i != len(f.Fiat) {
		return CriterionPrice, "a value has no price"
	}
	return "", ""
}

// NoPriceError says that a rule needs a price, and why there is none.
type NoPriceError struct {
	Limit    string // that needs it; empty: a match does
	Currency string
	Lack     Lack
}

func (e *NoPriceError) Error() string {
	why := map[Lack]string{NoQuotes: "nobody has told it", StaleNow: "too few fresh quotes", Stepped: "it has moved further than the source's maxStep, and not all signers agree",
		TooLarge: "it does not fit in 256 bits", Forgotten: "it is not known here"}[e.Lack]
	return fmt.Sprintf("no value in %s: %s", e.Currency, why)
}

// in gives what the facts know of a currency.
func (f *Facts) in(currency string) (*Price, error) {
	for i, p := range f.prices() {
		if p.Currency == currency && p.Rate != nil {
			return &f.Context.Prices[i], nil
		}
		if p.Currency == currency {
			return nil, &NoPriceError{Currency: currency, Lack: p.Lack}
		}
	}
	return nil, &NoPriceError{Currency: currency, Lack: Forgotten}
}

// worth gives what an amount of the request's asset is worth, rounded up.
func (f *Facts) worth(amount custody.Uint256, currency string) (custody.Uint256, error) {
	p, err := f.in(currency)
	if err != nil {
		return custody.Uint256{}, err
	}
	v, fits := p.Rate.Value(amount)
	if !fits {
		return v, &NoPriceError{Currency: currency, Lack: TooLarge}
	}
	return v, nil
}

// holds tries a bound in money: beyond says that the value must be more.
func (m *Fiat) holds(a *activation, beyond bool) (bool, error) {
	if !a.has.total {
		return false, nil
	}
	v, err := a.facts.worth(a.facts.Total, m.Currency)
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
	v, err := f.worth(f.Total, currency)
	if err != nil {
		return err.Error()
	}
	return v.String() + " " + currency
}

// criterion names what decided v. Where that lacks a price it is [CriterionPrice].
func (v verdict) criterion() string {
	if outside(v.err) {
		return CriterionPrice
	}
	return v.decided.criterion()
}

// outside says that something from outside is missing, which is expected to come.
func outside(err error) bool {
	var p *NoPriceError
	return errors.As(err, &p)
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

func (d Document) checkPrices() error {
	if len(d.PriceSources) > MaxPriceSources {
		return fmt.Errorf("has %d price sources, more than %d", len(d.PriceSources), MaxPriceSources)
	}
	pairs, keys := map[Pair]string{}, map[string]string{}
	for i, s := range d.PriceSources {
		if i > 0 && d.PriceSources[i-1].ID >= s.ID {
			return fmt.Errorf("priceSources must be sorted by id and distinct: %s comes after %s", s.ID, d.PriceSources[i-1].ID)
		}
		if err := cmp.Or(custody.CheckSlug("price source", s.ID), s.check(pairs, keys)); err != nil {
			return fmt.Errorf("price source %s: %w", s.ID, err)
		}
	}
	return nil
}

func (s PriceSource) check(pairs map[Pair]string, keys map[string]string) error {
	switch {
	case len(s.Pairs) < 1 || len(s.Pairs) > MaxPairs || len(s.Signers) < 1 || len(s.Signers) > MaxSigners:
		return fmt.Errorf("has %d pairs and %d signers; want 1 to %d and 1 to %d", len(s.Pairs), len(s.Signers), MaxPairs, MaxSigners)
	case s.MinSigners < 1 || int(s.MinSigners) > len(s.Signers):
		return fmt.Errorf("minSigners is %d; want 1 to %d, as many as there are", s.MinSigners, len(s.Signers))
	case s.MaxAge < MinPriceAge || s.MaxAge > MaxPriceAge:
		return fmt.Errorf("maxAge is %d seconds; want %d to %d", s.MaxAge, MinPriceAge, MaxPriceAge)
	case s.MaxStep > MaxPriceStep:
		return fmt.Errorf("maxStep is %d basis points; want %d at most", s.MaxStep, MaxPriceStep)
	}
	for i, p := range s.Pairs {
		if err := errors.Join(p.Asset.Check(), price.CheckCurrency(p.Currency)); err != nil {
			return err
		}
		if i > 0 && s.Pairs[i-1].compare(p) >= 0 {
			return errors.New("pairs must be sorted by asset and currency, and distinct")
		}
		if other, taken := pairs[p]; taken {
			return fmt.Errorf("%s in %s is a pair of %s already; a pair has one source", p.Asset, p.Currency, other)
		}
		pairs[p] = s.ID
	}
	for i, x := range s.Signers {
		if err := x.Check(); err != nil {
			return err
		}
		if i > 0 && s.Signers[i-1].ID >= x.ID {
			return errors.New("signers must be sorted by id and distinct")
		}
		who := s.ID + "/" + x.ID
		if other, taken := keys[string(x.Pub)]; taken {
			return fmt.Errorf("the key of %s is that of %s; one key is one voice", who, other)
		}
		keys[string(x.Pub)] = who
	}
	return nil
}

// checkFiat checks what a match says of money.
func (d Document) checkFiat(m Match) error {
	for _, x := range []struct {
		what string
		f    *Fiat
	}{{"amount.fiatMax", m.FiatMax}, {"amount.fiatOver", m.FiatOver}} {
		if x.f == nil {
			continue
		}
		if err := d.quoted(x.f.Currency); err != nil {
			return fmt.Errorf("%s: %w", x.what, err)
		}
	}
	if a, b := m.FiatMax, m.FiatOver; a != nil && b != nil && a.Currency == b.Currency && b.Amount.Cmp(a.Amount) >= 0 {
		return fmt.Errorf("amount: fiatOver %s is not less than fiatMax %s, so nothing matches", b.Amount, a.Amount)
	}
	return nil
}

// quoted says whether a source of the document has a currency at all.
func (d Document) quoted(currency string) error {
	if err := price.CheckCurrency(currency); err != nil {
		return err
	}
	for _, s := range d.PriceSources {
		if slices.ContainsFunc(s.Pairs, func(p Pair) bool { return p.Currency == currency }) {
			return nil
		}
	}
	return fmt.Errorf("no source of priceSources has a pair in %s", currency)
}

// checkLimitFiat checks what a limit says of money.
func (d Document) checkLimitFiat(l Limit) error {
	switch {
	case l.Measure != MeasureFiat && l.Currency != "":
		return fmt.Errorf("currency goes with measure %s, and with nothing else", MeasureFiat)
	case l.Measure == MeasureFiat:
		if err := d.quoted(l.Currency); err != nil {
			return fmt.Errorf("currency: %w", err)
		}
	}
	return nil
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

// String tells an amount of money in words.
func (m Fiat) String() string { return fmt.Sprintf("%s minor units of %s", m.Amount, m.Currency) }

// String tells a source in words.
func (s PriceSource) String() string {
	pairs, signers := make([]string, len(s.Pairs)), make([]string, len(s.Signers))
	for i, p := range s.Pairs {
		pairs[i] = string(p.Asset) + " in " + p.Currency
	}
	for i, x := range s.Signers {
		signers[i] = x.ID + " (" + hex.EncodeToString(x.Pub) + ")"
	}
	out := fmt.Sprintf("%d of %s tell the price of %s; a quote counts for %d seconds", s.MinSigners, joined(signers, ", "), joined(pairs, ", "), s.MaxAge)
	if s.MaxStep > 0 {
		out += fmt.Sprintf(", and a step of more than %d basis points holds", s.MaxStep)
	}
	return out
}

func diffPrices(old, next Document, say func(string, ...any)) {
	both(old.PriceSources, next.PriceSources, func(s PriceSource) string { return s.ID },
		func(s PriceSource) { say("price source %s is new: %s", s.ID, s) },
		func(s PriceSource) {
			say("price source %s is removed, and its quotes are forgotten; it was: %s", s.ID, s)
		},
		func(a, b PriceSource) {
			if !same(a, b) {
				say("price source %s is now, and its quotes are forgotten: %s; it was: %s", a.ID, b, a)
			}
		})
}
