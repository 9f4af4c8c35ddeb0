// SPDX-License-Identifier: Apache-2.0

package rulefile

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/rulefile/strictyaml"
	"strongroom/internal/pure/policy"
)

func byObligation(a, b policy.Obligation) int { return cmp.Compare(a.ID, b.ID) }
func byDay(a, b policy.Special) int           { return cmp.Compare(a.Day, b.Day) }

func (r *reader) obligation(n *yaml.Node, path string) (o policy.Obligation) {
	r.Mapping(n, path, strictyaml.Fields{
		"id":    func(n *yaml.Node, path string) { o.ID = r.Text(n, path) },
		"title": func(n *yaml.Node, path string) { o.Title = r.Text(n, path) },
		"when": func(n *yaml.Node, path string) {
			r.obliging = true
			o.When = r.match(n, path)
			r.obliging = false
		},
		"add": func(n *yaml.Node, path string) {
			r.Mapping(n, path, strictyaml.Fields{
				"plan": func(n *yaml.Node, path string) {
					p := r.plan(n, path)
					o.Add.Plan = &p
				},
				"delay":             func(n *yaml.Node, path string) { o.Add.Delay = r.duration(n, path) },
				"minDistinctGroups": func(n *yaml.Node, path string) { o.Add.MinGroups = uint32(r.Number(n, path, 32)) },
			})
		},
	}, "id", "when", "add")
	return o
}

// named is a list of names that may not be empty.
func named[T ~string](r *reader, n *yaml.Node, path string) []T {
	vs := members[T](r, n, path)
	if r.Err == nil && len(vs) == 0 {
		r.Fail(n, path, "the list is empty; leave the key out")
	}
	return vs
}

// time reads {inside: business} or {outside: business}.
func (r *reader) time(n *yaml.Node, path string) *policy.TimeMatch {
	var t policy.TimeMatch
	r.Mapping(n, path, strictyaml.Fields{
		"inside":  func(n *yaml.Node, path string) { t.Inside = r.Text(n, path) },
		"outside": func(n *yaml.Node, path string) { t.Outside = r.Text(n, path) },
	})
	if r.Err == nil && (t.Inside == "") == (t.Outside == "") {
		r.Fail(n, path, "want one of {inside: <id of a calendar>} and {outside: <id of a calendar>}")
	}
	return &t
}

// weekdays are the days as rule files name them, Monday first.
var weekdays = [...]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

func (r *reader) hours(n *yaml.Node, path string) (h policy.Hours) {
	r.Mapping(n, path, strictyaml.Fields{
		"days": func(n *yaml.Node, path string) {
			for _, d := range named[string](r, n, path) {
				i := slices.Index(weekdays[:], d)
				if i < 0 {
					r.Fail(n, path, "%q: want some of %v", d, weekdays)
				}
				h.Days = append(h.Days, uint(i+1))
			}
			slices.Sort(h.Days)
		},
		"from": func(n *yaml.Node, path string) { h.From = r.clock(n, path) },
		"to":   func(n *yaml.Node, path string) { h.To = r.clock(n, path) },
	}, "days", "from", "to")
	return h
}

// special reads a date, which is shut, or {date: 2026-12-24, from: "09:00", to: "12:00"}.
func (r *reader) special(n *yaml.Node, path string) (s policy.Special) {
	date := func(n *yaml.Node, path string) {
		text, ok := r.Scalar(n, path, "a date, for instance 2026-12-25", "!!str", "!!timestamp")
		if !ok {
			return
		}
		at, err := time.Parse(time.DateOnly, text)
		if err != nil || at.Unix() < 0 {
			r.Fail(n, path, "%q: want a date like 2026-12-25", text)
		}
		s.Day = at.Unix() / 86400
	}
	if n.Kind == yaml.ScalarNode {
		date(n, path)
		return s
	}
	r.Mapping(n, path, strictyaml.Fields{
		"date": date,
		"from": func(n *yaml.Node, path string) { s.From = r.clock(n, path) },
		"to":   func(n *yaml.Node, path string) { s.To = r.clock(n, path) },
	}, "date", "from", "to")
	return s
}

// clock reads hours and minutes of a day, 00:00 to 24:00, and gives minutes.
func (r *reader) clock(n *yaml.Node, path string) int64 {
	text, ok := r.Scalar(n, path, `a time of day in quotes, for instance "08:30"`, "!!str")
	if !ok || text == "24:00" {
		return 24 * 60
	}
	at, err := time.Parse("15:04", text)
	if err != nil || at.Format("15:04") != text {
		r.Fail(n, path, `%q: want hours and minutes, "00:00" to "24:00"`, text)
	}
	return int64(at.Hour()*60 + at.Minute())
}

func clockNode(minutes int64) *yaml.Node {
	return text(fmt.Sprintf("%02d:%02d", minutes/60, minutes%60))
}

// hoursNodes adds the hours of a calendar.
func hoursNodes(m *node, c policy.Calendar) *node {
	weekly := each(c.Weekly, func(h policy.Hours) *yaml.Node {
		days := make([]string, len(h.Days))
		for i, d := range h.Days {
			days[i] = weekdays[(d+6)%7]
		}
		return flow((&node{}).add("days", texts(days)).add("from", clockNode(h.From)).add("to", clockNode(h.To)))
	})
	holidays := each(c.Holidays, func(s policy.Special) *yaml.Node {
		date := text(time.Unix(s.Day*86400, 0).UTC().Format(time.DateOnly))
		if s.To == 0 {
			return date
		}
		return flow((&node{}).add("date", date).add("from", clockNode(s.From)).add("to", clockNode(s.To)))
	})
	return m.addIf(len(c.Weekly) > 0, "weekly", weekly).addIf(len(c.Holidays) > 0, "holidays", holidays)
}

func stepNode(s policy.Step) *yaml.Node {
	return flow((&node{}).add("group", text(string(s.Group))).add("min", number(uint64(s.Min))).addIf(s.Ordered, "ordered", boolean(true)).
		addIf(s.Hardware, "hardwareOnly", boolean(true)).addIf(len(s.Differ) > 0, "mustDifferFrom", texts(s.Differ)).addIf(len(s.Veto) > 0, "veto", texts(s.Veto)))
}

func obligationNode(o policy.Obligation) *yaml.Node {
	add := &node{}
	if o.Add.Plan != nil {
		add.add("plan", planNode(*o.Add.Plan))
	}
	add.addIf(o.Add.Delay > 0, "delay", duration(o.Add.Delay)).addIf(o.Add.MinGroups > 0, "minDistinctGroups", number(uint64(o.Add.MinGroups)))
	return (&node{}).add("id", text(o.ID)).addIf(o.Title != "", "title", text(o.Title)).add("when", matchNode(o.When)).add("add", add.mapping()).mapping()
}
