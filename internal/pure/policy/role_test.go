// SPDX-License-Identifier: Apache-2.0

package policy_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// rolesPage has the table of roles and verbs.
const rolesPage = "../../../docs/spec/roles.md"

// roleTable writes the table of docs/spec/roles.md from the code.
func roleTable() string {
	var b strings.Builder
	head := []string{"verb"}
	for _, r := range request.Roles() {
		head = append(head, "`"+string(r)+"`")
	}
	row := func(cells []string) { fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | ")) }
	row(head)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	cells := func(name string, may func(policy.Principal) bool) {
		out := []string{"`" + name + "`"}
		for _, r := range request.Roles() {
			mark := ""
			if may(policy.Principal{Roles: []request.Role{r}}) {
				mark = "yes"
			}
			out = append(out, mark)
		}
		row(out)
	}
	for _, o := range request.Operations() {
		cells(string(o), func(p policy.Principal) bool { return p.MayAsk(o) })
	}
	for _, v := range policy.Verbs() {
		cells("("+string(v)+")", func(p policy.Principal) bool { return p.May(v) })
	}
	return b.String()
}

// TestRoleTable: the page has the table that the code makes. To change it: go test ./internal/pure/policy -run TestRoleTable prints it.
func TestRoleTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(rolesPage)
	if err != nil {
		t.Fatal(err)
	}
	if want := roleTable(); !strings.Contains(string(page), want) {
		t.Errorf("%s has not the table\n%s", rolesPage, want)
	}
}

// lined is [sample] with lines: alice, bob and carol operate, dave watches, erin audits.
func lined() policy.Document {
	d := sample()
	erin := person(4)
	d.Principals = slices.Insert(d.Principals, 4, principal(erin, 6, policy.Human))
	for i := range d.Principals {
		switch d.Principals[i].ID {
		case dave:
			d.Principals[i].Line = 2
		case erin:
			d.Principals[i].Line = 3
		default:
			d.Principals[i].Line = 1
		}
	}
	d.Groups = []policy.Group{{ID: "audit", Members: []custody.PersonID{erin}, Line: 3}, {ID: "bots", Members: []custody.PersonID{bot}},
		{ID: "risk", Members: []custody.PersonID{dave}, Line: 2}, {ID: "treasury", Members: []custody.PersonID{alice, bob, carol}, Line: 1}}
	return d
}

// TestRolesInDecisions: every operation × line is denied by the rule roles exactly where the table says so, and a document without lines and roles denies
// nothing by it.
func TestRolesInDecisions(t *testing.T) {
	t.Parallel()
	with, without := compile(t, lined()), compile(t, sample())
	for _, o := range request.Operations() {
		for _, p := range lined().Principals {
			f := policy.Facts{Operation: o, Initiator: p.ID, Evidence: policy.BySignature}
			d, no := with.Powerless(f)
			if byRole := no && d.Rule == policy.RuleRoles; byRole == p.MayAsk(o) {
				t.Errorf("%s by line %d: %s, and the table says %t", o, p.Line, d.Rule, p.MayAsk(o))
			}
			if d, no := without.Powerless(f); no && d.Rule == policy.RuleRoles {
				t.Errorf("%s: a document without roles refuses by them", o)
			}
		}
	}
	if d := with.Evaluate(facts(dave, "hot", "5")); d.Outcome != policy.Denied || d.Rule != policy.RuleRoles || d.Unmet[0].Criterion != "initiator.roles" {
		t.Errorf("line 2 pays: %+v", d)
	}
	if d := with.Evaluate(facts(alice, "hot", "5")); d.Outcome != policy.Allowed {
		t.Errorf("line 1 pays: %+v", d)
	}
}

// TestRolesNeverAllowMore: giving somebody a role or a line never turns a denial into anything else.
func TestRolesNeverAllowMore(t *testing.T) {
	t.Parallel()
	before, after := compile(t, sample()), compile(t, lined())
	for _, p := range sample().Principals {
		for _, amount := range []string{"5", "5000"} {
			if a, b := before.Evaluate(facts(p.ID, "hot", amount)), after.Evaluate(facts(p.ID, "hot", amount)); rank(b) > rank(a) {
				t.Errorf("%s: %s became %s", p.ID, describe(a), describe(b))
			}
		}
	}
}

func TestLinesRefused(t *testing.T) {
	t.Parallel()
	erin := person(4)
	for name, x := range map[string]struct {
		change func(*policy.Document)
		want   string
	}{
		"line 4":               {func(d *policy.Document) { d.Principals[0].Line = 4 }, "line is 4"},
		"unknown role":         {func(d *policy.Document) { d.Principals[0].Roles = []request.Role{"king"} }, `"king"`},
		"roles not sorted":     {func(d *policy.Document) { d.Principals[0].Roles = []request.Role{"requester", "approver"} }, "sorted"},
		"auditor who pays":     {func(d *policy.Document) { d.Principals[4].Roles = []request.Role{"requester"} }, "not for line 3"},
		"risk who pays":        {func(d *policy.Document) { d.Principals[3].Roles = []request.Role{"requester"} }, "not for line 2"},
		"service of line 3":    {func(d *policy.Document) { d.Principals[5].Line = 3 }, "service"},
		"service that governs": {func(d *policy.Document) { d.Principals[5].Roles = []request.Role{"administrator"} }, "for people"},
		"group of line 7":      {func(d *policy.Document) { d.Groups[1].Line = 7 }, "line is 7"},
		"member of another":    {func(d *policy.Document) { d.Groups[3].Members = []custody.PersonID{alice, bob, carol, dave} }, "line 1"},
		"auditor approves": {func(d *policy.Document) {
			d.Groups[3].Line, d.Groups[3].Members = 0, []custody.PersonID{alice, bob, carol, erin}
		}, "may not approve"},
		"risk approves for the first line": {func(d *policy.Document) {
			d.Groups[3].Line, d.Groups[3].Members = 0, []custody.PersonID{alice, bob, carol, dave}
		}, "line 2"},
		"risk alone approves payments": {func(d *policy.Document) {
			d.Groups[2].Members = []custody.PersonID{dave}
			d.Floor.MinDistinctUsers = 1
			d.Routes[1].Plan = plan("risk", 1)
		}, "first line"},
		"approver without the role": {func(d *policy.Document) { d.Principals[0].Roles = []request.Role{"requester"} }, "may not approve"},
		"nobody administers": {func(d *policy.Document) {
			for i := range 3 {
				d.Principals[i].Roles = []request.Role{"approver", "requester"}
			}
		}, "nobody could ask for a change of the rules"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := lined()
			x.change(&d)
			mustContain(t, d.Check(custody.Evaluation), x.want)
		})
	}
	if err := lined().Check(custody.Production); err != nil {
		t.Error(err)
	}
}

// TestEnrolWithRoles: who is enrolled has the line and roles that were asked for, and a group keeps its line when its members change.
func TestEnrolWithRoles(t *testing.T) {
	t.Parallel()
	frank := person(6)
	body := request.PersonEnrolBody{Person: frank, Kind: "human", Key: key(40), Groups: []custody.GroupID{"risk"}, Line: 2, Roles: []request.Role{request.Risk}}
	next, err := lined().WithPerson(custody.Production, body)
	if err != nil {
		t.Fatal(err)
	}
	if next, err = next.WithGroup(custody.Production, request.GroupSetBody{Group: "risk", Members: []custody.PersonID{frank}}); err != nil {
		t.Fatal(err)
	}
	r := compile(t, next)
	if p, _ := r.Principal(frank); p.Line != 2 || !slices.Equal(p.Roles, body.Roles) || next.Groups[2].Line != 2 {
		t.Errorf("%+v in %+v", p, next.Groups[2])
	}
	if r.May(frank, policy.VerbApprove) || !r.May(frank, policy.VerbLog) || r.May("p_nobody", policy.VerbOwn) {
		t.Error("frank's roles are not those")
	}
	body.Line = 1
	_, err = lined().WithPerson(custody.Production, body)
	mustContain(t, err, "not for line 1")
}

// TestRolesInWords: a change of line or roles says whether it is tighter or looser.
func TestRolesInWords(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		line  uint8
		roles []request.Role
		want  string
	}{{1, []request.Role{"approver"}, "TIGHTER"}, {0, nil, "LOOSER"}, {2, nil, "other powers"}, {1, []request.Role{"administrator", "approver", "requester", "whitelister"}, "same powers"}} {
		next := lined()
		next.Principals[0].Line, next.Principals[0].Roles = x.line, x.roles
		if got := strings.Join(policy.Diff(lined(), next), "\n"); !strings.Contains(got, x.want) {
			t.Errorf("line %d %v: %q does not say %q", x.line, x.roles, got, x.want)
		}
	}
}

// TestMatchRoles: rules see the roles and the line of who asks.
func TestMatchRoles(t *testing.T) {
	t.Parallel()
	for what, m := range map[string]policy.Match{"field": {InitiatorRoles: []request.Role{"requester"}}, "roles": {Expr: `"requester" in initiatorRoles`}, "line": {Expr: `initiatorLine == 1`}} {
		d := lined()
		d.Guards = []policy.Guard{{ID: "g", Effect: policy.Deny, When: withOperations(m, []request.Operation{request.Transfer})}}
		if got := compile(t, d).Evaluate(facts(alice, "hot", "5")); got.Rule != "g" {
			t.Errorf("%s: %s", what, describe(got))
		}
		d.Principals[0].Line, d.Principals[0].Roles, d.Groups[3].Line = 0, nil, 0
		if got := compile(t, d).Evaluate(facts(alice, "hot", "5")); got.Rule == "g" {
			t.Errorf("%s matches who has neither", what)
		}
	}
}
