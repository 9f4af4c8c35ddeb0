// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"slices"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
)

func TestRefusalNamesTheLimit(t *testing.T) {
	t.Parallel()
	ten, two := custody.U64(10), custody.U64(2)
	d := policy.Document{Routes: []policy.Route{{ID: "small", When: policy.Match{AmountMax: &ten}}, {ID: "large", When: policy.Match{AmountOver: &two}}}}
	for _, tt := range []struct {
		rule, criterion, want string
	}{{"small", "amount.max", "at most 10"}, {"large", "amount.over", "more than 2"}, {"small", "amount.over", ""}, {"other", "amount.max", ""}, {"small", "operation", ""}} {
		if got := limitOf(d, problem.Unmet{Rule: tt.rule, Criterion: tt.criterion}); got != tt.want {
			t.Errorf("%s %s: got %q, want %q", tt.rule, tt.criterion, got, tt.want)
		}
	}
	wallets, small := problem.Unmet{Rule: "wallets", Criterion: "operation"}, problem.Unmet{Rule: "small", Criterion: "amount.max"}
	if got := closest([]problem.Unmet{wallets, small}); !slices.Equal(got, []problem.Unmet{small}) {
		t.Errorf("got %+v", got)
	}
	if got := closest([]problem.Unmet{wallets}); !slices.Equal(got, []problem.Unmet{wallets}) {
		t.Errorf("got %+v", got)
	}
}
