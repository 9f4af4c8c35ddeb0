// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// drawObligations adds obligations to a document.
func drawObligations(t *rapid.T, d policy.Document) policy.Document {
	var humans []custody.PersonID
	for _, p := range d.Principals {
		if p.Kind == policy.Human {
			humans = append(humans, p.ID)
		}
	}
	d.Obligations = nil
	for i := range rapid.IntRange(1, 3).Draw(t, "obligations") {
		var when policy.Match
		if rapid.IntRange(0, 3).Draw(t, "narrow") == 0 {
			when = drawMatch(t, humans)
		}
		o := policy.Obligation{ID: fmt.Sprintf("duty%d", i), When: withOperations(when, some(t, "op", request.AddressCreate, request.PersonRevoke, request.Transfer))}
		o.When.Books = nil
		if rapid.IntRange(0, 2).Draw(t, "planned") > 0 {
			p := drawPlan(t, d)
			o.Add.Plan = &p
		}
		o.Add.Delay = rapid.Int64Range(0, 30).Draw(t, "delay")
		o.Add.MinGroups = rapid.Uint32Range(0, 2).Draw(t, "groups")
		if o.Add == (policy.Addition{}) {
			o.Add.Delay = 1
		}
		d.Obligations = append(d.Obligations, o)
	}
	return d
}

// TestObligationsOnlyAdd: whatever obligations a document gets, it allows no more than without, each request needs at least what it needed,
// and the decision is what merging by hand gives.
func TestObligationsOnlyAdd(t *testing.T) {
	t.Parallel()
	seen := lawtest.Counts{}
	lawtest.Check(t, seen.Want(1, "added", "denied", "manual"), func(t *rapid.T) {
		d := drawDocument(t)
		with := drawObligations(t, d)
		after, err := policy.Compile(with)
		if err != nil {
			t.Skip(err.Error())
		}
		before := compileIn(t, d)
		for range 96 {
			f := drawFacts(t, d)
			a, b := before.Evaluate(f), after.Evaluate(f)
			if rank(b) > rank(a) {
				t.Fatalf("obligations raised %s to %s", describe(a), describe(b))
			}
			if a.Outcome == policy.Allowed && b.Outcome == policy.Denied {
				seen["denied"]++
			}
			if b.Outcome != policy.Allowed {
				continue
			}
			want := mergeByHand(with, f)
			got := fmt.Sprint(b.Obligations, b.Delay, b.Needs != nil && b.Needs.MinGroups > 0, len(b.Also))
			if alone := f.Operation.Unilateral() || f.Operation == request.WhitelistSuspend || f.Operation == request.BlacklistAdd; !alone && got != want {
				t.Fatalf("got %s, by hand %s", got, want)
			}
			if len(b.Also) > 0 && (b.Auto || len(b.Plan.AnyOf) == 0 || f.Evidence == policy.BySession) {
				t.Fatalf("an automatic decision with a plan: %+v", b)
			}
			votes := drawVotes(t, "votes", d)
			if m, _ := b.Met(after, f.Initiator, votes); m {
				if was, unmet := a.Met(before, f.Initiator, votes); !was {
					t.Fatalf("votes meet it with obligations and not without: %v", unmet)
				}
			}
			if a.Auto && !b.Auto {
				seen["manual"]++
			}
			seen["added"] += len(b.Obligations)
		}
	})
	t.Logf("%d obligations matched, %d denied, %d automatic routes were so no more", seen["added"], seen["denied"], seen["manual"])
}

// mergeByHand merges the obligations that match, with the naive matcher.
func mergeByHand(d policy.Document, f policy.Facts) string {
	var ids []string
	var delay int64
	groups, plans := false, 0
	for _, o := range d.Obligations {
		if modelMatch(d, o.When, f) == no {
			continue
		}
		ids = append(ids, o.ID)
		delay = max(delay, o.Add.Delay)
		groups = groups || o.Add.MinGroups > 0
		if o.Add.Plan != nil {
			plans++
		}
	}
	return fmt.Sprint(ids, delay, groups, plans)
}

func compileIn(t *rapid.T, d policy.Document) *policy.Rules {
	r, err := policy.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestStricterNeverAllowsMore: one field of a document is tightened; whatever the facts and votes, what the stricter one lets through the laxer
// one does.
func TestStricterNeverAllowsMore(t *testing.T) {
	t.Parallel()
	seen := lawtest.Counts{}
	lawtest.Check(t, seen.Want(1, "refused by the stricter one"), func(t *rapid.T) {
		d := drawDocument(t)
		strict, what := tighten(t, d)
		after, err := policy.Compile(strict)
		if err != nil {
			t.Skip(err.Error())
		}
		before := compileIn(t, d)
		for range 12 {
			f := drawFacts(t, d)
			votes := append(drawVotes(t, "votes", d), approve(everybody(d)[:rapid.IntRange(0, 4).Draw(t, "more")]...)...)
			passes := func(r *policy.Rules) bool {
				x := r.Evaluate(f)
				ok, _ := x.Met(r, f.Initiator, votes)
				return x.Outcome == policy.Allowed && ok
			}
			was, is := passes(before), passes(after)
			if is && !was {
				t.Fatalf("%s lets through %+v", what, f)
			}
			if was && !is {
				seen["refused by the stricter one"]++
			}
		}
	})
}

// tighten makes one field of a document stricter.
func tighten(t *rapid.T, d policy.Document) (policy.Document, string) {
	d.Routes, d.Guards = slices.Clone(d.Routes), slices.Clone(d.Guards)
	step := func(change func(*policy.Step)) {
		for i := range d.Routes {
			p := policy.Plan{AnyOf: slices.Clone(d.Routes[i].Plan.AnyOf)}
			for j := range p.AnyOf {
				p.AnyOf[j].Steps = slices.Clone(p.AnyOf[j].Steps)
				for k := range p.AnyOf[j].Steps {
					change(&p.AnyOf[j].Steps[k])
				}
			}
			d.Routes[i].Plan = p
		}
	}
	what := rapid.SampledFrom([]string{"users", "groups", "guard", "min", "hardware", "differ", "obligation"}).Draw(t, "tightened")
	switch what {
	case "users":
		d.Floor.MinDistinctUsers++
	case "groups":
		d.Floor.MinDistinctGroups = 2
	case "guard":
		if len(d.Guards) > 0 { // one that looks at more
			d.Guards[0].When = policy.Match{Operations: d.Guards[0].When.Operations}
		}
	case "min":
		step(func(s *policy.Step) { s.Min++ })
	case "hardware":
		step(func(s *policy.Step) { s.Hardware = true })
	case "differ":
		step(func(s *policy.Step) { s.Differ = []custody.GroupID{"g0"} })
	case "obligation":
		d = drawObligations(t, d)
	}
	return d, what
}

// votesInOrder draws votes with their places in the log, and ages.
func votesInOrder(t *rapid.T, d policy.Document) []policy.Vote {
	votes := drawVotes(t, "votes", d)
	for i := range votes {
		votes[i].Seq = uint64(i + 1)
		votes[i].Age = rapid.Int64Range(0, 3).Draw(t, "age") * 1e9
	}
	return votes
}

// harden gives the steps of a plan more to ask for.
func harden(t *rapid.T, p policy.Plan) policy.Plan {
	for i := range p.AnyOf {
		b := &p.AnyOf[i]
		b.ExpiresAfter = rapid.Int64Range(0, 2).Draw(t, "expires")
		for j := range b.Steps {
			b.Steps[j].Ordered = j > 0 && rapid.Bool().Draw(t, "ordered")
			if rapid.IntRange(0, 5).Draw(t, "differs") == 0 {
				b.Steps[j].Differ = some(t, "differ", custody.GroupID("g0"), "g2")
			}
		}
	}
	return p
}

// orderedModel plays the log entry by entry: after each approval it tries every seating of the steps so far, and notes when those before an ordered
// step are met first.
func orderedModel(d policy.Document, p policy.Plan, initiator custody.PersonID, votes []policy.Vote) bool {
	members := func(g custody.GroupID) []custody.PersonID {
		for _, x := range d.Groups {
			if x.ID == g {
				return x.Members
			}
		}
		return nil
	}
	for _, b := range p.AnyOf {
		since := make([]uint64, len(b.Steps))
		can := func(s policy.Step, from, until uint64) (out []custody.PersonID) {
			for _, v := range votes {
				barred := slices.ContainsFunc(s.Differ, func(g custody.GroupID) bool { return slices.Contains(members(g), v.Person) })
				if v.Person != initiator && slices.Contains(members(s.Group), v.Person) && !barred && v.Seq > from && v.Seq <= until && (b.ExpiresAfter == 0 || v.Age <= b.ExpiresAfter*1e9) {
					out = append(out, v.Person)
				}
			}
			return out
		}
		var fill func(i, left int, until uint64, used []custody.PersonID, n int) bool
		fill = func(i, left int, until uint64, used []custody.PersonID, n int) bool {
			if i == n {
				return true
			}
			if left == 0 {
				if i+1 == n {
					return true
				}
				return fill(i+1, int(b.Steps[i+1].Min), until, used, n)
			}
			for _, id := range can(b.Steps[i], since[i], until) {
				if !slices.Contains(used, id) && fill(i, left-1, until, append(slices.Clone(used), id), n) {
					return true
				}
			}
			return false
		}
		for i := 1; i < len(b.Steps); i++ {
			if !b.Steps[i].Ordered {
				continue
			}
			since[i] = 1 << 60
			for _, v := range votes {
				if fill(0, int(b.Steps[0].Min), v.Seq, nil, i) {
					since[i] = v.Seq
					break
				}
			}
		}
		people := make(map[custody.PersonID]bool)
		for i, s := range b.Steps {
			for _, id := range can(s, since[i], 1<<62) {
				people[id] = true
			}
		}
		if len(people) >= int(d.Floor.MinDistinctUsers) && fill(0, int(b.Steps[0].Min), 1<<62, nil, len(b.Steps)) {
			return true
		}
	}
	return false
}

// TestOrderedStepsAgreeWithModel, and more approvals never undo a quorum with them either, nor has the order of the list of votes an effect.
func TestOrderedStepsAgreeWithModel(t *testing.T) {
	t.Parallel()
	seen := lawtest.Counts{}
	lawtest.Check(t, seen.Want(1, "met", "met only without an order"), func(t *rapid.T) {
		d := drawDocument(t)
		r := compileIn(t, d)
		p := drawPlan(t, d)
		for i := range p.AnyOf { // of one or two each, so that quorums are met
			p.AnyOf[i].Steps = []policy.Step{{Group: "all", Min: rapid.Uint32Range(1, 2).Draw(t, "first")}}
			for _, g := range some(t, "then", custody.GroupID("g0"), "g1", "g2") {
				p.AnyOf[i].Steps = append(p.AnyOf[i].Steps, policy.Step{Group: g, Min: 1})
			}
		}
		p = harden(t, p)
		for range 12 {
			votes, initiator := votesInOrder(t, d), rapid.SampledFrom(everybody(d)).Draw(t, "initiator")
			got, _ := p.Met(r, initiator, votes)
			if want := orderedModel(d, p, initiator, votes); got != want {
				t.Fatalf("%s by %v: got %t, want %t", p, votes, got, want)
			}
			if again, _ := p.Met(r, initiator, rapid.Permutation(votes).Draw(t, "list")); again != got {
				t.Fatal("the order of the list has an effect")
			}
			cut := rapid.IntRange(0, len(votes)).Draw(t, "cut")
			if early, _ := p.Met(r, initiator, votes[:cut]); early && !got {
				t.Fatal("a later approval undid the quorum")
			}
			if got {
				seen["met"]++
			}
			var flat []policy.Branch
			for _, b := range p.AnyOf {
				b.Steps = slices.Clone(b.Steps)
				for j := range b.Steps {
					b.Steps[j].Ordered = false
				}
				flat = append(flat, b)
			}
			if free, _ := (policy.Plan{AnyOf: flat}).Met(r, initiator, votes); free && !got {
				seen["met only without an order"]++
			}
		}
	})
}

// drawHours gives a calendar some hours.
func drawHours(t *rapid.T, c policy.Calendar, around int64) policy.Calendar {
	part := func() (int64, int64) {
		from := rapid.Int64Range(0, 1439).Draw(t, "from")
		return from, rapid.Int64Range(from+1, 1440).Draw(t, "to")
	}
	for range rapid.IntRange(1, 3).Draw(t, "hours") {
		h := policy.Hours{Days: some(t, "day", uint(1), 2, 3, 4, 5, 6, 7)}
		h.From, h.To = part()
		if len(h.Days) > 0 {
			c.Weekly = append(c.Weekly, h)
		}
	}
	day := around / 86400
	for d := day - 2; d <= day+2; d++ {
		if rapid.IntRange(0, 4).Draw(t, "special") == 0 {
			s := policy.Special{Day: d}
			if rapid.Bool().Draw(t, "open") {
				s.From, s.To = part()
			}
			c.Holidays = append(c.Holidays, s)
		}
	}
	return c
}

// TestHoursAgreeWithTheZone compares hours with package time, second by second around every edge and over changes of the clock.
func TestHoursAgreeWithTheZone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"UTC", "Europe/Zurich", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Kiritimati"} {
		c, loc := inZone(t, name)
		var changes []int64
		for _, o := range c.Offsets[1:] {
			changes = append(changes, o.From)
		}
		rapid.Check(t, func(t *rapid.T) {
			at := rapid.Int64Range(1_000_000_000, 2_000_000_000).Draw(t, "time")
			if len(changes) > 0 && rapid.Bool().Draw(t, "change of the clock") {
				at = rapid.SampledFrom(changes).Draw(t, "change") + rapid.Int64Range(-7200, 7200).Draw(t, "beside")
			}
			c := drawHours(t, c, at)
			plain := func(unix int64) bool {
				l := time.Unix(unix, 0).In(loc)
				minute := int64(l.Hour()*60 + l.Minute())
				for _, s := range c.Holidays {
					if time.Unix(s.Day*86400, 0).UTC().Format(time.DateOnly) == l.Format(time.DateOnly) {
						return s.To > 0 && minute >= s.From && minute < s.To
					}
				}
				return slices.ContainsFunc(c.Weekly, func(h policy.Hours) bool {
					return slices.Contains(h.Days, uint((l.Weekday()+6)%7+1)) && minute >= h.From && minute < h.To
				})
			}
			until := at + rapid.SampledFrom([]int64{0, 1, 60, 3600, 86400}).Draw(t, "length")
			in, out := false, false
			for u := at; u <= until; u = min(until, u-u%60+60) + map[bool]int64{true: 1}[u == until] {
				if plain(u) {
					in = true
				} else {
					out = true
				}
			}
			inside, sure := c.Inside(at, until)
			if sure == (in && out) || sure && inside != in {
				t.Fatalf("%s from %s for %d s: inside %t, sure %t; minute by minute inside %t, outside %t", name, time.Unix(at, 0).In(loc), until-at, inside, sure, in, out)
			}
		})
	}
}
