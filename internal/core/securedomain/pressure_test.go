// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"slices"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/request"
)

// TestPressure: what a domain tells of its limits follows its log, is looked at twice a minute at most, and is nothing while the time is not certain.
func TestPressure(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Document: limited})
	h.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	used := func(perMille uint64) {
		t.Helper()
		p := h.D.Pressure()
		if p == nil || !slices.Contains(p.Limits, message.LimitUse{Limit: "an-hour", PerMille: perMille}) || len(p.Limits) != 2 {
			t.Fatalf("got %+v, want %d", p, perMille)
		}
	}
	used(0)
	if _, err := h.Submit(h.Service, pay(h, h.Service, domaintest.Whitelisted, 4100), nil); err != nil {
		t.Fatal(err)
	}
	used(0) // remembered
	h.Clock.Advance(31 * time.Second)
	used(820)
	h.Clock.Advance(31 * time.Second)
	h.Clock.Unsure.Store(true)
	if p := h.D.Pressure(); p != nil {
		t.Fatalf("while the time is not certain: %+v", p)
	}
}
