// SPDX-License-Identifier: Apache-2.0

package wallettest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"

	"strongroom/internal/pure/btc"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/wallet"
)

var _ wallet.Source = (*Blocks)(nil)

// Blocks is a chain that a test makes: a [wallet.Source]. Its first block has height 0. Safe for concurrent use.
type Blocks struct {
	mu     sync.Mutex
	blocks []chain.BitcoinBlock
	count  int
	fail   func(call string, height uint64) error
}

// NewBlocks makes a chain with one block.
func NewBlocks() *Blocks {
	b := &Blocks{}
	b.Add()
	return b
}

// Add appends a block with some transactions.
func (b *Blocks) Add(txs ...chain.BitcoinTx) chain.Block {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	sum := sha256.Sum256(fmt.Append(nil, "block ", b.count))
	n := chain.BitcoinBlock{Block: chain.Block{Height: uint64(len(b.blocks)), Hash: chain.BlockHash(fmt.Sprintf("%x", sum))}, Txs: txs}
	if len(b.blocks) > 0 {
		n.Prev = b.blocks[len(b.blocks)-1].Hash
	}
	b.blocks = append(b.blocks, n)
	return n.Block
}

// Drop removes the newest blocks.
func (b *Blocks) Drop(count int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocks = b.blocks[:len(b.blocks)-count]
}

// FailWith makes each call ask f first; its error is the answer. nil ends that.
func (b *Blocks) FailWith(f func(call string, height uint64) error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fail = f
}

// Head gives the newest block.
func (b *Blocks) Head(context.Context) (chain.Head, error) {
	n, err := b.at("head", ^uint64(0))
	return chain.Head{Block: n.Block}, err
}

// Block gives a block.
func (b *Blocks) Block(_ context.Context, height uint64) (chain.BitcoinBlock, error) {
	return b.at("block", height)
}

// BlockHash gives the hash of a block.
func (b *Blocks) BlockHash(_ context.Context, height uint64) (chain.BlockHash, error) {
	n, err := b.at("hash", height)
	return n.Hash, err
}

func (b *Blocks) at(call string, height uint64) (chain.BitcoinBlock, error) {
	b.mu.Lock()
	fail := b.fail
	b.mu.Unlock()
	if fail != nil {
		if err := fail(call, height); err != nil {
			return chain.BitcoinBlock{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if call == "head" {
		height = uint64(len(b.blocks) - 1)
	}
	if height >= uint64(len(b.blocks)) {
		return chain.BitcoinBlock{}, &chain.Refusal{Reason: chain.NotFound, Node: "test", Act: call, Text: "there is no such block"}
	}
	return b.blocks[height], nil
}

// Pay makes a transaction that pays outputs and spends inputs; n makes it differ from others.
func Pay(n int, outs []btc.TxOut, ins ...btc.OutPoint) chain.BitcoinTx {
	return chain.BitcoinTx{
		ID: btc.TxID(sha256.Sum256(fmt.Append(nil, "tx ", n))), Inputs: ins, Outputs: outs, Stripped: fmt.Append(nil, "tx ", n),
	}
}
