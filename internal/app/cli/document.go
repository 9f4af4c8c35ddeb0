// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"strongroom/internal/pure/policy"
)

// documentPairs says what a rule document is, all of it: people sign a genesis by these lines.
func documentPairs(doc policy.Document) []pair {
	out := []pair{{"rules", fmt.Sprintf("version %d, hash %x", doc.Version, doc.Hash())}}
	say := func(name, format string, args ...any) { out = append(out, pair{name, fmt.Sprintf(format, args...)}) }
	for _, p := range doc.Principals {
		say("person", "%s, %s", p.ID, principalWords(p))
	}
	for _, g := range doc.Groups {
		m := make([]string, len(g.Members))
		for i, p := range g.Members {
			m[i] = string(p)
		}
		line := ""
		if g.Line > 0 {
			line = fmt.Sprintf(", all of line %d", g.Line)
		}
		say("group", "%s: %s%s", g.ID, strings.Join(m, ", "), line)
	}
	for _, c := range doc.Counterparties {
		say("counterparty", "%s: %s", c.ID, c)
	}
	for _, b := range doc.AddressBook {
		say("whitelisted", "%s: %s", b.ID, b)
	}
	if doc.Whitelist != nil {
		say("address ledger", "%s", doc.Whitelist)
	}
	for _, b := range doc.Blacklist {
		say("blacklist", "%s", b)
	}
	for _, c := range doc.Contracts {
		say("contract", "%s: %s", c.ID, c)
	}
	say("floor", "%s", floorWords(doc.Floor))
	for _, c := range doc.Calendars {
		say("calendar", "%s: %s", c.ID, c)
	}
	for _, g := range doc.Guards {
		say("guard", "%s: %s", g.ID, g)
	}
	for _, r := range doc.Routes {
		say("route", "%s: %s", r.ID, r)
	}
	for _, o := range doc.Obligations {
		say("obligation", "%s: %s", o.ID, o)
	}
	for _, l := range doc.Limits {
		say("limit", "%s: %s", l.ID, l)
	}
	for _, s := range doc.PriceSources {
		say("price source", "%s: %s", s.ID, s)
	}
	for _, s := range doc.ScreeningSources {
		say("screening source", "%s: %s", s.ID, s)
	}
	if doc.BreakGlass != nil {
		say("break glass", "%s", doc.BreakGlass)
	}
	if doc.Oversight != nil {
		say("oversight", "%s", doc.Oversight)
	}
	say("changes need", "%s", doc.ChangePlan)
	if doc.ReplayRequired {
		say("a change of the rules", "comes with a replay of the log, whose report its approvers sign")
	}
	if p := doc.Domain; p != nil {
		say("domain needs", "%s", p.Signature)
		say("removing an administrator", "%s", p.Revocation)
		say("restoring", "%s", p.Recovery)
	}
	say("re-anchoring waits", "%d seconds", doc.ReanchorDelay())
	return out
}

// principalWords says what a person or service is: kind, line, roles and keys.
func principalWords(p policy.Principal) string {
	s := string(p.Kind)
	if !p.Active {
		s = "revoked " + s
	}
	if p.Line > 0 {
		s += fmt.Sprintf(", line %d", p.Line)
	}
	for i, r := range p.Roles {
		if i == 0 {
			s += ", roles"
		}
		s += " " + string(r)
	}
	for _, k := range p.Keys {
		s += fmt.Sprintf(", %s key %s", k.Alg, k.Ref())
	}
	return s
}

// floorWords says what holds for every request.
func floorWords(f policy.Floor) string {
	s := fmt.Sprintf("each plan needs %d different people at least", f.MinDistinctUsers)
	if f.MinDistinctGroups > 0 {
		s += fmt.Sprintf(" and each branch steps of %d different groups", f.MinDistinctGroups)
	}
	if !f.ForbidSelfApproval {
		s += ", and people may approve what they asked for"
	}
	return s + fmt.Sprintf("; a request lives %d seconds at most, an approval counts for %d", f.RequestTTL, f.MaxApprovalAge)
}
