// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// View is what a state knows about a request beyond the rules and the wallet. The zero View knows nothing.
type View struct {
	Destination func(c custody.ChainID, address string) policy.Destination // all but address and amount; nil: what the document says alone
}

// View gives what the state knows at a moment.
func (s *State) View(at Moment) View {
	if !s.Doc.Remembers() {
		return View{}
	}
	return View{Destination: func(c custody.ChainID, address string) policy.Destination { return s.destination(c, address, at) }}
}

// ViewOf gives what recorded facts say, for who has no state: the domain's word.
func ViewOf(rules *policy.Rules, f policy.Facts) View {
	if !rules.Document().Remembers() {
		return View{}
	}
	return View{Destination: func(c custody.ChainID, address string) policy.Destination {
		for _, d := range slices.Concat(f.Destinations, f.Moves) {
			if c == f.Chain && d.Address == address {
				return d
			}
		}
		return policy.Destination{Kind: policy.OneTime}
	}}
}

// destination gives what an output's destination is.
func (v View) destination(rules *policy.Rules, c custody.ChainID, x request.Output) policy.Destination {
	out := policy.Destination{Kind: policy.OneTime}
	if v.Destination != nil {
		out = v.Destination(c, x.Address)
	} else if e, ok := rules.Entry(c, x.Address); ok {
		out = policy.Destination{Kind: policy.Whitelisted, Book: e.ID, Counterparty: e.Counterparty}
		if e.Suspended {
			out.Kind = policy.Suspended
		}
	}
	out.Address, out.Amount = x.Address, x.Amount
	return out
}
