// SPDX-License-Identifier: Apache-2.0

package ethnode

import (
	"context"
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/core/types"
)

// Reorg replaces the newest depth blocks with depth+1 empty ones. The
// transactions of the replaced blocks, and those that waited, go back to the
// pool and wait for the next block; with drop they are forgotten, as when no
// miner ever saw them. It returns how many wait now. A transaction handed in
// while the re-org runs may get into the new branch, and then those it
// conflicts with do not come back; that is an error.
//
// Readers see the head fall to the fork point for a moment: go-ethereum has
// no way to grow a side chain in the dark.
func (n *Node) Reorg(ctx context.Context, depth int, drop bool) (int, error) {
	if depth < 1 || depth > MaxReorg {
		return 0, fmt.Errorf("reorg %d ethereum blocks: choose between 1 and %d", depth, MaxReorg)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return 0, errors.New("reorg ethereum: the node is closed")
	}
	height, _ := n.Height()
	if uint64(depth) > height {
		return 0, fmt.Errorf("reorg %d ethereum blocks: the chain has only %d", depth, height)
	}
	fork := height - uint64(depth)
	parent := n.eth.BlockChain().GetBlockByNumber(fork)
	lost, err := n.above(fork)
	if err != nil {
		return 0, err
	}
	if err := n.emptyPool(); err != nil {
		return 0, err
	}
	if _, err := n.eth.BlockChain().SetCanonical(parent); err != nil {
		return 0, fmt.Errorf("reorg ethereum to block %d: %w", fork, err)
	}
	if err := n.emptyPool(); err != nil { // the pool took the replaced transactions back by itself
		return 0, err
	}
	if err := n.mine(context.WithoutCancel(ctx), depth+1); err != nil { // half a reorg would lose transactions
		return 0, err
	}
	if drop {
		return 0, nil
	}
	var errs []error
	pool := n.eth.TxPool()
	for _, tx := range lost {
		if err := pool.Add([]*types.Transaction{tx}, true)[0]; err != nil && pool.Get(tx.Hash()) == nil {
			errs = append(errs, fmt.Errorf("put transaction %s back into the pool: %w", tx.Hash(), err))
		}
	}
	return len(lost) - len(errs), errors.Join(errs...)
}

// above returns the transactions of all blocks above a height, oldest first,
// and after them those in the pool, each sender's in the order of nonces.
func (n *Node) above(height uint64) ([]*types.Transaction, error) {
	pool, chain := n.eth.TxPool(), n.eth.BlockChain()
	if err := pool.Sync(); err != nil {
		return nil, fmt.Errorf("read the ethereum pool: %w", err)
	}
	var txs []*types.Transaction
	for h := height + 1; h <= chain.CurrentBlock().Number.Uint64(); h++ {
		txs = append(txs, chain.GetBlockByNumber(h).Transactions()...)
	}
	pending, queued := pool.Content()
	for _, list := range pending {
		txs = append(txs, list...)
	}
	for _, list := range queued {
		txs = append(txs, list...)
	}
	return txs, nil
}

// emptyPool waits until the pool has caught up with the head and clears it. One
// Sync can return while the news of the newest head is still on its way; the
// second one, in Clear, waits for what that news set off.
func (n *Node) emptyPool() error {
	if err := n.eth.TxPool().Sync(); err != nil {
		return fmt.Errorf("empty the ethereum pool: %w", err)
	}
	n.eth.TxPool().Clear()
	return nil
}
