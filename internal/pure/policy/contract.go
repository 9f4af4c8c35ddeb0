// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/eth/calls"
)

// Contract is a contract that the core may decode calls of (docs/spec/calls.md).
type Contract struct {
	ID        string          `cbor:"1,keyasint" json:"id"`
	Chain     custody.ChainID `cbor:"2,keyasint" json:"chain"`
	Addresses []string        `cbor:"3,keyasint,omitempty" json:"addresses,omitempty"` // sorted, distinct; none: any contract of the chain that has no entry of its own
	Functions []string        `cbor:"4,keyasint,omitempty" json:"functions,omitempty"` // sorted, distinct; canonical signatures, beside those of its kind
	Kind      calls.Kind      `cbor:"5,keyasint" json:"kind"`
	Allow     []Allowance     `cbor:"6,keyasint,omitempty" json:"allow,omitempty"` // sorted, distinct; what is refused of others
}

// Allowance is something that a contract's entry may allow though the rule call-defaults refuses it.
type Allowance string

// The allowances.
const (
	AllowApprovalForAll Allowance = "approval-for-all"   // setApprovalForAll(…, true) of this token
	AllowDelegateCall   Allowance = "delegatecall"       // through this contract, a Safe
	AllowUnlimited      Allowance = "unlimited-approval" // approvals without limit of this token
)

// contractIndex finds contracts.
type contractIndex struct {
	at  map[bookKey]*contract
	any map[custody.ChainID][]*contract // those without addresses
	by  map[string]*Contract
}

type contract struct {
	*Contract
	functions map[eth.Selector]abi.Function // of its own
}

func (c *contract) function(s eth.Selector) (abi.Function, bool) {
	if f, ok := c.functions[s]; ok {
		return f, true
	}
	return calls.Standard(c.Kind, s)
}

func (r *Rules) indexContracts() error {
	x := contractIndex{at: map[bookKey]*contract{}, any: map[custody.ChainID][]*contract{}, by: map[string]*Contract{}}
	for i := range r.doc.Contracts {
		c := &contract{Contract: &r.doc.Contracts[i], functions: map[eth.Selector]abi.Function{}}
		for _, s := range c.Functions {
			f, err := abi.ParseFunction(s)
			if err != nil {
				return r.doc.bad("contract %s: %w", c.ID, err)
			}
			c.functions[f.Selector()] = f
		}
		if x.by[c.ID] = c.Contract; len(c.Addresses) == 0 {
			x.any[c.Chain] = append(x.any[c.Chain], c)
		}
		for _, a := range c.Addresses {
			x.at[bookKey{c.Chain, a}] = c
		}
	}
	r.contracts = x
	return nil
}

// Registry gives the contracts of a chain for decoding calls.
func (r *Rules) Registry(chain custody.ChainID) calls.Registry {
	return func(a eth.Address, s eth.Selector) (calls.Found, bool, bool) {
		if c, ok := r.contracts.at[bookKey{chain, a.String()}]; ok {
			f, has := c.function(s)
			return calls.Found{ID: c.ID, Kind: c.Kind, Function: f}, true, has
		}
		for _, c := range r.contracts.any[chain] {
			if f, has := c.function(s); has {
				return calls.Found{ID: c.ID, Kind: c.Kind, Function: f}, true, true
			}
		}
		return calls.Found{}, false, false
	}
}

func (d Document) contract(id string) (Contract, bool) {
	i, ok := slices.BinarySearchFunc(d.Contracts, id, func(c Contract, id string) int { return compare(c.ID, id) })
	if !ok {
		return Contract{}, false
	}
	return d.Contracts[i], true
}

func (d Document) checkContracts() error {
	if len(d.Contracts) > MaxContracts {
		return fmt.Errorf("has %d contracts, more than %d", len(d.Contracts), MaxContracts)
	}
	seen := map[bookKey]string{}
	for i, c := range d.Contracts {
		if err := custody.CheckSlug("contract", c.ID); err != nil {
			return err
		}
		if i > 0 && d.Contracts[i-1].ID >= c.ID {
			return fmt.Errorf("contracts must be sorted by id and distinct: %s comes after %s", c.ID, d.Contracts[i-1].ID)
		}
		if err := c.check(seen); err != nil {
			return inItem("contracts", "contract", c.ID, err)
		}
	}
	return nil
}

func (c Contract) check(seen map[bookKey]string) error {
	if _, ok := c.Chain.EVM(); !ok {
		return fmt.Errorf("chain %s has no contracts that are known here", c.Chain)
	}
	if err := oneOf(c.Kind, calls.Kinds()); err != nil {
		return fmt.Errorf("kind: %w", err)
	}
	if !sortedDistinct(c.Addresses) || len(c.Addresses) > MaxAddresses {
		return fmt.Errorf("addresses must be sorted and distinct, at most %d", MaxAddresses)
	}
	for _, a := range c.Addresses {
		if _, err := eth.ParseAddress(a); err != nil {
			return err
		}
		if other, taken := seen[bookKey{c.Chain, a}]; taken {
			return fmt.Errorf("%s is there already as %s", a, other)
		}
		seen[bookKey{c.Chain, a}] = c.ID
	}
	if !sortedDistinct(c.Functions) || len(c.Functions) > MaxFunctions {
		return fmt.Errorf("functions must be sorted and distinct, at most %d", MaxFunctions)
	}
	selectors := map[eth.Selector]string{}
	for _, s := range c.Functions {
		f, err := abi.ParseFunction(s)
		if err != nil {
			return err
		}
		if other, taken := selectors[f.Selector()]; taken {
			return fmt.Errorf("%s and %s have the same selector", s, other)
		}
		if own, ok := calls.Standard(c.Kind, f.Selector()); ok && own.String() != s {
			return fmt.Errorf("%s has the selector of %s, which a %s has", s, own, c.Kind)
		}
		selectors[f.Selector()] = s
	}
	if err := list("allow", c.Allow, func(a Allowance) error {
		return oneOf(a, []Allowance{AllowApprovalForAll, AllowDelegateCall, AllowUnlimited})
	}); err != nil {
		return err
	}
	if len(c.Allow) > 0 && len(c.Addresses) == 0 {
		return fmt.Errorf("allow is for contracts with addresses; say which ones")
	}
	return nil
}

// allows says whether a contract's entry allows something.
func (r *Rules) allows(id string, a Allowance) bool {
	c, ok := r.contracts.by[id]
	return ok && slices.Contains(c.Allow, a)
}

// String tells a contract in words.
func (c Contract) String() string {
	s := fmt.Sprintf("a %s on %s at %s", c.Kind, c.Chain, joined(c.Addresses, ", "))
	if len(c.Addresses) == 0 {
		s = fmt.Sprintf("any contract on %s without an entry of its own, taken for a %s", c.Chain, c.Kind)
	}
	if len(c.Functions) > 0 {
		s += ", with " + joined(c.Functions, ", ")
	}
	if len(c.Allow) > 0 {
		s += ", and " + joined(c.Allow, ", ") + " allowed"
	}
	return s
}

func diffContracts(old, next Document, say func(string, ...any)) {
	both(old.Contracts, next.Contracts, func(c Contract) string { return c.ID },
		func(c Contract) { say("contract %s is new: %s", c.ID, c) },
		func(c Contract) { say("contract %s is removed; it was %s", c.ID, c) },
		func(a, b Contract) {
			if !same(a, b) {
				say("contract %s is now %s; it was %s", a.ID, b, a)
			}
		})
}
