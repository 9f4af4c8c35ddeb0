// SPDX-License-Identifier: Apache-2.0

package timeguard

import (
	"cmp"
	"slices"
)

// interval is a span of time in which the true time lies, if whoever gave it is right; Unix nanoseconds, both ends inside.
type interval struct{ low, high int64 }

func (i interval) mid() int64  { return i.low + i.half() }
func (i interval) half() int64 { return (i.high-i.low)/2 + (i.high-i.low)%2 }

func (i interval) meets(j interval) bool { return i.low <= j.high && j.low <= i.high }

// liars gives how many of n sources may be wrong: fewer than half.
func liars(n int) int { return (n - 1) / 2 }

// agree gives where the true time lies if at most liars(n) of n sources are wrong, from those that answered. It refuses (false) unless
// so many share a point that they are a majority of all n, those that are silent included.
//
// With r answers, at least r - liars(n) of them hold the true time, whichever are missing. So the hull of all points that many answers
// share holds it too. That is the intersection of Marzullo and of RFC 5905 section 11.2.1, but for two things: it takes the hull where
// they take the best point, which the true time need not share; and who drops the packets of honest sources, as the carrier of the
// packets can, gains no say for those that lie.
func agree(in []interval, n int) (interval, bool) {
	most := liars(n)
	if len(in) < n-most {
		return interval{}, false
	}
	type edge struct {
		at   int64
		step int // +1 begins, -1 ends
	}
	edges := make([]edge, 0, 2*len(in))
	for _, i := range in {
		edges = append(edges, edge{i.low, 1}, edge{i.high, -1})
	}
	slices.SortFunc(edges, func(a, b edge) int {
		return cmp.Or(cmp.Compare(a.at, b.at), -cmp.Compare(a.step, b.step)) // ends belong to intervals: begin first
	})
	need := len(in) - most
	var out interval
	found := false
	depth, best := 0, 0
	for _, e := range edges {
		if e.step > 0 {
			depth++
			if depth == need && !found {
				out.low, found = e.at, true
			}
			best = max(best, depth)
			continue
		}
		if depth == need {
			out.high = e.at
		}
		depth--
	}
	return out, best >= n-most
}
