// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sort"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
)

// MaxMeters is how many groups of all limits are counted at a time. A request that needs one more is refused.
const MaxMeters = 200_000

// meterKey names a meter: what a limit counts, and for which group. Another measure, window, calendar or grouping under the same id counts anew.
type meterKey [32]byte

func (s *State) keyOf(l policy.Limit, group []string) meterKey {
	return s.Rules.MeterName(l.ID, group)
}

// meter is what a limit has counted for one group. docs/spec/limits.md.
type meter struct {
	limit    string
	group    []string
	window   policy.Window
	used     []usedPart      // by place, ascending
	reserved custody.Uint256 // by requests that wait; not in the image, because it follows from them
}

// usedPart is what permits and effects of a part of time used.
type usedPart struct {
	Place  int64           `cbor:"1,keyasint"`
	Amount custody.Uint256 `cbor:"2,keyasint"`
}

// meterRecord is a meter in the image.
type meterRecord struct {
	Key    [32]byte      `cbor:"1,keyasint"`
	Limit  string        `cbor:"2,keyasint"`
	Group  []string      `cbor:"3,keyasint,omitempty"`
	Window policy.Window `cbor:"4,keyasint"`
	Used   []usedPart    `cbor:"5,keyasint"`
}

// reservation is what a request that waits holds of a meter.
type reservation struct {
	key    meterKey
	amount custody.Uint256
}

// places gives the parts of time that a moment may be in: one, or two around the beginning of another.
func places(r *policy.Rules, w policy.Window, at Moment) (early, late int64) {
	return r.Place(w, floorSeconds(at.Time-at.Bound)), r.Place(w, floorSeconds(at.Time+at.Bound))
}

func floorSeconds(ns int64) int64 {
	s := ns / 1e9
	if ns%1e9 < 0 {
		s--
	}
	return s
}

// overflow stands for a sum beyond 256 bits, which is more than any limit.
var overflow = custody.Uint256(bytes.Repeat([]byte{0xff}, 32))

func sum(a, b custody.Uint256) custody.Uint256 {
	if s, ok := a.Add(b); ok {
		return s
	}
	return overflow
}

// within gives the most that any window which the moment may be in holds already, reservations apart.
func (m *meter) within(r *policy.Rules, at Moment) (most custody.Uint256) {
	early, late := places(r, m.window, at)
	if m.window.Unit != "" { // a period of its own for each reading of the clock
		for _, u := range m.used {
			if (u.Place == early || u.Place == late) && u.Amount.Cmp(most) > 0 {
				most = u.Amount
			}
		}
		return most
	}
	from := floorSeconds(at.Time - at.Bound)
	first := sort.Search(len(m.used), func(i int) bool { return r.Counts(m.window, m.used[i].Place, from) }) // what is after a part that counts does too
	for i := range m.used[first:] {
		most = sum(most, m.used[first+i].Amount)
	}
	return most
}

// add counts a use. One that may fall into two periods of a calendar counts in both.
func (m *meter) add(r *policy.Rules, amount custody.Uint256, at Moment) {
	early, late := places(r, m.window, at)
	if m.window.Unit == "" {
		early = late
	}
	for place := min(early, late); place <= max(early, late); place++ {
		i, there := slices.BinarySearchFunc(m.used, place, func(u usedPart, p int64) int { return int(min(max(u.Place-p, -1), 1)) })
		if !there {
			m.used = slices.Insert(m.used, i, usedPart{Place: place})
		}
		m.used[i].Amount = sum(m.used[i].Amount, amount)
	}
}

// exceeded gives the limit that decides where charges would pass limits that deny or hold, and what each of those has counted; and the limits
// passed that ask for a plan then. own is what the request holds already.
func (s *State) exceeded(charges []policy.Charge, own []reservation, at Moment) (first *policy.Limit, unmet []problem.Unmet, plans []policy.Limit) {
	fresh := 0
	for _, c := range charges {
		l, ok := s.Rules.Limit(c.Limit)
		if !ok {
			continue // for checkCharges to say
		}
		key := s.keyOf(l, c.Group)
		if _, there := s.meters[key]; !there && !policy.CountsAlone(l.ID) { // persons are few, and what takes power away finds room
			if fresh++; len(s.meters)+fresh > MaxMeters {
				first = strictest(first, l)
				unmet = append(unmet, problem.Unmet{Rule: l.ID, Criterion: "limit", Observed: fmt.Sprintf("%d groups are counted already", MaxMeters)})
				continue
			}
		}
		used, reserved := s.counted(key, l, c.Group, own, at)
		most := l.Max
		if c.Max != nil {
			most = *c.Max
		}
		if sum(sum(used, reserved), c.Amount).Cmp(most) <= 0 {
			continue
		}
		if l.Exceeded == policy.ByPlan {
			if n := len(plans); n == 0 || plans[n-1].ID != l.ID {
				plans = append(plans, l)
			}
			continue
		}
		first = strictest(first, l)
		if len(unmet) < policy.MaxUnmet {
			unmet = append(unmet, problem.Unmet{Rule: l.ID, Criterion: "limit", Observed: fmt.Sprintf("%s of %s used, %s reserved, this takes %s", used, most, reserved, c.Amount)})
		}
	}
	return first, unmet, plans
}

// strictest gives the limit that decides: one that does not hold goes before one that holds, then the first.
func strictest(first *policy.Limit, l policy.Limit) *policy.Limit {
	if first == nil || first.Exceeded == policy.Hold && l.Exceeded != policy.Hold {
		return &l
	}
	return first
}

// Charge completes a decision that allows with what the request takes from limits. more says that it is a further attempt of one that has
// paid, by so much more fee.
func Charge(c *policy.Case, d policy.Decision, fee custody.Uint256, more bool) policy.Decision {
	if d.Outcome != policy.Allowed {
		return d
	}
	count := c.Charges
	if more {
		count = c.FeeCharges
	}
	charges, err := count(fee)
	var lacks *policy.NoPriceError
	if errors.As(err, &lacks) {
		return policy.Decision{Outcome: policy.Held, Version: d.Version, Hash: d.Hash, Rule: lacks.Limit,
			Unmet: []problem.Unmet{{Rule: lacks.Limit, Criterion: policy.CriterionPrice, Observed: lacks.Error()}}}
	}
	if err != nil {
		return policy.Decision{Outcome: policy.Denied, Version: d.Version, Hash: d.Hash, Rule: policy.RuleDefaultDeny,
			Unmet: []problem.Unmet{{Rule: "limits", Criterion: "limit", Observed: err.Error()}}}
	}
	if d.Limits = charges; len(charges) == 0 {
		d.Limits = nil
	}
	return d
}

// limited turns a decision into what the limits make of it now.
func (s *State) limited(c *policy.Case, d policy.Decision, own []reservation, at Moment) policy.Decision {
	l, unmet, plans := s.exceeded(d.Limits, own, at)
	if l == nil {
		return s.Rules.Exceeded(d, c.Facts(), plans)
	}
	out := policy.Decision{Outcome: policy.Denied, Version: d.Version, Hash: d.Hash, Rule: l.ID, Unmet: unmet}
	if l.Exceeded == policy.Hold {
		out.Outcome = policy.Held
	}
	return out
}

// checkCharges says whether a recorded decision takes from limits what they have left, each group once. That it takes what the limits
// ask for is for Audit to say.
func (s *State) checkCharges(d policy.Decision, own []reservation, at Moment) error {
	for i, c := range d.Limits {
		l, ok := s.Rules.Limit(c.Limit)
		if !ok || len(c.Group) != len(l.GroupBy) {
			return fmt.Errorf("it takes from limit %q, which is not in the document or counts otherwise", c.Limit)
		}
		if i > 0 {
			if p := d.Limits[i-1]; p.Limit > c.Limit || p.Limit == c.Limit && slices.Compare(p.Group, c.Group) >= 0 {
				return errors.New("what it takes from limits is not in order")
			}
		}
	}
	l, unmet, plans := s.exceeded(d.Limits, own, at)
	if l != nil {
		return fmt.Errorf("it passes limit %s: %s", l.ID, unmet[0].Observed)
	}
	for _, x := range plans {
		asks := func(r policy.Requirement) bool {
			return r.Rule == x.ID && bytes.Equal(canon.Encode(r.Plan), canon.Encode(*x.Plan))
		}
		if d.Auto || !slices.ContainsFunc(d.Also, asks) {
			return fmt.Errorf("it passes limit %s, and does not ask for its plan", x.ID)
		}
	}
	return nil
}

// asksPlan names a limit of the document whose plan a decision asks for, if there is one.
func (s *State) asksPlan(d policy.Decision) (string, bool) {
	for _, x := range d.Also {
		if l, ok := s.Rules.Limit(x.Rule); ok && l.Exceeded == policy.ByPlan {
			return l.ID, true
		}
	}
	return "", false
}

// meterFor gives the meter of a charge, a new one if there is none.
func (s *State) meterFor(c policy.Charge) (meterKey, *meter) {
	l, _ := s.Rules.Limit(c.Limit)
	key := s.keyOf(l, c.Group)
	m, ok := s.meters[key]
	if !ok {
		m = &meter{limit: c.Limit, group: c.Group, window: l.Window}
		s.meters[key] = m
	}
	return key, m
}

// reserve holds for a request that waits what its decision says. Limits that are not in the document any more hold nothing; nor do those that have come to count in
// a currency that nothing was valued in then: what was taken was another thing.
func (s *State) reserve(p *Pending) {
	valued := func(currency string) bool {
		return slices.ContainsFunc(p.Decision.Prices, func(x policy.Price) bool { return x.Currency == currency })
	}
	for _, c := range p.Decision.Limits {
		if l, ok := s.Rules.Limit(c.Limit); !ok || len(l.GroupBy) != len(c.Group) || l.Measure == policy.MeasureFiat && !valued(l.Currency) {
			continue
		}
		key, m := s.meterFor(c)
		m.reserved = sum(m.reserved, c.Amount)
		p.reserved = append(p.reserved, reservation{key, c.Amount})
	}
}

// release gives back what a request held.
func (s *State) release(p *Pending) {
	for _, r := range p.reserved {
		if m, ok := s.meters[r.key]; ok {
			m.reserved, _ = m.reserved.Sub(r.amount)
			s.drop(r.key, m)
		}
	}
	p.reserved = nil
}

// use counts for ever what a decision takes.
func (s *State) use(charges []policy.Charge, l entry.Leaf) {
	for _, c := range charges {
		key, m := s.meterFor(c)
		first := len(m.used) == 0
		m.add(s.Rules, c.Amount, Moment{l.Time, l.Bound})
		if first {
			s.watch(key, m)
		}
	}
}

// useUp counts every limit as used up, for all its groups: entries are lost, and nobody knows what they used.
func (s *State) useUp(l entry.Leaf) {
	for _, x := range s.Doc.Limits {
		s.use([]policy.Charge{{Limit: x.ID, Amount: x.Max}}, l)
	}
	if x, ok := s.Rules.Limit(policy.RuleRamp); ok {
		s.use([]policy.Charge{{Limit: x.ID, Amount: x.Max}}, l)
	}
}

// watch sets the time at which the oldest part of a meter is looked at again.
func (s *State) watch(key meterKey, m *meter) {
	if len(m.used) == 0 {
		return
	}
	if at, ends := m.window.Gone(m.used[0].Place); ends {
		s.expiry.push(deadline{at: at, meter: key})
	}
}

// drop takes out a meter that has nothing left to say.
func (s *State) drop(key meterKey, m *meter) {
	if len(m.used) == 0 && m.reserved.IsZero() {
		delete(s.meters, key)
	}
}

// endUses forgets the parts of a meter that count no more for certain.
func (s *State) endUses(d deadline, l entry.Leaf) {
	m, ok := s.meters[d.meter]
	if !ok {
		return
	}
	n := 0
	for n < len(m.used) {
		if at, ends := m.window.Gone(m.used[n].Place); !ends || !past(at, l) {
			break
		}
		n++
	}
	if n == 0 {
		return // a watch that was set again meanwhile
	}
	m.used = slices.Clone(m.used[n:])
	s.watch(d.meter, m)
	s.drop(d.meter, m)
}

// recount makes the meters those of a new rule document: what other limits counted is forgotten, and what waits holds what the new ones ask.
func (s *State) recount() {
	known := func(m *meter, key meterKey) bool {
		l, ok := s.Rules.Limit(m.limit)
		return ok && s.keyOf(l, m.group) == key
	}
	for _, p := range s.pending {
		s.release(p)
	}
	for key, m := range s.meters {
		if !known(m, key) {
			delete(s.meters, key)
		}
	}
	for _, p := range s.pending {
		s.reserve(p)
	}
}

// meterImage lists the meters for the image.
func (s *State) meterImage() (out []meterRecord) {
	for key, m := range s.meters {
		if len(m.used) > 0 {
			out = append(out, meterRecord{key, m.limit, m.group, m.window, m.used})
		}
	}
	slices.SortFunc(out, func(a, b meterRecord) int { return bytes.Compare(a.Key[:], b.Key[:]) })
	return out
}

// restoreMeters takes the meters of an image. The requests that wait reserve after it.
func (s *State) restoreMeters(m Image) error {
	for i, r := range m.Meters {
		l, ok := s.Rules.Limit(r.Limit)
		if !ok || s.keyOf(l, r.Group) != r.Key || l.Window != r.Window || len(r.Used) == 0 || i > 0 && bytes.Compare(m.Meters[i-1].Key[:], r.Key[:]) >= 0 {
			return errors.New("the meters of limits are out of order, or not of this document")
		}
		x := &meter{limit: r.Limit, group: r.Group, window: r.Window, used: r.Used}
		for j := range x.used {
			if j > 0 && x.used[j-1].Place >= x.used[j].Place {
				return errors.New("a meter of a limit is out of order")
			}
		}
		s.meters[r.Key] = x
		s.watch(r.Key, x)
	}
	return nil
}
