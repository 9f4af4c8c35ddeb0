// SPDX-License-Identifier: Apache-2.0

package secondopinion

import (
	"crypto/sha256"
	"fmt"
	"math/big"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

func sum(b []byte) [32]byte { return sha256.Sum256(b) }

// Payload decodes unsigned bytes twice and says what they do. They have to do what asked says, from wallet w, for a fee of at
// most feeCap; anything else is an [*Alarm].
func Payload(asked request.Effects, feeCap custody.Uint256, w entry.Wallet, payload []byte) (Effects, error) {
	e, err := decode(w, payload)
	if err != nil {
		return Effects{}, err
	}
	if e.Fee.Cmp(feeCap) > 0 {
		return Effects{}, &Alarm{About: "fee", First: "at most " + feeCap.String(), Second: e.Fee.String()}
	}
	if len(e.Change) > 1 {
		return Effects{}, &Alarm{About: "change outputs", First: "at most 1", Second: fmt.Sprint(len(e.Change))}
	}
	return e, first(
		same("wallet", asked.Wallet, w.ID),
		same("chain", asked.Chain, e.Chain),
		same("chain of the wallet", w.Chain, e.Chain),
		same("asset", asked.Asset, e.Asset),
		sameOutputs("output", asked.Outputs, e.Outputs),
	)
}

// decode decodes a payload for the scheme of a wallet.
func decode(w entry.Wallet, payload []byte) (Effects, error) {
	if w.Scheme == request.SchemeEVM {
		e, _, err := ethereumPayload(payload)
		return e, err
	}
	e, _, err := bitcoinPayload(w, payload)
	return e, err
}

// Signed checks, before it is sent, that a signed transaction is the payload with valid signatures of wallet w, and gives its
// id. source is the paying address (Ethereum only).
func Signed(w entry.Wallet, source string, payload, signed []byte) (string, error) {
	if w.Scheme == request.SchemeEVM {
		if _, _, err := ethereumPayload(payload); err != nil {
			return "", err
		}
		return ethereumSigned(payload, signed, source)
	}
	_, p, err := bitcoinPayload(w, payload)
	if err != nil {
		return "", err
	}
	return bitcoinSigned(p, signed)
}

// Statement checks an approval statement against the canonical request that it is about: addresses, checksums, networks,
// amounts, call data and bounds are computed again with the other code. wallet is the paying wallet where the approver knows
// it, to derive the paying address of an Ethereum transfer; nil where not. What is not a transfer has no effects here, and its
// hash and addresses are checked.
func Statement(canonical []byte, s request.Statement, wallet *entry.Wallet) (Effects, error) {
	r, err := request.Decode(canonical)
	if err != nil {
		return Effects{}, err
	}
	body, err := r.DecodeBody()
	if err != nil {
		return Effects{}, err
	}
	if err := first(
		same("authority", r.Authority, s.Authority),
		same("domain", r.Domain, s.Domain),
		same("request id", r.ID(), s.Request),
		same("initiator", r.Initiator, s.Initiator),
		same("operation", r.Operation, s.Effects.Operation),
		same("hash of the request", r.Hash(), s.Effects.BodyHash),
		same("not after", r.NotAfter, s.Bounds.NotAfter),
	); err != nil {
		return Effects{}, err
	}
	switch b := body.(type) {
	case *request.TransferBody:
		return transferStatement(b, s, wallet)
	case *request.ContractCallBody:
		return callStatement(b, s, wallet)
	case *request.MessageSignBody:
		return messageStatement(b, s, wallet)
	case *request.WhitelistAddBody:
		if l := s.Effects.List; l != nil {
			if err := first(same("address", b.Address, l.Address), same("chain", b.Chain, l.Chain)); err != nil {
				return Effects{}, err
			}
		}
		return Effects{Chain: b.Chain}, Address(b.Chain, b.Address)
	case *request.BlacklistAddBody:
		return Effects{Chain: b.Chain}, Address(b.Chain, b.Address)
	default:
		return Effects{}, nil
	}
}

// transferStatement compares a transfer with what its statement says.
func transferStatement(b *request.TransferBody, s request.Statement, wallet *entry.Wallet) (Effects, error) {
	e := Effects{Chain: b.Asset.Chain(), Asset: b.Asset, Outputs: b.Outputs, Fee: b.FeeCap}
	total := new(big.Int)
	for _, o := range b.Outputs {
		if err := Address(e.Chain, o.Address); err != nil {
			return Effects{}, err
		}
		total.Add(total, new(big.Int).SetBytes(o.Amount[:]))
	}
	change, slot := request.OwnChange, request.InputSet
	if _, evm := e.Chain.EVM(); evm {
		change, slot = request.NoChange, request.AccountNonce
	}
	if err := first(
		same("wallet", b.Wallet, s.Effects.Wallet),
		same("chain", e.Chain, s.Effects.Chain),
		same("asset", b.Asset, s.Effects.Asset),
		sameOutputs("output", b.Outputs, s.Effects.Outputs),
		same("sum", total, s.Effects.Total),
		same("fee cap", b.FeeCap, s.Bounds.FeeCap),
		same("asset of the fee", e.Chain.Native(), s.Bounds.FeeAsset),
		same("change rule", change, s.Bounds.Change),
		same("slot policy", slot, s.Bounds.Slot),
		sameCall(b, s.Effects.Call),
	); err != nil {
		return Effects{}, err
	}
	return e, sameSource(b, s.Effects.Source, wallet)
}

// sameCall packs the call of a token transfer again and compares.
func sameCall(b *request.TransferBody, stated *request.Call) error {
	contract, token := b.Asset.ERC20()
	if err := same("contract call", token, stated != nil); err != nil || !token {
		return err
	}
	if err := Address(b.Asset.Chain(), contract); err != nil {
		return err
	}
	call, err := callOf(contract, b.Outputs[0].Address, b.Outputs[0].Amount)
	if err != nil {
		return refused("contract call", err)
	}
	return first(
		same("contract", call.Contract, stated.Contract),
		same("function", call.Selector, stated.Selector),
		same("arguments", call.Args, stated.Args),
		same("hash of the call data", call.DataHash, stated.DataHash),
	)
}

// sameSource checks the paying address.
func sameSource(b *request.TransferBody, source string, wallet *entry.Wallet) error {
	if _, evm := b.Asset.Chain().EVM(); !evm {
		return same("paying address", "", source)
	}
	if err := Address(b.Asset.Chain(), source); err != nil {
		return err
	}
	if wallet == nil {
		return nil
	}
	a, err := accountOf(*wallet)
	if err != nil {
		return err
	}
	return a.sameAt(b.Wallet, b.Source, source)
}

// sameAt derives an address of a wallet and compares.
func (a account) sameAt(id custody.WalletID, index uint32, stated string) error {
	derived, _, err := a.at(entry.KeyPath{Index: index})
	if err != nil {
		return err
	}
	return first(same("wallet", id, a.wallet.ID), same("paying address", derived, stated))
}
