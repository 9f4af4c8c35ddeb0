// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"slices"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
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
		Wallets: uint64(c.Wallets), Pending: uint64(c.Pending), Signed: uint64(c.Signed), Sessions: uint64(c.Sessions), Life: d.lifeView(),
		WarmWallets: uint64(c.Warm), WarmSessions: uint64(c.WarmSessions)}
	d.mu.Unlock()
	d.life.mu.Lock()
	out.Life.Fault = d.life.fault
	d.life.mu.Unlock()
	out.Pinned, out.Checkpoint = head.Size, head.Signed
	out.MemoryLocked, out.Notes = d.cfg.Arena.Locked(), slices.Clone(d.cfg.Notes)
	out.KeysUnlocked = uint64(d.keys.Len())
	out.Time, out.Bound, out.TimeCertain = r.Time, r.Bound, r.Certain
	if !r.Certain {
		out.Notes = append(out.Notes, r.Why)
	}
	if err := d.Cause(); err != nil {
		out.Failed = err.Error()
	}
	out.Check = d.checks.progress()
	out.Log = message.LogStats{Appends: stats.Entries, Batches: stats.Batches, Pins: stats.Pins}
	return out
}

// lifeView tells where the domain stands in its life cycle. The caller holds mu.
func (d *Domain) lifeView() message.Life {
	s, l := d.state, d.state.Life()
	out := message.Life{Phase: l.Phase.String(), Counter: l.Counter, Allowed: l.Allowed, Frozen: l.Frozen, Epoch: s.Epoch, Pattern: s.Pattern, NextEpoch: l.Used + 1,
		Doomed: uint64(s.DoomedCount()), Administrators: s.Rules.Administrators()}
	if l.Phase == authority.Zeroized {
		out.Since = l.Since
	}
	if n := l.Next; n != nil {
		out.Next = &message.Register{Epoch: n.Epoch, Pattern: n.Pattern, Committed: n.Committed, NewShares: n.Recovery != nil}
		if n.Committed {
			out.Next.Lacking, out.Next.Keys = uint64(s.Lacking()), uint64(s.Counts().Keys)
		}
	}
	if p := l.Previous; p != nil {
		out.Previous = &message.Register{Epoch: p.Epoch, Pattern: p.Pattern}
	}
	if r := l.Recovery; r != nil {
		out.Recovery = &message.Recovery{Threshold: r.Threshold, Shares: r.Shares, Hash: r.Hash()}
	}
	return out
}

// SignedStatus is the status, signed with the domain identity key together with the asker's nonce. It works after zeroize too.
func (d *Domain) SignedStatus(in message.StatusAsk) (message.SignedStatus, error) {
	if n := len(in.Nonce); n < 16 || n > 32 {
		return message.SignedStatus{}, problem.New(problem.Malformed, "the nonce must have 16 to 32 bytes, not %d", n)
	}
	out := message.SignedStatus{Statement: canon.Encode(message.StatusStatement{Authority: d.Authority(), Domain: d.ID(), Nonce: in.Nonce, Status: d.Status()})}
	err := d.withIdentity(func() error { out.Sig = d.ids.SignIdentity(out.Message()); return nil })
	return out, err
}
