// SPDX-License-Identifier: Apache-2.0

package geth

import (
	"context"
	"math/big"
	"slices"

	"github.com/ethereum/go-ethereum/common/hexutil"

	"strongroom/internal/svc/chain"
)

// feeBlocks is how many blocks back tips are looked at: four minutes on Ethereum.
const feeBlocks = 20

// minTip is the least tip that is offered, in wei a gas: what go-ethereum's miners ask by default.
const minTip = 1_000_000

// levels says how the three offers are made: which percentile of the tips in recent blocks, that share of the node's own
// suggestion at least, and how much base fee the offer can live through. EIP-1559 lets the base fee grow by an eighth a
// block, so that 3/2 lasts three full blocks, 2 five and 3 nine.
var levels = []struct {
	percentile   float64
	tipNum       int64 // times the node's suggestion, in quarters
	headroomHalf int64 // times the base fee, in halves
}{
	{10, 2, 3},
	{50, 4, 4},
	{90, 6, 6},
}

// Fees gives offers for slow, usual and quick inclusion, from what recent blocks took and the node suggests. Max is never
// below Tip plus the next block's base fee.
func (c *Client) Fees(ctx context.Context) (chain.EthereumFees, error) {
	const act = "fees"
	percentiles := make([]float64, len(levels))
	for i, l := range levels {
		percentiles[i] = l.percentile
	}
	var history struct {
		BaseFee []*hexutil.Big   `json:"baseFeePerGas"`
		Reward  [][]*hexutil.Big `json:"reward"`
		Used    []float64        `json:"gasUsedRatio"`
	}
	if err := c.call(ctx, act, &history, "eth_feeHistory", hexutil.Uint64(feeBlocks), "latest", percentiles); err != nil {
		return chain.EthereumFees{}, err
	}
	var suggested hexutil.Big
	if err := c.call(ctx, act, &suggested, "eth_maxPriorityFeePerGas"); err != nil && chain.ReasonOf(err) != chain.Unsupported {
		return chain.EthereumFees{}, err
	}
	if len(history.BaseFee) == 0 || history.BaseFee[len(history.BaseFee)-1] == nil {
		return chain.EthereumFees{}, c.refuse(chain.Unsupported, act, "it gives no base fee; the chain does not have EIP-1559")
	}
	base := (*big.Int)(history.BaseFee[len(history.BaseFee)-1])
	out := make([]chain.EthereumFee, len(levels))
	for i, l := range levels {
		tip := big.NewInt(minTip)
		atLeast(tip, quot(new(big.Int).Mul((*big.Int)(&suggested), big.NewInt(l.tipNum)), 4))
		atLeast(tip, median(history.Reward, history.Used, i))
		most := new(big.Int).Add(quot(new(big.Int).Mul(base, big.NewInt(l.headroomHalf)), 2), tip)
		var err error
		if out[i].Base, err = c.uint256(act, base); err != nil {
			return chain.EthereumFees{}, err
		}
		if out[i].Tip, err = c.uint256(act, tip); err != nil {
			return chain.EthereumFees{}, err
		}
		if out[i].Max, err = c.uint256(act, most); err != nil {
			return chain.EthereumFees{}, err
		}
	}
	return chain.EthereumFees{Low: out[0], Medium: out[1], High: out[2]}, nil
}

// median gives the middle of one percentile's tips over the blocks that held anything: empty blocks say 0, which means
// nothing.
func median(reward [][]*hexutil.Big, used []float64, percentile int) *big.Int {
	var tips []*big.Int
	for i, r := range reward {
		if i < len(used) && used[i] > 0 && percentile < len(r) && r[percentile] != nil {
			tips = append(tips, (*big.Int)(r[percentile]))
		}
	}
	if len(tips) == 0 {
		return new(big.Int)
	}
	slices.SortFunc(tips, (*big.Int).Cmp)
	return tips[len(tips)/2]
}

func atLeast(n, least *big.Int) {
	if n.Cmp(least) < 0 {
		n.Set(least)
	}
}

func quot(n *big.Int, d int64) *big.Int { return n.Quo(n, big.NewInt(d)) }
