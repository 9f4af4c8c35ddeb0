// SPDX-License-Identifier: Apache-2.0

package policy

import "strongroom/internal/pure/canon"

// meterNaming makes the names of a limit's meters: hashes of an encoding of which all but the group is the same for each. A calendar's offsets
// alone may be 200, so that encoding them in each decision would take longer than all the rest of the limit. docs/spec/limits.md.
type meterNaming struct {
	before, after []byte   // canonical encoding, around the group
	whole         [32]byte // name of what counts for no group
}

// meterHead is what stands before the group in a meter's name.
type meterHead struct {
	ID      string   `cbor:"1,keyasint"`
	Measure Measure  `cbor:"2,keyasint"`
	Window  Window   `cbor:"3,keyasint"`
	GroupBy []Aspect `cbor:"4,keyasint"`
}

// meterTail is what stands behind it.
type meterTail struct {
	Offsets []Offset `cbor:"6,keyasint,omitempty"` // of the window's calendar: they say where its periods are

	Currency string `cbor:"7,keyasint,omitempty"` // of [MeasureFiat]
}

const meterGroup = 5 // key of the group

func (d Document) meterNaming(l Limit) *meterNaming {
	const mapOf = 0xa0 // and how many; below 24 in one byte
	before, after := canon.Encode(meterHead{l.ID, l.Measure, l.Window, l.GroupBy}), canon.Encode(meterTail{d.Offsets(l.Window), l.Currency})
	before[0] = mapOf | (before[0] &^ mapOf) + 1 + (after[0] &^ mapOf)
	n := &meterNaming{before: append(before, meterGroup), after: after[1:]}
	n.whole = n.hash(nil)
	return n
}

func (n *meterNaming) hash(group []string) [32]byte {
	return canon.HashBytes(canon.TagMeter, n.before, canon.Append(make([]byte, 0, 128), group), n.after)
}

// nameMeters prepares the names of the meters of every limit.
func (r *Rules) nameMeters() {
	r.meters = make(map[string]*meterNaming, len(r.doc.Limits)+3)
	for _, l := range r.doc.Limits {
		r.meters[l.ID] = r.doc.meterNaming(l)
	}
	for _, id := range []string{RuleRamp, RuleBlacklist, RuleSuspended} { // limits that no document names
		if l, ok := r.Limit(id); ok {
			r.meters[id] = r.doc.meterNaming(l)
		}
	}
}

// MeterName names what a limit counts for a group; nil stands for what counts in each. Another measure, window, calendar or grouping under the same id has
// other names. A limit that is not in the document has none, and gets 32 zeros.
func (r *Rules) MeterName(limit string, group []string) [32]byte {
	switch n, ok := r.meters[limit]; {
	case !ok:
		return [32]byte{}
	case group == nil:
		return n.whole
	default:
		return n.hash(group)
	}
}
