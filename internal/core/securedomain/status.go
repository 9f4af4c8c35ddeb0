// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"fmt"
	"slices"

	"strongroom/internal/core/timeguard"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
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
	out := message.Status{Profile: s.Profile, Authority: s.Authority, Domain: s.Domain, Origin: entry.Origin(s.Domain, s.Anchoring().Incarnation), LogKey: s.LogKey[:], Identity: s.Identity[:],
		Size: s.Next, Writer: s.Writer, Root: s.Root, Anchor: s.Anchor, Policy: s.Doc.Version, PolicyHash: s.Rules.Hash(),
		Wallets: uint64(c.Wallets), Pending: uint64(c.Pending), Signed: uint64(c.Signed), Sessions: uint64(c.Sessions), Life: message.LifeOf(s),
		WarmWallets: uint64(c.Warm), WarmSessions: uint64(c.WarmSessions), Grants: uint64(c.Grants), RevokedKeys: uint64(c.RevokedKeys)}
	out.Mode, out.OnHold = d.modeView(), uint64(s.OnHold())
	var noPrices, silent []string
	out.NoPrices, out.PriceAge, noPrices = d.priceStatus()
	out.Screening, silent = d.screeningStatus()
	out.Incarnation, out.Reanchoring, out.GapAt, out.Held = message.ReanchorOf(s)
	d.mu.Unlock()
	d.life.mu.Lock()
	out.Life.Fault = d.life.fault
	d.life.mu.Unlock()
	out.Pinned, out.Checkpoint = head.Size, head.Signed
	out.MemoryLocked, out.Notes = d.cfg.Arena.Locked(), slices.Clone(d.cfg.Notes)
	out.KeysUnlocked = uint64(d.keys.Len() + d.apps.opened.Kept())
	out.Uses, out.ReadyPairs = d.apps.uses.total.Load(), d.apps.pairs.count()
	out.Time, out.Bound, out.TimeCertain = r.Time, r.Bound, r.Certain
	out.Clock, out.TimeSources = message.ClockSystem, slices.Clone(r.Sources)
	if _, ok := d.cfg.Clock.(*timeguard.Guard); ok {
		out.Clock = message.ClockAuthenticated
	}
	out.Degraded = slices.Concat(d.degraded(r.Certain), noPrices, silent)
	if !r.Certain {
		out.Notes = append(out.Notes, r.Why)
	}
	if d.cfg.Waits != nil {
		if s := d.cfg.Waits(); s != "" {
			out.Notes = append(out.Notes, s)
		}
	}
	missing, unnamed := d.tokens.counts()
	if out.MissingKeys = uint64(missing); unnamed > 0 {
		out.Notes = append(out.Notes, fmt.Sprintf("keys in the token that no entry of the log names: %d; docs/runbooks/token.md says what they may be", unnamed))
	}
	if err := d.Cause(); err != nil {
		out.Failed = err.Error()
	}
	out.Check = d.checks.progress()
	out.Log = message.LogStats{Appends: stats.Entries, Batches: stats.Batches, Pins: stats.Pins}
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
