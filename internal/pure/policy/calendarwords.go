// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"time"
)

// years are consecutive years in which local time changes in the same words, which tell the date of each change in each of them.
type years struct {
	first, last int
	words       string
}

// String tells it in words.
func (y years) String() string { return y.span() + ": " + y.words }

func (y years) span() string {
	if y.first == y.last {
		return fmt.Sprint(y.first)
	}
	return fmt.Sprintf("%d to %d", y.first, y.last)
}

// yearly tells the changes of local time after the first offset, by the year in which they are.
func (c Calendar) yearly() map[int]string {
	out := make(map[int]string)
	for i := 1; i < len(c.Offsets); i++ {
		before, o := c.Offsets[i-1], c.Offsets[i]
		at := time.Unix(o.From+before.Seconds, 0).UTC() // as a clock there shows it
		s := fmt.Sprintf("%s from %s on %s", fromUTC(o.Seconds), clockOf(at), dayInWords(at))
		if was := out[at.Year()]; was != "" {
			s = was + ", " + s
		}
		out[at.Year()] = s
	}
	return out
}

// inYears puts years together that say the same.
func inYears(words map[int]string) (out []years) {
	var all []int
	for y := range words {
		all = append(all, y)
	}
	slices.Sort(all)
	for _, y := range all {
		if n := len(out); n > 0 && out[n-1].last == y-1 && out[n-1].words == words[y] {
			out[n-1].last = y
			continue
		}
		out = append(out, years{y, y, words[y]})
	}
	return out
}

// dayInWords names a day of a month by its day of the week: the last, or the first to the fourth, which is enough to find it in any year.
func dayInWords(at time.Time) string {
	which := "last"
	if next := at.AddDate(0, 0, 7); next.Month() == at.Month() {
		which = [...]string{"first", "second", "third", "fourth"}[(at.Day()-1)/7]
	}
	return fmt.Sprintf("the %s %s of %s", which, at.Weekday(), at.Month())
}

func clockOf(at time.Time) string {
	if at.Second() == 0 {
		return at.Format("15:04")
	}
	return at.Format(time.TimeOnly)
}

// fromUTC names an offset.
func fromUTC(seconds int64) string {
	if seconds == 0 {
		return "UTC"
	}
	sign := "+"
	if seconds < 0 {
		sign, seconds = "-", -seconds
	}
	return "UTC" + sign + clockOf(time.Unix(seconds, 0).UTC())
}

// atFirst gives the first offset; of a calendar without any, which no document has that may be used, UTC.
func (c Calendar) atFirst() Offset {
	if len(c.Offsets) == 0 {
		return Offset{}
	}
	return c.Offsets[0]
}

// localTime tells the offsets in words, each of them: the zone's name is what its author says.
func (c Calendar) localTime() string {
	s := "local time is " + fromUTC(c.atFirst().Seconds)
	if list := inYears(c.yearly()); len(list) > 0 {
		s += " at first; by the clock before each change, " + said(list, "; ")
	}
	return s
}

// String tells a calendar in words.
func (c Calendar) String() string {
	return fmt.Sprintf("called %q, %s%s", c.Zone, c.localTime(), c.hours())
}

// diffCalendar tells what differs between two calendars with the same id, one sentence a change.
func diffCalendar(a, b Calendar, say func(string, ...any)) {
	if a.Zone != b.Zone {
		say("calendar %s is now called %q; it was called %q", a.ID, b.Zone, a.Zone)
	}
	if !slices.Equal(a.Offsets, b.Offsets) {
		diffLocalTime(a, b, say)
	}
	if !same(a.Weekly, b.Weekly) {
		say("calendar %s is now open %s; it was open %s", a.ID, weekly(b.Weekly), weekly(a.Weekly))
	}
	both(a.Holidays, b.Holidays, func(s Special) string { return dateOf(s.Day) },
		func(s Special) { say("calendar %s is otherwise on a day more: not on %s", a.ID, s) },
		func(s Special) {
			say("calendar %s is as the week says again on %s; it was: not on %s", a.ID, dateOf(s.Day), s)
		},
		func(was, is Special) {
			if was != is {
				say("calendar %s is now: not on %s; it was: not on %s", a.ID, is, was)
			}
		})
}

func weekly(list []Hours) string {
	if len(list) == 0 {
		return "without hours"
	}
	return said(list, " and ")
}

// diffLocalTime tells how offsets that differ do.
func diffLocalTime(a, b Calendar, say func(string, ...any)) {
	told := false
	if was, is := a.atFirst(), b.atFirst(); was.Seconds != is.Seconds {
		say("calendar %s: local time is now %s at first; it was %s", a.ID, fromUTC(is.Seconds), fromUTC(was.Seconds))
		told = true
	}
	was, is := a.yearly(), b.yearly()
	changed := make(map[int]string)
	for _, list := range []map[int]string{was, is} {
		for y := range list {
			if was[y] != is[y] {
				changed[y] = fmt.Sprintf("local time is now %s; it was %s", orSteady(is[y]), orSteady(was[y]))
			}
		}
	}
	for _, y := range inYears(changed) {
		say("calendar %s, %s", a.ID, y)
		told = true
	}
	if !told { // when the first offset began: what was before has it too
		say("calendar %s: its first offset is noted from %s; it was from %s, which makes no difference", a.ID, utc(b.atFirst().From), utc(a.atFirst().From))
	}
}

func orSteady(words string) string {
	if words == "" {
		return "as at the end of the year before"
	}
	return words
}
