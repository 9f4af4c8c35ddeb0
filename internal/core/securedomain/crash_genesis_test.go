// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"errors"
	"fmt"
	"testing"

	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// A creation that is cut off anywhere can be made again, or the domain is there.
func TestFaultAtEveryCallOfCreate(t *testing.T) {
	t.Parallel()
	base := domaintest.Prepare(t, domaintest.Options{Document: withBank})
	for _, op := range domaintest.Ops() {
		if op == domaintest.BlobPut || op == domaintest.BlobGet || op == domaintest.SnapshotGet || op == domaintest.SnapshotPart || op == domaintest.SnapshotPut {
			continue // not made by a creation
		}
		for n, struck := 1, true; struck; n++ {
			struck = false
			for _, when := range []domaintest.When{domaintest.Before, domaintest.After} {
				t.Run(fmt.Sprintf("%s %d %s", op, n, when), func(t *testing.T) {
					m := &machine{log: disktest.New(), anchor: disktest.New(), faults: &domaintest.Faults{}}
					m.Harness = base.Clone(t, domaintest.Options{Faults: m.faults, Log: m.log, Anchor: m.anchor, Memory: domaintest.NewMemory()})
					m.faults.FailAt(op, n, when, true)
					err := m.Create()
					m.faults.Disarm()
					struck = m.faults.Struck() || struck
					m.crash()
					if openErr := m.Open(); openErr == nil {
						m.Wallet("hot", domaintest.Chain, request.SchemeEVM)
						m.Check()
						m.Close()
					} else if !errors.Is(openErr, securedomain.ErrNoDomain) || err == nil {
						t.Fatalf("create: %v; then open: %v", err, openErr)
					}
					m.Clock.Advance(1)
					switch again := m.Create(); {
					case again == nil && err == nil:
						t.Fatal("created twice")
					case again != nil && problem.KindOf(again) != problem.Conflict:
						t.Fatalf("create again: %v", again)
					case again != nil:
						if err := m.Open(); err != nil {
							t.Fatalf("create again: %v; open: %v", again, err)
						}
					}
					if _, err := m.D.Wallet("hot"); err != nil {
						m.Wallet("hot", domaintest.Chain, request.SchemeEVM)
					}
					m.Check()
				})
			}
		}
	}
}
