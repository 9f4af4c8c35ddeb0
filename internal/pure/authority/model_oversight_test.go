// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"slices"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// modelOversight is the operational state and what is held, as plainly as it can be written.
type modelOversight struct {
	mode   policy.Mode // empty: normal
	since  uint64
	by     custody.PersonID
	reason string
	until  int64
	held   []Hold
}

func (o modelOversight) clone() modelOversight {
	o.held = slices.Clone(o.held)
	return o
}

func (m *model) oversightImage() *governanceSection {
	g := governanceSection{Held: m.oversight.held}
	if o := m.oversight; o.mode != "" {
		g.Mode = &ModeState{Mode: o.mode, Since: o.since, By: o.by, Reason: o.reason, Until: o.until}
	}
	if g.Mode == nil && len(g.Held) == 0 {
		return nil
	}
	return &g
}

// now gives the operational state: 0 normal, 1 draining, 2 frozen.
func (m *model) stateNow(at Moment) int {
	switch {
	case m.oversight.mode == "":
		return 0
	case m.oversight.mode == "draining" && at.Time+at.Bound <= m.oversight.until*1e9:
		return 1
	default:
		return 2
	}
}

// takes says whether an operation is taken now, from lists written out by hand.
func (m *model) takes(o request.Operation, at Moment) bool {
	switch m.stateNow(at) {
	case 0:
		return true
	case 1:
		return slices.Contains([]request.Operation{"transfer", "warm_open", "warm_close", "app_revoke", "app_key_revoke", "person_revoke", "person_key_remove", "domain_zeroize", "domain_restore",
			"domain_reanchor_cancel", "domain_points_set", "domain_freeze", "domain_unfreeze", "domain_drain", "domain_resume", "request_hold", "request_release",
			"whitelist_suspend", "whitelist_remove", "blacklist_add"}, o)
	default:
		return !slices.Contains([]request.Operation{"transfer", "wallet_create", "address_create", "wallet_temperature", "warm_open", "wallet_move", "app_grant", "offline_add", "contract_call", "message_sign"}, o)
	}
}

// drains says whether effects pay approved destinations only.
func (m *model) drains(e request.Effects) bool {
	for _, o := range e.Outputs {
		ok := slices.ContainsFunc(m.doc.AddressBook, func(b policy.BookEntry) bool {
			return b.Chain == e.Chain && b.Address == o.Address && m.doc.BreakGlass != nil && slices.Contains(m.doc.BreakGlass.DrainTo, b.ID)
		})
		if !ok {
			return false
		}
	}
	return true
}

func (m *model) takesEntry(at Moment, body any) bool {
	open := func(id custody.RequestID) bool {
		p := m.pendingOf(id)
		if g := m.signedOf(id); p == nil && g != nil && g.Operation != "" {
			return m.takes(g.Operation, at)
		}
		if p == nil {
			return m.takes(request.Transfer, at)
		}
		return m.takes(p.Effects.Operation, at)
	}
	switch b := body.(type) {
	case *entry.Request:
		return b.Decision.Outcome != policy.Allowed || m.takes(b.Effects.Operation, at) && (m.stateNow(at) != 1 || m.drains(b.Effects))
	case *entry.Approval:
		return b.Approval.Decision != request.Approve || open(b.Approval.Request)
	case *entry.Permit:
		p := m.pendingOf(b.Request)
		return open(b.Request) && (m.stateNow(at) != 1 || p == nil || m.drains(p.Effects))
	case *entry.Effect:
		return open(b.Request)
	case *entry.Session:
		return m.stateNow(at) < 2
	case *entry.Uses:
		return m.stateNow(at) == 0 || b.Number == 0 && len(b.Logins) == 0
	default:
		return true
	}
}

// onHold says whether a request is held.
func (m *model) onHold(id custody.RequestID) bool {
	return slices.ContainsFunc(m.oversight.held, func(h Hold) bool { return h.Request == id })
}

// forgetHolds drops the holds of requests that do not wait any more.
func (m *model) forgetHolds() {
	m.oversight.held = slices.DeleteFunc(m.oversight.held, func(h Hold) bool { return m.pendingOf(h.Request) == nil })
}

func (m *model) enter(l entry.Leaf, mode policy.Mode, by custody.PersonID, reason string, until int64) {
	held := m.oversight.held
	m.oversight = modelOversight{mode: mode, since: l.Seq, by: by, reason: reason, until: until, held: held}
	m.sessions = nil
	m.closeWarm(func(WarmSession) bool { return true })
}

func (m *model) oversee(l entry.Leaf, at Moment, by custody.PersonID, body request.Body, b *entry.Effect) error {
	x, o := b.Oversight, &m.oversight
	if err := ensure(x != nil, b.Document == nil, b.Wallet == nil, b.Key == nil, b.Addresses == nil, b.Life == nil); err != nil {
		return err
	}
	about := slices.Concat(x.Held, x.Released)
	switch r := body.(type) {
	case *request.FreezeBody:
		if err := ensure(o.mode != "frozen", x.Mode == "frozen", x.Until == 0, len(about) == 0); err != nil {
			return err
		}
		m.enter(l, "frozen", by, r.Reason, 0)
	case *request.DrainBody:
		until := (at.Time-at.Bound)/1e9 + 7200
		if err := ensure(m.stateNow(at) != 1, m.doc.BreakGlass != nil, r.Since == o.since, x.Mode == "draining", x.Until == until, len(about) == 0); err != nil {
			return err
		}
		m.enter(l, "draining", by, r.Reason, until)
	case *request.UnfreezeBody:
		if err := ensure(m.stateNow(at) == 2, r.Since == o.since, x.Mode == "normal", x.Until == 0, len(about) == 0); err != nil {
			return err
		}
		m.oversight = modelOversight{held: o.held}
	case *request.ResumeBody:
		if err := ensure(o.mode != "", r.Since == o.since, x.Mode == "normal", x.Until == 0, len(about) == 0); err != nil {
			return err
		}
		m.oversight = modelOversight{held: o.held}
	case *request.RequestHoldBody:
		id := custody.RequestID(r.Request)
		p := m.pendingOf(id)
		if err := ensure(p != nil, !m.onHold(id), x.Mode == "", x.Until == 0, slices.Equal(x.Held, r.Request), len(x.Released) == 0); err != nil {
			return err
		}
		if slices.Contains([]request.Operation{"domain_freeze", "domain_unfreeze", "domain_drain", "domain_resume", "request_hold", "request_release"}, p.Effects.Operation) {
			return errModel
		}
		if asked, err := request.Parse(p.Request); err != nil {
			return err
		} else if b, ok := asked.Decoded.(*request.PersonRevokeBody); ok && b.Person == by {
			return errModel
		} else if b, ok := asked.Decoded.(*request.PersonKeyRemoveBody); ok && b.Person == by {
			return errModel
		}
		o.held = append(o.held, Hold{Request: id, Seq: l.Seq, By: by, Reason: r.Reason})
	case *request.RequestReleaseBody:
		id := custody.RequestID(r.Request)
		i := slices.IndexFunc(o.held, func(h Hold) bool { return h.Request == id && h.Seq == r.Hold })
		if err := ensure(i >= 0, x.Mode == "", x.Until == 0, slices.Equal(x.Released, r.Request), len(x.Held) == 0); err != nil {
			return err
		}
		o.held = slices.Delete(o.held, i, i+1)
	default:
		return errors.New("no operation of oversight")
	}
	return nil
}

// overseenDocument is [firstDocument] with a break-glass plan: bob and carol drain to the exchange for two hours.
func overseenDocument() policy.Document {
	d := firstDocument()
	two := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 2}}}}}
	one := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "officers", Min: 1}}}}}
	d.BreakGlass = &policy.BreakGlass{Who: two, DrainTo: []string{"exchange"}, Duration: 7200, Resume: two}
	d.Oversight = &policy.Oversight{Release: &one}
	return d
}

// overseeingStory freezes or drains, lets things happen, and mostly ends it; or it holds a request and mostly releases it.
func (d *driver) overseeingStory(t *rapid.T) {
	meanwhile := func() {
		for range rapid.IntRange(0, 4).Draw(t, "meanwhile") {
			if b := d.body(t); b != nil {
				d.submit(t, b)
			}
		}
		if rapid.IntRange(0, 3).Draw(t, "pays") == 0 {
			d.story(t)
		}
	}
	if open := d.s.PendingList(); len(open) > 0 && rapid.Bool().Draw(t, "hold") {
		id := rapid.SampledFrom(open).Draw(t, "held").ID
		d.through(t, request.RequestHold, request.RequestHoldBody{Request: id[:], Reason: "looks odd"})
		meanwhile()
		h, _ := d.s.HoldOf(id)
		if rapid.IntRange(0, 3).Draw(t, "leave it") > 0 {
			d.through(t, request.RequestRelease, request.RequestReleaseBody{Request: id[:], Hold: max(1, h.Seq), Reason: "is fine"})
		}
		return
	}
	if rapid.Bool().Draw(t, "drain") {
		d.through(t, request.Drain, request.DrainBody{Since: d.s.gov.since(), Reason: "move it"})
	} else {
		d.through(t, request.Freeze, request.FreezeBody{Reason: "stop"})
	}
	meanwhile()
	if rapid.IntRange(0, 3).Draw(t, "time passes") == 0 {
		d.advance(2 * time.Hour)
		meanwhile()
	}
	since := max(1, d.s.gov.since())
	if seldom(t, "another freeze") {
		since++
	}
	if rapid.IntRange(0, 2).Draw(t, "resume") == 2 {
		d.through(t, request.Resume, request.ResumeBody{Since: since, Reason: "over"})
	} else {
		d.through(t, request.Unfreeze, request.UnfreezeBody{Since: since, Reason: "over"})
	}
}
