// SPDX-License-Identifier: Apache-2.0

package timeguard

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAgree(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		in   []interval
		n    int
		want interval
		ok   bool
	}{
		{"one answers", []interval{{0, 9}}, 3, interval{}, false},
		{"two of three touch", []interval{{0, 5}, {5, 9}}, 3, interval{0, 9}, true}, // either may be the liar
		{"two of three don't", []interval{{0, 4}, {5, 9}}, 3, interval{}, false},
		{"all meet", []interval{{0, 6}, {4, 9}, {5, 20}}, 3, interval{4, 9}, true}, // any two may be right
		{"one is elsewhere", []interval{{0, 6}, {4, 9}, {50, 60}}, 3, interval{4, 6}, true},
		{"nobody meets", []interval{{0, 1}, {4, 9}, {50, 60}}, 3, interval{}, false},
		{"a chain", []interval{{0, 3}, {2, 6}, {5, 9}}, 3, interval{2, 6}, true},
		{"two pairs of four", []interval{{0, 3}, {1, 4}, {10, 13}, {11, 14}}, 4, interval{}, false},
		{"three of four", []interval{{0, 3}, {1, 4}, {2, 13}, {11, 14}}, 4, interval{2, 3}, true},
		{"four of five answer", []interval{{0, 3}, {1, 4}, {2, 5}, {90, 91}}, 5, interval{1, 4}, true},
	} {
		got, ok := agree(tc.in, tc.n)
		if ok != tc.ok || ok && got != tc.want {
			t.Errorf("%s: got %v, %t", tc.name, got, ok)
		}
	}
}

// TestAgreeHoldsTheTime: as long as fewer than half of all sources lie, whoever is silent, what comes out holds the true time; and it is
// no wider than the widest of the honest sources together.
func TestAgreeHoldsTheTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "sources")
		lie := rapid.IntRange(0, liars(n)).Draw(t, "liars")
		const truth = int64(1e18)
		span := rapid.Int64Range(0, 1000)
		var in []interval
		honest := 0
		for i := range n {
			if rapid.Bool().Draw(t, "silent") && rapid.Bool().Draw(t, "really") {
				continue
			}
			if i < lie {
				low := truth + rapid.Int64Range(-2000, 2000).Draw(t, "lie")
				in = append(in, interval{low, low + span.Draw(t, "width")})
				continue
			}
			honest++
			in = append(in, interval{truth - span.Draw(t, "below"), truth + span.Draw(t, "above")})
		}
		in = rapid.Permutation(in).Draw(t, "order")
		before := slices.Clone(in)
		got, ok := agree(in, n)
		if !slices.Equal(in, before) {
			t.Fatal("the answers were changed")
		}
		if honest >= n-liars(n) && !ok {
			t.Fatal("a majority that is honest does not agree")
		}
		if ok && (truth < got.low || got.high < truth) {
			t.Fatalf("the true time is not in %+d %+d", got.low-truth, got.high-truth)
		}
		if again, _ := agree(before, n); again != got {
			t.Fatal("asked twice it says two things")
		}
	})
}

// TestAgreeModel compares with the definition: the hull of the points that enough intervals share.
func TestAgreeModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 7).Draw(t, "sources")
		in := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) interval {
			low := rapid.Int64Range(0, 30).Draw(t, "low")
			return interval{low, low + rapid.Int64Range(0, 10).Draw(t, "width")}
		}), 0, n).Draw(t, "answers")
		want, most := interval{low: 1 << 62}, 0
		for at := range int64(42) {
			share := 0
			for _, i := range in {
				if i.low <= at && at <= i.high {
					share++
				}
			}
			most = max(most, share)
			if share >= len(in)-liars(n) {
				want.low, want.high = min(want.low, at), max(want.high, at)
			}
		}
		got, ok := agree(in, n)
		if ok != (most >= n-liars(n)) || ok && got != want {
			t.Fatalf("got %v, %t; want %v, %d share one", got, ok, want, most)
		}
	})
}

// TestGuardProperty: through any sequence of passing time, drift, uneven ways, silence, liars that are fewer than half, steps, suspension
// and slewing, a certain reading holds the true time, and when all goes well there is one.
func TestGuardProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(MinSources, 7).Draw(rt, "sources")
		w := newWorld(n)
		g := w.guard(t)
		bad := rapid.IntRange(0, liars(n)).Draw(rt, "liars")
		ppm := rapid.Int64Range(-Drift+1, Drift-1).Draw(rt, "drift")
		pass := func(d int64) { // true time; the machine's clocks run wrong by ppm
			w.utc += d
			run := d + d/1_000_000*ppm
			w.wall, w.boot, w.mono, w.raw = w.wall+run, w.boot+run, w.mono+run, w.raw+run
		}
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.IntRange(0, 7).Draw(rt, "act") {
			case 0, 1:
				pass(rapid.Int64Range(0, int64(20*time.Minute)).Draw(rt, "elapsed"))
			case 2:
				w.wall += rapid.Int64Range(-day, day).Draw(rt, "step")
			case 3:
				d := rapid.Int64Range(0, day).Draw(rt, "suspended")
				w.utc, w.wall, w.boot = w.utc+d, w.wall+d, w.boot+d
			case 4:
				d := rapid.Int64Range(-400*milli, 400*milli).Draw(rt, "slewed")
				w.wall, w.boot, w.mono = w.wall+d, w.boot+d, w.mono+d
			default:
				for i, s := range w.sources {
					s.half = rapid.Int64Range(0, second/2).Draw(rt, "width")
					s.off = rapid.Int64Range(-s.half, s.half).Draw(rt, "error")
					s.err = nil
					if i < bad {
						s.off = rapid.Int64Range(-2*second, 2*second).Draw(rt, "lie")
					} else if rapid.IntRange(0, 5).Draw(rt, "silent") == 0 {
						s.err = errSilent{}
					}
				}
				g.round(t.Context())
			}
			if r := g.Now(); r.Certain && (w.utc > r.Time+r.Bound || w.utc < r.Time-r.Bound) {
				rt.Fatalf("wrong by %v, bound %v", time.Duration(r.Time-w.utc), time.Duration(r.Bound))
			}
		}
		for _, s := range w.sources {
			s.off, s.half, s.err = 0, milli, nil
		}
		pass(int64(20 * time.Minute))
		for range 2 { // after a step or a contradiction the sources are asked twice
			g.round(t.Context())
		}
		if r := g.Now(); !r.Certain {
			rt.Fatalf("all is well, and not certain: %s", r.Why)
		}
	})
}

type errSilent struct{}

func (errSilent) Error() string { return "silent" }
