// SPDX-License-Identifier: Apache-2.0

package request

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
)

// ContractCall asks to call a contract of an Ethereum chain; body [ContractCallBody]. docs/spec/calls.md.
const ContractCall Operation = "contract_call"

// ContractCallBody asks to call a contract from one address of a wallet.
type ContractCallBody struct {
	Wallet   custody.WalletID `cbor:"1,keyasint" json:"wallet"`
	Source   uint32           `cbor:"2,keyasint" json:"source"`   // index of the calling address
	Contract string           `cbor:"3,keyasint" json:"contract"` // EIP-55
	Value    custody.Uint256  `cbor:"4,keyasint" json:"value"`    // wei that go along
	Data     custody.HexBytes `cbor:"5,keyasint" json:"data"`     // call data; at most [eth.MaxDataSize] bytes
	FeeCap   custody.Uint256  `cbor:"6,keyasint" json:"feeCap"`   // most that may be paid as fee in all, wei
}

func (b *ContractCallBody) check() error {
	if err := b.Wallet.Check(); err != nil {
		return err
	}
	a, err := eth.ParseAddress(b.Contract)
	switch {
	case err != nil:
		return fmt.Errorf("contract: %w", err)
	case a.IsZero():
		return errors.New("contract is the zero address, where none is; a contract can't be created with a call")
	case len(b.Data) < 4:
		return errors.New("data has no function; ask for a transfer to pay a contract without calling one")
	case len(b.Data) > eth.MaxDataSize:
		return fmt.Errorf("data has %d bytes, more than %d", len(b.Data), eth.MaxDataSize)
	case b.FeeCap.IsZero():
		return errors.New("feeCap must say how much fee may be paid at most")
	}
	return nil
}

// CallEffects is what a contract call does, as it was decoded with the contracts of the rule document.
type CallEffects struct {
	Calls     []CallNode       `cbor:"1,keyasint" json:"calls"`                         // as they are made, each before those within it; the first is the call itself
	Approvals []TokenApproval  `cbor:"2,keyasint,omitempty" json:"approvals,omitempty"` // power over tokens that is given
	Movements []Movement       `cbor:"3,keyasint,omitempty" json:"movements,omitempty"` // coins and tokens that are moved, beside the call's own value
	Undecoded string           `cbor:"4,keyasint,omitempty" json:"undecoded,omitempty"` // why it can't be decoded; Calls then has the call itself, without arguments
	DataHash  custody.HexBytes `cbor:"5,keyasint" json:"dataHash"`                      // SHA-256 of the call data
}

// CallNode is one call: the one that was asked for, or one within it.
type CallNode struct {
	Depth    uint32          `cbor:"1,keyasint,omitempty" json:"depth,omitempty"`        // 0: the call itself
	Contract string          `cbor:"2,keyasint" json:"contract"`                         // EIP-55
	ID       string          `cbor:"3,keyasint,omitempty" json:"id,omitempty"`           // of the contract in the rule document; empty: it is not there
	Kind     string          `cbor:"4,keyasint,omitempty" json:"kind,omitempty"`         // of the contract, as the rule document says
	Selector string          `cbor:"5,keyasint,omitempty" json:"selector,omitempty"`     // 0x and 8 hex digits; empty: no function is called
	Function string          `cbor:"6,keyasint,omitempty" json:"function,omitempty"`     // canonical signature; empty: not known, or no function
	Args     []CallArg       `cbor:"7,keyasint,omitempty" json:"args,omitempty"`         // in order
	Value    custody.Uint256 `cbor:"8,keyasint" json:"value"`                            // wei
	Delegate bool            `cbor:"9,keyasint,omitempty" json:"delegatecall,omitempty"` // the code runs with the caller's powers
}

// CallArg is an argument, or a part of one. Path counts from 0, parts within parts after a point: "1.0.2"; the number of elements of a
// list has the path "1.length".
type CallArg struct {
	Path  string `cbor:"1,keyasint" json:"path"`
	Type  string `cbor:"2,keyasint" json:"type"`
	Value string `cbor:"3,keyasint" json:"value"` // of what is long: sha256: and its hash
}

// TokenApproval is power over tokens that a call gives.
type TokenApproval struct {
	Contract  string          `cbor:"1,keyasint" json:"contract"` // the token
	Spender   string          `cbor:"2,keyasint" json:"spender"`  // who gets it
	Amount    custody.Uint256 `cbor:"3,keyasint" json:"amount"`   // base units, or the number of the one token
	Unlimited bool            `cbor:"4,keyasint,omitempty" json:"unlimited,omitempty"`
	All       bool            `cbor:"5,keyasint,omitempty" json:"all,omitempty"` // over all tokens of the contract, those to come too
	ID        string          `cbor:"6,keyasint,omitempty" json:"id,omitempty"`  // of the contract in the rule document
}

// Movement is coins or tokens that a call moves.
type Movement struct {
	Asset  custody.AssetID `cbor:"1,keyasint" json:"asset"`
	From   string          `cbor:"2,keyasint" json:"from"`
	To     string          `cbor:"3,keyasint" json:"to"`
	Amount custody.Uint256 `cbor:"4,keyasint" json:"amount"` // base units; the most where the call leaves it open
}
