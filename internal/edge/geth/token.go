// SPDX-License-Identifier: Apache-2.0

package geth

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"strongroom/internal/pure/custody"
	"strongroom/internal/svc/chain"
)

// Selectors of ERC-20.
var (
	selectorBalanceOf = []byte{0x70, 0xa0, 0x82, 0x31} // balanceOf(address)
	selectorDecimals  = []byte{0x31, 0x3c, 0xe5, 0x67} // decimals()
	selectorSymbol    = []byte{0x95, 0xd8, 0x9b, 0x41} // symbol()
)

// MaxSymbol is the longest symbol that is shown, in bytes.
const MaxSymbol = 32

// Token is what an ERC-20 contract says of itself. Anyone can deploy a contract that says "USDC": show it beside the address,
// never instead of it.
type Token struct {
	Symbol   string // printable ASCII, at most [MaxSymbol] characters
	Decimals uint8
}

// TokenBalance gives the base units of a token that an address has in the newest block.
func (c *Client) TokenBalance(ctx context.Context, contract, address string) (custody.Uint256, error) {
	a, err := account(address)
	if err != nil {
		return custody.Uint256{}, err
	}
	out, err := c.view(ctx, "token balance", contract, append(bytes.Clone(selectorBalanceOf), common.LeftPadBytes(a[:], 32)...))
	if err != nil {
		return custody.Uint256{}, err
	}
	if len(out) != 32 {
		return custody.Uint256{}, c.noToken("token balance", contract)
	}
	return custody.Uint256(out), nil
}

// Token asks a contract for symbol and decimals (ERC-20, both optional there and required here). A symbol may be an ABI
// string or, with tokens from before the standard settled, 32 bytes.
func (c *Client) Token(ctx context.Context, contract string) (Token, error) {
	out, err := c.view(ctx, "token decimals", contract, selectorDecimals)
	if err != nil {
		return Token{}, err
	}
	if len(out) != 32 || !bytes.Equal(out[:31], make([]byte, 31)) {
		return Token{}, c.noToken("token decimals", contract)
	}
	t := Token{Decimals: out[31]}
	if out, err = c.view(ctx, "token symbol", contract, selectorSymbol); err != nil {
		return Token{}, err
	}
	symbol, ok := abiText(out)
	if !ok {
		return Token{}, c.noToken("token symbol", contract)
	}
	t.Symbol = chain.Printable(symbol, MaxSymbol)
	return t, nil
}

// view calls a contract without a transaction.
func (c *Client) view(ctx context.Context, act, contract string, data []byte) ([]byte, error) {
	to, err := account(contract)
	if err != nil {
		return nil, err
	}
	var out hexutil.Bytes
	err = c.call(ctx, act, &out, "eth_call", map[string]any{"to": to, "data": hexutil.Bytes(data)}, "latest")
	return out, err
}

func (c *Client) noToken(act, contract string) error {
	return c.refuse(chain.NotFound, act, "%s does not answer as an ERC-20 token; check address and chain", contract)
}

// abiText reads a string as the Solidity ABI has it, or 32 bytes padded with zeros.
func abiText(b []byte) (string, bool) {
	if len(b) == 32 {
		return string(bytes.TrimRight(b, "\x00")), true
	}
	if len(b) < 64 || !isWord(b[:32], 32) || !bytes.Equal(b[32:56], make([]byte, 24)) {
		return "", false
	}
	n := binary.BigEndian.Uint64(b[56:64])
	if n > uint64(len(b)-64) {
		return "", false
	}
	return string(b[64 : 64+n]), true
}

// isWord tells whether a 32-byte word has a small value.
func isWord(w []byte, v byte) bool {
	return w[31] == v && bytes.Equal(w[:31], make([]byte, 31))
}
