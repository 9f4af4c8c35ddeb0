// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"slices"

	"strongroom/client"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
)

// explain adds to a refusal by the rules what the rules allow, so far as serve tells of them: the log has only what was asked. Routes for other
// operations are left out where one of this operation came closer.
func explain(e *env, c *client.Client, err error) error {
	var p *client.Problem
	if !errors.As(err, &p) || p.Kind != problem.RefusedByRule {
		return err
	}
	out := *p
	out.Unmet = closest(p.Unmet)
	if doc, _, err := current(e, c); err == nil {
		for i, u := range out.Unmet {
			if limit := limitOf(doc, u); limit != "" {
				out.Unmet[i].Observed = fmt.Sprintf("%s asked, %s allowed", u.Observed, limit)
			}
		}
	}
	return &out
}

// closest gives what was not met by the routes that are for the operation; all if there is no such route.
func closest(in []problem.Unmet) []problem.Unmet {
	out := slices.DeleteFunc(slices.Clone(in), func(u problem.Unmet) bool { return u.Criterion == "operation" })
	if len(out) == 0 {
		return slices.Clone(in)
	}
	return out
}

// limitOf gives the limit that a rule sets on the amount.
func limitOf(d policy.Document, u problem.Unmet) string {
	for _, r := range d.Routes {
		if r.ID == u.Rule && u.Criterion == "amount.max" && r.When.AmountMax != nil {
			return "at most " + r.When.AmountMax.String()
		}
		if r.ID == u.Rule && u.Criterion == "amount.over" && r.When.AmountOver != nil {
			return "more than " + r.When.AmountOver.String()
		}
	}
	return ""
}
