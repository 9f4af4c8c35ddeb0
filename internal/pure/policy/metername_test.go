// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// meterName is what docs/spec/limits.md says that a meter's name is the hash of.
type meterName struct {
	ID      string          `cbor:"1,keyasint"`
	Measure policy.Measure  `cbor:"2,keyasint"`
	Window  policy.Window   `cbor:"3,keyasint"`
	GroupBy []policy.Aspect `cbor:"4,keyasint"`
	Group   []string        `cbor:"5,keyasint"`
	Offsets []policy.Offset `cbor:"6,keyasint,omitempty"`

	Currency string `cbor:"7,keyasint,omitempty"`
}

// TestMeterNamesAreHashesOfTheWhole: a name that is put together from parts prepared beforehand is that of the specification, for every window, grouping and
// group, the ramp's too.
func TestMeterNamesAreHashesOfTheWhole(t *testing.T) {
	t.Parallel()
	zone, _ := inZone(t, "Europe/Zurich")
	zone.ID = "zurich"
	utc := policy.Calendar{ID: "utc", Offsets: []policy.Offset{{}}}
	aspects := []policy.Aspect{policy.ByAsset, policy.ByChain, policy.ByCounterparty, policy.ByDestination, policy.ByInitiator, policy.BySource}
	rapid.Check(t, func(t *rapid.T) {
		d := withLedger()
		d.Calendars = []policy.Calendar{utc, zone}
		l := policy.Limit{ID: rapid.StringMatching(`x[a-z]{0,40}`).Draw(t, "id"), When: policy.Match{Operations: []request.Operation{request.Transfer}}, Measure: policy.MeasureCount, Exceeded: policy.Deny}
		l.Window = rapid.SampledFrom([]policy.Window{{}, {Rolling: 3600}, {Unit: policy.Day, Calendar: "utc"}, {Unit: policy.Month, Calendar: "zurich"}}).Draw(t, "window")
		for _, a := range aspects {
			if rapid.Bool().Draw(t, string(a)) {
				l.GroupBy = append(l.GroupBy, a)
			}
		}
		if rapid.Bool().Draw(t, "money") {
			d.PriceSources = []policy.PriceSource{source()}
			l.Measure, l.Currency = policy.MeasureFiat, "USD"
		}
		d.Limits = []policy.Limit{l}
		r := compileIn(t, d)
		group := rapid.SliceOfN(rapid.StringN(0, 300, -1), -1, 6).Draw(t, "group")
		if rapid.Bool().Draw(t, "none") {
			group = nil
		}
		all := []policy.Limit{l}
		for _, id := range []string{policy.RuleRamp, policy.RuleBlacklist, policy.RuleSuspended} {
			x, ok := r.Limit(id)
			if !ok {
				t.Fatalf("no limit %s", id)
			}
			all = append(all, x)
		}
		for _, l := range all {
			want := canon.Hash(canon.TagMeter, meterName{l.ID, l.Measure, l.Window, l.GroupBy, group, d.Offsets(l.Window), l.Currency})
			if got := r.MeterName(l.ID, group); got != want {
				t.Fatalf("%s: %x, want %x", l.ID, got, want)
			}
		}
		if r.MeterName("another", group) != [32]byte{} {
			t.Fatal("a limit that is not in the document has a name")
		}
	})
}
