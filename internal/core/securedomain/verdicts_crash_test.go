// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"fmt"
	"testing"
	"time"

	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/verdict"
)

// TestVerdictsSurviveEveryFault: each call of log and pin fails while verdicts are taken, before and after its effect, and the process is killed there. What was
// acknowledged is there after it, and what was not can be handed in again; nothing is there twice, and an auditor agrees.
func TestVerdictsSurviveEveryFault(t *testing.T) {
	t.Parallel()
	f := &factory{log: disktest.New(), anchor: disktest.New(), memory: domaintest.NewMemory()}
	f.base = domaintest.New(t, domaintest.Options{Document: func(d *policy.Document) { withBank(d); withScreening(d) }, Log: f.log, Anchor: f.anchor, Memory: f.memory})
	f.base.Close()
	struck := 0
	for _, op := range domaintest.Ops() {
		for _, when := range []domaintest.When{domaintest.Before, domaintest.After} {
			if !op.Fatal() || when == domaintest.After && !op.Changes() {
				continue
			}
			for n := 1; n < 40; n += stride() {
				m := f.machine(t)
				m.faults.FailAt(op, n, when, true)
				takeThroughFault(t, m, fmt.Sprintf("%s %d %s", op, n, when))
				m.Close()
				if !m.faults.Struck() {
					break
				}
				struck++
			}
		}
	}
	if struck == 0 {
		t.Error("nothing ever failed")
	}
}

// takeThroughFault hands in verdicts of rising risk until something fails, and goes on after a restart.
func takeThroughFault(t *testing.T, m *machine, what string) {
	t.Helper()
	acknowledged := uint32(0)
	hand := func(risk uint32) error {
		m.Clock.Advance(2 * time.Second)
		out, err := m.D.Verdicts(t.Context(), message.Verdicts{Verdicts: []verdict.Signed{judged(m.Harness, risk)}})
		if err == nil && out.Taken == 1 {
			acknowledged = risk
		}
		return err
	}
	err := m.open()
	for risk := uint32(1); err == nil && risk <= 8; risk++ {
		err = hand(risk)
	}
	if err != nil && !m.faults.Struck() {
		t.Fatalf("%s: without a fault: %v", what, err)
	}
	if m.crash(); m.faults.Struck() { // also where something failed for which nobody waited
		m.faults.Disarm()
	}
	if err := m.open(); err != nil && !m.faults.Struck() {
		t.Fatalf("%s: %v", what, err)
	} else if err != nil { // it failed only now
		m.crash()
		if err := m.open(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	m.faults.Disarm()
	shown, err := m.D.Screening(message.ScreeningAsk{})
	if err != nil || len(shown.Verdicts) > 1 || acknowledged > 0 && (len(shown.Verdicts) != 1 || shown.Verdicts[0].Verdict.Risk < acknowledged) {
		t.Fatalf("%s: %d was acknowledged, there is %+v, %v", what, acknowledged, shown.Verdicts, err)
	}
	if err := hand(9); err != nil || acknowledged != 9 {
		t.Fatalf("%s: handed in again: %d, %v", what, acknowledged, err)
	}
	m.Check()
}
