// SPDX-License-Identifier: Apache-2.0

package logstoreapp

import (
	"errors"
	"fmt"
	"testing"

	wire "strongroom/internal/gate/logstore"
	"strongroom/internal/pure/problem"
)

// TestOutcomes: what is counted as failed is what somebody who looks after the log store must look at.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct {
		answer any
		err    error
		want   string
	}{
		"read":            {wire.Page{}, nil, "done"},
		"appended":        {wire.Result{Outcome: wire.Done}, nil, "done"},
		"head":            {wire.Head{}, nil, "done"},
		"lost the writer": {wire.Result{Outcome: wire.LostWriter}, nil, "refused"},
		"head moved":      {wire.Result{Outcome: wire.HeadMoved}, nil, "refused"},
		"no such handle":  {wire.Result{}, fmt.Errorf("x: %w", problem.New(problem.NotFound, "no")), "refused"},
		"damaged":         {wire.Page{Damaged: "a record"}, nil, "failed"},
		"no database":     {wire.Page{}, errors.New("connection refused"), "failed"},
		"a fault of ours": {wire.Page{}, problem.New(problem.Internal, "no"), "failed"},
	} {
		if got := outcome(x.answer, x.err); got != x.want {
			t.Errorf("%s: %s, want %s", name, got, x.want)
		}
	}
}
