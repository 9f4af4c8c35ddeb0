// SPDX-License-Identifier: Apache-2.0

package payload

import (
	"cmp"
	"slices"

	"strongroom/internal/pure/btc"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/wallet"
)

// maxTries bounds the search for inputs that need no change.
const maxTries = 100_000

// manyInputs is the number of inputs from which their count takes three bytes instead of one.
const manyInputs = 253

// sizing says what a transaction weighs and costs. All inputs of a wallet are of one kind, so that only their number counts.
type sizing struct {
	rate   chain.FeeRate
	outs   btc.Sat // paid to others
	bare   int     // weight without inputs and change
	change int     // weight that change adds
	input  int     // weight that an input adds
	least  btc.Sat // least change that is made: what nodes relay, and what is worth spending
}

func newSizing(rate chain.FeeRate, outs []btc.TxOut, change btc.Script) (s sizing, err error) {
	s.rate = rate
	for _, o := range outs {
		s.outs += o.Value // the sum was checked
	}
	if s.bare, err = (btc.UnsignedTx{Outputs: outs}).MaxSignedWeight(nil); err != nil {
		return s, err
	}
	with, err := (btc.UnsignedTx{Outputs: append(slices.Clip(outs), btc.TxOut{Script: change})}).MaxSignedWeight(nil)
	if err != nil {
		return s, err
	}
	s.change = with - s.bare
	if s.input, err = btc.InputWeight(change.Kind()); err != nil {
		return s, err
	}
	s.least = max(change.DustLimit(), s.later())
	return s, nil
}

// later is what it costs to spend the change one day, at today's rate.
func (s sizing) later() btc.Sat { return s.rate.Fee(btc.VSize(s.input)) }

// weight gives the weight with n inputs.
func (s sizing) weight(n int, change bool) int {
	w := s.bare + n*s.input
	if n >= manyInputs {
		w += 2 * 4
	}
	if change {
		w += s.change
	}
	return w
}

// fee gives what n inputs cost.
func (s sizing) fee(n int, change bool) btc.Sat { return s.rate.Fee(btc.VSize(s.weight(n, change))) }

// pick is a choice of inputs.
type pick struct {
	coins  []wallet.Fund
	change btc.Sat // 0 for none
	fee    btc.Sat
}

// settle says what becomes of what the coins have left over: change, or a higher fee where change would be too small. It
// gives false if the coins are too few.
func (s sizing) settle(coins []wallet.Fund) (pick, bool) {
	sum := sumOf(coins)
	p := pick{coins: coins}
	if with := s.outs + s.fee(len(coins), true); sum >= with && sum-with >= s.least {
		p.change, p.fee = sum-with, with-s.outs
		return p, true
	}
	if sum < s.outs+s.fee(len(coins), false) {
		return p, false
	}
	p.fee = sum - s.outs
	return p, true
}

// cost is what picks are compared by: the fee, and what the change will cost.
func (s sizing) cost(p pick) btc.Sat {
	if p.change > 0 {
		return p.fee + s.later()
	}
	return p.fee
}

// choose gives the cheapest of three choices: inputs that need no change, the smallest single coin that is enough, and the
// largest coins first. Ties go to the earlier, which leaves large coins whole. It gives false if the coins are too few.
func (s sizing) choose(coins []wallet.Fund) (best pick, ok bool) {
	coins = slices.Clone(coins)
	slices.SortFunc(coins, func(a, b wallet.Fund) int {
		return cmp.Or(cmp.Compare(b.Output.Value, a.Output.Value), compareOutPoints(a.OutPoint, b.OutPoint))
	})
	consider := func(chosen []wallet.Fund) bool {
		p, enough := s.settle(chosen)
		if enough && (!ok || s.cost(p) < s.cost(best)) {
			best, ok = p, true
		}
		return enough
	}
	if exact := s.branchAndBound(coins); exact != nil {
		consider(exact)
	}
	for _, c := range slices.Backward(coins) {
		if consider([]wallet.Fund{c}) {
			break
		}
	}
	var sum btc.Sat
	for n, c := range coins {
		if sum += c.Output.Value; sum >= s.outs+s.fee(n+1, false) {
			consider(slices.Clone(coins[:n+1]))
			break
		}
	}
	return best, ok
}

// branchAndBound looks for coins whose sum leaves so little over that change would cost more (the idea is that of Bitcoin
// Core's algorithm of this name). It counts in 1/4000 satoshi, so that every weight unit has a whole price; all sums stay
// below 2⁶³, since all bitcoin are fewer than 2.1·10¹⁵ satoshi. The coins are sorted, largest first. It gives nil if there is
// no such choice, or none within maxTries steps.
func (s sizing) branchAndBound(coins []wallet.Fund) []wallet.Fund {
	const unit = 4000
	price := int64(s.rate) * int64(s.input)
	var values []int64 // what each coin brings after its own fee
	var left int64     // sum of those not decided on
	for _, c := range coins {
		v := int64(c.Output.Value)*unit - price
		if v <= 0 {
			break // costs more than it brings, and so do the smaller ones
		}
		values = append(values, v)
		left += v
	}
	target := int64(s.outs)*unit + int64(s.rate)*int64(s.bare+3) // 3: the size is rounded up to whole virtual bytes
	window := int64(s.rate) * int64(s.change+s.input)
	var (
		in   []int // positions that are chosen now
		best []int
		sum  int64
		rest = window + 1 // what the best one leaves over
	)
	for i, tries := 0, 0; tries < maxTries; tries++ {
		switch {
		case sum >= target && sum-target < rest:
			best, rest = slices.Clone(in), sum-target
			if rest == 0 {
				return at(coins, best)
			}
			fallthrough
		case sum >= target, sum+left < target, i == len(values):
			// Go back: give the last chosen coin up and go on without it.
			if len(in) == 0 {
				return at(coins, best)
			}
			last := in[len(in)-1]
			for i > last+1 {
				i--
				left += values[i]
			}
			in = in[:len(in)-1]
			sum -= values[last]
		default:
			left -= values[i]
			// A coin equal to one that was just left out leads to the same sums.
			if i == 0 || values[i] != values[i-1] || (len(in) > 0 && in[len(in)-1] == i-1) {
				in = append(in, i)
				sum += values[i]
			}
			i++
		}
	}
	return at(coins, best)
}

// at gives the coins at some positions, or nil for none.
func at(coins []wallet.Fund, positions []int) []wallet.Fund {
	var out []wallet.Fund
	for _, i := range positions {
		out = append(out, coins[i])
	}
	return out
}

func sumOf(coins []wallet.Fund) btc.Sat {
	var sum btc.Sat
	for _, c := range coins {
		sum += c.Output.Value
	}
	return sum
}

// compareOutPoints orders as BIP-69 does: by txid as people write it, then index.
func compareOutPoints(a, b btc.OutPoint) int {
	return cmp.Or(cmp.Compare(a.TxID.String(), b.TxID.String()), cmp.Compare(a.Index, b.Index))
}
