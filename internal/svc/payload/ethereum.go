// SPDX-License-Identifier: Apache-2.0

package payload

import (
	"math/bits"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
)

// TransferGas is what a transfer of the chain's own coin to an account without code takes, in gas (yellow paper, G_transaction).
const TransferGas = 21_000

// bumpDivisor says how much more a replacement offers at least, for both tip and maximum: an eighth. go-ethereum asks for a
// tenth, others for an eighth.
const bumpDivisor = 8

// EthereumInput is what an Ethereum transaction is built from.
type EthereumInput struct {
	Asked
	Nonce   uint64            // the least of the paying account that no permit has used; the core takes no other
	Fee     chain.EthereumFee // of the moment
	Gas     uint64            // limit; see [GasLimit]
	Balance custody.Uint256   // wei that the paying account has
	Token   custody.Uint256   // base units of the token that it has; for token transfers only
}

// GasLimit gives the limit to set for a node's estimate: a quarter more for calls, because what a contract does can change
// until the transaction is mined; the estimate itself for plain transfers, whose price is fixed.
func GasLimit(estimate uint64) uint64 {
	if estimate <= TransferGas {
		return TransferGas
	}
	return estimate + estimate/4
}

// Call gives what the transaction for asked calls: its target, the wei it sends, and its data. It is what a gas estimate needs.
func Call(asked Asked) (to eth.Address, value custody.Uint256, data []byte, err error) {
	e := asked.Effects
	if e.Operation == request.ContractCall {
		return contractCall(asked)
	}
	if e.Operation != request.Transfer || len(e.Outputs) != 1 {
		return to, value, nil, problem.New(problem.Unsupported, "only a transfer with one output becomes an Ethereum transaction")
	}
	if _, ok := e.Chain.EVM(); !ok || e.Asset.Chain() != e.Chain {
		return to, value, nil, problem.New(problem.WrongNetwork, "%s on %s is no Ethereum transfer", e.Asset, e.Chain)
	}
	payee, err := eth.ParseAddress(e.Outputs[0].Address)
	if err != nil {
		return to, value, nil, problem.New(problem.Malformed, "payee: %v", err)
	}
	contract, token := e.Asset.ERC20()
	if !token {
		return payee, e.Outputs[0].Amount, nil, nil
	}
	if to, err = eth.ParseAddress(contract); err != nil {
		return to, value, nil, problem.New(problem.Malformed, "asset: %v", err)
	}
	return to, value, eth.EncodeTransfer(payee, eth.Uint256(e.Outputs[0].Amount)), nil
}

// contractCall is Call of a contract call: what was asked for, as it is.
func contractCall(asked Asked) (to eth.Address, value custody.Uint256, data []byte, err error) {
	if asked.Call == nil {
		return to, value, nil, problem.New(problem.Internal, "the call that was asked for is not at hand")
	}
	if to, err = eth.ParseAddress(asked.Call.Contract); err != nil {
		return to, value, nil, problem.New(problem.Malformed, "contract: %v", err)
	}
	return to, asked.Call.Value, asked.Call.Data, nil
}

// Ethereum builds the unsigned transaction (EIP-1559). Where the cap does not leave room for the headroom that in.Fee has over
// the base fee, the maximum is lowered as far as the next block's base fee and the tip. Its refusals are insufficient-funds
// with what is there and needed, and outside-bounds with the fee cap that would be enough.
func Ethereum(in EthereumInput) ([]byte, error) {
	to, value, data, err := Call(in.Asked)
	if err != nil {
		return nil, err
	}
	least, ok := in.Fee.Base.Add(in.Fee.Tip)
	if !ok || in.Gas < TransferGas {
		return nil, problem.New(problem.Malformed, "fee or gas limit can't be: base fee %s, tip %s, gas %d", in.Fee.Base, in.Fee.Tip, in.Gas)
	}
	most, err := in.underGas(maxOf(in.Fee.Max, least), least, in.Gas)
	if err != nil {
		return nil, err
	}
	return in.build(eth.Tx1559{
		Nonce: in.Nonce, MaxPriorityFeePerGas: eth.Uint256(in.Fee.Tip), MaxFeePerGas: eth.Uint256(most), GasLimit: in.Gas,
		To: to, Value: eth.Uint256(value), Data: data,
	})
}

// EthereumBump builds a replacement of a payload: the same nonce, call and gas limit, and an eighth more tip and maximum at
// least, or as much as in.Fee has where that is more. Nonce and gas limit of in are not looked at.
func EthereumBump(in EthereumInput, previous []byte) ([]byte, error) {
	tx, err := eth.DecodeUnsigned(previous)
	if err != nil {
		return nil, problem.New(problem.Malformed, "earlier payload: %v", err)
	}
	to, value, data, err := Call(in.Asked)
	if err != nil {
		return nil, err
	}
	if tx.To != to || custody.Uint256(tx.Value) != value || string(tx.Data) != string(data) {
		return nil, problem.New(problem.Conflict, "the earlier payload does something else than what was approved")
	}
	tip := maxOf(raise(custody.Uint256(tx.MaxPriorityFeePerGas)), in.Fee.Tip)
	base, ok := in.Fee.Base.Add(tip)
	if !ok {
		return nil, problem.New(problem.Malformed, "fee can't be: base fee %s, tip %s", in.Fee.Base, tip)
	}
	least := maxOf(raise(custody.Uint256(tx.MaxFeePerGas)), base)
	most, err := in.underGas(maxOf(least, in.Fee.Max), least, tx.GasLimit)
	if err != nil {
		return nil, err
	}
	tx.MaxPriorityFeePerGas, tx.MaxFeePerGas = eth.Uint256(tip), eth.Uint256(most)
	return in.build(tx)
}

// underGas lowers an offer a gas so that the whole stays under the cap, but not below least.
func (in EthereumInput) underGas(offer, least custody.Uint256, gas uint64) (custody.Uint256, error) {
	if fee, ok := offer.Mul64(gas); ok && fee.Cmp(in.FeeCap()) <= 0 {
		return offer, nil
	}
	need, ok := least.Mul64(gas)
	if !ok {
		return offer, problem.New(problem.Malformed, "a fee of %s wei a gas for %d gas can't be", least, gas)
	}
	if err := in.underCap(need); err != nil {
		return offer, err
	}
	return div64(in.FeeCap(), gas), nil
}

// build checks funds and encodes.
func (in EthereumInput) build(tx eth.Tx1559) ([]byte, error) {
	tx.ChainID, _ = in.Effects.Chain.EVM() // Call has looked
	fee, err := tx.MaxFee()
	if err != nil {
		return nil, problem.New(problem.Malformed, "fee: %v", err)
	}
	need, ok := custody.Uint256(fee).Add(custody.Uint256(tx.Value))
	if !ok {
		return nil, problem.New(problem.Malformed, "amount and fee do not fit in 256 bits")
	}
	if _, token := in.Effects.Asset.ERC20(); token && in.Token.Cmp(in.Effects.Total) < 0 {
		return nil, insufficient(in.Effects.Asset, in.Token, in.Effects.Total, "the amount")
	}
	if in.Balance.Cmp(need) < 0 {
		return nil, insufficient(in.Effects.Chain.Native(), in.Balance, need, "the amount, if it is in this coin, and the highest fee")
	}
	b, err := tx.Encode()
	if err != nil {
		return nil, problem.New(problem.Malformed, "%v", err)
	}
	return b, nil
}

// raise gives an eighth more, and at least 1 more. What would not fit stays as it is: no such fee can be paid, and where it is
// multiplied with the gas limit it is refused.
func raise(v custody.Uint256) custody.Uint256 {
	eighth, _ := div64(v, bumpDivisor).Add(custody.U64(1)) // can't overflow
	if up, ok := v.Add(eighth); ok {
		return up
	}
	return v
}

func maxOf(a, b custody.Uint256) custody.Uint256 {
	if a.Cmp(b) >= 0 {
		return a
	}
	return b
}

// div64 gives the whole part of v/d; d is not 0.
func div64(v custody.Uint256, d uint64) (q custody.Uint256) {
	var rest uint64
	for i := 0; i < len(v); i += 8 {
		var limb uint64
		for _, b := range v[i : i+8] {
			limb = limb<<8 | uint64(b)
		}
		limb, rest = bits.Div64(rest, limb, d)
		for j := range 8 {
			q[i+7-j] = byte(limb >> (8 * j))
		}
	}
	return q
}
