// SPDX-License-Identifier: Apache-2.0

package rulefile

import (
	"cmp"
	"sort"
	"time"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/rulefile/strictyaml"
	"strongroom/internal/pure/policy"
)

// A calendar that names a zone and no offsets gets those of these years from the machine's time zone database.
const (
	firstYear = 2025
	lastYear  = 2060
)

func byCalendar(a, b policy.Calendar) int { return cmp.Compare(a.ID, b.ID) }
func byLimit(a, b policy.Limit) int       { return cmp.Compare(a.ID, b.ID) }
func byFrom(a, b policy.Offset) int       { return cmp.Compare(a.From, b.From) }

func (r *reader) calendar(n *yaml.Node, path string) (c policy.Calendar) {
	r.Mapping(n, path, strictyaml.Fields{
		"id":      func(n *yaml.Node, path string) { c.ID = r.Text(n, path) },
		"zone":    func(n *yaml.Node, path string) { c.Zone = r.Text(n, path) },
		"offsets": func(n *yaml.Node, path string) { c.Offsets = items(r, n, path, r.offset, byFrom) },

		"weekly":   func(n *yaml.Node, path string) { c.Weekly = items(r, n, path, r.hours, policy.CompareHours) },
		"holidays": func(n *yaml.Node, path string) { c.Holidays = items(r, n, path, r.special, byDay) },
	}, "id", "zone")
	if r.Err != nil || len(c.Offsets) > 0 {
		return c
	}
	loc, err := time.LoadLocation(c.Zone)
	if err != nil || c.Zone == "" || c.Zone == "Local" {
		r.Fail(n, path, "zone %q is not in this machine's time zone database; want a name like Europe/Zurich or UTC, and the package tzdata", c.Zone)
		return c
	}
	c.Offsets = offsetsOf(loc)
	return c
}

// offsetsOf lists the offsets of a place: days are compared with the day before, and the second of a change is searched for. (Bounds of
// zones, as package time tells them, don't always lead on around the end of a year.)
func offsetsOf(loc *time.Location) (out []policy.Offset) {
	offset := func(unix int64) int64 {
		_, seconds := time.Unix(unix, 0).In(loc).Zone()
		return int64(seconds)
	}
	first := time.Date(firstYear, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	out = append(out, policy.Offset{From: first, Seconds: offset(first)})
	for day, last := first, time.Date(lastYear+1, 1, 1, 0, 0, 0, 0, time.UTC).Unix(); day < last; day += 86400 {
		if was := offset(day); offset(day+86400) != was {
			n := sort.Search(86400, func(i int) bool { return offset(day+int64(i)) != was })
			out = append(out, policy.Offset{From: day + int64(n), Seconds: offset(day + int64(n))})
		}
	}
	return out
}

func (r *reader) offset(n *yaml.Node, path string) (o policy.Offset) {
	r.Mapping(n, path, strictyaml.Fields{
		"from": func(n *yaml.Node, path string) {
			s, ok := r.Scalar(n, path, "a time, for instance 2026-03-29T01:00:00Z", "!!str", "!!timestamp")
			if !ok {
				return
			}
			at, err := time.Parse(time.RFC3339, s)
			if err != nil {
				r.Fail(n, path, "%q: want a time like 2026-03-29T01:00:00Z", s)
			}
			o.From = at.Unix()
		},
		"offset": func(n *yaml.Node, path string) {
			s := r.Text(n, path)
			at, err := time.Parse("-07:00:00", s)
			if err != nil {
				at, err = time.Parse("-07:00", s)
			}
			if err != nil && r.Err == nil {
				r.Fail(n, path, `%q: want hours and minutes from UTC, for instance "+02:00"`, s)
			}
			_, seconds := at.Zone()
			o.Seconds = int64(seconds)
		},
	}, "from", "offset")
	return o
}

func (r *reader) limit(n *yaml.Node, path string) (l policy.Limit) {
	l.Exceeded = policy.Deny
	r.Mapping(n, path, strictyaml.Fields{
		"id":      func(n *yaml.Node, path string) { l.ID = r.Text(n, path) },
		"title":   func(n *yaml.Node, path string) { l.Title = r.Text(n, path) },
		"when":    func(n *yaml.Node, path string) { l.When = r.match(n, path) },
		"measure": func(n *yaml.Node, path string) { l.Measure = policy.Measure(r.Text(n, path)) },
		"max": func(n *yaml.Node, path string) {
			if u := r.amount(n, path); u != nil {
				l.Max = *u
			}
		},
		"window":   func(n *yaml.Node, path string) { l.Window = r.window(n, path) },
		"groupBy":  func(n *yaml.Node, path string) { l.GroupBy = set[policy.Aspect](r, n, path) },
		"onExceed": func(n *yaml.Node, path string) { l.Exceeded = policy.Effect(r.Text(n, path)) },
		"plan": func(n *yaml.Node, path string) {
			p := r.plan(n, path)
			l.Plan = &p
		},
		"currency": func(n *yaml.Node, path string) { l.Currency = r.Text(n, path) },
	}, "id", "when", "measure", "max", "window")
	return l
}

// window reads one of {rolling: 24h}, {calendar: day, in: zurich} and {lifetime: true}.
func (r *reader) window(n *yaml.Node, path string) (w policy.Window) {
	var kinds int
	r.Mapping(n, path, strictyaml.Fields{
		"rolling": func(n *yaml.Node, path string) {
			kinds++
			if w.Rolling = r.duration(n, path); w.Rolling == 0 {
				r.Fail(n, path, "a window has a length")
			}
		},
		"calendar": func(n *yaml.Node, path string) {
			kinds++
			if w.Unit = policy.Unit(r.Text(n, path)); w.Unit == "" {
				r.Fail(n, path, "want day, week or month")
			}
		},
		"in": func(n *yaml.Node, path string) { w.Calendar = r.Text(n, path) },
		"lifetime": func(n *yaml.Node, path string) {
			kinds++
			if !r.Boolean(n, path) {
				r.Fail(n, path, "want true; a window that ends is rolling or of a calendar")
			}
		},
	})
	if r.Err == nil && (kinds != 1 || (w.Unit == "") != (w.Calendar == "")) {
		r.Fail(n, path, "want one of {rolling: 24h}, {calendar: day, in: <id of a calendar>} and {lifetime: true}")
	}
	return w
}

func calendarNode(c policy.Calendar) *yaml.Node {
	offsets := each(c.Offsets, func(o policy.Offset) *yaml.Node {
		at := time.Unix(0, 0).In(time.FixedZone("", int(o.Seconds)))
		shown := at.Format("-07:00")
		if o.Seconds%60 != 0 {
			shown = at.Format("-07:00:00")
		}
		return flow((&node{}).add("from", text(time.Unix(o.From, 0).UTC().Format(time.RFC3339))).add("offset", text(shown)))
	})
	return hoursNodes((&node{}).add("id", text(c.ID)).add("zone", text(c.Zone)).add("offsets", offsets), c).mapping()
}

func limitNode(l policy.Limit) *yaml.Node {
	w := &node{}
	switch {
	case l.Window.Rolling > 0:
		w.add("rolling", duration(l.Window.Rolling))
	case l.Window.Unit != "":
		w.add("calendar", text(string(l.Window.Unit))).add("in", text(l.Window.Calendar))
	default:
		w.add("lifetime", boolean(true))
	}
	out := (&node{}).add("id", text(l.ID)).addIf(l.Title != "", "title", text(l.Title)).add("when", matchNode(l.When)).
		add("measure", text(string(l.Measure))).addIf(l.Currency != "", "currency", text(l.Currency)).add("max", amount(&l.Max)).add("window", flow(w)).
		addIf(len(l.GroupBy) > 0, "groupBy", texts(l.GroupBy)).add("onExceed", text(string(l.Exceeded)))
	if l.Plan != nil {
		out.add("plan", planNode(*l.Plan))
	}
	return out.mapping()
}
