// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// spring is when clocks go forward in the tests' calendar: 1 June 2030, 00:00 UTC, from UTC+1 to UTC+2.
const spring = 1_906_502_400

func limitedDocument(limits ...policy.Limit) policy.Document {
	d := firstDocument()
	d.Calendars = []policy.Calendar{{ID: "office", Offsets: []policy.Offset{{From: 0, Seconds: 3600}, {From: spring, Seconds: 7200}}}}
	d.Limits = limits
	slices.SortFunc(d.Limits, func(a, b policy.Limit) int { return strings.Compare(a.ID, b.ID) })
	return d
}

func limit(id string, most uint64, w policy.Window, by ...policy.Aspect) policy.Limit {
	return policy.Limit{ID: id, Measure: policy.MeasureAmount, Max: custody.U64(most), Window: w, GroupBy: by, Exceeded: policy.Deny,
		When: policy.Match{Operations: []request.Operation{request.Transfer}, Assets: []custody.AssetID{evm.Native()}}}
}

// limitedWorld has the wallet hot, and rules with limits.
func limitedWorld(t tester, limits ...policy.Limit) *world {
	t.Helper()
	w := worldOf(t, limitedDocument(limits...))
	b := request.WalletCreateBody{Wallet: "hot", Chain: evm, Scheme: request.SchemeEVM}
	w.must(t, w.effect(t, w.approved(t, request.WalletCreate, b, "bob")))
	return w
}

// ask asks for a payment and gives what the rules say of it.
func (w *world) ask(t tester, v uint64) (*entry.Request, custody.RequestID) {
	t.Helper()
	r := w.request(who("service"), request.Transfer, payEVM(v))
	e := w.asked(t, who("service"), r)
	w.must(t, e)
	return e, r.ID()
}

// pay asks for a payment that an automatic route allows, and has it permitted.
func (w *world) pay(t tester, v uint64) {
	t.Helper()
	e, id := w.ask(t, v)
	if e.Decision.Outcome != policy.Allowed {
		t.Fatalf("%d: %+v", v, e.Decision)
	}
	w.must(t, w.permit(t, id, fmt.Sprint(w.s.Next), account0(w.s.NextNonce("hot", 0)), 10))
}

func (w *world) denied(t tester, v uint64, rule string) {
	t.Helper()
	if e, _ := w.ask(t, v); e.Decision.Outcome != policy.Denied || e.Decision.Rule != rule || len(e.Decision.Unmet) == 0 || e.Decision.Unmet[0].Criterion != "limit" || e.Decision.Limits != nil {
		t.Fatalf("%d: %+v, want it denied by %s", v, e.Decision, rule)
	}
}

func TestRollingLimit(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("hour", 100, policy.Window{Rolling: 3600}))
	w.pay(t, 60)
	w.denied(t, 41, "hour")
	w.pay(t, 40)
	w.denied(t, 1, "hour")
	w.advance(time.Hour - 2*time.Second)
	w.denied(t, 1, "hour")
	w.advance(65 * time.Second) // a part of a 60th of the window, and the bounds of the clock
	w.pay(t, 100)
	w.denied(t, 1, "hour")
}

// TestRollingLimitByTheLatestTime: a use counts from the latest time at which it may have happened.
func TestRollingLimitByTheLatestTime(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("hour", 100, policy.Window{Rolling: 3600}))
	w.now = (w.now/60e9 + 1) * 60e9 // the beginning of a part of the window
	w.now, w.bound = w.now+59e9, 2e9
	w.pay(t, 100) // in the next part, perhaps
	w.bound = 1e6
	w.advance(3602 * time.Second)
	w.denied(t, 1, "hour")
}

func TestLimitWithoutEnd(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("ever", 10, policy.Window{}))
	w.pay(t, 10)
	w.advance(800 * 24 * time.Hour)
	w.denied(t, 1, "ever")
}

// TestCalendarLimit: a day begins at midnight of the calendar, also when the clocks change, and around midnight both days are taken.
func TestCalendarLimit(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("day", 100, policy.Window{Unit: policy.Day, Calendar: "office"}))
	at := func(unix int64) { w.now = unix * 1e9 }
	const midnight = spring - 3600 // of the day whose clocks change an hour after
	at(midnight - 60)
	w.pay(t, 100)
	w.denied(t, 1, "day")
	at(midnight)
	w.denied(t, 1, "day") // by the bound of the clock it may be yesterday
	at(midnight + 1)
	w.pay(t, 50)
	at(midnight + 82_799) // the day has 23 hours
	w.denied(t, 51, "day")
	w.bound = 5e9
	w.pay(t, 50) // may be of either day
	w.bound = 1e8
	at(midnight + 82_810)
	w.denied(t, 51, "day")
	w.pay(t, 50)
}

func TestWeeksAndMonths(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("month", 150, policy.Window{Unit: policy.Month, Calendar: "office"}), limit("week", 100, policy.Window{Unit: policy.Week, Calendar: "office"}))
	at := func(s string) {
		x, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		w.now = x.UnixNano()
	}
	at("2030-04-29T12:00:00+01:00") // a Monday
	w.pay(t, 100)
	at("2030-05-01T12:00:00+01:00")
	w.denied(t, 1, "week")
	at("2030-05-05T23:59:58+01:00")
	w.denied(t, 1, "week")
	at("2030-05-06T00:00:01+01:00")
	w.pay(t, 100)
	at("2030-05-13T00:00:01+01:00")
	w.denied(t, 51, "month")
	w.pay(t, 50)
	at("2030-06-01T00:00:01+01:00")
	w.pay(t, 100)
}

// TestLimitReserves: what waits holds its part until it ends.
func TestLimitReserves(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"reject", "cancel", "expire", "permit"} {
		w := limitedWorld(t, limit("day", 5000, policy.Window{Rolling: 86400}))
		r := w.request(who("alice"), request.Transfer, payEVM(4000))
		r.NotAfter = w.now/1e9 + 600
		w.must(t, w.asked(t, who("alice"), r))
		w.pay(t, 1000)
		w.denied(t, 1, "day")
		switch how {
		case "reject":
			w.must(t, w.approval(t, r.ID(), who("bob"), request.Reject))
		case "cancel":
			w.must(t, w.approval(t, r.ID(), who("alice"), request.Cancel))
		case "expire":
			w.advance(time.Hour)
			w.must(t, &entry.Snapshot{Root: w.s.StateRoot()})
		default:
			w.must(t, w.approval(t, r.ID(), who("bob"), request.Approve))
			w.must(t, w.approval(t, r.ID(), who("carol"), request.Approve))
			w.must(t, w.permit(t, r.ID(), "p", account0(1), 10))
			w.denied(t, 1, "day")
			continue
		}
		w.pay(t, 1000)
	}
}

// TestLimitFees: the cap is reserved, the payload's fee is used, and a replacement takes what it pays more.
func TestLimitFees(t *testing.T) {
	t.Parallel()
	l := limit("fees", 1200, policy.Window{Rolling: 86400}, policy.ByChain)
	l.Measure = policy.MeasureFee
	w := limitedWorld(t, l)
	r := w.request(who("alice"), request.Transfer, payEVM(2000)) // may cost 1000
	w.must(t, w.asked(t, who("alice"), r))
	w.denied(t, 1, "fees") // 500 by the route
	w.must(t, w.approval(t, r.ID(), who("bob"), request.Approve))
	w.must(t, w.approval(t, r.ID(), who("carol"), request.Approve))
	w.must(t, w.permit(t, r.ID(), "p", account0(0), 600))
	w.must(t, w.permit(t, r.ID(), "q", account0(0), 700))
	if m := w.s.readings(w.at()); len(m) != 1 || m[0].Used != custody.U64(700) || !m[0].Reserved.IsZero() || m[0].Group[0] != string(evm) {
		t.Fatalf("%+v", m)
	}
	w.pay(t, 1)
	w.refused(t, "more fee than the limit has left", w.permit(t, r.ID(), "r", account0(0), 1000+300))
}

// TestLimitGroups: each wallet, asker and destination counts apart.
func TestLimitGroups(t *testing.T) {
	t.Parallel()
	count := limit("per-asker", 1, policy.Window{Rolling: 86400}, policy.ByInitiator)
	count.Measure = policy.MeasureCount
	w := limitedWorld(t, count, limit("per-place", 100, policy.Window{Rolling: 86400}, policy.ByDestination))
	w.pay(t, 10)
	w.denied(t, 1, "per-asker")
	r := w.request(who("alice"), request.Transfer, payEVM(91))
	if e := w.asked(t, who("alice"), r); e.Decision.Rule != "per-place" {
		t.Fatalf("%+v", e.Decision)
	}
	r = w.request(who("alice"), request.Transfer, payEVM(90))
	e := w.asked(t, who("alice"), r)
	if e.Decision.Outcome != policy.Allowed || len(e.Decision.Limits) != 2 || e.Decision.Limits[1].Group[0] != string(evm)+":"+known {
		t.Fatalf("%+v", e.Decision)
	}
}

// TestLimitHolds: a limit may hold instead; one that denies goes before it.
func TestLimitHolds(t *testing.T) {
	t.Parallel()
	soft := limit("a-soft", 10, policy.Window{Rolling: 86400})
	soft.Exceeded = policy.Hold
	w := limitedWorld(t, soft, limit("b-hard", 20, policy.Window{Rolling: 86400}))
	if e, _ := w.ask(t, 11); e.Decision.Outcome != policy.Held || e.Decision.Rule != "a-soft" {
		t.Fatalf("%+v", e.Decision)
	}
	if e, _ := w.ask(t, 21); e.Decision.Outcome != policy.Denied || e.Decision.Rule != "b-hard" || len(e.Decision.Unmet) != 2 {
		t.Fatalf("%+v", e.Decision)
	}
}

// TestLimitUnderAnotherDocument: a smaller maximum reaches what waits; what a limit counted stays with its id, measure, window and grouping.
func TestLimitUnderAnotherDocument(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("day", 5000, policy.Window{Rolling: 86400}))
	w.pay(t, 900)
	r := w.request(who("alice"), request.Transfer, payEVM(2000))
	w.must(t, w.asked(t, who("alice"), r))
	w.must(t, w.approval(t, r.ID(), who("bob"), request.Approve))
	w.must(t, w.approval(t, r.ID(), who("carol"), request.Approve))
	change := func(l ...policy.Limit) {
		d := w.s.Doc
		d.Version, d.PrevHash = d.Version+1, d.Hash()
		d.Limits = l
		w.must(t, w.effect(t, w.approved(t, request.PolicyChange, request.PolicyChangeBody{Document: d.Encode()}, "bob", "carol")))
	}
	change(limit("day", 2500, policy.Window{Rolling: 86400}))
	w.refused(t, "more than the smaller limit", w.permit(t, r.ID(), "p", account0(1), 10))
	p, _ := w.s.Pending(r.ID())
	if err := w.s.Ready(p, w.at(), Derive); err == nil || !strings.Contains(err.Error(), "day") {
		t.Fatalf("got %v", err)
	}
	change(limit("day", 3000, policy.Window{Rolling: 86400}))
	w.must(t, w.permit(t, r.ID(), "p", account0(1), 10))
	w.denied(t, 101, "day")
	change(limit("day", 100, policy.Window{Rolling: 86401}))
	w.pay(t, 100)
	change()
	w.pay(t, 1000)
	if n := len(w.s.meters); n != 0 {
		t.Fatalf("%d meters without a limit", n)
	}
}

// TestLimitArithmetic: Apply refuses what passes a limit or takes in a way that the document does not have; Audit what leaves a limit out.
func TestLimitArithmetic(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("day", 100, policy.Window{Rolling: 86400}))
	w.pay(t, 50)
	r := w.request(who("service"), request.Transfer, payEVM(50))
	for why, spoil := range map[string]func(d *policy.Decision){
		"more than is left":  func(d *policy.Decision) { d.Limits[0].Amount = custody.U64(51) },
		"another limit":      func(d *policy.Decision) { d.Limits[0].Limit = "week" },
		"a group too many":   func(d *policy.Decision) { d.Limits[0].Group = []string{"x"} },
		"twice":              func(d *policy.Decision) { d.Limits = append(d.Limits, d.Limits[0]) },
		"more than any sum":  func(d *policy.Decision) { d.Limits[0].Amount = overflow },
		"twice half, sorted": func(d *policy.Decision) { d.Limits = []policy.Charge{d.Limits[0], d.Limits[0]} },
	} {
		e := w.asked(t, who("service"), r)
		spoil(&e.Decision)
		w.refused(t, why, e)
	}
	e := w.asked(t, who("service"), r)
	e.Decision.Limits = nil
	if err := w.s.Audit(w.leaf(e), e, Derive, nil); err == nil {
		t.Fatal("a limit can be left out")
	}
}

// TestMetersEnd: what counts no more leaves nothing behind, and a restored state has the same meters.
func TestMetersEnd(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("hour", 1000, policy.Window{Rolling: 3600}), limit("day", 100_000, policy.Window{Unit: policy.Day, Calendar: "office"}, policy.ByDestination))
	for range 10 {
		w.pay(t, 3)
		w.advance(400 * time.Second)
		w.restores(t)
	}
	w.advance(72 * time.Hour)
	w.must(t, &entry.Snapshot{Root: w.s.StateRoot()})
	if len(w.s.meters) != 0 || len(w.s.Image().Meters) != 0 {
		t.Fatalf("%d meters are left", len(w.s.meters))
	}
}

// reading is what a limit has counted for a group, for people.
type reading struct {
	Limit    string
	Group    []string
	Used     custody.Uint256 // within the window
	Reserved custody.Uint256
}

// readings gives the meters in order of limit and group.
func (s *State) readings(at Moment) (out []reading) {
	all := slices.SortedFunc(maps.Values(s.meters), func(a, b *meter) int {
		if a.limit != b.limit {
			return bytes.Compare([]byte(a.limit), []byte(b.limit))
		}
		return slices.Compare(a.group, b.group)
	})
	for _, m := range all {
		out = append(out, reading{m.limit, m.group, m.within(s.Rules, at), m.reserved})
	}
	return out
}

// restores says that the state comes back from its image with what is reserved.
func (w *world) restores(t tester) {
	t.Helper()
	var m Image
	if err := canon.Decode(canon.Encode(w.s.Image()), &m); err != nil {
		t.Fatal(err)
	}
	chunks := w.s.Chunks()
	s, err := Restore(m, func(h [32]byte) ([]byte, error) { return chunks[h], nil })
	if err != nil {
		t.Fatal(err)
	}
	a := s.readings(w.at())
	b := w.s.readings(w.at())
	if fmt.Sprint(a) != fmt.Sprint(b) || s.StateRoot() != w.s.StateRoot() {
		t.Fatalf("restored %v, was %v", a, b)
	}
}

// TestLimitsAreNeverPassed: under any interleaving, what permits used in any window, by exact reckoning over all of them, is never more than
// the limit; and what has room for certain is not refused.
func TestLimitsAreNeverPassed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const most, hour = 1000, 3600
		office := policy.Window{Unit: policy.Day, Calendar: "office"}
		w := limitedWorld(t, limit("hour", most, policy.Window{Rolling: hour}), limit("day", 3*most, office))
		w.now = (spring-86400)*1e9 + rapid.Int64Range(0, 86400*1e9).Draw(t, "begin")
		type use struct {
			at, bound int64 // nanoseconds
			v         uint64
		}
		var used []use
		held := map[custody.RequestID]uint64{}
		nonce := uint64(0)
		inHour := func(slack int64) (n uint64) { // at a time that may be slack later than it is
			for _, u := range used {
				if u.at+u.bound > w.now-w.bound-hour*1e9-slack {
					n += u.v
				}
			}
			return n
		}
		dayOf := func(at int64) int64 { return w.s.Rules.Place(office, floorSeconds(at)) }
		inDay := func(day int64) (sure, maybe uint64) {
			for _, u := range used {
				a, b := dayOf(u.at-u.bound), dayOf(u.at+u.bound)
				if a == day && b == day {
					sure += u.v
				}
				if a == day || b == day {
					maybe += u.v
				}
			}
			return sure, maybe
		}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			w.now += rapid.Int64Range(0, 1800*1e9).Draw(t, "wait")
			w.bound = rapid.SampledFrom([]int64{1e6, 1e9, 60e9}).Draw(t, "bound")
			if id, ok := anyOf(t, held); ok && rapid.Bool().Draw(t, "end") {
				if _, waits := w.s.Pending(id); waits {
					if b := w.permit(t, id, fmt.Sprint(w.s.Next), account0(nonce), 1); rapid.Bool().Draw(t, "permit") && w.write(b) == nil {
						used = append(used, use{w.now, w.bound, held[id]})
						nonce++
						if n := inHour(0); n > most {
							t.Fatalf("%d may have been used in an hour", n)
						}
					} else if w.write(w.approval(t, id, who("service"), request.Cancel)) != nil {
						continue
					}
				}
				delete(held, id)
			} else {
				v := rapid.Uint64Range(1, 600).Draw(t, "amount")
				e, id := w.ask(t, v)
				waits := v
				for _, h := range held {
					waits += h
				}
				_, day := inDay(dayOf(w.now - w.bound))
				_, next := inDay(dayOf(w.now + w.bound))
				sure := inHour(hour*1e9/60+120e9)+waits <= most && max(day, next)+waits <= 3*most
				if sure && e.Decision.Outcome != policy.Allowed {
					t.Fatalf("%d has room, and: %+v", v, e.Decision)
				}
				if e.Decision.Outcome == policy.Allowed {
					held[id] = v
				}
			}
			for _, u := range used {
				if n, _ := inDay(dayOf(u.at)); n > 3*most {
					t.Fatalf("%d in a day", n)
				}
			}
			w.restores(t)
		}
	})
}

func anyOf(t *rapid.T, held map[custody.RequestID]uint64) (custody.RequestID, bool) {
	var ids []custody.RequestID
	for id := range held {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return custody.RequestID{}, false
	}
	slices.SortFunc(ids, func(a, b custody.RequestID) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return rapid.SampledFrom(ids).Draw(t, "request"), true
}

// TestGapUsesLimitsUp: after a gap nothing fits until the window has ended; a limit for all time is used up for good.
func TestGapUsesLimitsUp(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("hour", 100, policy.Window{Rolling: 3600}, policy.ByInitiator))
	w.s.useUp(entry.Leaf{Time: w.now, Bound: w.bound})
	w.denied(t, 1, "hour")
	w.restores(t)
	w.advance(62 * time.Minute)
	w.pay(t, 100)
	w = limitedWorld(t, limit("ever", 100, policy.Window{}))
	w.s.useUp(entry.Leaf{Time: w.now, Bound: w.bound})
	w.advance(800 * 24 * time.Hour)
	w.denied(t, 1, "ever")
}

// TestLimitWhereClocksFallBack: a day that comes twice, because local time falls back over midnight, is one day, whatever the bound of the
// clock.
func TestLimitWhereClocksFallBack(t *testing.T) {
	t.Parallel()
	w := worldOf(t, limitedDocument(limit("day", 100, policy.Window{Unit: policy.Day, Calendar: "office"})))
	d := w.s.Doc
	d.Version, d.PrevHash = 2, d.Hash()
	d.Calendars = []policy.Calendar{{ID: "office", Offsets: []policy.Offset{{From: 0, Seconds: 3600}, {From: spring - 3600 + 60, Seconds: 0}}}} // at 00:01 it is 23:01 again
	w.must(t, w.effect(t, w.approved(t, request.PolicyChange, request.PolicyChangeBody{Document: d.Encode()}, "bob", "carol")))
	b := request.WalletCreateBody{Wallet: "hot", Chain: evm, Scheme: request.SchemeEVM}
	w.must(t, w.effect(t, w.approved(t, request.WalletCreate, b, "bob")))
	w.now = (spring - 3600 + 60) * 1e9
	w.pay(t, 100)
	w.denied(t, 1, "day")
}

// TestLimitOfAnotherCalendar: with other offsets a limit counts anew, and the diff says so to who approves.
func TestLimitOfAnotherCalendar(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("day", 100, policy.Window{Unit: policy.Day, Calendar: "office"}))
	w.pay(t, 100)
	d := w.s.Doc
	d.Version, d.PrevHash = d.Version+1, d.Hash()
	d.Calendars = []policy.Calendar{{ID: "office", Offsets: []policy.Offset{{From: 0, Seconds: 3600 - 86000}}}}
	if got := strings.Join(policy.Diff(w.s.Doc, d), "\n"); !strings.Contains(got, "limit day is now, and counts anew from zero") || !strings.Contains(got, "local time is now UTC-22:53:20 at first") {
		t.Fatalf("got %s", got)
	}
	w.must(t, w.effect(t, w.approved(t, request.PolicyChange, request.PolicyChangeBody{Document: d.Encode()}, "bob", "carol")))
	if m := w.s.readings(w.at()); len(m) != 0 {
		t.Fatalf("%+v", m)
	}
}

// TestWhatWasAskedBeforeAGap: in production, a request that may be one that was lost is refused until it has ended for certain.
func TestWhatWasAskedBeforeAGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.s.Profile = custody.Production
	w.s.Doc.Floor.RequestTTL = 3600
	at := w.now / 1e9
	w.s.anchoring = &Anchoring{Incarnation: 2, GapAt: w.now, Fresh: at + 1 + 3600}
	r := w.request(who("alice"), request.Transfer, payEVM(5))
	r.NotAfter = at + 3500
	parsed, err := request.Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.DecideRequest(parsed, policy.BySignature, w.at(), Derive); err == nil || !strings.Contains(err.Error(), fmt.Sprint(at+3601)) {
		t.Fatalf("got %v", err)
	}
	w.advance(2 * time.Hour)
	r.NotAfter = w.now/1e9 + 600
	if parsed, err = request.Parse(r.Encode()); err != nil {
		t.Fatal(err)
	}
	if _, err := w.s.DecideRequest(parsed, policy.BySignature, w.at(), Derive); err != nil {
		t.Fatal(err)
	}
}
