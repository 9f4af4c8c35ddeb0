// SPDX-License-Identifier: Apache-2.0

package message

import "strongroom/internal/pure/ceremony"

// Methods of a core that runs a ceremony, and nothing else (docs/spec/ceremony.md). Each carries the transcript so far; the core answers with
// what its own step says, and whoever leads adds it to the transcript.
const (
	MethodCeremonyCommit  = "ceremony-commit"  // [CeremonyAsk]: [ceremony.Commit]
	MethodCeremonyMix     = "ceremony-mix"     // [CeremonyMix]: [ceremony.Mix]
	MethodCeremonyMake    = "ceremony-make"    // [CeremonyAsk]: [CeremonyMade]
	MethodCeremonyImport  = "ceremony-import"  // [CeremonyAsk]: [ceremony.Import]
	MethodCeremonyPart    = "ceremony-part"    // [CeremonyPart]: [ceremony.Part]
	MethodCeremonyCombine = "ceremony-combine" // [CeremonyAsk]: [CeremonyCombined]
)

// CeremonyAsk asks the core for its next step.
type CeremonyAsk struct {
	Transcript []byte `cbor:"1,keyasint"`
}

// CeremonyOpening is what somebody committed to: salt and rolls. It is secret.
type CeremonyOpening struct {
	Source string `cbor:"1,keyasint"`
	Value  []byte `cbor:"2,keyasint"`
}

// CeremonyMix shows the core the dice of all.
type CeremonyMix struct {
	Transcript []byte            `cbor:"1,keyasint"`
	Openings   []CeremonyOpening `cbor:"2,keyasint,omitempty"`
}

// CeremonyMade is what the core made. Nothing in it is secret. The core keeps it until its folder is removed, and gives it again.
type CeremonyMade struct {
	Made       ceremony.Made `cbor:"1,keyasint"`
	Shares     [][]byte      `cbor:"2,keyasint"`           // sealed, by index
	Record     []byte        `cbor:"3,keyasint"`           // recovery record, canonical; of a new domain with the hashes of the sealed copies
	Genesis    []byte        `cbor:"4,keyasint,omitempty"` // create: for the first persons to sign
	Identity   []byte        `cbor:"5,keyasint,omitempty"` // create: sealed for recovery
	WorkingKey []byte        `cbor:"6,keyasint,omitempty"` // create: sealed for recovery
}

// CeremonyPart hands in a custodian's share, encrypted to the key of the load.
type CeremonyPart struct {
	Transcript []byte `cbor:"1,keyasint"`
	Part       []byte `cbor:"2,keyasint"`
}

// CeremonyCombined says that the shares gave the recovery key.
type CeremonyCombined struct {
	Combined ceremony.Combined `cbor:"1,keyasint"`
	Labels   []string          `cbor:"2,keyasint,omitempty"` // restore: what was put into the root of trust
}
