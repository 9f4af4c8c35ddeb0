// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/request"
)

// paid lists what a request pays, of each asset: a transfer its total; a contract call its value, what it moves, and what it gives others power to take, which
// may go at any time. Calls list what is nothing not.
func (f *Facts) paid() []request.Movement {
	own := request.Movement{Asset: f.Asset, Amount: f.Total}
	if f.Call == nil {
		return []request.Movement{own}
	}
	out := append([]request.Movement{own}, f.Call.Movements...)
	for _, a := range f.Call.Approvals {
		if !a.All && !a.Unlimited {
			out = append(out, request.Movement{Asset: custody.AssetID(string(f.Chain) + "/erc20:" + a.Contract), To: a.Spender, Amount: a.Amount})
		}
	}
	return slices.DeleteFunc(out, func(m request.Movement) bool { return m.Amount.IsZero() })
}

// valued lists the assets that a request pays with, the prices of which rules in money need: sorted, each once.
func (f *Facts) valued() (out []custody.AssetID) {
	for _, m := range f.paid() {
		out = append(out, m.Asset)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// priceless says why no prices of assets could give the value of a call: nobody could decode it, it gives power over tokens without limit, or it is about a token
// that is one of a kind. Empty: they could.
func (f *Facts) priceless() Lack {
	switch c := f.Call; {
	case c == nil:
		return ""
	case c.Undecoded != "":
		return Undecoded
	case slices.ContainsFunc(c.Approvals, func(a request.TokenApproval) bool { return a.All || a.Unlimited }):
		return TooLarge
	case slices.ContainsFunc(c.Calls, func(n request.CallNode) bool { return calls.OfOneKind(calls.Kind(n.Kind), n.Function) }):
		return NoQuotes
	default:
		return ""
	}
}

// value gives what all that the request pays is worth, each asset rounded up.
func (f *Facts) value(currency string) (total custody.Uint256, err error) {
	if why := f.priceless(); why != "" {
		return total, &NoPriceError{Currency: currency, Lack: why}
	}
	for _, m := range f.paid() {
		x := Facts{Asset: m.Asset, Context: f.Context}
		v, err := x.worth(m.Amount, currency)
		if err != nil {
			return total, err
		}
		var fits bool
		if total, fits = total.Add(v); !fits {
			return total, &NoPriceError{Currency: currency, Lack: TooLarge}
		}
	}
	return total, nil
}
