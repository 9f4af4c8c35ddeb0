// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"fmt"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/price"
)

// Quotes takes quotes: all that may be taken, in one entry.
func (d *Domain) Quotes(ctx context.Context, in message.Quotes) (message.StatementsTaken, error) {
	return take(ctx, d, intake[price.Quote]{what: "quotes", most: entry.MaxQuotes, at: &d.quoted, verify: authority.VerifyQuote, order: authority.CompareQuotes,
		asOf: func(q price.Quote) int64 { return q.AsOf },
		fits: func(q price.Signed, at authority.Moment, _ []price.Signed) error { return d.state.FitsQuote(q, at) },
		same: func(q price.Signed) bool {
			was, ok := d.state.LatestQuote(q)
			src, known := d.state.Doc.Source(q.Said.Source)
			return ok && known && was.Rate == q.Said.Rate && q.Said.AsOf < was.AsOf+src.MaxAge/2
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
