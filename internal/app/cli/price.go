// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/price"
)

// priceCmd is about what assets are worth.
type priceCmd struct {
	Keygen feedKeygen  `cmd:"" help:"Make the key of a signer of prices, for priceSources of the rule document."`
	Quote  priceQuote  `cmd:"" help:"Sign what an asset is worth; prints the quote for 'strongroom price submit'."`
	Feed   priceFeed   `cmd:"" help:"Sign prices from a file again and again, and hand them in."`
	Submit priceSubmit `cmd:"" help:"Hand in signed quotes, of whoever signed them."`
	Show   priceShow   `cmd:"" help:"Show what the rules know of prices, as serve tells it."`
}

// quoter signs quotes.
type quoter struct{ *speaker }

// told is a price as people write it: of a whole coin, in whole units of the currency.
type told struct {
	asset, currency, price string
	decimals               int // of the coin; negative: as the chain says
}

func (q quoter) sign(t told, at time.Time) (s price.Signed, err error) {
	a, err := assetOf("", t.asset)
	if err != nil {
		return s, err
	}
	n := t.decimals
	switch {
	case n < 0 && a != a.Chain().Native():
		return s, usage("%s is a token: how many decimals it has must be said", a)
	case n < 0 && a.Chain().Bitcoin():
		n = 8
	case n < 0:
		n = 18
	}
	rate, err := price.OfCoin(t.price, uint32(n), price.Digits(t.currency))
	if err != nil {
		return s, usage("%w", err)
	}
	s = price.Sign(price.Quote{V: 1, Authority: q.authority, Source: q.Source, Asset: a, Currency: t.currency, Rate: rate, AsOf: at.Unix()}, q.Signer, q.key)
	if err := s.Check(); err != nil {
		return s, usage("%w", err)
	}
	return s, nil
}

type priceQuote struct {
	signing
	Asset    string `required:"" placeholder:"ASSET" help:"ethereum/native, bitcoin/native, eip155:1/erc20:0x…, or CAIP-19 in full."`
	Currency string `required:"" placeholder:"CODE" help:"ISO 4217, for instance USD."`
	Price    string `required:"" placeholder:"PRICE" help:"Of one whole coin, in whole units of the currency: 60123.45."`
	Decimals int    `default:"-1" placeholder:"N" help:"Decimals of the coin; only a token needs it."`
}

// Run prints a quote.
func (c *priceQuote) Run(e *env) error {
	by, err := c.open(e)
	if err != nil {
		return err
	}
	defer clear(by.key)
	s, err := quoter{by}.sign(told{c.Asset, c.Currency, c.Price, c.Decimals}, time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.Out, hex.EncodeToString(s.Encode()))
	return err
}

type priceSubmit struct{ handingIn }

// Run hands quotes in.
func (c *priceSubmit) Run(e *env) error {
	return submitSaid(e, c.File, "quote", entry.MaxQuotes, price.Decode, (*client.Client).SubmitQuotes)
}

type priceFeed struct {
	signing
	feeding
	Rates string `required:"" placeholder:"FILE" help:"Prices as CSV, read anew each time: asset,currency,price and for a token its decimals; lines that begin with # are notes."`
}

// Run feeds until it is told to stop. A round that fails is told, and the next one tries again.
func (c *priceFeed) Run(e *env) error {
	return c.feed(e, c.signing, "price", func(by *speaker, cl *client.Client) (client.StatementsTaken, error) {
		return c.round(e, quoter{by}, cl)
	})
}

func (c *priceFeed) round(e *env, q quoter, cl *client.Client) (t client.StatementsTaken, err error) {
	list, err := readRates(c.Rates, c.Stale)
	if err != nil {
		return t, err
	}
	now := time.Now()
	var quotes []client.SignedQuote
	for i, x := range list {
		s, err := q.sign(x, now)
		if err != nil {
			return t, fmt.Errorf("%s: price %d: %w", c.Rates, i+1, err)
		}
		quotes = append(quotes, s)
	}
	return cl.SubmitQuotes(e.ctx, quotes)
}

// readRates reads the prices of a file that was written lately.
func readRates(path string, stale time.Duration) (out []told, err error) {
	err = readFeed(path, stale, func(row []string) error {
		if len(row) != 3 && len(row) != 4 {
			return fmt.Errorf("%d fields in a line; want asset,currency,price or asset,currency,price,decimals", len(row))
		}
		t := told{row[0], row[1], row[2], -1}
		if len(row) == 4 {
			n, err := strconv.ParseUint(row[3], 10, 8)
			if err != nil {
				return fmt.Errorf("decimals %q is no small number", row[3])
			}
			t.decimals = int(n)
		}
		out = append(out, t)
		return nil
	})
	if n := len(out); err == nil && (n == 0 || n > entry.MaxQuotes) {
		return nil, fmt.Errorf("%s: %d prices; want 1 to %d", path, n, entry.MaxQuotes)
	}
	return out, err
}

type priceShow struct{}

// Run shows prices.
func (c *priceShow) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	l, err := cl.Prices(e.ctx)
	if err != nil {
		return err
	}
	return e.show(l, func() error {
		var rows [][]string
		for _, p := range l.Prices {
			state, asOf := p.Rate, ""
			if p.Lack != "" {
				state = "NONE: " + string(p.Lack)
			}
			if p.AsOf > 0 {
				asOf = words.Unix(p.AsOf)
			}
			rows = append(rows, []string{p.Source, string(p.Asset), p.Currency, state, asOf, fmt.Sprint(len(p.Quotes))})
		}
		return e.table([]string{"source", "asset", "currency", "minor units for a base unit", "as of", "quotes"}, rows)
	})
}

// priceWords tells what a decision knew of a price.
func priceWords(p client.PriceUsed) string {
	what := "base units"
	if p.Asset != "" {
		what = "base units of " + string(p.Asset)
	}
	switch {
	case p.Rate == "":
		return fmt.Sprintf("not known in %s: %s", p.Currency, p.Lack)
	case p.Worth != nil:
		return fmt.Sprintf("%s when it was asked, %s minor units for each of its %s, by %s as of %s", price.Money(*p.Worth, p.Currency), p.Rate, what, p.Source, time.Unix(p.AsOf, 0).UTC().Format(time.RFC3339))
	default:
		return fmt.Sprintf("%s minor units of %s for each of its %s, by %s as of %s", p.Rate, p.Currency, what, p.Source, time.Unix(p.AsOf, 0).UTC().Format(time.RFC3339))
	}
}
