// SPDX-License-Identifier: Apache-2.0

// Package simulate asks a node of the user's what a request would change in balances, and makes the report that goes to the core beside the request
// (docs/spec/simulation.md). It reads what the node's events say of the address that pays or calls.
//
// Nobody believes a report: not the node, not `serve`, not the core. It can only make a request need more. So whatever goes wrong here is a report that
// nothing is known, or none at all, and never a reason to keep a request back; and a node that is slow keeps it for [Config.Patience] at most.
package simulate

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/payload"
)

// Node carries transactions out without a transaction. Its errors are refusals of package chain. Safe for concurrent use.
type Node interface {
	Simulate(ctx context.Context, from, to string, value custody.Uint256, data []byte) (chain.Trace, error)
}

// Config is what a [Simulator] needs. All fields are required.
type Config struct {
	Core     gate.Door // that knows wallets and their addresses
	Nodes    func(custody.ChainID) (Node, bool)
	Patience time.Duration // for a node's answer
}

// Simulator makes reports. It is safe for concurrent use.
type Simulator struct{ cfg Config }

// New makes a simulator.
func New(cfg Config) (*Simulator, error) {
	if cfg.Core == nil || cfg.Nodes == nil || cfg.Patience <= 0 {
		return nil, errors.New("simulate: core, nodes and patience are required")
	}
	return &Simulator{cfg}, nil
}

// Report makes the report of a request, or gives nil: of what no simulation tells of, and where it can't be found out which address pays. Contract calls
// are always simulated, so that people see what is said; transfers, of which there may be many a second, only where the rules of the document look at it.
func (s *Simulator) Report(ctx context.Context, rules policy.Document, body request.Body) *simulation.Report {
	var wallet custody.WalletID
	var index uint32
	asked := payload.Asked{}
	switch o := body.(type) {
	case *request.ContractCallBody:
		wallet, index, asked.Call = o.Wallet, o.Source, o
	case *request.TransferBody:
		if !policy.Simulates(request.Transfer, o.Asset.Chain()) || !rules.AsksSimulation() {
			return nil
		}
		wallet, index = o.Wallet, o.Source
		asked.Effects = request.Effects{Asset: o.Asset, Outputs: o.Outputs}
	default:
		return nil
	}
	on, from, err := s.payer(ctx, wallet, index)
	if err != nil {
		return nil
	}
	asked.Effects.Operation, asked.Effects.Chain = request.Transfer, on
	if asked.Call != nil {
		asked.Effects.Operation = request.ContractCall
	}
	to, value, data, err := payload.Call(asked)
	if err != nil || !policy.Simulates(asked.Effects.Operation, on) {
		return nil
	}
	return s.ask(ctx, on, from, to.String(), value, data)
}

// payer gives the chain of a wallet and one of its addresses.
func (s *Simulator) payer(ctx context.Context, id custody.WalletID, index uint32) (custody.ChainID, string, error) {
	w, err := gate.Call[message.WalletID, message.Wallet](ctx, s.cfg.Core, message.MethodWallet, message.WalletID{ID: id})
	if err != nil {
		return "", "", err
	}
	if index == 0 {
		return w.Wallet.Chain, w.Address, nil
	}
	a, err := gate.Call[message.Addresses, message.AddressList](ctx, s.cfg.Core, message.MethodAddresses, message.Addresses{Wallet: id, From: index, Count: 1})
	if err != nil {
		return "", "", err
	}
	if len(a.Addresses) != 1 {
		return "", "", errors.New("simulate: the wallet has no such address")
	}
	return w.Wallet.Chain, a.Addresses[0].Address, nil
}

func (s *Simulator) ask(ctx context.Context, on custody.ChainID, from, to string, value custody.Uint256, data []byte) *simulation.Report {
	n, ok := s.cfg.Nodes(on)
	if !ok {
		return simulation.Unsaid(on, from, simulation.NoNode)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Patience)
	defer cancel()
	said, err := n.Simulate(ctx, from, to, value, data)
	if err != nil {
		return simulation.Unsaid(on, from, why(err))
	}
	r := Read(on, from, said)
	return &r
}

// why classifies a node's refusal.
func why(err error) simulation.Why {
	switch chain.ReasonOf(err) {
	case chain.Unsupported:
		return simulation.Unsupported
	case chain.Contradiction:
		return simulation.Malformed
	case chain.Unavailable, chain.WrongChain, "":
		return simulation.Unreachable
	default:
		return simulation.Rejected
	}
}

// Read makes the report of what a node said of a transaction of an address.
func Read(on custody.ChainID, from string, said chain.Trace) simulation.Report {
	hash, err := hex.DecodeString(strings.TrimPrefix(string(said.After.Hash), "0x"))
	if err != nil || len(hash) != 32 {
		return *simulation.Unsaid(on, from, simulation.Malformed)
	}
	out := simulation.Report{V: 1, Chain: on, Address: from, Status: simulation.OK, Block: said.After.Height, BlockHash: hash}
	if said.Reverted {
		out.Status = simulation.Reverted
		return out
	}
	t, err := newTally(on, from)
	if err == nil {
		err = t.read(said.Logs)
	}
	if err == nil {
		out.Changes, out.Approvals, err = t.total()
	}
	switch {
	case err != nil:
		return *simulation.Unsaid(on, from, simulation.Malformed)
	case len(out.Changes) > simulation.MaxChanges || len(out.Approvals) > simulation.MaxApprovals:
		return *simulation.Unsaid(on, from, simulation.TooMany)
	}
	return out
}
