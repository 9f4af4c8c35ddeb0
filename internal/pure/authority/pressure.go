// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"math/big"

	"strongroom/internal/pure/custody"
)

// LimitPressure is how much of a limit is taken, in the group that has taken the largest part of it. What requests that wait have reserved counts.
type LimitPressure struct {
	Limit    string
	PerMille uint64 // of its maximum, rounded down; a limit of nothing is wholly taken
}

// Pressure tells it of each limit of the document, in its order. It looks at every meter, of which there are at most [MaxMeters]. It decides
// nothing: it is for people who want to know before a limit refuses.
func (s *State) Pressure(at Moment) []LimitPressure {
	most := make(map[string]custody.Uint256, len(s.Doc.Limits))
	windows := make(map[string]int, len(s.Doc.Limits))
	for i, l := range s.Doc.Limits {
		windows[l.ID] = i
	}
	for _, m := range s.meters {
		i, ok := windows[m.limit]
		if !ok || s.Doc.Limits[i].Window != m.window {
			continue // of a document before this one
		}
		if v := sum(m.within(s.Rules, at), m.reserved); v.Cmp(most[m.limit]) > 0 {
			most[m.limit] = v
		}
	}
	out := make([]LimitPressure, 0, len(s.Doc.Limits))
	for _, l := range s.Doc.Limits {
		out = append(out, LimitPressure{l.ID, perMille(most[l.ID], l.Max)})
	}
	return out
}

// perMille gives the part that used is of limit. More than 2000 is told as that.
func perMille(used, limit custody.Uint256) uint64 {
	if limit == (custody.Uint256{}) {
		return 1000
	}
	n := new(big.Int).SetBytes(used[:])
	n.Div(n.Mul(n, big.NewInt(1000)), new(big.Int).SetBytes(limit[:]))
	if !n.IsUint64() {
		return 2000
	}
	return min(n.Uint64(), 2000)
}

// GrantsNear counts the grants to applications that end within so many seconds, or have less than a fifth of their uses left.
func (s *State) GrantsNear(at Moment, seconds int64) (n uint64) {
	for _, g := range s.apps.grants {
		left := g.Body.NotAfter - floorSeconds(at.Time)
		if left > 0 && left <= seconds || g.Body.MaxUses > 0 && g.Used >= g.Body.MaxUses-g.Body.MaxUses/5 {
			n++
		}
	}
	return n
}

// LastWarmEnd gives when the session of a warm wallet that ends last is over, in Unix seconds; 0: none is open.
func (s *State) LastWarmEnd() (end int64) {
	for _, list := range s.warm {
		for _, w := range list {
			end = max(end, w.NotAfter)
		}
	}
	return end
}
