// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/pure/policy"
)

// diffOf tells what differs when the sample's calendar changes.
func diffOf(a, b policy.Calendar) string {
	was, is := sample(), sample()
	was.Calendars, is.Calendars = []policy.Calendar{a}, []policy.Calendar{b}
	return strings.Join(policy.Diff(was, is), "\n")
}

// changesIn is a zone's calendar without the offsets that repeat the one before.
func changesIn(t *testing.T, zone string) policy.Calendar {
	t.Helper()
	c, _ := inZone(t, zone)
	c.Offsets = slices.CompactFunc(c.Offsets, func(a, b policy.Offset) bool { return a.Seconds == b.Seconds })
	return c
}

// TestCalendarsInWords: forty years of a zone are a line; what is otherwise in some years stands out.
func TestCalendarsInWords(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"UTC": `called "UTC", local time is UTC`,
		"Europe/Zurich": `called "Europe/Zurich", local time is UTC+01:00 at first; by the clock before each change, 2000 to 2039: ` +
			`UTC+02:00 from 02:00 on the last Sunday of March, UTC+01:00 from 03:00 on the last Sunday of October`,
		"America/New_York": `called "America/New_York", local time is UTC-05:00 at first; by the clock before each change, 2000 to 2006: ` +
			`UTC-04:00 from 02:00 on the first Sunday of April, UTC-05:00 from 02:00 on the last Sunday of October; 2007 to 2039: ` +
			`UTC-04:00 from 02:00 on the second Sunday of March, UTC-05:00 from 02:00 on the first Sunday of November`,
	} {
		if got := changesIn(t, name).String(); got != want {
			t.Errorf("%s: got %q", name, got)
		}
	}
	c := changesIn(t, "Europe/Zurich")
	other := c
	other.Offsets = slices.Clone(c.Offsets)
	i := slices.IndexFunc(other.Offsets, func(o policy.Offset) bool { return o.From > time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC).Unix() })
	other.Offsets[i].From += 7 * 86400
	odd := "2030: local time is now UTC+02:00 from 02:00 on the first Sunday of April, UTC+01:00 from 03:00 on the last Sunday of October; " +
		"it was UTC+02:00 from 02:00 on the last Sunday of March, UTC+01:00 from 03:00 on the last Sunday of October"
	if got := diffOf(c, other); got != "calendar here, "+odd {
		t.Errorf("one change moved: %q", got)
	}
	other.Offsets = c.Offsets[:i]
	if got := diffOf(c, other); !strings.HasPrefix(got, "calendar here, 2030 to 2039: local time is now as at the end of the year before; it was UTC+02:00 from 02:00") || strings.Contains(got, "\n") {
		t.Errorf("no changes from 2030 on: %q", got)
	}
	other.Offsets = slices.Clone(c.Offsets)
	other.Offsets[0].From--
	if got := diffOf(c, other); !strings.Contains(got, "which makes no difference") {
		t.Errorf("the first offset's beginning: %q", got)
	}
}

// TestCalendarsDifferLineByLine: name, hours and each holiday are told for themselves.
func TestCalendarsDifferLineByLine(t *testing.T) {
	t.Parallel()
	week := []policy.Hours{{Days: []uint{1, 2}, From: 540, To: 1020}}
	a := policy.Calendar{ID: "here", Zone: "UTC", Offsets: []policy.Offset{{}}, Weekly: week, Holidays: []policy.Special{{Day: 20454}, {Day: 20455}, {Day: 20456}}}
	b := policy.Calendar{ID: "here", Zone: "Elsewhere", Offsets: []policy.Offset{{Seconds: -12645}}, Weekly: []policy.Hours{{Days: []uint{1}, From: 60, To: 1440}},
		Holidays: []policy.Special{{Day: 20455, From: 60, To: 120}, {Day: 20456}, {Day: 20457}}}
	want := strings.Join([]string{
		`calendar here is now called "Elsewhere"; it was called "UTC"`,
		"calendar here: local time is now UTC-03:30:45 at first; it was UTC",
		"calendar here is now open Mon 01:00 to 24:00; it was open Mon, Tue 09:00 to 17:00",
		"calendar here is now: not on 2026-01-02 but 01:00 to 02:00; it was: not on 2026-01-02",
		"calendar here is otherwise on a day more: not on 2026-01-04",
		"calendar here is as the week says again on 2026-01-01; it was: not on 2026-01-01",
	}, "\n")
	if got := diffOf(a, b); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	none := b
	none.Weekly, none.Holidays = nil, nil
	if got := diffOf(a, none); !strings.Contains(got, "is now open without hours; it was open Mon, Tue") {
		t.Error(got)
	}
}

// TestCalendarWordsLoseNothing: calendars in the same words have the same local time at every moment, and what differs is told.
func TestCalendarWordsLoseNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		at := int64(1_750_000_000)
		draw := func(n int) (out []policy.Offset) {
			from := at
			for range n {
				out = append(out, policy.Offset{From: from, Seconds: int64(rapid.IntRange(-2, 3).Draw(t, "hours")) * 3600})
				from += int64(rapid.SampledFrom([]int{1, 59, 3600, 6 * 86400, 7 * 86400, 28 * 86400, 364 * 86400, 366 * 86400}).Draw(t, "later"))
			}
			return out
		}
		a := policy.Calendar{ID: "here", Zone: "x", Offsets: draw(rapid.IntRange(1, 8).Draw(t, "offsets"))}
		b := a
		b.Offsets = slices.Clone(a.Offsets)
		i := rapid.IntRange(0, len(b.Offsets)-1).Draw(t, "which")
		if rapid.Bool().Draw(t, "moved") {
			b.Offsets[i].From += int64(rapid.SampledFrom([]int{0, 1, 60, 3600, 86400, 7 * 86400, 365 * 86400}).Draw(t, "by"))
			slices.SortFunc(b.Offsets, func(x, y policy.Offset) int { return int(x.From - y.From) })
		} else {
			b.Offsets[i].Seconds += int64(rapid.SampledFrom([]int{0, 1, 3600}).Draw(t, "more"))
		}
		equal := a.Offsets[0].Seconds == b.Offsets[0].Seconds && slices.Equal(a.Offsets[1:], b.Offsets[1:])
		if (a.String() == b.String()) != equal {
			t.Fatalf("%v and %v:\n%s\n%s", a.Offsets, b.Offsets, a, b)
		}
		if (diffOf(a, b) == "") != slices.Equal(a.Offsets, b.Offsets) {
			t.Fatalf("%v and %v: %q", a.Offsets, b.Offsets, diffOf(a, b))
		}
	})
}
