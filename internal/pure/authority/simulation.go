// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"

	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

// simulated gives the report of a view as facts record it: only one that is about what the request does. Any other counts as none, which is the worst, and
// never as a reason to refuse. docs/spec/simulation.md.
func (v View) simulated(f policy.Facts, e request.Effects) *simulation.Report {
	if checkSimulation(v.Simulation, f, e) != nil {
		return nil
	}
	return v.Simulation
}

// checkSimulation says whether a report is well formed and about what a request does.
func checkSimulation(r *simulation.Report, f policy.Facts, e request.Effects) error {
	switch {
	case r == nil:
		return nil
	case !policy.Simulates(f.Operation, f.Chain):
		return errors.New("a report of a simulation has no place with this operation")
	case r.Chain != f.Chain || r.Address != e.Source:
		return errors.New("the report of a simulation is about another chain or address")
	default:
		return r.Check()
	}
}

// ReadSimulation reads the report that `serve` hands in beside a request, which may be empty. One that can't be read counts as none.
func ReadSimulation(b []byte) *simulation.Report {
	if len(b) == 0 {
		return nil
	}
	r, err := simulation.Parse(b)
	if err != nil {
		return nil
	}
	return r
}

// size is what a request takes of the room of its initiator, in bytes.
func (p *Pending) size() int { return WaitSize(p.Request, p.Simulation, p.Effects.Screening) }

// WaitSize is what a request takes of the room of its initiator while it waits, in bytes: itself, the report that came with it, and what sources of screening said
// of each of its addresses, which effects and decision both have and which can be much longer than the request.
func WaitSize(raw []byte, told *simulation.Report, said []request.ScreeningEffect) int {
	const other = 64 // bytes of what has a fixed size, about
	n := len(raw) + told.Size()
	for _, x := range said {
		one := other + len(x.Source) + len(x.Chain) + len(x.Address)
		for _, c := range x.Categories {
			one += other/4 + len(c)
		}
		n += 2 * one
	}
	return n
}
