// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"fmt"
	"testing"

	"strongroom/internal/pure/problem"
)

// TestBackoffEnds: what the core records each time is asked for hourly in the end; what may come back at any moment, and leaves no entry, every minute.
func TestBackoffEnds(t *testing.T) {
	t.Parallel()
	for kind, most := range map[problem.Kind]any{
		problem.RefusedByRule: lastAsking, problem.Frozen: lastAsking, problem.NotYet: lastAsking,
		problem.NoPrice: lastRetry, problem.NoVerdict: lastRetry, problem.NodeUnavailable: lastRetry,
	} {
		if got := backoff(100, fmt.Errorf("ask: %w", problem.New(kind, "no"))); got != most {
			t.Errorf("%s: %v, want %v", kind, got, most)
		}
	}
	if got := backoff(1, problem.New(problem.NoPrice, "no")); got != firstRetry {
		t.Errorf("at first %v", got)
	}
}
