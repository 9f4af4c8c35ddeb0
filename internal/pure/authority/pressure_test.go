// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"slices"
	"testing"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

// TestPressure: what is told of limits is what refuses: the part that is used and reserved, of the fullest group, in the window of now.
func TestPressure(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, limit("ever", 1000, policy.Window{}), limit("hour", 100, policy.Window{Rolling: 3600}, policy.ByDestination), limit("none", 5000, policy.Window{Rolling: 60}))
	want := func(ever, hour, none uint64) {
		t.Helper()
		got := w.s.Pressure(w.at())
		if !slices.Equal(got, []LimitPressure{{"ever", ever}, {"hour", hour}, {"none", none}}) {
			t.Fatalf("got %v, want %d %d %d", got, ever, hour, none)
		}
	}
	want(0, 0, 0)
	w.pay(t, 60)
	want(60, 600, 12)
	w.ask(t, 25) // waits: reserved
	want(85, 850, 17)
	w.denied(t, 16, "hour")
	w.pay(t, 15)
	want(100, 1000, 20)
	w.advance(2 * time.Hour)
	if got := w.s.Pressure(w.at()); got[0].PerMille < 75 || got[1].PerMille > 250 {
		t.Fatalf("later: %v", got)
	}
}

func TestPerMille(t *testing.T) {
	t.Parallel()
	most := custody.Uint256{}
	for i := range most {
		most[i] = 0xff
	}
	for _, tt := range []struct {
		used, limit custody.Uint256
		want        uint64
	}{{custody.U64(0), custody.U64(0), 1000}, {custody.U64(0), custody.U64(7), 0}, {custody.U64(7), custody.U64(7), 1000}, {custody.U64(799), custody.U64(1000), 799}, {most, most, 1000},
		{most, custody.U64(1), 2000}, {custody.U64(3), custody.U64(2), 1500}} {
		if got := perMille(tt.used, tt.limit); got != tt.want {
			t.Errorf("%s of %s: got %d, want %d", tt.used, tt.limit, got, tt.want)
		}
	}
}

// TestGrantsNear: a grant is near its end in time, or by its uses.
func TestGrantsNear(t *testing.T) {
	t.Parallel()
	a := newApps(t)
	near := func(seconds int64, want uint64) {
		t.Helper()
		if got := a.s.GrantsNear(a.at(), seconds); got != want {
			t.Fatalf("within %d s: %d grants, want %d", seconds, got, want)
		}
	}
	near(7200, 0)
	b := a.body("counted")
	b.MaxUses = 10
	seq := a.grant(t, b)
	a.grant(t, a.body("endless"))
	near(7200, 2)
	near(60, 0)
	a.must(t, used(seq, 1, 7, 0x1041))
	near(60, 0)
	a.must(t, used(seq, 1, 1, 0x1041))
	near(60, 1)
}

func TestLastWarmEnd(t *testing.T) {
	t.Parallel()
	v := newVault(t)
	if end := v.s.LastWarmEnd(); end != 0 {
		t.Fatalf("none is open, it ends at %d", end)
	}
	v.opens(t, evm.Native(), 100, 600)
	if end := v.s.LastWarmEnd(); end < v.now/1e9+500 || end > v.now/1e9+600 {
		t.Fatalf("got %d, now %d", end, v.now/1e9)
	}
}
