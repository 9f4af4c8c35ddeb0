// SPDX-License-Identifier: Apache-2.0

package entry

import "strongroom/internal/pure/custody"

// What keys are for and what they are, as [NewKey] names it.
const (
	PurposeCustody = "custody" // signs for wallets
	PurposeImport  = "import"  // a seed that comes from another domain is sealed to it, once
	KindSeed       = "hd-seed"
	KindImportKey  = "generic-secret" // that the key pair follows from, 32 bytes
	KindTokenKey   = "secp256k1"      // one key, which lies in the token of the root of trust
)

// Offline records what passes between this domain and an offline one: a bundle that is about to go there, or what the offline domain did, by the
// entries of its log that follow those that are known, as its result brought them. Body class: confidential.
type Offline struct {
	Domain     custody.DomainID `cbor:"1,keyasint"`
	Records    []OfflineRecord  `cbor:"2,keyasint"`
	Checkpoint []byte           `cbor:"3,keyasint"`           // of its log, signed by its log key: these entries and those before, no others
	Taken      []TakenKey       `cbor:"4,keyasint,omitempty"` // of each key that came back, in order of the records that say so
	Number     uint64           `cbor:"5,keyasint,omitempty"` // of a bundle, which has nothing of 2 to 4
}

// OfflineRecord is an entry of an offline domain's log. Of one whose body nothing follows from, salt and body may be left out.
type OfflineRecord struct {
	Leaf []byte `cbor:"1,keyasint"`
	Salt []byte `cbor:"2,keyasint"`
	Body []byte `cbor:"3,keyasint"`
}

// TakenKey is a key that came back: its blob in this domain.
type TakenKey struct {
	Key   custody.KeyID `cbor:"1,keyasint"`
	Epoch uint64        `cbor:"2,keyasint"` // current
	Blob  [32]byte      `cbor:"3,keyasint"` // hash
}
