// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"fmt"
	"testing"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// A result that did not check stops the core, also where the use could not be accounted.
func TestAppFaultIsNotHidden(t *testing.T) {
	t.Parallel()
	e := &fakeEngine{}
	h, g := appDomain(t, e, domaintest.Options{})
	govern(t, h, request.AppGrant, grantBody(h, "app"))
	key := g.key(t, "app")
	fault := fmt.Errorf("sign: %w", family.ErrFault)
	e.fail.Store(&fault)
	e.leave = func(ep11.Call) { h.Clock.Unsure.Store(true) }
	_, err := g.do("app", signCall(key, "x"))
	wantCode(t, "a fault while the clock is not certain", err, ep11.CKR_GENERAL_ERROR)
	if h.D.Cause() == nil {
		t.Error("the core works on")
	}
	<-h.D.Failed()
}
