// SPDX-License-Identifier: Apache-2.0

// Package payload builds the bytes that the core is asked to sign: an unsigned EIP-1559 transaction, or a PSBT (BIP-174,
// version 0) with everything that the core checks. It builds exactly what was approved, at the fee of the moment, and it
// builds deterministically: the same input gives the same bytes.
//
// It decides nothing. The core decodes the bytes, compares them with the approval and refuses what differs; this package
// refuses earlier, with numbers, what the core would refuse: a fee above the cap, outputs that no node relays, wallets that
// have too little.
package payload

import (
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Asked is what was approved, as the core tells it (gate/message.Request).
type Asked struct {
	Effects  request.Effects
	Bounds   request.Bounds
	Decision policy.Decision // a route may cap the fee lower than the request does

	Call *request.ContractCallBody // of a contract call
}

// FeeCap gives the most that may be paid as fee, in base units of the chain's own coin.
func (a Asked) FeeCap() custody.Uint256 { return authority.FeeCap(a.Bounds, a.Decision) }

// underCap refuses a fee above the cap with the number that is needed.
func (a Asked) underCap(fee custody.Uint256) error {
	if most := a.FeeCap(); fee.Cmp(most) > 0 {
		return problem.New(problem.OutsideBounds, "the fee of the moment is %s; the cap is %s. Wait for lower fees, or ask again with a feeCap of at least %s", fee, most, fee)
	}
	return nil
}

// insufficient says what is there and what is needed.
func insufficient(asset custody.AssetID, have, need custody.Uint256, why string) error {
	return problem.New(problem.Insufficient, "have %s, need %s of %s: %s", have, need, asset, why)
}
