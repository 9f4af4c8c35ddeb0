// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"fmt"
	"sync"
	"testing"

	coreep11 "strongroom/internal/core/ep11"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/request"
)

// BenchmarkAppSign is an HMAC of the real engine under a grant, accounted before it is given out, on the disk of the test's folder.
func BenchmarkAppSign(b *testing.B) {
	e, err := coreep11.New()
	if err != nil {
		b.Fatal(err)
	}
	h := domaintest.New(b, domaintest.Options{Engine: e, Points: appPoints(), Document: appRoutes})
	g := openGateway(b, h)
	govern(b, h, request.AppGrant, wideGrant(h, "app"))
	a, err := g.do("app", generateCall())
	if err != nil {
		b.Fatal(err)
	}
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			before := h.D.Status()
			var wg sync.WaitGroup
			for c := range callers {
				wg.Go(func() {
					for i := c; i < b.N; i += callers {
						if _, err := g.do("app", signCall(a.Key, "x")); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			after := h.D.Status()
			b.ReportMetric(float64(after.Uses-before.Uses)/float64(max(after.Log.Batches-before.Log.Batches, 1)), "uses/batch")
		})
	}
}
