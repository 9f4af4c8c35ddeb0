// SPDX-License-Identifier: Apache-2.0

package apiv1

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/problem"
)

// PriceSource says who tells what assets are worth.
type PriceSource struct {
	ID         string       `json:"id"`
	Pairs      []Pair       `json:"pairs"`
	Signers    []FeedSigner `json:"signers"`
	MinSigners uint32       `json:"minSigners" doc:"whose fresh quotes a value needs"`
	MaxAge     int64        `json:"maxAge" doc:"seconds that a quote counts"`
	MaxStep    uint32       `json:"maxStep,omitempty" doc:"basis points from the value accepted last; absent: any"`
}

// Pair is an asset and the currency that it is valued in.
type Pair struct {
	Asset    custody.AssetID `json:"asset" doc:"CAIP-19"`
	Currency string          `json:"currency" doc:"ISO 4217"`
}

// FeedSigner is who signs what a source says.
type FeedSigner struct {
	ID  string           `json:"id"`
	Pub custody.HexBytes `json:"pub" doc:"Ed25519"`
}

// QuotesIn hands in signed quotes.
type QuotesIn struct {
	Quotes []custody.HexBytes `json:"quotes" doc:"each a canonical signed quote in hex, as 'strongroom price quote' writes it; at most 256"`
}

// StatementsTaken says what became of quotes or verdicts that were handed in.
type StatementsTaken struct {
	Entry   uint64             `json:"entry,omitempty" doc:"that took them; absent: none was taken"`
	Taken   uint64             `json:"taken"`
	Same    uint64             `json:"same" doc:"not recorded, because they say what is known and that is still young"`
	Refused []StatementRefused `json:"refused"`
}

// StatementRefused is one that was not taken.
type StatementRefused struct {
	Place  uint64       `json:"place" doc:"in the list that was handed in, from 0"`
	Kind   problem.Kind `json:"kind"`
	Detail string       `json:"detail"`
}

// PriceUsed is what a decision knew of what an asset is worth.
type PriceUsed struct {
	Asset    custody.AssetID  `json:"asset,omitempty" doc:"CAIP-19; absent: what the request pays with"`
	Currency string           `json:"currency"`
	Source   string           `json:"source,omitempty"`
	Rate     string           `json:"rate,omitempty" doc:"minor units of the currency for one base unit, exact; absent: there was no value"`
	AsOf     int64            `json:"asOf,omitempty" doc:"of the oldest quote used, Unix seconds"`
	Lack     policy.Lack      `json:"lack,omitempty" doc:"why there was no value"`
	Worth    *custody.Uint256 `json:"worth,omitempty" doc:"of a transfer's total, minor units, rounded up"`
}

// PricesUsed gives the JSON form of a decision's prices. total is what a transfer pays; nil: something else was decided.
func PricesUsed(list []policy.Price, total *custody.Uint256) (out []PriceUsed) {
	for _, p := range list {
		x := PriceUsed{Asset: p.Asset, Currency: p.Currency, Source: p.Source, AsOf: p.AsOf, Lack: p.Lack}
		if p.Rate != nil {
			x.Rate = p.Rate.String()
			if v, fits := valueOf(*p.Rate, total); fits {
				x.Worth = &v
			}
		}
		out = append(out, x)
	}
	return out
}

func valueOf(r price.Rate, total *custody.Uint256) (v custody.Uint256, fits bool) {
	if total == nil {
		return v, false
	}
	return r.Value(*total)
}

// PriceList lists the pairs of the rule document.
type PriceList struct {
	Prices []PriceView `json:"prices"`
	Time   string      `json:"time"`
}

// PriceView is what is known of a pair.
type PriceView struct {
	Source   string          `json:"source"`
	Asset    custody.AssetID `json:"asset"`
	Currency string          `json:"currency"`
	Rate     string          `json:"rate,omitempty" doc:"minor units of the currency for one base unit, exact; absent: there is no value now"`
	Lack     policy.Lack     `json:"lack,omitempty" doc:"why there is none: none, stale or stepped"`
	AsOf     int64           `json:"asOf,omitempty" doc:"of the oldest quote in use, Unix seconds"`
	Quotes   []QuoteView     `json:"quotes" doc:"latest of each signer, fresh or not"`
}

// QuoteView is the latest quote of a signer.
type QuoteView struct {
	Signer string `json:"signer"`
	Rate   string `json:"rate"`
	AsOf   int64  `json:"asOf"`
	Entry  uint64 `json:"entry"`
}

func priceSourcesOf(list []policy.PriceSource) (out []PriceSource) {
	for _, s := range list {
		x := PriceSource{ID: s.ID, Pairs: []Pair{}, Signers: feedSignersOf(s.Signers), MinSigners: s.MinSigners, MaxAge: s.MaxAge, MaxStep: s.MaxStep}
		for _, p := range s.Pairs {
			x.Pairs = append(x.Pairs, Pair(p))
		}
		out = append(out, x)
	}
	return out
}

func priceSourcesFrom(list []PriceSource) (out []policy.PriceSource) {
	for _, s := range list {
		x := policy.PriceSource{ID: s.ID, Signers: feedSignersFrom(s.Signers), MinSigners: s.MinSigners, MaxAge: s.MaxAge, MaxStep: s.MaxStep}
		for _, p := range s.Pairs {
			x.Pairs = append(x.Pairs, policy.Pair(p))
		}
		out = append(out, x)
	}
	return out
}
