// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"fmt"
	"strings"
)

// String tells an obligation in words.
func (o Obligation) String() string {
	s := fmt.Sprintf("when %s, adds %s", o.When, o.Add)
	if o.Title != "" {
		s += fmt.Sprintf(" (%q)", o.Title)
	}
	return s
}

// String tells an addition in words.
func (a Addition) String() string {
	var parts []string
	if a.Plan != nil {
		parts = append(parts, "that it needs besides "+a.Plan.String())
	}
	if a.Delay > 0 {
		parts = append(parts, fmt.Sprintf("a delay of %d seconds", a.Delay))
	}
	if a.MinGroups > 0 {
		parts = append(parts, fmt.Sprintf("that those who approve stand for %d different groups", a.MinGroups))
	}
	return strings.Join(parts, ", and ")
}

// String tells a step in words.
func (s Step) String() string {
	out := fmt.Sprintf("%d of %s", s.Min, s.Group)
	if s.Ordered {
		out = "then " + out
	}
	if s.Hardware {
		out += " with passkeys"
	}
	if len(s.Differ) > 0 {
		out += " who are not in " + joined(s.Differ, " or ")
	}
	if len(s.Veto) > 0 {
		out += " (" + joined(s.Veto, " or ") + " may reject)"
	}
	return out
}

// times tells the times of a branch in words.
func (b Branch) times() string {
	var out string
	for _, t := range []struct {
		seconds int64
		words   string
	}{{b.Delay, ", not before %d seconds after acceptance"}, {b.ExpiresAfter, ", by approvals no older than %d seconds"}, {b.Deadline, ", within %d seconds of acceptance"}} {
		if t.seconds > 0 {
			out += fmt.Sprintf(t.words, t.seconds)
		}
	}
	return out
}
