// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"fmt"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
)

// paceOf is how many seconds the quotes of one signer for one pair are apart at least, so that who has one key of several does not flood the log, and leaves
// seconds to the others: a hundredth of the time that a quote counts, 20 at most, so that a feed of every half minute is not told to wait.
func paceOf(src *policy.PriceSource) int64 { return min(max(src.MaxAge/100, 1), 20) }

// Quotes takes quotes: all that may be taken, in one entry.
func (d *Domain) Quotes(ctx context.Context, in message.Quotes) (message.StatementsTaken, error) {
	// since gives the signer's last quote for the pair, and how many seconds later this one is.
	since := func(q price.Signed) (was authority.QuoteRecord, src *policy.PriceSource, later int64, ok bool) {
		was, ok = d.state.LatestQuote(q)
		src, known := d.state.Doc.Source(q.Said.Source)
		return was, src, q.Said.AsOf - was.AsOf, ok && known
	}
	return take(ctx, d, intake[price.Quote]{what: "quotes", most: entry.MaxQuotes, at: &d.quoted, verify: authority.VerifyQuote, order: authority.CompareQuotes,
		asOf: func(q price.Quote) int64 { return q.AsOf },
		fits: func(q price.Signed, at authority.Moment, _ []price.Signed) error { return d.state.FitsQuote(q, at) },
		same: func(q price.Signed) bool {
			was, src, later, ok := since(q)
			return ok && was.Rate == q.Said.Rate && later < src.MaxAge/2
		},
		soon: func(q price.Signed) bool {
			_, src, later, ok := since(q)
			return ok && later < paceOf(src)
		},
		record: func(at authority.Moment, taken []price.Signed) (recorded, error) {
			return d.record(at, entry.KindQuotes, entry.Confidential, &entry.Quotes{Quotes: taken})
		}}, in.Quotes)
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
