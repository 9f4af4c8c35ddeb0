// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// whitelistCmd is about the address book.
type whitelistCmd struct {
	List      whitelistList      `cmd:"" help:"Entries of the address book."`
	Show      whitelistShow      `cmd:"" help:"One entry: what it says, since when it is there and what it may be paid."`
	Challenge whitelistChallenge `cmd:"" help:"Write what the owner of an address signs, or pays, to show that it is theirs. Works offline."`
	Add       whitelistAdd       `cmd:"" help:"Ask for a destination to be added."`
	Remove    whitelistRemove    `cmd:"" help:"Ask for a destination to be removed."`
	Suspend   whitelistSuspend   `cmd:"" help:"Suspend an entry of the address ledger, at once: nothing is paid there."`
	Review    whitelistReview    `cmd:"" help:"Ask to record that entries were looked at again, and perhaps to resume them."`
}

type whitelistList struct{}

// Run lists.
func (c *whitelistList) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	entries, err := cl.AddressBook(e.ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b client.BookEntry) int { return strings.Compare(a.ID, b.ID) })
	return e.show(apiv1.AddressBook{Entries: entries, Total: uint64(len(entries))}, func() error {
		heading, ledger := []string{"name", "chain", "address"}, slices.ContainsFunc(entries, func(x client.BookEntry) bool { return x.Standing != "" })
		if ledger {
			heading = append(heading, "standing", "counterparty")
		}
		var rows [][]string
		for _, x := range entries {
			row := []string{x.ID, string(x.Chain), x.Address}
			if ledger {
				row = append(row, string(x.Standing), x.Counterparty)
			}
			rows = append(rows, row)
		}
		return e.table(heading, rows)
	})
}

type whitelistShow struct {
	Name string `arg:"" help:"Name of the entry."`
}

// Run shows.
func (c *whitelistShow) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	entries, err := cl.AddressBook(e.ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(entries, func(x client.BookEntry) bool { return x.ID == c.Name })
	if i < 0 {
		return hint(usage("the address book has no entry %q", c.Name), "'strongroom whitelist list' shows the names")
	}
	x := entries[i]
	doc, _, err := current(e, cl)
	if err != nil {
		return err
	}
	return e.show(x, func() error {
		ps := []pair{{"name", x.ID}, {"chain", string(x.Chain)}, {"address", x.Address}}
		add := func(is bool, key, value string) {
			if is {
				ps = append(ps, pair{key, value})
			}
		}
		add(x.Standing != "", "standing", string(x.Standing))
		add(x.Counterparty != "", "counterparty", x.Counterparty)
		add(x.Kind != "", "kind", string(x.Kind))
		add(len(x.Tags) > 0, "tags", strings.Join(x.Tags, ", "))
		add(x.Proof != "", "proof", string(x.Proof))
		add(x.Expires > 0, "expires", words.Unix(x.Expires))
		add(x.Standing != "" && !x.Old, "there for", (time.Duration(x.Age) * time.Second).String())
		add(x.Old, "there for", "longer than the ledger")
		add(x.Reviewed > 0, "reviewed", words.Unix(x.Reviewed))
		add(x.Entry > 0, "log entry", fmt.Sprint(x.Entry))
		add(x.Own, "in", "the rule document itself")
		return e.pairs(append(ps, payable(doc.Whitelist, x)...))
	})
}

// payable says from when on an entry counts as whitelisted, and what the ramp of the settings lets through at its age; nothing where there are no settings.
func payable(w *policy.Whitelist, x client.BookEntry) (out []pair) {
	if w == nil || x.Standing != policy.Cooling && x.Standing != policy.Whitelisted {
		return nil
	}
	age := x.Age
	if x.Old {
		age = policy.MaxWindow
	}
	if x.Standing == policy.Cooling {
		out = append(out, pair{"whitelisted", fmt.Sprintf("in %s; until then it counts as a stranger's", time.Duration(max(w.CoolOff-age, 1))*time.Second)})
		age = w.CoolOff
	}
	caps, free := w.Step(age)
	switch {
	case len(w.Ramp) == 0:
		return out
	case free:
		return append(out, pair{"may be paid", "what other rules allow"})
	case len(caps) == 0:
		return append(out, pair{"may be paid", "nothing at this age"})
	}
	for i, c := range caps {
		name := ""
		if i == 0 {
			name = "may be paid"
		}
		out = append(out, pair{name, words.Amount(c.Asset, c.Max) + " in any 24 hours at most"})
	}
	return out
}

type whitelistAdd struct {
	Name         string   `arg:"" help:"Name of the entry."`
	Address      string   `arg:"" help:"Address, as the chain spells it."`
	Chain        string   `required:"" help:"Chain: a name such as bitcoin-regtest, or CAIP-2 such as eip155:1."`
	Proof        string   `placeholder:"FILE" help:"Proof that its owner has the address: a signature of the challenge as wallets write it, or JSON; see docs/spec/address-book.md."`
	Counterparty string   `placeholder:"ID" help:"Counterparty of the rule document that it belongs to."`
	Kind         string   `placeholder:"KIND" help:"contract, custodian, customer, exchange, other, own or vendor."`
	Tag          []string `placeholder:"TAG" help:"Tag. May be given more than once."`
	Until        string   `placeholder:"DATE" help:"Last day of the entry, as 2027-12-31 (UTC). Default: no end."`
	LooksLike    string   `placeholder:"NAME" help:"Say that you know that the address looks like this entry, and have compared the two."`
	asking
}

// Run asks.
func (c *whitelistAdd) Run(e *env) error {
	chain, err := chainOf(c.Chain)
	if err != nil {
		return err
	}
	b := &client.WhitelistAdd{ID: c.Name, Chain: chain, Address: c.Address, Counterparty: c.Counterparty, Kind: request.EntryKind(c.Kind), Tags: sorted(c.Tag), Lookalike: c.LooksLike}
	if c.Until != "" {
		day, err := time.Parse(time.DateOnly, c.Until)
		if err != nil {
			return usage("--until %s: want a day like 2027-12-31", c.Until)
		}
		b.Expires = day.AddDate(0, 0, 1).Unix()
	}
	if c.Proof != "" {
		if b.Proof, err = readOwnership(e, c.Proof, *b); err != nil {
			return err
		}
	}
	err = c.ask(e, b)
	var p *client.Problem
	if c.Proof == "" && errors.As(err, &p) && p.Kind == problem.Conflict && strings.Contains(p.Detail, "proof of ownership") {
		return hint(err, "'strongroom whitelist challenge %s %s --chain %s' writes what its owner signs; --proof FILE brings it", c.Name, c.Address, c.Chain)
	}
	return err
}

type whitelistRemove struct {
	Name string `arg:"" help:"Name of the entry."`
	asking
}

// Run asks.
func (c *whitelistRemove) Run(e *env) error { return c.ask(e, &client.WhitelistRemove{ID: c.Name}) }

type whitelistSuspend struct {
	Name string `arg:"" help:"Name of the entry."`
	asking
}

// Run asks.
func (c *whitelistSuspend) Run(e *env) error { return c.ask(e, &client.WhitelistSuspend{ID: c.Name}) }

type whitelistReview struct {
	Name   []string `arg:"" help:"Names of entries."`
	Resume bool     `help:"Also resume those that are suspended; they cool off anew."`
	asking
}

// Run asks.
func (c *whitelistReview) Run(e *env) error {
	return c.ask(e, &client.WhitelistReview{IDs: slices.Compact(sorted(c.Name)), Resume: c.Resume})
}
