// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"slices"
	"strings"

	"golang.org/x/term"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

type requestTransfer struct {
	Wallet string   `required:"" help:"Wallet that pays."`
	Asset  string   `placeholder:"ASSET" help:"native or erc20:0x…, or with the chain in front, which --export needs: ethereum/native, or CAIP-19. Default: the coin of the wallet's chain."`
	To     []string `required:"" placeholder:"ADDRESS=AMOUNT" sep:"none" help:"Who gets how much: an address or a name of the address book, and whole base units or a number with a unit (0.5eth, 2000sat). May be given more than once on Bitcoin."`
	FeeCap string   `required:"" placeholder:"AMOUNT" help:"Most that may be paid as fee, in the chain's own coin."`
	Source uint32   `placeholder:"N" help:"Number of the paying address (Ethereum)."`
	Yes    bool     `short:"y" help:"Do not ask whether a name of the address book is the address that serve tells."`
	asking
}

// Run asks.
func (c *requestTransfer) Run(e *env) error {
	if err := c.check(); err != nil {
		return err
	}
	if c.Export != "" {
		asset, err := assetOf("", c.Asset)
		if err != nil {
			return err
		}
		body, _, err := c.body(asset, nil)
		if err != nil {
			return err
		}
		return c.export(e, body)
	}
	cl, err := e.client()
	if err != nil {
		return err
	}
	w, err := cl.Wallet(e.ctx, client.WalletID(c.Wallet))
	if err != nil {
		return hint(err, "'strongroom wallet list' shows the wallets")
	}
	asset, err := assetOf(w.Chain, c.Asset)
	if err != nil {
		return err
	}
	body, named, err := c.body(asset, func() ([]client.BookEntry, error) { return cl.AddressBook(e.ctx) })
	if err != nil {
		return err
	}
	if !c.Simulate { // nothing is signed then
		if err := c.confirmNames(e, named); err != nil {
			return err
		}
	}
	return c.send(e, cl, body)
}

// body builds the request's body. book, if not nil, gives the address book for destinations by name; named are the entries that were taken
// from it. What reads as an address is never looked up: serve tells the book, and a name in it could be what somebody typed in full.
func (c *requestTransfer) body(asset custody.AssetID, book func() ([]client.BookEntry, error)) (b *client.Transfer, named []client.BookEntry, err error) {
	b = &client.Transfer{Wallet: client.WalletID(c.Wallet), Asset: asset, Source: c.Source}
	for _, to := range c.To {
		address, amount, ok := strings.Cut(to, "=")
		if !ok {
			return nil, nil, usage("--to %s: want ADDRESS=AMOUNT", to)
		}
		_, err := request.CanonicalAddress(asset.Chain(), address)
		if err != nil && book != nil && custody.CheckSlug("name", address) == nil && !request.LooksLikeAddress(address) {
			x, missing := lookUp(asset.Chain(), address, book)
			if missing != nil {
				return nil, nil, missing
			}
			address, named = x.Address, append(named, x)
			_, err = request.CanonicalAddress(asset.Chain(), address)
		}
		if err != nil {
			return nil, nil, usage("--to %s: %w", address, err)
		}
		v, err := amountOf(asset, amount)
		if err != nil {
			return nil, nil, err
		}
		b.Outputs = append(b.Outputs, client.Output{Address: address, Amount: v})
	}
	b.FeeCap, err = amountOf(asset.Chain().Native(), c.FeeCap)
	return b, named, err
}

// lookUp finds a name in the address book.
func lookUp(chain custody.ChainID, name string, book func() ([]client.BookEntry, error)) (client.BookEntry, error) {
	entries, err := book()
	if client.KindOf(err) == problem.Forbidden {
		return client.BookEntry{}, hint(err, "%q reads as a name of the address book, which services can't see; give the address itself", name)
	}
	if err != nil {
		return client.BookEntry{}, err
	}
	i := slices.IndexFunc(entries, func(x client.BookEntry) bool { return x.ID == name })
	switch {
	case i < 0:
		return client.BookEntry{}, usage("--to %s: it is no address, and the address book has no such name; 'strongroom whitelist list' shows the names", name)
	case entries[i].Chain != chain:
		return client.BookEntry{}, usage("--to %s: it is an address on %s", name, words.Chain(entries[i].Chain))
	}
	return entries[i], nil
}

// confirmNames shows the addresses behind names, which only serve vouches for, and has a person say that they are right.
func (c *requestTransfer) confirmNames(e *env, named []client.BookEntry) error {
	if len(named) == 0 {
		return nil
	}
	for _, x := range named {
		e.say("  %s is %s on %s, as serve tells the address book.", x.ID, x.Address, words.Chain(x.Chain))
	}
	if !c.Yes && (e.In == nil || !term.IsTerminal(int(e.In.Fd()))) {
		return hint(usage("nobody is there to say whether %s is the right address; nothing was signed", named[0].ID),
			"give the address itself, or --yes to take serve's word for the name")
	}
	return e.confirm(c.Yes, "Is that who is to be paid?")
}
