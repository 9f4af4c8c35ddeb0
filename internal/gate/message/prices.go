// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/problem"
)

// Methods of prices. docs/spec/prices.md.
const (
	MethodQuotes = "quotes" // [Quotes] → [QuotesTaken]
	MethodPrices = "prices" // [Empty] → [Prices]
)

// Quotes hands in what signers of the rule document's sources said. Whoever may connect may do that: the signatures speak.
type Quotes struct {
	Quotes []price.Signed `cbor:"1,keyasint"` // 1 to entry.MaxQuotes, in any order
}

// QuotesTaken says what became of them.
type QuotesTaken struct {
	Entry   uint64         `cbor:"1,keyasint,omitempty"` // that took them; 0: none was taken
	Taken   uint64         `cbor:"2,keyasint,omitempty"`
	Same    uint64         `cbor:"3,keyasint,omitempty"` // not recorded, because they say what is known and that is still young
	Refused []QuoteRefused `cbor:"4,keyasint,omitempty"` // by place
}

// QuoteRefused is a quote that was not taken.
type QuoteRefused struct {
	Place  uint64       `cbor:"1,keyasint"` // in the list that was handed in, from 0
	Kind   problem.Kind `cbor:"2,keyasint"`
	Detail string       `cbor:"3,keyasint"`
}

// Prices lists the pairs of the rule document, in its order.
type Prices struct {
	Prices []Price `cbor:"1,keyasint"`
	Time   int64   `cbor:"2,keyasint"` // of the answer, Unix nanoseconds
}

// Price is what is known of a pair.
type Price struct {
	Asset  custody.AssetID `cbor:"1,keyasint"`
	Price  policy.Price    `cbor:"2,keyasint"`
	Quotes []Quote         `cbor:"3,keyasint,omitempty"` // latest of each signer, fresh or not
}

// Quote is the latest quote of a signer.
type Quote struct {
	Signer string     `cbor:"1,keyasint"`
	Rate   price.Rate `cbor:"2,keyasint"`
	AsOf   int64      `cbor:"3,keyasint"`
	Entry  uint64     `cbor:"4,keyasint"`
}
