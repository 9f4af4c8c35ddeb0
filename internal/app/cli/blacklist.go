// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strongroom/client"
	"strongroom/internal/pure/apiv1"
)

// blacklistCmd is about addresses that nothing is paid to.
type blacklistCmd struct {
	List   blacklistList   `cmd:"" help:"Addresses on the blacklist."`
	Add    blacklistAdd    `cmd:"" help:"Put an address on the blacklist, at once."`
	Remove blacklistRemove `cmd:"" help:"Ask for an address to be taken from the blacklist."`
}

type blacklistList struct{}

// Run lists.
func (blacklistList) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	list, err := cl.Blacklist(e.ctx)
	if err != nil {
		return err
	}
	return e.show(apiv1.Blacklist{Addresses: list}, func() error {
		var rows [][]string
		for _, b := range list {
			rows = append(rows, []string{b.Address, string(b.Chain), b.Reason})
		}
		return e.table([]string{"address", "chain", "reason"}, rows)
	})
}

type blacklistAdd struct {
	Address string `arg:"" help:"Address, as the chain spells it."`
	Chain   string `required:"" help:"Chain: a name such as bitcoin-regtest, or CAIP-2 such as eip155:1."`
	Reason  string `placeholder:"TEXT" help:"Why."`
	asking
}

// Run asks.
func (c *blacklistAdd) Run(e *env) error {
	chain, err := chainOf(c.Chain)
	if err != nil {
		return err
	}
	return c.ask(e, &client.BlacklistAdd{Chain: chain, Address: c.Address, Reason: c.Reason})
}

type blacklistRemove struct {
	Address string `arg:"" help:"Address, as the chain spells it."`
	Chain   string `required:"" help:"Chain."`
	asking
}

// Run asks.
func (c *blacklistRemove) Run(e *env) error {
	chain, err := chainOf(c.Chain)
	if err != nil {
		return err
	}
	return c.ask(e, &client.BlacklistRemove{Chain: chain, Address: c.Address})
}
