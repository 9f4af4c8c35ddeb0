// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"fmt"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
)

// modeView is the JSON of an operational state; the core says nothing of the normal one.
func modeView(m *message.Mode) apiv1.Mode {
	if m == nil {
		return apiv1.Mode{Mode: policy.Normal}
	}
	out := apiv1.Mode{Mode: m.Mode, Since: m.Since, By: m.By, Reason: m.Reason}
	if m.Until > 0 {
		out.Until = apiv1.Time(m.Until * 1e9)
	}
	return out
}

// degraded lists what the domain goes on without: what the core says, and the nodes that do not answer.
func degraded(st message.Status, chains []apiv1.Chain) []string {
	out := append([]string{}, st.Degraded...)
	for _, c := range chains {
		if c.Error != "" {
			out = append(out, fmt.Sprintf("node of %s: %s; nothing is built or sent there, all else goes on", c.Chain, c.Error))
		}
	}
	return out
}

// mayUse says whether the caller's roles let them use an operation. docs/spec/roles.md has the table.
func (c *call) mayUse(p policy.Principal) error {
	if v := c.op.verb; v != "" && !p.May(v) {
		return errRole(p.ID, v)
	}
	c.others = p.May(policy.VerbRequests)
	return nil
}

func errRole(id custody.PersonID, v policy.Verb) error {
	return &problem.Error{Kind: problem.Forbidden, Detail: fmt.Sprintf("%s has no role that lets them do this (%s)", id, v), Rule: policy.RuleRoles}
}
