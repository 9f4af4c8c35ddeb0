// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"strings"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/edge/rulefile"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

// policyCmd is about the rule document.
type policyCmd struct {
	Show    policyShow    `cmd:"" help:"Write the current rule document as a rule file (YAML) to edit."`
	Check   policyCheck   `cmd:"" help:"Check a rule file, offline, and tell of rules in it that do nothing."`
	Diff    policyDiff    `cmd:"" help:"Say in words what a rule file would change."`
	Propose policyPropose `cmd:"" help:"Ask for a rule file in place of the current rules."`
	Replay  policyReplay  `cmd:"" help:"Run a rule file over the log, and show every decision that it would have made otherwise."`
}

// current reads the rule document, which must be what its hash says.
func current(e *env, c *client.Client) (policy.Document, client.PolicyView, error) {
	v, err := c.Policy(e.ctx)
	if err != nil {
		return policy.Document{}, v, err
	}
	d, err := policy.DecodeDocument(v.Canonical)
	if err == nil && fmt.Sprintf("%x", d.Hash()) != v.Hash {
		err = fmt.Errorf("%w: the rule document has another hash", client.ErrDisagrees)
	}
	return d, v, err
}

type policyShow struct{}

// Run writes it.
func (c *policyShow) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	d, v, err := current(e, cl)
	if err != nil {
		return err
	}
	return e.show(v, func() error {
		b, err := rulefile.Render(d)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.Out, "# rule document version %d, hash %s\n", d.Version, words.Plain(v.Hash))
		for l := range strings.Lines(string(b)) {
			fmt.Fprintln(e.Out, words.Plain(strings.TrimSuffix(l, "\n")))
		}
		return nil
	})
}

type policyCheck struct {
	File    string `arg:"" help:"Rule file."`
	Profile string `enum:"evaluation,production" default:"evaluation" help:"Profile of the domain that it is for."`
	people
}

// Run checks.
func (c *policyCheck) Run(e *env) error {
	who, err := c.people.read()
	if err != nil {
		return err
	}
	d, err := readRules(c.File, who)
	if err != nil {
		return err
	}
	// The hash of the version before it is filled in by 'policy propose', so a file need not have it: any stands in for it here.
	open := d.Version > 1 && d.PrevHash == [32]byte{}
	if open {
		d.PrevHash[0] = 1
	}
	if err := d.Check(custody.Profile(c.Profile)); err != nil {
		return hint(placed(c.File, err), "change %s; docs/spec/rule-document.md explains every key", c.File)
	}
	rules, err := policy.Compile(d)
	if err != nil {
		return err
	}
	e.say("%s is a rule document that can be used.", c.File)
	findings, idle, err := c.findings(e, rules)
	if err != nil {
		return err
	}
	view, pairs := map[string]any{"version": d.Version, "hash": fmt.Sprintf("%x", d.Hash()), "findings": findings}, documentPairs(d)
	if open {
		e.say("Its hash follows from version %d, which 'strongroom policy propose' puts in.", d.Version-1)
		delete(view, "hash")
		pairs = pairs[1:]
	}
	if err := e.show(view, func() error { return e.pairs(pairs) }); err != nil || !idle {
		return err
	}
	return silent(exitAlarm)
}

// finding is one that was placed in the file.
type finding struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Section string `json:"section"`
	Rule    string `json:"rule"`
	Detail  string `json:"detail"`
	Note    bool   `json:"note"`
}

// findings tells what the document holds that most likely was not meant, and says whether a rule in it does nothing.
func (c *policyCheck) findings(e *env, rules *policy.Rules) (out []finding, idle bool, err error) {
	b, err := os.ReadFile(c.File)
	if err != nil {
		return nil, false, err
	}
	out = []finding{}
	for _, f := range rules.Findings() {
		line, column := rulefile.Locate(b, f.Section, f.ID)
		kind := "warning"
		if f.Note {
			kind = "note"
		}
		place := f.Section + ": " + f.ID // breakGlass, whitelist
		if one, list := strings.CutSuffix(f.Section, "s"); list && f.Section != "breakGlass" {
			place = one + " " + f.ID
		}
		e.say("%s:%d:%d: %s: %s: %s", c.File, line, column, kind, place, f.What)
		out = append(out, finding{line, column, f.Section, f.ID, f.What, f.Note})
		idle = idle || !f.Note
	}
	return out, idle, nil
}

// proposal reads a rule file as the version after the current document.
func proposal(e *env, c *client.Client, path string) (now, next policy.Document, err error) {
	if next, err = readRules(path, nil); err != nil {
		return now, next, err
	}
	if now, _, err = current(e, c); err != nil {
		return now, next, err
	}
	if next.Version > now.Version+1 {
		return now, next, fmt.Errorf("%s has version %d; the current one is %d", path, next.Version, now.Version)
	}
	if next.Version < now.Version {
		return now, next, hint(fmt.Errorf("%s was made from version %d; the current one is %d", path, next.Version, now.Version),
			"start again from 'strongroom policy show', or the changes since would be lost")
	}
	next.Version, next.PrevHash = now.Version+1, now.Hash()
	st, err := c.Status(e.ctx)
	if err != nil {
		return now, next, err
	}
	if next, err = now.WithDocument(st.Profile, next); err != nil {
		err = placed(path, err)
	}
	return now, next, err
}

type policyDiff struct {
	File string `arg:"" help:"Rule file."`
}

// Run compares.
func (c *policyDiff) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	now, next, err := proposal(e, cl, c.File)
	if err != nil {
		return err
	}
	lines := policy.Diff(now, next)
	return e.show(map[string][]string{"changes": append([]string{}, lines...)}, func() error {
		for _, l := range lines {
			fmt.Fprintln(e.Out, words.Plain(l))
		}
		if len(lines) == 0 {
			e.say("Nothing would change.")
		}
		return nil
	})
}

type policyPropose struct {
	File    string `arg:"" help:"Rule file."`
	Replay  bool   `help:"Run the rule file over the log first, and have approvers sign what that finds. Done anyway where the rules require it."`
	From    uint64 `default:"1" placeholder:"ENTRY" help:"With --replay: first entry whose decisions are made again."`
	sending        // no --export: rules are proposed against the current ones, which only serve knows
}

// Run asks.
func (c *policyPropose) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	now, next, err := proposal(e, cl, c.File)
	if err != nil {
		return err
	}
	lines := policy.Diff(now, next)
	if len(lines) == 0 {
		return fmt.Errorf("%s changes nothing", c.File)
	}
	for _, l := range lines {
		e.say("  %s", l)
	}
	rules, err := policy.Compile(next)
	if err != nil {
		return err
	}
	if _, _, err := (&policyCheck{File: c.File}).findings(e, rules); err != nil {
		return err
	}
	body := &client.PolicyChange{Document: next.Encode()}
	if (c.Replay || now.ReplayRequired) && !c.Simulate {
		if body.Replay, err = proposeReplay(e, cl, next, c.From); err != nil {
			return err
		}
	}
	return c.send(e, cl, body)
}

// groupCmd is about groups.
type groupCmd struct {
	List groupList `cmd:"" help:"Groups of the rule document."`
	Set  groupSet  `cmd:"" help:"Ask for a group to have exactly these members."`
}

type groupList struct{}

// Run lists.
func (c *groupList) Run(e *env) error {
	cl, err := e.client()
	if err != nil {
		return err
	}
	groups, err := cl.Groups(e.ctx)
	if err != nil {
		return err
	}
	return e.show(apiv1.GroupList{Groups: groups}, func() error {
		var rows [][]string
		for _, g := range groups {
			for i, m := range g.Members {
				name := string(g.ID)
				if i > 0 {
					name = ""
				}
				rows = append(rows, []string{name, e.person(m)})
			}
			if len(g.Members) == 0 {
				rows = append(rows, []string{string(g.ID), "nobody"})
			}
		}
		return e.table([]string{"group", "member"}, rows)
	})
}

type groupSet struct {
	Group  string   `arg:"" help:"Group."`
	Member []string `required:"" placeholder:"PERSON" help:"Person id; may be given more than once."`
	asking
}

// Run asks.
func (c *groupSet) Run(e *env) error {
	b := &client.GroupSet{Group: custody.GroupID(c.Group)}
	for _, m := range sorted(c.Member) {
		b.Members = append(b.Members, custody.PersonID(m))
	}
	return c.ask(e, b)
}
