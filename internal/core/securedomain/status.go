// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"slices"

	"strongroom/internal/core/timeguard"
	"strongroom/internal/gate/message"
)

// Status tells how the domain is.
func (d *Domain) Status() message.Status {
	r := d.cfg.Clock.Now()
	head := d.log.Head()
	stats := d.log.Stats()
	d.mu.Lock()
	s := d.state
	c := s.Counts()
	out := message.Status{Profile: s.Profile, Authority: s.Authority, Domain: s.Domain, Origin: Origin(s.Domain), LogKey: s.LogKey[:], Identity: s.Identity[:],
		Size: s.Next, Writer: s.Writer, Root: s.Root, Anchor: s.Anchor, Policy: s.Doc.Version, PolicyHash: s.Rules.Hash(),
		Wallets: uint64(c.Wallets), Pending: uint64(c.Pending), Signed: uint64(c.Signed), Sessions: uint64(c.Sessions)}
	d.mu.Unlock()
	out.Pinned, out.Checkpoint = head.Size, head.Signed
	out.MemoryLocked, out.Notes = d.cfg.Arena.Locked(), slices.Clone(d.cfg.Notes)
	out.KeysUnlocked = uint64(d.keys.Len())
	out.Time, out.Bound, out.TimeCertain = r.Time, r.Bound, r.Certain
	out.Clock, out.TimeSources = message.ClockSystem, slices.Clone(r.Sources)
	if _, ok := d.cfg.Clock.(*timeguard.Guard); ok {
		out.Clock = message.ClockAuthenticated
	}
	if !r.Certain {
		out.Notes = append(out.Notes, r.Why)
	}
	if d.cfg.Waits != nil {
		if s := d.cfg.Waits(); s != "" {
			out.Notes = append(out.Notes, s)
		}
	}
	if err := d.Cause(); err != nil {
		out.Failed = err.Error()
	}
	out.Check = d.checks.progress()
	out.Log = message.LogStats{Appends: stats.Entries, Batches: stats.Batches, Pins: stats.Pins}
	return out
}
