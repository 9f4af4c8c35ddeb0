// SPDX-License-Identifier: Apache-2.0

package btcnode

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Reorg replaces the newest depth blocks by submitting a branch of depth+1
// empty ones, as another miner would. The transactions of the replaced blocks
// go back to the pool and wait for the next block. It returns how many wait.
func (n *Node) Reorg(ctx context.Context, depth int) (int, error) {
	if depth < 1 || depth > MaxReorg {
		return 0, fmt.Errorf("reorg %d bitcoin blocks: choose between 1 and %d", depth, MaxReorg)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	height, old, err := n.Height(ctx)
	if err != nil {
		return 0, err
	}
	if int64(depth) >= height {
		return 0, fmt.Errorf("reorg %d bitcoin blocks: the chain has only %d", depth, height)
	}
	tip, err := n.header(ctx, height-int64(depth))
	if err != nil {
		return 0, err
	}
	for range depth + 1 {
		if tip, err = n.submitEmpty(ctx, tip); err != nil {
			return 0, err
		}
	}
	if _, now, err := n.Height(ctx); err != nil {
		return 0, err
	} else if now != tip.hash.String() {
		return 0, fmt.Errorf("reorg %d bitcoin blocks: the node stayed with %s (was %s)", depth, now, old)
	}
	return n.Pending(ctx)
}

// header is what the next block needs to know of the one before.
type header struct {
	hash   chainhash.Hash
	height int64
	time   int64 // seconds since 1970
}

// header returns the header of the block at a height of the best chain.
func (n *Node) header(ctx context.Context, height int64) (header, error) {
	var hash string
	if err := n.Call(ctx, &hash, "getblockhash", height); err != nil {
		return header{}, err
	}
	var h struct {
		Time int64 `json:"time"`
	}
	if err := n.Call(ctx, &h, "getblockheader", hash, true); err != nil {
		return header{}, err
	}
	parsed, err := chainhash.NewHashFromStr(hash)
	if err != nil {
		return header{}, fmt.Errorf("decode block hash %q: %w", hash, err)
	}
	return header{hash: *parsed, height: height, time: h.Time}, nil
}

// submitEmpty makes, solves and submits a block after parent that holds
// nothing but the reward to the faucet.
func (n *Node) submitEmpty(ctx context.Context, parent header) (header, error) {
	next := header{height: parent.height + 1, time: max(parent.time+1, time.Now().Unix())}
	// The random bytes make the branch differ from all others.
	script, err := txscript.NewScriptBuilder().AddInt64(next.height).AddData([]byte(rand.Text())).Script()
	if err != nil {
		return header{}, fmt.Errorf("make a bitcoin block: %w", err)
	}
	coinbase := wire.NewMsgTx(wire.TxVersion)
	coinbase.AddTxIn(&wire.TxIn{
		PreviousOutPoint: wire.OutPoint{Index: wire.MaxPrevOutIndex},
		SignatureScript:  script, Sequence: wire.MaxTxInSequenceNum,
	})
	coinbase.AddTxOut(wire.NewTxOut(subsidy(next.height), n.faucet.script))
	root := coinbase.TxHash() // the Merkle root of one transaction is its id
	block := wire.NewMsgBlock(&wire.BlockHeader{
		Version: 0x20000000, PrevBlock: parent.hash, MerkleRoot: root,
		Timestamp: time.Unix(next.time, 0), Bits: chaincfg.RegressionNetParams.PowLimitBits,
	})
	if err := block.AddTransaction(coinbase); err != nil {
		return header{}, fmt.Errorf("make a bitcoin block: %w", err)
	}
	// Regtest's target is 7fffff00…: a hash whose highest byte is below 7f meets it.
	for next.hash = block.Header.BlockHash(); next.hash[chainhash.HashSize-1] >= 0x7f; next.hash = block.Header.BlockHash() {
		block.Header.Nonce++
	}
	var raw bytes.Buffer
	if err := block.Serialize(&raw); err != nil {
		return header{}, fmt.Errorf("encode a bitcoin block: %w", err)
	}
	var refused *string
	if err := n.Call(ctx, &refused, "submitblock", hex.EncodeToString(raw.Bytes())); err != nil {
		return header{}, err
	}
	if refused != nil {
		return header{}, fmt.Errorf("submit bitcoin block %d: %s", next.height, *refused)
	}
	return next, nil
}

// subsidy returns the reward of a block in satoshi.
func subsidy(height int64) int64 {
	return 50e8 >> (height / int64(chaincfg.RegressionNetParams.SubsidyReductionInterval))
}
