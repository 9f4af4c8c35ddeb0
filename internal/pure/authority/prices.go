// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/problem"
)

// prices is what signers of the rule document's sources said, and what was made of it. docs/spec/prices.md.
type prices struct {
	quotes   map[quoteKey]QuoteRecord
	accepted map[policy.Pair]AcceptedRecord
}

func newPrices() prices {
	return prices{map[quoteKey]QuoteRecord{}, map[policy.Pair]AcceptedRecord{}}
}

// quoteKey names the latest quote of a signer. A pair has one source.
type quoteKey struct {
	pair   policy.Pair
	signer string
}

// QuoteRecord is the latest quote of a signer, as the state keeps it.
type QuoteRecord struct {
	Source   string          `cbor:"1,keyasint"`
	Asset    custody.AssetID `cbor:"2,keyasint"`
	Currency string          `cbor:"3,keyasint"`
	Signer   string          `cbor:"4,keyasint"`
	Rate     price.Rate      `cbor:"5,keyasint"`
	AsOf     int64           `cbor:"6,keyasint"`
	Seq      uint64          `cbor:"7,keyasint"` // entry that took it
}

func (r QuoteRecord) key() quoteKey {
	return quoteKey{policy.Pair{Asset: r.Asset, Currency: r.Currency}, r.Signer}
}

// AcceptedRecord is the value of a pair that was accepted last: the next one is measured against it.
type AcceptedRecord struct {
	Asset    custody.AssetID `cbor:"1,keyasint"`
	Currency string          `cbor:"2,keyasint"`
	Rate     price.Rate      `cbor:"3,keyasint"`
	Seq      uint64          `cbor:"4,keyasint"` // entry whose quotes gave it
}

func (r AcceptedRecord) pair() policy.Pair { return policy.Pair{Asset: r.Asset, Currency: r.Currency} }

// priceSection is field 5 of section 23.
type priceSection struct {
	Quotes   []QuoteRecord    `cbor:"1,keyasint,omitempty"` // by source, asset, currency and signer
	Accepted []AcceptedRecord `cbor:"2,keyasint,omitempty"` // by asset and currency
}

func compareQuotes(a, b QuoteRecord) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Asset, b.Asset), cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Signer, b.Signer))
}

func compareAccepted(a, b AcceptedRecord) int {
	return cmp.Or(cmp.Compare(a.Asset, b.Asset), cmp.Compare(a.Currency, b.Currency))
}

func recordOf(q price.Signed, seq uint64) QuoteRecord {
	return QuoteRecord{q.Said.Source, q.Said.Asset, q.Said.Currency, q.Signer, q.Said.Rate, q.Said.AsOf, seq}
}

// CompareQuotes orders signed quotes as an entry has them.
func CompareQuotes(a, b price.Signed) int { return compareQuotes(recordOf(a, 0), recordOf(b, 0)) }

// LatestQuote gives the quote of a signer that the state has for a pair.
func (s *State) LatestQuote(q price.Signed) (QuoteRecord, bool) {
	r, ok := s.gov.prices.quotes[recordOf(q, 0).key()]
	return r, ok
}

// FitsQuote says whether a quote may be taken at a moment, but for its signature ([VerifyQuote]): it is of a signer and for a pair of a source of the rule
// document, made for this authority, fresh, and newer than the one that the signer gave before.
func (s *State) FitsQuote(q price.Signed, at Moment) error {
	if err := q.Check(); err != nil {
		return problem.New(problem.Malformed, "%v", err)
	}
	src, ok := s.Doc.Source(q.Said.Source)
	switch {
	case !ok:
		return problem.New(problem.Forbidden, "price source %q is not in the rule document", q.Said.Source)
	case !src.Has(policy.Pair{Asset: q.Said.Asset, Currency: q.Said.Currency}):
		return problem.New(problem.Forbidden, "price source %q has no pair of %s in %s", src.ID, q.Said.Asset, q.Said.Currency)
	}
	_, known := src.Signer(q.Signer)
	x := statement{"quote", q.Said.Authority, src.ID, q.Said.AsOf, q.Said.AsOf + src.MaxAge, q.Signer, known}
	return s.fits(x, at, func() (int64, uint64, bool) {
		was, ok := s.LatestQuote(q)
		return was.AsOf, was.Seq, ok
	})
}

// VerifyQuote says whether a quote is signed by who it says, by the rule document.
func VerifyQuote(d *policy.Document, q price.Signed) error {
	src, ok := d.Source(q.Said.Source)
	return verifySaid("quote", q.Said.Source, src, ok, q)
}

// applyQuotes takes quotes. Their signatures were checked when the entry was made, and are in Audit.
func (s *State) applyQuotes(l entry.Leaf, b *entry.Quotes) (func(), error) {
	if n := len(b.Quotes); n == 0 || n > entry.MaxQuotes {
		return nil, fmt.Errorf("has %d quotes; want 1 to %d", n, entry.MaxQuotes)
	}
	at := Moment{l.Time, l.Bound}
	for i, q := range b.Quotes {
		if i > 0 && CompareQuotes(b.Quotes[i-1], q) >= 0 {
			return nil, errors.New("quotes are out of order")
		}
		if err := s.FitsQuote(q, at); err != nil {
			return nil, fmt.Errorf("quote %d: %w", i, err)
		}
	}
	return func() {
		p := &s.gov.prices
		for _, q := range b.Quotes {
			r := recordOf(q, l.Seq)
			p.quotes[r.key()] = r
		}
		for k, r := range p.quotes {
			if src, ok := s.Doc.Source(r.Source); !ok || past(r.AsOf+src.MaxAge, l) {
				delete(p.quotes, k)
			}
		}
		for _, q := range b.Quotes {
			pair := policy.Pair{Asset: q.Said.Asset, Currency: q.Said.Currency}
			if v := s.priceOf(s.Rules, pair, at); v.Rate != nil {
				p.accepted[pair] = AcceptedRecord{pair.Asset, pair.Currency, *v.Rate, l.Seq}
			}
		}
	}, nil
}

func (s *State) auditQuotes(b *entry.Quotes) error {
	for i, q := range b.Quotes {
		if err := VerifyQuote(&s.Doc, q); err != nil {
			return fmt.Errorf("quote %d: %w", i, err)
		}
	}
	return nil
}

// PricesAt gives what assets are worth at a moment, or why that is not known.
func (s *State) PricesAt(at Moment) func(custody.AssetID, string) policy.Price {
	rules := s.judging()
	return func(a custody.AssetID, currency string) policy.Price {
		return s.priceOf(rules, policy.Pair{Asset: a, Currency: currency}, at)
	}
}

// PricesOf gives recorded prices again.
func PricesOf(recorded []policy.Price) func(custody.AssetID, string) policy.Price {
	return func(a custody.AssetID, currency string) policy.Price {
		for _, p := range recorded {
			if p.Currency == currency && (p.Asset == "" || p.Asset == a) {
				return p
			}
		}
		return policy.Price{Currency: currency, Lack: policy.Forgotten}
	}
}

// PricesIn gives the prices that facts were recorded with.
func PricesIn(f policy.Facts) []policy.Price {
	if f.Context == nil {
		return nil
	}
	return f.Context.Prices
}

// priceOf gives the median of the fresh quotes of a pair that the source of some rules takes, if there are enough and it is no step.
func (s *State) priceOf(rules *policy.Rules, pair policy.Pair, at Moment) policy.Price {
	lack := func(source string, why policy.Lack) policy.Price {
		return policy.Price{Currency: pair.Currency, Source: source, Lack: why}
	}
	src, ok := rules.SourceOf(pair)
	if !ok {
		return lack("", policy.NoQuotes)
	}
	out := policy.Price{Currency: pair.Currency, Source: src.ID}
	var rates []price.Rate
	told := false
	for _, x := range src.Signers {
		q, ok := s.gov.prices.quotes[quoteKey{pair, x.ID}]
		if told = told || ok; !ok || Expired(q.AsOf+src.MaxAge, at.Time, at.Bound) {
			continue
		}
		if rates = append(rates, q.Rate); out.AsOf == 0 || q.AsOf < out.AsOf {
			out.AsOf = q.AsOf
		}
		out.Quotes = append(out.Quotes, policy.UsedQuote{Signer: x.ID, Seq: q.Seq})
	}
	switch {
	case !told:
		return lack(src.ID, policy.NoQuotes)
	case len(rates) < int(src.MinSigners):
		return lack(src.ID, policy.StaleNow)
	}
	m := price.Median(rates)
	if last, ok := s.gov.prices.accepted[pair]; ok && src.MaxStep > 0 && !m.Within(last.Rate, src.MaxStep) && !confirmed(src, rates, m) {
		return lack(src.ID, policy.Stepped)
	}
	out.Rate = &m
	return out
}

// confirmed says whether a step is taken for true: all signers of the source, who are more than it needs, say much the same.
func confirmed(src *policy.PriceSource, rates []price.Rate, m price.Rate) bool {
	return len(rates) == len(src.Signers) && len(rates) > int(src.MinSigners) && !slices.ContainsFunc(rates, func(r price.Rate) bool { return !r.Within(m, src.MaxStep) })
}

// PriceState is what the state knows of a pair.
type PriceState struct {
	Source string
	Pair   policy.Pair
	Price  policy.Price
	Quotes []QuoteRecord // fresh or not
}

// PriceStates lists the pairs of the rule document in its order, with what is known of each at a moment.
func (s *State) PriceStates(at Moment) (out []PriceState) {
	for _, src := range s.Doc.PriceSources {
		for _, pair := range src.Pairs {
			x := PriceState{Source: src.ID, Pair: pair, Price: s.priceOf(s.Rules, pair, at)}
			for _, signer := range src.Signers {
				if q, ok := s.gov.prices.quotes[quoteKey{pair, signer.ID}]; ok {
					x.Quotes = append(x.Quotes, q)
				}
			}
			out = append(out, x)
		}
	}
	return out
}

// requote forgets quotes of signers that a new rule document does not have any more, and values that were accepted of a source that changed.
func (s *State) requote(old policy.Document) {
	p := &s.gov.prices
	for k, r := range p.quotes {
		was, _ := old.Source(r.Source)
		is, ok := s.Doc.Source(r.Source)
		if !ok || was == nil || !is.Has(k.pair) {
			delete(p.quotes, k)
			continue
		}
		if !sameSigner(was, is, r.Signer) {
			delete(p.quotes, k)
		}
	}
	for pair := range p.accepted {
		was, ok := old.SourceOf(pair)
		is, still := s.Doc.SourceOf(pair)
		if !ok || !still || same(was, is) != nil {
			delete(p.accepted, pair)
		}
	}
}

// image gives field 5 of section 23; nil while it says nothing.
func (p *prices) image() *priceSection {
	if len(p.quotes) == 0 && len(p.accepted) == 0 {
		return nil
	}
	var out priceSection
	for _, r := range p.quotes {
		out.Quotes = append(out.Quotes, r)
	}
	for _, r := range p.accepted {
		out.Accepted = append(out.Accepted, r)
	}
	slices.SortFunc(out.Quotes, compareQuotes)
	slices.SortFunc(out.Accepted, compareAccepted)
	return &out
}

// restorePrices takes field 5 of section 23. The rule document is there already.
func (s *State) restorePrices(p *priceSection) error {
	if p == nil {
		return nil
	}
	if len(p.Quotes)+len(p.Accepted) == 0 {
		return errors.New("prices: nothing is there, which is left out")
	}
	for i, r := range p.Quotes {
		src, ok := s.Doc.Source(r.Source)
		if !ok || !src.Has(r.key().pair) || r.Rate.Check() != nil || r.Seq >= s.Next || i > 0 && compareQuotes(p.Quotes[i-1], r) >= 0 {
			return fmt.Errorf("quote %d is out of order, or not of the rule document", i)
		}
		if _, ok := src.Signer(r.Signer); !ok {
			return fmt.Errorf("quote %d is of no signer of its source", i)
		}
		s.gov.prices.quotes[r.key()] = r
	}
	for i, r := range p.Accepted {
		if _, ok := s.Doc.SourceOf(r.pair()); !ok || r.Rate.Check() != nil || r.Seq >= s.Next || i > 0 && compareAccepted(p.Accepted[i-1], r) >= 0 {
			return fmt.Errorf("accepted value %d is out of order, or of no source of the rule document", i)
		}
		s.gov.prices.accepted[r.pair()] = r
	}
	return nil
}
