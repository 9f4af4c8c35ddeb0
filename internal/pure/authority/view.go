// SPDX-License-Identifier: Apache-2.0

package authority

import "strongroom/internal/pure/policy"

// View is what a decision depends on that neither the request nor the rule document says: facts of the state at a moment. The zero value says that
// nothing is known, which is how a domain is that uses none of it.
type View struct {
	Mode policy.Mode // operational state; empty: normal
}

// context gives the view as facts record it, or nil where there is nothing to record.
func (v View) context() *policy.Context {
	if v.Mode == "" || v.Mode == policy.Normal {
		return nil
	}
	return &policy.Context{Mode: v.Mode}
}

// Viewed gives the view that facts were recorded with, for who has them and not the state.
func Viewed(f policy.Facts) View {
	if f.Context == nil {
		return View{}
	}
	return View{Mode: f.Context.Mode}
}

// view is what decisions are made with at a moment.
func (s *State) view(at Moment) View { return View{Mode: s.Mode(at)} }
