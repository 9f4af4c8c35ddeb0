// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// inZone is a calendar with a zone's offsets of some decades.
func inZone(t *testing.T, name string) (policy.Calendar, *time.Location) {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	c := policy.Calendar{ID: "here", Zone: name}
	for at := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).In(loc); at.Year() < 2040; {
		_, s := at.Zone()
		c.Offsets = append(c.Offsets, policy.Offset{From: at.Unix(), Seconds: int64(s)})
		if _, at = at.ZoneBounds(); at.IsZero() {
			break
		}
	}
	return c, loc
}

// TestPeriodsAreThoseOfTheZone compares days, ISO weeks and months with package time, in zones with all sorts of clocks.
func TestPeriodsAreThoseOfTheZone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"UTC", "Europe/Zurich", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Kiritimati", "Pacific/Pago_Pago"} {
		c, loc := inZone(t, name)
		d := sample()
		d.Calendars = []policy.Calendar{c}
		d.Limits = []policy.Limit{{ID: "x", Measure: policy.MeasureCount, Exceeded: policy.Deny, Window: policy.Window{Unit: policy.Day, Calendar: "here"}}}
		r, err := policy.Compile(d)
		if err != nil {
			t.Fatal(err)
		}
		rapid.Check(t, func(t *rapid.T) {
			at := rapid.Int64Range(c.Offsets[0].From, c.Offsets[0].From+39*365*86400).Draw(t, "time")
			next := at + rapid.Int64Range(0, 40*86400).Draw(t, "later")
			a, b := time.Unix(at, 0).In(loc), time.Unix(next, 0).In(loc)
			ay, aw := a.ISOWeek()
			by, bw := b.ISOWeek()
			for u, alike := range map[policy.Unit]bool{
				policy.Day:   a.Format(time.DateOnly) == b.Format(time.DateOnly),
				policy.Week:  ay == by && aw == bw,
				policy.Month: a.Year() == b.Year() && a.Month() == b.Month(),
			} {
				w := policy.Window{Unit: u, Calendar: "here"}
				p, q := r.Place(w, at), r.Place(w, next)
				if (p == q) != alike || p > q {
					t.Fatalf("%s: %s of %v is %d, of %v is %d", name, u, a, p, b, q)
				}
				if gone, ends := w.Gone(p); !ends || gone <= at || r.Place(w, gone) == p || r.Counts(w, p, gone) {
					t.Fatalf("%s: %s %d is gone at %d", name, u, p, gone)
				}
			}
		})
	}
}

// TestRollingWindowIsNeverTooShort: a use counts for the whole window, and a 60th of it longer at most.
func TestRollingWindowIsNeverTooShort(t *testing.T) {
	t.Parallel()
	r, err := policy.Compile(sample())
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		w := policy.Window{Rolling: rapid.Int64Range(policy.MinTTL, policy.MaxWindow).Draw(t, "window")}
		at := rapid.Int64Range(0, 1<<40).Draw(t, "time")
		place := r.Place(w, at)
		bucket := (w.Rolling + 59) / 60
		if !r.Counts(w, place, at+w.Rolling) {
			t.Fatal("it is forgotten too early")
		}
		if r.Counts(w, place, at+w.Rolling+bucket) {
			t.Fatal("it is kept for more than a part longer")
		}
		if gone, ends := w.Gone(place); !ends || r.Counts(w, place, gone) {
			t.Fatal("it counts after it is gone")
		}
	})
}

func TestChargesOfManyOutputs(t *testing.T) {
	t.Parallel()
	d := sample()
	transfers := policy.Match{Operations: []request.Operation{request.Transfer}}
	d.Limits = []policy.Limit{
		{ID: "all", When: transfers, Measure: policy.MeasureAmount, GroupBy: []policy.Aspect{policy.ByAsset}, Exceeded: policy.Deny},
		{ID: "count", Measure: policy.MeasureCount, Exceeded: policy.Deny},
		{ID: "each", When: transfers, Measure: policy.MeasureAmount, GroupBy: []policy.Aspect{policy.ByAsset, policy.ByDestination}, Exceeded: policy.Deny},
		{ID: "fee", When: transfers, Measure: policy.MeasureFee, GroupBy: []policy.Aspect{policy.ByChain}, Exceeded: policy.Deny},
		{ID: "wrong", When: policy.Match{Operations: []request.Operation{request.Transfer}, Expr: `destinations[5].amount > amount("1")`}, Measure: policy.MeasureCount, Exceeded: policy.Deny},
	}
	r, err := policy.Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	f := policy.Facts{Operation: request.Transfer, Initiator: d.Principals[0].ID, Evidence: policy.BySignature, Wallet: "hot", Chain: "eip155:1", Asset: custody.ChainID("eip155:1").Native(), Total: *u("9"),
		Destinations: []policy.Destination{{Address: "b", Amount: *u("2")}, {Address: "a", Amount: *u("3")}, {Address: "b", Amount: *u("4")}}}
	got, err := r.Charges(f, *u("7"))
	if err != nil {
		t.Fatal(err)
	}
	asset := string(f.Asset)
	want := []policy.Charge{{"all", []string{asset}, *u("9"), nil}, {"count", nil, *u("1"), nil}, {"each", []string{asset, "eip155:1:a"}, *u("3"), nil}, {"each", []string{asset, "eip155:1:b"}, *u("6"), nil},
		{"fee", []string{"eip155:1"}, *u("7"), nil}, {"wrong", nil, *u("1"), nil}}
	if !slices.EqualFunc(got, want, func(a, b policy.Charge) bool {
		return a.Limit == b.Limit && a.Amount == b.Amount && slices.Equal(a.Group, b.Group)
	}) {
		t.Fatalf("got %+v", got)
	}
	f = policy.Facts{Operation: request.AddressCreate, Initiator: d.Principals[0].ID, Wallet: "hot", Chain: "eip155:1", Count: 4}
	if got, err := r.Charges(f, *u("0")); err != nil || len(got) != 1 || got[0].Limit != "count" {
		t.Fatalf("got %+v, %v", got, err)
	}
	if got, err := r.Charges(policy.Facts{Operation: request.GroupSet, Initiator: d.Principals[0].ID}, *u("0")); err != nil || got != nil {
		t.Fatalf("got %+v, %v", got, err)
	}
	f = policy.Facts{Operation: request.Transfer, Initiator: d.Principals[0].ID, Asset: f.Asset}
	for i := range policy.MaxCharges + 1 {
		f.Destinations = append(f.Destinations, policy.Destination{Address: strings.Repeat("x", i)})
	}
	if _, err := r.Charges(f, *u("0")); err == nil {
		t.Fatal("any number of charges is taken")
	}
}

func TestLimitsThatAreRefused(t *testing.T) {
	t.Parallel()
	good := policy.Limit{ID: "day", Measure: policy.MeasureAmount, Exceeded: policy.Deny, Window: policy.Window{Unit: policy.Day, Calendar: "here"},
		When: policy.Match{Operations: []request.Operation{request.Transfer}, Assets: []custody.AssetID{custody.ChainID("eip155:1").Native()}}}
	for want, spoil := range map[string]func(d *policy.Document, l *policy.Limit){
		"":                  func(*policy.Document, *policy.Limit) {},
		"can't be limited":  func(_ *policy.Document, l *policy.Limit) { l.When.Operations = []request.Operation{request.GroupSet} },
		"different assets":  func(_ *policy.Document, l *policy.Limit) { l.When.Assets = nil },
		"different chains":  func(_ *policy.Document, l *policy.Limit) { l.Measure, l.When.Assets = policy.MeasureFee, nil },
		"nothing else pays": func(_ *policy.Document, l *policy.Limit) { l.When.Operations = nil },
		"the whole transfer's": func(_ *policy.Document, l *policy.Limit) {
			l.Measure, l.GroupBy = policy.MeasureFee, []policy.Aspect{policy.ByDestination}
		},
		"nothing else has": func(_ *policy.Document, l *policy.Limit) {
			l.Measure, l.When.Operations, l.GroupBy = policy.MeasureCount, nil, []policy.Aspect{policy.ByDestination}
		},
		"measure":  func(_ *policy.Document, l *policy.Limit) { l.Measure = "hope" },
		"onExceed": func(_ *policy.Document, l *policy.Limit) { l.Exceeded = "" },
		"sorted and distinct": func(_ *policy.Document, l *policy.Limit) {
			l.GroupBy = []policy.Aspect{policy.BySource, policy.ByAsset}
		},
		"groupBy: \"moon\"":        func(_ *policy.Document, l *policy.Limit) { l.GroupBy = []policy.Aspect{"moon"} },
		"both":                     func(_ *policy.Document, l *policy.Limit) { l.Window.Rolling = 3600 },
		"window.rolling":           func(_ *policy.Document, l *policy.Limit) { l.Window = policy.Window{Rolling: 59} },
		"window.calendar":          func(_ *policy.Document, l *policy.Limit) { l.Window.Unit = "year" },
		"not in the document":      func(_ *policy.Document, l *policy.Limit) { l.Window.Calendar = "there" },
		"another rule has this id": func(d *policy.Document, l *policy.Limit) { l.ID = d.Guards[0].ID },
		"reserved":                 func(_ *policy.Document, l *policy.Limit) { l.ID = "floor" },
		"does not come after": func(d *policy.Document, _ *policy.Limit) {
			d.Calendars[0].Offsets = append(d.Calendars[0].Offsets, policy.Offset{})
		},
		"want 1 to":                func(d *policy.Document, _ *policy.Limit) { d.Calendars[0].Offsets = nil },
		"a day or more":            func(d *policy.Document, _ *policy.Limit) { d.Calendars[0].Offsets[0].Seconds = 86400 },
		"calendars must be sorted": func(d *policy.Document, _ *policy.Limit) { d.Calendars = append(d.Calendars, d.Calendars[0]) },
		"limits must be sorted":    func(d *policy.Document, l *policy.Limit) { d.Limits = []policy.Limit{*l} },
	} {
		d := sample()
		d.Calendars = []policy.Calendar{{ID: "here", Offsets: []policy.Offset{{}}}}
		l := good
		spoil(&d, &l)
		if d.Limits = append(d.Limits, l); want == "limits must be sorted" {
			d.Limits[0].ID = "week"
		}
		_, err := policy.Compile(d)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

// TestDiffTellsWhatCountsAnew: who approves a document is told which meters begin again.
func TestDiffTellsWhatCountsAnew(t *testing.T) {
	t.Parallel()
	a := sample()
	a.Limits = []policy.Limit{{ID: "day", Measure: policy.MeasureCount, Max: *u("5"), Window: policy.Window{Rolling: 86400}, Exceeded: policy.Deny}}
	b := sample()
	for want, l := range map[string]policy.Limit{
		"limit day is now: ":                           {ID: "day", Measure: policy.MeasureCount, Max: *u("4"), Window: policy.Window{Rolling: 86400}, Exceeded: policy.Hold},
		"limit day is now, and counts anew from zero":  {ID: "day", Measure: policy.MeasureCount, Max: *u("5"), Window: policy.Window{Rolling: 86401}, Exceeded: policy.Deny},
		"limit day is removed, and what it counted is": {ID: "other", Measure: policy.MeasureCount, Exceeded: policy.Deny},
	} {
		b.Limits = []policy.Limit{l}
		if got := policy.Diff(a, b); len(got) == 0 || !slices.ContainsFunc(got, func(s string) bool { return strings.HasPrefix(s, want) }) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := policy.Diff(a, a); len(got) != 0 {
		t.Errorf("got %q", got)
	}
}
