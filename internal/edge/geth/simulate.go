// SPDX-License-Identifier: Apache-2.0

package geth

import (
	"context"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"

	"strongroom/internal/pure/custody"
	"strongroom/internal/svc/chain"
)

// maxLogs is how many events of one transaction are looked at.
const maxLogs = 10_000

// simulatedBlock is what is read of a block of eth_simulateV1 (Ethereum execution APIs).
type simulatedBlock struct {
	Number hexutil.Uint64 `json:"number"`
	Parent common.Hash    `json:"parentHash"`
	Calls  []struct {
		Status *hexutil.Uint64 `json:"status"`
		Logs   []struct {
			Address common.Address `json:"address"`
			Topics  []common.Hash  `json:"topics"`
			Data    hexutil.Bytes  `json:"data"`
		} `json:"logs"`
	} `json:"calls"`
}

// Simulate asks what a transaction would do after the newest block, without fee, nonce and signature. A node that has no eth_simulateV1 is a
// [chain.Unsupported] refusal; one that does not carry the transaction out at all, for instance for want of funds, another of them.
func (c *Client) Simulate(ctx context.Context, from, to string, value custody.Uint256, data []byte) (chain.Trace, error) {
	const act = "simulate"
	f, err := account(from)
	if err != nil {
		return chain.Trace{}, err
	}
	t, err := account(to)
	if err != nil {
		return chain.Trace{}, err
	}
	tx := map[string]any{"from": f, "to": t, "value": (*hexutil.Big)(new(big.Int).SetBytes(value[:])), "input": hexutil.Bytes(data)}
	ask := map[string]any{"blockStateCalls": []any{map[string]any{"calls": []any{tx}}}, "traceTransfers": true, "validation": false}
	var blocks []simulatedBlock
	if err := c.call(ctx, act, &blocks, "eth_simulateV1", ask, "latest"); err != nil {
		return chain.Trace{}, err
	}
	if len(blocks) != 1 || len(blocks[0].Calls) != 1 || blocks[0].Number == 0 || blocks[0].Calls[0].Status == nil {
		return chain.Trace{}, c.refuse(chain.Contradiction, act, "the answer is not about one block with one transaction")
	}
	b, done := blocks[0], blocks[0].Calls[0]
	out := chain.Trace{After: chain.Block{Height: uint64(b.Number) - 1, Hash: chain.BlockHash(b.Parent.Hex())}}
	switch status := uint64(*done.Status); {
	case status > 1 || status == 0 && len(done.Logs) > 0:
		return chain.Trace{}, c.refuse(chain.Contradiction, act, "status %d with %d events", status, len(done.Logs))
	case status == 0:
		out.Reverted = true
		return out, nil
	case len(done.Logs) > maxLogs:
		return chain.Trace{}, c.refuse(chain.Contradiction, act, "%d events, more than %d", len(done.Logs), maxLogs)
	}
	for _, l := range done.Logs {
		if len(l.Topics) > 4 {
			return chain.Trace{}, c.refuse(chain.Contradiction, act, "an event with %d topics", len(l.Topics))
		}
		x := chain.Log{Address: l.Address, Data: l.Data}
		for _, t := range l.Topics {
			x.Topics = append(x.Topics, t)
		}
		out.Logs = append(out.Logs, x)
	}
	return out, nil
}
