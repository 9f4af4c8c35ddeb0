// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/payload"
	"strongroom/internal/svc/wallet"
)

// Coins gives the coins of a wallet; [wallet.Scanner] does. Safe for concurrent use.
type Coins interface {
	Funds(ctx context.Context, id custody.WalletID, attempts wallet.Attempts, r wallet.Rules) (wallet.Funds, error)
}

// BitcoinFees gives fee rates of the moment. Safe for concurrent use.
type BitcoinFees interface {
	BitcoinFees(ctx context.Context) (chain.BitcoinFees, error)
}

// Bitcoin builds payloads of a Bitcoin chain from the coins of the moment.
type Bitcoin struct {
	Core     gate.Door
	Coins    Coins
	Attempts wallet.Attempts // what reserves coins: the store of the worker
	Fees     BitcoinFees
	Rules    wallet.Rules
	Level    chain.Level // of the fee of a first attempt; replacements pay the high one
	Derive   authority.Deriver
}

// BuildPayload builds a PSBT.
func (b Bitcoin) BuildPayload(ctx context.Context, o Order) ([]byte, error) {
	fees, err := b.Fees.BitcoinFees(ctx)
	if err != nil {
		return nil, err
	}
	level := b.Level
	if o.Previous != nil {
		level = chain.High
	}
	rate, ok := fees.At(level)
	if !ok {
		return nil, problem.New(problem.Internal, "fee level %q does not exist", string(level))
	}
	w, err := gate.Call[message.WalletID, message.Wallet](ctx, b.Core, message.MethodWallet, message.WalletID{ID: o.Effects.Wallet})
	if err != nil {
		return nil, err
	}
	in := payload.BitcoinInput{Asked: payload.Asked{Effects: o.Effects, Bounds: o.Bounds, Decision: o.Decision}, Rate: rate, NextChange: w.NextChange,
		Derive: b.Derive}
	if in.Funds, err = b.Coins.Funds(ctx, o.Effects.Wallet, b.Attempts, b.Rules); err != nil {
		return nil, err
	}
	if o.Previous == nil {
		return payload.Bitcoin(in)
	}
	return b.bump(ctx, in, o)
}

// bump builds a replacement, unless a later transaction of ours spends from the one to replace.
func (b Bitcoin) bump(ctx context.Context, in payload.BitcoinInput, o Order) ([]byte, error) {
	p, err := btc.DecodePSBT(o.Previous)
	if err != nil {
		return nil, problem.New(problem.Malformed, "earlier payload: %v", err)
	}
	live, err := b.Attempts.Attempts(ctx, o.Effects.Wallet)
	if err != nil {
		return nil, err
	}
	child, err := wallet.HasChild(live, p.Tx.TxID())
	if err != nil {
		return nil, err
	}
	if child {
		return nil, problem.New(problem.Conflict, "another transaction of wallet %q spends its change; raise that one's fee", o.Effects.Wallet)
	}
	return payload.BitcoinBump(in, o.Previous)
}
