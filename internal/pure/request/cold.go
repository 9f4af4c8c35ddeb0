// SPDX-License-Identifier: Apache-2.0

package request

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/tlog"
)

// Operations on offline domains and on keys that move between domains (docs/spec/cold.md).
const (
	OfflineAdd    Operation = "offline_add"    // body [OfflineAddBody]
	OfflineRemove Operation = "offline_remove" // body [OfflineRemoveBody]
	WalletMove    Operation = "wallet_move"    // body [WalletMoveBody]
)

// maxGenesis is the longest first entry of an offline domain, leaf and body each, in bytes.
const maxGenesis = 16 << 10

// OfflineAddBody asks to take an offline domain into the authority, by its first entry. Name is how people call it.
type OfflineAddBody struct {
	Counter uint64           `cbor:"1,keyasint" json:"counter"`
	Name    string           `cbor:"2,keyasint" json:"name"`
	Leaf    custody.HexBytes `cbor:"3,keyasint" json:"leaf"` // of its entry 0
	Salt    custody.HexBytes `cbor:"4,keyasint" json:"salt"` // of its body
	Body    custody.HexBytes `cbor:"5,keyasint" json:"body"`
}

// OfflineRemoveBody asks to give an offline domain up. It must hold no wallet.
type OfflineRemoveBody struct {
	Counter uint64           `cbor:"1,keyasint" json:"counter"`
	Domain  custody.HexBytes `cbor:"2,keyasint" json:"domain"` // id, 32 bytes
}

// WalletMoveBody asks to move a wallet's key to another domain of the authority: to an offline one, where the wallet is cold, or back.
type WalletMoveBody struct {
	Wallet      custody.WalletID `cbor:"1,keyasint" json:"wallet"`
	To          custody.HexBytes `cbor:"2,keyasint" json:"to"`          // id of the domain, 32 bytes
	Temperature Temperature      `cbor:"3,keyasint" json:"temperature"` // of the wallet there: cold in an offline domain, else hot or warm
}

// ID gives the id of the offline domain: the leaf hash of its first entry.
func (b *OfflineAddBody) ID() custody.DomainID { return custody.DomainID(tlog.LeafHash(b.Leaf)) }

// Number implements [LifeBody].
func (b *OfflineAddBody) Number() uint64 { return b.Counter }

// Number implements [LifeBody].
func (b *OfflineRemoveBody) Number() uint64 { return b.Counter }

func (b *OfflineAddBody) check() error {
	switch {
	case len(b.Leaf) == 0 || len(b.Leaf) > maxGenesis || len(b.Body) == 0 || len(b.Body) > maxGenesis:
		return fmt.Errorf("leaf and body are the first entry of the offline domain, of 1 to %d bytes each", maxGenesis)
	case len(b.Salt) != 16:
		return errors.New("salt must have 16 bytes")
	}
	if err := custody.CheckSlug("name of the offline domain", b.Name); err != nil {
		return err
	}
	return checkCounter(b.Counter)
}

func (b *OfflineRemoveBody) check() error {
	if err := checkDomain(b.Domain); err != nil {
		return err
	}
	return checkCounter(b.Counter)
}

func (b *WalletMoveBody) check() error {
	if err := b.Temperature.Check(); err != nil {
		return err
	}
	if err := checkDomain(b.To); err != nil {
		return err
	}
	return b.Wallet.Check()
}

func checkDomain(id []byte) error {
	if len(id) != 32 || [32]byte(id) == [32]byte{} {
		return errors.New("a domain is named by its id, 32 bytes")
	}
	return nil
}
