// SPDX-License-Identifier: Apache-2.0

package btcd

import (
	"context"
	"errors"
	"fmt"
	"math"

	"strongroom/internal/svc/chain"
)

// FeeSource gives fee rates. Where a node has no usable estimate, as btcd has none after a start and never on regtest, an
// operator's own source or [Fixed] rates stand in. Safe for concurrent use.
type FeeSource interface {
	BitcoinFees(ctx context.Context) (chain.BitcoinFees, error)
}

// Fixed is a source that always says the same: rates that the operator chose.
type Fixed chain.BitcoinFees

// BitcoinFees gives the rates.
func (f Fixed) BitcoinFees(context.Context) (chain.BitcoinFees, error) {
	return chain.BitcoinFees(f), nil
}

// Check requires rates that nodes relay and that do not fall from low to high.
func (f Fixed) Check() error {
	for _, r := range []chain.FeeRate{f.Low, f.Medium, f.High} {
		if r != r.Clamp() {
			return fmt.Errorf("fee rate %d is not within %d and %d satoshi a thousand virtual bytes", r, chain.MinFeeRate, chain.MaxFeeRate)
		}
	}
	if f.Low > f.Medium || f.Medium > f.High {
		return errors.New("fee rates must not fall from low to high")
	}
	return nil
}

// Estimate is a source that asks a node and falls back to rates of the operator's, level by level, where the node has no
// estimate. That the node does not answer at all is an error, not a reason to fall back.
type Estimate struct {
	node     *Client
	fallback Fixed
}

// NewEstimate makes the source.
func NewEstimate(node *Client, fallback Fixed) (*Estimate, error) {
	if node == nil {
		return nil, errors.New("fee estimate: a node is needed")
	}
	if err := fallback.Check(); err != nil {
		return nil, fmt.Errorf("fee estimate: fallback: %w", err)
	}
	return &Estimate{node: node, fallback: fallback}, nil
}

// BitcoinFees asks for confirmation within a day, within an hour and in the next blocks.
func (e *Estimate) BitcoinFees(ctx context.Context) (chain.BitcoinFees, error) {
	var out chain.BitcoinFees
	for _, l := range []struct {
		blocks   int
		rate     *chain.FeeRate
		fallback chain.FeeRate
	}{{144, &out.Low, e.fallback.Low}, {6, &out.Medium, e.fallback.Medium}, {2, &out.High, e.fallback.High}} {
		rate, ok, err := e.node.estimate(ctx, l.blocks)
		if err != nil {
			return chain.BitcoinFees{}, err
		}
		if *l.rate = l.fallback; ok {
			*l.rate = rate.Clamp()
		}
	}
	out.Medium = max(out.Medium, out.Low)
	out.High = max(out.High, out.Medium)
	return out, nil
}

// estimate asks for a rate by estimatesmartfee (bitcoind) or estimatefee (btcd). A node that knows neither, or says that it
// does not know, gives false.
func (c *Client) estimate(ctx context.Context, blocks int) (chain.FeeRate, bool, error) {
	const act = "fee estimate"
	var smart struct {
		FeeRate float64 `json:"feerate"` // bitcoin a thousand virtual bytes; absent where there is no estimate
	}
	err := c.call(ctx, act, &smart, "estimatesmartfee", blocks)
	if err == nil {
		rate, ok := perThousand(smart.FeeRate)
		return rate, ok, nil
	}
	if r := chain.ReasonOf(err); r != chain.Unsupported && r != chain.Invalid {
		return 0, false, err
	}
	var plain float64 // the same unit, -1 where there is no estimate
	if err = c.call(ctx, act, &plain, "estimatefee", min(blocks, maxPlainEstimate)); err != nil {
		if r := chain.ReasonOf(err); r == chain.Unsupported || r == chain.Invalid {
			return 0, false, nil
		}
		return 0, false, err
	}
	rate, ok := perThousand(plain)
	return rate, ok, nil
}

// maxPlainEstimate is how many blocks ahead btcd's estimatefee looks.
const maxPlainEstimate = 25

// perThousand turns bitcoin a thousand virtual bytes into satoshi. A node's number is a float on the wire and nothing is
// computed with it before it is a whole number.
func perThousand(bitcoin float64) (chain.FeeRate, bool) {
	sat := math.Ceil(bitcoin * 1e8)
	if math.IsNaN(sat) || sat < 1 || sat > float64(chain.MaxFeeRate)*1e3 {
		return 0, false
	}
	return chain.FeeRate(sat), true
}
