// SPDX-License-Identifier: Apache-2.0

package request

import (
	"fmt"

	"strongroom/internal/pure/custody"
)

// Replay names what a rule document would have decided otherwise, had it been in force: the report of a replay of the log. Who approves signs its hash, and
// can make it again. docs/spec/explain.md.
type Replay struct {
	From   uint64           `cbor:"1,keyasint" json:"from"`   // first entry whose decisions were made again
	Size   uint64           `cbor:"2,keyasint" json:"size"`   // entries of the log that were read
	Report custody.HexBytes `cbor:"3,keyasint" json:"report"` // hash of the report: 32 bytes
}

func (r *Replay) check() error {
	switch {
	case r == nil:
		return nil
	case len(r.Report) != 32:
		return fmt.Errorf("replay: the hash of a report has 32 bytes, not %d", len(r.Report))
	case r.From >= r.Size:
		return fmt.Errorf("replay: nothing from entry %d on is in a log of %d entries", r.From, r.Size)
	default:
		return nil
	}
}
