// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// View is what facts may say of the state and the clock besides the request. The zero View knows nothing, which is how a domain is that uses none of it.
type View struct {
	At          Moment              // when it is decided; zero: not known
	Temperature request.Temperature // of the request's wallet; empty: not known, or none
	Mode        policy.Mode         // operational state; empty: normal

	Prices func(custody.AssetID, string) policy.Price // what an asset is worth in a currency; nil: not known
}

// around gives what of a view the rules look at.
func (v View) around(rules *policy.Rules, r *request.Parsed) *policy.Around {
	known := policy.Around{Temperature: v.Temperature}
	if v.At != (Moment{}) {
		known.Earliest, known.Latest = floorSeconds(v.At.Time-v.At.Bound), floorSeconds(v.At.Time+v.At.Bound)
	}
	if o, ok := r.Decoded.(*request.WalletCreateBody); ok { // there is no such wallet yet
		if known.Temperature = request.Hot; o.Temperature != "" {
			known.Temperature = o.Temperature
		}
	}
	return rules.Around(known)
}

// context gives the view as facts record it, or nil where there is nothing to record.
func (v View) context() *policy.Context {
	if v.Mode == "" || v.Mode == policy.Normal {
		return nil
	}
	return &policy.Context{Mode: v.Mode}
}

// ModeOf gives the operational state that facts were recorded with.
func ModeOf(f policy.Facts) policy.Mode {
	if f.Context == nil || f.Context.Mode == "" {
		return policy.Normal
	}
	return f.Context.Mode
}

// view is what decisions are made with at a moment.
func (s *State) view(at Moment) View {
	return View{At: at, Mode: s.Mode(at), Prices: s.PricesAt(at)}
}
