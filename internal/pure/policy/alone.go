// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// Bounds of what one person does alone to the address book. Beyond them the plan for the address book must approve, so that nobody fills the blacklist, or
// takes one destination away after the other, alone; who must block more has others agree. docs/spec/address-book.md.
const (
	MaxAlone        = 50                   // addresses blocked, and as many entries suspended, by one person in any 24 hours
	MaxAloneBlocked = MaxBlacklist * 3 / 4 // blocked addresses that there may be for another to be blocked alone
)

// aloneWindow is the window of the limits on what one person does alone, in seconds.
const aloneWindow = 24 * 3600

// aloneRule names the limit on an operation that one person may do alone; empty for any other operation.
func aloneRule(o request.Operation) string {
	switch o {
	case request.BlacklistAdd:
		return RuleBlacklist
	case request.WhitelistSuspend:
		return RuleSuspended
	default:
		return ""
	}
}

// CountsAlone says whether a limit is one on what one person does alone: it counts by persons, who are in the document.
func CountsAlone(limit string) bool { return limit == RuleBlacklist || limit == RuleSuspended }

// alone gives the limit on what one person does alone, by its name. No rule of a document has the name.
func (d Document) alone(id string) (Limit, bool) {
	for _, o := range []request.Operation{request.BlacklistAdd, request.WhitelistSuspend} {
		if aloneRule(o) == id {
			_, p := d.listPlan()
			return Limit{ID: id, When: Match{Operations: []request.Operation{o}}, Measure: MeasureCount, Max: custody.U64(MaxAlone), Window: Window{Rolling: aloneWindow},
				GroupBy: []Aspect{ByInitiator}, Exceeded: ByPlan, Plan: &p}, true
		}
	}
	return Limit{}, false
}

// aloneCharges says what such an operation takes from its limit.
func aloneCharges(f *Facts) []Charge {
	return []Charge{{Limit: aloneRule(f.Operation), Group: []string{string(f.Initiator)}, Amount: custody.U64(1)}}
}
