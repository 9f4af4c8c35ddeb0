// SPDX-License-Identifier: Apache-2.0

package message

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
)

// Methods of prices. docs/spec/prices.md.
const (
	MethodQuotes = "quotes" // [Quotes] → [StatementsTaken]
	MethodPrices = "prices" // [Empty] → [Prices]
)

// Quotes hands in what signers of the rule document's sources said. Whoever may connect may do that: the signatures speak.
type Quotes struct {
	Quotes []price.Signed `cbor:"1,keyasint"` // 1 to entry.MaxQuotes, in any order
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
