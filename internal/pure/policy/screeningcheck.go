// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"strongroom/internal/pure/custody"
	screen "strongroom/internal/pure/verdict" // the package has another verdict
)

func (d Document) checkScreening() error {
	if len(d.ScreeningSources) > MaxScreeningSources {
		return fmt.Errorf("has %d screening sources, more than %d", len(d.ScreeningSources), MaxScreeningSources)
	}
	keys := d.ownKeys()
	for _, s := range d.PriceSources {
		for _, x := range s.Signers {
			keys[string(x.Pub)] = s.ID + "/" + x.ID
		}
	}
	for i, s := range d.ScreeningSources {
		if i > 0 && d.ScreeningSources[i-1].ID >= s.ID {
			return fmt.Errorf("screeningSources must be sorted by id and distinct: %s comes after %s", s.ID, d.ScreeningSources[i-1].ID)
		}
		if err := custody.CheckSlug("screening source", s.ID); err != nil {
			return err
		}
		if n := len(s.Signers); n < 1 || n > MaxSigners {
			return inItem("screeningSources", "screening source", s.ID, fmt.Errorf("has %d signers; want 1 to %d", n, MaxSigners))
		}
		if err := checkSigners(s.ID, s.Signers, s.MinSigners, s.MaxAge, keys); err != nil {
			return inItem("screeningSources", "screening source", s.ID, err)
		}
	}
	for _, g := range d.Guards {
		if m := g.When.Screening; m != nil && m.Missing && g.Effect != Hold {
			return inItem("guards", "guard", g.ID, fmt.Errorf("when.screening.missing goes with effect %s: a source that is silent ends nothing", Hold))
		}
	}
	for _, r := range d.Routes {
		switch m := r.When.Screening; {
		case m == nil:
		case m.Missing:
			return inItem("routes", "route", r.ID, errors.New("when.screening.missing has no place in a route: a source that is silent opens no way"))
		case r.Auto && m.field() != noField:
			return inItem("routes", "route", r.ID, errors.New("is automatic and looks at some subject; of all subjects is riskMax alone"))
		}
	}
	return nil
}

// checkScreened checks what a match says of screening.
func (d Document) checkScreened(m Match) error {
	s := m.Screening
	if s == nil {
		return nil
	}
	if err := cmp.Or(
		list("screening.sources", s.Sources, func(id string) error {
			if _, ok := d.ScreeningSource(id); !ok {
				return fmt.Errorf("%q is not in screeningSources", id)
			}
			return nil
		}),
		list("screening.status", s.Status, func(x screen.Status) error { return oneOf(x, screen.Statuses()) }),
		list("screening.categories", s.Categories, func(c string) error { return custody.CheckSlug("category", c) }),
	); err != nil {
		return err
	}
	asks := s.field() != noField || s.RiskMax != nil
	switch {
	case len(d.ScreeningSources) == 0:
		return errors.New("screening: the document has no screeningSources")
	case asks == s.Missing:
		return errors.New("screening: want riskOver, riskMax, categories or status, or missing alone")
	case s.RiskOver != nil && *s.RiskOver >= screen.MaxRisk, s.RiskMax != nil && *s.RiskMax > screen.MaxRisk:
		return fmt.Errorf("screening: riskOver is less than %d, and riskMax that at most", screen.MaxRisk)
	case s.RiskMax != nil && s.field() != noField:
		return errors.New("screening: riskMax is of every subject, and goes with sources alone")
	}
	return nil
}

// String tells in words what a match looks at.
func (m *ScreeningMatch) String() string {
	from := "any source of screening"
	if len(m.Sources) > 0 {
		from = joined(m.Sources, " or ")
	}
	if m.Missing {
		return "no fresh verdict of " + from + " is there on somebody who gets something"
	}
	if m.RiskMax != nil {
		return fmt.Sprintf("fresh verdicts of %s give everybody who gets something a risk of %d at most", strings.ReplaceAll(from, "any ", "every "), *m.RiskMax)
	}
	var parts []string
	if m.RiskOver != nil {
		parts = append(parts, fmt.Sprintf("has a risk of more than %d", *m.RiskOver))
	}
	if len(m.Categories) > 0 {
		parts = append(parts, "has to do with "+joined(m.Categories, " or "))
	}
	if len(m.Status) > 0 {
		parts = append(parts, "has the status "+joined(m.Status, " or "))
	}
	return "somebody who gets something " + strings.Join(parts, " and ") + ", says " + from
}

// String tells a source in words.
func (s ScreeningSource) String() string {
	return fmt.Sprintf("%d of %s tell the risk of paying somebody; a verdict counts for %d seconds at most", s.MinSigners, signersOf(s.Signers), s.MaxAge)
}

func diffScreening(old, next Document, say func(string, ...any)) {
	both(old.ScreeningSources, next.ScreeningSources, func(s ScreeningSource) string { return s.ID },
		func(s ScreeningSource) { say("screening source %s is new: %s", s.ID, s) },
		func(s ScreeningSource) {
			say("screening source %s is removed, and its verdicts are forgotten; it was: %s", s.ID, s)
		},
		func(a, b ScreeningSource) {
			if !same(a, b) {
				say("screening source %s is now: %s; it was: %s", a.ID, b, a)
			}
		})
}
