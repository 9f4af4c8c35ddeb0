// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/problem"
)

// quotesEvery is how often an entry takes quotes at most, so that a feed does not flood the log.
const quotesEvery = time.Second

// paceOf is how many seconds the quotes of one signer for one pair are apart at least, so that who has one key of several does not flood the log, and leaves
// seconds to the others: a hundredth of the time that a quote counts, 20 at most, so that a feed of every half minute is not told to wait.
func paceOf(src *policy.PriceSource) int64 { return min(max(src.MaxAge/100, 1), 20) }

// givenQuote is a quote with its place in what was handed in.
type givenQuote struct {
	price.Signed
	place int
}

// Quotes takes quotes: all that may be taken, in one entry. The others are named with the reason. Signatures are verified outside of the sequencer's lock.
func (d *Domain) Quotes(ctx context.Context, in message.Quotes) (message.QuotesTaken, error) {
	var out message.QuotesTaken
	if n := len(in.Quotes); n == 0 || n > entry.MaxQuotes {
		return out, problem.New(problem.Malformed, "%d quotes; want 1 to %d", n, entry.MaxQuotes)
	}
	refuse := func(place int, err error) {
		q := &problem.Error{Kind: problem.Malformed, Detail: err.Error()}
		_ = errors.As(err, &q)
		out.Refused = append(out.Refused, message.QuoteRefused{Place: uint64(place), Kind: q.Kind, Detail: clipTo(q.Detail, 200)})
	}
	rules, err := d.mayTakeQuotes()
	if err != nil {
		return out, err
	}
	doc := rules.Document()
	var given []givenQuote
	for i, q := range in.Quotes {
		if err := authority.VerifyQuote(&doc, q); err != nil {
			refuse(i, err)
			continue
		}
		given = append(given, givenQuote{q, i})
	}
	// Of several by one signer for one pair the newest comes first, and the others are then older than what is known.
	slices.SortStableFunc(given, func(a, b givenQuote) int {
		return cmp.Or(authority.CompareQuotes(a.Signed, b.Signed), cmp.Compare(b.Quote.AsOf, a.Quote.AsOf))
	})
	rec, err := d.recordQuotes(rules, given, &out, refuse)
	slices.SortFunc(out.Refused, func(a, b message.QuoteRefused) int { return cmp.Compare(a.Place, b.Place) })
	if err != nil || rec == nil {
		return out, err
	}
	return out, d.durable(ctx, *rec)
}

// mayTakeQuotes says whether an entry may take quotes now, and gives the rules that say whose.
func (d *Domain) mayTakeQuotes() (*policy.Rules, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.now(); err != nil {
		return nil, err
	}
	return d.state.Rules, d.quotesNow()
}

// quotesNow says whether an entry may take quotes at the time that was read last. The caller holds mu.
func (d *Domain) quotesNow() error {
	if err := d.state.TakesQuotes(); err != nil {
		return err
	}
	if d.quoted && d.readAt-d.quotedAt < int64(quotesEvery) {
		return problem.New(problem.Busy, "quotes were taken less than %s ago; hand them in together, and later", quotesEvery)
	}
	return nil
}

// recordQuotes records those of verified quotes, in order, that the state takes; nil if there are none.
func (d *Domain) recordQuotes(rules *policy.Rules, given []givenQuote, out *message.QuotesTaken, refuse func(int, error)) (*recorded, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.now()
	if err != nil {
		return nil, err
	}
	if err := d.quotesNow(); err != nil {
		return nil, err // somebody else was quicker
	}
	if d.state.Rules != rules {
		return nil, problem.New(problem.Busy, "the rules changed meanwhile; hand the quotes in again")
	}
	var b entry.Quotes
	for _, q := range given {
		err := d.state.FitsQuote(q.Signed, at)
		if n := len(b.Quotes); err == nil && n > 0 && authority.CompareQuotes(b.Quotes[n-1], q.Signed) == 0 {
			err = problem.New(problem.AlreadyDone, "a newer quote of this signer is in the same list")
		}
		switch {
		case err != nil:
			refuse(q.place, err)
		case d.saysNothing(q.Signed):
			out.Same++
		case d.tooSoon(q.Signed):
			refuse(q.place, problem.New(problem.Busy, "the last quote of this signer for this pair is so young that another is not recorded yet"))
		default:
			b.Quotes = append(b.Quotes, q.Signed)
		}
	}
	if len(b.Quotes) == 0 {
		return nil, nil
	}
	rec, err := d.record(at, entry.KindQuotes, entry.Confidential, &b)
	if err != nil {
		return nil, err
	}
	d.quoted, d.quotedAt = true, d.readAt
	out.Entry, out.Taken = rec.seq, uint64(len(b.Quotes))
	return &rec, nil
}

// saysNothing says whether a quote has the rate of the signer's last one, which still counts for half of its time. The caller holds mu.
func (d *Domain) saysNothing(q price.Signed) bool {
	was, ok := d.state.LatestQuote(q)
	src, known := d.state.Doc.Source(q.Quote.Source)
	return ok && known && was.Rate == q.Quote.Rate && q.Quote.AsOf < was.AsOf+src.MaxAge/2
}

// tooSoon says whether a quote comes too soon after the signer's last one. The caller holds mu.
func (d *Domain) tooSoon(q price.Signed) bool {
	was, ok := d.state.LatestQuote(q)
	src, known := d.state.Doc.Source(q.Quote.Source)
	return ok && known && q.Quote.AsOf < was.AsOf+paceOf(src)
}

// Prices tells what is known of the pairs of the rule document.
func (d *Domain) Prices() message.Prices {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.moment(d.cfg.Clock.Now())
	out := message.Prices{Prices: []message.Price{}, Time: at.Time}
	for _, x := range d.state.PriceStates(at) {
		p := message.Price{Asset: x.Pair.Asset, Price: x.Price}
		for _, q := range x.Quotes {
			p.Quotes = append(p.Quotes, message.Quote{Signer: q.Signer, Rate: q.Rate, AsOf: q.AsOf, Entry: q.Seq})
		}
		out.Prices = append(out.Prices, p)
	}
	return out
}

// priceStatus says how many pairs have no value now, how old the oldest quote in use is in seconds, and in words what is held for that. The caller holds mu.
func (d *Domain) priceStatus() (lacking, age uint64, words []string) {
	at := d.moment(d.cfg.Clock.Now())
	first := ""
	for _, x := range d.state.PriceStates(at) {
		if x.Price.Rate != nil {
			age = max(age, uint64(max(at.Time/1e9-x.Price.AsOf, 0)))
			continue
		}
		if lacking++; first == "" {
			first = fmt.Sprintf("%s in %s: %s", x.Pair.Asset, x.Pair.Currency, x.Price.Lack)
		}
	}
	if lacking > 0 {
		words = []string{fmt.Sprintf("prices: %d of the rules' pairs have none (%s); what needs them is held, all else goes on", lacking, first)}
	}
	return lacking, age, words
}
