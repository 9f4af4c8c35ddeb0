// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"time"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

// maxReadiness is how many requests' readiness is remembered.
const maxReadiness = 4096

// readiness is what a request for other rules lacks, and what that follows from besides the request itself. To find out, its document is
// compiled, which takes up to half a second: done under the sequencer at each call, who only reads would stop all others.
type readiness struct {
	rules     [32]byte
	approvals int
	stale     int // of the approvals, the oldest: log time never runs back
	mode      policy.Mode
	held      uint64 // by this entry; 0: not held
	minute    int64  // of log time: what delays, deadlines and hours say is a minute old at most
	err       error
}

// ready says what a request that waits lacks, as [authority.State.Ready] does. The caller holds mu.
func (d *Domain) ready(p *authority.Pending, at authority.Moment) error {
	if known, ok := d.known(p, at); ok {
		return known.err
	}
	err := d.state.Ready(p, at, d.derive)
	d.remember(p, at, err)
	return err
}

// follows gives what a request's readiness follows from; false if it is not worth remembering. The caller holds mu.
func (d *Domain) follows(p *authority.Pending, at authority.Moment) (readiness, bool) {
	if !d.state.Doc.Edits(p.Effects.Operation) || authority.Expired(p.Bounds.NotAfter, at.Time, at.Bound) { // nothing is compiled then
		return readiness{}, false
	}
	r := readiness{rules: d.state.Rules.Hash(), approvals: len(p.Approvals), mode: d.state.Mode(at), minute: at.Time / int64(time.Minute)}
	if h, ok := d.state.HoldOf(p.ID); ok {
		r.held = h.Seq
	}
	for _, v := range p.Approvals {
		if authority.Stale(d.state.Doc.Floor, v.Time, at) {
			r.stale++
		}
	}
	return r, true
}

// known gives what is remembered of a request. The caller holds mu.
func (d *Domain) known(p *authority.Pending, at authority.Moment) (readiness, bool) {
	was, have := d.lacks[p.ID]
	if !have {
		return was, false
	}
	now, ok := d.follows(p, at)
	return was, ok && was.rules == now.rules && was.approvals == now.approvals && was.stale == now.stale && was.mode == now.mode && was.held == now.held && was.minute == now.minute
}

// remember keeps what a request lacks. The caller holds mu.
func (d *Domain) remember(p *authority.Pending, at authority.Moment, err error) {
	r, ok := d.follows(p, at)
	if !ok {
		return
	}
	if d.lacks == nil {
		d.lacks = make(map[custody.RequestID]readiness)
	}
	if len(d.lacks) >= maxReadiness {
		for id := range d.lacks { // any one: those that have ended stay until then
			delete(d.lacks, id)
			break
		}
	}
	r.err = err
	d.lacks[p.ID] = r
}
