// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/problem"
)

// submitQuotes is POST /v1/quotes. What is no quote is refused whole, so that nobody takes a part for all.
func (s *Server) submitQuotes(c *call) error {
	var in apiv1.QuotesIn
	if err := c.read(&in); err != nil {
		return err
	}
	if n := len(in.Quotes); n == 0 || n > entry.MaxQuotes {
		return problem.New(problem.Malformed, "%d quotes; want 1 to %d", n, entry.MaxQuotes)
	}
	var m message.Quotes
	for i, b := range in.Quotes {
		q, err := price.Decode(b)
		if err != nil {
			return problem.New(problem.Malformed, "quote %d: %v", i, err)
		}
		m.Quotes = append(m.Quotes, q)
	}
	t, err := ask[message.StatementsTaken](c.ctx(), s.cfg.Core, message.MethodQuotes, m)
	if err != nil {
		return err
	}
	return c.reply(taken(t))
}

// listPrices is GET /v1/prices.
func (s *Server) listPrices(c *call) error {
	m, err := ask[message.Prices](c.ctx(), s.cfg.Core, message.MethodPrices, message.Empty{})
	if err != nil {
		return err
	}
	out := apiv1.PriceList{Prices: []apiv1.PriceView{}, Time: apiv1.Time(m.Time)}
	for _, p := range m.Prices {
		v := apiv1.PriceView{Source: p.Price.Source, Asset: p.Asset, Currency: p.Price.Currency, Lack: p.Price.Lack, AsOf: p.Price.AsOf, Quotes: []apiv1.QuoteView{}}
		if p.Price.Rate != nil {
			v.Rate = p.Price.Rate.String()
		}
		for _, q := range p.Quotes {
			v.Quotes = append(v.Quotes, apiv1.QuoteView{Signer: q.Signer, Rate: q.Rate.String(), AsOf: q.AsOf, Entry: q.Entry})
		}
		out.Prices = append(out.Prices, v)
	}
	return c.reply(out)
}
