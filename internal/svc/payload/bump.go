// SPDX-License-Identifier: Apache-2.0

package payload

import (
	"slices"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/svc/chain"
)

// BitcoinBump builds a replacement of a payload (BIP-125): the same inputs in the same order, the same outputs, and less
// change, or none, for more fee. It pays in.Rate, and at least as much more than before as nodes ask of a replacement. Funds'
// coins and NextChange are not looked at.
//
// Before, ask [wallet.HasChild]: a transaction whose change is spent already must not be replaced. Refusals beside those of
// [Bitcoin]: conflict, where the earlier payload does something else than what was approved.
func BitcoinBump(in BitcoinInput, previous []byte) ([]byte, error) {
	p, err := btc.DecodePSBT(previous)
	if err != nil {
		return nil, problem.New(problem.Malformed, "earlier payload: %v", err)
	}
	outs, err := in.outputs()
	if err != nil {
		return nil, err
	}
	n := len(outs)
	if len(p.Tx.Outputs) < n || len(p.Tx.Outputs) > n+1 || !slices.EqualFunc(p.Tx.Outputs[:n], outs, btc.TxOut.Equal) {
		return nil, problem.New(problem.Conflict, "the earlier payload does something else than what was approved")
	}
	before, err := p.Tx.Fee(p.Prevouts())
	if err != nil {
		return nil, problem.New(problem.Malformed, "earlier payload: %v", err)
	}
	have := before // what may become fee
	if len(p.Tx.Outputs) > n {
		have += p.Tx.Outputs[n].Value
		fee, err := in.bumpFee(p, before)
		if err != nil {
			return nil, err
		}
		if least := p.Tx.Outputs[n].Script.DustLimit(); have >= fee && have-fee >= least {
			p.Tx.Outputs = append(slices.Clone(outs), btc.TxOut{Value: have - fee, Script: p.Tx.Outputs[n].Script})
			return in.finish(p, fee)
		}
		p.Tx.Outputs, p.Outputs = outs, p.Outputs[:n]
	}
	need, err := in.bumpFee(p, before)
	if err != nil {
		return nil, err
	}
	if have < need {
		return nil, insufficient(in.Effects.Asset, custody.U64(uint64(have)), custody.U64(uint64(need)),
			"a replacement keeps its inputs, and this is all that they leave for the fee")
	}
	return in.finish(p, have)
}

// bumpFee gives the fee that a replacement of p's size has to pay.
func (in BitcoinInput) bumpFee(p btc.PSBT, before btc.Sat) (btc.Sat, error) {
	size, err := p.Tx.MaxSignedVSize(p.Prevouts())
	if err != nil {
		return 0, tooLarge(err)
	}
	more := max(chain.MinFeeRate.Fee(size), before/raiseDivisor+1) // BIP-125 rule 4, and see raiseDivisor
	return max(in.Rate.Clamp().Fee(size), before+more), nil
}

// finish checks the cap and encodes.
func (in BitcoinInput) finish(p btc.PSBT, fee btc.Sat) ([]byte, error) {
	if err := in.underCap(custody.U64(uint64(fee))); err != nil {
		return nil, err
	}
	b, err := p.Encode()
	if err != nil {
		return nil, tooLarge(err)
	}
	return b, nil
}
