// SPDX-License-Identifier: Apache-2.0

package timeguard

import "time"

// Leap seconds. UTC inserts or deletes one at the end of a day, and Unix time repeats or jumps a second then. The guard smears nothing:
// from one second before the announced end of a day until one second after it the time is uncertain, and so it stays until the sources
// were asked after that. Sources that smear differ from those that don't by up to a second for hours; that is a disagreement.
const (
	day      = int64(24 * time.Hour)
	leapEdge = int64(time.Second)
	leapOver = 2 * leapEdge // after the end of the day, by a clock that missed an inserted second
	// leapWitnesses is how many sources that agree must announce one. Who lies about it stops decisions for seconds, at midnight.
	leapWitnesses = 2
)

// noteLeap keeps the announcement for the end of the day, and forgets one that is over. The caller holds mu.
func (g *Guard) noteLeap(announced int) {
	t := g.est.span.mid()
	if g.leapEnd != 0 && g.est.span.low > g.leapEnd+leapEdge {
		g.leapEnd = 0
	}
	if announced >= leapWitnesses && g.leapEnd == 0 {
		g.leapEnd = t - t%day + day
	}
}

// inLeap says whether t ± bound falls into the pause, or rests on sources that were last asked before its end. The caller holds mu.
func (g *Guard) inLeap(t, bound int64) bool { return g.leapEnd != 0 && t+bound >= g.leapEnd-leapEdge }
