// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"sync"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
)

// pressureAge is for how long what was told of limits and grants is told again, in nanoseconds: it looks at every meter, under the sequencer.
const pressureAge = int64(30e9)

// pressure remembers what was told last.
type pressure struct {
	mu   sync.Mutex // guards all below; taken before the domain's
	last *message.Pressure
	at   int64 // time since boot
}

// Pressure tells how near limits, grants and sessions are to their ends; nil while the time is not certain.
func (d *Domain) Pressure() *message.Pressure {
	d.pressure.mu.Lock()
	defer d.pressure.mu.Unlock()
	r := d.cfg.Clock.Now()
	if age := r.Boot - d.pressure.at; d.pressure.last != nil && age >= 0 && age < pressureAge {
		return d.pressure.last
	}
	if !r.Certain {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t := max(r.Time, d.state.Time)
	at := authority.Moment{Time: t, Bound: r.Bound + t - r.Time}
	out := &message.Pressure{GrantsNear: d.state.GrantsNear(at, message.GrantNotice), LongestOpen: d.state.LastWarmEnd()}
	for _, u := range d.state.Pressure(at) {
		out.Limits = append(out.Limits, message.LimitUse(u))
	}
	d.pressure.last, d.pressure.at = out, r.Boot
	return out
}
