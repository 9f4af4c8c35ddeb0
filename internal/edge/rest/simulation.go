// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"context"

	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

// Simulations asks nodes what requests would change in balances. Safe for concurrent use.
type Simulations interface {
	// Report gives nil of what no simulation tells of. It never fails: what can't be found out is a report that says so, or none.
	Report(ctx context.Context, rules policy.Document, body request.Body) *simulation.Report
}

// told gives the report that goes to the core beside a request, in canonical form, or nil: what the core then takes for the worst. Callers can't hand in one
// of their own.
func (s *Server) told(ctx context.Context, r request.Request) []byte {
	if s.cfg.Simulations == nil || r.Operation != request.Transfer && r.Operation != request.ContractCall {
		return nil
	}
	k, err := s.people.Known(ctx)
	if err != nil || r.Operation == request.Transfer && !k.Document.AsksSimulation() {
		return nil
	}
	body, err := r.DecodeBody()
	if err != nil {
		return nil
	}
	x := s.cfg.Simulations.Report(ctx, k.Document, body)
	if x == nil {
		return nil
	}
	return x.Encode()
}
