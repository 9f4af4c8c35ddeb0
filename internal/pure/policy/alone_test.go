// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// TestAloneOnBlacklist: the last quarter of the blacklist is for those whom the plan for the address book counts together: one person can't fill it.
func TestAloneOnBlacklist(t *testing.T) {
	t.Parallel()
	block := policy.Facts{Operation: request.BlacklistAdd, Initiator: bob, Evidence: policy.BySignature}
	with := func(n int) *policy.Rules {
		d := sample()
		for i := range n {
			d.Blacklist = append(d.Blacklist, policy.Blocked{Chain: chain, Address: eth.Address{18: byte(i >> 8), 19: byte(i)}.String()})
		}
		slices.SortFunc(d.Blacklist, func(a, b policy.Blocked) int { return strings.Compare(a.Address, b.Address) })
		return compile(t, d)
	}
	if got := with(policy.MaxAloneBlocked - 1).Evaluate(block); got.Outcome != policy.Allowed || !got.Auto || len(got.Also) > 0 {
		t.Errorf("before: %+v", got)
	}
	r := with(policy.MaxAloneBlocked)
	got := r.Evaluate(block)
	if got.Outcome != policy.Allowed || got.Auto || len(got.Also) != 1 || got.Also[0].Rule != policy.RuleBlacklist || got.Plan.String() != "2 of treasury" {
		t.Errorf("beyond: %+v", got)
	}
	block.Initiator = dave
	if got := r.Evaluate(block); got.Outcome != policy.Denied {
		t.Errorf("of no say: %+v", got)
	}
	block.Initiator, block.Evidence = bob, policy.BySession
	if got := r.Evaluate(block); got.Outcome != policy.Denied {
		t.Errorf("by a session: %+v", got)
	}
}
