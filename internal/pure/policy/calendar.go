// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"
	"time"

	"strongroom/internal/pure/custody"
)

// Calendar says what a day is somewhere: the offsets of local time from UTC. They stand in the document, because what a zone's name means
// differs between machines and years; who approves a document approves them.
type Calendar struct {
	ID      string   `cbor:"1,keyasint"`
	Zone    string   `cbor:"2,keyasint,omitempty"` // name in the IANA time zone database that the offsets were taken from, for people
	Offsets []Offset `cbor:"3,keyasint"`           // by rising time; what was before the first has its offset too

	Weekly   []Hours   `cbor:"4,keyasint,omitempty"` // what counts as inside, in local time; sorted
	Holidays []Special `cbor:"5,keyasint,omitempty"` // days that are otherwise; by rising day, distinct
}

// Offset is local time less UTC from a time on.
type Offset struct {
	From    int64 `cbor:"1,keyasint"` // Unix seconds
	Seconds int64 `cbor:"2,keyasint"` // within a day
}

const daySeconds = 86400

func (d Document) calendar(id string) (Calendar, bool) {
	i, ok := slices.BinarySearchFunc(d.Calendars, id, func(c Calendar, id string) int { return compare(c.ID, id) })
	if !ok {
		return Calendar{}, false
	}
	return d.Calendars[i], true
}

// Offsets gives the offsets of a window's calendar; nil for a window without one. The result must not be changed.
func (d Document) Offsets(w Window) []Offset {
	c, _ := d.calendar(w.Calendar)
	return c.Offsets
}

func (d Document) checkCalendars() error {
	if len(d.Calendars) > MaxCalendars {
		return fmt.Errorf("has %d calendars, more than %d", len(d.Calendars), MaxCalendars)
	}
	for i, c := range d.Calendars {
		if err := custody.CheckSlug("calendar", c.ID); err != nil {
			return err
		}
		if i > 0 && d.Calendars[i-1].ID >= c.ID {
			return fmt.Errorf("calendars must be sorted by id and distinct: %s comes after %s", c.ID, d.Calendars[i-1].ID)
		}
		if err := checkText("zone", c.Zone, 64); err != nil {
			return inItem("calendars", "calendar", c.ID, err)
		}
		if n := len(c.Offsets); n == 0 || n > MaxOffsets {
			return fmt.Errorf("calendar %s has %d offsets; want 1 to %d", c.ID, n, MaxOffsets)
		}
		for j, o := range c.Offsets {
			if o.Seconds <= -daySeconds || o.Seconds >= daySeconds || o.From < 0 || o.From > 1<<40 || j > 0 && c.Offsets[j-1].From >= o.From {
				return fmt.Errorf("calendar %s: offset %d is a day or more, or does not come after the one before", c.ID, j+1)
			}
		}
		if err := c.checkHours(); err != nil {
			return inItem("calendars", "calendar", c.ID, err)
		}
	}
	return nil
}

// local gives local time as seconds, as if it were UTC.
func (c Calendar) local(unix int64) int64 {
	i, _ := slices.BinarySearchFunc(c.Offsets, unix+1, func(o Offset, at int64) int {
		if o.From < at {
			return -1
		}
		return 1
	})
	return unix + c.Offsets[max(i-1, 0)].Seconds
}

// period numbers the periods of a calendar, without gaps.
func (c Calendar) period(u Unit, unix int64) int64 {
	day := floorDiv(c.local(unix), daySeconds) // 0 is Thursday, 1 January 1970
	switch u {
	case Month:
		at := time.Unix(day*daySeconds, 0).UTC()
		return int64(at.Year())*12 + int64(at.Month()) - 1
	case Week:
		return floorDiv(day+3, 7)
	default:
		return day
	}
}

// gone is a time, in Unix seconds, at which a period is over for certain.
func (u Unit) gone(period int64) int64 {
	end := (period + 1) * daySeconds
	switch u {
	case Month:
		end = time.Date(int(floorDiv(period+1, 12)), time.Month(period+1-12*floorDiv(period+1, 12))+1, 1, 0, 0, 0, 0, time.UTC).Unix()
	case Week:
		end = ((period+1)*7 - 3) * daySeconds
	}
	return end + daySeconds // no place is a day or more behind UTC
}

// buckets is how many parts a rolling window has. A use counts until the whole part that it fell into is older than the window: up to one part too long, never too short.
const buckets = 60

func (w Window) bucket() int64 { return max(1, (w.Rolling+buckets-1)/buckets) }

// Place is the part of time that a use at a certain time counts in: number of a bucket of a rolling window, of a calendar's period, 0 for all time.
func (r *Rules) Place(w Window, unix int64) int64 {
	switch {
	case w.Rolling > 0:
		return floorDiv(unix, w.bucket())
	case w.Unit != "":
		c, _ := r.doc.calendar(w.Calendar)
		return c.period(w.Unit, unix)
	default:
		return 0
	}
}

// Counts says whether a use in a place may still be inside the window at a certain time, which is not later than the true one.
func (r *Rules) Counts(w Window, place, unix int64) bool {
	switch {
	case w.Rolling > 0:
		return (place+1)*w.bucket() > unix-w.Rolling
	case w.Unit != "":
		return place >= r.Place(w, unix)
	default:
		return true
	}
}

// Gone is a time, in Unix seconds, from which on a use in a place counts no more for certain; false if it counts for ever.
func (w Window) Gone(place int64) (int64, bool) {
	switch {
	case w.Rolling > 0:
		return (place+1)*w.bucket() + w.Rolling, true
	case w.Unit != "":
		return w.Unit.gone(place), true
	default:
		return 0, false
	}
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}
