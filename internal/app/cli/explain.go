// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/simulation"
)

type requestExplain struct {
	requestID
	All bool `help:"Name rules that are about other operations too."`
}

// Run explains it.
func (c *requestExplain) Run(e *env) error {
	cl, id, err := c.open(e)
	if err != nil {
		return err
	}
	x, err := cl.Explain(e.ctx, id)
	if err != nil {
		return err
	}
	return e.show(x, func() error { return e.explain(x, c.All) })
}

// simulate says what would be decided about a request, and asks nothing.
func (a sending) simulate(e *env, c *client.Client, body client.Body) error {
	who, err := e.who()
	if err != nil {
		return err
	}
	life, err := a.life(e.ctx, c)
	if err != nil {
		return err
	}
	r, err := c.Compose(e.ctx, who.Person, client.Ask{Body: body, Life: life})
	if err != nil {
		return usage("%w", err)
	}
	x, err := c.Simulate(e.ctx, r)
	if err != nil {
		return err
	}
	e.say("Nothing was asked: this is what would be decided now.")
	if err := e.show(x, func() error { return e.explain(x, false) }); err != nil {
		return err
	}
	switch {
	case x.Unfit != nil:
		return &hinted{err: errors.New("it would not be taken: " + x.Unfit.Detail), code: exitRefused}
	case x.Missing != nil:
		return &hinted{err: errors.New("it would be refused: " + x.Missing.Detail), code: exitRefused}
	}
	return nil
}

// explain shows why the rules say what they say.
func (e *env) explain(x client.Explanation, all bool) error {
	var out []pair
	add := func(name, format string, args ...any) { out = append(out, pair{name, fmt.Sprintf(format, args...)}) }
	if x.Request != "" {
		add("request", "%s", x.Request)
		add("state", "%s", x.State)
	}
	if d := x.Recorded; d != nil {
		add("on acceptance", "%s, by rule document version %d", decisionLine(*d), d.PolicyVersion)
	}
	for _, a := range x.Approvals {
		add("approved", "by %s at %s, entry %d", e.person(a.Person), a.Time, a.Seq)
	}
	if x.Unfit != nil {
		add("now", "can't be done, by rule document version %d: %s", x.PolicyVersion, x.Unfit.Detail)
	}
	if n := x.Now; n != nil {
		out = append(out, simulated(n.Facts.Simulation)...)
		add("now", "%s, by rule document version %d", decisionLine(n.Decision), x.PolicyVersion)
		for _, u := range n.Decision.Unmet {
			add("", "%s", unmetLine(u))
		}
		for _, p := range n.Plans {
			out = append(out, e.progress("needs", p)...)
		}
		for _, p := range n.Then {
			out = append(out, e.progress("needs, as when it was asked", p)...)
		}
		for _, u := range n.Limits {
			add("limit", "%s", useLine(u))
		}
		out = append(out, considered(*n, all)...)
	}
	if x.Missing != nil {
		add("missing", "%s", x.Missing.Detail)
	}
	if x.Uncertain {
		add("clock", "not certain: nothing would be decided now")
	}
	return e.pairs(out)
}

// simulated shows the report of a simulation.
func simulated(r *simulation.Report) (out []pair) {
	name := "simulation"
	for _, l := range words.Simulated(r) {
		out = append(out, pair{name, l})
		name = ""
	}
	return out
}

func decisionLine(d apiv1.Decision) string {
	s := fmt.Sprintf("%s, by rule %s", map[policy.Outcome]string{policy.Allowed: "allowed", policy.Denied: "denied", policy.Held: "held back"}[d.Outcome], d.Rule)
	if d.Auto {
		s += ", automatic"
	}
	if d.Reason != "" {
		s += " (" + d.Reason + ")"
	}
	if len(d.Obligations) > 0 {
		s += ", with " + strings.Join(d.Obligations, ", ")
	}
	if d.Delay > 0 {
		s += ", after " + (time.Duration(d.Delay) * time.Second).String()
	}
	return s
}

// progress shows what approvals a plan has and lacks, group by group.
func (e *env) progress(name string, p policy.Progress) (out []pair) {
	for i, b := range p.Branches {
		if i > 0 {
			name = "or"
		}
		for j, s := range b.Steps {
			if j > 0 {
				name = "and"
			}
			text := fmt.Sprintf("%d of %d of group %s", min(s.Have, s.Min), s.Min, s.Group)
			if s.Have < s.Min {
				text += fmt.Sprintf(", %d missing", s.Min-s.Have)
			}
			var by []string
			for _, id := range s.By {
				by = append(by, e.person(id))
			}
			if len(by) > 0 {
				text += ": " + strings.Join(by, ", ")
			}
			out = append(out, pair{name, text + " (" + p.Rule + ")"})
		}
	}
	return out
}

// considered shows how each rule sees the request, but those that are about other operations.
func considered(n apiv1.RulesNow, all bool) (out []pair) {
	others := 0
	for _, r := range n.Rules {
		if !all && !r.Matches && (r.Criterion == "operation" || r.Reserved) {
			others++
			continue
		}
		text := r.Rule + " " + r.String()
		if r.Rule == n.Decision.Rule {
			text += ": this one decides"
		}
		out = append(out, pair{strings.TrimSuffix(r.Section, "s"), text})
	}
	if others > 0 {
		out = append(out, pair{"", fmt.Sprintf("and %d rules about other operations; --all names them", others)})
	}
	return out
}

func useLine(u apiv1.LimitUse) string {
	m := u.Meter
	s := fmt.Sprintf("%s%s: takes %s; %s of %s used, %s reserved", m.Limit, groupOf(m.Group), u.Takes, m.Used, m.Max, m.Reserved)
	if u.Passed {
		s += ": NOT SO MUCH IS LEFT, which means " + string(u.Effect)
	}
	return s
}

// counted writes what a limit counts; money in whole units of its currency.
func counted(m apiv1.Meter, n custody.Uint256) string {
	if m.Currency == "" {
		return n.String()
	}
	return price.Money(n, m.Currency)
}

func groupOf(group []string) string {
	if len(group) == 0 {
		return ""
	}
	return " for " + strings.Join(group, ", ")
}

// limitCmd is about limits.
type limitCmd struct {
	Show limitShow `cmd:"" help:"What limits have used, reserved and left, and when the oldest use counts no more."`
}

type limitShow struct {
	Limit  string `arg:"" optional:"" help:"Only this limit."`
	Limits int    `name:"limit" default:"100" help:"Most to list."`
	Cursor string `placeholder:"CURSOR" help:"Where to go on, as the list before said."`
}

// Run lists.
func (c *limitShow) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	l, err := cl.Limits(e.ctx, c.Limit, c.Cursor, c.Limits)
	if err != nil {
		return err
	}
	err = e.show(l, func() error {
		var rows [][]string
		for _, m := range l.Meters {
			group := strings.Join(m.Group, " ")
			if len(m.Group) == 0 && len(m.GroupBy) > 0 {
				group = "any"
			}
			rows = append(rows, []string{m.Limit, group, string(m.Measure), windowOf(m.Window), counted(m, m.Max), counted(m, m.Used), counted(m, m.Reserved), counted(m, m.Left), m.Frees})
		}
		return e.table([]string{"limit", "group", "measure", "window", "max", "used", "reserved", "left", "frees"}, rows)
	})
	if err == nil && l.Next != "" {
		e.hint("more: --cursor %s", l.Next)
	}
	return err
}

func windowOf(w *apiv1.Window) string {
	switch {
	case w == nil:
		return ""
	case w.Rolling > 0:
		return (time.Duration(w.Rolling) * time.Second).String()
	case w.Unit != "":
		return string(w.Unit) + " of " + w.Calendar
	default:
		return "all time"
	}
}
