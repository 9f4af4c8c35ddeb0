// SPDX-License-Identifier: Apache-2.0

// Package wallettest has the conformance suite of wallet.Store, a store in memory that passes it, and a chain that tests make
// block by block.
package wallettest

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/wallet"
)

// Memory is a store that forgets with its process. The naive model of the real ones.
type Memory struct {
	mu      sync.Mutex
	blocks  map[custody.ChainID][]chain.Block
	coins   map[custody.ChainID]map[btc.OutPoint]*record
	watched map[custody.WalletID]bool
}

type record struct {
	coin    wallet.Coin
	spentBy btc.TxID
	spentAt uint64 // 0: unspent
}

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		blocks: map[custody.ChainID][]chain.Block{}, coins: map[custody.ChainID]map[btc.OutPoint]*record{},
		watched: map[custody.WalletID]bool{},
	}
}

// Blocks gives the last scanned blocks.
func (m *Memory) Blocks(_ context.Context, c custody.ChainID) ([]chain.Block, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.blocks[c]), nil
}

// Apply records a block.
func (m *Memory) Apply(_ context.Context, c custody.ChainID, s wallet.Scanned) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	coins := m.coins[c]
	if coins == nil {
		coins = map[btc.OutPoint]*record{}
		m.coins[c] = coins
	}
	height := s.Block.Height
	for o, r := range coins {
		if r.coin.Height >= height {
			delete(coins, o)
		} else if r.spentAt >= height {
			r.spentAt, r.spentBy = 0, btc.TxID{}
		}
	}
	for _, made := range s.Made {
		coins[made.OutPoint] = &record{coin: made}
	}
	for _, spent := range s.Spent {
		if r, ok := coins[spent.Coin]; ok {
			r.spentAt, r.spentBy = height, spent.By
		}
	}
	kept := slices.DeleteFunc(m.blocks[c], func(b chain.Block) bool { return b.Height >= height })
	if n := len(kept); n > 0 && kept[n-1].Height != height-1 {
		kept = nil
	}
	kept = append(kept, s.Block)
	m.blocks[c] = slices.Clone(kept[max(0, len(kept)-wallet.KeepBlocks):])
	for _, w := range s.Watched {
		m.watched[w] = true
	}
	return nil
}

// Coins gives the unspent coins of a wallet.
func (m *Memory) Coins(_ context.Context, w custody.WalletID) ([]wallet.Coin, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []wallet.Coin
	for _, coins := range m.coins {
		for _, r := range coins {
			if r.coin.Wallet == w && r.spentAt == 0 {
				out = append(out, r.coin)
			}
		}
	}
	slices.SortFunc(out, func(a, b wallet.Coin) int {
		return cmp.Or(cmp.Compare(a.Height, b.Height), bytes.Compare(a.OutPoint.TxID[:], b.OutPoint.TxID[:]),
			cmp.Compare(a.OutPoint.Index, b.OutPoint.Index))
	})
	return out, nil
}

// Watched says whether a wallet is known.
func (m *Memory) Watched(_ context.Context, w custody.WalletID) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.watched[w], nil
}
