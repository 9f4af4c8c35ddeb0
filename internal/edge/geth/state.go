// SPDX-License-Identifier: Apache-2.0

package geth

import (
	"context"
	"encoding/json"
	"math/big"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/svc/chain"
)

// block is what is read of a block. The hash is the node's word: chains other than Ethereum's own hash other fields.
type block struct {
	Number  hexutil.Uint64 `json:"number"`
	Hash    common.Hash    `json:"hash"`
	Time    hexutil.Uint64 `json:"timestamp"`
	BaseFee *hexutil.Big   `json:"baseFeePerGas"`
}

func (c *Client) block(ctx context.Context, act, which string) (*block, error) {
	var b *block
	if err := c.call(ctx, act, &b, "eth_getBlockByNumber", which, false); err != nil {
		return nil, err
	}
	if b == nil {
		return nil, c.refuse(chain.NotFound, act, "there is no block %s", which)
	}
	return b, nil
}

func (b *block) place() chain.Block {
	return chain.Block{Height: uint64(b.Number), Hash: chain.BlockHash(b.Hash.Hex())}
}

// Head gives the newest block.
func (c *Client) Head(ctx context.Context) (chain.Head, error) {
	b, err := c.block(ctx, "head", "latest")
	if err != nil {
		return chain.Head{}, err
	}
	return chain.Head{Block: b.place(), Time: int64(b.Time)}, nil
}

// Canonical says whether b is in the node's best chain.
func (c *Client) Canonical(ctx context.Context, b chain.Block) (bool, error) {
	found, err := c.block(ctx, "block by number", hexutil.EncodeUint64(b.Height))
	if chain.ReasonOf(err) == chain.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return strings.EqualFold(string(found.place().Hash), string(b.Hash)), nil
}

// Status gives what an operator wants to know.
func (c *Client) Status(ctx context.Context) (chain.NodeStatus, error) {
	s := chain.NodeStatus{Chain: c.Chain(), Node: c.host}
	if err := c.Check(ctx); err != nil {
		return s, err
	}
	var err error
	if s.Head, err = c.Head(ctx); err != nil {
		return s, err
	}
	var sync json.RawMessage // false, or how far it is
	if err := c.call(ctx, "syncing", &sync, "eth_syncing"); err != nil {
		return s, err
	}
	var far struct{ CurrentBlock, HighestBlock hexutil.Uint64 }
	if json.Unmarshal(sync, &far) == nil && far.HighestBlock > far.CurrentBlock {
		s.Behind = uint64(far.HighestBlock - far.CurrentBlock)
	}
	// Version and peers are extras that many providers hide.
	var version string
	if c.call(ctx, "version", &version, "web3_clientVersion") == nil {
		s.Version = chain.Printable(version, 100)
	}
	var peers hexutil.Uint64
	if c.call(ctx, "peers", &peers, "net_peerCount") == nil {
		s.Peers = uint64(peers)
	}
	return s, nil
}

// Balance gives the coins of an address in the newest block, in wei.
func (c *Client) Balance(ctx context.Context, address string) (custody.Uint256, error) {
	a, err := account(address)
	if err != nil {
		return custody.Uint256{}, err
	}
	var v hexutil.Big
	if err := c.call(ctx, "balance", &v, "eth_getBalance", a, "latest"); err != nil {
		return custody.Uint256{}, err
	}
	return c.uint256("balance", (*big.Int)(&v))
}

// Nonces gives the nonce of the next transaction of an address: by the newest block, and by that and the node's pool.
func (c *Client) Nonces(ctx context.Context, address string) (latest, pending uint64, err error) {
	a, err := account(address)
	if err != nil {
		return 0, 0, err
	}
	var l, p hexutil.Uint64
	if err := c.call(ctx, "nonce", &l, "eth_getTransactionCount", a, "latest"); err != nil {
		return 0, 0, err
	}
	if err := c.call(ctx, "pending nonce", &p, "eth_getTransactionCount", a, "pending"); err != nil {
		return 0, 0, err
	}
	// Between the two calls a block may have come; pending is then the newer word.
	return uint64(l), max(uint64(l), uint64(p)), nil
}

// EstimateGas asks what a call would take, in gas. A call that would fail is a [chain.Reverts] refusal, one that the account
// can't pay [chain.NoFunds].
func (c *Client) EstimateGas(ctx context.Context, from, to string, value custody.Uint256, data []byte) (uint64, error) {
	f, err := account(from)
	if err != nil {
		return 0, err
	}
	t, err := account(to)
	if err != nil {
		return 0, err
	}
	msg := map[string]any{"from": f, "to": t, "value": (*hexutil.Big)(new(big.Int).SetBytes(value[:]))}
	if len(data) > 0 {
		msg["data"] = hexutil.Bytes(data)
	}
	var gas hexutil.Uint64
	if err := c.call(ctx, "estimate gas", &gas, "eth_estimateGas", msg); err != nil {
		return 0, err
	}
	return uint64(gas), nil
}

// account reads an address with its EIP-55 checksum; the error is that of [eth.ParseAddress].
func account(s string) (common.Address, error) {
	a, err := eth.ParseAddress(s)
	return common.Address(a), err
}

// uint256 takes over a number of the node's.
func (c *Client) uint256(act string, n *big.Int) (u custody.Uint256, err error) {
	if n.Sign() < 0 || n.BitLen() > 256 {
		return u, c.refuse(chain.Contradiction, act, "the answer does not fit in 256 bits")
	}
	n.FillBytes(u[:])
	return u, nil
}
