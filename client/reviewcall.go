// SPDX-License-Identifier: Apache-2.0

package client

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/eth/eip712"
	"strongroom/internal/pure/request"
)

// Bodies of calls and messages, and what they do.
type (
	ContractCall   = request.ContractCallBody
	MessageSign    = request.MessageSignBody
	CallEffects    = request.CallEffects
	MessageEffects = request.MessageEffects
)

// exactOf gives the exact bytes that a statement binds: those of a message.
func exactOf(e Effects) []byte {
	if e.Message == nil {
		return nil
	}
	return e.Message.Exact
}

// checkCall decodes a contract call again. Which functions contracts have stands in the rule document; what serve says of it is taken from
// the effects, and everything else follows from the call data with it: a function has the selector that the data has, and its arguments,
// the calls within it, approvals and movements are decoded here.
func checkCall(r Request, o *request.ContractCallBody, e *Effects, b Bounds) error {
	if err := evmSide(e); err != nil {
		return err
	}
	contract, err := eth.ParseAddress(o.Contract)
	if err != nil {
		return err
	}
	if e.Calls == nil || len(e.Calls.Calls) == 0 {
		return errors.New("what the call does is missing")
	}
	got, err := calls.Decode(calls.Call{Chain: e.Chain, Source: e.Source, Contract: contract, Value: o.Value, Data: o.Data}, statedContracts(*e.Calls))
	if err != nil {
		return err
	}
	if (got.Undecoded != "") != (e.Calls.Undecoded != "") {
		return errors.New("whether the call can be decoded differs")
	}
	got.Undecoded = e.Calls.Undecoded // why: the contract is not in the rule document, or its data is not canonical
	want := Effects{Operation: r.Operation, Wallet: o.Wallet, Chain: e.Chain, Asset: e.Chain.Native(), Source: e.Source, Total: o.Value, BodyHash: e.BodyHash, Calls: &got, Screening: e.Screening}
	if b != (Bounds{FeeCap: o.FeeCap, FeeAsset: e.Chain.Native(), Change: request.NoChange, Slot: request.AccountNonce, NotAfter: r.NotAfter}) {
		return errors.New("the bounds differ")
	}
	return sameEffects(*e, want)
}

// evmSide checks what effects say of wallet's chain and address.
func evmSide(e *Effects) error {
	if _, ok := e.Chain.EVM(); !ok {
		return fmt.Errorf("chain %q has no contracts or messages that are known here", string(e.Chain))
	}
	if _, err := eth.ParseAddress(e.Source); err != nil {
		return fmt.Errorf("the paying address: %w", err)
	}
	return nil
}

// statedContracts is a registry of what effects say of contracts.
func statedContracts(e CallEffects) calls.Registry {
	type key struct {
		contract string
		selector eth.Selector
	}
	found := map[key]calls.Found{}
	known := map[string]calls.Found{}
	for _, c := range e.Calls {
		if c.ID == "" {
			if s, err := abi.FromText(abi.Type{Kind: abi.FixedBytes, Size: 4}, c.Selector); err == nil {
				found[key{c.Contract, eth.Selector(s.Word[:4])}] = calls.Found{}
			}
			continue
		}
		x := calls.Found{ID: c.ID, Kind: calls.Kind(c.Kind)}
		known[c.Contract] = x
		if f, err := abi.ParseFunction(c.Function); err == nil {
			x.Function = f
			found[key{c.Contract, f.Selector()}] = x
		}
	}
	for _, a := range e.Approvals {
		if _, ok := known[a.Contract]; !ok && a.ID != "" {
			known[a.Contract] = calls.Found{ID: a.ID}
		}
	}
	return func(a eth.Address, s eth.Selector) (calls.Found, bool, bool) {
		if f, ok := found[key{a.String(), s}]; ok {
			return f, f.ID != "", f.ID != ""
		}
		f, ok := known[a.String()]
		return f, ok, false
	}
}

// checkMessage reads a message again. The id of its verifying contract is what serve says.
func checkMessage(r Request, o *request.MessageSignBody, e *Effects, b Bounds) error {
	if err := evmSide(e); err != nil {
		return err
	}
	if e.Message == nil {
		return errors.New("what the message says is missing")
	}
	ids := map[string]string{e.Message.Contract: e.Message.ID}
	for _, a := range e.Message.Approvals {
		ids[a.Contract] = a.ID
	}
	got, err := eip712.Describe(o, func(a eth.Address) string { return ids[a.String()] })
	if err != nil {
		return err
	}
	want := Effects{Operation: r.Operation, Wallet: o.Wallet, Chain: e.Chain, Source: e.Source, BodyHash: e.BodyHash, Message: &got, Screening: e.Screening}
	if b != (Bounds{Change: request.NoChange, Slot: request.NoSlot, NotAfter: r.NotAfter}) {
		return errors.New("the bounds differ")
	}
	return sameEffects(*e, want)
}
