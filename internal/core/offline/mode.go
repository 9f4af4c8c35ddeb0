// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
)

// mode gives the operational state of the authority, as far as its log is known here. The time is that of the last entry that is known.
func (w *work) mode() policy.Mode {
	return w.follow.state.Mode(authority.Moment{Time: w.follow.state.Time})
}

// unfrozen says whether a bundle's permits and moves may be done. What it brings of the authority's log is imported all the same: that the authority is
// frozen or draining is known from then on, and nothing is signed before a bundle that ends it.
func (w *work) unfrozen() error {
	m := w.follow.state.ModeState()
	if m == nil {
		return nil
	}
	return problem.New(problem.Frozen, "the authority is %s since entry %d (%s): nothing is signed here until a bundle shows that this has ended", w.mode(), m.Since, m.Reason)
}
