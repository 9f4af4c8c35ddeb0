// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// ordinary are operations whose requests are everyday business where the rules allow them. All others change who may do what, or the domain.
func ordinary(o request.Operation) bool {
	switch o {
	case request.Transfer, request.AddressCreate:
		return true
	default:
		return false
	}
}

// Security says whether an entry, by its first body, is one that somebody who looks after security wants to see: refusals, rejections,
// cancellations, and what changes people, rules, keys, the log or the domain. What this version does not know is one, too.
func Security(body any) bool {
	switch b := body.(type) {
	case *entry.Request:
		p, err := b.Parse()
		return err != nil || b.Decision.Outcome != policy.Allowed || !ordinary(p.Operation)
	case *entry.Approval:
		return b.Approval.Decision != request.Approve
	case *entry.Effect:
		return b.Addresses == nil || b.Wallet != nil
	case *entry.Permit, *entry.Result, *entry.Session, *entry.Snapshot, *entry.Uses, *entry.Quotes, *entry.Verdicts, *entry.Reencipher:
		return false
	default:
		return true
	}
}
