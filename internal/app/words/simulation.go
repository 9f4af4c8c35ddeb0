// SPDX-License-Identifier: Apache-2.0

package words

import (
	"fmt"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/simulation"
)

// Simulated says what the report of a simulation says, and whose word that is; nothing where there is none. The first line says that nobody has checked it.
func Simulated(r *simulation.Report) []string {
	if r == nil {
		return nil
	}
	if err := r.Check(); err != nil {
		return []string{"serve shows a report of a simulation that is none; do not rely on anything that it says of balances"}
	}
	switch r.Status {
	case simulation.Unknown:
		return []string{"the node of serve can't say what it would change: " + whys()[r.Why]}
	case simulation.Reverted:
		return []string{fmt.Sprintf("the node of serve says, checked by nobody: after block %d it WOULD FAIL", r.Block)}
	}
	out := []string{fmt.Sprintf("the node of serve says, checked by nobody: after block %d the address %s would", r.Block, r.Address)}
	for _, c := range r.Changes {
		if !c.Out.IsZero() {
			out = append(out, "  give "+quantity(c.Asset, c.Out))
		}
		if !c.In.IsZero() {
			out = append(out, "  get  "+quantity(c.Asset, c.In))
		}
	}
	for _, a := range r.Approvals {
		what := "up to " + a.Amount.String() + " base units"
		switch {
		case a.All:
			what = "EVERY TOKEN"
		case a.Token:
			what = "the token number " + a.Amount.String()
		}
		out = append(out, fmt.Sprintf("  let %s take %s of %s", a.Spender, what, a.Contract))
	}
	if len(out) == 1 {
		out = append(out, "  give and get nothing but the fee")
	}
	return out
}

func quantity(a simulation.Asset, u custody.Uint256) string {
	if a.Numbered() {
		return fmt.Sprintf("%s tokens of %s", u, a)
	}
	return Amount(custody.AssetID(a), u)
}

// whys says in words why nothing is known.
func whys() map[simulation.Why]string {
	return map[simulation.Why]string{
		simulation.NoNode: "it has no node of the chain", simulation.Unreachable: "the node did not answer", simulation.Unsupported: "the node can't simulate (eth_simulateV1)",
		simulation.Rejected: "the node does not carry it out at all; perhaps there is not enough to pay with", simulation.Malformed: "a contract's events are none that can be understood",
		simulation.TooMany: "it changes too many things",
	}
}
