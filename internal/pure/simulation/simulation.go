// SPDX-License-Identifier: Apache-2.0

// Package simulation has the report of what a transfer or contract call would change in balances: what a node of the user's said when `serve` had it
// carry the transaction out without a transaction (docs/spec/simulation.md).
//
// A report is a claim of `serve` and of nobody else. It is signed by nobody, and the core can't check it. So it may only add to what a request needs:
// package policy lets obligations look at it and nothing else, and takes no report for the worst one.
//
// Refused is what is not in canonical form, larger than [MaxReport], or says something beside its status: one report has one encoding.
package simulation

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
)

// Limits.
const (
	MaxReport    = 16 << 10 // bytes of an encoded report
	MaxChanges   = 32       // assets that change; with more the report is unknown
	MaxApprovals = 32       // approvals that are given away; likewise
)

// Status says what came of a simulation.
type Status string

// The statuses. Wire format.
const (
	OK       Status = "ok"
	Reverted Status = "reverted" // the transaction would fail and change nothing
	Unknown  Status = "unknown"  // the node could not say, or said what can't be understood
)

// Why says why a report is unknown.
type Why string

// The reasons. Wire format.
const (
	NoNode      Why = "no-node"     // serve has none of the chain
	Unreachable Why = "unreachable" // no answer, or none in time
	Unsupported Why = "no-method"   // the node has no eth_simulateV1
	Rejected    Why = "rejected"    // the node does not carry the transaction out at all, for instance for want of funds
	Malformed   Why = "malformed"   // an event that is none of the standards, or an answer that contradicts itself
	TooMany     Why = "too-many"    // more changes or approvals than a report holds
)

func reasons() []Why { return []Why{NoNode, Unreachable, Unsupported, Rejected, Malformed, TooMany} }

// Report is what a node said of one transaction. Block and hash are those of the block after which it was carried out; they, changes and approvals are
// there only where the status is not unknown.
type Report struct {
	V         uint             `cbor:"1,keyasint" json:"v"` // 1
	Chain     custody.ChainID  `cbor:"2,keyasint" json:"chain"`
	Address   string           `cbor:"3,keyasint" json:"address"` // that pays or calls, and whose balances these are; EIP-55
	Status    Status           `cbor:"4,keyasint" json:"status"`
	Block     uint64           `cbor:"5,keyasint,omitempty" json:"block,omitempty"`
	BlockHash custody.HexBytes `cbor:"6,keyasint,omitempty" json:"blockHash,omitempty"`
	Changes   []Change         `cbor:"7,keyasint,omitempty" json:"changes,omitempty"`   // sorted by asset, distinct
	Approvals []Approval       `cbor:"8,keyasint,omitempty" json:"approvals,omitempty"` // sorted by [Approval.Compare], distinct
	Why       Why              `cbor:"9,keyasint,omitempty" json:"why,omitempty"`       // of unknown only
}

// Change is what an address gives and gets of one asset, on balance: of coins and ERC-20 tokens, one of the two, in base units. Of the tokens of a contract of
// ERC-721 or ERC-1155 it gives some numbers and gets others: each number on balance, and then the sum of what it gives and of what it gets.
type Change struct {
	Asset Asset           `cbor:"1,keyasint" json:"asset"`
	Out   custody.Uint256 `cbor:"2,keyasint" json:"out"`
	In    custody.Uint256 `cbor:"3,keyasint" json:"in"`
}

// Approval is power over its tokens that an address gives away.
type Approval struct {
	Contract string          `cbor:"1,keyasint" json:"contract"` // EIP-55
	Spender  string          `cbor:"2,keyasint" json:"spender"`  // EIP-55
	Amount   custody.Uint256 `cbor:"3,keyasint" json:"amount"`   // base units; of Token the number of the token; of All zero
	Token    bool            `cbor:"4,keyasint,omitempty" json:"token,omitempty"`
	All      bool            `cbor:"5,keyasint,omitempty" json:"all,omitempty"` // every token of the contract
}

// Compare orders approvals.
func (a Approval) Compare(b Approval) int {
	flag := func(x Approval) int {
		switch {
		case x.All:
			return 2
		case x.Token:
			return 1
		}
		return 0
	}
	return cmp.Or(strings.Compare(a.Contract, b.Contract), strings.Compare(a.Spender, b.Spender), cmp.Compare(flag(a), flag(b)), a.Amount.Cmp(b.Amount))
}

// Parse reads a report.
func Parse(b []byte) (*Report, error) {
	if len(b) > MaxReport {
		return nil, fmt.Errorf("simulation: the report has %d bytes, more than %d", len(b), MaxReport)
	}
	var r Report
	if err := canon.Decode(b, &r); err != nil {
		return nil, fmt.Errorf("simulation: %w", err)
	}
	if err := r.Check(); err != nil {
		return nil, err
	}
	return &r, nil
}

// Encode gives the canonical encoding.
func (r *Report) Encode() []byte { return canon.Encode(r) }

// Size is the length of the encoding, 0 of no report.
func (r *Report) Size() int {
	if r == nil {
		return 0
	}
	return len(r.Encode())
}

// Check says whether a report is well formed.
func (r *Report) Check() error {
	bad := func(format string, args ...any) error { return fmt.Errorf("simulation: "+format, args...) }
	if r.V != 1 {
		return bad("version %d is not known", r.V)
	}
	if _, ok := r.Chain.EVM(); !ok {
		return bad("chain %q is none of Ethereum's", string(r.Chain))
	}
	if _, err := eth.ParseAddress(r.Address); err != nil {
		return bad("address: %w", err)
	}
	if r.Status == Unknown {
		if !slices.Contains(reasons(), r.Why) || r.Block != 0 || len(r.BlockHash) > 0 || len(r.Changes)+len(r.Approvals) > 0 {
			return bad("what is unknown has a reason that is known, and nothing else")
		}
		return nil
	}
	switch {
	case r.Status != OK && r.Status != Reverted:
		return bad("status %q is not known", string(r.Status))
	case r.Why != "":
		return bad("only what is unknown has a reason")
	case len(r.BlockHash) != 32:
		return bad("the block's hash has %d bytes; want 32", len(r.BlockHash))
	case r.Status == Reverted && len(r.Changes)+len(r.Approvals) > 0:
		return bad("what fails changes nothing")
	case len(r.Changes) > MaxChanges || len(r.Approvals) > MaxApprovals:
		return bad("%d changes and %d approvals; want at most %d and %d", len(r.Changes), len(r.Approvals), MaxChanges, MaxApprovals)
	}
	for i, c := range r.Changes {
		if i > 0 && r.Changes[i-1].Asset >= c.Asset {
			return bad("changes must be sorted by asset and distinct: %s", c.Asset)
		}
		if err := c.check(r.Chain); err != nil {
			return bad("change of %s: %w", c.Asset, err)
		}
	}
	for i, a := range r.Approvals {
		if i > 0 && r.Approvals[i-1].Compare(a) >= 0 {
			return bad("approvals must be sorted and distinct: %s", a.Contract)
		}
		if err := a.check(); err != nil {
			return bad("approval: %w", err)
		}
	}
	return nil
}

func (c Change) check(chain custody.ChainID) error {
	if err := c.Asset.Check(); err != nil {
		return err
	}
	switch {
	case c.Asset.Chain() != chain:
		return fmt.Errorf("it is not of chain %s", chain)
	case c.Out.IsZero() && c.In.IsZero():
		return errors.New("nothing changes")
	case !c.Asset.Numbered() && !c.Out.IsZero() && !c.In.IsZero():
		return errors.New("on balance it is given or got, not both")
	}
	return nil
}

func (a Approval) check() error {
	if _, err := eth.ParseAddress(a.Contract); err != nil {
		return err
	}
	if _, err := eth.ParseAddress(a.Spender); err != nil {
		return err
	}
	switch {
	case a.All && (a.Token || !a.Amount.IsZero()):
		return errors.New("of all tokens there is no amount and no number")
	case !a.All && !a.Token && a.Amount.IsZero():
		return errors.New("power over nothing")
	}
	return nil
}

// Gives says how much of an asset is given on balance.
func (r *Report) Gives(a Asset) custody.Uint256 {
	for _, c := range r.Changes {
		if c.Asset == a {
			return c.Out
		}
	}
	return custody.Uint256{}
}

// Unsaid is a report that says why there is nothing to say.
func Unsaid(chain custody.ChainID, address string, why Why) *Report {
	return &Report{V: 1, Chain: chain, Address: address, Status: Unknown, Why: why}
}
