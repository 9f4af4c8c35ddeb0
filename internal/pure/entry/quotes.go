// SPDX-License-Identifier: Apache-2.0

package entry

import "strongroom/internal/pure/price"

// MaxQuotes is how many quotes one entry takes.
const MaxQuotes = 256

// Quotes takes what sources of the rule document signed about the world outside. Body class: confidential. docs/spec/prices.md.
type Quotes struct {
	Quotes []price.Signed `cbor:"1,keyasint,omitempty"` // by source, asset, currency and signer, each once
}
