// SPDX-License-Identifier: Apache-2.0

package entry

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Move is what wallet_move does: a wallet's seed leaves for another domain of the authority, or is asked back. docs/spec/cold.md.
type Move struct {
	Wallet      custody.WalletID    `cbor:"1,keyasint"`
	To          custody.DomainID    `cbor:"2,keyasint"`           // the offline domain, or the online one
	Temperature request.Temperature `cbor:"3,keyasint"`           // of the wallet once it is there
	Import      custody.KeyID       `cbor:"4,keyasint"`           // id of the key that the seed is sealed to
	Public      []byte              `cbor:"5,keyasint,omitempty"` // that key, where it is the online domain's
	Copy        []byte              `cbor:"6,keyasint,omitempty"` // hash of the sealed copy, where it leaves for the offline domain
	Doomed      *BlobList           `cbor:"7,keyasint,omitempty"` // where it leaves: all blobs that the log has given up then, the seed's among them
}
