// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"fmt"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// walletCmd is about wallets.
type walletCmd struct {
	Create  walletCreate  `cmd:"" help:"Ask for a wallet; its seed is born in the core."`
	List    walletList    `cmd:"" help:"Wallets in order of birth."`
	Show    walletShow    `cmd:"" help:"Show a wallet."`
	Balance walletBalance `cmd:"" help:"What a wallet holds, as the chain's node says."`

	Reconcile walletReconcile `cmd:"" help:"Ask to let a wallet sign again that is held since entries of the log were lost: say what the chain shows."`

	Temperature walletTemperature `cmd:"" help:"When a wallet's key may be used."`
	Move        walletMove        `cmd:"" help:"Ask to move a wallet's key to an offline domain, or back; people must approve it."`
}

type walletCreate struct {
	Name    string `arg:"" help:"Name of the wallet: lower-case letters, digits and hyphens. It never changes."`
	Chain   string `required:"" help:"Chain: a name such as bitcoin-regtest, or CAIP-2 such as eip155:1."`
	Scheme  string `placeholder:"SCHEME" help:"evm, p2wpkh or p2tr; default: evm for Ethereum, p2wpkh for Bitcoin."`
	Seed    string `placeholder:"KEY" help:"An existing seed; default: a new one."`
	Account uint32 `placeholder:"N" help:"BIP-44 account, with --seed."`

	Temperature string `default:"hot" enum:"hot,warm" help:"hot, or warm: its key is used inside sessions only ('strongroom warm open')."`
	Class       string `default:"core" enum:"core,token" help:"core, or token: one key with one address, born in the token of the root of trust, where it can't be moved or backed up."`
	Phrase      string `placeholder:"TEXT" help:"With --class token: the confirmation phrase, for programs; people are asked for it."`
	asking
}

// Run asks.
func (c *walletCreate) Run(e *env) error {
	chain, err := chainOf(c.Chain)
	if err != nil {
		return err
	}
	scheme := request.Scheme(c.Scheme)
	if scheme == "" {
		if scheme = request.SchemeP2WPKH; !chain.Bitcoin() {
			scheme = request.SchemeEVM
		}
	}
	b := &client.WalletCreate{Wallet: client.WalletID(c.Name), Chain: chain, Scheme: scheme, Seed: custody.KeyID(c.Seed), Account: c.Account}
	if t := request.Temperature(c.Temperature); t != request.Hot {
		b.Temperature = t
	}
	if k := request.Class(c.Class); k == request.ClassToken {
		b.Class = k
		err = e.typed(c.Phrase, "no backup of "+c.Name, "nothing was asked for", words.Body(b, "")...)
	} else if c.Phrase != "" {
		err = usage("--phrase is for --class token")
	}
	if err != nil {
		return err
	}
	return c.ask(e, b)
}

type walletList struct{}

// Run lists.
func (c *walletList) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	all := client.WalletList{Wallets: []client.Wallet{}}
	for cursor, more := "", true; more; more = cursor != "" {
		l, err := cl.Wallets(e.ctx, cursor, 200)
		if err != nil {
			return err
		}
		all.Wallets, all.Total = append(all.Wallets, l.Wallets...), l.Total
		cursor = l.Next
	}
	for i := range all.Wallets {
		all.Wallets[i].Address = "" // nobody proved it: 'wallet show' does
	}
	return e.show(all, func() error {
		var rows [][]string
		for _, w := range all.Wallets {
			rows = append(rows, []string{string(w.ID), string(w.Chain), string(w.Scheme), fmt.Sprint(w.NextReceive), string(w.Temperature), string(w.Class.Named())})
		}
		return e.table([]string{"wallet", "chain", "scheme", "addresses", "temperature", "class"}, rows)
	})
}

type walletShow struct {
	Name string `arg:"" help:"Wallet."`
}

// Run shows it.
func (c *walletShow) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	return c.shown(e, cl)
}

// shown shows the wallet if it is what the log records.
func (c *walletShow) shown(e *env, cl *client.Client) error {
	w, err := cl.Wallet(e.ctx, client.WalletID(c.Name))
	if err != nil {
		return err
	}
	proven, err := e.provenWallet(e.ctx, cl, client.WalletID(c.Name))
	if err != nil {
		return err
	}
	told, err := walletEntry(w)
	if err != nil {
		return err
	}
	if !bytes.Equal(canon.Encode(told), canon.Encode(proven)) {
		return falseWord("serve shows another wallet than the log records as %s", c.Name)
	}
	if err := checkAddress(proven, entry.KeyPath{}, w.Address); err != nil {
		return err
	}
	return e.show(w, func() error {
		where := string(w.Temperature)
		if w.Away != nil {
			where += fmt.Sprintf(", its key is %s: offline domain %q, %s", w.Away.Way, w.Away.Name, w.Away.Domain)
		}
		key, class := pair{"seed", fmt.Sprintf("%s, account %d", w.Seed, w.Account)}, string(w.Class.Named())
		if w.Class == request.ClassToken {
			key, class = pair{"key", string(w.Seed)}, class+": "+words.TokenMeans
		}
		return e.pairs([]pair{{"wallet", string(w.ID)}, {"chain", fmt.Sprintf("%s (%s)", w.Chain, words.Chain(w.Chain))}, {"scheme", string(w.Scheme)},
			{"class", class}, key, {"first address", w.Address},
			{"addresses", fmt.Sprintf("%d receiving, %d change", w.NextReceive, w.NextChange)}, {"public key", fmt.Sprintf("%x", w.Public)}, {"temperature", where}})
	})
}

type walletBalance struct {
	Name string `arg:"" help:"Wallet."`
}

// Run shows it.
func (c *walletBalance) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	bs, err := cl.Balances(e.ctx, client.WalletID(c.Name))
	if err != nil {
		return err
	}
	return e.show(apiv1.BalanceList{Balances: bs}, func() error {
		var rows [][]string
		for _, b := range bs {
			rows = append(rows, []string{string(b.Asset), words.Amount(b.Asset, b.Confirmed), words.Amount(b.Asset, b.Pending)})
		}
		return e.table([]string{"asset", "confirmed", "on its way"}, rows)
	})
}

// addressCmd is about addresses.
type addressCmd struct {
	Create addressCreate `cmd:"" help:"Ask for the next receiving addresses of a wallet."`
	List   addressList   `cmd:"" help:"Addresses of a wallet."`
}

type addressCreate struct {
	Wallet string `arg:"" help:"Wallet."`
	Count  uint32 `default:"1" help:"How many."`
	asking
}

// Run asks.
func (c *addressCreate) Run(e *env) error {
	return c.ask(e, &client.AddressCreate{Wallet: client.WalletID(c.Wallet), Count: c.Count})
}

type addressList struct {
	Wallet string `arg:"" help:"Wallet."`
	Change bool   `help:"Change addresses instead of receiving ones."`
	Limit  int    `default:"100" help:"Most to list."`
	Cursor string `placeholder:"CURSOR" help:"Where to go on, as the list before said."`
}

// Run lists.
func (c *addressList) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	return c.list(e, cl)
}

// list shows the addresses if each is the wallet's.
func (c *addressList) list(e *env, cl *client.Client) error {
	branch := uint32(0)
	if c.Change {
		branch = 1
	}
	l, err := cl.Addresses(e.ctx, client.WalletID(c.Wallet), branch, c.Cursor, c.Limit)
	if err != nil {
		return err
	}
	proven, err := e.provenWallet(e.ctx, cl, client.WalletID(c.Wallet))
	if err != nil {
		return err
	}
	for _, a := range l.Addresses {
		if a.Branch != branch {
			return falseWord("serve shows an address that is not the wallet's: %s is of branch %d, not %d", a.Address, a.Branch, branch)
		}
		if err := checkAddress(proven, entry.KeyPath{Branch: branch, Index: a.Index}, a.Address); err != nil {
			return err
		}
	}
	err = e.show(l, func() error {
		var rows [][]string
		for _, a := range l.Addresses {
			rows = append(rows, []string{fmt.Sprint(a.Index), a.Address})
		}
		return e.table([]string{"number", "address"}, rows)
	})
	if err == nil && l.Next != "" {
		e.hint("more: --cursor %s", l.Next)
	}
	return err
}
