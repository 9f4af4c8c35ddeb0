// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// SealLabel is what a seed is sealed for when it moves, as a label of package recovery: the same on both sides, and for this move alone.
func (m Move) SealLabel() string {
	h := canon.Hash(canon.TagOfflineMove, m)
	return fmt.Sprintf("move-%x", h[:24])
}

// Move says which seed moves where.
type Move struct {
	Authority custody.AuthorityID `cbor:"1,keyasint"`
	From      custody.DomainID    `cbor:"2,keyasint"`
	To        custody.DomainID    `cbor:"3,keyasint"`
	Wallet    custody.WalletID    `cbor:"4,keyasint"`
	Key       custody.KeyID       `cbor:"5,keyasint"` // the seed's
	Import    custody.KeyID       `cbor:"6,keyasint"` // id of the import key
}
