// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Hours is a part of some days of the week, in local time.
type Hours struct {
	Days []uint `cbor:"1,keyasint"` // 1 is Monday, 7 Sunday; ascending, distinct
	From int64  `cbor:"2,keyasint"` // minutes from midnight, inclusive
	To   int64  `cbor:"3,keyasint"` // minutes from midnight, exclusive; 1,440 is the end of the day
}

// Special is a day that is not as the week says: shut, or open from one time to another.
type Special struct {
	Day  int64 `cbor:"1,keyasint"`           // days from 1 January 1970, local
	From int64 `cbor:"2,keyasint,omitempty"` // as with [Hours]
	To   int64 `cbor:"3,keyasint,omitempty"` // 0: shut all day
}

const dayMinutes = 24 * 60

func checkPart(from, to int64) error {
	if from < 0 || from >= to || to > dayMinutes {
		return errors.New("from must come before to, both within the day; hours over midnight are two")
	}
	return nil
}

func (c Calendar) checkHours() error {
	if len(c.Weekly) > MaxHours || len(c.Holidays) > MaxHolidays {
		return fmt.Errorf("has %d weekly hours and %d holidays; want at most %d and %d", len(c.Weekly), len(c.Holidays), MaxHours, MaxHolidays)
	}
	if len(c.Holidays) > 0 && len(c.Weekly) == 0 {
		return errors.New("has holidays and no weekly hours from which they could differ")
	}
	for i, h := range c.Weekly {
		if i > 0 && CompareHours(c.Weekly[i-1], h) >= 0 {
			return fmt.Errorf("weekly hours must be sorted and distinct: item %d", i+1)
		}
		for j, d := range h.Days {
			if d < 1 || d > 7 || j > 0 && h.Days[j-1] >= d {
				return fmt.Errorf("weekly hours, item %d: days must be sorted and distinct", i+1)
			}
		}
		if len(h.Days) == 0 {
			return fmt.Errorf("weekly hours, item %d: no day", i+1)
		}
		if err := checkPart(h.From, h.To); err != nil {
			return fmt.Errorf("weekly hours, item %d: %w", i+1, err)
		}
	}
	for i, s := range c.Holidays {
		if s.Day < 0 || s.Day > 1<<20 || i > 0 && c.Holidays[i-1].Day >= s.Day {
			return fmt.Errorf("holidays must be sorted and distinct, from 1970 on: item %d", i+1)
		}
		if s.From == 0 && s.To == 0 {
			continue
		}
		if err := checkPart(s.From, s.To); err != nil {
			return fmt.Errorf("holidays, item %d: %w", i+1, err)
		}
	}
	return nil
}

// CompareHours orders weekly hours.
func CompareHours(a, b Hours) int {
	return cmp.Or(slices.Compare(a.Days, b.Days), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
}

// parts gives what of a local day is inside, in minutes.
func (c Calendar) parts(day int64) [][2]int64 {
	if i, special := slices.BinarySearchFunc(c.Holidays, day, func(s Special, d int64) int { return cmp.Compare(s.Day, d) }); special {
		if s := c.Holidays[i]; s.To > 0 {
			return [][2]int64{{s.From, s.To}}
		}
		return nil
	}
	week := uint(floorMod(day+3, 7) + 1) // day 0 was a Thursday
	var out [][2]int64
	for _, h := range c.Weekly {
		if slices.Contains(h.Days, week) {
			out = append(out, [2]int64{h.From, h.To})
		}
	}
	return out
}

// at says whether a second is inside, and until when that is so at least: a later second, at which it may change.
func (c Calendar) at(unix int64) (inside bool, until int64) {
	local := c.local(unix)
	day := floorDiv(local, daySeconds)
	next := daySeconds * (day + 1)
	for _, p := range c.parts(day) {
		from, to := day*daySeconds+p[0]*60, day*daySeconds+p[1]*60
		inside = inside || from <= local && local < to
		for _, edge := range []int64{from, to} {
			if edge > local {
				next = min(next, edge)
			}
		}
	}
	until = unix + next - local
	if i, _ := slices.BinarySearchFunc(c.Offsets, unix, func(o Offset, at int64) int {
		if o.From <= at {
			return -1
		}
		return 1
	}); i < len(c.Offsets) {
		until = min(until, c.Offsets[i].From)
	}
	return inside, until
}

// longestUnsure is the longest interval that is looked at, in seconds. A clock that knows less knows nothing.
const longestUnsure = 86400

// Inside says whether all of an interval of Unix seconds, both ends included, is inside the calendar's hours; sure is false if a part is and
// another is not.
func (c Calendar) Inside(earliest, latest int64) (inside, sure bool) {
	if latest < earliest || latest-earliest > longestUnsure {
		return false, false
	}
	inside, next := c.at(earliest)
	for next <= latest {
		var now bool
		if now, next = c.at(next); now != inside {
			return false, false
		}
	}
	return inside, true
}

func floorMod(a, b int64) int64 { return a - b*floorDiv(a, b) }

func utc(unix int64) string { return time.Unix(unix, 0).UTC().Format(time.RFC3339) }

func clock(minutes int64) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }

// dateOf writes a day as a rule file has it.
func dateOf(day int64) string { return time.Unix(day*daySeconds, 0).UTC().Format(time.DateOnly) }

// String tells hours in words.
func (h Hours) String() string {
	days := make([]string, len(h.Days))
	for i, d := range h.Days {
		days[i] = time.Weekday(d % 7).String()[:3]
	}
	return fmt.Sprintf("%s %s to %s", strings.Join(days, ", "), clock(h.From), clock(h.To))
}

// String tells a special day in words.
func (s Special) String() string {
	if s.To == 0 {
		return dateOf(s.Day)
	}
	return fmt.Sprintf("%s but %s to %s", dateOf(s.Day), clock(s.From), clock(s.To))
}

// hours tells what is inside, in words; empty for a calendar without hours.
func (c Calendar) hours() string {
	if len(c.Weekly) == 0 {
		return ""
	}
	s := "; open " + said(c.Weekly, " and ")
	if len(c.Holidays) > 0 {
		s += ", not on " + said(c.Holidays, ", ")
	}
	return s
}

func said[T fmt.Stringer](list []T, sep string) string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = v.String()
	}
	return strings.Join(out, sep)
}
