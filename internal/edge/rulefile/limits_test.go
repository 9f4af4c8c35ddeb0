// SPDX-License-Identifier: Apache-2.0

package rulefile_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/edge/rulefile"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

const withLimits = `
calendars:
  - {id: zurich, zone: Europe/Zurich}
limits:
  - id: week
    title: a week's money
    when: {operation: [transfer], asset: {ids: ["eip155:1/slip44:60"]}}
    measure: amount
    max: "5000000000000000000"
    window: {calendar: week, in: zurich}
    groupBy: [source, initiator]
    onExceed: hold
  - id: ever
    when: {}
    measure: count
    max: 10
    window: {lifetime: true}
  - id: day
    when: {operation: [transfer], source: {chains: ["eip155:1"]}}
    measure: fee
    max: 10
    window: {rolling: 1d}
`

func TestLimitsOfARuleFile(t *testing.T) {
	t.Parallel()
	file := append(example(t), withLimits...)
	d := parse(t, file)
	if err := d.Check(custody.Production); err != nil {
		t.Fatal(err)
	}
	if len(d.Limits) != 3 || d.Limits[0].ID != "day" || d.Limits[0].Window.Rolling != 86400 || d.Limits[0].Exceeded != policy.Deny || d.Limits[1].Window != (policy.Window{}) ||
		d.Limits[2].Exceeded != policy.Hold || !slices.Equal(d.Limits[2].GroupBy, []policy.Aspect{policy.ByInitiator, policy.BySource}) || !slices.Equal(d.Limits[2].When.Operations, []request.Operation{request.Transfer}) {
		t.Fatalf("%+v", d.Limits)
	}
	loc, err := time.LoadLocation("Europe/Zurich")
	if err != nil {
		t.Fatal(err)
	}
	c := d.Calendars[0]
	if n := len(c.Offsets); n < 70 || n > 73 {
		t.Fatalf("%d offsets in 36 years with two changes each", n)
	}
	for _, o := range c.Offsets {
		if _, seconds := time.Unix(o.From, 0).In(loc).Zone(); int64(seconds) != o.Seconds {
			t.Fatalf("at %d it is %d from UTC, not %d", o.From, seconds, o.Seconds)
		}
	}
	out, err := rulefile.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	if again := parse(t, out); again.Hash() != d.Hash() {
		t.Fatalf("rendered and read it is another document:\n%s", out)
	}
}

func TestLimitsThatCantBeRead(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ old, now, want string }{
		{"zone: Europe/Zurich", "zone: Europe/Atlantis", "time zone database"},
		{"zone: Europe/Zurich", "zone: Local", "time zone database"},
		{"zone: Europe/Zurich}", `zone: x, offsets: [{from: "today", offset: "+01:00"}]}`, "want a time"},
		{"zone: Europe/Zurich}", `zone: x, offsets: [{from: "2026-03-29T01:00:00Z", offset: "CET"}]}`, "want hours and minutes"},
		{"{lifetime: true}", "{lifetime: false}", "want true"},
		{"{lifetime: true}", "{}", "want one of"},
		{"{rolling: 1d}", "{rolling: 0h}", "want"},
		{"{rolling: 1d}", "{rolling: 1d, lifetime: true}", "want one of"},
		{"{calendar: week, in: zurich}", "{calendar: week}", "want one of"},
		{"    max: 10\n    window: {lifetime: true}", "    window: {lifetime: true}", "max"},
		{"groupBy: [source, initiator]", "groupBy: [source, source]", "twice"},
	} {
		if !strings.Contains(withLimits, c.old) {
			t.Fatalf("the file has no %q", c.old)
		}
		_, err := rulefile.Parse(append(example(t), strings.Replace(withLimits, c.old, c.now, 1)...))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.now, err, c.want)
		}
	}
}
