// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"fmt"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// How many keys a second are enciphered for the next epoch: opened, sealed, opened again and compared, made durable as files, and recorded.
// The pause that leaves the machine to signing is not counted: the clock of the harness stands still.
func BenchmarkReencipher(b *testing.B) {
	const keys = 512
	h := domaintest.New(b, domaintest.Options{Recovery: true})
	for i := range keys {
		h.Wallet(custody.WalletID(fmt.Sprintf("w-%d", i)), domaintest.Chain, request.SchemeEVM)
	}
	step := func(want request.Operation) {
		if op, err := h.Step(); err != nil || op != want {
			b.Fatalf("%s: %v", op, err)
		}
	}
	took := time.Duration(0)
	for b.Loop() {
		step(request.EpochLoad)
		began := time.Now()
		step(request.EpochCommit)
		if _, err := h.Settled(); err != nil {
			b.Fatal(err)
		}
		took += time.Since(began)
		step(request.EpochActivate)
		step(request.EpochFinalize)
	}
	b.ReportMetric(float64(b.N*keys)/took.Seconds(), "blobs/s")
}
