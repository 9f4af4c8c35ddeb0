// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"net/http"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/price"
)

// What is known of prices, and signed quotes of them.
type (
	PriceList   = apiv1.PriceList
	PriceUsed   = apiv1.PriceUsed
	PriceView   = apiv1.PriceView
	SignedQuote = price.Signed
)

// Prices lists what the rules know of what assets are worth, as serve tells it.
func (c *Client) Prices(ctx context.Context) (l PriceList, err error) {
	return l, c.get(ctx, "/v1/prices", nil, &l)
}

// SubmitQuotes hands in signed quotes.
func (c *Client) SubmitQuotes(ctx context.Context, quotes []SignedQuote) (t StatementsTaken, err error) {
	var in apiv1.QuotesIn
	for _, q := range quotes {
		in.Quotes = append(in.Quotes, q.Encode())
	}
	return t, c.call(ctx, http.MethodPost, "/v1/quotes", nil, in, &t)
}
