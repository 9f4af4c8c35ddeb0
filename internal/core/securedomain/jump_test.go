// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"errors"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/pure/problem"
)

// A time that is more than five minutes past what is known is accepted only when somebody confirms it: at start, what is known is the last
// entry; later, the time since boot as well.
func TestForwardJump(t *testing.T) {
	t.Parallel()
	asked := 0
	var answer error
	var last int64
	h := hotDomain(t, domaintest.Options{ConfirmTime: func(l int64, _ timeguard.Reading) error { asked++; last = l; return answer }})
	if asked != 0 {
		t.Fatalf("asked %d times while time passed as it should", asked)
	}
	try := func(want int, kind problem.Kind) {
		t.Helper()
		_, err := h.Submit(h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000), nil)
		if kind == "" && err != nil || kind != "" && problem.KindOf(err) != kind || asked != want {
			t.Fatalf("got %v after %d questions, want %q and %d", err, asked, kind, want)
		}
	}
	h.Clock.Advance(time.Hour)
	try(0, "") // the time since boot explains it
	h.Clock.Wall.Add(int64(6 * time.Minute))
	answer = errors.New("nobody")
	try(1, problem.TimeUncertain)
	try(2, problem.TimeUncertain)
	answer = nil
	try(3, "")
	try(3, "")
	before := h.D.Status().Time
	h.Clock.Advance(time.Hour)
	h.Reopen() // who starts knows the last entry only
	answer = errors.New("nobody")
	try(4, problem.TimeUncertain)
	answer = nil
	try(5, "")
	if last > before {
		t.Errorf("told that the last entry is of %d, after %d", last, before)
	}
	h.Check()
}
