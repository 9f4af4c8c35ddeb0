// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/eth/eip712"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// signing gives a wallet that may call contracts and sign messages: one of Ethereum's, whose key is here.
func (s *State) signing(id custody.WalletID) (entry.Wallet, [2]uint32, error) {
	w, next, err := s.wallet(id)
	if err != nil {
		return w, next, err
	}
	if _, away := s.Away(id); away {
		return w, next, problem.New(problem.KeyAway, "the key of wallet %q is in an offline domain, which signs transfers only", id)
	}
	if w.Scheme != request.SchemeEVM {
		return w, next, problem.New(problem.WrongNetwork, "wallet %q is on %s, which has no contracts or messages that are known here", id, w.Chain)
	}
	return w, next, nil
}

// warmCall refuses for a warm wallet what its sessions do not bound: tokens that calls move, and power over tokens, which is also what
// a message may give.
func (s *State) warmCall(w entry.Wallet, e request.Effects) error {
	i, ok := s.walletIndex[w.ID]
	if _, warm := s.warm[uint32(i)]; !ok || !warm {
		return nil
	}
	if e.Message != nil {
		return s.warmMessage(w.ID)
	}
	if c := e.Calls; c != nil && (len(c.Movements) > 0 || len(c.Approvals) > 0 || c.Undecoded != "") {
		return problem.New(problem.WarmClosed, "wallet %q is warm: its sessions bound what transfers take, and not the tokens that this call moves or gives power over", w.ID)
	}
	return nil
}

// warmMessage refuses messages of warm wallets.
func (s *State) warmMessage(id custody.WalletID) error {
	if _, warm := s.warm[uint32(s.walletIndex[id])]; warm {
		return problem.New(problem.WarmClosed, "wallet %q is warm: its sessions are for transfers; it signs no messages", id)
	}
	return nil
}

// warmPermit takes from the sessions of a warm wallet what a first permit costs.
func (s *State) warmPermit(wallet int, p *Pending, b *entry.Permit, at Moment) (func(), error) {
	if err := s.warmCall(s.walletList[wallet], p.Effects); err != nil {
		return nil, err
	}
	if p.Bounds.Slot == request.NoSlot {
		return func() {}, nil
	}
	return s.takeWarm(wallet, p.Effects.Asset, p.Effects.Total, b.Fee, at)
}

// permitNeeds gives the control points that a permit takes.
func (s *State) permitNeeds(id custody.RequestID, w entry.Wallet) points.Set {
	var o request.Operation
	if p, ok := s.pending[id]; ok {
		o = p.Effects.Operation
	} else if g, ok := s.signed[id]; ok {
		o = g.Operation
	}
	switch o {
	case request.ContractCall:
		return needsCall
	case request.MessageSign:
		return needsMessage
	default:
		return needs((*request.TransferBody)(nil), w)
	}
}

// noSlot says whether a permit takes nothing that another could want: it is of one key, and costs no fee.
func noSlot(b *entry.Permit) error {
	if len(b.Slot.Inputs) != 0 || b.Slot.Account == "" || b.Slot.Nonce != 0 || len(b.Keys) != 1 || b.Keys[0].Branch != 0 || len(b.Change) != 0 || !b.Fee.IsZero() || !eth.IsMessage(b.Payload) {
		return errors.New("the permit must be for a message, by one key, without fee")
	}
	return nil
}

// describeCall says what a contract call does.
func describeCall(rules *policy.Rules, view View, w entry.Wallet, receiving uint32, o *request.ContractCallBody, f *policy.Facts, e *request.Effects, b *request.Bounds, derive Deriver) error {
	if err := source(w, receiving, o.Source, e, derive); err != nil {
		return err
	}
	contract, err := eth.ParseAddress(o.Contract)
	if err != nil {
		return problem.New(problem.Malformed, "contract: %v", err)
	}
	c, err := calls.Decode(calls.Call{Chain: w.Chain, Source: e.Source, Contract: contract, Value: o.Value, Data: o.Data}, rules.Registry(w.Chain))
	if err != nil {
		return problem.New(problem.Unsupported, "%v", err)
	}
	f.Wallet, f.Chain, f.Asset, f.Total, f.FeeCap, f.Call = o.Wallet, w.Chain, w.Chain.Native(), o.Value, o.FeeCap, &c
	f.Destinations = []policy.Destination{view.destination(rules, w.Chain, request.Output{Address: o.Contract, Amount: o.Value})}
	if rules.Remembers() {
		for _, m := range c.Movements {
			f.Moves = append(f.Moves, view.destination(rules, w.Chain, request.Output{Address: m.To, Amount: m.Amount}))
		}
	}
	e.Wallet, e.Chain, e.Asset, e.Total, e.Calls = o.Wallet, w.Chain, w.Chain.Native(), o.Value, &c
	b.FeeCap, b.FeeAsset, b.Slot = o.FeeCap, w.Chain.Native(), request.AccountNonce
	return nil
}

// callPayload decodes a payload and says whether it makes the call that was asked for and nothing else.
func callPayload(w entry.Wallet, asked Asked, o *request.ContractCallBody, payload []byte) (*entry.Permit, error) {
	out := &entry.Permit{Payload: payload, PayloadHash: canon.HashBytes(canon.TagPayload, payload), Wallet: w.ID}
	tx, err := unsigned(w, payload)
	if err != nil {
		return nil, err
	}
	switch {
	case tx.To.String() != o.Contract:
		return nil, problem.New(problem.OutsideBounds, "payload calls %s; %s was asked for", tx.To, o.Contract)
	case custody.Uint256(tx.Value) != o.Value:
		return nil, problem.New(problem.OutsideBounds, "payload sends %s along; %s was asked for", tx.Value, o.Value)
	case !bytes.Equal(tx.Data, o.Data):
		return nil, problem.New(problem.OutsideBounds, "payload has other call data than was asked for")
	}
	return out, accountSlot(asked, tx, o.Source, out)
}

// describeMessage says what a message says.
func describeMessage(rules *policy.Rules, w entry.Wallet, receiving uint32, o *request.MessageSignBody, f *policy.Facts, e *request.Effects, derive Deriver) error {
	if err := source(w, receiving, o.Source, e, derive); err != nil {
		return err
	}
	m, err := eip712.Describe(o, func(contract eth.Address) string {
		found, known, _ := rules.Registry(w.Chain)(contract, eth.Selector{})
		if !known {
			return ""
		}
		return found.ID
	})
	if err != nil {
		return problem.New(problem.Malformed, "message: %v", err)
	}
	if id, _ := w.Chain.EVM(); o.Kind == request.TypedMessage && m.ChainID != fmt.Sprint(id) {
		return problem.New(problem.WrongNetwork, "the typed data is for chain id %q; the wallet is on %d. Typed data without the wallet's chain id is not signed", m.ChainID, id)
	}
	f.Wallet, f.Chain, f.Message = o.Wallet, w.Chain, &m
	e.Wallet, e.Chain, e.Message = o.Wallet, w.Chain, &m
	return nil
}

// messagePayload says whether a payload is the message that was asked for.
func messagePayload(w entry.Wallet, asked Asked, o *request.MessageSignBody, payload []byte) (*entry.Permit, error) {
	out := &entry.Permit{Payload: payload, PayloadHash: canon.HashBytes(canon.TagPayload, payload), Wallet: w.ID,
		Slot: entry.Slot{Account: asked.Effects.Source}, Keys: []entry.KeyPath{{Index: o.Source}}}
	exact, err := eip712.Exact(o)
	if err != nil {
		return nil, problem.New(problem.Malformed, "message: %v", err)
	}
	if !bytes.Equal(exact, payload) {
		return nil, problem.New(problem.OutsideBounds, "payload is not the message that was asked for")
	}
	return out, nil
}

// assembleMessage gives the signature as wallets give it, and the hash that it is over.
func assembleMessage(p *entry.Permit, sig []byte) ([]byte, string, error) {
	out, err := eth.EncodeMessageSignature([32]byte(sig[:32]), [32]byte(sig[32:64]), sig[64])
	return out, fmt.Sprintf("0x%x", eth.Keccak256(p.Payload)), err
}

// checkMessage says whether a result is the signature of a permit's message by the wallet's key.
func checkMessage(w entry.Wallet, p *entry.Permit, b *entry.Result, derive Deriver) error {
	out, _, err := assembleMessage(p, b.Signatures[0])
	if err != nil {
		return err
	}
	d, err := derive(w, p.Keys[0])
	if err != nil {
		return err
	}
	if by, err := eth.MessageSigner(p.Payload, out); err != nil || by.String() != d.Address {
		return fmt.Errorf("the signature is by %s, not by %s: %v", by, d.Address, err)
	}
	return nil
}
