// SPDX-License-Identifier: Apache-2.0

package wallet

import (
	"context"
	"fmt"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// Balances gives the base units of an asset that an address has in the newest block. Safe for concurrent use.
type Balances interface {
	BalanceOf(ctx context.Context, asset custody.AssetID, address string) (custody.Uint256, error)
}

// Account is what one address of an Ethereum wallet has.
type Account struct {
	Index   uint32
	Address string // EIP-55
	Amounts []Holding
}

// Holding is an amount of an asset, in base units.
type Holding struct {
	Asset  custody.AssetID
	Amount custody.Uint256
}

// Accounts asks for the balances of addresses from, from+1, … of an Ethereum wallet, count of them, in each of the assets.
func Accounts(ctx context.Context, node Balances, derive authority.Deriver, w entry.Wallet, from, count uint32, assets []custody.AssetID) ([]Account, error) {
	if w.Scheme != request.SchemeEVM {
		return nil, fmt.Errorf("wallet %s has scheme %q; accounts are of Ethereum", w.ID, w.Scheme)
	}
	for _, a := range assets {
		if err := a.Check(); err != nil {
			return nil, err
		}
		if a.Chain() != w.Chain {
			return nil, fmt.Errorf("wallet %s is on %s; asset %s is not", w.ID, w.Chain, a)
		}
	}
	out := make([]Account, 0, count)
	for i := range count {
		d, err := derive(w, entry.KeyPath{Index: from + i})
		if err != nil {
			return nil, err
		}
		acc := Account{Index: from + i, Address: d.Address}
		for _, a := range assets {
			amount, err := node.BalanceOf(ctx, a, d.Address)
			if err != nil {
				return nil, err
			}
			acc.Amounts = append(acc.Amounts, Holding{a, amount})
		}
		out = append(out, acc)
	}
	return out, nil
}
