// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"slices"

	"strongroom/internal/pure/request"
)

// Around is what a decision may depend on of the clock and the state. The facts hold what the document asks for and no more
// ([Rules.Around]), so that those under other documents stay as they were.
type Around struct {
	Earliest    int64               `cbor:"1,keyasint,omitempty"` // Unix seconds: the true time is not before
	Latest      int64               `cbor:"2,keyasint,omitempty"` // nor after; 0 if the time is not known
	Temperature request.Temperature `cbor:"3,keyasint,omitempty"` // of the wallet, or that it is made with
}

// Around gives of what is known what the document's rules look at; nil if that is nothing.
func (r *Rules) Around(known Around) *Around {
	if !r.asksTime {
		known.Earliest, known.Latest = 0, 0
	}
	if !r.asksTemperature {
		known.Temperature = ""
	}
	if known == (Around{}) {
		return nil
	}
	return &known
}

// AsksTemperature says whether a rule looks at the temperature of wallets.
func (r *Rules) AsksTemperature() bool { return r.asksTemperature }

// asks notes what a match looks at.
func (r *Rules) asks(m *Match) {
	r.asksTime = r.asksTime || m.Time != nil
	r.asksTemperature = r.asksTemperature || len(m.Temperatures) > 0
}

// TimeMatch names the calendar inside or outside whose hours the time must be. One of the two is set.
type TimeMatch struct {
	Inside  string `cbor:"1,keyasint,omitempty"`
	Outside string `cbor:"2,keyasint,omitempty"`
}

func (t TimeMatch) calendar() string { return t.Inside + t.Outside }

func (d Document) checkAround(m Match) error {
	if err := list("source.temperature", m.Temperatures, request.Temperature.Check); err != nil {
		return err
	}
	t := m.Time
	if t == nil {
		return nil
	}
	c, ok := d.calendar(t.calendar())
	switch {
	case (t.Inside == "") == (t.Outside == ""):
		return fmt.Errorf("time: want one of inside and outside")
	case !ok:
		return fmt.Errorf("time: calendar %q is not in the document", t.calendar())
	case len(c.Weekly) == 0:
		return fmt.Errorf("time: calendar %s has no weekly hours, so nothing is ever inside", c.ID)
	}
	return nil
}

// around tries the fields of a match about clock and state: unmet is the first that is not met, or, with an error, the first that can't be told
// where all others are met; last is the last that was.
func (m *Match) around(a *activation) (unmet, last field, err error) {
	if len(m.Temperatures) > 0 {
		is, e := m.temperature(a)
		switch {
		case e != nil:
			unmet, err = fTemperature, e
		case !is:
			return fTemperature, noField, nil
		}
		last = fTemperature
	}
	if m.Time != nil {
		is, e := m.Time.holds(a)
		switch {
		case e != nil && err == nil:
			unmet, err = fTime, e
		case e == nil && !is:
			return fTime, noField, nil
		}
		last = fTime
	}
	return m.known(a, unmet, last, err)
}

func (m *Match) temperature(a *activation) (bool, error) {
	at := a.facts.Around
	if a.has.wallet && (at == nil || at.Temperature == "") {
		return false, errUnknown
	}
	return a.has.wallet && slices.Contains(m.Temperatures, at.Temperature), nil
}

func (t TimeMatch) holds(a *activation) (bool, error) {
	at := a.facts.Around
	if at == nil || at.Latest == 0 {
		return false, errUnknown
	}
	c, _ := a.doc.calendar(t.calendar())
	inside, sure := c.Inside(at.Earliest, at.Latest)
	if !sure {
		return false, errUnsure
	}
	return inside == (t.Inside != ""), nil
}

// instants gives, for every calendar that rules look at, each moment of a week without holidays at which it opens or shuts: at other moments a
// document says nothing else. Nil is the one moment of a document whose rules look at no calendar.
func (r *Rules) instants() []*Around {
	if !r.asksTime {
		return []*Around{nil}
	}
	monday := int64(20458) // days: 5 January 2026
	for _, c := range r.doc.Calendars {
		if n := len(c.Holidays); n > 0 {
			monday = max(monday, 7*floorDiv(c.Holidays[n-1].Day+3+7, 7)-3)
		}
	}
	out := []*Around{{Earliest: monday * daySeconds, Latest: monday * daySeconds}}
	for _, c := range r.doc.Calendars {
		for day := monday; day < monday+7; day++ {
			for _, p := range c.parts(day) {
				for _, minute := range p {
					at := day*daySeconds + minute*60
					at -= c.local(at) - at
					out = append(out, &Around{Earliest: at, Latest: at})
				}
			}
		}
	}
	return out
}

// missing is why a field can't be told.
type missing string

func (e missing) Error() string { return string(e) }

const (
	errUnknown missing = "is not known"
	errUnsure  missing = "the clock is not sure enough to tell"
)

// observedAround tells what a field about clock and state was compared with.
func (m *Match) observedAround(x field, a *activation) string {
	at := a.facts.Around
	switch {
	case at == nil:
		return ""
	case x == fTemperature:
		return string(at.Temperature)
	default:
		return fmt.Sprintf("between %s and %s", utc(at.Earliest), utc(at.Latest))
	}
}

func (m Match) feeOver(f *Facts, h has) bool {
	return m.FeeOver == nil || h.destinations && f.FeeCap.Cmp(*m.FeeOver) > 0
}
