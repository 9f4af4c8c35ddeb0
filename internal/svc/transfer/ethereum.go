// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/payload"
)

// EthereumNode is what a builder asks of a node. Safe for concurrent use.
type EthereumNode interface {
	Fees(ctx context.Context) (chain.EthereumFees, error)
	EstimateGas(ctx context.Context, from, to string, value custody.Uint256, data []byte) (uint64, error)
	BalanceOf(ctx context.Context, asset custody.AssetID, address string) (custody.Uint256, error)
}

// Ethereum builds payloads of an Ethereum chain with the fee, gas and balances of the moment.
type Ethereum struct {
	Node  EthereumNode
	Level chain.Level // of the fee of a first attempt; replacements pay the high one
}

// BuildPayload builds an EIP-1559 transaction.
func (b Ethereum) BuildPayload(ctx context.Context, o Order) ([]byte, error) {
	in := payload.EthereumInput{Asked: payload.Asked{Effects: o.Effects, Bounds: o.Bounds, Decision: o.Decision, Call: o.Call}, Nonce: o.Nonce}
	fees, err := b.Node.Fees(ctx)
	if err != nil {
		return nil, err
	}
	level := b.Level
	if o.Previous != nil {
		level = chain.High
	}
	fee, ok := fees.At(level)
	if !ok {
		return nil, problem.New(problem.Internal, "fee level %q does not exist", string(level))
	}
	in.Fee = fee
	if in.Balance, err = b.Node.BalanceOf(ctx, o.Effects.Chain.Native(), o.Effects.Source); err != nil {
		return nil, err
	}
	if _, token := o.Effects.Asset.ERC20(); token {
		if in.Token, err = b.Node.BalanceOf(ctx, o.Effects.Asset, o.Effects.Source); err != nil {
			return nil, err
		}
	}
	if o.Previous != nil {
		return payload.EthereumBump(in, o.Previous)
	}
	to, value, data, err := payload.Call(in.Asked)
	if err != nil {
		return nil, err
	}
	estimate, err := b.Node.EstimateGas(ctx, o.Effects.Source, to.String(), value, data)
	if err != nil {
		return nil, err
	}
	in.Gas = payload.GasLimit(estimate)
	return payload.Ethereum(in)
}
