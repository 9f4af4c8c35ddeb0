// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

// SimulationMatch is true of a transfer or contract call on a chain of Ethereum's if any of what it lists is so, by the report of a simulation. It stands in
// obligations only, which add and never take away, because nobody vouches for a report (docs/spec/simulation.md). Whatever a report does not tell is so:
// all of it where there is no report or one that says that nothing is known, and all but what fails and what is not known where the transaction would fail.
type SimulationMatch struct {
	OutOver     []Outgo `cbor:"1,keyasint,omitempty" json:"outOver,omitempty"`     // more than so much of one of these is given; sorted by asset, distinct
	AnyApproval bool    `cbor:"2,keyasint,omitempty" json:"anyApproval,omitempty"` // power over tokens is given away
	Reverted    bool    `cbor:"3,keyasint,omitempty" json:"reverted,omitempty"`    // the transaction would fail
	Unexpected  bool    `cbor:"4,keyasint,omitempty" json:"unexpected,omitempty"`  // something is given that the request does not name as moved, or more of it
	Unknown     bool    `cbor:"5,keyasint,omitempty" json:"unknown,omitempty"`     // nothing is known
}

// Outgo is an amount of an asset, in base units; of the tokens of a contract of ERC-721 or ERC-1155 their number.
type Outgo struct {
	Asset  simulation.Asset `cbor:"1,keyasint" json:"asset"`
	Amount custody.Uint256  `cbor:"2,keyasint" json:"amount"`
}

// Simulates says whether an operation on a chain is one of which simulations tell.
func Simulates(o request.Operation, c custody.ChainID) bool {
	_, evm := c.EVM()
	return evm && (o == request.Transfer || o == request.ContractCall)
}

// AsksSimulation says whether an obligation looks at reports of simulations.
func (d Document) AsksSimulation() bool {
	return slices.ContainsFunc(d.Obligations, func(o Obligation) bool { return o.When.Simulation != nil })
}

// whole is what was asked for: of what a call moves, the call itself.
func (a *activation) whole() *Facts {
	if a.call != nil {
		return a.call
	}
	return a.facts
}

// simulated tries the field about simulations. decided is noField if there is none. An error says that it can't be told.
func (m *Match) simulated(a *activation) (v verdict) {
	if m.Simulation == nil {
		return v
	}
	v.decided = fSimulation
	if f := a.whole(); Simulates(f.Operation, f.Chain) {
		v.match, v.err = m.Simulation.met(f)
	}
	return v
}

// report gives the report that facts have, or nil where it is about another chain.
func (f *Facts) report() *simulation.Report {
	if f.Simulation == nil || f.Simulation.Chain != f.Chain {
		return nil
	}
	return f.Simulation
}

func (m *SimulationMatch) met(f *Facts) (bool, error) {
	switch r := f.report(); {
	case r != nil && r.Status == simulation.OK:
		return m.told(f, r), nil
	case r != nil && r.Status == simulation.Reverted:
		if m.Reverted || len(m.OutOver) == 0 && !m.AnyApproval && !m.Unexpected {
			return m.Reverted, nil
		}
		return false, errors.New("the transaction would fail; what else it would do is not known")
	case m.Unknown:
		return true, nil
	default:
		return false, errors.New("nothing is known")
	}
}

// told says whether a report that tells something tells any of it.
func (m *SimulationMatch) told(f *Facts, r *simulation.Report) bool {
	return m.AnyApproval && len(r.Approvals) > 0 || m.Unexpected && unexpected(f, r) != "" ||
		slices.ContainsFunc(m.OutOver, func(o Outgo) bool { return r.Gives(o.Asset).Cmp(o.Amount) > 0 })
}

// unexpected names an asset of which more is given than the request says that its address moves; empty if there is none.
func unexpected(f *Facts, r *simulation.Report) simulation.Asset {
	for _, c := range r.Changes {
		if c.Out.Cmp(expected(f, r.Address, custody.AssetID(c.Asset))) > 0 {
			return c.Asset
		}
	}
	return ""
}

// wrappedBack is the function that turns tokens of a contract of kind wrapped into the chain's coin.
const wrappedBack = "withdraw(uint256)"

// expected says how much of an asset a request says that an address moves. A sum that does not fit is all there is.
func expected(f *Facts, from string, asset custody.AssetID) (sum custody.Uint256) {
	add := func(u custody.Uint256) {
		if more, fits := sum.Add(u); fits {
			sum = more
			return
		}
		for i := range sum {
			sum[i] = 0xff
		}
	}
	if asset == f.Asset {
		add(f.Total)
	}
	if f.Call == nil {
		return sum
	}
	for _, m := range f.Call.Movements {
		if m.From == from && m.Asset == asset {
			add(m.Amount)
		}
	}
	for _, c := range f.Call.Calls {
		back := c.Depth == 0 && c.Kind == string(calls.Wrapped) && c.Function == wrappedBack && len(c.Args) == 1
		if token, ok := asset.ERC20(); !back || !ok || token != c.Contract {
			continue
		}
		if n, ok := numberOf(c.Args[0].Value); ok {
			add(n)
		}
	}
	return sum
}

// observedSimulation tells what a report says, as far as a match looks at it.
func (m *Match) observedSimulation(f *Facts) string {
	r := f.report()
	if !Simulates(f.Operation, f.Chain) || m.Simulation == nil {
		return string(f.Operation)
	}
	switch {
	case r == nil:
		return "no report: it counts as the worst"
	case r.Status == simulation.Unknown:
		return "nothing is known: " + string(r.Why)
	case r.Status == simulation.Reverted:
		return fmt.Sprintf("it would fail, says the node of serve, block %d", r.Block)
	}
	said := make([]string, 0, len(m.Simulation.OutOver)+2)
	for _, o := range m.Simulation.OutOver {
		if out := r.Gives(o.Asset); out.Cmp(o.Amount) > 0 {
			said = append(said, fmt.Sprintf("gives %s of %s", out, o.Asset))
		}
	}
	if a := unexpected(f, r); m.Simulation.Unexpected && a != "" {
		said = append(said, fmt.Sprintf("gives %s of %s, and the request says %s", r.Gives(a), a, expected(f, r.Address, custody.AssetID(a))))
	}
	if m.Simulation.AnyApproval && len(r.Approvals) > 0 {
		said = append(said, fmt.Sprintf("%s may take tokens of %s", r.Approvals[0].Spender, r.Approvals[0].Contract))
	}
	if len(said) == 0 {
		said = append(said, fmt.Sprintf("nothing of it, says the node of serve, block %d", r.Block))
	}
	return strings.Join(said, "; ")
}

// check checks the field about simulations of an obligation.
func (m *SimulationMatch) check() error {
	if m == nil {
		return nil
	}
	if len(m.OutOver) > MaxList {
		return fmt.Errorf("simulation.outOver has %d assets, more than %d", len(m.OutOver), MaxList)
	}
	for i, o := range m.OutOver {
		if i > 0 && m.OutOver[i-1].Asset >= o.Asset {
			return fmt.Errorf("simulation.outOver must be sorted by asset and distinct: %s", o.Asset)
		}
		if err := o.Asset.Check(); err != nil {
			return fmt.Errorf("simulation.outOver: %w", err)
		}
	}
	if len(m.OutOver) == 0 && !m.AnyApproval && !m.Reverted && !m.Unexpected && !m.Unknown {
		return errors.New("simulation is empty; say what of a simulation asks for more: outOver, anyApproval, reverted, unexpected or unknown")
	}
	return nil
}

// noSimulation refuses the field about simulations where it could take something away, or let something through.
func (m Match) noSimulation() error {
	if m.Simulation == nil {
		return nil
	}
	return errors.New("when.simulation: what a simulation tells is the word of serve alone, so it may only add: it has its place in obligations and nowhere else")
}

// addable refuses what an obligation that looks at simulations can't add: how many groups are needed is counted over the plans that are needed without it.
func (m Match) addable(a Addition) error {
	if m.Simulation == nil || a.MinGroups == 0 {
		return nil
	}
	return errors.New("add.minDistinctGroups has no place where when.simulation is: add a plan or a delay")
}

// String tells a match of simulations in words.
func (m *SimulationMatch) String() string {
	if m == nil {
		return ""
	}
	var parts []string
	for _, o := range m.OutOver {
		parts = append(parts, fmt.Sprintf("more than %s of %s is given", o.Amount, o.Asset))
	}
	for _, x := range []struct {
		is   bool
		says string
	}{
		{m.Unexpected, "something is given that the request does not name"},
		{m.AnyApproval, "power over tokens is given away"},
		{m.Reverted, "it would fail"},
		{m.Unknown, "nothing is known"},
	} {
		if x.is {
			parts = append(parts, x.says)
		}
	}
	return "a simulation says that " + strings.Join(parts, ", or that ")
}
