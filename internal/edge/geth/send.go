// SPDX-License-Identifier: Apache-2.0

package geth

import (
	"context"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/crypto"

	"strongroom/internal/pure/custody"
	"strongroom/internal/svc/chain"
)

// Send hands in a signed transaction and gives its hash. Handing in the same bytes again, while they wait or after they were
// mined, succeeds. The refusals that callers branch on are [chain.NonceTooLow] (another transaction took the nonce),
// [chain.Underpriced], [chain.FeeTooLow], [chain.NoFunds], [chain.WrongChain], [chain.PoolFull] and [chain.Unavailable]; after
// the last it is unknown whether the node took the bytes, and the answer is to send them again.
func (c *Client) Send(ctx context.Context, signed []byte) (chain.TxID, error) {
	const act = "send"
	want := crypto.Keccak256Hash(signed)
	var got common.Hash
	err := c.call(ctx, act, &got, "eth_sendRawTransaction", hexutil.Bytes(signed))
	switch chain.ReasonOf(err) {
	case "":
		if err != nil {
			return "", err
		}
		if got != want {
			return "", c.refuse(chain.Contradiction, act, "it names the transaction %s, which is %s", got, want)
		}
		return chain.TxID(want.Hex()), nil
	case alreadyKnown:
		return chain.TxID(want.Hex()), nil
	case chain.NonceTooLow, chain.Underpriced, chain.Invalid, chain.NoFunds:
		// Mined bytes come back as a low nonce, with some nodes as something else. What counts is whether these bytes took
		// effect, so the node's state is asked before its words are believed.
		if tx, again := c.Transaction(ctx, chain.TxID(want.Hex())); again == nil && tx.State != chain.TxUnknown {
			return chain.TxID(want.Hex()), nil
		}
	}
	return "", err
}

// receipt is what is read of a receipt.
type receipt struct {
	Hash        common.Hash    `json:"transactionHash"`
	BlockHash   common.Hash    `json:"blockHash"`
	BlockNumber hexutil.Uint64 `json:"blockNumber"`
	Status      hexutil.Uint64 `json:"status"`
	GasUsed     hexutil.Uint64 `json:"gasUsed"`
	GasPrice    *hexutil.Big   `json:"effectiveGasPrice"`
}

// Transaction says where a transaction stands. A block that is no longer in the best chain does not count: the transaction
// is then pending or unknown, as the node's pool has it.
func (c *Client) Transaction(ctx context.Context, id chain.TxID) (chain.Tx, error) {
	const act = "transaction"
	h, err := txHash(id)
	if err != nil {
		return chain.Tx{}, c.refuse(chain.Invalid, act, "%q is not a transaction hash", chain.Printable(string(id), 80))
	}
	var r *receipt
	if err := c.call(ctx, act, &r, "eth_getTransactionReceipt", h); err != nil {
		return chain.Tx{}, err
	}
	if r != nil {
		if r.Hash != h {
			return chain.Tx{}, c.refuse(chain.Contradiction, act, "it gives the receipt of %s for %s", r.Hash, h)
		}
		tx, canonical, err := c.mined(ctx, r)
		if err != nil || canonical {
			return tx, err
		}
	}
	var known *struct {
		Hash common.Hash `json:"hash"`
	}
	if err := c.call(ctx, act, &known, "eth_getTransactionByHash", h); err != nil {
		return chain.Tx{}, err
	}
	if known == nil || known.Hash != h {
		return chain.Tx{State: chain.TxUnknown}, nil
	}
	return chain.Tx{State: chain.TxPending}, nil
}

// mined reads a receipt and asks whether its block is still in the best chain.
func (c *Client) mined(ctx context.Context, r *receipt) (tx chain.Tx, canonical bool, err error) {
	tx = chain.Tx{
		State:    chain.TxMined,
		Block:    chain.Block{Height: uint64(r.BlockNumber), Hash: chain.BlockHash(r.BlockHash.Hex())},
		Reverted: r.Status == 0,
	}
	// The head is asked first: if the chain grows or turns meanwhile, confirmations are counted too low and the block is
	// asked for last.
	head, err := c.Head(ctx)
	if err != nil {
		return tx, false, err
	}
	if canonical, err = c.Canonical(ctx, tx.Block); err != nil || !canonical {
		return chain.Tx{}, false, err
	}
	tx.Confirmations = 1
	if head.Height > tx.Block.Height {
		tx.Confirmations = head.Height - tx.Block.Height + 1
	}
	if r.GasPrice != nil {
		fee := new(big.Int).Mul((*big.Int)(r.GasPrice), new(big.Int).SetUint64(uint64(r.GasUsed)))
		tx.Fee, err = c.uint256("transaction", fee)
	}
	return tx, true, err
}

// Code says whether there is a contract at an address: a token has to be one, and a payee that is one may do more than take
// coins.
func (c *Client) Code(ctx context.Context, address string) (bool, error) {
	a, err := account(address)
	if err != nil {
		return false, err
	}
	var code hexutil.Bytes
	if err := c.call(ctx, "code", &code, "eth_getCode", a, "latest"); err != nil {
		return false, err
	}
	return len(code) > 0, nil
}

// txHash reads 0x and 64 hex digits.
func txHash(id chain.TxID) (common.Hash, error) {
	var h common.Hash
	return h, h.UnmarshalText([]byte(id))
}

// BalanceOf gives the base units of an asset that an address has: the chain's own coin or an ERC-20 token of it.
func (c *Client) BalanceOf(ctx context.Context, asset custody.AssetID, address string) (custody.Uint256, error) {
	if asset.Chain() != c.Chain() {
		return custody.Uint256{}, c.refuse(chain.WrongChain, "balance", "it serves %s; the asset is %s", c.Chain(), asset)
	}
	if contract, ok := asset.ERC20(); ok {
		return c.TokenBalance(ctx, contract, address)
	}
	return c.Balance(ctx, address)
}
