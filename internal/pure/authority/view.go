// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
	"strongroom/internal/pure/verdict"
)

// View is what facts may say of the state and the clock besides the request. The zero View knows nothing, which is how a domain is that uses none of it.
type View struct {
	At          Moment              // when it is decided; zero: not known
	Temperature request.Temperature // of the request's wallet; empty: not known, or none
	Mode        policy.Mode         // operational state; empty: normal

	Simulation *simulation.Report // what `serve` says that a node says of the request; nil: nothing

	Destination func(c custody.ChainID, address string) policy.Destination // what an address is, but for address and amount; nil: what the document says alone
	Prices      func(custody.AssetID, string) policy.Price                 // what an asset is worth in a currency; nil: not known

	Verdicts func(source string, s verdict.Subject) policy.Screened // what a source of screening says of a subject; nil: not known
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

// View gives what the state knows at a moment.
func (s *State) View(at Moment) View {
	v := View{At: at, Mode: s.Mode(at), Prices: s.PricesAt(at), Verdicts: s.VerdictsAt(at)}
	if s.judging().Remembers() {
		v.Destination = func(c custody.ChainID, address string) policy.Destination { return s.destination(c, address, at) }
	}
	return v
}

// Recorded gives what recorded facts say of destinations, for who has no state: the domain's word. It is nil where the rules look at the document alone.
func Recorded(rules *policy.Rules, f policy.Facts) func(custody.ChainID, string) policy.Destination {
	if !rules.Remembers() {
		return nil
	}
	return func(c custody.ChainID, address string) policy.Destination {
		for _, d := range slices.Concat(f.Destinations, f.Moves) {
			if c == f.Chain && d.Address == address {
				return d
			}
		}
		return policy.Destination{Kind: policy.OneTime}
	}
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
