// SPDX-License-Identifier: Apache-2.0

package entry

import "strongroom/internal/pure/verdict"

// MaxVerdicts is how many verdicts one entry takes.
const MaxVerdicts = 256

// Verdicts takes what sources of screening signed. Body class: confidential. docs/spec/screening.md.
type Verdicts struct {
	Verdicts []verdict.Signed `cbor:"1,keyasint,omitempty"` // by source, subject and signer, each once
}
