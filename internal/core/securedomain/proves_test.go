// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/custody"
	"strongroom/verify"
)

// proves requires that the proof of a request verifies and shows so many approvals and attempts; -1 is any number.
func proves(t testing.TB, h *domaintest.Harness, id custody.RequestID, approvals, attempts int) *verify.Report {
	t.Helper()
	file, err := h.D.Proof(context.Background(), id)
	if err != nil {
		t.Errorf("proof: %v", err)
		return nil
	}
	r, err := verify.Proof(file, h.Genesis.LogKey)
	if err != nil {
		t.Errorf("proof: %v", err)
		return nil
	}
	if approvals >= 0 && len(r.Approvals) != approvals || attempts >= 0 && len(r.Attempts) != attempts {
		t.Errorf("the proof shows %d approvals and %d attempts, want %d and %d", len(r.Approvals), len(r.Attempts), approvals, attempts)
	}
	return r
}
