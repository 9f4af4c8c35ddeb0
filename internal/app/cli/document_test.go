// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// Whatever a rule document holds is told to who signs a genesis with it: each field makes a line of its own, and so does one that comes in later.
func TestDocumentIsToldWhole(t *testing.T) {
	t.Parallel()
	plan := policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "risk", Min: 2}}}}}
	match := policy.Match{Operations: []request.Operation{request.Transfer}}
	delay := int64(7)
	samples := map[string]struct {
		value any
		want  string
	}{
		"Principals": {[]policy.Principal{{ID: "p_aaaaaaaaaaaaaaaa", Kind: policy.Human, Active: true, Line: 2, Roles: []request.Role{request.Risk, request.Approver}}},
			"person p_aaaaaaaaaaaaaaaa, human, line 2, roles " + string(request.Risk) + " " + string(request.Approver)},
		"Groups":           {[]policy.Group{{ID: "risk", Members: []custody.PersonID{"p_aaaaaaaaaaaaaaaa"}, Line: 2}}, "group risk: p_aaaaaaaaaaaaaaaa, all of line 2"},
		"AddressBook":      {[]policy.BookEntry{{ID: "bank", Chain: "eip155:1", Address: "0xabc", Suspended: true}}, "whitelisted bank: 0xabc on eip155:1, suspended"},
		"Floor":            {policy.Floor{MinDistinctUsers: 3, ForbidSelfApproval: true, RequestTTL: 60, MaxApprovalAge: 61, MinDistinctGroups: 2}, "floor each plan needs 3 different people at least and each branch steps of 2 different groups; a request lives 60 seconds at most, an approval counts for 61"},
		"Guards":           {[]policy.Guard{{ID: "g", When: match, Effect: policy.Deny}}, "guard g: deny"},
		"Routes":           {[]policy.Route{{ID: "r", When: match, Plan: plan}}, "route r: priority 0"},
		"ChangePlan":       {plan, "changes need 2 of risk"},
		"Domain":           {&policy.DomainPlans{Signature: plan, Revocation: plan, Recovery: plan, ReanchorDelay: &delay}, "re-anchoring waits 7 seconds"},
		"Calendars":        {[]policy.Calendar{{ID: "office", Zone: "UTC"}}, `calendar office: called "UTC"`},
		"Limits":           {[]policy.Limit{{ID: "most", When: match, Measure: policy.MeasureCount, Exceeded: policy.Deny}}, "limit most: "},
		"Obligations":      {[]policy.Obligation{{ID: "night", When: match, Add: policy.Addition{Delay: 5}}}, "obligation night: "},
		"BreakGlass":       {&policy.BreakGlass{Who: plan, Resume: plan, Duration: 9}, "break glass people of the plan that drains freeze the domain alone"},
		"Oversight":        {&policy.Oversight{Hold: []custody.GroupID{"risk"}}, "oversight members of risk hold requests"},
		"Counterparties":   {[]policy.Counterparty{{ID: "acme", Title: "Acme"}}, `counterparty acme: "Acme"`},
		"Whitelist":        {&policy.Whitelist{Plan: plan, CoolOff: 60}, "address ledger entries change with 2 of risk"},
		"Blacklist":        {[]policy.Blocked{{Chain: "eip155:1", Address: "0xabc", Reason: "scam"}}, `blacklist 0xabc on eip155:1 ("scam")`},
		"PriceSources":     {[]policy.PriceSource{{ID: "feed", MinSigners: 2, MaxAge: 60}}, "price source feed: 2 of "},
		"ScreeningSources": {[]policy.ScreeningSource{{ID: "screen", MinSigners: 1, MaxAge: 60}}, "screening source screen: 1 of "},
		"ReplayRequired":   {true, "a change of the rules comes with a replay of the log"},
		"Contracts":        {[]policy.Contract{{ID: "usd", Chain: "eip155:1", Kind: "token"}}, "contract usd: "},
	}
	lines := func(d policy.Document) (out []string) {
		for _, p := range documentPairs(d)[1:] { // the first line has the hash
			out = append(out, p.name+" "+p.value)
		}
		return out
	}
	none := lines(policy.Document{})
	for f := range reflect.TypeFor[policy.Document]().Fields() {
		if f.Name == "V" || f.Name == "Version" || f.Name == "PrevHash" {
			continue
		}
		s, ok := samples[f.Name]
		if !ok {
			t.Errorf("%s: no sample; documentPairs must tell it, and this test show it", f.Name)
			continue
		}
		var d policy.Document
		reflect.ValueOf(&d).Elem().FieldByName(f.Name).Set(reflect.ValueOf(s.value))
		got := slices.DeleteFunc(lines(d), func(l string) bool { return slices.Contains(none, l) })
		if !slices.ContainsFunc(got, func(l string) bool { return strings.HasPrefix(l, s.want) }) {
			t.Errorf("%s: got\n%s\nwant a line that begins %q", f.Name, strings.Join(got, "\n"), s.want)
		}
	}
}
