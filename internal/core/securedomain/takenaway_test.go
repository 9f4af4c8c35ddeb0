// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// TestBlockedWhileThePermitWaits: a permit that waited through a freeze is not signed where its destination was blocked meanwhile.
func TestBlockedWhileThePermitWaits(t *testing.T) {
	t.Parallel()
	faults := &domaintest.Faults{}
	h := hotDomain(t, domaintest.Options{Document: withGlass, Faults: faults})
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
	p := payload(t, domaintest.Whitelisted, 1000, 0, 10)
	faults.FailAt(domaintest.BlobGet, 1, domaintest.Before, false)
	if _, err := h.D.Sign(t.Context(), v.ID, p); err == nil || !faults.Struck() {
		t.Fatalf("the seed could be opened: %v", err)
	}
	frozen(t, h)
	b := request.BlacklistAddBody{Chain: domaintest.Chain, Address: domaintest.Whitelisted}
	if got := submitted(t, h, h.Bob, h.Request(h.Bob, request.BlacklistAdd, b)); got.State != message.StateExecuted {
		t.Fatalf("%+v", got)
	}
	ended(t, h, request.Unfreeze)
	_, err := h.D.Sign(t.Context(), v.ID, p)
	wantKind(t, "a blocked destination", err, problem.RefusedByRule)
}
