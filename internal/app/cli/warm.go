// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"time"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/request"
)

// walletTemperature is about when a wallet's key may be used.
type walletTemperature struct {
	Set temperatureSet `cmd:"" help:"Ask to make a wallet hot or warm; people must approve it."`
}

type temperatureSet struct {
	Name string `arg:"" help:"Wallet."`
	To   string `arg:"" enum:"hot,warm" help:"hot: its key is used whenever the rules allow a transfer. warm: inside sessions only ('strongroom warm open')."`
	asking
}

// Run asks.
func (c *temperatureSet) Run(e *env) error {
	return c.ask(e, &client.WalletTemperature{Wallet: client.WalletID(c.Name), To: request.Temperature(c.To)})
}

// warmCmd is about sessions of warm wallets.
type warmCmd struct {
	Open  warmOpen  `cmd:"" help:"Ask to open a session of a warm wallet for an amount and a time; people must approve it."`
	Close warmClose `cmd:"" help:"Ask to close all sessions of a warm wallet."`
	Show  warmShow  `cmd:"" help:"Show the sessions of a warm wallet, as serve tells them."`
}

type warmOpen struct {
	Wallet string        `arg:"" help:"Warm wallet."`
	Amount string        `required:"" placeholder:"AMOUNT" help:"Most that its transfers may take in all, fees in the same coin included: whole base units or a number with a unit (0.5eth, 2000sat)."`
	Asset  string        `placeholder:"ASSET" help:"native or erc20:0x…, or with the chain in front, which --export needs: ethereum/native, or CAIP-19. Default: the coin of the wallet's chain."`
	For    time.Duration `required:"" placeholder:"DURATION" help:"How long from now: 30m, 8h; at most 168h."`
	asking
}

// Run asks.
func (c *warmOpen) Run(e *env) error {
	if c.For < time.Second || c.For > request.MaxWarm*time.Second {
		return usage("--for %s: want 1s to %s", c.For, request.MaxWarm*time.Second)
	}
	b := &client.WarmOpen{Wallet: client.WalletID(c.Wallet), NotAfter: time.Now().Add(c.For).Unix()}
	if c.Export != "" {
		if err := c.fill(b, ""); err != nil {
			return err
		}
		return c.export(e, b)
	}
	cl, err := e.client()
	if err != nil {
		return err
	}
	w, err := cl.Wallet(e.ctx, b.Wallet)
	if err != nil {
		return hint(err, "'strongroom wallet list' shows the wallets")
	}
	if err := c.fill(b, w.Chain); err != nil {
		return err
	}
	return c.send(e, cl, b)
}

// fill reads asset and amount. The chain is the wallet's, or empty.
func (c *warmOpen) fill(b *client.WarmOpen, chain client.ChainID) (err error) {
	if b.Asset, err = assetOf(chain, c.Asset); err != nil {
		return err
	}
	b.Amount, err = amountOf(b.Asset, c.Amount)
	return err
}

type warmClose struct {
	Wallet string `arg:"" help:"Warm wallet."`
	asking
}

// Run asks.
func (c *warmClose) Run(e *env) error {
	return c.ask(e, &client.WarmClose{Wallet: client.WalletID(c.Wallet)})
}

type warmShow struct {
	Wallet string `arg:"" help:"Warm wallet."`
}

// Run shows them.
func (c *warmShow) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	w, err := cl.Wallet(e.ctx, client.WalletID(c.Wallet))
	if err != nil {
		return hint(err, "'strongroom wallet list' shows the wallets")
	}
	list := w.WarmSessions
	if list == nil {
		list = []client.WarmSession{}
	}
	return e.show(list, func() error {
		rows := make([][]string, 0, len(list))
		for _, x := range list {
			state := "open"
			if !x.Open {
				state = "ended"
			}
			rows = append(rows, []string{string(x.Asset), words.Amount(x.Asset, x.Amount), words.Amount(x.Asset, x.Remaining), words.Unix(x.NotAfter), state})
		}
		return e.table([]string{"asset", "opened for", "left", "until", "state"}, rows)
	})
}
