// SPDX-License-Identifier: Apache-2.0

package request

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/custody"
)

// Temperature says when a wallet's keys may be used (docs/spec/warm.md).
type Temperature string

// The temperatures.
const (
	Hot  Temperature = "hot"  // whenever the rules allow a transfer
	Warm Temperature = "warm" // inside a warm session only
	Cold Temperature = "cold" // in an offline domain only, which has them (docs/spec/cold.md)
)

// Check says whether t is known.
func (t Temperature) Check() error {
	if t != Hot && t != Warm && t != Cold {
		return fmt.Errorf("temperature %q is neither %q, %q nor %q", string(t), Hot, Warm, Cold)
	}
	return nil
}

// WalletTemperatureBody asks to change a wallet's temperature.
type WalletTemperatureBody struct {
	Wallet custody.WalletID `cbor:"1,keyasint" json:"wallet"`
	To     Temperature      `cbor:"2,keyasint" json:"to"`
}

// WarmOpenBody asks to open a session of a warm wallet for an asset, in the place of the one that is open, if there is one.
type WarmOpenBody struct {
	Wallet   custody.WalletID `cbor:"1,keyasint" json:"wallet"`
	Asset    custody.AssetID  `cbor:"2,keyasint" json:"asset"`
	Amount   custody.Uint256  `cbor:"3,keyasint" json:"amount"`   // most that its permits may take in all, base units of the asset
	NotAfter int64            `cbor:"4,keyasint" json:"notAfter"` // Unix seconds: its end, at most [MaxWarm] ahead
}

// WarmCloseBody asks to close all sessions of a warm wallet.
type WarmCloseBody struct {
	Wallet custody.WalletID `cbor:"1,keyasint" json:"wallet"`
}

// WarmBody is a body that is about the temperature of a wallet that exists.
type WarmBody interface {
	Body
	Of() custody.WalletID
}

// Of gives the wallet.
func (b *WalletTemperatureBody) Of() custody.WalletID { return b.Wallet }

// Of gives the wallet.
func (b *WarmOpenBody) Of() custody.WalletID { return b.Wallet }

// Of gives the wallet.
func (b *WarmCloseBody) Of() custody.WalletID { return b.Wallet }

func (b *WalletTemperatureBody) check() error {
	if b.To == Cold {
		return fmt.Errorf("a wallet becomes %s, and stops to be, with a %s", Cold, WalletMove)
	}
	if err := b.To.Check(); err != nil {
		return err
	}
	return b.Wallet.Check()
}

func (b *WarmOpenBody) check() error {
	if err := b.Asset.Check(); err != nil {
		return err
	}
	switch {
	case b.Amount.IsZero():
		return errors.New("amount must say how much the session's transfers may take in all")
	case b.NotAfter <= 0 || b.NotAfter > maxTime:
		return errors.New("notAfter must be the session's end in Unix seconds")
	}
	return b.Wallet.Check()
}

func (b *WarmCloseBody) check() error { return b.Wallet.Check() }

// checkTemperature says whether a wallet can be made with its temperature: a warm one has a seed of its own, which nothing else opens.
func (b *WalletCreateBody) checkTemperature() error {
	switch {
	case b.Temperature == "":
		return nil
	case b.Temperature != Warm:
		return fmt.Errorf("temperature can be %q; leave it out for a wallet that is %s", Warm, Hot)
	case b.Seed != "":
		return errors.New("a warm wallet has a seed of its own; leave the seed out")
	default:
		return nil
	}
}
