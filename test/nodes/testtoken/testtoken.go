// SPDX-License-Identifier: Apache-2.0

// Package testtoken carries the ERC-20 token (EIP-20) that devnets and tests
// use: source, ABI and creation bytecode, compiled by compile.mjs with the
// compiler and settings that TestToken.json names. It is a test's counterpart,
// not a product: fixed supply, no owner, no permit, no upgrade.
package testtoken

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
)

// What the devnet deploys. Six decimals, so that a program that assumes
// eighteen is found out.
const (
	Name     = "Devnet Dollar"
	Symbol   = "DUSD"
	Decimals = 6
)

//go:embed TestToken.sol
var source []byte

//go:embed TestToken.json
var artifact []byte

// Token is the contract's interface and creation code.
type Token struct {
	ABI      abi.ABI
	Bytecode []byte // creation code, without constructor arguments
	Compiler string // for example "solc 0.8.37+commit…"
}

// Load decodes the artifact. It refuses one that was not compiled from the
// source beside it.
func Load() (*Token, error) { return decode(artifact, source) }

func decode(artifact, source []byte) (*Token, error) {
	var a struct {
		Compiler     string          `json:"compiler"`
		SourceSHA256 string          `json:"sourceSHA256"`
		ABI          json.RawMessage `json:"abi"`
		Bytecode     hexutil.Bytes   `json:"bytecode"`
	}
	if err := json.Unmarshal(artifact, &a); err != nil {
		return nil, fmt.Errorf("decode TestToken.json: %w", err)
	}
	if sum := sha256.Sum256(source); a.SourceSHA256 != hex.EncodeToString(sum[:]) {
		return nil, errors.New("TestToken.json was not compiled from TestToken.sol: run compile.mjs again")
	}
	parsed, err := abi.JSON(bytes.NewReader(a.ABI))
	if err != nil {
		return nil, fmt.Errorf("decode the ABI of TestToken.json: %w", err)
	}
	return &Token{ABI: parsed, Bytecode: a.Bytecode, Compiler: a.Compiler}, nil
}

// Create returns the data of a transaction that deploys the token with the
// given supply in base units, all of it to the sender.
func (t *Token) Create(supply *big.Int) ([]byte, error) {
	args, err := t.ABI.Pack("", Name, Symbol, uint8(Decimals), supply)
	if err != nil {
		return nil, fmt.Errorf("encode the token's constructor: %w", err)
	}
	return append(bytes.Clone(t.Bytecode), args...), nil
}

// Transfer returns the data of a call transfer(to, amount), in base units.
func (t *Token) Transfer(to common.Address, amount *big.Int) ([]byte, error) {
	data, err := t.ABI.Pack("transfer", to, amount)
	if err != nil {
		return nil, fmt.Errorf("encode transfer: %w", err)
	}
	return data, nil
}
