// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"slices"
	"testing"

	"strongroom/internal/pure/custody"
)

// The time-lock of re-anchoring: 72 hours where nothing is said, at least an hour in production, at most 30 days; and who changes it needs the recovery plan as it was.
func TestReanchorDelay(t *testing.T) {
	t.Parallel()
	with := func(n int64) Document {
		p := DomainPlans{ReanchorDelay: &n}
		return Document{Domain: &p}
	}
	if n := (Document{}).ReanchorDelay(); n != 72*3600 {
		t.Errorf("by default %d seconds", n)
	}
	for n, ok := range map[int64][2]bool{-1: {}, 0: {true, false}, 3599: {true, false}, 3600: {true, true}, 30 * 24 * 3600: {true, true}, 30*24*3600 + 1: {}} {
		for i, profile := range []custody.Profile{custody.Evaluation, custody.Production} {
			if err := with(n).checkDelay(profile); (err == nil) != ok[i] {
				t.Errorf("%d seconds in %s: %v", n, profile, err)
			}
		}
	}
	of := func(n int64) Document {
		plan := func(g custody.GroupID) Plan { return Plan{AnyOf: []Branch{{Steps: []Step{{Group: g, Min: 2}}}}} }
		d := with(n)
		d.ChangePlan, d.Domain.Signature, d.Domain.Revocation, d.Domain.Recovery = plan("change"), plan("change"), plan("change"), plan("recovery")
		return d
	}
	if needs := Requirements(of(3600), of(3600)); len(needs) != 0 {
		t.Errorf("no change needs %+v", needs)
	}
	if needs := Requirements(of(3600), of(0)); !slices.ContainsFunc(needs, func(r Requirement) bool { return r.Rule == RuleRecoveryPlan && r.Groups == nil }) {
		t.Errorf("a shorter time-lock needs %+v", needs)
	}
	if d := Diff(with(3600), with(0)); !slices.Contains(d, "a re-anchoring now takes effect after 0 seconds; it was 3600") {
		t.Errorf("the change is not told: %q", d)
	}
}
