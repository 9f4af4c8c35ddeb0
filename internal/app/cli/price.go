// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/csv"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/price"
)

// priceCmd is about what assets are worth.
type priceCmd struct {
	Keygen priceKeygen `cmd:"" help:"Make the key of a signer of prices, for priceSources of the rule document."`
	Quote  priceQuote  `cmd:"" help:"Sign what an asset is worth; prints the quote for 'strongroom price submit'."`
	Feed   priceFeed   `cmd:"" help:"Sign prices from a file again and again, and hand them in."`
	Submit priceSubmit `cmd:"" help:"Hand in signed quotes, of whoever signed them."`
	Show   priceShow   `cmd:"" help:"Show what the rules know of prices, as serve tells it."`
}

// keyBlock is the PEM block of a signer's key: PKCS #8, as other tools write Ed25519 keys.
const keyBlock = "PRIVATE KEY"

type priceKeygen struct {
	File string `arg:"" help:"File to write; it is not protected by a passphrase, because a feed runs unattended: keep it on the machine of the feed."`
}

// Run makes a key.
func (c *priceKeygen) Run(e *env) error {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	defer clear(key)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	defer clear(der)
	text := pem.EncodeToMemory(&pem.Block{Type: keyBlock, Bytes: der})
	defer clear(text)
	if err := e.create(c.File, text, 0o600); err != nil {
		return err
	}
	out := map[string]string{"pub": hex.EncodeToString(pub)}
	return e.show(out, func() error { return e.pairs([]pair{{"pub", out["pub"]}}) })
}

// feedKey reads a signer's key.
func (e *env) feedKey(path string) (ed25519.PrivateKey, error) {
	b, err := e.readInput(path)
	if err != nil {
		return nil, err
	}
	defer clear(b)
	block, rest := pem.Decode(b)
	if block == nil || block.Type != keyBlock || len(bytes.TrimSpace(rest)) > 0 {
		return nil, hint(fmt.Errorf("%s is no key of a signer", path), "'strongroom price keygen' makes one")
	}
	defer clear(block.Bytes)
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := k.(ed25519.PrivateKey)
	if err != nil || !ok {
		return nil, hint(fmt.Errorf("%s has no Ed25519 key", path), "'strongroom price keygen' makes one")
	}
	return key, nil
}

// signing says who signs quotes, and for which domain.
type signing struct {
	File   string `name:"signer-key" required:"" placeholder:"FILE" help:"Key of the signer, of 'strongroom price keygen'."`
	Signer string `required:"" placeholder:"ID" help:"Id of the signer in the source."`
	Source string `required:"" placeholder:"ID" help:"Id of the source in the rule document."`
}

// quoter signs quotes.
type quoter struct {
	signing
	key       ed25519.PrivateKey
	authority custody.AuthorityID
}

func (s signing) open(e *env) (*quoter, error) {
	d, err := e.domain()
	if err != nil {
		return nil, err
	}
	a, _, err := d.ids()
	if err != nil {
		return nil, err
	}
	key, err := e.feedKey(s.File)
	return &quoter{s, key, a}, err
}

// told is a price as people write it: of a whole coin, in whole units of the currency.
type told struct {
	asset, currency, price string
	decimals               int // of the coin; negative: as the chain says
}

func (q *quoter) sign(t told, at time.Time) (s price.Signed, err error) {
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
	q, err := c.open(e)
	if err != nil {
		return err
	}
	defer clear(q.key)
	s, err := q.sign(told{c.Asset, c.Currency, c.Price, c.Decimals}, time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(e.Out, hex.EncodeToString(s.Encode()))
	return err
}

type priceSubmit struct {
	File string `arg:"" optional:"" default:"-" help:"Quotes, one a line; default: standard input."`
}

// Run hands quotes in.
func (c *priceSubmit) Run(e *env) error {
	b, err := e.readInput(c.File)
	if err != nil {
		return err
	}
	var quotes []client.SignedQuote
	for i, line := range strings.Fields(string(b)) {
		raw, err := hex.DecodeString(line)
		if err != nil {
			return usage("quote %d is not in hex, as 'strongroom price quote' prints it", i+1)
		}
		q, err := price.Decode(raw)
		if err != nil {
			return usage("quote %d: %w", i+1, err)
		}
		quotes = append(quotes, q)
	}
	if n := len(quotes); n == 0 || n > entry.MaxQuotes {
		return usage("%d quotes; want 1 to %d", n, entry.MaxQuotes)
	}
	cl, err := e.client()
	if err != nil {
		return err
	}
	t, err := cl.SubmitQuotes(e.ctx, quotes)
	if err != nil {
		return err
	}
	if err := e.show(t, func() error { return e.pairs(takenPairs(t)) }); err != nil {
		return err
	}
	if len(t.Refused) > 0 && t.Taken+t.Same == 0 {
		return &hinted{err: fmt.Errorf("no quote was taken: %s", words.Plain(t.Refused[0].Detail)), code: exitOf(t.Refused[0].Kind)}
	}
	return nil
}

func takenPairs(t client.StatementsTaken) []pair {
	out := []pair{{"taken", fmt.Sprint(t.Taken)}, {"same as before", fmt.Sprint(t.Same)}}
	if t.Entry > 0 {
		out = append(out, pair{"entry", fmt.Sprint(t.Entry)})
	}
	for _, r := range t.Refused {
		out = append(out, pair{fmt.Sprintf("quote %d refused", r.Place+1), words.Plain(r.Detail)})
	}
	return out
}

type priceFeed struct {
	signing
	Rates string        `required:"" placeholder:"FILE" help:"Prices as CSV, read anew each time: asset,currency,price and for a token its decimals; lines that begin with # are notes."`
	Every time.Duration `default:"30s" placeholder:"DURATION" help:"How often; 1s at least."`
	Stale time.Duration `default:"10m" placeholder:"DURATION" help:"Sign nothing while the file was not written for so long: an old price must not look new."`
	Once  bool          `help:"Sign and hand in once, and end."`
}

// Run feeds until it is told to stop. A round that fails is told, and the next one tries again.
func (c *priceFeed) Run(e *env) error {
	if c.Every < time.Second {
		return usage("--every %s: want 1s at least", c.Every)
	}
	q, err := c.open(e)
	if err != nil {
		return err
	}
	defer clear(q.key)
	cl, err := e.client()
	if err != nil {
		return err
	}
	round := time.NewTicker(c.Every)
	defer round.Stop()
	for {
		err := c.round(e, q, cl)
		if c.Once {
			return err
		}
		if err != nil && e.ctx.Err() == nil {
			e.say("strongroom: price feed: %s; trying again in %s", words.Plain(err.Error()), c.Every)
		}
		select {
		case <-e.ctx.Done():
			return nil
		case <-round.C:
		}
	}
}

func (c *priceFeed) round(e *env, q *quoter, cl *client.Client) error {
	list, err := readRates(c.Rates, c.Stale)
	if err != nil {
		return err
	}
	now := time.Now()
	var quotes []client.SignedQuote
	for i, t := range list {
		s, err := q.sign(t, now)
		if err != nil {
			return fmt.Errorf("%s: price %d: %w", c.Rates, i+1, err)
		}
		quotes = append(quotes, s)
	}
	t, err := cl.SubmitQuotes(e.ctx, quotes)
	if err != nil {
		return err
	}
	for _, r := range t.Refused {
		e.say("strongroom: price feed: price %d refused: %s", r.Place+1, words.Plain(r.Detail))
	}
	if c.Once && t.Taken+t.Same == 0 {
		return errors.New("no quote was taken")
	}
	return nil
}

// readRates reads the prices of a file that was written lately.
func readRates(path string, stale time.Duration) (out []told, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if age := time.Since(info.ModTime()); age > stale {
		return nil, fmt.Errorf("%s was written %s ago; nothing is signed from it", path, age.Round(time.Second))
	}
	r := csv.NewReader(io.LimitReader(f, 1<<20))
	r.Comment, r.FieldsPerRecord, r.TrimLeadingSpace = '#', -1, true
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if len(row) != 3 && len(row) != 4 {
			return nil, fmt.Errorf("%s: %d fields in a line; want asset,currency,price or asset,currency,price,decimals", path, len(row))
		}
		t := told{row[0], row[1], row[2], -1}
		if len(row) == 4 {
			n, err := strconv.ParseUint(row[3], 10, 8)
			if err != nil {
				return nil, fmt.Errorf("%s: decimals %q is no small number", path, row[3])
			}
			t.decimals = int(n)
		}
		out = append(out, t)
	}
	if n := len(out); n == 0 || n > entry.MaxQuotes {
		return nil, fmt.Errorf("%s: %d prices; want 1 to %d", path, n, entry.MaxQuotes)
	}
	return out, nil
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
