// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// Explanation says how the rules and limits of now see a request. It decides nothing and is recorded nowhere. docs/spec/explain.md.
type Explanation struct {
	Facts      policy.Facts        `cbor:"1,keyasint"`
	Effects    request.Effects     `cbor:"2,keyasint"`
	Bounds     request.Bounds      `cbor:"3,keyasint"`
	Decision   policy.Decision     `cbor:"4,keyasint"`           // of now
	Considered []policy.Considered `cbor:"5,keyasint,omitempty"` // how each rule sees it
	Limits     []LimitUse          `cbor:"6,keyasint,omitempty"` // what it takes from limits that match, whether it is allowed or not
	Plans      []policy.Progress   `cbor:"7,keyasint,omitempty"` // of the decision of now
	Then       []policy.Progress   `cbor:"8,keyasint,omitempty"` // of the decision on acceptance, where it has other plans: they must be met too
}

// LimitUse is what a request takes from a limit, and what the limit has.
type LimitUse struct {
	Meter  Meter           `cbor:"1,keyasint"`
	Takes  custody.Uint256 `cbor:"2,keyasint"`
	Passed bool            `cbor:"3,keyasint,omitempty"` // there is not so much left
	Effect policy.Effect   `cbor:"4,keyasint"`           // of the limit where it is passed
}

// Explain says how the rules see a request now, with the approvals that stand. p is the request while it waits: what it holds of limits is its own
// to take. An error says that it can't be done as things are.
func (s *State) Explain(asked Asked, p *Pending, votes []Vote, at Moment, derive Deriver) (*Explanation, error) {
	x, err := s.describe(asked.Request, asked.Kind, asked.Simulation, at, derive)
	if err != nil {
		return nil, err
	}
	c := s.Rules.Case(x.facts)
	d := Judge(c, x.document)
	poll := policy.Anytime(nil)
	for _, v := range votes {
		poll.Votes = append(poll.Votes, policy.Vote{Person: v.Person, Decision: request.Approve, Key: v.Key, Seq: v.Seq})
	}
	decisions := []policy.Decision{d}
	var own []reservation
	if p != nil {
		own, decisions, poll = p.reserved, append(decisions, p.Decision), s.poll(p, at)
	}
	most := FeeCap(x.bounds, decisions...)
	out := &Explanation{Facts: x.facts, Effects: x.effects, Bounds: x.bounds, Considered: c.Consider()}
	charges, err := c.Charges(most)
	if err == nil {
		out.Limits = s.uses(charges, own, at)
	}
	out.Decision = s.limited(c, Charge(c, d, most, false), own, at)
	out.Plans = out.Decision.Progress(s.Rules, asked.Request.Initiator, poll)
	if p != nil {
		then := p.Decision.Progress(s.Rules, asked.Request.Initiator, poll)
		if !bytes.Equal(canon.Encode(then), canon.Encode(out.Plans)) {
			out.Then = then
		}
	}
	return out, nil
}

// uses tells what charges take from the limits of the document.
func (s *State) uses(charges []policy.Charge, own []reservation, at Moment) (out []LimitUse) {
	for _, c := range charges {
		l, ok := s.Rules.Limit(c.Limit)
		if !ok {
			continue
		}
		x := LimitUse{Meter: s.reading(l, c.Group, own, at), Takes: c.Amount, Effect: l.Exceeded}
		x.Passed = sum(sum(x.Meter.Used, x.Meter.Reserved), c.Amount).Cmp(l.Max) > 0
		out = append(out, x)
	}
	return out
}

// Meter is what a limit has counted for a group, as a decision of now would see it.
type Meter struct {
	Limit    string          `cbor:"1,keyasint"`
	Group    []string        `cbor:"2,keyasint,omitempty"` // values of the limit's aspects; none although the limit has some: what counts in each group
	Max      custody.Uint256 `cbor:"3,keyasint"`
	Used     custody.Uint256 `cbor:"4,keyasint"`           // by permits and effects, inside the window
	Reserved custody.Uint256 `cbor:"5,keyasint"`           // by requests that wait
	Left     custody.Uint256 `cbor:"6,keyasint"`           // of Max
	Frees    int64           `cbor:"7,keyasint,omitempty"` // Unix seconds at which the oldest use counts no more for certain; 0: nothing is used, or never
}

// reading tells what a limit has counted for a group but for what own holds.
func (s *State) reading(l policy.Limit, group []string, own []reservation, at Moment) Meter {
	key := s.keyOf(l, group)
	out := Meter{Limit: l.ID, Group: group, Max: l.Max}
	out.Used, out.Reserved = s.counted(key, l, group, own, at)
	if left, some := l.Max.Sub(sum(out.Used, out.Reserved)); some {
		out.Left = left
	}
	keys := []meterKey{key}
	if len(group) > 0 {
		keys = append(keys, s.keyOf(l, nil))
	}
	for _, k := range keys {
		if m, ok := s.meters[k]; ok {
			out.Frees = earlier(out.Frees, m.frees(s.Rules, at))
		}
	}
	return out
}

func earlier(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// frees gives the time at which the oldest use that counts now counts no more; 0 if there is none, or it never ends.
func (m *meter) frees(r *policy.Rules, at Moment) int64 {
	for _, u := range m.used {
		if gone, ends := m.window.Gone(u.Place); ends && r.Counts(m.window, u.Place, floorSeconds(at.Time-at.Bound)) {
			return gone
		}
	}
	return 0
}

// counted gives what a limit has counted for a group, by permits and effects and by requests that wait, but for what own holds.
func (s *State) counted(key meterKey, l policy.Limit, group []string, own []reservation, at Moment) (used, reserved custody.Uint256) {
	if m, there := s.meters[key]; there {
		used, reserved = m.within(s.Rules, at), m.reserved
	}
	if len(group) > 0 {
		if all, ok := s.meters[s.keyOf(l, nil)]; ok {
			used = sum(used, all.within(s.Rules, at))
		}
	}
	for _, o := range own {
		if o.key == key {
			reserved, _ = reserved.Sub(o.amount)
		}
	}
	return used, reserved
}

// MeterName names what a limit counts for a group.
type MeterName struct {
	Limit string
	Group []string // must not be changed
}

// MeterNames lists all that limits have counted, or those of one limit, and each limit that has counted nothing yet; in no order.
// What it gives stays as it is while s changes.
func (s *State) MeterNames(limit string) (out []MeterName) {
	seen := make(map[string]bool)
	for _, m := range s.meters {
		if limit == "" || m.limit == limit {
			seen[m.limit] = true
			out = append(out, MeterName{m.limit, m.group})
		}
	}
	for _, l := range s.Doc.Limits {
		if (limit == "" || l.ID == limit) && !seen[l.ID] {
			out = append(out, MeterName{Limit: l.ID})
		}
	}
	return out
}

// CompareMeters orders them by limit, then by group.
func CompareMeters(a, b MeterName) int {
	return slices.Compare(append([]string{a.Limit}, a.Group...), append([]string{b.Limit}, b.Group...))
}

// Meter tells what a limit of the document has counted for a group; false if there is no such limit, or it groups otherwise.
func (s *State) Meter(n MeterName, at Moment) (Meter, bool) {
	l, ok := s.Rules.Limit(n.Limit)
	if !ok || len(n.Group) > 0 && len(n.Group) != len(l.GroupBy) {
		return Meter{}, false
	}
	return s.reading(l, n.Group, nil, at), true
}
