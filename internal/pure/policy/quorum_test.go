// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

func TestMet(t *testing.T) {
	t.Parallel()
	both := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "risk", Min: 1}, {Group: "treasury", Min: 1}}}}}
	either := policy.Plan{AnyOf: append(plan("treasury", 3).AnyOf, plan("risk", 2).AnyOf...)}
	for _, c := range []struct {
		name  string
		plan  policy.Plan
		votes []policy.Vote
		met   bool
		lacks string
	}{
		{"nobody", plan("treasury", 2), nil, false, "[{plan 2 more approvals by members of treasury 0 of 2} {floor 2 more approvals by different people (floor.minDistinctUsers) 0 of 2}]"},
		{"one", plan("treasury", 2), approve(alice), false, "[{plan 1 more approval by members of treasury 1 of 2} {floor 1 more approval by different people (floor.minDistinctUsers) 1 of 2}]"},
		{"two", plan("treasury", 2), approve(carol, alice), true, "[]"},
		{"one person twice", plan("treasury", 2), approve(alice, alice), false, "[{plan 1 more approval by members of treasury 1 of 2} {floor 1 more approval by different people (floor.minDistinctUsers) 1 of 2}]"},
		{"the initiator", plan("treasury", 2), append(approve(alice), policy.Vote{Person: dave, Decision: request.Approve}), false,
			"[{plan 1 more approval by members of treasury 1 of 2} {floor 1 more approval by different people (floor.minDistinctUsers) 1 of 2} {floor floor.forbidSelfApproval p_dddddddddddddddd asked and does not count}]"},
		{"a stranger", plan("treasury", 2), approve(alice, person(9)), false, "[{plan 1 more approval by members of treasury 1 of 2} {floor 1 more approval by different people (floor.minDistinctUsers) 1 of 2}]"},
		{"a service", plan("bots", 1), approve(bot), false, "[{plan 1 more approval by members of bots 0 of 1} {floor 2 more approvals by different people (floor.minDistinctUsers) 0 of 2}]"},
		{"rejected first", plan("treasury", 2), append([]policy.Vote{{Person: alice, Decision: request.Reject}}, approve(alice, bob)...), false,
			"[{plan 1 more approval by members of treasury 1 of 2} {floor 1 more approval by different people (floor.minDistinctUsers) 1 of 2}]"},
		{"rejected later", plan("treasury", 2), append(approve(alice, bob), policy.Vote{Person: alice, Decision: request.Reject}), false,
			"[{plan 1 more approval by members of treasury 1 of 2} {floor 1 more approval by different people (floor.minDistinctUsers) 1 of 2}]"},
		{"one person, two groups", both, approve(bob), false, "[{plan 1 more approval by members of treasury 0 of 1} {floor 1 more approval by different people (floor.minDistinctUsers) 1 of 2}]"},
		{"two people, one in both groups", both, approve(alice, bob), true, "[]"},
		{"two people of one group", both, approve(alice, carol), false, "[{plan 1 more approval by members of risk 0 of 1}]"},
		{"second branch", either, approve(bob, dave), false, ""}, // dave asked
		{"first branch", either, approve(alice, bob, carol), true, "[]"},
		{"no branches", policy.Plan{}, approve(alice, bob), false, "[{plan plan a plan without branches is never met}]"},
		{"no steps", policy.Plan{AnyOf: []policy.Branch{{}}}, approve(alice, bob), false, ""},
		{"step of zero", plan("treasury", 0), approve(alice, bob), false, ""},
		{"unknown group", plan("board", 1), approve(alice, bob), false, ""},
		{"floor above the steps", plan("treasury", 1), approve(alice), false, "[{floor 1 more approval by different people (floor.minDistinctUsers) 1 of 2}]"},
		{"floor met by others of the group", plan("treasury", 1), approve(alice, bob), true, "[]"},
		{"floor not met by outsiders", plan("risk", 1), approve(bob, carol), false, "[{floor 1 more approval by different people (floor.minDistinctUsers) 1 of 2}]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			met, unmet := c.plan.Met(compile(t, sample()), dave, c.votes)
			if met != c.met {
				t.Errorf("met is %t, want %t: %v", met, c.met, unmet)
			}
			if c.lacks != "" && fmt.Sprint(unmet) != c.lacks {
				t.Errorf("got  %v\nwant %s", unmet, c.lacks)
			}
			if met == (len(unmet) > 0) {
				t.Error("what is unmet does not fit the answer")
			}
		})
	}
}

func TestMetTellsBranches(t *testing.T) {
	t.Parallel()
	p := policy.Plan{AnyOf: append(plan("treasury", 3).AnyOf, plan("risk", 2).AnyOf...)}
	_, unmet := p.Met(compile(t, sample()), bot, approve(alice, bob))
	want := "[{plan branch 1: 1 more approval by members of treasury 2 of 3} {plan branch 2: 1 more approval by members of risk 1 of 2}" +
		" {floor branch 2: 1 more approval by different people (floor.minDistinctUsers) 1 of 2}]"
	if fmt.Sprint(unmet) != want {
		t.Errorf("got  %v\nwant %s", unmet, want)
	}
}

func TestDecisionMet(t *testing.T) {
	t.Parallel()
	r := compile(t, sample())
	auto := r.Evaluate(facts(bot, "hot", "5"))
	if ok, _ := auto.Met(r, bot, nil); !ok {
		t.Error("an automatic route needs approvals")
	}
	large := r.Evaluate(facts(alice, "hot", "1001"))
	if ok, _ := large.Met(r, alice, approve(bob, carol)); !ok {
		t.Error("two approvals are not enough")
	}
	if ok, unmet := large.Met(r, alice, approve(bob)); ok || unmet[0].Rule != "large" {
		t.Errorf("one approval: %t %v", ok, unmet)
	}
	denied := r.Evaluate(to(facts(alice, "hot", "1001"), thief, policy.OneTime, ""))
	if ok, unmet := denied.Met(r, alice, approve(bob, carol)); ok || unmet[0].Rule != "known-only" {
		t.Errorf("a denial was met: %v", unmet)
	}
	held := large
	held.Outcome = policy.Held
	if ok, _ := held.Met(r, alice, approve(bob, carol)); ok {
		t.Error("a hold was met")
	}
}

// TestMetUnderNewRules: a plan decided earlier is met by the people of now. Who was revoked, or left the group, no longer counts.
func TestMetUnderNewRules(t *testing.T) {
	t.Parallel()
	d := sample()
	d.Groups[2].Members = []custody.PersonID{alice, bob, carol, dave}
	p := compile(t, d).Evaluate(facts(alice, "hot", "1001")).Plan
	next, err := d.WithoutPerson(custody.Production, request.PersonRevokeBody{Person: dave})
	if err != nil {
		t.Fatal(err)
	}
	if met, _ := p.Met(compile(t, next), alice, approve(bob, dave)); met {
		t.Error("a revoked person's approval counts")
	}
	if met, _ := p.Met(compile(t, next), alice, approve(bob, carol)); !met {
		t.Error("two active people are not enough")
	}
}

func drawVotes(t *rapid.T, label string, d policy.Document) []policy.Vote {
	ids := append(everybody(d), person(20))
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) policy.Vote {
		return policy.Vote{Person: rapid.SampledFrom(ids).Draw(t, "person"), Decision: request.Approve}
	}), 0, 8).Draw(t, label)
}

func TestQuorumAgreesWithModel(t *testing.T) {
	t.Parallel()
	seen := lawtest.Counts{}
	lawtest.Check(t, seen.Want(1, "met"), func(t *rapid.T) {
		d := drawDocument(t)
		r, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		p, votes, initiator := drawPlan(t, d), drawVotes(t, "votes", d), rapid.SampledFrom(everybody(d)).Draw(t, "initiator")
		var voters []custody.PersonID
		for _, v := range votes {
			voters = append(voters, v.Person)
		}
		got, _ := p.Met(r, initiator, votes)
		if want := modelMet(d, p, initiator, voters); got != want {
			t.Fatalf("%s, initiator %s, votes %v: got %t, want %t", p, initiator, voters, got, want)
		}
		if got {
			seen["met"]++
		}
	})
}

// TestQuorumIsMonotone: more approvals never undo a quorum, and a vote against never makes one.
func TestQuorumIsMonotone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawDocument(t)
		r, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		p, votes, more := drawPlan(t, d), drawVotes(t, "votes", d), drawVotes(t, "more", d)
		before, _ := p.Met(r, bot, votes)
		if after, _ := p.Met(r, bot, slices.Concat(votes, more)); before && !after {
			t.Fatal("an approval undid the quorum")
		}
		for i := range more {
			more[i].Decision = rapid.SampledFrom([]request.Decision{request.Reject, request.Cancel}).Draw(t, "against")
		}
		if after, _ := p.Met(r, bot, slices.Concat(votes, more)); after && !before {
			t.Fatal("a rejection made the quorum")
		}
	})
}

// TestCounting: a person counts once, the initiator never, and neither order nor repetition of votes has an effect.
func TestCounting(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		d := drawDocument(t)
		r, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		p, votes, initiator := drawPlan(t, d), drawVotes(t, "votes", d), rapid.SampledFrom(everybody(d)).Draw(t, "initiator")
		met, unmet := p.Met(r, initiator, votes)
		again, unmetAgain := p.Met(r, initiator, rapid.Permutation(slices.Concat(votes, votes)).Draw(t, "order"))
		if met != again || fmt.Sprint(unmet) != fmt.Sprint(unmetAgain) {
			t.Fatalf("order or repetition changed %t %v to %t %v", met, unmet, again, unmetAgain)
		}
		without := slices.DeleteFunc(slices.Clone(votes), func(v policy.Vote) bool { return v.Person == initiator })
		if w, _ := p.Met(r, initiator, without); w != met {
			t.Fatal("the initiator's own vote has an effect")
		}
		if met {
			distinct := make(map[custody.PersonID]bool)
			for _, v := range without {
				distinct[v.Person] = true
			}
			least := 1 << 30
			for _, b := range p.AnyOf {
				n := 0
				for _, s := range b.Steps {
					n += int(s.Min)
				}
				least = min(least, n)
			}
			if len(distinct) < least || len(distinct) < int(d.Floor.MinDistinctUsers) {
				t.Fatalf("%s met by %d people", p, len(distinct))
			}
		}
	})
}
