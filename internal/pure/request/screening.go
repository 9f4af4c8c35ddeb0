// SPDX-License-Identifier: Apache-2.0

package request

import "strongroom/internal/pure/custody"

// ScreeningEffect is what a source of the rules said of somebody whom a request gives something, as people see it who approve. docs/spec/screening.md.
type ScreeningEffect struct {
	Source     string          `cbor:"1,keyasint" json:"source"`
	Chain      custody.ChainID `cbor:"2,keyasint,omitempty" json:"chain,omitempty"`
	Address    string          `cbor:"3,keyasint,omitempty" json:"address,omitempty"` // empty: the request as a whole
	Risk       uint32          `cbor:"4,keyasint,omitempty" json:"risk"`              // 0 harmless, 100 the worst
	Categories []string        `cbor:"5,keyasint,omitempty" json:"categories,omitempty"`
	Exposure   string          `cbor:"6,keyasint,omitempty" json:"exposure,omitempty"` // none, indirect or direct
	Status     string          `cbor:"7,keyasint,omitempty" json:"status,omitempty"`   // accept, wait, alert, reject or freeze
	Lack       string          `cbor:"8,keyasint,omitempty" json:"lack,omitempty"`     // why there is no verdict: none, stale or unknown; the others then say nothing
}
